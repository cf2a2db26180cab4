"""Alerts as input: who may send them, which of them is news, and the incident that each opens, feeds or ends.

What is not proven is refused with its reason in the log, and nothing of it is kept. A runbook starts by the organization's rules for incidents
alone, as its autonomy allows (`keeping.py`): an alert's labels only fill the slots that a rule names.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import structlog
from standardwebhooks import Webhook, WebhookVerificationError

from asoe.connectors.webhook import new_secret
from asoe.desk.context import Desk
from asoe.desk.incident.signs import add, new
from asoe.domain.alert import KINDS, MOST_AT_ONCE, PROOFS, Alert, Known, clipped, news_of, why_unknown, why_unsigned
from asoe.domain.errors import Conflict, Denied, FieldProblem, Invalid, Missing
from asoe.domain.incident import AlertRule, Incident, alert_key, check_key, intent_key, read_incident_rules
from asoe.domain.organization import ROLE_RANK, Principal
from asoe.domain.people import check_name
from asoe.store import alerts, facts, incidents, organizations, sealed
from asoe.store.alerts import Source
from asoe.store.db import Connection

PURPOSE: Final = "alerts"
MOST_SOURCES: Final = 20
MOST_GOING: Final = 100
_BOTH_VALID: Final = timedelta(days=1)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NewSource:
    """A source with its secret, which nobody can show again."""

    source: Source
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Received:
    """What became of a message's alerts."""

    fired: int = 0
    over: int = 0
    old: int = 0
    ignored: int = 0


async def list_sources(desk: Desk, principal: Principal) -> list[Source]:
    _require_admin(principal)
    async with desk.database.org_reading(principal) as connection:
        return await alerts.list_sources(connection, principal.org_id)


async def add_source(desk: Desk, principal: Principal, *, name: str, kind: str, proof: str) -> NewSource:
    """Raises `Invalid(bad_alert_source)`, `Conflict(alert_source_exists | too_many_alert_sources)`."""
    _require_admin(principal)
    problems = []
    if kind not in KINDS:
        problems.append(FieldProblem("kind", f"is not one of {', '.join(KINDS)}"))
    if proof not in PROOFS:
        problems.append(FieldProblem("proof", f"is not one of {', '.join(PROOFS)}"))
    if problems:
        listed = "; ".join(f"{each.field}: {each.problem}" for each in problems)
        raise Invalid(f"{listed}.", code="bad_alert_source", fields=tuple(problems))
    source_id, secret = uuid4(), _new_secret(proof)
    async with desk.database.org_transaction(principal) as connection:
        if len(await alerts.list_sources(connection, principal.org_id)) >= MOST_SOURCES:
            raise Conflict(
                f"There are {MOST_SOURCES} sources already. Remove one first.", code="too_many_alert_sources"
            )
        added = await alerts.add_source(
            connection,
            principal.org_id,
            source_id,
            name=check_name(name),
            kind=kind,
            proof=proof,
            sealed=_seal(desk, principal.org_id, source_id, {"secret": secret}),
            by=principal.user_id,
        )
        if added is None:
            raise Conflict("There is a source of that name already; take another name.", code="alert_source_exists")
        await facts.record(
            connection, principal, "alert_source.added", source_id=str(source_id), type=kind, proof=proof
        )
    return NewSource(added, secret)


async def rotate(desk: Desk, principal: Principal, source_id: UUID) -> NewSource:
    """Make a new secret; the old one holds for one more day. Raises `Missing(alert_source_missing)`."""
    _require_admin(principal)
    async with desk.database.org_transaction(principal) as connection:
        source = _there(await alerts.find_source(connection, principal.org_id, source_id))
        kept = _unseal(
            desk, principal.org_id, source_id, await alerts.read_sealed(connection, principal.org_id, source_id)
        )
        secret = _new_secret(source.proof)
        until = (desk.clock() + _BOTH_VALID).isoformat()
        changed = {"secret": secret, "previous": kept["secret"], "previous_until": until}
        await alerts.seal(connection, principal.org_id, source_id, _seal(desk, principal.org_id, source_id, changed))
        await facts.record(connection, principal, "alert_source.changed", source_id=str(source_id), names=["secret"])
    return NewSource(source, secret)


