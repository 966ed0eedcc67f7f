"""One bound, for the whole process, on the memory that decoding takes: bytes are asked for before pixels are decoded.

A server sets it (`limit`); a library, a command and a training run have none. What is asked for is an estimate of the
peak, made from the header. Pixels that are handed on count for as long as they live, so no caller can forget them.
"""

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from secondread.errors import Busy, ImageTooLarge

PATIENCE = 5.0  # seconds that a decode waits for memory: people wait behind it, and may as well come again
_BUSY = "all memory for decoding is in use; send the image again in a moment"


class Budget:
    """Bytes that may be in use for decoding at once. Safe to share between threads.

    total: None for no bound. patience: seconds that `reserve` waits.
    """

    def __init__(self, total: int | None = None, *, patience: float = PATIENCE):
        self.total = total
        self.patience = patience
        self._used = 0
        # A finalizer may run in a thread that is already inside: hence a lock that it may take again.
        self._freed = threading.Condition(threading.RLock())

    @property
    def used(self) -> int:
        """Bytes that are reserved, or kept by pixels that live."""
        return self._used

    @contextmanager
    def reserve(self, n_bytes: int, *, share: float = 1.0) -> "Iterator[Reservation]":
        """While this lasts, so many bytes are taken from the budget.

        share: of the total, that may be in use with these: whoever asks early leaves the rest to what must come after.
        Raises ImageTooLarge where the budget could never hold them, Busy where they are not to be had in time.
        """
        reservation = Reservation(self, self._take(n_bytes, share))
        try:
            yield reservation
        finally:
            reservation.shrink(0)

    def hold(self, owner: object, n_bytes: int) -> None:
        """Take so many bytes for as long as `owner` lives. Raises as `reserve` does."""
        with self.reserve(n_bytes) as reservation:
            reservation.keep(owner, n_bytes)

    def _take(self, n_bytes: int, share: float) -> int:
        """Wait for bytes, and count them; gives how many have to be given back."""
        if self.total is None:
            return 0
        if n_bytes > self.total:
            raise ImageTooLarge(
                f"decoding this image takes {n_bytes / 1e6:.0f} MB of memory, more than the {self.total / 1e6:.0f} MB "
                "that are set aside for it; export it smaller, or raise the setting decode_memory_mb"
            )
        most = max(int(self.total * share), n_bytes)
        end = monotonic() + self.patience
        with self._freed:
            while self._used and self._used + n_bytes > most:
                if (left := end - monotonic()) <= 0:
                    raise Busy(_BUSY, retry_after=self.patience)
                self._freed.wait(left)
            self._used += n_bytes
        return n_bytes

    def _give_back(self, n_bytes: int) -> None:
        with self._freed:
            self._used -= n_bytes
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
