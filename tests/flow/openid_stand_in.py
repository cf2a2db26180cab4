"""An OpenID provider on a port of this machine, stricter than real ones: every parameter right, each code once, PKCE always.

`lies` says what it does wrong on purpose; whoever is in `people` is let through without being asked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "asoe-test", "s3cr3t/with:signs"
_KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}, private=True)
_OTHER = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}, private=True)


@dataclass
class Provider:
    """`claims` go over those of an honest token; `alg` and `key` sign it; `kid` is said to have signed it."""

    redirect_uri: str
    now: Any
    email: str = "ben.agent@acme.example"
    issuer: str = ""
    lies: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.describe),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Route("/keys", self.keys),
            ]
        )

    async def describe(self, _: Request) -> Response:
        found = {
            "issuer": self.lies.get("described_issuer", self.issuer),
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": self.lies.get("token_endpoint", f"{self.issuer}/token"),
            "jwks_uri": f"{self.issuer}/keys",
        }
        return JSONResponse(found)

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        wanted = {
            "response_type": "code",
            "client_id": CLIENT,
            "redirect_uri": self.redirect_uri,
            "code_challenge_method": "S256",
        }
        for name, value in wanted.items():
            if asked.get(name) != value:
                return self._refuse(f"{name} is {asked.get(name)!r}")
        if "openid" not in asked["scope"].split() or any(
            len(asked.get(name, "")) < 32 for name in ("state", "nonce", "code_challenge")
        ):
            return self._refuse("scope, state, nonce or challenge")
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        answer = {
            "code": code,
            "state": self.lies.get("state", asked["state"]),
            "iss": self.lies.get("iss", self.issuer),
        }
        return RedirectResponse(f"{self.redirect_uri}?{urlencode(answer)}", 303)

    async def token(self, request: Request) -> Response:
        form = dict(await request.form())
        pair = base64.b64encode(f"{CLIENT}:s3cr3t%2Fwith%3Asigns".encode()).decode()
        if request.headers.get("authorization") != f"Basic {pair}":
            return self._refuse("client", 401)
        asked = self.codes.pop(str(form.get("code")), None)
        if asked is None:
            return self._refuse("code")
        digest = hashlib.sha256(str(form.get("code_verifier")).encode()).digest()
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != asked["code_challenge"]:
            return self._refuse("verifier")
        if form.get("redirect_uri") != self.redirect_uri or form.get("grant_type") != "authorization_code":
            return self._refuse("redirect_uri or grant_type")
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": self.sign(asked["nonce"])})

    def sign(self, nonce: str) -> str:
        now: datetime = self.now()
        at = int(now.timestamp())
        honest = {"iss": self.issuer, "aud": CLIENT, "sub": "u-1", "iat": at, "exp": at + 300, "nonce": nonce}
        claims = {**honest, "email": self.email, "email_verified": True, **self.lies.get("claims", {})}
        claims = {name: value for name, value in claims.items() if value is not None}
        if algorithm := self.lies.get("alg"):
            parts = [json.dumps(each).encode() for each in ({"alg": algorithm, "typ": "JWT", "kid": "one"}, claims)]
            signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
            public = _KEY.as_pem(private=False)  # what everybody can read
            signature = hmac.digest(public, signed, "sha256") if algorithm == "HS256" else b""
            return f"{signed.decode()}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
        header = {"alg": "RS256", "kid": "one", **self.lies.get("header", {})}
        return jwt.encode(header, claims, _OTHER if self.lies.get("other_key") else _KEY)

    async def keys(self, _: Request) -> Response:
        return JSONResponse({"keys": [_KEY.as_dict(private=False)]})

    def _refuse(self, why: str, status: int = 400) -> Response:
        self.refused.append(why)
        return PlainTextResponse(json.dumps({"error": "invalid_request"}), status, media_type="application/json")
