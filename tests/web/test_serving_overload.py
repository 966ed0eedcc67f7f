"""More than can be answered: accounts take turns, few may wait, and who is sent away is told when to come again."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from secondread.service import ReadingDesk
from secondread.testing.phantoms import chest_phantom, encode
from secondread.web.serving.turns import Turns
from tests.web.conftest import multipart
from tests.web.serving import IN_TIME, Here, account, answer_on, serving

FILM = encode(chest_phantom(64, random_state=0), "PNG")


class Waiting(SimpleNamespace):
    """A connection, the same as no other."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__


def channel(account: str, address: str = "10.0.0.1") -> Any:
    """A connection whose first request waits."""
    return Waiting(addr=(address, 1), requests=[SimpleNamespace(account=account)])


def told(answer: Any) -> tuple[int, str]:
    """Status of a refusal, and when to ask again."""
    refusal = answer[1]
    return refusal.status, dict(refusal.headers)["Retry-After"]


class TestTurns:
    def test_accounts_take_turns_and_addresses_where_no_account_is_known(self) -> None:
        turns = Turns(0, most_waiting=100)
        sent = [channel("account anna") for _ in range(5)] + [channel("", "10.0.0.2"), channel("", "10.0.0.3")]
        assert [turns.offer(one) for one in sent] == [None] * 7
        order = [sent.index(turns.queue.popleft()) for _ in range(7)]
        assert order == [0, 5, 6, 1, 2, 3, 4]

    def test_one_address_alone_is_told_that_the_server_is_busy(self) -> None:
        turns = Turns(0, most_waiting=2)
        first = [channel("") for _ in range(3)]
        assert [turns.offer(one) for one in first[:2]] == [None, None]
        answer = turns.offer(first[2])
        assert answer is not None
        assert answer[0] is first[2]
        assert told(answer) == (503, "5")

    def test_when_too_many_wait_the_one_with_the_most_goes_without(self) -> None:
        turns = Turns(0, most_waiting=3)
        anna = [channel("account anna") for _ in range(4)]
        assert [turns.offer(one) for one in anna[:3]] == [None] * 3
        ben = channel("account ben")
        goes, refusal = turns.offer(ben) or pytest.fail("nobody was turned away")
        assert (goes is anna[2], refusal.status) == (True, 429)
        goes, refusal = turns.offer(anna[3]) or pytest.fail("nobody was turned away")
        assert (goes is anna[3], refusal.status) == (True, 429)
        assert json.loads(refusal.body)["code"] == "too_many_requests"
        assert [turns.queue.popleft() for _ in range(3)] == [anna[0], ben, anna[1]]

    def test_nobody_joins_while_those_who_come_out_have_waited_too_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 1000.0
        monkeypatch.setattr("secondread.web.serving.turns.time.monotonic", lambda: now)
        turns = Turns(0, most_waiting=100)
        first = [channel("account anna") for _ in range(4)]
        assert [turns.offer(one) for one in first] == [None] * 4
        now += 11
        assert turns.queue.popleft() is first[0]
        goes, refusal = turns.offer(channel("account ben")) or pytest.fail("nobody was turned away")
        assert (goes is first[3], refusal.status) == (True, 429)
        answer = turns.offer(channel("account anna"))
        assert answer is not None
        assert told(answer) == (429, "5")
        for _ in range(3):
            turns.queue.popleft()
        assert turns.offer(channel("account anna")) is None, "nobody waits any more"

    def test_where_all_have_as_many_nobody_loses_a_place_to_a_new_one(self) -> None:
        turns = Turns(0, most_waiting=2)
        assert [turns.offer(channel(f"account {name}")) for name in ("anna", "ben")] == [None, None]
        cleo = channel("account cleo")
        answer = turns.offer(cleo)
        assert answer is not None
        assert answer[0] is cleo
        assert told(answer) == (503, "5")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with serving(tmp_path, LOGIN="on", THREADS=1, WAITING_REQUESTS=6, ADDRESS_CONNECTIONS=12) as found:
        yield found


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, list[str]]]:
    """Readings that wait for an event, and the files that were read, in order."""
    go_on, order = threading.Event(), []
    answer = ReadingDesk.answer

    def slowly(self: ReadingDesk, *args: Any, name: str, **kwargs: Any) -> Any:
        order.append(name)
        assert go_on.wait(IN_TIME)
        return answer(self, *args, name=name, **kwargs)

    monkeypatch.setattr(ReadingDesk, "answer", slowly)
    yield go_on, order
    go_on.set()


