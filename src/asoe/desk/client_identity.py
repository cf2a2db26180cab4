"""Who is in front of the widget. An organization's server signs its clients; others are visitors, if it takes them.

A signed identity (JWT, HS256) becomes a contact and a short-lived client token; a visitor gets a key to be known by when
it comes back. Both are signed by the installation and bound to organization and contact. What a client may do is `chat`'s.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from asoe.desk import widget as settings
from asoe.desk.context import Desk, unstorable
from asoe.domain.errors import Denied, Invalid
from asoe.domain.organization import Principal
from asoe.domain.people import Contact
from asoe.domain.widget import VISITOR, Client, Widget
from asoe.store import contacts

TOKEN_LIFE: Final = timedelta(hours=1)
PROOF_LIFE: Final = timedelta(hours=12)
"""For which a token may be renewed without the identity being signed again."""
VISITOR_LIFE: Final = timedelta(days=180)
LONGEST_IDENTITY: Final = timedelta(hours=24)
SKEW: Final = timedelta(seconds=60)
CLIENT_MARK: Final = "asoe_client_"
VISITOR_MARK: Final = "asoe_visitor_"
_MAX_IDENTITY: Final = 4096
_MAX_SUBJECT: Final = 200


@dataclass(frozen=True, slots=True)
class Admission:
    """A client that was let in. `visitor_key` is for visitors only: whoever holds it is that visitor."""

    client: Client
    token: str = field(repr=False)
    name: str = ""
    visitor_key: str | None = field(default=None, repr=False)


async def admit(
    desk: Desk, engine: Principal, widget: Widget, *, identity: str | None = None, visitor_key: str | None = None
) -> Admission:
    """Let a client in by the identity its organization signed, else as a visitor.

    Raises `Denied`: bad_identity, expired_identity, identity_wanted (visitors are not taken), contact_blocked.
    """
    now = desk.clock()
    if identity:
        async with desk.database.org_reading(engine) as connection:
            secrets = await settings.good_secrets(desk, connection, engine)
        claims = _read_identity(identity, secrets, now)
        contact = await _contact_of(desk, engine, claims)
        if contact.blocked_at is not None:
            raise blocked()
        client = Client(engine.org_id, contact.id, None, now, now + TOKEN_LIFE)
        return Admission(client, _write_token(desk, client), contact.name)
    if not widget.takes_anonymous:
        raise Denied(
            "This support chat is for signed-in clients: give an identity signed by the organization's server.",
            code="identity_wanted",
            unproven=True,
        )
    visitor = _read_visitor(desk, engine.org_id, visitor_key, now) or uuid4()
    client = Client(engine.org_id, None, visitor, now, now + TOKEN_LIFE)
    kept = _sign(desk, VISITOR_MARK, {"o": str(engine.org_id), "v": str(visitor), "at": int(now.timestamp())})
    return Admission(client, _write_token(desk, client), "", kept)


def renew(desk: Desk, client: Client) -> Admission:
    """A further token while the proof is fresh; raises `Denied(expired_client_token)`."""
    now = desk.clock()
    if now - client.proven_at > PROOF_LIFE:
        raise _expired()
    renewed = Client(client.org_id, client.contact_id, client.visitor, client.proven_at, now + TOKEN_LIFE)
    return Admission(renewed, _write_token(desk, renewed))


def read_token(desk: Desk, token: str) -> Client:
    """The client a token was made for, in whichever organization; raises `Denied(bad_client_token | expired_client_token)`."""
    said = _verified(desk, CLIENT_MARK, token)
    try:
        if said is None:
            raise bad_token()
        contact, visitor = said.get("c"), said.get("v")
        client = Client(
            UUID(said["o"]),
            UUID(contact) if contact else None,
            UUID(visitor) if visitor else None,
            _moment(said["at"]),
            _moment(said["exp"]),
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        raise bad_token() from None
    if client.expires_at <= desk.clock():
        raise _expired()
    return client


def blocked() -> Denied:
    return Denied("This support chat is closed for you.", code="contact_blocked")


async def _contact_of(desk: Desk, engine: Principal, claims: dict[str, Any]) -> Contact:
    try:
        async with desk.database.org_transaction(engine) as connection:
            return await contacts.find_or_create(
                connection,
                engine.org_id,
                external_id=claims["sub"],
                email=claims.get("email"),
                name=claims.get("name"),
            )
    except Invalid as error:
        raise _bad_identity(error.message) from None


def _read_identity(token: str, secrets: list[str], now: datetime) -> dict[str, Any]:
    """The claims of a signed identity: sub and exp, perhaps email and name."""
    if not secrets:
        raise _bad_identity("This organization has made no secret for its widget yet.")
    if len(token) > _MAX_IDENTITY or not token.isascii():
        raise _bad_identity(f"It must be a JWT of at most {_MAX_IDENTITY} characters.")
    for secret in secrets:
        try:
            claims = dict(jwt.decode(token, OctKey.import_key(secret), algorithms=["HS256"]).claims)
        except (JoseError, ValueError, TypeError, RecursionError):
            continue
        return _checked(claims, now)
    raise _bad_identity("Its signature does not verify: sign with HS256 and the widget's secret.")


def _checked(claims: dict[str, Any], now: datetime) -> dict[str, Any]:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject.strip() or len(subject) > _MAX_SUBJECT:
        raise _bad_identity(f"sub: must be your id of the client, 1 to {_MAX_SUBJECT} characters.")
    if subject.strip().startswith(VISITOR):
        raise _bad_identity(f"sub: ids that begin with {VISITOR!r} are our own.")
    for name in ("email", "name"):
        if claims.get(name) is not None and not isinstance(claims[name], str):
            raise _bad_identity(f"{name}: must be text.")
    if problems := [each for name in ("sub", "email", "name") for each in unstorable(claims.get(name), name)]:
        raise _bad_identity(f"{problems[0].field}: {problems[0].problem}.")
    try:
        expires = _moment(claims["exp"])
        begins = _moment(claims.get("nbf", 0))
    except (KeyError, ValueError, TypeError, OverflowError, OSError):
        raise _bad_identity("exp: must say until when it is good, in seconds since 1970.") from None
    if expires > now + LONGEST_IDENTITY + SKEW:
        raise _bad_identity("exp: sign it for 24 hours at most, and anew with each page.")
    if begins > now + SKEW:
        raise _bad_identity("nbf: it is not good yet.")
    if expires + SKEW <= now:
        raise Denied(
            "The signed identity has expired. Sign a new one with each page.", code="expired_identity", unproven=True
        )
    return claims


def _read_visitor(desk: Desk, org_id: UUID, key: str | None, now: datetime) -> UUID | None:
    """Who comes back; a key that is none, old or another organization's begins anew."""
    said = _verified(desk, VISITOR_MARK, key or "")
    try:
        if said is None or UUID(said["o"]) != org_id or now - _moment(said["at"]) > VISITOR_LIFE:
            return None
        return UUID(said["v"])
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def _write_token(desk: Desk, client: Client) -> str:
    who = {"c": str(client.contact_id)} if client.contact_id else {"v": str(client.visitor)}
    times = {"at": int(client.proven_at.timestamp()), "exp": int(client.expires_at.timestamp())}
    return _sign(desk, CLIENT_MARK, {"o": str(client.org_id), **who, **times})


