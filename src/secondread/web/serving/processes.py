"""A parent that serves nothing itself: it listens, starts processes that serve, and starts again what dies."""

import gc
import logging
import os
import selectors
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client import multiprocess

from secondread.errors import ServiceError, UsageError
from secondread.web.serving.child import Place, become_child, shared
from secondread.web.serving.counts import SCHEME
from secondread.web.serving.listen import address_of, listen
from secondread.web.serving.shares import share_of
from secondread.web.serving.signals import STOPPING, stopped_by_signals

_LOG = logging.getLogger("secondread.web.serving")
_LOOK_EVERY = 0.2  # seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds before a process that died is started again
_HEALTHY_SECONDS = 30.0  # of life, after which a death is the first one
_STOP_SECONDS = 25.0  # systemd waits 30


def serve_in_several(
    settings: Mapping[str, Any], *, host: str, port: int, on_listening: Callable[[str], None] | None = None
) -> None:
    """Serve from as many processes as the setting `processes` says, until interrupted.

    The tables are as they should be: whoever calls has opened the service and closed it again, and runs no threads.
    Raises UsageError, and ServiceError where a process does not even start.
    """
    folder = tempfile.mkdtemp(prefix="secondread-")  # what the processes count together, as long as they run
    if settings["RATE_LIMIT_STORAGE"] == "memory://":  # of one process, which is not enough
        settings = {**settings, "RATE_LIMIT_STORAGE": f"{SCHEME}://{folder}/requests.sqlite"}
    with listen(host, port) as listening:
        parent = Parent(settings, listening.fileno(), folder)
        with stopped_by_signals(parent.stop):
            try:
                parent.start()
                if on_listening is not None:
                    on_listening(address_of(listening, host))
                parent.keep_going()
            finally:
                parent.end()
                shutil.rmtree(folder, ignore_errors=True)


@dataclass
class _Child:
    """One place of a process, and who fills it."""

    at: int
    pid: int | None = None
    told: int = -1  # the end of a pipe: one byte when it is ready, closed when it is gone
    ready: bool = False
    started: float = 0.0
    again_at: float = 0.0
    pause: float = field(default=_FIRST_PAUSE)


class Parent:
    """Starts processes that serve, and starts again what dies.

    They are forked, and nothing that a reading needs is loaded here: what is imported is in memory once for all.
    """

    def __init__(self, settings: Mapping[str, Any], listening: int, folder: str):
        self._settings, self._listening, self._folder = settings, listening, folder
        self._children = [_Child(at) for at in range(int(settings["PROCESSES"]))]
        self._selector = selectors.DefaultSelector()
        self._alive, self._keeps_alive = os.pipe()  # the second end is this process's alone: it closes when it is gone
        self._shared = shared(Path(folder), len(self._children), 0)
        self._stopping = False

    def stop(self) -> None:
        """End soon. May be called from a signal's handler."""
        self._stopping = True

    def start(self) -> None:
        """Start all, and wait until every one can answer. Raises UsageError or ServiceError where one cannot."""
        gc.collect()
        gc.freeze()  # else the first collection of each process would copy all that it shares with this one
        for child in self._children:
            self._start(child)
        while not self._stopping and not all(child.ready for child in self._children):
            for child in self._look():
                code = _code_of(child)
                kind = UsageError if code == 2 else ServiceError
                raise kind(f"a process of the server did not start (exit code {code}); what it wrote says why")

    def keep_going(self) -> None:
        """Until `stop`: what dies is started again, after a pause that grows while it does not live long."""
        while not self._stopping:
            for child in self._look():
                lived = time.monotonic() - child.started
                child.pause = _FIRST_PAUSE if lived > _HEALTHY_SECONDS else min(2 * child.pause, _LONGEST_PAUSE)
                child.again_at = time.monotonic() + child.pause
                _LOG.warning(
                    "process %d of the server ended (%s); started again in %.1f s",
                    child.at + 1,
                    _how(_code_of(child)),
                    child.pause,
                )
            for child in self._children:
                if child.pid is None and time.monotonic() >= child.again_at:
                    self._start(child)

    def end(self) -> None:
        """Ask all to end, and end what does not."""
        running = [child.pid for child in self._children if child.pid is not None]
        for pid in running:
            _tell(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while (running := [pid for pid in running if not _has_ended(pid)]) and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY / 10)
        for pid in running:
            _tell(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for descriptor in (self._alive, self._keeps_alive):
            os.close(descriptor)
        for one in self._shared:
            one.close()
        self._selector.close()

    def _start(self, child: _Child) -> None:
        told, tell = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # of the child too: it is not to run this one's handlers
        try:
            pid = os.fork()
            if pid == 0:
                try:
                    self._become(child, told, tell)
                finally:
                    os._exit(1)  # whatever went wrong: what the parent does next is not this process's to do
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        os.close(tell)
        child.pid, child.told, child.ready, child.started = pid, told, False, time.monotonic()
        self._selector.register(told, selectors.EVENT_READ, child)

    def _become(self, child: _Child, told: int, tell: int) -> None:
        """What is in the child's own process: give up the parent's, and serve."""
        self._selector.close()
        for descriptor in (told, self._keeps_alive, *(one.told for one in self._children if one.pid is not None)):
            os.close(descriptor)
        for mine in self._shared:
            mine.close()
        n, folder = len(self._children), Path(self._folder)
        share = share_of(self._settings, n, child.at)
        become_child(Place(share, folder, n, child.at, self._listening, tell, self._alive))

    def _look(self) -> list[_Child]:
        """Wait a moment; those that have ended since."""
        gone = []
        for key, _ in self._selector.select(timeout=_LOOK_EVERY):
            child: _Child = key.data
            if os.read(child.told, 1):
                child.ready = True
                continue
            self._selector.unregister(child.told)
            os.close(child.told)
            if child.pid is not None:
                multiprocess.mark_process_dead(child.pid, self._folder)  # what it had open is closed
            for one in self._shared:
                one.clear(child.at)
            gone.append(child)
        return gone


def _code_of(child: _Child) -> int:
    """How it ended; afterwards its place is free."""
    assert child.pid is not None
    pid, child.pid = child.pid, None
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _tell(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _has_ended(pid: int) -> bool:
    return os.waitpid(pid, os.WNOHANG)[0] != 0


def _how(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