async def remove_source(desk: Desk, principal: Principal, source_id: UUID) -> None:
    """Raises `Missing(alert_source_missing)`; its incidents stay."""
    _require_admin(principal)
    async with desk.database.org_transaction(principal) as connection:
        if not await alerts.remove_source(connection, principal.org_id, source_id):
            raise _no_source()
        await facts.record(connection, principal, "alert_source.removed", source_id=str(source_id))


async def receive(
    desk: Desk,
    org: str,
    source_id: UUID,
    *,
    headers: Mapping[str, str],
    body: bytes,
    read: Callable[[str, bytes], Sequence[Alert]],
) -> Received:
    """Take a message in; `read` decodes the body of a kind. Raises `Missing(alert_source_missing)`, `Denied(bad_alert_proof)`."""
    try:
        engine = await desk.engine_of(UUID(org) if _is_uuid(org) else org)
    except Missing:
        raise _no_source() from None
    async with desk.database.org_reading(engine) as connection:
        source = _there(await alerts.find_source(connection, engine.org_id, source_id))
        kept = await alerts.read_sealed(connection, engine.org_id, source_id)
    why = _why_not(desk, source, _unseal(desk, engine.org_id, source_id, kept), headers, body)
    if why is not None:
        _log.warning("alert.refused", source_id=str(source_id), proof=source.proof, reason=why)
        raise Denied(f"This alert is not proven: {why}.", code="bad_alert_proof", unproven=True)
    told = read(source.kind, body)
    if len(told) > MOST_AT_ONCE:
        raise Invalid(f"{len(told)} alerts in one message; at most {MOST_AT_ONCE} are read.", code="bad_alert")
    return await _take_in(desk, engine, source, told)


async def follow(desk: Desk, connection: Connection, engine: Principal, incident: Incident) -> bool:
    """End an incident of alerts that are all over: an open one counts as mended, a suspected one as none."""
    told = await alerts.of_incident(connection, engine.org_id, incident.id)
    if not told or any(alert.is_firing for alert in told):
        return False
    about: dict[str, Any] = {"incident_id": str(incident.id)}
    if incident.status == "suspected":
        await facts.record(connection, engine, "incident.dismissed", before="suspected", by="alert", **about)
        await incidents.change(connection, replace(incident, status="dismissed", trouble=""))
    else:
        await facts.record(connection, engine, "incident.mended", by="alert", **about)
        await incidents.change(connection, replace(incident, status="mended", mended_at=desk.clock(), trouble=""))
    return True


async def _take_in(desk: Desk, engine: Principal, source: Source, told: Sequence[Alert]) -> Received:
    """All of a message in one transaction, one message of a source at a time."""
    found = Received()
    now = desk.clock()
    async with desk.database.org_transaction(engine) as connection:
        await alerts.hold(connection, source.id)
        rules = read_incident_rules(await organizations.settings(connection, engine.org_id))
        known = await alerts.known(connection, engine.org_id, source.id, [alert.fingerprint for alert in told])
        for given in told:
            alert = replace(given, labels=clipped(given.labels))
            before, incident_id = known.get(alert.fingerprint, (None, None))
            rule = next((each for each in rules.alerts if each.holds(alert.labels)), AlertRule())
            news = news_of(alert, before)
            if rule.is_ignored:
                found = replace(found, ignored=found.ignored + 1)
            elif news == "fires":
                incident_id = await _fire(desk, connection, engine, source, alert, rule=rule)
                found = replace(found, fired=found.fired + 1)
            elif news == "over":
                found = replace(found, over=found.over + 1)
                if incident_id is not None:
                    about: dict[str, Any] = {"incident_id": str(incident_id), "source_id": str(source.id)}
                    await facts.record(connection, engine, "incident.alert_over", **about)
            else:
                found = replace(found, old=found.old + 1)
            if news != "old" and not rule.is_ignored:
                await alerts.keep(connection, engine.org_id, source.id, alert, incident_id=incident_id, at=now)
                known[alert.fingerprint] = (Known(alert.is_firing, alert.starts_at, alert.ends_at), incident_id)
    if found.old:
        _log.info("alert.ignored", source_id=str(source.id), count=found.old, reason="what it tells was told before")
    if found.ignored:
        _log.info(
            "alert.ignored",
            source_id=str(source.id),
            count=found.ignored,
            reason="a rule of the organization ignores it",
        )
    return found


