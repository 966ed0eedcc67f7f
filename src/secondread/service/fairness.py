"""Whose turn is next: those who wait are served one account after the other, not in the order in which they came."""

import threading
from collections import OrderedDict, deque
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

from secondread.errors import Busy

T = TypeVar("T")


class RoundRobin(Generic[T]):
    """A queue with a line of its own for each account. Who has many waiting gets one turn in a round, as all others.

    Has what a deque is asked for by those who take from it: `popleft`, `len`, truth. Not locked.
    """

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[T]] = OrderedDict()  # the first is served next
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def put(self, account: str, one: T) -> None:
        """At the end of the account's own line; an account that has none yet stands behind all others."""
        self._lines.setdefault(account, deque()).append(one)
        self._n += 1

    def popleft(self) -> T:
        """The first of the account whose turn it is, which then stands behind the others. Raises IndexError."""
        if not self._lines:
            raise IndexError("nobody waits")
        account, line = self._lines.popitem(last=False)
        one = line.popleft()
        if line:
            self._lines[account] = line
        self._n -= 1
        return one

    def remove(self, account: str, one: T) -> bool:
        """Whether it waited still; it does no more."""
        line = self._lines.get(account, deque())
        if one not in line:
            return False
        line.remove(one)
        self._drop_if_empty(account)
        return True

    def longest(self) -> tuple[str, int]:
        """The account with the most waiting, and how many; ('', 0) where nobody waits."""
        if not self._lines:
            return "", 0
        account = max(self._lines, key=lambda name: len(self._lines[name]))
        return account, len(self._lines[account])

    def waiting(self, account: str) -> int:
        """How many of this account."""
        return len(self._lines.get(account, ()))

    def pop_last(self, account: str) -> T:
        """The one of this account that came last. Raises KeyError."""
        one = self._lines[account].pop()
        self._drop_if_empty(account)
        return one

    def _drop_if_empty(self, account: str) -> None:
        self._n -= 1
        if not self._lines[account]:
            del self._lines[account]


class _Waiting:
    """One thread that waits; told when it has its turn."""

    def __init__(self) -> None:
        self.told = threading.Event()


class Turn(AbstractContextManager[None]):
    """So many images are read at once, those who wait one account after the other.

    A block takes a turn; Busy where there is none within `patience` seconds: who waits takes a thread of the server
    from others, so nobody waits for long.
    """

    def __init__(self, parallel: int, *, patience: float):
        self.patience = patience
        self._free = parallel
        self._waiting: RoundRobin[_Waiting] = RoundRobin()
        self._lock = threading.Lock()

    def of(self, account: str) -> AbstractContextManager[None]:
        """A turn for this account. May be entered any number of times, one after the other."""
        return _TurnOf(self, account)

    def take(self, account: str) -> None:
        """Wait for a turn. Raises Busy."""
        with self._lock:
            if self._free and not self._waiting:
                self._free -= 1
                return
            mine = _Waiting()
            self._waiting.put(account, mine)
        if mine.told.wait(self.patience):
            return
        with self._lock:
            if not self._waiting.remove(account, mine):
                return  # told at the last moment
        raise Busy("as many images as may be are being read; send it again in a moment", retry_after=self.patience)

    def give_back(self) -> None:
        """To whose turn is next."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().told.set()
            else:
                self._free += 1

    def __enter__(self) -> None:
        self.take("")

    def __exit__(self, *_: object) -> None:
        self.give_back()


class _TurnOf(AbstractContextManager[None]):
    def __init__(self, turn: Turn, account: str):
        self._turn, self._account = turn, account

    def __enter__(self) -> None:
        self._turn.take(self._account)

    def __exit__(self, *_: object) -> None:
        self._turn.give_back()


class Rotation:
    """Round robin over names that come and go: after each its successor in the alphabet."""

    def __init__(self) -> None:
        self._last = ""

    def order(self, names: set[str]) -> list[str]:
        """Those after the last one served, then the others."""
        return sorted(names, key=lambda name: (name <= self._last, name))

    def served(self, name: str) -> None:
        """It had its turn."""
        self._last = name
