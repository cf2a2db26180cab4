"""Sends spans and counts to an OTLP collector over HTTP, in a thread of its own; imported only where one is configured.

The SDK's providers are ours alone and never the process's: what other libraries put on spans is nobody's to vouch for. A
collector that is away costs its spans, one line in the log, and nothing of anybody's time.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from asoe import tracing

_log = structlog.get_logger(__name__)
LAST_SECONDS: Final = 2.0
"""What the end of a process waits for its last spans."""


class Exporting:
    """The way of this process to its collector. The standard variables OTEL_* say where it is, how much is sampled, how it is called."""

    def __init__(self, *, service: str | None = None, exporter: SpanExporter | None = None) -> None:
        """`service`: its name where OTEL_SERVICE_NAME gives none. `exporter`: another way, for tests."""
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # what fails is said here, once
        named = {} if service is None else {"service.name": service}
        resource = Resource.create({**named, "service.version": version("asoe")})
        self._processor = BatchSpanProcessor(exporter or Watched(OTLPSpanExporter()))
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(self._processor)
        tracing.listen(provider.get_tracer("asoe", version("asoe")))

    async def flush(self) -> None:
        """Send what there is; tests wait for it."""
        await asyncio.to_thread(self._processor.force_flush)

    async def close(self) -> None:
        """Send the last spans, as far as that goes in `LAST_SECONDS`."""
        tracing.listen(None)
        ending = threading.Thread(target=self._processor.shutdown, name="tracing end", daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, LAST_SECONDS + 0.5)


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
