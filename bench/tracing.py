"""What a span costs: `python -m bench.tracing [--spans 20000]`.

CPU of this process for each span, with the attributes of an act: where no collector is named, and where every span is sent to
one (a process beside this one that reads and forgets), the sending thread included; and how long the end of the process then takes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final
from uuid import uuid4

from asoe import tracing
from asoe.app import open_tracing

_SINK: Final = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Sink(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200); self.send_header("content-length", "0"); self.end_headers()
    def log_message(self, *_): pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
print(server.server_port, flush=True)
server.serve_forever()
"""
_BURST: Final = 400


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=20_000)
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    off = await _cpu(wanted.spans)
    with subprocess.Popen([sys.executable, "-c", _SINK], stdout=subprocess.PIPE, text=True) as sink:  # noqa: ASYNC220  # it has to be there first
        assert sink.stdout is not None
        os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = f"http://127.0.0.1:{int(sink.stdout.readline())}/v1/traces"
        exporting = open_tracing()
        assert exporting is not None
        on = await _cpu(wanted.spans, flush=exporting.flush)
        began = time.monotonic()
        await exporting.close()
        ended = time.monotonic() - began
        sink.terminate()
    result = {
        "spans": wanted.spans,
        "off_microseconds": round(off, 2),
        "on_microseconds": round(on, 1),
        "close_seconds": round(ended, 2),
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(result, indent=2))
    if wanted.json:
        wanted.json.write_text(json.dumps(result))
    return 0


async def _cpu(spans: int, *, flush: Callable[[], Awaitable[None]] | None = None) -> float:
    """Microseconds of CPU for each span and its attributes, all threads of this process together."""
    org_id, run_id, left = uuid4(), uuid4(), spans
    began = time.process_time()
    while left > 0:
        for _ in range(min(left, _BURST)):
            with tracing.span("act", of="steps/unlock", org_id=org_id, run_id=run_id, step="steps/unlock") as span:
                span.note(connector="office", action="unlock", risk="reversible", status="done")
        left -= _BURST
        if flush is not None:
            await flush()  # or the waiting line would be full, and what is dropped costs nothing
    return (time.process_time() - began) / spans * 1e6


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
