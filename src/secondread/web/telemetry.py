"""A span for every request, where telemetry is switched on; without it nothing here is registered."""

from contextlib import ExitStack

from apiflask import APIFlask
from flask import Response, current_app, g, request

from secondread.service import Telemetry

_KEY = "secondread.telemetry"
_CARRIED = ("traceparent", "tracestate")  # W3C Trace Context


def register(app: APIFlask) -> None:
    """Open what the settings ask for. Raises UsageError, ExtraMissing."""
    use(app, Telemetry.open(app.config))


def use(app: APIFlask, telemetry: Telemetry | None) -> None:
    """Measure the requests of this application with it; None: measure nothing."""
    app.extensions[_KEY] = telemetry
    if telemetry is not None:
        app.before_request(_begin)
        app.after_request(_answered)
        app.teardown_request(_end)


def close(app: APIFlask) -> None:
    """Send what is left."""
    telemetry: Telemetry | None = app.extensions[_KEY]
    if telemetry is not None:
        telemetry.close()


def _begin() -> None:
    """A trace that was begun elsewhere is taken up where a proxy stands before the server: it decides what comes in."""
    telemetry: Telemetry = current_app.extensions[_KEY]
    method = request.method if request.url_rule else "_OTHER"
    route = request.url_rule.rule if request.url_rule else "none"
    carried = {name: request.headers[name] for name in _CARRIED if name in request.headers}
    held = ExitStack()
    g.answering = held.enter_context(telemetry.request(method, route, carried if current_app.config["PROXIES"] else {}))
    g.telemetry = held


def _answered(response: Response) -> Response:
    if "answering" in g:
        g.answering.status = response.status_code
    return response


def _end(_: BaseException | None) -> None:
    held: ExitStack | None = g.pop("telemetry", None)
    if held is not None:
        held.close()
