"""Asks an OpenID provider who somebody is: authorization code with PKCE, state and nonce. Whom that lets in is the desk's.

Believed is only what the provider's published keys signed, for us, now, in answer to this very visit. Nothing in a token
chooses algorithm, key or issuer. OpenID Connect Core 1.0, RFC 7636 (PKCE), RFC 9207 (issuer in the answer).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import httpx
import structlog
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jws import extract_compact

from asoe.api.tokens import ASYMMETRIC, SKEW_SECONDS, PublishedKeys, SignatureRegistry, fits
from asoe.config import Settings
from asoe.domain.errors import Denied, FieldProblem, Invalid, Unavailable

CALLBACK: Final = "/sign-in/oidc/callback"
_SCOPE: Final = "openid email profile"
_FRESH_SECONDS: Final = 3600.0
_TIMEOUT: Final = 10.0
_LARGEST: Final = 1024 * 1024
_LONGEST_TOKEN: Final = 16 * 1024
_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_NEEDED: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_log = structlog.get_logger("asoe.web")


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one visitor's sign-in is bound to; it stays with the visitor's browser."""

    state: str
    nonce: str
    verifier: str = field(repr=False)

    @staticmethod
    def new() -> Attempt:
        return Attempt(*(secrets.token_urlsafe(32) for _ in range(3)))


@dataclass(frozen=True, slots=True)
class Proven:
    """Who the provider says this is; the address is verified there."""

    subject: str
    email: str


class OpenIdProvider:
    """The one provider of an installation. Its description and keys are fetched when first needed, and kept for a while."""

    def __init__(
        self, issuer: str, client_id: str, secret: str | None, *, redirect_uri: str, clock: Callable[[], datetime]
    ) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._secret = secret
        self._redirect_uri = redirect_uri
        self._clock = clock
        self._described: dict[str, Any] = {}
        self._described_at = float("-inf")
        self._describing = asyncio.Lock()
        self._keys = PublishedKeys(self._fetch_keys, clock)
        self._registry = SignatureRegistry(ASYMMETRIC)

    async def address(self, attempt: Attempt) -> str:
        """Where the visitor goes to prove who it is; raises `Unavailable(sign_in_provider_unavailable)`."""
        found = await self._description()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._redirect_uri,
            "scope": _SCOPE,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        there = found["authorization_endpoint"]
        return f"{there}{'&' if '?' in there else '?'}{urlencode(asked)}"

    async def prove(self, attempt: Attempt, *, code: str, state: str, issuer: str | None) -> Proven:
        """Who came back; `issuer` is what the answer itself says, if it does.

        Raises `Denied(sign_in_not_proven)`, `Denied(address_not_verified)`, `Unavailable(sign_in_provider_unavailable)`.
        """
        if not hmac.compare_digest(state.encode(), attempt.state.encode()):
            raise _unproven("the answer belongs to another visit")
        if issuer is not None and issuer != self._issuer:
            raise _unproven("the answer comes from another provider")
        if not code:
            raise _unproven("the provider gave no code")
        token = await self._redeem(code, attempt.verifier)
        claims = await self._claims(token)
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), attempt.nonce.encode()):
            raise _unproven("its nonce is not that of this visit")
        email = claims.get("email")
        if claims.get("email_verified") is not True or not isinstance(email, str) or not email:
            raise Denied(
                "The provider has not verified your address, so it cannot open an account here.",
                code="address_not_verified",
                unproven=True,
            )
        return Proven(str(claims["sub"]), email)

    async def _redeem(self, code: str, verifier: str) -> str:
        found = await self._description()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
        }
        headers = {"Accept": "application/json"}
        if self._secret is None:
            form["client_id"] = self._client_id
        else:
            pair = f"{quote(self._client_id, safe='')}:{quote(self._secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        status, answer = await self._ask("POST", found["token_endpoint"], headers=headers, data=form)
        if status >= 500:
            raise _away("its token endpoint fails")
        token = answer.get("id_token")
        if status != 200 or str(answer.get("token_type", "")).lower() != "bearer" or not isinstance(token, str):
            _log.warning("openid.code_refused", status=status, error=str(answer.get("error", ""))[:100])
            raise _unproven("the provider does not take the code")
        return token

    async def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > _LONGEST_TOKEN or not token.isascii():
            raise _unproven("its token is not one")
        try:
            header = dict(extract_compact(token.encode(), registry=self._registry).headers())
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise _unproven("its token is not one") from None
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ASYMMETRIC or str(header.get("typ", "JWT")).lower() != "jwt":
            raise _unproven("its token is not signed as it must be")
        if kid is not None and not isinstance(kid, str):
            raise _unproven("its token is not one")
        model = self._registry.get_alg(algorithm)
        for key in [each for each in await self._keys.keys(kid) if fits(model, each)]:
            try:
                claims = dict(jwt.decode(token, key, registry=self._registry).claims)
            except (JoseError, ValueError, TypeError):
                continue
            self._judge(claims)
            return claims
        raise _unproven("its signature does not verify")

    def _judge(self, claims: dict[str, Any]) -> None:
        rules = jwt.JWTClaimsRegistry(
            now=lambda: int(self._clock().timestamp()),
            leeway=SKEW_SECONDS,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        )
        try:
            rules.validate(claims)
        except (JoseError, ValueError, TypeError) as error:
            raise _unproven(f"its token is not for us, or not for now ({getattr(error, 'claim', 'a claim')})") from None
        audience = claims["aud"]
        is_shared = isinstance(audience, list) and len(audience) > 1
        if (is_shared or "azp" in claims) and claims.get("azp") != self._client_id:
            raise _unproven("its token was made for another client (azp)")
        if not isinstance(claims["sub"], str) or not claims["sub"]:
            raise _unproven("its token names nobody (sub)")

    async def _description(self) -> dict[str, Any]:
        async with self._describing:
            if not 0 <= self._now() - self._described_at <= _FRESH_SECONDS:
                status, found = await self._ask("GET", f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
                if status != 200 or found.get("issuer") != self._issuer:
                    raise _away("its description is not there, or is another's (ASOE_OIDC_ISSUER)")
                if not all(is_safe(found.get(name)) for name in _NEEDED):
                    raise _away("its description lacks an address, or one is without TLS")
                self._described, self._described_at = found, self._now()
            return self._described

    async def _fetch_keys(self) -> bytes:
        found = await self._description()
        return json.dumps((await self._ask("GET", found["jwks_uri"]))[1]).encode()

    async def _ask(self, method: str, url: str, **options: Any) -> tuple[int, dict[str, Any]]:
        try:
            async with (
                asyncio.timeout(_TIMEOUT),
                httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False) as client,
                client.stream(method, url, **options) as answer,
            ):
                content = b""
                async for chunk in answer.aiter_bytes():
                    content += chunk
                    if len(content) > _LARGEST:
                        raise _away("it says too much")
                found = json.loads(content or b"{}")
                return answer.status_code, found if isinstance(found, dict) else {}
        except (OSError, TimeoutError, httpx.HTTPError, ValueError) as error:
            raise _away(f"it does not answer as it should ({type(error).__name__})") from None

    def _now(self) -> float:
        return self._clock().timestamp()


