"""How calls say who they are: bearer, basic, API key, OAuth 2 client credentials, HMAC signature. Secrets come by name."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Protocol, TypeAlias

import httpx
from pydantic import Field

from asoe.connectors.contract import ConnectorError
from asoe.connectors.kinds import Config
from asoe.connectors.outbound import Outbound, parse_json
from asoe.connectors.places import origin_of

_EARLY_SECONDS: Final = 30.0
_TOKEN_SECONDS: Final = 300.0
_TOKEN_TIMEOUT: Final = 15.0
HeaderName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]


class Bearer(Config):
    """`Authorization: Bearer <secret token>`."""

    type: Literal["bearer"]
    secret: str = "token"  # noqa: S105 - the secret's name, not the secret


class Basic(Config):
    """RFC 7617: the user's name in the configuration, the password a secret."""

    type: Literal["basic"]
    username: str
    secret: str = "password"  # noqa: S105 - the secret's name, not the secret


class ApiKey(Config):
    """A key in a header or, if the system knows no better, in the query. `prefix` stands before it (`Token `)."""

    type: Literal["api_key"]
    name: HeaderName = "X-API-Key"
    place: Literal["header", "query"] = Field("header", alias="in")
    prefix: str = ""
    secret: str = "api_key"  # noqa: S105 - the secret's name, not the secret


class ClientCredentials(Config):
    """OAuth 2 client credentials (RFC 6749, 4.4); the token is kept until shortly before it expires."""

    type: Literal["oauth2"]
    token_url: str
    client_id: str
    scope: str = ""
    audience: str = ""
    client_auth: Literal["basic", "body"] = "basic"
    secret: str = "client_secret"  # noqa: S105 - the secret's name, not the secret


class Signature(Config):
    """HMAC over four lines: unix seconds, METHOD, path with query as sent, hex SHA-256 of the body; written in hex."""

    type: Literal["hmac"]
    key_id: str = ""
    algorithm: Literal["sha256", "sha512"] = "sha256"
    signature_header: HeaderName = "X-Signature"
    timestamp_header: HeaderName = "X-Timestamp"
    key_id_header: HeaderName = "X-Key-Id"
    secret: str = "hmac_secret"  # noqa: S105 - the secret's name, not the secret


Auth = Annotated[Bearer | Basic | ApiKey | ClientCredentials | Signature, Field(discriminator="type")]


class Credentials(Protocol):
    """Puts credentials on requests of one connector."""

    async def sign(self, request: httpx.Request) -> httpx.Request:
        """The request with credentials; raises `ConnectorError`, always without effect."""
        ...

    def doubt(self) -> bool:
        """The other side refused them: True when there may be better ones now, so that the call may be sent again."""
        ...


def extra_hosts(auth: Auth | None) -> tuple[str, ...]:
    """Origins that credentials need beside the system's own; raises ValueError for a wrong token address."""
    if not isinstance(auth, ClientCredentials):
        return ()
    scheme, host, port = origin_of(auth.token_url)
    return (f"{scheme}://{host}:{port}",)


def shown_secrets(auth: Auth | None, secrets: Mapping[str, str]) -> tuple[str, ...]:
    """Every form in which a secret travels, for the guard to withhold."""
    values = list(secrets.values())
    if isinstance(auth, Basic | ClientCredentials):
        user = auth.username if isinstance(auth, Basic) else auth.client_id
        values.append(_basic(user, secrets.get(auth.secret, "")))
    return tuple(values)


def credentials_for(auth: Auth | None, secrets: Mapping[str, str], outbound: Outbound) -> Credentials:
    """The credentials a configuration asks for; a secret that is not there is an error of the first call."""
    return _Tokens(auth, secrets, outbound) if isinstance(auth, ClientCredentials) else _Fixed(auth, secrets)


