"""Traces and durations for OpenTelemetry, where the setting `otel_endpoint` names a collector; nothing else imports it.

A trace shows how long a request took and its steps: receive, decode, gate, network, store. What it was about stays
here: no name of a file, path, patient, account or image, no number of a reading and no text of an error ever leaves.
Metrics are Prometheus's (see web.health); beside them only the time of requests goes out, as OpenTelemetry names it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from secondread import __version__
from secondread.errors import ExtraMissing, UsageError
from secondread.images.steps import Step, listen

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Span

_SECONDS = 5.0  # that a collector is given; what it does not take by then is dropped, and nobody waits for it
_NAME = "secondread"
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


class Telemetry:
    """What is sent of one process. Safe to share between threads.

    processor, reader: of OpenTelemetry's SDK; they say where spans and durations go.
    """

    def __init__(self, processor: SpanProcessor, reader: MetricReader):
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        resource = Resource.create({"service.name": _NAME, "service.version": __version__})
        self._spans = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._spans.add_span_processor(processor)
        self._tracer = self._spans.get_tracer(_NAME)
        self._durations = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        self._seconds = self._durations.get_meter(_NAME).create_histogram(
            "http.server.request.duration", unit="s", explicit_bucket_boundaries_advisory=_BUCKETS
        )

    @classmethod
    def open(cls, settings: Mapping[str, Any]) -> Telemetry | None:
        """What the settings ask for, listening to every step of this process; None where they name no collector.

        Raises UsageError, ExtraMissing.
        """
        endpoint = str(settings.get("OTEL_ENDPOINT") or "").rstrip("/")
        if not endpoint:
            return None
        if not endpoint.startswith(("http://", "https://")):
            raise UsageError(
                f"otel_endpoint is '{endpoint}'; give the address of a collector, as http://127.0.0.1:4318"
            )
        if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter") is None:
            raise ExtraMissing.of("telemetry", "telemetry")
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)  # what was lost, not every try
        spans = OTLPSpanExporter(f"{endpoint}/v1/traces", timeout=_SECONDS)
        durations = OTLPMetricExporter(f"{endpoint}/v1/metrics", timeout=_SECONDS)
        found = cls(BatchSpanProcessor(spans), PeriodicExportingMetricReader(durations))
        found.listen()
        return found

    def listen(self) -> None:
        """Take every step of this process from now on."""
        listen(self.step)

    def step(self, name: Step) -> AbstractContextManager[Span]:
        """A span of one step, under the request's where there is one."""
        return self._span(name)

    @contextmanager
    def _span(self, name: str, **more: Any) -> Iterator[Span]:
        """An error is told by the name of its kind alone: its words may name what must not leave."""
        with self._tracer.start_as_current_span(
            name, record_exception=False, set_status_on_exception=False, **more
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                raise

    @contextmanager
    def request(self, method: str, route: str, carried: Mapping[str, str]) -> Iterator[Answering]:
        """A span of a request. route: as '/readings/<int:id>', never the address; carried: a proxy's headers of it."""
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        before = TraceContextTextMapPropagator().extract(carried) if carried else None
        told: dict[str, str | int] = {"http.request.method": method, "http.route": route}
        began = time.perf_counter()
        answering = Answering()
        with self._span(f"{method} {route}", kind=SpanKind.SERVER, context=before, attributes=told) as span:
            try:
                yield answering
            finally:
                told["http.response.status_code"] = answering.status
                span.set_attributes(told)
                if answering.status >= 500:
                    from opentelemetry.trace import StatusCode

                    span.set_status(StatusCode.ERROR)
                self._seconds.record(time.perf_counter() - began, told)

    def close(self) -> None:
        """Send what is left, and listen to no step any more."""
        listen(None)
        self._spans.shutdown()
        self._durations.shutdown()


class Answering:
    """What a request is answered with, once that is known."""

    status = 500
