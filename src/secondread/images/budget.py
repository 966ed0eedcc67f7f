"""One bound, for the whole process, on the memory that decoding takes: bytes are asked for before pixels are decoded.

A server sets it (`limit`); a library, a command and a training run have none. What is asked for is an estimate of the
peak, made from the header. Pixels that are handed on count for as long as they live, so no caller can forget them.
Several processes of one server share one bound (`share_with`).
"""

import threading
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import monotonic
from typing import Protocol

from secondread.errors import Busy, ImageTooLarge

PATIENCE = 5.0  # seconds that a decode waits for memory: people wait behind it, and may as well come again
AGED = 1.0  # seconds of waiting after which nobody new begins before: small images would pass a large one for ever
_LOOK_EVERY = 0.02  # seconds: what other processes give back wakes nobody here
_BUSY = "all memory for decoding is in use; send the image again in a moment"


class Others(Protocol):
    """What the other processes of one server have in use."""

    def locked(self) -> AbstractContextManager[int]:
        """While this lasts no process takes any; gives the bytes that the others have in use."""

    def tell(self, used: int) -> None:
        """How many bytes this process has in use now."""

    def tell_waiting(self, since: float) -> None:
        """Since when somebody waits in this process, by the clock of `monotonic`; 0: nobody."""

    def eldest(self) -> float:
        """Since when somebody waits in any other process; infinity: nobody."""


class _Nobody:
    """One process alone."""

    def locked(self) -> AbstractContextManager[int]:
        return nullcontext(0)

    def tell(self, used: int) -> None:
        pass

    def tell_waiting(self, since: float) -> None:
        pass

    def eldest(self) -> float:
        return float("inf")


class Budget:
    """Bytes that may be in use for decoding at once. Safe to share between threads.

    total: None for no bound. patience: seconds that `reserve` waits. others: processes that share the bound.
    """

    def __init__(self, total: int | None = None, *, patience: float = PATIENCE, others: Others | None = None):
        self.total = total
        self.patience = patience
        self.others: Others = others or _Nobody()
        self._used = 0
        self._waiting: list[float] = []  # since when, the eldest first
        # A finalizer may run in a thread that is already inside: hence a lock that it may take again.
        self._freed = threading.Condition(threading.RLock())

    @property
    def used(self) -> int:
        """Bytes that are reserved, or kept by pixels that live."""
        return self._used

    @contextmanager
    def reserve(self, n_bytes: int, *, share: float = 1.0, inside: bool = False) -> "Iterator[Reservation]":
        """While this lasts, so many bytes are taken from the budget.

        share: of the total, that may be in use with these: whoever asks early leaves the rest to what must come after.
        Below 1 it is the beginning of something, unless inside says that the caller holds bytes of the budget already:
        who begins stands behind everyone who has waited for longer than AGED, so that a large image gets its turn.
        Raises ImageTooLarge where the budget could never hold them, Busy where they are not to be had in time.
        """
        reservation = Reservation(self, self._take(n_bytes, share, begins=share < 1 and not inside))
        try:
            yield reservation
        finally:
            reservation.shrink(0)

    def hold(self, owner: object, n_bytes: int) -> None:
        """Take so many bytes for as long as `owner` lives. Raises as `reserve` does."""
        with self.reserve(n_bytes) as reservation:
            reservation.keep(owner, n_bytes)

    def _take(self, n_bytes: int, share: float, *, begins: bool) -> int:
        """Wait for bytes, and count them; gives how many have to be given back."""
        if self.total is None:
            return 0
        if n_bytes > self.total:
            raise ImageTooLarge(
                f"decoding this image takes {n_bytes / 1e6:.0f} MB of memory, more than the {self.total / 1e6:.0f} MB "
                "that are set aside for it; export it smaller, or raise the setting decode_memory_mb"
            )
        most = max(int(self.total * share), n_bytes)
        since = monotonic()
        with self._freed:
            if not self._taken(n_bytes, most, since if begins else None):
                self._wait(n_bytes, most, since, begins)
        return n_bytes

    def _wait(self, n_bytes: int, most: int, since: float, begins: bool) -> None:
        self._waiting.append(since)
        self.others.tell_waiting(self._waiting[0])
        try:
            while not self._taken(n_bytes, most, since if begins else None):
                if (left := since + self.patience - monotonic()) <= 0:
                    raise Busy(_BUSY, retry_after=self.patience)
                self._freed.wait(min(left, _LOOK_EVERY))
        finally:
            self._waiting.remove(since)
            self.others.tell_waiting(self._waiting[0] if self._waiting else 0.0)
            self._freed.notify_all()

    def _taken(self, n_bytes: int, most: int, since: float | None) -> bool:
        """Count the bytes, if there is room for them and nobody older waits. since: None for who does not begin."""
        if since is not None:
            eldest = min(self._waiting[0] if self._waiting else float("inf"), self.others.eldest())
            if eldest < since and monotonic() - eldest > AGED:
                return False
        with self.others.locked() as elsewhere:
            used = self._used + elsewhere
            if used and used + n_bytes > most:
                return False
            self._used += n_bytes
            self.others.tell(self._used)
        return True

    def _give_back(self, n_bytes: int) -> None:
        with self._freed:
            self._used -= n_bytes
            self.others.tell(self._used)
            self._freed.notify_all()


class Reservation:
    """Bytes that were taken from a budget, as long as the block of `Budget.reserve` lasts."""

    def __init__(self, budget: Budget, n_bytes: int):
        self._budget = budget
        self._left = n_bytes

    def shrink(self, n_bytes: int) -> None:
        """Give back all but so many bytes."""
        back, self._left = max(self._left - n_bytes, 0), min(self._left, n_bytes)
        if back:
            self._budget._give_back(back)

    def keep(self, owner: object, n_bytes: int) -> None:
        """Of what was reserved, count so many bytes until nobody holds `owner` any more: pixels, for one."""
        n_bytes = min(n_bytes, self._left)
        if n_bytes:
            self._left -= n_bytes
            weakref.finalize(owner, self._budget._give_back, n_bytes)


_PROCESS = Budget()


def budget() -> Budget:
    """That of this process."""
    return _PROCESS


def limit(total: int | None, *, patience: float = PATIENCE) -> None:
    """Bound what this process decodes at once: bytes, None for no bound. What is in use goes on counting."""
    _PROCESS.total, _PROCESS.patience = total, patience


def share_with(others: Others) -> None:
    """Let other processes take part in the bound of this one, before anything is taken."""
    _PROCESS.others = others