class _Fixed:
    """Credentials that do not change."""

    def __init__(self, auth: Auth | None, secrets: Mapping[str, str]) -> None:
        self._auth = auth
        self._secrets = secrets

    def __repr__(self) -> str:
        return f"Credentials({getattr(self._auth, 'type', 'none')})"

    async def sign(self, request: httpx.Request) -> httpx.Request:
        match self._auth:
            case Bearer():
                request.headers["Authorization"] = f"Bearer {self._secret()}"
            case Basic(username=user):
                request.headers["Authorization"] = f"Basic {_basic(user, self._secret())}"
            case ApiKey(name=name, place="header", prefix=prefix):
                request.headers[name] = prefix + self._secret()
            case ApiKey(name=name, prefix=prefix):
                request.url = request.url.copy_merge_params({name: prefix + self._secret()})
            case Signature() as auth:
                self._sign(request, auth)
        return request

    def doubt(self) -> bool:
        return False

    def _sign(self, request: httpx.Request, auth: Signature) -> None:
        at = str(int(time.time()))
        signed = signing_text(at, request.method, request.url.raw_path, request.content)
        signature = hmac.new(self._secret().encode(), signed, getattr(hashlib, auth.algorithm)).hexdigest()
        request.headers[auth.timestamp_header] = at
        request.headers[auth.signature_header] = signature
        if auth.key_id:
            request.headers[auth.key_id_header] = auth.key_id

    def _secret(self) -> str:
        return _needed(self._secrets, getattr(self._auth, "secret", ""))


class _Tokens:
    """Access tokens, fetched once for all calls that wait for one."""

    def __init__(self, auth: ClientCredentials, secrets: Mapping[str, str], outbound: Outbound) -> None:
        self._auth = auth
        self._secrets = secrets
        self._outbound = outbound
        self._token = ""
        self._until = 0.0
        self._turn = asyncio.Lock()

    def __repr__(self) -> str:
        return "Credentials(oauth2)"

    async def sign(self, request: httpx.Request) -> httpx.Request:
        async with self._turn:
            if time.monotonic() >= self._until:
                await self._fetch()
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def doubt(self) -> bool:
        self._until = 0.0
        return True

    async def _fetch(self) -> None:
        auth, secret = self._auth, _needed(self._secrets, self._auth.secret)
        form = {"grant_type": "client_credentials"}
        form |= {name: value for name, value in (("scope", auth.scope), ("audience", auth.audience)) if value}
        headers = {"Accept": "application/json"}
        if auth.client_auth == "basic":
            headers["Authorization"] = f"Basic {_basic(auth.client_id, secret)}"
        else:
            form |= {"client_id": auth.client_id, "client_secret": secret}
        request = httpx.Request("POST", auth.token_url, data=form, headers=headers)
        answer = await self._outbound.send(request, what="the token request", timeout=_TOKEN_TIMEOUT)
        refused = self._outbound.refusal(answer, what="the token request")
        if refused is not None:
            raise refused
        told = _token_of(answer.content)
        if told is None:
            raise ConnectorError(
                f"{self._outbound.name} answered the token request without a bearer token.", permanent=True
            )
        self._token, lasts = told
        self._outbound.withhold(self._token)
        self._until = time.monotonic() + max(0.0, lasts - _EARLY_SECONDS)


def signing_text(timestamp: str, method: str, target: bytes, body: bytes) -> bytes:
    """What an HMAC signs: see docs/connectors.md."""
    return b"\n".join((timestamp.encode(), method.encode(), target, hashlib.sha256(body).hexdigest().encode()))


def _token_of(content: bytes) -> tuple[str, float] | None:
    try:
        told: Any = parse_json(content)
    except ValueError:
        return None
    token = told.get("access_token") if isinstance(told, dict) else None
    if not isinstance(token, str) or not token or str(told.get("token_type", "bearer")).lower() != "bearer":
        return None
    lasts = told.get("expires_in")
    return token, float(lasts) if isinstance(lasts, int | float) else _TOKEN_SECONDS


def _needed(secrets: Mapping[str, str], name: str) -> str:
    secret = secrets.get(name)
    if not secret:
        raise ConnectorError(f"The connector has no secret {name!r}: give it one.", permanent=True)
    return secret


def _basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()