def open_provider(settings: Settings, clock: Callable[[], datetime]) -> OpenIdProvider | None:
    """The provider that the settings name, None where they name none; raises `Invalid(bad_settings)`."""
    if not settings.oidc_issuer:
        return None
    wanted = {
        "ASOE_OIDC_ISSUER": is_safe(settings.oidc_issuer) or "must be an https address (http only on this machine)",
        "ASOE_OIDC_CLIENT_ID": bool(settings.oidc_client_id) or "must be set as well",
        "ASOE_PUBLIC_URL": bool(settings.public_url) or "must be set: the provider sends people back to it",
    }
    problems = tuple(FieldProblem(name, problem) for name, problem in wanted.items() if isinstance(problem, str))
    if problems or settings.oidc_client_id is None or settings.public_url is None:
        listed = "; ".join(f"{each.field} {each.problem}" for each in problems)
        raise Invalid(f"Nobody can sign in over OpenID as it is set: {listed}.", code="bad_settings", fields=problems)
    return OpenIdProvider(
        settings.oidc_issuer,
        settings.oidc_client_id,
        settings.oidc_client_secret,
        redirect_uri=settings.public_url.rstrip("/") + CALLBACK,
        clock=clock,
    )


def is_safe(url: Any) -> bool:
    """Whether an address is one that may be told a code: over TLS, or on this machine."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _HERE))


def _unproven(why: str) -> Denied:
    return Denied(
        f"The provider's answer does not prove who you are: {why}. Try again.", code="sign_in_not_proven", unproven=True
    )


def _away(why: str) -> Unavailable:
    return Unavailable(
        f"The sign-in provider cannot be asked: {why}. Try again, or sign in with a password.",
        code="sign_in_provider_unavailable",
        retry_after=30,
    )
