"""The whole service: the product's API, the door for breaking it under /admin, and failures on demand in front of both.

`build_app` for tests in process, `running` for a real server on a port, `serve` for the command line.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from granian.constants import Interfaces
from granian.server.embed import Server
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asoe.demo.estate.admin import build_admin
from asoe.demo.estate.api import build_api
from asoe.demo.estate.store import Failure, Store


@dataclass(frozen=True, slots=True)
class Tokens:
    """The demo's tokens are no secrets: the estate listens on this machine only and holds invented customers."""

    operator: str = field(default="estate-operator", repr=False)
    reader: str = field(default="estate-reader", repr=False)
    admin: str = field(default="estate-admin", repr=False)


DEMO_TOKENS: Final = Tokens()


def build_app(store: Store, tokens: Tokens = DEMO_TOKENS) -> ASGIApp:
    """The service as an ASGI application over a seeded store."""
    product = build_api(store, {tokens.operator: "operator", tokens.reader: "reader"})
    admin = build_admin(store, tokens.admin)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await product(scope, receive, send)
            return
        path = scope["path"]
        if path.startswith("/admin/"):
            await admin(scope, receive, send)
            return
        failure = store.take_failure(scope["method"], path)
        if failure is None:
            await product(scope, receive, send)
        else:
            await _fail(failure, product, scope, receive, send)

    return app


@asynccontextmanager
async def running(store: Store, tokens: Tokens = DEMO_TOKENS, *, port: int = 0) -> AsyncIterator[str]:
    """Serve on this machine while the block runs; yields the base URL."""
    chosen = port or _free_port()
    server = Server(
        build_app(store, tokens), address="127.0.0.1", port=chosen, interface=Interfaces.ASGI, log_enabled=False
    )
    task = asyncio.create_task(server.serve())
    try:
        await _until_listening(chosen, task)
        yield f"http://127.0.0.1:{chosen}"
    finally:
        server.stop()  # type: ignore[no-untyped-call]  # granian has no types here
        await task


async def _fail(failure: Failure, product: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """`before` and `after` the effect, answered by 503 or (`drop_…`) by a connection that breaks; `delay` answers late."""
    if failure.mode == "delay":
        await asyncio.sleep(failure.seconds)
        await product(scope, receive, send)
        return
    if failure.mode in {"after", "drop_after"}:
        await product(scope, receive, _nowhere)
    if failure.mode in {"drop_before", "drop_after"}:
        await _drop(send)
        return
    problem = {"code": "out_of_order", "message": "Out of order for the moment.", "field": None}
    body = json.dumps({"error": problem}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _nowhere(_: Message) -> None:
    """The answer that nobody gets."""


async def _drop(send: Send) -> None:
    """Promise more than is sent: the server can only break the connection, and the client cannot know what happened."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"4096")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{", "more_body": True})


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


async def _until_listening(port: int, task: asyncio.Task[None]) -> None:
    for _ in range(500):
        if task.done():
            task.result()
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.close()
        await writer.wait_closed()
        return
    raise TimeoutError(f"The estate does not listen on port {port} after 5 seconds.")
