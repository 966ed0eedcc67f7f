"""A database that is away: nothing is failed for it, nothing said of it but in the log, and all goes on after."""

import logging
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from secondread.errors import BundleDamaged, Busy, CannotWrite, DatabaseAway, DatabaseUnusable, DiskFull, ServiceError
from secondread.service import Database, ReadingRequest, Service
from secondread.service import database as module
from secondread.service.database import Patience, wait_at_most
from secondread.service.tables import now
from tests.service import stubs
from tests.service.conftest import ANNA, _admin
from tests.service.stubs import draft, image_bytes, worker_of

ASKED = ReadingRequest("tuberculosis")
IN_TIME = 30.0  # seconds


def _submit(service: Service, n: int = 1) -> int:
    return service.intake.take([(f"{n}.png", image_bytes(n)) for n in range(n)], ASKED, actor=ANNA)


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + IN_TIME
    while not until():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("secondread.service.worker._FIRST_WAIT", 0.05)
    monkeypatch.setattr("secondread.service.worker._LONGEST_WAIT", 0.1)
    yield
    wait_at_most(module._OF_OTHERS)


@contextmanager
def _working(service: Service, answer: Callable[[bytes], object]) -> Iterator[None]:
    worker = worker_of(service, answer)  # type: ignore[arg-type]
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(IN_TIME)
    assert not thread.is_alive()


