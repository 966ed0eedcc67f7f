"""A parent that serves nothing itself: it listens, starts processes that serve, and starts again what dies."""

import json
import logging
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import multiprocess

from secondread.errors import ServiceError, UsageError
from secondread.service import SETTINGS
from secondread.web.health import METRICS_FOLDER
from secondread.web.serving.counts import SCHEME
from secondread.web.serving.listen import address_of, listen
from secondread.web.serving.signals import stopped_by_signals

_LOG = logging.getLogger("secondread.web.serving")
# What is bounded for the whole server, and the least that a process can do with.
TOTALS = {
    "PARALLEL_READINGS": 1,
    "DECODE_MEMORY_MB": 1,
    "WORKERS": 0,
    "THREADS": 2,
    "WAITING_REQUESTS": 1,
    "MAX_WAITING_MB": 1,
    "CONNECTIONS": 8,
    "ADDRESS_CONNECTIONS": 4,
    "EVENT_STREAMS": 0,
}
_LOOK_EVERY = 0.2  # seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds before a process that died is started again
_HEALTHY_SECONDS = 30.0  # of life, after which a death is the first one
_STOP_SECONDS = 25.0  # systemd waits 30


def share_of(settings: Mapping[str, Any], n: int, at: int) -> dict[str, Any]:
    """What one of n processes is to be set to: of all that is bounded its share. at: which one, from 0."""
    shares = {
        name: max(least, settings[name] // n + (at < settings[name] % n))
        for name, least in TOTALS.items()
        if name in settings
    }
    return {**settings, **shares, "PROCESSES": 1}


def serve_in_several(
    config: Mapping[str, Any], *, host: str, port: int, on_listening: Callable[[str], None] | None = None
) -> None:
    """Serve from as many processes as the setting `processes` says, until interrupted.

    The tables are as they should be: whoever calls has opened the service. Raises UsageError, and ServiceError where a
    process does not even start.
    """
    folder = tempfile.mkdtemp(prefix="secondread-")  # what the processes count together, as long as they run
    settings = {row.key: config[row.key] for row in SETTINGS if row.key in config}
    if settings["RATE_LIMIT_STORAGE"] == "memory://":  # of one process, which is not enough
        settings["RATE_LIMIT_STORAGE"] = f"{SCHEME}://{folder}/requests.sqlite"
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
    process: subprocess.Popen[bytes] | None = None
    told: int = -1  # the end of a pipe: one byte when it is ready, closed when it is gone
    ready: bool = False
    started: float = 0.0
    again_at: float = 0.0
    pause: float = field(default=_FIRST_PAUSE)


class Parent:
    """Starts processes that serve, and starts again what dies."""

    def __init__(self, settings: Mapping[str, Any], listening: int, folder: str):
        self._settings, self._listening, self._folder = settings, listening, folder
        self._children = [_Child(at) for at in range(int(settings["PROCESSES"]))]
        self._selector = selectors.DefaultSelector()
        self._stopping = False

    def stop(self) -> None:
        """End soon. May be called from a signal's handler."""
        self._stopping = True

    def start(self) -> None:
        """Start all, and wait until every one can answer. Raises UsageError or ServiceError where one cannot."""
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
                if child.process is None and time.monotonic() >= child.again_at:
                    self._start(child)

    def end(self) -> None:
        """Ask all to end, and end what does not."""
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for process in running:
            if process.stdin is not None:
                process.stdin.close()
        self._selector.close()

    def _start(self, child: _Child) -> None:
        told, tell = os.pipe()
        command = [sys.executable, "-m", "secondread.web.serving.child", str(self._listening), str(tell)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            bufsize=0,
            pass_fds=(self._listening, tell),
            env={**os.environ, METRICS_FOLDER: self._folder},
        )
        os.close(tell)
        child.process, child.told, child.ready, child.started = process, told, False, time.monotonic()
        # Settings may hold passwords: not for the command line. The pipe stays open: when the parent is gone, it ends.
        assert process.stdin is not None
        share = share_of(self._settings, len(self._children), child.at)
        with suppress(BrokenPipeError):  # it has ended already, as will be seen
            process.stdin.write(json.dumps(share).encode() + b"\n")
        self._selector.register(told, selectors.EVENT_READ, child)

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
            if child.process is not None:
                multiprocess.mark_process_dead(child.process.pid, self._folder)  # what it had open is closed
            gone.append(child)
        return gone


def _code_of(child: _Child) -> int:
    """How it ended; afterwards its place is free."""
    assert child.process is not None
    process, child.process = child.process, None
    code = process.wait()
    if process.stdin is not None:
        process.stdin.close()
    return code


def _how(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
