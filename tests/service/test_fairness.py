"""Accounts take turns: who has many waiting keeps nobody else's one image waiting behind them."""

import threading
import time
from collections.abc import Callable

import pytest

from secondread.errors import Busy
from secondread.service import Actor, ReadingRequest, Service
from secondread.service.fairness import Rotation, RoundRobin, Turn
from tests.service.stubs import image_bytes

IN_TIME = 30.0  # seconds for what takes none
ANNA, BEN, CLEO = (Actor(name, scopes=frozenset({"read", "write"})) for name in ("anna", "ben", "cleo"))


def test_one_of_each_in_a_round_and_each_in_its_own_order() -> None:
    line: RoundRobin[str] = RoundRobin()
    for one in ("a1", "a2", "a3", "b1", "c1", "b2"):
        line.put(one[0], one)
    assert len(line) == 6
    assert [line.popleft() for _ in range(6)] == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert not line
    with pytest.raises(IndexError):
        line.popleft()


def test_who_comes_late_waits_for_one_of_each_and_not_for_all_of_one() -> None:
    line: RoundRobin[int] = RoundRobin()
    for number in range(1000):
        line.put("many", number)
    line.popleft()
    line.put("one", -1)
    assert [line.popleft() for _ in range(3)] == [1, -1, 2]


def test_the_longest_line_and_what_is_taken_out_of_it() -> None:
    line: RoundRobin[str] = RoundRobin()
    assert line.longest() == ("", 0)
    for one in ("a1", "a2", "a3", "b1"):
        line.put(one[0], one)
    assert (line.longest(), line.waiting("b"), line.waiting("x")) == (("a", 3), 1, 0)
    assert line.pop_last("a") == "a3"
    assert line.remove("b", "b1")
    assert not line.remove("b", "b1")
    assert (len(line), line.waiting("b")) == (2, 0)
    assert [line.popleft(), line.popleft()] == ["a1", "a2"]


def test_a_turn_goes_from_account_to_account() -> None:
    turn, order = Turn(1, patience=IN_TIME), []

    def read(account: str) -> None:
        with turn.of(account):
            order.append(account)

    threads = []
    with turn:
        for n, account in enumerate(("anna", "anna", "anna", "ben", "anna", "cleo"), start=1):
            threads.append(threading.Thread(target=read, args=(account,)))
            threads[-1].start()
            _until(lambda n=n: len(turn._waiting) == n)
    for thread in threads:
        thread.join(IN_TIME)
    assert order == ["anna", "ben", "cleo", "anna", "anna", "anna"]
    with turn:  # it came back
        pass


def test_who_finds_no_turn_in_time_is_told_and_leaves_no_trace() -> None:
    turn = Turn(1, patience=0.0)
    with turn, pytest.raises(Busy), turn.of("anna"):
        pass
    assert len(turn._waiting) == 0
    with turn.of("anna"):
        pass


def test_many_threads_never_have_more_turns_than_there_are() -> None:
    turn, inside, most, lock = Turn(3, patience=IN_TIME), set(), [], threading.Lock()

    def read(number: int) -> None:
        for _ in range(20):
            with turn.of(f"account {number % 4}"):
                with lock:
                    inside.add(number)
                    most.append(len(inside))
                with lock:
                    inside.discard(number)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(IN_TIME)
    assert (len(most), max(most) <= 3) == (240, True)


def test_names_that_come_and_go_take_turns() -> None:
    rotation, found = Rotation(), []
    for names in ({"a", "b", "c"}, {"a", "b", "c"}, {"a", "c"}, {"a", "b"}, {"b"}):
        first = rotation.order(names)[0]
        rotation.served(first)
        found.append(first)
    assert found == ["a", "b", "c", "a", "b"]


def test_uploads_of_several_accounts_are_read_in_turns(service: Service) -> None:
    for actor, first, n in ((ANNA, 0, 4), (ANNA, 4, 2), (BEN, 6, 1), (CLEO, 7, 2)):
        files = [(f"{actor.name}-{number}.png", image_bytes(number)) for number in range(first, first + n)]
        service.intake.take(files, ReadingRequest("tuberculosis"), actor=actor)
    claimed = []
    while (claim := service.queue.claim()) is not None:
        claimed.append(claim.name.removesuffix(".png"))
    assert claimed == [
        *("anna-0", "ben-6", "cleo-7", "anna-1", "cleo-8"),
        *("anna-2", "anna-3", "anna-4", "anna-5"),
    ]


def test_the_next_item_is_found_by_the_small_index(service: Service) -> None:
    if not service.database.is_sqlite:
        pytest.skip("PostgreSQL goes by the number of rows, of which there are few here")
    statements: list[str] = []
    with service.database.reading() as session:
        session.connection().connection.driver_connection.set_trace_callback(statements.append)
    service.intake.take([("a.png", image_bytes(1))], ReadingRequest("tuberculosis"), actor=ANNA)
    assert service.queue.claim() is not None
    asked = [one for one in statements if one.startswith(("SELECT items", "WITH RECURSIVE"))]
    with service.database.reading() as session:
        plans = [
            " ".join(row[3] for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {one}").all())
            for one in asked
        ]
    assert len(plans) >= 2
    assert all("ix_items_waiting" in plan for plan in plans), plans


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + IN_TIME
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.001)