class Proxy:
    """Between a client and PostgreSQL; `cut` ends all connections and takes no new ones until `mend`."""

    def __init__(self, url: str):
        there = make_url(url)
        self._target = (there.host or "127.0.0.1", there.port or 5432)
        self._open: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = there.set(host="127.0.0.1", port=self._listening.getsockname()[1]).render_as_string(False)
        self._cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._cut = True
        for one in self._open:
            with closing(one), suppress(OSError):  # it may be over already
                one.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def mend(self) -> None:
        self._cut = False

    def close(self) -> None:
        self._listening.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            if self._cut:
                near.close()
                continue
            far = socket.create_connection(self._target)
            self._open += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    @staticmethod
    def _pump(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def behind(tmp_path: Path, empty_postgresql: str) -> Iterator[tuple[Service, Proxy]]:
    """A service whose PostgreSQL is behind a proxy."""
    proxy = Proxy(empty_postgresql)
    service = Service.open({"DATA_FOLDER": str(tmp_path / "data"), "DATABASE": proxy.url})
    yield service, proxy
    service.close()
    proxy.close()


def test_postgresql_that_is_cut_in_the_middle_of_an_item_gives_it_back(
    behind: tuple[Service, Proxy], caplog: pytest.LogCaptureFixture
) -> None:
    service, proxy = behind
    batch = _submit(service, 3)
    reading, cut = threading.Event(), threading.Event()

    def read(data: bytes) -> object:
        if not cut.is_set():
            reading.set()
            assert cut.wait(IN_TIME)
        return stubs.read(data)

    with _working(service, read):
        assert reading.wait(IN_TIME)
        proxy.cut()
        with pytest.raises(DatabaseAway) as caught:
            service.queue.batch(batch)
        assert caught.value.retry_after > 0
        cut.set()
        _wait(lambda: "nothing can be read now" in caplog.text)
        time.sleep(0.3)  # several tries
        proxy.mend()
        _wait(lambda: service.queue.batch(batch).finished)
    items = service.queue.items(batch)
    assert [(item.state, item.attempts, item.message) for item in items] == [("done", 1, "")] * 3
    assert service.worklist.count() == 3
    service.trail.verify()
    told = [record for record in caplog.records if record.name == "secondread.service.worker"]
    assert [record.levelno for record in told] == [logging.ERROR, logging.WARNING]  # one line each way


def test_connections_that_the_server_ends_are_replaced_and_nothing_is_failed(
    behind: tuple[Service, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    service, proxy = behind
    batch = _submit(service, 12)
    name = make_url(proxy.url).database
    kills = 0

    def kill() -> None:
        nonlocal kills
        kills += 1
        _admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    def read(data: bytes) -> object:
        if kills < 4:
            kill()  # between two transactions
        return stubs.read(data)

    add_within = service.readings.add_within

    def add(session: Session, *more: object, **named: object) -> object:
        found = add_within(session, *more, **named)  # type: ignore[arg-type]
        if kills < 8:
            kill()  # in the middle of one
        return found

    monkeypatch.setattr(service.readings, "add_within", add)
    with _working(service, read):
        _wait(lambda: _finished(service, batch))
    assert {(item.state, item.message) for item in service.queue.items(batch)} == {("done", "")}
    assert max(item.attempts for item in service.queue.items(batch)) == 1
    assert (service.worklist.count(), kills) == (12, 8)
    service.trail.verify()


def _finished(service: Service, batch: int) -> bool:
    try:
        return service.queue.batch(batch).finished
    except DatabaseAway:
        return False


def test_outages_use_up_no_attempts_and_a_poisoned_image_still_does(service: Service) -> None:
    batch = _submit(service)
    failing = worker_of(service, _raising(DatabaseAway("postgresql://db.example/x is away", retry_after=1)))
    for _ in range(10):
        with pytest.raises(DatabaseAway):
            failing.step()
    (item,) = service.queue.items(batch)
    assert (item.state, item.attempts, item.message) == ("queued", 0, "")
    service.queue.lease = timedelta(seconds=-1)  # now whoever claims it dies of it
    for _ in range(3):
        assert service.queue.claim() is not None
    assert service.queue.claim() is None
    assert service.queue.items(batch)[0].code == "worker_died"


def test_an_item_that_could_not_be_given_back_at_once_counts_no_attempt_later(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its lease ran out meanwhile and another worker has it."""
    batch = _submit(service)
    away = DatabaseAway("away", retry_after=1)
    failing = worker_of(service, _raising(away))
    give_back = service.queue.give_back
    monkeypatch.setattr(service.queue, "give_back", _raising(away))
    service.queue.lease = timedelta(seconds=0)
    with pytest.raises(DatabaseAway):
        failing.step()
    monkeypatch.setattr(service.queue, "give_back", give_back)
    service.queue.lease = timedelta(seconds=60)
    other = service.queue.claim()
    assert other is not None
    assert other.attempts == 2
    assert not failing.step()  # what it owed is put right; the item is the other's
    assert service.queue.finish(other, draft()) is not None
    (item,) = service.queue.items(batch)
    assert (item.state, item.attempts) == ("done", 1)


def _raising(error: Exception) -> Callable[..., object]:
    def act(*_: object, **__: object) -> object:
        raise error

    return act


@pytest.mark.parametrize(
    "error",
    [
        DatabaseAway("postgresql://db.example/x", retry_after=1),
        DatabaseUnusable("postgresql://db.example/x"),
        DiskFull("the disk of /srv/data is full"),
        CannotWrite("/srv/data"),
        Busy("no memory", retry_after=0.01),
        OSError(24, "Too many open files"),
    ],
)
def test_what_hinders_every_image_fails_none(service: Service, error: Exception) -> None:
    batch = _submit(service)
    left = [error, error]

    def read(data: bytes) -> object:
        if left:
            raise left.pop()
        return stubs.read(data)

    with _working(service, read):
        _wait(lambda: service.queue.batch(batch).finished)
    (item,) = service.queue.items(batch)
    assert (item.state, item.attempts, item.message) == ("done", 1, "")


@pytest.mark.parametrize(
    "error",
    [
        ServiceError("cannot read /srv/data/images/ab"),
        BundleDamaged("/srv/bundles/one is damaged"),
        ValueError("INSERT INTO readings"),
        PermissionError(13, "Permission denied", "/srv/data/images/ab"),
    ],
)
def test_what_is_kept_of_a_failure_are_words_of_our_own(service: Service, error: Exception) -> None:
    batch = _submit(service)
    worker_of(service, _raising(error)).run_until_empty()  # type: ignore[arg-type]
    (item,) = service.queue.items(batch)
    assert item.state == "failed"
    assert not any(word in item.message for word in ("/srv", "INSERT", "Permission"))
    assert item.message


def test_an_image_that_there_is_no_room_for_lets_smaller_ones_go_first(service: Service) -> None:
    batch = _submit(service, 2)

    def read(data: bytes) -> object:
        if data == image_bytes(0):
            raise Busy("no memory", retry_after=60)
        return stubs.read(data)

    worker = worker_of(service, read)  # type: ignore[arg-type]
    with pytest.raises(Busy):
        worker.step()
    assert worker.step()
    first, second = service.queue.items(batch)
    assert (first.state, first.attempts, second.state) == ("running", 0, "done")
    assert not worker.step()  # not yet
    service.queue._clock = lambda session: now() + timedelta(seconds=61)
    assert worker_of(service).step()
    assert service.queue.batch(batch).finished


class Clock:
    """As the database's; `by` is how far it was set."""

    def __init__(self) -> None:
        self.by = timedelta()

    def __call__(self, _: object = None) -> datetime:
        return now() + self.by


def test_a_clock_that_is_set_back_freezes_no_item(service: Service) -> None:
    clock = Clock()
    service.queue._clock = clock
    _submit(service)
    clock.by = timedelta(days=1)
    lost = service.queue.claim()  # and its worker was killed
    clock.by = timedelta()
    found = service.queue.claim()
    assert found is not None
    assert lost is not None
    assert found.id == lost.id
    assert service.queue.claim() is None  # its lease is of today's clock


@pytest.mark.parametrize("step", [timedelta(days=1), timedelta(days=-1)])
def test_an_item_at_hand_is_taken_at_most_once_when_the_clock_is_set(service: Service, step: timedelta) -> None:
    clock = Clock()
    service.queue._clock = clock
    batch = _submit(service)
    first = service.queue.claim()
    clock.by = step
    second = service.queue.claim()
    assert service.queue.claim() is None
    assert first is not None
    assert second is not None
    assert not service.queue.renew(first)
    assert service.queue.renew(second)
    assert service.queue.finish(first, draft(0.1)) is None
    assert service.queue.finish(second, draft(0.9)) is not None
    assert service.queue.items(batch)[0].state == "done"
    assert service.worklist.count() == 1


def test_a_lease_that_is_renewed_after_the_clock_was_set_is_not_taken(service: Service) -> None:
    clock = Clock()
    service.queue._clock = clock
    _submit(service)
    claim = service.queue.claim()
    assert claim is not None
    clock.by = timedelta(days=-1)
    assert service.queue.renew(claim)
    assert service.queue.claim() is None


@contextmanager
def _locked(service: Service) -> Iterator[None]:
    """Another program that has the whole database, or in PostgreSQL the tables, for itself."""
    if service.database.is_sqlite:
        with closing(sqlite3.connect(str(service.database.url.database), isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield
            other.execute("ROLLBACK")
        return
    with service.database.engine.connect() as other, other.begin():
        other.execute(text("LOCK TABLE batches, items, trail IN ACCESS EXCLUSIVE MODE"))
        other.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": 0x5EC0_2EAD})
        yield


def test_a_locked_database_holds_a_thread_no_longer_than_it_may(service: Service) -> None:
    wait_at_most(Patience(lock=0.2, statement=0.6))
    with _locked(service):
        for work in (_submit, lambda at: at.trail.record(ANNA, "write", "thing")):
            began = time.monotonic()
            with pytest.raises(DatabaseAway):
                work(service)
            assert time.monotonic() - began < 5
    _submit(service)
    wait_at_most(module._OF_OTHERS)
    _submit(service)  # and the next transaction of this thread has its own bounds


def test_a_statement_that_hangs_is_ended(service: Service) -> None:
    if service.database.is_sqlite:
        pytest.skip("SQLite runs in the thread itself")
    wait_at_most(Patience(lock=0.2, statement=0.2))
    with pytest.raises(DatabaseAway), service.database.reading() as session:
        session.execute(text("SELECT pg_sleep(30)"))


def test_a_server_that_is_stopped_says_so_to_who_runs_it_and_when_to_try_again(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    database = Database.open(tmp_path, "postgresql://user:hush@127.0.0.1:1/none")
    with pytest.raises(DatabaseAway) as caught:
        database.check()
    assert "hush" not in str(caught.value)
    database.close()


def test_a_mistake_of_ours_is_no_outage(service: Service) -> None:
    for statement in ("SELEC 1", "SELECT no_such_column FROM trail"):
        with pytest.raises(Exception, match=r"(?i)syntax|no_such_column") as caught, service.database.reading() as one:
            one.execute(text(statement))
        assert not isinstance(caught.value, DatabaseUnusable)
