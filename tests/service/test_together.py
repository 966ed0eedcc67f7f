"""What comes at once is done in one go, and each gets what is its own."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from secondread.service.together import Together

IN_TIME = 30.0  # seconds


def at_once(n: int, call: Callable[[int], object]) -> list[object]:
    """What each of so many threads was given, or its error, in their order."""
    found: list[object] = [None] * n

    def one(number: int) -> None:
        try:
            found[number] = call(number)
        except Exception as error:
            found[number] = error

    threads = [threading.Thread(target=one, args=[number]) for number in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(IN_TIME)
    return found


def waiting_for(together: Together[Any, Any], n: int) -> None:
    """Until so many wait, so that they go in one."""
    deadline = time.monotonic() + IN_TIME
    while len(together._waiting) < n and time.monotonic() < deadline:
        time.sleep(0.001)


def test_who_comes_while_one_is_under_way_goes_with_the_others_in_the_next() -> None:
    batches: list[list[int]] = []

    def double(asked: Sequence[int]) -> list[int | Exception]:
        if not batches:
            waiting_for(together, 15)
        batches.append(list(asked))
        return [2 * one for one in asked]

    together: Together[int, int] = Together(double)
    assert at_once(16, together) == [2 * one for one in range(16)]
    assert [len(batch) for batch in batches] == [1, 15]


def test_no_more_go_in_one_than_may_and_none_is_left_behind() -> None:
    sizes: list[int] = []

    def same(asked: Sequence[int]) -> list[int | Exception]:
        if not sizes:
            waiting_for(together, 9)
        sizes.append(len(asked))
        return list(asked)

    together: Together[int, int] = Together(same, most=4)
    assert at_once(10, together) == list(range(10))
    assert sizes == [1, 4, 4, 1]
    assert together(7) == 7  # alone, afterwards


def test_an_error_is_its_own_and_one_of_all_is_everyones() -> None:
    def odd(asked: Sequence[int]) -> list[int | Exception]:
        if 99 in asked:
            raise OSError("the disk is gone")
        return [ValueError(str(one)) if one % 2 else one for one in asked]

    together: Together[int, int] = Together(odd)
    found = at_once(8, together)
    assert found[::2] == [0, 2, 4, 6]
    assert [str(one) for one in found[1::2]] == ["1", "3", "5", "7"]
    with pytest.raises(OSError, match="gone"):
        together(99)
    assert together(2) == 2


def test_a_thread_that_is_told_to_end_leaves_nobody_waiting() -> None:
    began = threading.Event()

    def ending(asked: Sequence[int]) -> list[int | Exception]:
        if not began.is_set():
            began.set()
            waiting_for(together, 1)
            raise SystemExit
        return list(asked)

    together: Together[int, int] = Together(ending)
    ended: list[int] = []

    def leading() -> None:
        with pytest.raises(SystemExit):
            together(1)
        ended.append(1)

    first = threading.Thread(target=leading)
    first.start()
    began.wait(IN_TIME)
    assert together(2) == 2
    first.join(IN_TIME)
    assert ended == [1]