def _sign(desk: Desk, kind: str, said: dict[str, Any]) -> str:
    body = base64.urlsafe_b64encode(json.dumps(said, separators=(",", ":")).encode()).decode().rstrip("=")
    return f"{kind}{body}.{_mac(desk.derive(kind)[0], body)}"


def _verified(desk: Desk, kind: str, token: str) -> dict[str, Any] | None:
    """What was signed as this kind; None for anything else."""
    body, dot, signature = token.removeprefix(kind).partition(".")
    if not token.startswith(kind) or not dot or not token.isascii() or len(token) > _MAX_IDENTITY:
        return None
    if not any(hmac.compare_digest(_mac(key, body), signature) for key in desk.derive(kind)):
        return None
    try:
        said = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (binascii.Error, ValueError):
        return None
    return said if isinstance(said, dict) else None


def _mac(key: bytes, body: str) -> str:
    return base64.urlsafe_b64encode(hmac.new(key, body.encode(), hashlib.sha256).digest()).decode().rstrip("=")


def _moment(seconds: Any) -> datetime:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError("not a number of seconds")
    return datetime.fromtimestamp(seconds, UTC)


def _bad_identity(problem: str) -> Denied:
    return Denied(f"The signed identity is not accepted. {problem}", code="bad_identity", unproven=True)


def bad_token() -> Denied:
    return Denied("This is no client token of this organization.", code="bad_client_token", unproven=True)


def _expired() -> Denied:
    return Denied("This client token has expired. Start anew.", code="expired_client_token", unproven=True)
