"""An MCP client that has no key gets its token where the server says: refused, shown the way, let in, with no more than was agreed."""

from __future__ import annotations

import base64
import hashlib
import secrets
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

import httpx
import httpx2
import pytest
from agent_cast import INITIALIZE, post, refused, use
from flow_cast import problem
from joserfc import jwt
from joserfc.jwk import OctKey
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

sys.path.insert(0, str(Path(__file__).parents[1] / "connectors"))
from connector_cast import served

from asoe.api.http import create_app
from asoe.api.mcp.tools import TOOLS
from asoe.app import App

SECRET = "an authorization server's secret of 48 characters"
BACK = "http://127.0.0.1:3030/callback"
NEEDED = {"tickets:read", "tickets:write", "knowledge:read", "runbooks:read", "runbooks:write"}


@dataclass
class AuthorizationServer:
    """Registers whoever asks, lets one person in without asking, and signs for the resource it was asked for (RFC 8707)."""

    url: str = ""
    person: Any = None
    agreed: str | None = None
    """The scopes the person agrees to; None: all that are asked for."""
    asked: list[dict[str, str]] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/oauth-authorization-server", self.describe),
                Route("/register", self.register, methods=["POST"]),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
            ]
        )

    async def describe(self, _: Request) -> Response:
        ends = {f"{name}_endpoint": f"{self.url}/{path}" for name, path in _ENDS.items()}
        kinds = {"response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"]}
        return JSONResponse({"issuer": self.url, **ends, **kinds, "token_endpoint_auth_methods_supported": ["none"]})

    async def register(self, request: Request) -> Response:
        wanted = await request.json()
        return JSONResponse({**wanted, "client_id": secrets.token_hex(8), "token_endpoint_auth_method": "none"}, 201)

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.asked.append(asked)
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}", 303)

    async def token(self, request: Request) -> Response:
        form = dict(await request.form())
        asked = self.codes.pop(str(form["code"]))
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == asked["code_challenge"]
        scope = asked["scope"] if self.agreed is None else self.agreed
        made = self.sign(aud=str(form["resource"]), scope=scope)
        return JSONResponse({"access_token": made, "token_type": "Bearer", "expires_in": 600, "scope": scope})

    def sign(self, **claims: Any) -> str:
        now, who = int(time.time()), self.person
        honest = {"iss": self.url, "sub": str(who.user_id), "org_id": str(who.org_id), "iat": now, "exp": now + 600}
        return jwt.encode({"alg": "HS256", "typ": "at+jwt"}, {**honest, **claims}, OctKey.import_key(SECRET))


_ENDS = {"authorization": "authorize", "token": "token", "registration": "register"}


class Kept:
    """What a client keeps, in memory."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@pytest.fixture
async def authority(acme: Any) -> AsyncIterator[AuthorizationServer]:
    made = AuthorizationServer(person=acme.agent)
    async with served(made.app()) as url:
        made.url = url
        yield made


@pytest.fixture
async def house(app: App, authority: AuthorizationServer) -> AsyncIterator[str]:
    """The application that takes this server's tokens, at an address that it knows to be its own."""
    inside: list[Any] = []

    async def door(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await inside[0](scope, receive, send)

    async with served(door) as url:
        known = {"jwt_secret": SECRET, "jwt_issuer": authority.url, "jwt_audience": "asoe", "public_url": url}
        inside.append(create_app(replace(app, settings=app.settings.model_copy(update=known))))
        yield url


@asynccontextmanager
async def client_of(house: str) -> AsyncIterator[Client]:
    """The SDK's client, which knows nothing but the server's address; its person's browser goes where it is sent."""
    back: list[str] = []

    async def go(url: str) -> None:
        async with httpx.AsyncClient() as browser:
            back.append((await browser.get(url)).headers["location"])

    async def came_back() -> AuthorizationCodeResult:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(back[-1]).query).items()}
        return AuthorizationCodeResult(code=asked["code"], state=asked["state"])

    wanted = OAuthClientMetadata(redirect_uris=[BACK], client_name="An agent", token_endpoint_auth_method="none")
    auth = OAuthClientProvider(f"{house}/mcp", wanted, Kept(), go, came_back)
    async with (
        httpx2.AsyncClient(auth=auth, timeout=40) as carrier,
        Client(streamable_http_client(f"{house}/mcp", http_client=carrier)) as client,
    ):
        yield client


async def test_a_client_that_knows_only_the_address_is_shown_the_way_and_let_in(
    house: str, authority: AuthorizationServer
) -> None:
    async with client_of(house) as mcp:
        opened = await use(mcp, "open_ticket", body="Where is the invoice of May?")
        assert opened["ticket"]["number"] == 1
        assert {tool.name for tool in (await mcp.list_tools()).tools} == set(TOOLS)
    (asked,) = authority.asked
    assert asked["resource"] == f"{house}/mcp"
    assert set(asked["scope"].split()) == NEEDED, "nothing it could agree to its own acts with"


async def test_a_token_allows_no_more_than_its_person_agreed_to(house: str, authority: AuthorizationServer) -> None:
    authority.agreed = "openid tickets:read knowledge:read"
    async with client_of(house) as mcp:
        offered = {tool.name for tool in (await mcp.list_tools()).tools}
        assert {"find_tickets", "search_knowledge"} <= offered
        assert not {"open_ticket", "add_note", "run_runbook", "list_approvals"} & offered
        assert await refused(mcp, "open_ticket", body="Hello") == "scope_missing"
    token = authority.sign(aud=f"{house}/mcp", scope=" ".join(NEEDED))
    async with httpx.AsyncClient(base_url=house, headers={"Authorization": f"Bearer {token}"}) as by_hand:
        decided = await by_hand.post(f"/api/support/approvals/{uuid4()}/decide", json={"vote": "approve"})
        problem(decided, 403, "scope_missing")


async def test_a_token_for_another_server_or_by_another_signer_opens_nothing(
    house: str, authority: AuthorizationServer
) -> None:
    for claims in ({"aud": "https://other.example/mcp"}, {"aud": f"{house}/mcp", "iss": "https://evil.example"}):
        answered = await post(house, authority.sign(**claims), INITIALIZE)
        problem(answered, 401, "bad_token")
        assert (
            f'resource_metadata="{house}/.well-known/oauth-protected-resource/mcp"'
            in answered.headers["www-authenticate"]
        )
    late = authority.sign(aud=f"{house}/mcp", exp=int(time.time()) - 600)
    problem(await post(house, late, INITIALIZE), 401, "expired_token")
    assert (await post(house, authority.sign(aud=[f"{house}/mcp", "else"]), INITIALIZE)).is_success
