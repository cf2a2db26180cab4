"""Outside agents in tests: the official SDK's client over a real socket, and what it gets back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
ACCEPT = {"Accept": "application/json, text/event-stream"}


@asynccontextmanager
async def speaking(url: str, token: str, *, mode: str = "auto") -> AsyncIterator[Client]:
    """An MCP client of the SDK that says who it is."""
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=40) as carrier:
        transport = streamable_http_client(f"{url}/mcp", http_client=carrier)
        async with Client(transport, mode=mode) as client:
            yield client


async def use(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """What the tool gave."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.structured_content
    return result.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """The code with which the tool was refused."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result.structured_content
    return result.structured_content["code"]


async def post(url: str, token: str | None, body: Any, **headers: str) -> httpx.Response:
    """One request as it goes over the wire."""
    proof = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient() as client:
        if isinstance(body, bytes):
            sent = {"content": body, "headers": {"Content-Type": "application/json", **ACCEPT, **proof, **headers}}
        else:
            sent = {"json": body, "headers": {**ACCEPT, **proof, **headers}}
        return await client.post(f"{url}/mcp", **sent)
