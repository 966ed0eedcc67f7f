"""Where serving begins: in this process, or in several that a parent keeps going."""

from collections.abc import Callable, Mapping
from typing import Any

from apiflask import APIFlask

from secondread.service import SETTINGS
from secondread.web import telemetry
from secondread.web.app import create_app
from secondread.web.context import KEY as SERVICE
from secondread.web.fhir import RESULTS
from secondread.web.serving.listen import address_of, check_reach, listen
from secondread.web.serving.processes import serve_in_several
from secondread.web.serving.running import run
from secondread.web.serving.server import Server
from secondread.web.serving.shares import processes_for


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
    n = app.config["PROCESSES"] or processes_for(app.config)
    try:
        check_reach(app.extensions[SERVICE], host)
        app.extensions[SERVICE].repair.warn()
        if n == 1:
            server = Server(app, listen(host, port))
    finally:
        if server is None:
            app.extensions[SERVICE].close()
            telemetry.close(app)  # with its threads: what is forked has none of them
    if server is None:
        settings = {row.key: app.config[row.key] for row in SETTINGS} | {"PROCESSES": n}
        settings["RESULTS"] = app.extensions[RESULTS]
        del app  # the processes make their own
        serve_in_several(settings, host=host, port=port, on_listening=on_listening)
    else:
        run(app, server, lambda: on_listening(address_of(server.socket, host)) if on_listening is not None else None)


def open_server(app: APIFlask, *, host: str = "127.0.0.1", port: int = 8000) -> Server:
    """A server that listens; `run()` serves. Raises UsageError."""
    check_reach(app.extensions[SERVICE], host)
    return Server(app, listen(host, port))
