"""Proves JWTs: which algorithms and keys count is fixed by configuration, never by the token.

HS256 is checked with the configured secret only, asymmetric algorithms with the published keys only, so that no token can
turn a public key into a secret. Whom a proven token may act for is `auth.py`'s question.
"""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import structlog
from joserfc import jwt
from joserfc.errors import (
    BadSignatureError,
    ExpiredTokenError,
    InvalidClaimError,
    JoseError,
    MissingClaimError,
    SecurityWarning,
    UnsupportedAlgorithmError,
)
from joserfc.jwk import JWKRegistry, Key, OctKey
from joserfc.jws import JWSRegistry, extract_compact

from asoe.config import Settings
from asoe.domain.errors import Denied, FieldProblem, Invalid, Unavailable

SYMMETRIC: Final = ("HS256",)
ASYMMETRIC: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA",
)  # fmt: skip
SKEW_SECONDS: Final = 30
MCP_PATH: Final = "/mcp"
_KEYS_FRESH_SECONDS: Final = 600
_KEYS_STALE_SECONDS: Final = 3600
_REFRESH_PAUSE_SECONDS: Final = 30
_MAX_TOKEN: Final = 8192
_MAX_KEYS: Final = 1024 * 1024
_log = structlog.get_logger(__name__)


class SignatureRegistry(JWSRegistry):
    """Headers carry certificate thumbprints and more; what we do not know we do not use."""

    max_header_length = 4096

    def __init__(self, algorithms: Sequence[str]) -> None:
        super().__init__(algorithms=algorithms, strict_check_header=False)
        self._names = frozenset(algorithms)

    def get_alg(self, name: str) -> Any:
        """Ours and no other; EdDSA without the library's warning that Ed25519 is its newer name."""
        if name not in self._names:
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


