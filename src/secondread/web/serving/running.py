"""Runs the application: one process that serves, or a parent that keeps several of them going."""

import ctypes
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from apiflask import APIFlask

from secondread.errors import SecondReadError
from secondread.web.app import create_app
from secondread.web.context import KEY as SERVICE
from secondread.web.context import start_workers
from secondread.web.serving.listen import address_of, check_reach, listen
from secondread.web.serving.processes import serve_in_several
from secondread.web.serving.server import Server
from secondread.web.serving.signals import stopped_by_signals

# The loop gives Python's lock away with every packet, and would wait 5 ms (the default) for a thread that calculates.
_SWITCH_SECONDS = 0.0005
_M_ARENA_MAX, _ARENAS = -8, 2  # of malloc.h


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    config: Mapping[str, Any] | None = None,
    on_listening: Callable[[str], None] | None = None,
) -> None:
    """Serve until interrupted (Ctrl-C, SIGTERM): what is being answered and read is finished.

    port: 0 takes a free one. on_listening: called once with the address of the page, when it can be opened.
    Raises UsageError for an address or a port that cannot be used, or for one that others can reach while there is no
    administrator.
    """
    app = create_app(config)
    server: Server | None = None
    try:
        check_reach(app.extensions[SERVICE], host)
        app.extensions[SERVICE].repair.warn()
        if app.config["PROCESSES"] == 1:
            server = Server(app, listen(host, port))
    finally:
        if server is None:
            app.extensions[SERVICE].close()
    if server is None:
        serve_in_several(app.config, host=host, port=port, on_listening=on_listening)
    else:
        run(app, server, lambda: on_listening(address_of(server.socket, host)) if on_listening is not None else None)


def open_server(app: APIFlask, *, host: str = "127.0.0.1", port: int = 8000) -> Server:
    """A server that listens; `run()` serves. Raises UsageError."""
    check_reach(app.extensions[SERVICE], host)
    return Server(app, listen(host, port))


def run(app: APIFlask, server: Server, on_ready: Callable[[], None]) -> None:
    """Serve until told to stop by a signal, then close everything. on_ready: called once, before the first request."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    _share_freed_memory()
    stopping = threading.Event()
    warm_up = threading.Thread(target=_warm_up, args=(app, stopping), name="warm-up")
    with stopped_by_signals(server.stop):
        on_ready()
        warm_up.start()
        workers = start_workers(app)
        try:
            server.run()
        finally:
            stopping.set()
            server.close()
            warm_up.join()  # a process that ends while a model is being loaded is aborted by the C++ library
            workers.stop()
            app.extensions[SERVICE].close()


def _share_freed_memory() -> None:
    """Else glibc keeps freed memory for each thread apart, and the process of many threads grows for hours."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)


def _warm_up(app: APIFlask, stopping: threading.Event) -> None:
    """Load the models while the page opens, so that the first reading is as fast as the next."""
    readers = app.extensions["secondread"]
    try:
        for name in readers.names():
            if stopping.is_set():
                return
            readers.get(*name.split("/", 1))
    except SecondReadError as error:
        app.logger.error("a model cannot be loaded: %s", error)
