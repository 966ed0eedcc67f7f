"""Locks between processes, so that two of them never write one file at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from secondread.errors import ExtraMissing


@contextmanager
def locked(path: Path, *, what: str, timeout_s: float = -1) -> Iterator[None]:
    """Hold the lock file `path`; the operating system lets go of it when a process dies.

    timeout_s: -1 waits for as long as it takes. Raises TimeoutError, or ExtraMissing that says `what` needs the lock.
    """
    try:
        from filelock import FileLock
    except ImportError as error:
        raise ExtraMissing.of(what, "train") from error
    with FileLock(path, timeout=timeout_s):  # its Timeout is a TimeoutError
        yield
