"""Adding, changing, testing and removing webhooks. Owners and admins decide; addresses and secrets go in, a new secret comes out once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

from asoe.connectors import webhook
from asoe.desk.context import Desk, unstorable
from asoe.desk.delivery import sealed_name
from asoe.domain.errors import Conflict, Denied, FieldProblem, Invalid, Missing
from asoe.domain.facts import as_class
from asoe.domain.notification import WEBHOOK_KINDS, wrong_events
from asoe.domain.organization import Principal
from asoe.domain.people import check_name
from asoe.store import facts, webhooks
from asoe.store.db import Connection
from asoe.store.webhooks import Webhook

MOST: Final = 20
_BOTH_VALID: Final = timedelta(days=1)


Remember = Callable[[Connection, "NewWebhook"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """A webhook with its signing secret, which nobody can show again; Slack's kind has none."""

    webhook: Webhook
    secret: str | None = field(repr=False)


async def list_webhooks(desk: Desk, principal: Principal) -> list[Webhook]:
    _require_admin(principal)
    async with desk.database.org_reading(principal) as connection:
        return await webhooks.list_all(connection, principal.org_id)


async def read_webhook(desk: Desk, principal: Principal, webhook_id: UUID) -> Webhook:
    """Raises `Missing(no_webhook)`."""
    _require_admin(principal)
    async with desk.database.org_reading(principal) as connection:
        return _there(await webhooks.find(connection, principal.org_id, webhook_id))


async def add_webhook(
    desk: Desk,
    principal: Principal,
    *,
    name: str,
    url: str,
    events: Sequence[str],
    kind: str = "signed",
    allow_private: bool = False,
    may_be_private: bool = False,
    remember: Remember | None = None,
) -> NewWebhook:
    """Raises `Invalid(bad_webhook)`, `Conflict(webhook_exists | too_many_webhooks)`, `Denied(private_not_allowed)`."""
    _require_admin(principal)
    _require_private(is_private=allow_private, may_be_private=may_be_private)
    problems = _problems(url=url, events=events, allow_private=allow_private)
    if kind not in WEBHOOK_KINDS:
        problems.append(FieldProblem("kind", f"is not one of {', '.join(WEBHOOK_KINDS)}"))
    if problems:
        raise _refused(problems)
    webhook_id = uuid4()
    secret = webhook.new_secret() if kind == "signed" else None
    kept = {"url": url, **({"secret": secret} if secret else {})}
    sealed = desk.connectors.seal(principal.org_id, sealed_name(webhook_id), kept)
    assert sealed is not None
    async with desk.database.org_transaction(principal) as connection:
        if len(await webhooks.list_all(connection, principal.org_id)) >= MOST:
            raise Conflict(f"There are {MOST} webhooks already. Remove one first.", code="too_many_webhooks")
        added = await webhooks.add(
            connection,
            principal.org_id,
            webhook_id,
            kind=kind,
            name=check_name(name),
            place=webhook.place_of(url, is_secret=kind == "slack"),
            sealed=sealed,
            events=sorted(set(events)),
            allow_private=allow_private,
            created_by=principal.user_id,
        )
        if added is None:
            raise Conflict(
                "There is a webhook of that name already. Change it, or take another name.", code="webhook_exists"
            )
        await facts.record(connection, principal, "webhook.added", webhook_id=str(webhook_id), type=kind)
        made = NewWebhook(added, secret)
        if remember is not None:
            await remember(connection, made)
    return made


