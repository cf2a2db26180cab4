"""The endpoint of A2A and its Agent Card. Keys and tokens are the API's; the SDK is loaded with the first call."""

from __future__ import annotations

import asyncio
import hashlib
from importlib import import_module
from importlib.metadata import version
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from asoe.api.door import gate_of
from asoe.api.encoding import reply
from asoe.api.mcp.door import McpDoor, base_of, check_origin

PATH: Final = "/a2a"
CARD: Final = "/.well-known/agent-card.json"

router = APIRouter(route_class=McpDoor, tags=["a2a"])


@router.post(PATH, include_in_schema=False)
async def exchange(request: Request) -> Response:
    """One JSON-RPC request; streaming methods answer with server-sent events."""
    check_origin(request, gate_of(request).settings)
    agent = await asyncio.to_thread(import_module, "asoe.api.a2a.agent")
    response: Response = await agent.dispatcher().handle_requests(request)
    return response


@router.get(CARD, include_in_schema=False)
async def agent_card(request: Request) -> Response:
    """Who this agent is, what it can do, and how to prove who calls."""
    response = reply(card(base_of(request)), headers={"Cache-Control": "public, max-age=300"})
    response.headers["ETag"] = f'"{hashlib.sha256(response.body).hexdigest()[:32]}"'
    if request.headers.get("if-none-match") == response.headers["ETag"]:
        return Response(status_code=304, headers={name: response.headers[name] for name in ("ETag", "Cache-Control")})
    return response


def card(base: str) -> dict[str, Any]:
    return {
        "name": "ASOE",
        "description": (
            "A support desk: takes what a client wants, answers it from its knowledge base, repairs it where a runbook "
            "may, and otherwise hands it to a person. A task is a ticket; it ends `completed` when it is resolved."
        ),
        "version": version("asoe"),
        "supportedInterfaces": [{"url": base + PATH, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
        "documentationUrl": f"{base}/docs",
        "capabilities": {"streaming": True, "pushNotifications": True, "extendedAgentCard": False},
        "securitySchemes": {
            "bearer": {"httpAuthSecurityScheme": {"scheme": "Bearer", "description": "An API key (asoe_…) or a JWT."}}
        },
        "securityRequirements": [{"schemes": {"bearer": {"list": []}}}],
        "defaultInputModes": ["text/plain", "application/json"],
        "defaultOutputModes": ["text/plain"],
        "skills": [
            {
                "id": "support",
                "name": "Settle a support request",
                "description": "Say in plain words what is wrong or wanted. Questions back, approvals and persons may take time.",
                "tags": ["support", "tickets", "troubleshooting", "billing"],
                "examples": ["Where does our VAT number go?", "My run has been stuck for an hour, please restart it."],
            }
        ],
    }
