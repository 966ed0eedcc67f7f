"""Traces: each step of a request, and nothing in them that tells of an image, a file, a person or an account."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from secondread.errors import ExtraMissing, UsageError
from secondread.images.steps import listen, step
from secondread.service import Actor, Telemetry
from secondread.testing.phantoms import chest_phantom, dicom_bytes, encode
from secondread.web import create_app, telemetry
from secondread.web.context import KEY as SERVICE
from tests.web.conftest import multipart

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry is not installed: the extra 'telemetry' brings it")
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

ATTRIBUTES = {"http.request.method", "http.route", "http.response.status_code", "error.type"}
STEPS = {"receive", "decode", "gate", "network", "store", "item"}


class Sent:
    """What an application sends, kept in memory."""

    def __init__(self) -> None:
        self._spans, self._durations = InMemorySpanExporter(), InMemoryMetricReader()
        self.telemetry = Telemetry(SimpleSpanProcessor(self._spans), self._durations)

    def spans(self) -> list[Any]:
        """Of all that ended since the last look."""
        found = list(self._spans.get_finished_spans())
        self._spans.clear()
        return found

    def durations(self) -> list[Any]:
        data = json.loads(self._durations.get_metrics_data().to_json())
        return [
            point
            for resource in data["resource_metrics"]
            for scope in resource["scope_metrics"]
            for metric in scope["metrics"]
            for point in metric["data"]["data_points"]
        ]


@pytest.fixture
def sent() -> Iterator[Sent]:
    found = Sent()
    found.telemetry.listen()
    yield found
    found.telemetry.close()


@pytest.fixture
def measured(tmp_path: Path, sent: Sent) -> FlaskClient:
    """A client of an application that sends to memory."""
    app = create_app({"DATA_FOLDER": str(tmp_path), "PROXIES": 1, "LOGIN": "on"})
    telemetry.use(app, sent.telemetry)
    service = app.extensions[SERVICE]
    service.accounts.add("magdalena", role="administrator", password="a long password", actor=Actor("test"))
    token, _ = service.tokens.add("magdalena", name="t", scopes=["read", "write"], actor=Actor("test"))
    client: FlaskClient = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


def send(client: FlaskClient, path: str, *files: tuple[str, bytes], task: str = "tuberculosis", **form: str) -> Any:
    """The answer to these files, sent by a program whose name tells too much."""
    body, content_type = multipart(*files, task=task, **form)
    return client.post(path, data=body, content_type=content_type, headers={"User-Agent": "curie-agent"})


def everything(spans: list[Any]) -> str:
    """All that leaves, as text."""
    return "".join(span.to_json() for span in spans)


def test_a_request_is_a_trace_of_its_steps(measured: FlaskClient, sent: Sent) -> None:
    sent.spans()
    film = encode(chest_phantom(256, random_state=1), "PNG")
    send(measured, "/api/v1/readings", ("film.png", film))
    spans = {span.name: span for span in sent.spans()}
    request = spans.pop("POST /api/v1/readings")
    assert {"receive", "decode", "gate", "store"} <= set(spans) <= STEPS
    assert {span.parent.span_id for span in spans.values()} == {request.context.span_id}
    assert request.attributes["http.response.status_code"] in (200, 422)  # the gate may refuse a phantom
    (point,) = [one for one in sent.durations() if one["attributes"]["http.request.method"] == "POST"]
    assert (point["count"], set(point["attributes"])) == (1, ATTRIBUTES - {"error.type"})


def test_nothing_that_leaves_names_anybody_or_anything(measured: FlaskClient, sent: Sent) -> None:
    film = dicom_bytes(chest_phantom(256, random_state=2), PatientName="Curie^Marie", PatientID="4711-x")
    files = (("curie_marie.dcm", film), ("broken_curie.png", b"no image"))
    kept, _ = send(measured, "/api/v1/readings?from=curie", *files, source="ward-seven").json["readings"]
    measured.get(f"/api/v1/readings/{kept['id']}?patient=curie")
    measured.get("/nowhere/curie")
    measured.open("/api/v1/readings", method="CURIE")
    measured.post("/api/v1/session", json={"name": "magdalena", "password": "curie's own"})
    send(measured, "/api/v1/readings", ("x.png", film), task="curie-task")
    spans = sent.spans()
    assert len(spans) >= 8
    assert {name for span in spans for name in span.attributes} <= ATTRIBUTES
    assert all(not span.events and not span.links and not span.status.description for span in spans)
    told = everything(spans) + json.dumps(sent.durations())
    secrets = (
        "curie",
        "marie",
        "4711-x",
        "magdalena",
        "ward-seven",
        ".dcm",
        ".png",
        str(measured.application.root_path),
    )
    assert not [word for word in secrets if word in told.lower()]
    assert not [
        one for one in measured.application.extensions[SERVICE].images.storage.list("images/") if one.key[-64:] in told
    ]


def test_an_error_is_told_by_its_kind_alone(sent: Sent) -> None:
    with pytest.raises(RuntimeError), step("store"):
        raise RuntimeError("/srv/data/curie.png")
    (span,) = sent.spans()
    assert dict(span.attributes) == {"error.type": "RuntimeError"}
    assert "curie" not in span.to_json()


def test_a_trace_that_a_proxy_began_is_taken_up(measured: FlaskClient, sent: Sent) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    measured.get("/api/v1/tasks", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    measured.application.config["PROXIES"] = 0  # anybody may have written it
    measured.get("/api/v1/tasks", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    first, second = [span for span in sent.spans() if span.name == "GET /api/v1/tasks"]
    assert f"{first.context.trace_id:032x}" == trace
    assert f"{second.context.trace_id:032x}" != trace


def test_what_the_queue_reads_is_a_trace_too(measured: FlaskClient, sent: Sent) -> None:
    film = encode(chest_phantom(256, random_state=3), "PNG")
    send(measured, "/api/v1/batches", ("film.png", film))
    sent.spans()
    app = measured.application
    assert app.extensions[SERVICE].worker(app.extensions["secondread"].get).run_until_empty() == 1
    names = [span.name for span in sent.spans()]
    assert names[-1] == "item"
    assert "decode" in names


def test_nothing_is_measured_by_default(tmp_path: Path) -> None:
    app = create_app({"DATA_FOLDER": str(tmp_path)})
    assert app.extensions["secondread.telemetry"] is None
    assert not [one for one in app.before_request_funcs.get(None, []) if one.__module__ == telemetry.__name__]
    assert step("decode") is step("store")


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secondread.service.telemetry.find_spec", lambda name: None)
    with pytest.raises(ExtraMissing, match="'telemetry'"):
        Telemetry.open({"OTEL_ENDPOINT": "http://127.0.0.1:4318"})
    with pytest.raises(UsageError, match="4318"):
        Telemetry.open({"OTEL_ENDPOINT": "collector:4318"})


def test_a_collector_is_sent_spans_and_durations() -> None:
    paths: list[str] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = Telemetry.open({"OTEL_ENDPOINT": f"http://127.0.0.1:{server.server_port}/"})
        assert found is not None
        with found.request("GET", "/api/v1/tasks", {}) as answering, step("decode"):
            answering.status = 200
        found.close()
        server.shutdown()
    assert set(paths) == {"/v1/traces", "/v1/metrics"}
    listen(None)