def request(token: str, name: str) -> bytes:
    """A whole request for a reading of one image."""
    body, content_type = multipart((name, FILM), task="tuberculosis")
    headers = f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\nAuthorization: Bearer {token}\r\n"
    return b"POST /api/v1/readings HTTP/1.1\r\nHost: localhost\r\n" + headers.encode() + b"\r\n" + body


def until(true: Callable[[], bool]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + IN_TIME
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.002)


def test_one_image_of_another_account_is_read_next_and_not_last(here: Here, held: Any) -> None:
    go_on, order = held
    anna = account(here, "anna", "administrator", "read", "write")
    ben = account(here, "ben", "reader", "read", "write")
    sent = [(anna, f"anna-{n}.png") for n in range(4)] + [(ben, "ben.png"), (anna, "anna-4.png"), (anna, "anna-5.png")]
    open_ = []
    for n, (token, name) in enumerate(sent):
        open_.append(here.connect())
        open_[-1].sendall(request(token, name))
        if n == 0:
            until(lambda: order == ["anna-0.png"])
        else:
            until(lambda n=n: len(here.server.task_dispatcher.queue) == n)
    go_on.set()
    statuses = []
    for connection in open_:
        with connection:
            statuses.append(answer_on(connection)[0])
    assert statuses == [200] * 7
    assert order == ["anna-0.png", "anna-1.png", "ben.png", *(f"anna-{n}.png" for n in range(2, 6))]


def test_every_answer_is_good_or_says_when_to_come_again(here: Here, held: Any) -> None:
    go_on, order = held
    anna = account(here, "anna", "administrator", "read", "write")
    ben = account(here, "ben", "reader", "read", "write")
    open_ = []

    def send(token: str, name: str) -> None:
        open_.append(here.connect())
        open_[-1].sendall(request(token, name))

    send(anna, "first.png")
    until(lambda: order == ["first.png"])
    for n in range(6):
        send(anna, f"anna-{n}.png")
    until(lambda: len(here.server.task_dispatcher.queue) == 6)
    send(ben, "ben-0.png")
    until(lambda: here.server.task_dispatcher.queue.waiting("account ben") == 1)
    send(anna, "anna-6.png")
    with open_[-1] as last:
        status, head, body = answer_on(last)
    assert (status, json.loads(body)["code"]) == (429, "too_many_requests")
    assert b"Retry-After: 5" in head
    go_on.set()
    found = [answer_on(connection)[:2] for connection in open_[:-1]]
    for connection in open_:
        connection.close()
    assert [status for status, _ in found].count(200) == 7
    assert [status for status, _ in found].count(429) == 1, "the last of anna's, in whose place ben's was taken"
    assert order[:3] == ["first.png", "anna-0.png", "ben-0.png"]


def test_who_finds_no_room_for_a_connection_is_told_so_while_still_sending(here: Here, held: Any) -> None:
    go_on, order = held
    anna = account(here, "anna", "administrator", "read", "write")
    open_ = []
    for n in range(7):
        open_.append(here.connect())
        open_[-1].sendall(request(anna, f"anna-{n}.png"))
    until(lambda: len(here.server.task_dispatcher.queue) + len(order) == 7)
    asked = [here.connect() for _ in range(5)]  # which say nothing yet, and would give way
    for connection in asked:
        connection.sendall(b"POST /api/v1/readings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n")
        connection.sendall(f"Authorization: Bearer {anna}\r\n\r\n".encode() + b"x" * 1000)
    until(lambda: sum(not channel.waits for channel in here.server.active_channels.values()) == 12)
    with here.connect() as one_more:
        one_more.sendall(b"POST /api/v1/readings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n")
        one_more.sendall(b"x" * 4_000_000)
        status, head, body = answer_on(one_more)
    assert (status, json.loads(body)["code"]) == (503, "busy")
    assert b"Retry-After: 5" in head
    go_on.set()
    assert [answer_on(connection)[0] for connection in open_] == [200] * 7
    for connection in (*open_, *asked):
        connection.close()
