"""Push notifications of A2A: where an outside agent wants to hear of its own task, and what one letter to it holds.

When it is sent, tried again and given up is `delivery.py`'s; how a ticket looks as a task is `a2a_task.py`'s. Only who opened
a task may have it told; the engine's account keeps the rows.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from asoe.connectors import webhook
from asoe.desk import a2a_task, letter
from asoe.desk.context import Desk, unstorable
from asoe.domain.errors import Conflict, FieldProblem, Invalid, Missing
from asoe.domain.facts import Fact
from asoe.domain.notification import WEBHOOK, Delivery, Recipient
from asoe.domain.organization import Principal
from asoe.store import facts, sessions, task_pushes, tickets
from asoe.store.db import Connection
from asoe.store.task_pushes import TaskPush

MOST: Final = 5
PREFIX: Final = "push:"
_LONGEST: Final = 1000
_HEADER: Final = re.compile(r"[!-~]([ -~]*[!-~])?")
_SCHEME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,40}")
_ALSO: Final = frozenset({"message.added", "approval.requested", "approval.decided", "approval.expired"})


@dataclass(frozen=True, slots=True)
class NewPush:
    """What an agent asks for. `token` and `credentials` prove us to its receiver; `scheme` is that of `Authorization`."""

    url: str
    name: str = ""
    token: str = field(default="", repr=False)
    scheme: str = ""
    credentials: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Push:
    """One that is kept, with its whole address; what proves us does not come out again."""

    name: str
    url: str = field(repr=False)
    scheme: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """One notification, ready to be posted."""

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    place: str
    allow_private: bool
    secrets: Sequence[str] = field(repr=False)


def check(principal: Principal, new: NewPush, *, may_be_private: bool) -> bool:
    """Whether its address may be private: an admin's, where the operator allows that. Raises `Invalid(bad_push)`."""
    is_private = may_be_private and principal.role in {"owner", "admin"}
    problems = []
    try:
        webhook.check_url(new.url, allow_private=is_private)
    except ValueError as error:
        problems.append(FieldProblem("url", str(error)))
    if len(new.name) > 100 or unstorable(new.name, "id"):
        problems.append(FieldProblem("id", "must be a plain text of at most 100 characters"))
    for name, value in (("token", new.token), ("authentication.credentials", new.credentials)):
        if value and (len(value) > _LONGEST or not _HEADER.fullmatch(value)):
            problems.append(FieldProblem(name, f"must be printable ASCII of at most {_LONGEST} characters"))
    if (new.scheme or new.credentials) and not (_SCHEME.fullmatch(new.scheme) and new.credentials):
        problems.append(FieldProblem("authentication", "needs a scheme, such as Bearer, and credentials"))
    if problems:
        listed = "; ".join(f"{each.field}: {each.problem}" for each in problems)
        raise Invalid(f"The push notification cannot be kept: {listed}.", code="bad_push", fields=tuple(problems))
    return is_private


async def keep(desk: Desk, principal: Principal, ticket_id: UUID, new: NewPush, *, may_be_private: bool) -> Push:
    """Have the caller's own task told there; the same id again replaces it.

    Raises `Invalid(bad_push)`, `Missing(ticket_missing)`, `Conflict(too_many_pushes)`.
    """
    is_private = check(principal, new, may_be_private=may_be_private)
    org_id, engine = principal.org_id, await desk.engine_of(principal.org_id)
    async with desk.database.org_transaction(engine) as connection:
        await _own(connection, principal, ticket_id, is_locked=True)
        name = new.name or str(uuid4())
        there = await task_pushes.of_ticket(connection, org_id, ticket_id, principal.user_id)
        if len(there) >= MOST and all(each.name != name for each in there):
            raise Conflict(f"This task has {MOST} push notifications. Remove one first.", code="too_many_pushes")
        push_id = await task_pushes.id_of(connection, org_id, ticket_id, name) or uuid4()
        kept = {"url": new.url, "token": new.token, "scheme": new.scheme, "credentials": new.credentials}
        sealed = desk.connectors.seal(org_id, _sealed_name(push_id), kept)
        assert sealed is not None
        put = await task_pushes.put(
            connection,
            org_id,
            push_id,
            ticket_id=ticket_id,
            user_id=principal.user_id,
            name=name,
            place=webhook.place_of(new.url, is_secret=False),
            sealed=sealed,
            allow_private=is_private,
        )
        if put is None:
            raise _missing()
        await facts.record(connection, principal, "task_push.added", ticket_id=ticket_id, push_id=push_id)
    return Push(name, new.url, new.scheme)


