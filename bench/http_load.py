"""A small HTTP/1.1 load generator: keep-alive connections, raw asyncio streams, its own CPU time measured."""

from __future__ import annotations

import asyncio
import json
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass(slots=True)
class LoadReport:
    """What came back. Latencies in seconds; `cpu_seconds` is the generator's own share."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    bodies: list[Any] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def quantile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


async def run_load(
    url: str,
    requests: Iterator[tuple[str, str, dict[str, str], bytes]],
    *,
    connections: int = 16,
    keep: Callable[[Any], Any] | None = None,
) -> LoadReport:
    """Send every (method, path, headers, body) over `connections` keep-alive connections; `keep` picks of each JSON reply."""
    report = LoadReport()
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    cpu = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()

    async def worker() -> None:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            for method, path, headers, body in requests:
                lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{port}", f"Content-Length: {len(body)}"]
                lines += [f"{name}: {value}" for name, value in headers.items()]
                begun = time.perf_counter()
                writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
                status, payload = await _read_reply(reader)
                report.latencies.append(time.perf_counter() - begun)
                report.statuses[status] = report.statuses.get(status, 0) + 1
                if keep is not None:
                    report.bodies.append(keep(json.loads(payload)))
        finally:
            writer.close()

    await asyncio.gather(*(worker() for _ in range(connections)))
    report.seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    report.cpu_seconds = after.ru_utime + after.ru_stime - cpu.ru_utime - cpu.ru_stime
    return report


async def _read_reply(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    lowered = head.lower()
    if b"transfer-encoding: chunked" in lowered:
        chunks = []
        while size := int((await reader.readline()).strip(), 16):
            chunks.append(await reader.readexactly(size))
            await reader.readexactly(2)
        await reader.readexactly(2)
        return status, b"".join(chunks)
    at = lowered.find(b"content-length:")
    length = int(lowered[at + 15 : lowered.find(b"\r\n", at)]) if at >= 0 else 0
    return status, await reader.readexactly(length)
