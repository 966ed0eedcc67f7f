"""Checkpoints of the audit trail: where it ended at some moment, kept in a file that may lie elsewhere.

The trail's own chain shows every line that was changed, moved or taken out of the middle. A trail cut off at its end,
or written anew from its start, is whole by itself: only a checkpoint shows it. So one is written at least every
thousand lines and every hour while lines are written, when the service starts and when it stops: to the log, and as a
line of the file, which is never changed but at its end and may be read by whoever keeps it elsewhere.
"""

import fcntl
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from secondread.errors import CannotWrite, SecondReadError, UsageError
from secondread.files import sync
from secondread.service.tables import iso, now

START = "0" * 64  # before the first line
FILE_NAME = "trail-checkpoints"
_EVERY_LINES = 1000
_EVERY_SECONDS = 3600.0
_FORM = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})", re.ASCII)
_LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) (\S+)", re.ASCII)
_TAIL = 4096  # bytes; holds the last line many times over
_LOG = logging.getLogger("secondread.trail")
_LOG.setLevel(logging.INFO)  # a copy of the log is a copy of the checkpoints, also where only warnings are asked for


@dataclass(frozen=True)
class Checkpoint:
    """Where the trail ended at some moment. Kept elsewhere (printed, mailed), it also shows a trail cut off later."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """From what `str` gave. Raises UsageError."""
        found = _FORM.fullmatch(text.strip())
        if found is None or (int(found[1]) == 0 and found[2] != START):
            raise UsageError(f"'{text[:80]}' is no checkpoint; give what `secondread trail checkpoint` printed")
        return cls(int(found[1]), found[2])


@dataclass(frozen=True)
class Kept:
    """A line of the file."""

    at: str  # when it was written, as tables.iso
    point: Checkpoint


class CheckpointFile:
    """Lines 'time seq:hash', the oldest first. Several processes may add to it; each line is on the disk at once.

    elsewhere: whether it lies outside the data folder. The constructor touches nothing.
    """

    def __init__(self, path: Path, *, elsewhere: bool):
        self.path = path
        self.elsewhere = elsewhere

    @classmethod
    def of(cls, folder: Path, setting: str) -> "CheckpointFile":
        """The file that the setting `trail_checkpoints` names; '' for the one in the data folder."""
        path = Path(setting).expanduser() if setting else folder / FILE_NAME
        return cls(path, elsewhere=not path.resolve().is_relative_to(folder.resolve()))

    def lines(self) -> Iterator[Kept | int]:
        """What is kept; of a line that cannot be read (cut by a crash, or not ours) its number. Raises CannotWrite."""
        try:
            with self.path.open(encoding="utf-8", errors="replace") as file:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield _kept(line) or number
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unusable(error) from error

    def add(self, point: Callable[[Kept | None], Checkpoint | None]) -> Kept | None:
        """Add what `point` gives, which is told the last line that is there; gives the last line that is there then.

        Raises CannotWrite.
        """
        try:
            with self._locked() as handle:
                tail, last = _tail(handle)
                wanted = point(last)
                if wanted is None:
                    return last
                kept = Kept(iso(now()), wanted)
                # A line that a crash cut short is ended first: it spoils itself alone.
                before = b"" if not tail or tail.endswith(b"\n") else b"\n"
                os.write(handle, before + f"{kept.at} {kept.point}\n".encode())
                os.fsync(handle)
                return kept
        except OSError as error:
            raise self._unusable(error) from error

    @contextmanager
    def _locked(self) -> Iterator[int]:
        new = not self.path.exists()
        handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if new:
                sync(self.path.parent)
            yield handle
        finally:
            os.close(handle)

    def _unusable(self, error: OSError) -> CannotWrite:
        return CannotWrite(
            f"the file of checkpoints '{self.path}' cannot be used ({error.strerror}); name another with the setting "
            "trail_checkpoints, in a folder that is there"
        )


class CheckpointKeeper:
    """Writes checkpoints as the trail grows. Safe to share between threads; each process has its own.

    end: where the trail ends now. holds: whether a checkpoint is still part of it.
    """

    def __init__(self, file: CheckpointFile, *, end: Callable[[], Checkpoint], holds: Callable[[Checkpoint], bool]):
        self._file = file
        self._end = end
        self._holds = holds
        self._writing = threading.Lock()
        self._seq = 0  # of the last checkpoint
        self._at = time.monotonic()  # when it was written
        self._noted = 0  # the last line that this process wrote
        self._timer: threading.Timer | None = None
        self._timer_of = 0  # the process that it runs in: it does not outlive a fork
        self._told: Checkpoint | None = None  # that was missed in the trail, and is told once

    def start(self) -> None:
        """The first of this process. Raises CannotWrite where the file cannot be used, and ServiceError."""
        with self._writing:
            self._write(always=True)

    def noted(self, seq: int) -> None:
        """Lines up to this one were stored; 0: none. Costs nothing but every so often; never fails."""
        if not seq:
            return
        self._noted = max(self._noted, seq)
        if seq - self._seq >= _EVERY_LINES or time.monotonic() - self._at >= _EVERY_SECONDS:
            self._try()
        elif self._timer is None or self._timer_of != os.getpid():
            self._later()

    def close(self) -> None:
        """The last of this process, if it wrote lines since."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._noted > self._seq:
            self._try(always=True)

    def _later(self) -> None:
        """What is written before a quiet night is kept within the hour too."""
        self._timer_of = os.getpid()
        timer = threading.Timer(max(1.0, _EVERY_SECONDS - (time.monotonic() - self._at)), self._in_time)
        timer.daemon = True
        self._timer = timer
        timer.start()

    def _in_time(self) -> None:
        self._timer = None
        self._try()

    def _try(self, *, always: bool = False) -> None:
        if not self._writing.acquire(blocking=False):
            return  # another thread is at it
        try:
            self._write(always=always)
        except SecondReadError as error:
            self._seq, self._at = self._noted, time.monotonic()  # not again for every line that follows
            _LOG.error("no checkpoint of the audit trail could be written: %s", error)
        finally:
            self._writing.release()

    def _write(self, *, always: bool) -> None:
        end = self._end()
        if end.seq == 0:
            return
        known: list[Kept | None] = []

        def wanted(last: Kept | None) -> Checkpoint | None:
            known.append(last)
            return end if last is None or _due(last, end, always=always) else None

        kept = self._file.add(wanted)
        before = known[0]
        if before is not None and not self._holds(before.point) and before.point != self._told:
            self._told = before.point
            _LOG.error(
                "the audit trail does not hold line %d as the checkpoint of %s has it: lines were changed or cut off; "
                "run `secondread trail verify`",
                before.point.seq,
                before.at,
            )
        assert kept is not None, "a file without a line is given one"
        if kept is not before:
            _LOG.info("checkpoint of the audit trail: %s %s", kept.at, kept.point)
        self._seq = kept.point.seq
        self._at = time.monotonic() - min(abs(_age(kept)), _EVERY_SECONDS)


def _due(last: Kept, end: Checkpoint, *, always: bool) -> bool:
    """Another process may have written one meanwhile."""
    if always or end.seq < last.point.seq:
        return end != last.point
    long_ago = abs(_age(last)) >= _EVERY_SECONDS  # in the future too: then a clock was set
    return end.seq - last.point.seq >= _EVERY_LINES or (long_ago and end != last.point)


def _age(kept: Kept) -> float:
    """Seconds since it was written."""
    return (now() - datetime.fromisoformat(kept.at)).total_seconds()


def _kept(line: str) -> Kept | None:
    found = _LINE.fullmatch(line.strip())
    try:
        if found is None:
            return None
        datetime.fromisoformat(found[1])
        return Kept(found[1], Checkpoint.parse(found[2]))
    except (UsageError, ValueError):
        return None


def _tail(handle: int) -> tuple[bytes, Kept | None]:
    """The end of the file, and the last line in it that can be read."""
    size = os.fstat(handle).st_size
    tail = os.pread(handle, _TAIL, max(0, size - _TAIL))
    kept = (_kept(line) for line in reversed(tail.decode("utf-8", "replace").splitlines()))
    return tail, next((one for one in kept if one is not None), None)
