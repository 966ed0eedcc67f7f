"""Whether the server answers and can work, and what it counts for Prometheus, one registry an application."""

import json
import os
import time
from contextvars import copy_context
from typing import Any

from apiflask import APIBlueprint, APIFlask, Schema
from apiflask.fields import String
from flask import Response, current_app, g, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess, values

from secondread import __version__
from secondread.errors import NotAllowed, SecondReadError
from secondread.service.database import Patience, wait_at_most
from secondread.web.auth import address, current_identity, is_loopback, public
from secondread.web.context import readers, service
from secondread.web.document import other
from secondread.web.problems import MEDIA_TYPE, problem_of
from secondread.web.shapes import one_of

health = APIBlueprint("health", __name__, tag="health")
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where the processes of one server count, for prometheus_client
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_KEY = "secondread.metrics"
_PATIENCE = Patience(lock=2, statement=2)  # seconds
_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)  # seconds


class HealthOut(Schema):
    """The server answers."""

    status = String(required=True, metadata=one_of(["ok"]))
    version = String(required=True)


def alive() -> dict[str, Any]:
    """What is answered as long as the server lives."""
    return {"status": "ok", "version": __version__}


def readiness(app: APIFlask) -> tuple[int, dict[str, Any]]:
    """Status and body: whether it can work now."""
    with app.app_context():
        try:
            copy_context().run(_check)
        except SecondReadError as error:
            answer = problem_of(error)
            return answer.status_code, answer.get_json()
    return 200, alive()


def _check() -> None:
    wait_at_most(_PATIENCE)
    service().database.check()
    with service().database.begin() as session:
        session.connection()  # takes the writer's place: a database that is locked can be read, and stores nothing
    service().images.check()
    readers().check()


def count_together(folder: str) -> None:
    """Count in files of this folder, with other processes, whatever is counted from now on in this one."""
    os.environ[METRICS_FOLDER] = folder
    vars(values).update(ValueClass=values.get_value_class())  # it was chosen when the module was loaded


class Metrics:
    """Everything that is counted."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "secondread_requests", "Requests answered", ["route", "method", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "secondread_request_seconds", "Time to an answer", ["route"], registry=self.registry, buckets=_BUCKETS
        )
        self.readings = Counter(
            "secondread_readings", "Answers to images sent", ["task", "decision", "from_store"], registry=self.registry
        )
        self.waiting = Gauge(
            "secondread_queue_waiting",
            "Images of uploads that wait or are being read",
            registry=self.registry,
            multiprocess_mode="mostrecent",
        )
        self.streams = Gauge(
            "secondread_event_streams", "Open streams of progress", registry=self.registry, multiprocess_mode="livesum"
        )

    def text(self) -> bytes:
        """As Prometheus reads it; of all processes together where several serve."""
        if METRICS_FOLDER not in os.environ:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together)
        return generate_latest(together)


@health.get("/healthz")
@public
@health.output(HealthOut)
@health.doc(operation_id="health", summary="Tell whether the server answers")
def healthz() -> Any:
    """Answer without reading anything. The server answers this by itself, in front of the application."""
    return alive()


@health.get("/readyz")
@public
@health.output(HealthOut)
@health.doc(operation_id="readiness", summary="Tell whether the server can work")
def readyz() -> Any:
    """Answer 200 where images can be kept, the database be written to with the tables of this version, and no bundle
    that comes with the package is known to be damaged, else 503.

    A database that does not answer is waited for two seconds. The server has a thread for this alone.
    """
    status, found = readiness(current_app._get_current_object())  # type: ignore[attr-defined]
    return found if status == 200 else Response(json.dumps(found), status, content_type=MEDIA_TYPE)


@health.get("/metrics")
@public
@health.doc(
    operation_id="metrics",
    summary="Show what was counted, for Prometheus",
    responses=other("text/plain", "Metrics"),
)
def metrics() -> Response:
    """Answer this machine, and from elsewhere who has the scope 'read'."""
    here = is_loopback(address()) and current_app.config["LOGIN"] != "on" and not current_app.config["PROXIES"]
    if not here and "read" not in current_identity().scopes:
        raise NotAllowed("metrics are for who may read")
    _metrics().waiting.set(service().queue.waiting())
    return Response(_metrics().text(), content_type=_CONTENT_TYPE)


def register(app: APIFlask) -> None:
    """Count and time every request under its route, never under its address."""
    app.extensions[_KEY] = Metrics()
    app.before_request(_begin)
    app.after_request(_count)


def count_reading(task: str, decision: str, *, from_store: bool) -> None:
    """One answer to an image that was sent. decision: 'refused' for a refusal."""
    _metrics().readings.labels(task or "unknown", decision, "yes" if from_store else "no").inc()


def count_stream(by: int) -> None:
    """A stream of progress was opened (1) or ended (−1)."""
    _metrics().streams.inc(by)


def _metrics() -> Metrics:
    found: Metrics = current_app.extensions[_KEY]
    return found


def _begin() -> None:
    g.began = time.perf_counter()


def _count(response: Response) -> Response:
    route = request.url_rule.rule if request.url_rule else "none"
    method = request.method if request.url_rule else "none"
    _metrics().requests.labels(route, method, response.status_code).inc()
    if "began" in g:
        _metrics().seconds.labels(route).observe(time.perf_counter() - g.began)
    return response
