"""What is counted for Prometheus, one registry an application."""

import time
from typing import Any

from apiflask import APIFlask
from flask import Response, current_app, g, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_KEY = "secondread.metrics"
_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)  # seconds


class _Metrics:
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
            "secondread_queue_waiting", "Images of uploads that wait or are being read", registry=self.registry
        )
        self.streams = Gauge("secondread_event_streams", "Open streams of progress", registry=self.registry)


def register(app: APIFlask) -> None:
    """Count and time every request under its route, never under its address."""
    app.extensions[_KEY] = _Metrics()
    app.before_request(_begin)
    app.after_request(_count)


def count_reading(task: str, decision: str, *, from_store: bool) -> None:
    """One answer to an image that was sent. decision: 'refused' for a refusal."""
    _metrics().readings.labels(task or "unknown", decision, "yes" if from_store else "no").inc()


def count_stream(by: int) -> None:
    """A stream of progress was opened (1) or ended (−1)."""
    _metrics().streams.inc(by)


def exposition(*, waiting: int) -> bytes:
    """Everything counted so far, as Prometheus reads it. waiting: images in the queue now."""
    _metrics().waiting.set(waiting)
    return generate_latest(_metrics().registry)


def _metrics() -> Any:
    return current_app.extensions[_KEY]


def _begin() -> None:
    g.began = time.perf_counter()


def _count(response: Response) -> Response:
    route = request.url_rule.rule if request.url_rule else "none"
    method = request.method if request.url_rule else "none"
    _metrics().requests.labels(route, method, response.status_code).inc()
    if "began" in g:
        _metrics().seconds.labels(route).observe(time.perf_counter() - g.began)
    return response
