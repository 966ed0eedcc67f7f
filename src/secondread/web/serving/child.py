"""One of several processes that serve: forked by the parent, so that they share the memory of what they import."""

import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secondread.errors import SecondReadError, UsageError
from secondread.images import budget
from secondread.web.app import create_app
from secondread.web.health import count_together
from secondread.web.serving import counts  # noqa: F401 - makes its storage known
from secondread.web.serving.running import run
from secondread.web.serving.server import Server
from secondread.web.serving.shared import SharedBytes, SharedConnections
from secondread.web.serving.signals import STOPPING

_DECODING, _CONNECTIONS = "decoding", "connections"  # files of the folder in which they are counted


@dataclass(frozen=True)
class Place:
    """What a parent gives a process along. listening, tell, alive: descriptors, see `serve_in_place`."""

    settings: Mapping[str, Any]
    folder: Path
    n: int
    at: int  # from 0
    listening: int
    tell: int
    alive: int


def shared(folder: Path, n: int, at: int) -> tuple[SharedBytes, SharedConnections]:
    """What the processes of a server tell each other. folder: what they count together."""
    return SharedBytes(folder / _DECODING, n, at), SharedConnections(folder / _CONNECTIONS, n, at)


def become_child(place: Place) -> None:
    """Serve, and end the process. To be called right after the fork, with the signals of STOPPING blocked."""
    code = 1
    try:
        for number in STOPPING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        code = serve_in_place(place)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)  # what the parent would do at its end is not this process's to do


def serve_in_place(place: Place) -> int:
    """Serve on the parent's socket until told to stop, or until the parent is gone; gives the exit status.

    place: with the socket; the pipe that says when this process is ready; and the one that ends with the parent.
    """
    try:
        count_together(str(place.folder))
        decoding, connections = shared(place.folder, place.n, place.at)
        budget.share_with(decoding)
        app = create_app(place.settings)
        server = Server(app, socket.socket(fileno=os.dup(place.listening)))
        server.neighbours = connections
        threading.Thread(target=_stop_with_the_parent, args=(server, place.alive), daemon=True, name="parent").start()
        run(app, server, lambda: _say_ready(place.tell))
    except SecondReadError as error:
        sys.stderr.write(f"secondread: {error}\n")
        return 2 if isinstance(error, UsageError) else 1
    return 0


def _say_ready(tell: int) -> None:
    """The descriptor stays open: that it closes by itself tells the parent that this process is gone."""
    with suppress(BrokenPipeError):
        os.write(tell, b"r")


def _stop_with_the_parent(server: Server, alive: int) -> None:
    while os.read(alive, 1):
        pass
    server.stop()
