"""Sends spans and figures to an OTLP collector over HTTP, in threads of its own; imported only where one is configured.

The SDK's providers are ours alone and never the process's: what other libraries put on spans is nobody's to vouch for. A
collector that is away costs its spans, one line in the log, and nothing of anybody's time.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, Final

import structlog
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from asoe import tracing
from asoe.tracing import measures

_log = structlog.get_logger(__name__)
LAST_SECONDS: Final = 2.0
"""What the end of a process waits for its last spans and figures."""


class Exporting:
    """The way of this process to its collector. The standard variables OTEL_* say where it is, how much is sampled, how it is called."""

    def __init__(self, *, service: str | None = None, traces: bool = True, figures: bool = True) -> None:
        """`service`: its name where OTEL_SERVICE_NAME gives none."""
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # what fails is said here, once
        named = {} if service is None else {"service.name": service}
        resource = Resource.create({**named, "service.version": version("asoe")})
        self._flushes: list[Callable[[], Any]] = []
        self._ends: list[Callable[[], Any]] = []
        if traces:
            processor = BatchSpanProcessor(Watched(OTLPSpanExporter()))
            tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
            tracers.add_span_processor(processor)
            tracing.listen(tracers.get_tracer("asoe", version("asoe")))
            self._flushes.append(processor.force_flush)
            self._ends.append(processor.shutdown)
        if figures:
            reader = PeriodicExportingMetricReader(OTLPMetricExporter())
            meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
            measures.listen(meters.get_meter("asoe", version("asoe")))
            self._flushes.append(meters.force_flush)
            self._ends.append(meters.shutdown)

    async def flush(self) -> None:
        """Send what there is; tests wait for it."""
        for flush in self._flushes:
            await asyncio.to_thread(flush)

    async def close(self) -> None:
        """Send the last of it, as far as that goes in `LAST_SECONDS`."""
        tracing.listen(None)
        measures.listen(None)
        endings = [threading.Thread(target=end, name="tracing end", daemon=True) for end in self._ends]
        for ending in endings:
            ending.start()
        await asyncio.gather(*(asyncio.to_thread(ending.join, LAST_SECONDS) for ending in endings))


class Watched(SpanExporter):
    """Says once that spans do not arrive, and once that they do again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._is_lost = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        is_lost = result is not SpanExportResult.SUCCESS
        if is_lost and not self._is_lost:
            _log.warning("tracing.not_delivered", spans=len(spans))
        elif self._is_lost and not is_lost:
            _log.info("tracing.delivered_again")
        self._is_lost = is_lost
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)
