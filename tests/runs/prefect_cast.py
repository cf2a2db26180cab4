"""A real Prefect server for tests (scripts/prefect-server), runs in every state it knows, and a line to it that breaks."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from bench.asoe_under_load import free_port
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

SCRIPT = Path(__file__).parents[2] / "scripts" / "prefect-server"
BREAKS = ("refused", "torn_before", "failed_after", "torn_after", "silent_after")
LATE = {"type": "SCHEDULED", "name": "Late"}
PENDING, RUNNING, CRASHED = {"type": "PENDING"}, {"type": "RUNNING"}, {"type": "CRASHED"}
FLOW = """
from prefect import flow

@flow
def mend():
    return "done"

if __name__ == "__main__":
    mend.serve(name="served", pause_on_shutdown=False)
"""
SUSPENDED = {"type": "PAUSED", "name": "Suspended", "state_details": {"pause_reschedule": True}}


@contextmanager
def prefect_server(folder: Path, *, seconds: float = 600) -> Iterator[str]:
    """The address of its API. Its process group is stopped at the end, whatever happens."""
    port = free_port()
    command = ["bash", str(SCRIPT), "run", str(port), str(folder)]
    with _going(command, folder, f"http://127.0.0.1:{port}/api/health", int(seconds), os.environ):
        yield f"http://127.0.0.1:{port}/api"


@contextmanager
def worker_of(address: str, folder: Path, *, seconds: float = 300) -> Iterator[str]:
    """A real worker that serves one flow; yields where its deployment is. Its flows end well."""
    (folder / "mend.py").write_text(FLOW)
    python = SCRIPT.parents[1] / ".venv" / "prefect" / "bin" / "python"
    told = {"PREFECT_API_URL": address, "PREFECT_HOME": str(folder), "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    url = f"{address}/deployments/name/mend/served"
    with _going([str(python), str(folder / "mend.py")], folder, url, int(seconds), {**os.environ, **told}):
        yield url


@contextmanager
def _going(command: list[str], folder: Path, url: str, seconds: int, environment: Mapping[str, str]) -> Iterator[None]:
    log = folder / "out.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, start_new_session=True, cwd=folder, env={**environment}
        )
    try:
        _wait(process, url, log, seconds)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path, seconds: int) -> None:
    for _ in range(seconds * 2):
        if process.poll() is not None:
            raise AssertionError(f"Prefect ended: {log.read_text()[-2000:]} (make system installs it)")
        try:
            if httpx.get(url, timeout=2).is_success:
                return
        except httpx.HTTPError:
            pass
        try:
            process.wait(0.5)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError(f"Prefect was not up within {seconds} s: {log.read_text()[-2000:]}")


@dataclass
class Prefect:
    """Speaks to the server as flows and workers do."""

    http: httpx.AsyncClient
    flow_id: str
    deployment_id: str

    async def run(self, *states: dict[str, Any], tag: str, deployed: bool = True, due: timedelta | None = None) -> str:
        """A run that was due (an hour ago, if nothing else is said) and went through these states."""
        at = datetime.now(UTC) - (timedelta(hours=1) if due is None else due)
        body: dict[str, Any] = {
            "tags": [tag],
            "state": {"type": "SCHEDULED", "state_details": {"scheduled_time": at.isoformat()}},
        }
        path = f"/deployments/{self.deployment_id}/create_flow_run"
        if not deployed:
            path, body = "/flow_runs/", {**body, "flow_id": self.flow_id}
        run_id = str((await self.ask(path, body))["id"])
        for state in states:
            await self.set_state(run_id, state)
        return run_id

    async def set_state(self, run_id: str, state: dict[str, Any]) -> None:
        said = await self.ask(f"/flow_runs/{run_id}/set_state", {"state": state})
        assert said["status"] == "ACCEPT", said

    async def heartbeat(self, run_id: str, at: datetime) -> None:
        event = {
            "id": str(uuid4()),
            "event": "prefect.flow-run.heartbeat",
            "occurred": at.isoformat(),
            "resource": {"prefect.resource.id": f"prefect.flow-run.{run_id}"},
        }
        (await self.http.post("/events", json=[event])).raise_for_status()

    async def states(self, run_id: str) -> list[str]:
        found = (await self.http.get("/flow_run_states/", params={"flow_run_id": run_id})).json()
        return [state["name"] for state in found]

    async def ask(self, path: str, body: Any) -> Any:
        return await _posted(self.http, path, body)


async def _posted(http: httpx.AsyncClient, path: str, body: Any) -> Any:
    for _ in range(50):  # its SQLite is busy for a moment now and then
        answer = await http.post(path, json=body)
        if answer.status_code != 503:
            break
        await asyncio.sleep(0.2)
    assert answer.is_success, answer.text
    return answer.json()


async def prefect_at(http: httpx.AsyncClient) -> Prefect:
    """A flow with a deployment."""
    flow = await _posted(http, "/flows/", {"name": "nightly"})
    deployment = await _posted(http, "/deployments/", {"name": "d", "flow_id": flow["id"]})
    return Prefect(http, flow["id"], deployment["id"])


@dataclass
class Line:
    """Passes calls on to the server. `breaks`: what happens to the next changes of a state, one each.

    `worker` is called with the id of a run that was reset, before the answer goes back: it plays the worker that takes it.
    `url` is where it is served. Its answers bear the line's own clock, which may go two seconds behind the server's.
    """

    http: httpx.AsyncClient
    breaks: deque[str] = field(default_factory=deque)
    changes: int = 0
    worker: Callable[[str], Awaitable[None]] | None = None
    url: str = ""

    def application(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self._pass, methods=["GET", "POST"])])

    async def _pass(self, request: Request) -> Response:
        path = request.path_params["path"]
        is_act = path.endswith("/set_state")
        fault = self.breaks.popleft() if is_act and self.breaks else ""
        if fault == "refused":
            return PlainTextResponse("busy", 429, {"retry-after": "0"})
        if fault == "torn_before":
            return _Torn()
        answer = await self.http.request(
            request.method,
            f"/{path}?{request.url.query}" if request.url.query else f"/{path}",
            content=await request.body(),
            headers={"content-type": "application/json"},
        )
        if is_act:
            self.changes += 1
            if self.worker is not None and answer.json()["status"] == "ACCEPT":
                await self.worker(path.split("/")[-2])
        match fault:
            case "failed_after":
                return PlainTextResponse("a fault", 500)
            case "torn_after":
                return _Torn()
            case "silent_after":
                await asyncio.sleep(1.5)
        return Response(answer.content, answer.status_code, {"content-type": "application/json"})


class _Torn(Response):
    """The line breaks instead of an answer."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
        await send({"type": "http.response.body", "body": b"{", "more_body": False})