async def list_own(desk: Desk, principal: Principal, ticket_id: UUID) -> list[Push]:
    engine = await desk.engine_of(principal.org_id)
    async with desk.database.org_reading(engine) as connection:
        await _own(connection, principal, ticket_id)
        found = await task_pushes.of_ticket(connection, principal.org_id, ticket_id, principal.user_id)
    return [_shown(desk, principal.org_id, each) for each in found]


async def read(desk: Desk, principal: Principal, ticket_id: UUID, name: str) -> Push:
    """Raises `Missing(no_push)`."""
    for each in await list_own(desk, principal, ticket_id):
        if each.name == name:
            return each
    raise _missing()


async def remove(desk: Desk, principal: Principal, ticket_id: UUID, name: str) -> None:
    """Nothing when there is none: what is to be gone is gone."""
    engine = await desk.engine_of(principal.org_id)
    async with desk.database.org_transaction(engine) as connection:
        await _own(connection, principal, ticket_id, is_locked=True)
        for each in await task_pushes.of_ticket(connection, principal.org_id, ticket_id, principal.user_id):
            if each.name == name and await task_pushes.remove(connection, principal.org_id, each.id):
                await facts.record(connection, principal, "task_push.removed", ticket_id=ticket_id, push_id=each.id)


async def recipients(
    connection: Connection, org_id: UUID, found: Sequence[Fact], *, now: datetime
) -> list[tuple[Fact, Recipient]]:
    """Who is told of these facts: each push once for each of its tasks, by the last fact that may have changed it."""
    last = {fact.ticket_id: fact for fact in found if fact.ticket_id is not None and _is_news(fact.kind)}
    if not last:
        return []
    pairs = await task_pushes.ids_of_tickets(connection, org_id, [each for each in last if each is not None])
    return [(last[ticket_id], Recipient(WEBHOOK, f"{PREFIX}{push_id}", now)) for ticket_id, push_id in pairs]


async def pack(desk: Desk, connection: Connection, org_id: UUID, delivery: Delivery) -> Letter | None:
    """The task as it stands now, signed with its owner's token; None when nobody wants it any more."""
    push = await task_pushes.find(connection, org_id, delivery.recipient_id)
    if push is None or delivery.ticket_id is None:
        return None
    ticket = await tickets.find(connection, org_id, push.ticket_id)
    if ticket.user_id != push.user_id:
        return None
    said = await sessions.messages_of_ticket(connection, org_id, ticket.id)
    shown = [each for each in said if not each.is_internal]
    body = json.dumps({"task": a2a_task.task(ticket, shown, history_length=0)}, ensure_ascii=False).encode()
    secret = desk.connectors.unseal(org_id, _sealed_name(push.id), push.sealed)
    headers = {"Content-Type": "application/a2a+json"}
    if secret["token"]:
        key = "whsec_" + b64encode(secret["token"].encode()).decode()
        message_id = letter.webhook_id(delivery.id)
        headers["X-A2A-Notification-Token"] = secret["token"]
        headers |= webhook.signed([key], message_id=message_id, at=desk.clock(), body=body)
    if secret["credentials"]:
        headers["Authorization"] = f"{secret['scheme']} {secret['credentials']}"
    hidden = [value for name, value in secret.items() if value and name != "scheme"]
    return Letter(secret["url"], body, headers, push.place, push.allow_private, hidden)


async def gone(connection: Connection, principal: Principal, delivery: Delivery) -> None:
    """Its receiver wants nothing more."""
    if await task_pushes.remove(connection, principal.org_id, delivery.recipient_id):
        await facts.record(
            connection, principal, "task_push.removed", ticket_id=delivery.ticket_id, push_id=delivery.recipient_id
        )


def _is_news(kind: str) -> bool:
    return kind.startswith("ticket.") or kind in _ALSO


def _shown(desk: Desk, org_id: UUID, push: TaskPush) -> Push:
    secret = desk.connectors.unseal(org_id, _sealed_name(push.id), push.sealed)
    return Push(push.name, secret["url"], secret["scheme"])


async def _own(connection: Connection, principal: Principal, ticket_id: UUID, *, is_locked: bool = False) -> None:
    find = tickets.find_for_update if is_locked else tickets.find
    ticket = await find(connection, principal.org_id, ticket_id)
    if ticket.user_id != principal.user_id:
        raise Missing("There is no such task of yours.", code="ticket_missing")


def _sealed_name(push_id: UUID) -> str:
    return f"push/{push_id}"


def _missing() -> Missing:
    return Missing("There is no such push notification.", code="no_push")
