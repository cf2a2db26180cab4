"""The endpoint of MCP (Streamable HTTP, stateless): who may speak to it, from where, and where tokens for it come from.

Every POST is one JSON-RPC exchange with a server that remembers nothing; keys and tokens are the API's and go no further.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import APIRouter
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from asoe.api.door import Door, gate_of
from asoe.api.encoding import reply
from asoe.api.mcp.exchange import server
from asoe.api.mcp.tools import RULES
from asoe.api.tokens import MCP_PATH
from asoe.config import Settings
from asoe.domain.errors import Denied

PATH: Final = MCP_PATH
NEEDED: Final = sorted({rule.scope for rule in RULES.values() if rule.scope is not None})
"""What the tools need. Clients ask for all that is named here: so nothing is that lets an agent agree to its own acts."""
METADATA: Final = "/.well-known/oauth-protected-resource/mcp"

# it logs what callers send
logging.getLogger("mcp.server").setLevel(logging.CRITICAL)


class McpDoor(Door):
    """A refused caller also learns where tokens come from (RFC 9728)."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            response = await answer(request)
            proof = response.headers.get("www-authenticate")
            if proof is not None:
                where = base_of(request) + METADATA
                response.headers["www-authenticate"] = f'{proof}, resource_metadata="{where}"'
            return response

        return handle


router = APIRouter(route_class=McpDoor, tags=["mcp"])


@router.post(PATH, include_in_schema=False)
async def exchange(request: Request) -> Response:
    """One JSON-RPC request or notification."""
    check_origin(request, gate_of(request).settings)
    return _Exchange(await request.body())


@router.get(PATH, include_in_schema=False)
async def no_stream() -> Response:
    """There is no stream to open: the server has nothing to say by itself."""
    raise HTTPException(405, headers={"Allow": "POST"})


@router.get(METADATA, include_in_schema=False)
async def protected_resource(request: Request) -> Response:
    """What a client needs to get a token for this server; without an authorization server it is an API key."""
    settings = gate_of(request).settings
    base = base_of(request)
    found: dict[str, Any] = {
        "resource": base + PATH,
        "resource_name": "ASOE",
        "bearer_methods_supported": ["header"],
        "scopes_supported": NEEDED,
        "resource_documentation": f"{base}/docs",
    }
    if settings.jwt_issuer is not None and urlsplit(settings.jwt_issuer).scheme in {"https", "http"}:
        found["authorization_servers"] = [settings.jwt_issuer]
    return reply(found)


def check_origin(request: Request, settings: Settings) -> None:
    """Refuse names that are not ours (DNS rebinding) and web pages that were not let in.

    Raises `Denied` with foreign_host or foreign_origin.
    """
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    if not _is_ours(host, settings):
        raise Denied(
            "The Host of this request is not this installation's. Set ASOE_PUBLIC_URL to the address that clients use.",
            code="foreign_host",
        )
    origin = request.headers.get("origin")
    if origin is None:
        return
    allowed = {one.strip() for one in settings.cors_origins.split(",")} | {_origin(settings.public_url or "")}
    if origin not in allowed - {""} and origin != _origin(str(request.base_url)):
        raise Denied(
            "Web pages of this origin may not call the MCP server. ASOE_CORS_ORIGINS names those that may.",
            code="foreign_origin",
        )


def base_of(request: Request) -> str:
    """The address that clients know this installation by."""
    settings = gate_of(request).settings
    return (settings.public_url or str(request.base_url)).rstrip("/")


def _is_ours(host: str, settings: Settings) -> bool:
    if host in {"localhost", settings.host, urlsplit(settings.public_url or "").hostname}:
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True  # an address cannot be rebound, only a name can


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


class _Exchange(Response):
    """Hands one request to the SDK. What the door adds to `raw_headers` goes with whatever is answered."""

    def __init__(self, received: bytes) -> None:
        super().__init__()
        self.raw_headers = []
        self._received = received

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_read = False

        async def again() -> Message:
            nonlocal is_read
            if is_read:
                return await receive()
            is_read = True
            return {"type": "http.request", "body": self._received, "more_body": False}

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["status"] = int(message["status"])
                message["headers"] = [*message.get("headers", ()), *self.raw_headers]
            await send(message)

        manager = StreamableHTTPSessionManager(server(), stateless=True, json_response=True)
        async with manager.run():
            await manager.handle_request(scope, again, dressed)