class TokenVerifier:
    """Holds the configured keys. `is_configured` is false when this installation takes no JWTs."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._secret = _secret(settings.jwt_secret)
        self._published = _published(settings, clock)
        self.is_configured = self._secret is not None or self._published is not None
        self._allowed = (*(SYMMETRIC if self._secret else ()), *(ASYMMETRIC if self._published else ()))
        self._registry = SignatureRegistry(self._allowed)
        missing = [
            FieldProblem(name, "must be set when JWTs are accepted: a token for another service must not open this one")
            for name, value in (("ASOE_JWT_ISSUER", settings.jwt_issuer), ("ASOE_JWT_AUDIENCE", settings.jwt_audience))
            if not value
        ]
        if self.is_configured and missing:
            raise Invalid(
                f"{' and '.join(problem.field for problem in missing)} must be set when JWTs are accepted "
                "(ASOE_JWT_SECRET, ASOE_JWT_JWKS_URL or ASOE_JWT_JWKS_FILE is).",
                code="bad_settings",
                fields=tuple(missing),
            )
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(clock().timestamp()),
            leeway=SKEW_SECONDS,
            iss={"essential": True, "value": settings.jwt_issuer or ""},
            aud={"essential": True, "values": _audiences(settings)},
            sub={"essential": True},
            exp={"essential": True},
        )

    async def verify(self, token: str) -> dict[str, Any]:
        """The claims of a proven token; `sub` is a UUID. Raises `Denied(bad_token | expired_token)`."""
        header = self._header(token)
        last: JoseError | ValueError = BadSignatureError()
        for key in await self._candidates(header):
            try:
                claims = jwt.decode(token, key, registry=self._registry).claims
                self._claims.validate(claims)
            except ExpiredTokenError:
                raise _denied("This token has expired. Get a new one.", code="expired_token") from None
            except (MissingClaimError, InvalidClaimError) as error:
                raise _denied(
                    f"The claim {error.claim!r} of this token is missing or not what is asked here."
                ) from None
            except (JoseError, ValueError, TypeError) as error:
                last = error if isinstance(error, JoseError | ValueError) else ValueError(str(error))
                continue
            return _with_subject(claims)
        raise _denied("The signature of this token does not verify.") from last

    def _header(self, token: str) -> dict[str, Any]:
        if len(token) > _MAX_TOKEN or not token.isascii():
            raise _denied("This is not a token ASOE accepts: it is too long or not ASCII.")
        try:
            header = dict(extract_compact(token.encode(), registry=self._registry).headers())
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise _denied("This is not a signed JWT (three base64url parts with a dot between).") from None
        algorithm = header.get("alg")
        if algorithm not in self._allowed:
            raise _denied(f"Tokens are accepted with {', '.join(self._allowed)} here, not with {algorithm!r}.")
        if str(header.get("typ", "JWT")).lower().removeprefix("application/") not in {"jwt", "at+jwt"}:
            raise _denied("This is not an access token (its typ is neither JWT nor at+jwt).")
        return header

    async def _candidates(self, header: dict[str, Any]) -> list[Key]:
        algorithm = header["alg"]
        if algorithm in SYMMETRIC:
            return [self._secret] if self._secret is not None else []
        if self._published is None:
            return []
        kid = header.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise _denied("The kid of this token is not a string.")
        model = self._registry.get_alg(algorithm)
        fitting = [key for key in await self._published.keys(kid) if fits(model, key)]
        if not fitting:
            raise _denied("No published key fits this token's kid and algorithm.")
        return fitting


class PublishedKeys:
    """A JWKS from a URL or file, kept for ten minutes; asked again for an unknown kid, at most twice a minute."""

    def __init__(self, load: Callable[[], Awaitable[bytes]], clock: Callable[[], datetime]) -> None:
        self._load = load
        self._clock = clock
        self._found: list[Key] = []
        self._loaded_at: float | None = None
        self._tried_at: float | None = None
        self._loading = asyncio.Lock()

    async def keys(self, kid: str | None) -> list[Key]:
        """The keys named `kid` (all of them without one); raises `Unavailable` when they cannot be had."""
        if self._age(self._loaded_at) > _KEYS_FRESH_SECONDS or (kid is not None and not self._named(kid)):
            async with self._loading:
                if self._age(self._tried_at) > _REFRESH_PAUSE_SECONDS:
                    await self._refresh()
        if self._age(self._loaded_at) > _KEYS_STALE_SECONDS:
            raise Unavailable(
                "The keys that prove tokens cannot be had (ASOE_JWT_JWKS_URL or ASOE_JWT_JWKS_FILE). Try again soon.",
                code="token_keys_unavailable",
                retry_after=_REFRESH_PAUSE_SECONDS,
            )
        return self._named(kid) if kid is not None else list(self._found)

    async def _refresh(self) -> None:
        self._tried_at = self._now()
        try:
            self._found = read_key_set(await self._load())
        except (OSError, httpx.HTTPError, ValueError, TypeError) as error:
            _log.warning("jwks_refresh_failed", error=type(error).__name__)
            return
        self._loaded_at = self._now()

    def _named(self, kid: str) -> list[Key]:
        return [key for key in self._found if key.kid == kid]

    def _now(self) -> float:
        return self._clock().timestamp()

    def _age(self, then: float | None) -> float:
        """A clock that was set back makes everything old, never fresh for longer."""
        if then is None:
            return float("inf")
        age = self._now() - then
        return age if age >= 0 else float("inf")


def read_key_set(content: bytes) -> list[Key]:
    """The public signature keys of a JWKS; secrets, encryption keys and weak keys are left out."""
    document = json.loads(content)
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise TypeError("a JWKS is an object with a list `keys`")
    found: list[Key] = []
    for entry in listed:
        if not isinstance(entry, dict) or entry.get("kty") not in {"RSA", "EC", "OKP"} or entry.get("use") == "enc":
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", SecurityWarning)
                found.append(JWKRegistry.import_key(entry))
        except (JoseError, SecurityWarning, ValueError, TypeError, KeyError):
            continue
    return found


def fits(model: Any, key: Key) -> bool:
    try:
        model.check_key(key)
        key.check_key_op("verify")
    except (JoseError, ValueError):
        return False
    return True


def _audiences(settings: Settings) -> list[str]:
    """The configured name, and the address of the MCP server: clients ask for tokens for exactly that (RFC 8707)."""
    ours = [] if settings.public_url is None else [settings.public_url.rstrip("/") + MCP_PATH]
    return [settings.jwt_audience or "", *ours]


def _secret(configured: str | None) -> OctKey | None:
    if configured is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", SecurityWarning)
            return OctKey.import_key(configured.encode())
    except (ValueError, SecurityWarning):
        problem = "is a public key or certificate, which everybody may know; use ASOE_JWT_JWKS_FILE for it"
        raise Invalid(
            f"ASOE_JWT_SECRET {problem}.", code="bad_settings", fields=(FieldProblem("ASOE_JWT_SECRET", problem),)
        ) from None


def _published(settings: Settings, clock: Callable[[], datetime]) -> PublishedKeys | None:
    if settings.jwt_jwks_file is not None:
        return PublishedKeys(_file_loader(settings.jwt_jwks_file), clock)
    if settings.jwt_jwks_url is not None:
        return PublishedKeys(_url_loader(settings.jwt_jwks_url), clock)
    return None


def _file_loader(path: Path) -> Callable[[], Awaitable[bytes]]:
    async def load() -> bytes:
        return await asyncio.to_thread(path.read_bytes)

    return load


def _url_loader(url: str) -> Callable[[], Awaitable[bytes]]:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"}):
        problem = "must be https (http only on this machine): whoever can change the keys can sign in as anybody"
        raise Invalid(
            f"ASOE_JWT_JWKS_URL {problem}. Over another safe way, fetch them yourself into ASOE_JWT_JWKS_FILE.",
            code="bad_settings",
            fields=(FieldProblem("ASOE_JWT_JWKS_URL", problem),),
        )

    async def load() -> bytes:
        async with httpx.AsyncClient(timeout=5, follow_redirects=False) as client, client.stream("GET", url) as answer:
            answer.raise_for_status()
            content = b""
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > _MAX_KEYS:
                    raise ValueError("the JWKS is larger than 1 MiB")
            return content

    return load


def _with_subject(claims: dict[str, Any]) -> dict[str, Any]:
    try:
        return {**claims, "sub": UUID(claims["sub"])}
    except ValueError:
        raise _denied("The claim 'sub' of this token is not the UUID of an account.") from None


def _denied(message: str, *, code: str = "bad_token") -> Denied:
    return Denied(message, code=code, unproven=True)
