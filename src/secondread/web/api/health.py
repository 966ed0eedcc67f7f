"""Whether the server answers and can work, and what it has counted."""

from apiflask import APIBlueprint
from flask import Response, current_app, jsonify

from secondread import __version__
from secondread.errors import NotAllowed
from secondread.web import schemas as shapes
from secondread.web.auth import address, current_identity, is_loopback, public
from secondread.web.context import service
from secondread.web.document import other
from secondread.web.metrics import CONTENT_TYPE, exposition

health = APIBlueprint("health", __name__, tag="health")


@health.get("/healthz")
@public
@health.output(shapes.HealthOut)
@health.doc(operation_id="health", summary="Tell whether the server answers")
def healthz() -> Response:
    """Answer without reading anything."""
    return jsonify(status="ok", version=__version__)


@health.get("/readyz")
@public
@health.output(shapes.HealthOut)
@health.doc(operation_id="readiness", summary="Tell whether the server can work")
def readyz() -> Response:
    """Answer 200 where the database can be reached and has the tables of this version, else 503."""
    service().database.check()
    return jsonify(status="ok", version=__version__)


@health.get("/metrics")
@public
@health.doc(
    operation_id="metrics",
    summary="Show what was counted, for Prometheus",
    responses=other("text/plain", "Metrics"),
)
def metrics() -> Response:
    """Answer this machine, and from elsewhere who has the scope 'read'."""
    if not (is_loopback(address()) and current_app.config["LOGIN"] != "on") and "read" not in current_identity().scopes:
        raise NotAllowed("metrics are for who may read")
    return Response(exposition(waiting=service().queue.waiting()), content_type=CONTENT_TYPE)
