"""Connections: how long each may take, how many there may be, and who is answered however busy the server is."""

import errno
import json
import logging
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from secondread.service.database import Patience
from secondread.web.serving.connections import Caps, key_of, oldest_waiting
from secondread.web.serving.deadlines import Deadlines, Watch
from tests.web.serving import IN_TIME, Here, answer_on, is_closed, serving

ASK = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
HALF = b"GET /api/v1/session HTTP/1.1\r\nHost: lo"
UPLOAD = b"POST /api/v1/readings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    with serving(tmp_path_factory.mktemp("served"), LOGIN="off", CONNECTIONS=12, ADDRESS_CONNECTIONS=4) as found:
        yield found


@pytest.fixture
def here(server: Here) -> Iterator[Here]:
    """A server without connections."""
    yield server
    server.later(10_000)
    server.until(lambda: server.n_open() == 0)


class TestDeadlines:
    def test_a_header_that_drips_in_is_cut(self, here: Here) -> None:
        with here.connect() as slow:
            slow.sendall(HALF)
            here.later(10)
            slow.sendall(b"c")  # a sign of life moves no deadline
            here.later(7)
            status, head, told = answer_on(slow)
            assert (status, json.loads(told)["status"]) == (408, 408)
            assert b"application/problem+json" in head
            assert is_closed(slow)

    def test_who_says_nothing_at_all_is_cut(self, here: Here) -> None:
        with here.connect() as silent:
            assert here.ask(ASK, address="127.0.0.2")[0] == 200  # by then the other has been taken as well
            here.later(17)
            assert is_closed(silent)

    def test_a_body_that_drips_in_is_cut(self, here: Here) -> None:
        with here.connect() as slow:
            slow.sendall(UPLOAD)
            here.later(9)
            slow.sendall(b"x" * 20_000)
            here.later(1)  # 20 kB in 10 s: still in the first ten, which are not counted
            assert here.n_open() == 1
            here.later(4)  # 20 kB where 16 kB × 4 are asked for
            assert answer_on(slow)[0] == 408
            assert is_closed(slow)

    def test_an_open_connection_is_kept_for_a_minute(self, here: Here) -> None:
        with here.connect() as idle:
            idle.sendall(ASK)
            assert answer_on(idle)[0] == 200
            here.later(50)
            idle.sendall(ASK)
            assert answer_on(idle)[0] == 200
            here.later(62)
            assert is_closed(idle)

    def test_an_answer_that_nobody_reads_is_cut(self, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
        large = b"x" * 30_000_000  # more than any buffer of the network holds
        monkeypatch.setitem(here.app.view_functions, "session.who", lambda: (large, 200))
        with socket.socket() as lazy:
            lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            lazy.connect(("127.0.0.1", here.port))
            lazy.sendall(b"GET /api/v1/session HTTP/1.1\r\nHost: localhost\r\n\r\n")
            lazy.recv(1)
            assert here.n_open() == 1
            here.later(3000)  # what the network holds for it counts as read
            here.until(lambda: here.n_open() == 0)

    def test_the_floor_of_a_rate(self) -> None:
        deadlines = Deadlines(rate=1000, grace=10)
        assert not deadlines.too_slow(0, 10)
        assert deadlines.too_slow(0, 10.1)
        assert deadlines.too_slow(999, 11)
        assert not deadlines.too_slow(1000, 11)
        assert not Deadlines(rate=0).too_slow(0, 1e9)

    def test_a_watch_begins_anew_with_what_is_done_next(self) -> None:
        watch, first, second = Watch(), object(), object()
        assert watch.look(("body", first), 100, 5.0) == (0.0, 0)
        assert watch.look(("body", first), 700, 9.0) == (4.0, 600)
        assert watch.look(("body", second), 50, 11.0) == (0.0, 0)


class TestCaps:
    def test_half_sent_requests_keep_nobody_out_not_even_of_their_address(self, here: Here) -> None:
        with ExitStack() as stack:
            halves = [stack.enter_context(here.connect()) for _ in range(8)]
            for half in halves:
                half.sendall(HALF)
            assert here.ask(ASK)[0] == 200
            assert here.n_open() <= 4
            assert is_closed(halves[0])

    def test_nor_do_they_from_many_addresses(self, here: Here) -> None:
        with ExitStack() as stack:
            for number in range(2, 32):
                half = stack.enter_context(here.connect(address=f"127.0.0.{number}"))
                half.sendall(HALF)
            assert here.ask(ASK)[0] == 200
            assert here.n_open() <= 12

    def test_behind_a_proxy_it_is_the_proxy_that_counts_addresses(self, tmp_path: Path) -> None:
        with serving(tmp_path, LOGIN="on", PROXIES=1, ADDRESS_CONNECTIONS=2) as behind, ExitStack() as stack:
            for _ in range(6):
                stack.enter_context(behind.connect()).sendall(HALF)
            assert behind.ask(ASK)[0] == 200
            assert behind.n_open() >= 6

    def test_where_all_of_an_address_are_busy_one_more_is_told_to_come_again(
        self, here: Here, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("secondread.web.serving.channel.Channel.waits", property(lambda _: False))
        with ExitStack() as stack:
            for _ in range(4):
                stack.enter_context(here.connect()).sendall(HALF)
            with here.connect() as more:
                status, head, told = answer_on(more)
            assert (status, json.loads(told)["code"]) == (503, "busy")
            assert b"Retry-After: " in head
            assert here.ask(ASK, address="127.0.0.2")[0] == 200

    def test_the_one_that_goes_is_of_the_address_that_holds_most(self) -> None:
        few, old, young = One("10.0.0.1", 1.0), One("10.0.0.2", 2.0), One("10.0.0.2", 3.0)
        assert oldest_waiting([few, young, old]) is old
        assert oldest_waiting([One("10.0.0.1", 1.0, waits=False)]) is None
        assert Caps(3, 0).find_room("10.0.0.9", [few, young, old]) == (True, old)
        assert Caps(4, 2).find_room("10.0.0.2", [few, young, old]) == (True, old)
        assert Caps(4, 0).find_room("10.0.0.2", [few, young, old]) == (True, None)
        assert Caps(1, 0).find_room("10.0.0.2", [One("10.0.0.1", 1.0, waits=False)]) == (False, None)

    @pytest.mark.parametrize(
        ("address", "key"),
        [
            ("10.1.2.3", "10.1.2.3"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:bbbb::9", "2001:db8:1:2::/64"),
            ("fe80::1%eth0", "fe80::/64"),
        ],
    )
    def test_a_network_of_ipv6_counts_as_one(self, address: str, key: str) -> None:
        assert key_of(address) == key


@dataclass
class One:
    """A connection, as the caps see it."""

    address: str
    creation_time: float
    waits: bool = True

    @property
    def addr(self) -> tuple[str, int]:
        """Of the client."""
        return self.address, 0

    def handle_close(self) -> None:
        """Nothing is open."""


def test_without_descriptors_it_rests_and_says_so_once_a_minute(
    here: Here, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries = []

    def exhausted(_: object) -> None:
        tries.append(here.clock.now)
        raise OSError(errno.EMFILE, "Too many open files")

    with here.connect() as half, monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        half.sendall(HALF)
        here.later(0)
        patch.setattr("waitress.wasyncore.dispatcher.accept", exhausted)
        with here.connect(address="127.0.0.2") as waits:
            waits.sendall(ASK)
            for _ in range(15):
                here.later(2)
            assert 1 <= len(tries) <= 80  # a try or two a second of 45, not one in every turn of the loop
            assert len([line for line in caplog.records if "no connection can be taken" in line.message]) == 1
            patch.undo()
            here.later(2)
            assert answer_on(waits)[0] == 200  # the kernel has kept it meanwhile
        assert is_closed(half)  # it gave its descriptor


class TestTurns:
    def test_where_all_threads_are_taken_some_wait_and_the_others_are_told_to_come_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun, go_on = threading.Semaphore(0), threading.Event()

        def long() -> str:
            begun.release()
            assert go_on.wait(IN_TIME)
            return "done"

        with (
            serving(tmp_path, LOGIN="off", THREADS=1, WAITING_REQUESTS=2) as busy,
            monkeypatch.context() as patch,
            ExitStack() as stack,
        ):
            patch.setitem(busy.app.view_functions, "session.who", long)
            asked = [stack.enter_context(busy.connect()) for _ in range(4)]
            ask = b"GET /api/v1/session HTTP/1.1\r\nHost: localhost\r\n\r\n"
            asked[0].sendall(ask)
            assert begun.acquire(timeout=IN_TIME)
            for number in (1, 2, 3):
                asked[number].sendall(ask)
                busy.later(0)
            status, head, told = answer_on(asked[3])
            assert (status, json.loads(told)["code"]) == (503, "busy")
            assert b"Retry-After: 5" in head
            for path in (b"/healthz", b"/readyz"):  # neither waits behind the others
                assert busy.ask(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")[0] == 200
            go_on.set()
            assert [answer_on(one)[0] for one in asked[:3]] == [200, 200, 200]

    def test_a_locked_database_is_told_at_once_and_health_does_not_wait(
        self, here: Here, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("secondread.web.health._PATIENCE", Patience(lock=0.05, statement=0.05))
        other = sqlite3.connect(here.service.folder / "secondread.sqlite", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        status, _, told = here.ask(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (status, json.loads(told)["code"]) == (503, "database_away")
        assert here.ask(ASK)[0] == 200
        assert time.monotonic() - began < 10
        other.close()

    def test_readiness_that_hangs_is_not_waited_for(self, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
        hangs = threading.Event()
        monkeypatch.setattr("secondread.web.serving.health._READY_SECONDS", 0.05)
        monkeypatch.setattr("secondread.web.health.readiness", lambda _: hangs.wait(IN_TIME) and (200, {}))
        for _ in range(2):
            status, head, _ = here.ask(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert status == 503
            assert b"application/problem+json" in head
        hangs.set()

    def test_health_is_asked_for_without_its_body_too(self, here: Here) -> None:
        with here.connect() as connection:
            connection.sendall(ASK.replace(b"GET", b"HEAD") + ASK)
            found = b""
            while found.count(b"HTTP/1.1 200") < 2 or not found.endswith(b"}"):
                found += connection.recv(65536)
            assert found.count(b'"status"') == 1
        assert here.ask(ASK.replace(b"GET", b"POST"))[0] == 405


def test_told_to_stop_it_finishes_what_it_answers_and_takes_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def long() -> str:
        begun.set()
        assert go_on.wait(IN_TIME)
        return "done"

    with serving(tmp_path, LOGIN="off") as here, monkeypatch.context() as patch, here.connect() as asked:
        patch.setitem(here.app.view_functions, "session.who", long)
        asked.sendall(b"GET /api/v1/session HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert begun.wait(IN_TIME)
        here.server.stop()
        stopped = threading.Event()
        here.server.soon(stopped.set)
        assert stopped.wait(IN_TIME)
        with pytest.raises(OSError):  # noqa: PT011 - refused, whatever the platform calls it
            socket.create_connection(("127.0.0.1", here.port), timeout=1)
        go_on.set()
        assert answer_on(asked)[0] == 200