async def _fire(
    desk: Desk, connection: Connection, engine: Principal, source: Source, alert: Alert, *, rule: AlertRule
) -> UUID | None:
    """The incident of a firing alert: one that goes on with the same cause is fed, else one is opened."""
    place = rule.place(alert.labels)
    keys = [alert_key(source.id, alert.group or alert.fingerprint)]
    keys += [check_key(place["connector"], place["action"], place["arguments"])] if place else []
    keys += [intent_key(rule.intent)] if rule.intent else []
    await incidents.hold_all(connection, engine.org_id)
    going = await incidents.going(connection, engine.org_id)
    same = next(
        (each for each in going if set(keys) & set(each.keys) and each.status not in {"mended", "dismissed"}), None
    )
    about: dict[str, Any] = {"source_id": str(source.id)}
    if same is not None:
        held = await incidents.find_for_update(connection, engine.org_id, same.id)
        fed = replace(held, keys=tuple(dict.fromkeys((*held.keys, *keys))), place=held.place or place)
        if held.status == "suspected" and not rule.is_suspected:
            fed = replace(fed, status="open", confirmed_at=desk.clock())
            await facts.record(connection, engine, "incident.confirmed", incident_id=str(same.id), by="alert")
        await incidents.change(connection, fed)
        await facts.record(connection, engine, "incident.fed", incident_id=str(same.id), **about)
        return same.id
    if len(going) >= MOST_GOING:
        _log.error("alert.no_incident", source_id=str(source.id), reason=f"{MOST_GOING} incidents go on")
        return None
    rules = read_incident_rules(await organizations.settings(connection, engine.org_id))
    made = new(
        engine,
        title=alert.title or f"Alert of {source.name}",
        source="alert",
        status="suspected" if rule.is_suspected else "open",
        keys=keys,
        place=place,
        slots=dict(alert.labels),
        opened_at=desk.clock(),
        since=desk.clock() - rules.within,
    )
    stored = await add(connection, engine, made)
    await facts.record(connection, engine, "incident.fed", incident_id=str(stored.id), **about)
    return stored.id


def _why_not(
    desk: Desk, source: Source, kept: Mapping[str, str], headers: Mapping[str, str], body: bytes
) -> str | None:
    """Why a message is not proven to come from its source; None: it is."""
    valid = [kept["secret"]]
    until = kept.get("previous_until")
    if until is not None and desk.clock() < datetime.fromisoformat(until):
        valid.append(kept["previous"])
    if source.proof == "bearer":
        return why_unknown(headers, secrets=valid)
    if source.proof == "hmac":
        return why_unsigned(headers, body, secrets=valid, now=desk.clock())
    for secret in valid:
        try:
            Webhook(secret).verify(body, dict(headers), json_parse=False)
        except (WebhookVerificationError, ValueError, OverflowError):
            continue
        else:
            return None
    return "the Standard Webhooks signature is missing, too old, or does not fit"


def _new_secret(proof: str) -> str:
    return new_secret() if proof == "standard" else f"asoe_alert_{secrets.token_urlsafe(32)}"


def _seal(desk: Desk, org_id: UUID, source_id: UUID, kept: dict[str, str]) -> bytes:
    return sealed.seal(desk.derive(PURPOSE), json.dumps(kept).encode(), _about(org_id, source_id))


def _unseal(desk: Desk, org_id: UUID, source_id: UUID, secret: bytes | None) -> dict[str, str]:
    if secret is None:  # removed at this moment
        raise _no_source()
    opened: dict[str, str] = json.loads(sealed.unseal(desk.derive(PURPOSE), secret, _about(org_id, source_id)))
    return opened


def _about(org_id: UUID, source_id: UUID) -> bytes:
    return f"{org_id}/{source_id}".encode()


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _there(found: Source | None) -> Source:
    if found is None:
        raise _no_source()
    return found


def _no_source() -> Missing:
    return Missing("There is no such source of alerts here.", code="alert_source_missing")


def _require_admin(principal: Principal) -> None:
    if ROLE_RANK.get(principal.role, -1) < ROLE_RANK["admin"]:
        raise Denied("Sources of alerts are for owners and admins.", code="admin_only")
