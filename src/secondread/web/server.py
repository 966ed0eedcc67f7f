"""Runs the application under waitress: threads, limits, and who may reach it."""

import errno
import json
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from apiflask import APIFlask
from waitress import create_server
from waitress.channel import HTTPChannel
from waitress.task import ErrorTask

from secondread.errors import SecondReadError, UsageError
from secondread.web.app import create_app
from secondread.web.auth import is_loopback
from secondread.web.context import KEY as SERVICE
from secondread.web.context import start_workers
from secondread.web.problems import MEDIA_TYPE, problem_body


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    config: Mapping[str, Any] | None = None,
    on_listening: Callable[[str], None] | None = None,
) -> None:
    """Serve until interrupted.

    port: 0 takes a free one. on_listening: called once with the address of the page, when it can be opened.
    Raises UsageError for an address or a port that cannot be used, or for one that others can reach while there is no
    administrator.
    """
    app = create_app(config)
    server = open_server(app, host=host, port=port)
    if on_listening is not None:
        on_listening(address_of(server, host))
    stopping = threading.Event()
    warm_up = threading.Thread(target=_warm_up, args=(app, stopping), name="warm-up")
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


def open_server(app: APIFlask, *, host: str = "127.0.0.1", port: int = 8000) -> Any:
    """A waitress server that listens; `run()` serves. Raises UsageError."""
    if not is_loopback(host) and not app.extensions[SERVICE].accounts.has_administrator():
        raise UsageError(
            f"'{host}' can be reached by others and there is no administrator yet; make one with "
            "`secondread user add NAME --role administrator`, or serve on 127.0.0.1"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise _cannot_listen(error, host, port) from error
    server = create_server(
        app,
        sockets=[listening],
        threads=app.config["THREADS"],
        # Past this waitress hangs up; up to it the application takes the body in and answers in words.
        max_request_body_size=2 * app.config["MAX_CONTENT_LENGTH"],
        channel_timeout=60,
        send_bytes=1,  # events of progress are small and must not wait for more
        # Without a proxy in front nothing of X-Forwarded-For reaches the application; with one it judges itself.
        clear_untrusted_proxy_headers=not app.config["PROXIES"],
        ident="secondread",
    )
    server.channel_class = _Channel
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # else a line for every request that waits a moment
    return server


def address_of(server: Any, host: str) -> str:
    """Where the page is, as a person types it."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{server.effective_port}/"


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


def _cannot_listen(error: OSError, host: str, port: int) -> UsageError:
    if error.errno == errno.EADDRINUSE:
        return UsageError(f"port {port} is in use; stop the other server or choose another with --port")
    if error.errno in (errno.EACCES, errno.EPERM):
        return UsageError(f"port {port} may not be used by you; choose one from 1024 with --port")
    reason = (error.strerror or str(error)).partition(" (")[0]
    return UsageError(f"cannot listen on '{host}', port {port}: {reason}; give an address of this machine")


class _ProblemTask(ErrorTask):
    """Waitress's own refusals (a broken request, a body far too large) in the shape of all others."""

    def execute(self) -> None:
        """Answer and close."""
        self.request.error = _AsProblem(self.request.error)
        super().execute()


class _AsProblem:
    def __init__(self, error: Any):
        self._error = error

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        status, _, _ = self._error.to_response(ident)
        body = json.dumps(problem_body(self._error.code, str(self._error.body))).encode()
        return (
            status,
            [("Content-Type", MEDIA_TYPE), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")],
            body,
        )


class _Channel(HTTPChannel):
    error_task_class = _ProblemTask
