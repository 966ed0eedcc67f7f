"""What several processes of one server tell each other, in a few bytes of memory that they all see."""

import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PLACES = 2  # numbers of 8 bytes that each process has
_MICRO = 1e6
_ALIVE_SECONDS = 2.5  # since its loop turned, after which a process is not counted on; an idle one turns every second


class _Shared:
    """Two numbers for each process of a server, in a file. A process writes its own and reads all.

    What a process that was killed has left is cleared by its parent.
    """

    def __init__(self, path: Path, n: int, at: int):
        """path: of the file, made by whoever comes first. n: processes. at: which of them this one is, from 0."""
        self._n, self._at = n, at
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = 8 * _PLACES * n
        if os.fstat(self._file).st_size < size:
            os.ftruncate(self._file, size)
        self._memory = mmap.mmap(self._file, size)
        self._numbers = memoryview(self._memory).cast("q")  # each is written and read at once

    def clear(self, at: int) -> None:
        """One of the processes is gone."""
        self._numbers[_PLACES * at] = self._numbers[_PLACES * at + 1] = 0

    def close(self) -> None:
        """Give memory and file back."""
        self._numbers.release()
        self._memory.close()
        os.close(self._file)

    def _own(self, which: int, number: int) -> None:
        self._numbers[_PLACES * self._at + which] = number

    def _of_others(self) -> Iterator[tuple[int, int]]:
        for at in range(self._n):
            if at != self._at:
                yield self._numbers[_PLACES * at], self._numbers[_PLACES * at + 1]


class SharedBytes(_Shared):
    """Memory for decoding, of which the bound holds for all processes together: what a Budget asks of `Others`.

    The lock is the kernel's, and ends with the process that holds it: one that is killed leaves none.
    """

    _held = 0  # a finalizer may come back in while a thread is inside

    @contextmanager
    def locked(self) -> Iterator[int]:
        """While this lasts no other process takes any; gives the bytes that the others have in use.

        Threads of one process exclude each other by the budget's own lock.
        """
        if self._held == 0:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
        self._held += 1
        try:
            yield sum(used for used, _ in self._of_others())
        finally:
            self._held -= 1
            if self._held == 0:
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def tell(self, used: int) -> None:
        """How many bytes this process has in use now."""
        self._own(0, used)

    def tell_waiting(self, since: float) -> None:
        """Since when somebody waits in this process, in seconds of the machine's clock; 0: nobody."""
        self._own(1, int(since * _MICRO))

    def eldest(self) -> float:
        """Since when somebody waits in any other process; infinity: nobody."""
        return min((since / _MICRO for _, since in self._of_others() if since), default=float("inf"))


class SharedConnections(_Shared):
    """Open connections of each process: a new one is taken by who has the fewest.

    Else whoever wakes first takes nearly all that come at once, and the cores of the others stay idle as long as those
    are open. now: seconds of the machine's clock.
    """

    def tell(self, n_open: int, now: float) -> None:
        """How many this process has now; in every turn of its loop."""
        self._own(0, n_open + 1)
        self._own(1, int(now * _MICRO))

    def may_take(self, n_open: int, now: float) -> bool:
        """Whether no other process that is alive has fewer."""
        alive = (told - 1 for told, at in self._of_others() if told and now - at / _MICRO < _ALIVE_SECONDS)
        return n_open <= min(alive, default=n_open)
