"""Processes of GDCM: it ends the process on some damaged frames, so every frame is decoded in one of its own.

To start Python and load GDCM takes ten times as long as to decode a small frame. So a process that has loaded it stays
at hand for half a minute, sees no frame itself, and forks one for each (gdcm_worker.py): what a damaged frame does to
its process, no other frame meets. Where the system cannot fork, each frame gets a process from the start.
"""

import json
import os
import selectors
import subprocess
import sys
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

from secondread.errors import TruncatedImage

_WORKER = Path(__file__).with_name("gdcm_worker.py")
_PATIENCE = 60  # seconds on the clock, since a busy machine may let a process wait
_PIPE = 1 << 20  # bytes that a pipe holds: with the usual 64 KB the two processes would wait for each other at each
_DONE = b"."  # what the process at hand says once the one that it forked has ended well


def decoded(stream: bytes, facts: dict[str, Any]) -> bytes | bytearray:
    """The pixels of a compressed frame. Raises TruncatedImage where GDCM fails, dies or takes too long.

    facts: what the worker needs to know of it: syntax, photometric, planar, columns, rows, samples, bits_allocated,
    bits_stored, signed, seconds (of processor time).
    """
    try:
        if not hasattr(os, "fork"):
            return _once(stream, facts)
        while True:
            at_hand = _taken()
            try:
                pixels = at_hand.ask(stream, facts)
            except _Away:
                continue  # it had waited long enough; the next one is asked
            _give_back(at_hand)
            return pixels
    except (OSError, subprocess.SubprocessError) as error:
        raise TruncatedImage("a compressed DICOM frame is damaged; send the file again") from error


class _Away(Exception):
    """The process had ended by itself before it was asked."""


class _AtHand:
    """A process that has loaded GDCM, and forks one for each frame. Of one thread at a time."""

    def __init__(self) -> None:
        self._said, theirs = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_WORKER), "--fork", str(theirs)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs,),
            )
        except OSError:
            os.close(self._said)
            raise
        finally:
            os.close(theirs)
        _widen(self._process)
        self._ended = weakref.finalize(self, _end, self._process, self._said, os.getpid())

    def ask(self, stream: bytes, facts: dict[str, Any]) -> bytearray:
        """The frame's pixels. Raises _Away; OSError for a frame that ends its process, and this one with it."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None, "a pipe, as asked for"
        assert stdout is not None, "as well"
        end = time.monotonic() + _PATIENCE
        if self._process.poll() is not None:
            self._ended()
            raise _Away
        try:
            stdin.write(json.dumps(facts | {"n_bytes": len(stream)}).encode() + b"\n")
            stdin.write(stream)
            stdin.flush()
            n = int.from_bytes(_received(stdout.fileno(), 8, end), "big")
            if n > 4 * facts["rows"] * facts["columns"] * facts["samples"] * 8:
                raise OSError("more than a frame's pixels")
            pixels = _received(stdout.fileno(), n, end)
            if _received(self._said, 1, end) != _DONE or _readable(stdout.fileno(), 0):
                raise OSError("more than an answer")
        except OSError as error:
            left = _left_by_itself(self._process)
            self._ended()
            if left:
                raise _Away from error
            raise
        return pixels

    def forget(self) -> None:
        """In a process that was forked from the one it belongs to."""
        self._process.returncode = 0  # so that nobody looks for a child that is not ours
        self._ended()


_idle: list[_AtHand] = []  # no more than were busy at once
_lock = threading.Lock()


def _taken() -> _AtHand:
    with _lock:
        if _idle:
            return _idle.pop()
    return _AtHand()


def _give_back(one: _AtHand) -> None:
    with _lock:
        _idle.append(one)


def _forget_all() -> None:
    global _lock
    _lock = threading.Lock()
    while _idle:
        _idle.pop().forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def _end(process: "subprocess.Popen[bytes]", said: int, owner: int) -> None:
    """Close our ends; and end it, where it is ours and not its parent's."""
    with suppress(OSError):
        os.close(said)
    if os.getpid() == owner:
        process.kill()
        with suppress(OSError), process:  # closes its pipes and waits for it
            return
    for end in (process.stdin, process.stdout):
        with suppress(OSError):
            end.close()  # type: ignore[union-attr]


def _widen(process: "subprocess.Popen[bytes]") -> None:
    """Larger pipes, where the system has them and allows it."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        for end in (process.stdin, process.stdout):
            fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, _PIPE)  # type: ignore[arg-type]


def _left_by_itself(process: "subprocess.Popen[bytes]") -> bool:
    """Whether it had waited long enough; one that a frame has ended says otherwise."""
    try:
        return process.wait(1) == 0
    except subprocess.TimeoutExpired:
        return False


def _received(handle: int, n: int, end: float) -> bytearray:
    """So many bytes of its answer. Raises OSError where it ends, or `end` is reached before they are there."""
    found = bytearray(n)
    at, room = 0, memoryview(found)
    while at < n:
        if not _readable(handle, max(0.0, end - time.monotonic())):
            raise TimeoutError
        got = os.readv(handle, [room[at : at + (1 << 20)]])
        if not got:
            raise OSError("the process ended")
        at += got
    return found


def _readable(handle: int, seconds: float) -> bool:
    with selectors.DefaultSelector() as waiting:
        waiting.register(handle, selectors.EVENT_READ)
        return bool(waiting.select(seconds))


def _once(stream: bytes, facts: dict[str, Any]) -> bytes:
    """In a process that is started for this frame."""
    answer = subprocess.run(
        [sys.executable, "-P", str(_WORKER), json.dumps(facts)],
        input=stream,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=_PATIENCE,
        check=True,
    )
    return answer.stdout
