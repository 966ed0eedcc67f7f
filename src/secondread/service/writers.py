"""Who writes next to an SQLite file: one after the other, in every process, and nobody sleeps while it is free.

SQLite alone lets one writer in and has the others look again after longer and longer sleeps, up to a tenth of a second:
with two processes that write all the time, some writers waited for seconds.
"""

import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LOOK_EVERY = 0.0005  # seconds
_NEXT, _WRITES = 0, 1  # bytes of the file: who has the first is the next to have the second
_REFUSED = (errno.EACCES, errno.EAGAIN)


class Writers:
    """A place in line before each transaction that writes. Safe to share between threads; each process has its own.

    It orders writers and keeps nothing apart: who waits for too long, or cannot take part, goes to SQLite all the same,
    whose own lock decides.
    """

    def __init__(self, path: Path):
        """path: of a file beside the database, made when it is first used."""
        self._path = path
        self._here = threading.Lock()  # one thread of a process stands in line for it
        self._file = -1

    @contextmanager
    def one_at_a_time(self, patience: float) -> Iterator[None]:
        """While this lasts the others wait. patience: seconds, 0 for no end."""
        end = time.monotonic() + (patience or float("inf"))
        if not self._here.acquire(timeout=patience or -1):
            yield
            return
        try:
            locked = self._lock(end)
            try:
                yield
            finally:
                if locked:
                    fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _WRITES)
        finally:
            self._here.release()

    def close(self) -> None:
        """Give the file back; what comes then opens it anew."""
        with self._here:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1

    def _lock(self, end: float) -> bool:
        """Stand in line among the processes. Who has just written stands behind who waits already."""
        with suppress(OSError):  # a disk that cannot lock, or that is read-only
            if self._file < 0:
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if not self._take(_NEXT, end):
                return False
            try:
                return self._take(_WRITES, end)
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _NEXT)
        return False

    def _take(self, byte: int, end: float) -> bool:
        while True:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
                return True
            except OSError as error:
                if error.errno not in _REFUSED:
                    raise
            if time.monotonic() > end:
                return False
            time.sleep(_LOOK_EVERY)
