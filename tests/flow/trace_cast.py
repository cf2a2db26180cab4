"""A collector that takes OTLP over HTTP as the protocol writes it, a back office to act on, and a worker that works until all is done."""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2

from asoe.app import App
from asoe.desk import notification
from asoe.queue import depth
from asoe.queue.worker import Handler, Retries, Worker

KINDS = {value: name.removeprefix("SPAN_KIND_").lower() for name, value in trace_pb2.Span.SpanKind.items()}
RUNBOOK = """
runbook: unlock-account
title: Your account is unlocked
resolution_type: auto_fix
match: {phrases: [my account is locked]}
connectors: {office: office}
goal:
  reads: [{call: office.get_account, with: {email: =contact.email}, into: account}]
  met: =account.status == "active"
steps:
  - fix: unlock
    check: [{call: office.get_account, with: {email: =contact.email}, into: account}]
    when: =account.status == "locked"
    act: {call: office.unlock, with: {email: =contact.email}}
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """One span as it came over the wire."""

    trace: str
    id: str
    parent: str
    name: str
    kind: str
    is_error: bool
    attributes: Mapping[str, Any]
    links: tuple[str, ...]


@dataclass(slots=True)
class Collector:
    """What was sent, as bytes and as spans."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    figures: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def spans(self) -> list[Seen]:
        return [_seen(span) for body in self.bodies for span in _spans(body)]

    @property
    def text(self) -> str:
        """All that was sent, as anybody could read it."""
        return b"\n".join(self.bodies).decode("latin-1")

    def trace_of(self, name: str) -> list[Seen]:
        """The whole trace in which a span with this name is."""
        traces = {span.trace for span in self.spans if span.name == name}
        assert len(traces) == 1, (name, sorted(span.name for span in self.spans))
        return [span for span in self.spans if span.trace in traces]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a port of its own."""
    collector = Collector()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.headers["content-type"] == "application/x-protobuf"
            match self.path:
                case "/v1/traces":
                    ExportTraceServiceRequest.FromString(body)
                    collector.bodies.append(body)
                case "/v1/metrics":
                    collector.figures += _figures(ExportMetricsServiceRequest.FromString(body))
                case path:
                    raise AssertionError(path)
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        server.daemon_threads = True
        collector.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


@dataclass(slots=True)
class Office:
    """A back office over HTTP: accounts by address, and what it was told."""

    url: str = ""
    accounts: dict[str, str] = field(default_factory=dict)
    told: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:]) if name}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        target = head[0].split(" ")[1]
        self.told.append((target, headers, body))
        email = httpx.URL(f"http://x{target}").params.get("email", "")
        if target.startswith("/unlock"):
            email = json.loads(body)["email"]
            self.accounts[email] = "active"
        answer = json.dumps({"status": self.accounts.get(email, "")}).encode()
        writer.write(b"HTTP/1.1 200 Fine\r\nconnection: close\r\ncontent-type: application/json\r\n")
        writer.write(f"content-length: {len(answer)}\r\n\r\n".encode() + answer)
        await writer.drain()
        writer.close()

    @property
    def connector(self) -> dict[str, Any]:
        """What an admin writes to have it acted on."""
        email = {"email": {"in": "query", "required": True}}
        return {
            "base_url": self.url,
            "allow_http": True,
            "operations": {
                "get_account": {"method": "GET", "path": "/account", "parameters": email, "risk": "read"},
                "unlock": {
                    "method": "POST",
                    "path": "/unlock",
                    "parameters": {"email": {"in": "body", "required": True}},
                    "risk": "reversible",
                    "repeats": "by_key",
                },
            },
        }


@asynccontextmanager
async def open_office() -> AsyncIterator[Office]:
    office = Office()
    server = await asyncio.start_server(office.serve, "127.0.0.1", 0)
    office.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield office
    server.close()
    await server.wait_closed()


async def work_all(app: App, *, wrap: Any = lambda handler: handler) -> None:
    """Do every job there is, tell what happened, and do the jobs which that makes, in a worker as it works in production."""
    handlers: dict[str, Handler] = {
        "advance": wrap(app._advance),
        "advance_run": app._advance_run,
        "deliver": app._deliver,
    }
    worker = Worker(
        app.app_url,
        handlers,
        poll=timedelta(seconds=0.05),
        retries=Retries(first=timedelta(seconds=0.01)),
        listen=False,
    )
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(stop))
    try:
        async with asyncio.timeout(60):
            for _ in range(2):
                while await _is_busy(app):  # noqa: ASYNC110  # the queue's own table is the only one who knows
                    await asyncio.sleep(0.02)
                await notification.spread(app.desk)
            while await _is_busy(app):  # noqa: ASYNC110  # the queue's own table is the only one who knows
                await asyncio.sleep(0.02)
    finally:
        stop.set()
        await task


async def _is_busy(app: App) -> bool:
    async with app.database.app.acquire() as connection:
        found = await depth(connection)
    return bool(found["queued"] or found["delayed"] or found["running"])


def read_json(body: dict[str, Any]) -> list[Seen]:
    """An OTLP request as JSON, whose ids are hexadecimal, where JSON of other protocols has base 64."""
    for resource in body["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for name in ("traceId", "spanId", "parentSpanId"):
                    span[name] = b64encode(bytes.fromhex(span[name])).decode()
    request = ParseDict(body, ExportTraceServiceRequest())
    spans = [_seen(span) for span in _spans(request.SerializeToString())]
    ids = [span.id for span in spans]
    assert len(set(ids)) == len(ids)
    assert all(span.parent in ids for span in spans if span.parent)
    return spans


def _spans(body: bytes) -> Iterator[trace_pb2.Span]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            yield from scope.spans


def _figures(request: ExportMetricsServiceRequest) -> list[tuple[str, dict[str, Any]]]:
    """Each figure's name and labels."""
    return [
        (metric.name, {each.key: _value(each.value) for each in point.attributes})
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in (*metric.sum.data_points, *metric.histogram.data_points)
    ]


def _seen(span: trace_pb2.Span) -> Seen:
    return Seen(
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        name=span.name,
        kind=KINDS[span.kind],
        is_error=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        attributes={each.key: _value(each.value) for each in span.attributes},
        links=tuple(link.trace_id.hex() for link in span.links),
    )


def _value(value: Any) -> Any:
    match value.WhichOneof("value"):
        case "array_value":
            return [_value(each) for each in value.array_value.values]
        case str() as name:
            return getattr(value, name)
        case _:
            return None


def drawn(spans: list[Seen]) -> list[str]:
    """The tree, a line for each span, indented under what it is part of; ids of a ticket are left out."""
    known = {span.id for span in spans}
    below: dict[str, list[Seen]] = {}
    for span in spans:
        below.setdefault(span.parent if span.parent in known else "", []).append(span)

    def lines(at: str, depth: int) -> Iterator[str]:
        for span in below.get(at, ()):
            yield "  " * depth + re.sub(r"[0-9a-f-]{36}", "ID", span.name)
            yield from lines(span.id, depth + 1)

    return list(lines("", 0))
