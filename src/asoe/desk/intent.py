"""An organization's own intents: owners and admins keep them, triage finds tickets of them at once, settings and rules may name them.

An intent is retired, never deleted: old tickets keep its name. How texts are compared with them is `asoe.ai.own_intents`'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np

from asoe.ai.own_intents import texts_of
from asoe.desk.champion import base_version
from asoe.desk.context import Desk
from asoe.domain.errors import Conflict, Denied
from asoe.domain.facts import before_and_after
from asoe.domain.intent import MOST_INTENTS, OwnIntent, check
from asoe.domain.organization import Principal
from asoe.store import facts, org_intents
from asoe.store.db import Connection

_EDITABLE: Final = ("title", "description", "examples")


async def list_intents(desk: Desk, principal: Principal, *, with_retired: bool = False) -> list[OwnIntent]:
    """By category and name, retired ones last; staff only."""
    _staff_only(principal)
    async with desk.database.org_reading(principal) as connection:
        return await org_intents.list_all(connection, principal.org_id, with_retired=with_retired)


async def add_intent(
    desk: Desk,
    principal: Principal,
    name: str,
    *,
    category: str,
    title: str,
    description: str = "",
    examples: Sequence[str] = (),
) -> OwnIntent:
    """Raises `Invalid(bad_intent)` naming each wrong field, `Conflict(intent_exists)`, `Conflict(too_many_intents)`."""
    _admin_only(principal)
    values: dict[str, Any] = {
        "name": name.strip(),
        "category": category,
        "title": _line(title),
        "description": _line(description),
        "examples": _examples(examples),
    }
    check(**values)
    vectors, base = await _embedded(desk, values)
    async with desk.database.org_transaction(principal) as connection:
        await org_intents.hold(connection, principal.org_id)
        await _room(connection, principal)
        made = await org_intents.insert(
            connection, principal.org_id, values, vectors=vectors, base_version=base, by=principal.user_id
        )
        if made is None:
            raise Conflict(
                f"There is an intent {values['name']!r} here already: edit it, or choose another name.",
                code="intent_exists",
            )
        await _record(connection, principal, "intent.added", None, made)
    desk.champions.pop(principal.org_id, None)
    return made


async def edit_intent(
    desk: Desk,
    principal: Principal,
    name: str,
    *,
    title: str | None = None,
    description: str | None = None,
    examples: Sequence[str] | None = None,
) -> OwnIntent:
    """Change what is given; name and category stay for good. Raises `Missing(no_intent)`, `Invalid(bad_intent)`."""
    _admin_only(principal)
    async with desk.database.org_reading(principal) as connection:
        seen = await org_intents.find(connection, principal.org_id, name)
    wanted = replace(
        seen,
        title=seen.title if title is None else _line(title),
        description=seen.description if description is None else _line(description),
        examples=seen.examples if examples is None else _examples(examples),
    )
    values = {each: getattr(wanted, each) for each in ("name", "category", *_EDITABLE)}
    check(**values)
    if all(getattr(seen, each) == values[each] for each in _EDITABLE):
        return seen
    vectors, base = await _embedded(desk, values)
    async with desk.database.org_transaction(principal) as connection:
        await org_intents.hold(connection, principal.org_id)
        before = await org_intents.find(connection, principal.org_id, name)
        if before.updated_at != seen.updated_at:
            raise Conflict(
                f"Intent {name!r} was changed by somebody else just now: read it again.", code="intent_changed"
            )
        changed = await org_intents.change(
            connection, principal.org_id, name, values, vectors=vectors, base_version=base
        )
        await _record(connection, principal, "intent.changed", before, changed)
    desk.champions.pop(principal.org_id, None)
    return changed


async def retire_intent(desk: Desk, principal: Principal, name: str, *, is_retired: bool = True) -> OwnIntent:
    """Let triage find it no more, or again; old tickets keep it. Raises `Missing(no_intent)`, `Conflict(too_many_intents)`."""
    _admin_only(principal)
    async with desk.database.org_transaction(principal) as connection:
        await org_intents.hold(connection, principal.org_id)
        before = await org_intents.find(connection, principal.org_id, name)
        if (before.retired_at is not None) == is_retired:
            return before
        if not is_retired:
            await _room(connection, principal)
        changed = await org_intents.retire(connection, principal.org_id, name, at=desk.clock() if is_retired else None)
        await _record(connection, principal, "intent.retired" if is_retired else "intent.restored", before, changed)
    desk.champions.pop(principal.org_id, None)
    return changed


async def _embedded(desk: Desk, values: Mapping[str, Any]) -> tuple[bytes, str]:
    vectors = await desk.ai.embed(texts_of(values["title"], values["description"], values["examples"]))
    return vectors.astype(np.float16).tobytes(), await base_version(desk)


async def _room(connection: Connection, principal: Principal) -> None:
    if len(await org_intents.list_all(connection, principal.org_id)) >= MOST_INTENTS:
        raise Conflict(
            f"There are {MOST_INTENTS} own intents in use: retire one first (asoe intent retire).",
            code="too_many_intents",
        )


async def _record(
    connection: Connection, principal: Principal, kind: str, before: OwnIntent | None, after: OwnIntent
) -> None:
    names = ("category", "title", "description", "examples", "retired_at")
    values = before_and_after({} if before is None else _plain(before), _plain(after), names)
    await facts.record(connection, principal, kind, intent_id=after.id, name=after.name, values=values)


def _plain(intent: OwnIntent) -> dict[str, Any]:
    return {
        **asdict(intent),
        "examples": list(intent.examples),
        "retired_at": intent.retired_at and str(intent.retired_at),
    }


def _line(text: str) -> str:
    return " ".join(text.split())


def _examples(given: Sequence[str]) -> tuple[str, ...]:
    """Each once, without white space at the ends."""
    return tuple(dict.fromkeys(_line(each) for each in given))


def _admin_only(principal: Principal) -> None:
    if principal.role not in {"owner", "admin"}:
        raise Denied("Only owners and admins keep the organization's intents.", code="admin_only")


def _staff_only(principal: Principal) -> None:
    if principal.is_client:
        raise Denied("The organization's intents are the team's to see.", code="staff_only")