async def change_webhook(
    desk: Desk,
    principal: Principal,
    webhook_id: UUID,
    *,
    url: str | None = None,
    events: Sequence[str] | None = None,
    allow_private: bool | None = None,
    may_be_private: bool = False,
    rotates: bool = False,
) -> NewWebhook:
    """Change what is given. A new address, or `rotates`, makes a new secret; after `rotates` the old one also signs for a day."""
    _require_admin(principal)
    org_id = principal.org_id
    async with desk.database.org_transaction(principal) as connection:
        before = _there(await webhooks.find(connection, org_id, webhook_id))
        is_private = before.allow_private if allow_private is None else allow_private
        _require_private(is_private=is_private, may_be_private=may_be_private)
        sealed = await webhooks.read_sealed(connection, org_id, webhook_id)
        kept = desk.connectors.unseal(org_id, sealed_name(webhook_id), sealed)
        if problems := _problems(url=url or kept["url"], events=events, allow_private=is_private):
            raise _refused(problems)
        secret = None
        if before.kind == "signed" and (rotates or url is not None):
            secret = webhook.new_secret()
            until = (desk.clock() + _BOTH_VALID).isoformat()
            # whoever is at a new address must not learn what the old one trusts
            former = {} if url is not None else {"previous": kept["secret"], "previous_until": until}
            kept = {"url": kept["url"], **former, "secret": secret}
        kept |= {"url": url} if url is not None else {}
        changed = await webhooks.change(
            connection,
            org_id,
            webhook_id,
            events=None if events is None else sorted(set(events)),
            place=None if url is None else webhook.place_of(url, is_secret=before.kind == "slack"),
            sealed=desk.connectors.seal(org_id, sealed_name(webhook_id), kept),
            allow_private=allow_private,
        )
        given = {"url": url, "events": events, "allow_private": allow_private, "secret": secret}
        names = sorted(name for name, value in given.items() if value is not None)
        now = _there(changed)
        values = {
            name: [as_class(getattr(each, name)) for each in (before, now)]
            for name in ("events", "place", "allow_private")
            if getattr(before, name) != getattr(now, name)
        }
        await facts.record(
            connection, principal, "webhook.changed", webhook_id=str(webhook_id), names=names, values=values
        )
    return NewWebhook(_there(changed), secret)


async def set_disabled(desk: Desk, principal: Principal, webhook_id: UUID, *, why: str | None) -> Webhook:
    """With a reason nothing is sent to it any more; without one it is enabled."""
    _require_admin(principal)
    if why is not None and unstorable(why, "why"):
        raise _refused(unstorable(why, "why"))
    reason = None if why is None else why.strip()[:500] or "no reason was given"
    async with desk.database.org_transaction(principal) as connection:
        changed = _there(await webhooks.set_disabled(connection, principal.org_id, webhook_id, why=reason))
        kind = "webhook.enabled" if why is None else "webhook.disabled"
        await facts.record(connection, principal, kind, webhook_id=str(webhook_id))
    return changed


async def remove_webhook(desk: Desk, principal: Principal, webhook_id: UUID) -> None:
    """With its secrets; what is still to be sent to it is not."""
    _require_admin(principal)
    async with desk.database.org_transaction(principal) as connection:
        if not await webhooks.remove(connection, principal.org_id, webhook_id):
            raise _missing()
        await facts.record(connection, principal, "webhook.removed", webhook_id=str(webhook_id))


async def send_test(desk: Desk, principal: Principal, webhook_id: UUID) -> None:
    """Have the fact `webhook.tested` sent to this one webhook, whatever it else hears; how it went is in its deliveries."""
    _require_admin(principal)
    async with desk.database.org_transaction(principal) as connection:
        found = _there(await webhooks.find(connection, principal.org_id, webhook_id))
        if found.disabled_at is not None:
            raise Conflict(f"The webhook {found.name!r} is disabled. Enable it first.", code="webhook_disabled")
        await facts.record(connection, principal, "webhook.tested", webhook_id=str(webhook_id))


def _problems(*, url: str, events: Sequence[str] | None, allow_private: bool) -> list[FieldProblem]:
    problems = []
    try:
        webhook.check_url(url, allow_private=allow_private)
    except ValueError as error:
        problems.append(FieldProblem("url", str(error)))
    if events is not None:
        wrong = wrong_events(events)
        if wrong or not events:
            problems.append(FieldProblem("events", f"{wrong[0]!r} is no fact" if wrong else "name at least one, or *"))
    return problems


def _refused(problems: Sequence[FieldProblem]) -> Invalid:
    listed = "; ".join(f"{each.field}: {each.problem}" for each in problems)
    return Invalid(f"The webhook cannot be used: {listed}.", code="bad_webhook", fields=tuple(problems))


def _there(found: Webhook | None) -> Webhook:
    if found is None:
        raise _missing()
    return found


def _missing() -> Missing:
    return Missing("There is no such webhook.", code="no_webhook")


def _require_admin(principal: Principal) -> None:
    if principal.role not in {"owner", "admin"}:
        raise Denied("Webhooks are for owners and admins.", code="admin_only")


def _require_private(*, is_private: bool, may_be_private: bool) -> None:
    if is_private and not may_be_private:
        raise Denied(
            "This webhook may reach private addresses, which only the operator allows: use the command line on the "
            "machine, or set ASOE_CONNECTOR_PRIVATE.",
            code="private_not_allowed",
        )
