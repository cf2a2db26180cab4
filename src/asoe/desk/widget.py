"""The widget's settings and its secret. Owners and admins decide; who a client of it is, `client_identity` proves."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from asoe.desk.context import Desk
from asoe.domain.errors import Denied
from asoe.domain.facts import as_class
from asoe.domain.organization import Principal
from asoe.domain.widget import Widget, check_looks, clean_origins
from asoe.store import facts, widgets
from asoe.store.db import Connection

GRACE: Final = timedelta(hours=24)
"""For which the secret before the newest one is good, unless it is ended at once."""
PURPOSE: Final = "widget secret "
_SALT: Final = 16
Remember = Callable[[Connection, Widget], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class WidgetChange:
    """What is None stays as it was."""

    is_on: bool | None = None
    takes_anonymous: bool | None = None
    shows_help: bool | None = None
    origins: Sequence[str] | None = None
    theme: str | None = None
    accent: str | None = None
    greetings: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class MadeSecret:
    """`secret` is shown this once: it is derived anew at each use and stored nowhere."""

    secret: str = field(repr=False)
    widget: Widget


async def read_widget(desk: Desk, principal: Principal) -> Widget:
    _require_admin(principal)
    async with desk.database.org_reading(principal) as connection:
        return await widgets.find(connection, principal.org_id)


async def change_widget(desk: Desk, principal: Principal, change: WidgetChange) -> Widget:
    """Raises `Invalid(bad_widget)` naming each wrong field."""
    _require_admin(principal)
    given: dict[str, Any] = {
        name: value for name in WidgetChange.__slots__ if (value := getattr(change, name)) is not None
    }
    if "origins" in given:
        given["origins"] = clean_origins(given["origins"])
    if "accent" in given:
        given["accent"] = given["accent"].strip().lower()
    if "greetings" in given:
        given["greetings"] = {language: text.strip() for language, text in given["greetings"].items() if text.strip()}
    now = desk.clock()
    async with desk.database.org_transaction(principal) as connection:
        before = await widgets.find(connection, principal.org_id)
        changed = replace(before, **given, changed_at=now)
        check_looks(theme=changed.theme, accent=changed.accent, greetings=changed.greetings)
        await widgets.save(connection, principal.org_id, changed, at=now)
        values = {name: [as_class(getattr(each, name)) for each in (before, changed)] for name in sorted(given)}
        await facts.record(connection, principal, "widget.changed", settings=sorted(given), values=values)
    return changed


async def make_secret(
    desk: Desk, principal: Principal, *, ends_earlier: bool = False, remember: Remember | None = None
) -> MadeSecret:
    """A new secret; the one before is good for a day more, unless `ends_earlier`. `remember` as in `session`."""
    _require_admin(principal)
    salt, now = secrets.token_bytes(_SALT), desk.clock()
    async with desk.database.org_transaction(principal) as connection:
        until = now if ends_earlier else now + GRACE
        await widgets.set_salt(connection, principal.org_id, salt, at=now, earlier_until=until)
        await facts.record(connection, principal, "widget.secret_made", ends_earlier=ends_earlier)
        made = await widgets.find(connection, principal.org_id)
        if remember is not None:
            await remember(connection, made)
    return MadeSecret(_secrets_of(desk, principal, salt)[0], made)


async def good_secrets(desk: Desk, connection: Connection, engine: Principal) -> list[str]:
    """All that clients may be signed with now, newest first."""
    salts = await widgets.salts(connection, engine.org_id, desk.clock())
    return [secret for salt in salts for secret in _secrets_of(desk, engine, salt)]


def _secrets_of(desk: Desk, principal: Principal, salt: bytes) -> list[str]:
    """Of the newest secret key first; what was shown before a rotation is good after it."""
    purpose = f"{PURPOSE}{principal.org_id} {salt.hex()}"
    return [f"asoe_ws_{base64.urlsafe_b64encode(key).decode().rstrip('=')}" for key in desk.derive(purpose)]


def _require_admin(principal: Principal) -> None:
    if principal.role not in {"owner", "admin"}:
        raise Denied("Only an owner or admin sets up the widget.", code="admin_only")
