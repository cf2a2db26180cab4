"""Whether a ticket has the cause of an incident that goes on: by what its failed run has met, or by its intent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from asoe.desk.context import Desk
from asoe.desk.escalation import SURE_INTENT
from asoe.desk.journey.standing import Standing
from asoe.desk.outcome import Part, Step
from asoe.desk.runbook.treatment import Report
from asoe.desk.trail import Trail
from asoe.domain.incident import Incident, Sign, intent_key, keys_of, runbook_key
from asoe.domain.organization import Principal
from asoe.domain.triage import Triage
from asoe.store import incidents


async def after_run(
    desk: Desk, engine: Principal, standing: Standing, report: Report, signs: Sequence[Sign], *, trail: Trail
) -> Step | None:
    """Join the incident whose cause a failed run has met; None when there is none."""
    if not standing.has_incidents or not signs or standing.incident is not None:
        return None
    keys = [*(sign.key for sign in signs), runbook_key(report.run.runbook_id)]
    if standing.ticket.intent:
        keys.append(intent_key(standing.ticket.intent))
    part = await _find(desk, engine, standing, keys, trail=trail)
    if part is None:
        return None
    return Step("joining", standing.journey, incident=replace(part, report=report)).seen(standing.positions)


async def by_intent(
    desk: Desk, engine: Principal, standing: Standing, judged: Triage | None, *, trail: Trail
) -> Step | None:
    """Join an incident of the ticket's intent where no runbook can look for itself; None when there is none."""
    if not standing.has_incidents or standing.incident is not None or standing.journey.data.get("treated"):
        return None
    intent = standing.ticket.intent
    if judged is not None and intent == judged.intent.value and judged.intent.confidence < SURE_INTENT:
        return None
    part = await _find(desk, engine, standing, [intent_key(intent)], trail=trail) if intent else None
    return None if part is None else Step("joining", standing.journey, incident=part).seen(standing.positions)


async def _find(desk: Desk, engine: Principal, standing: Standing, keys: Sequence[str], *, trail: Trail) -> Part | None:
    """The oldest incident that takes tickets with one of these keys in, and has not had this one."""
    with trail.agent("insight", looking_for="incident") as noted:
        joinable = await _joinable(desk, engine, standing)
        trail.read["joinable"] = [str(incident.id) for incident in joinable]
        found = [(incident, key) for incident in joinable for key in keys if key in keys_of(incident.keys)]
        noted(going=len(joinable), incident=found[0][0].number if found else None)
    return Part(found[0][0].id, found[0][1]) if found else None


async def _joinable(desk: Desk, engine: Principal, standing: Standing) -> list[Incident]:
    then = standing.then
    async with desk.database.org_reading(engine) as connection:
        if then is not None and then.joinable is not None:
            return await incidents.some(connection, engine.org_id, then.joinable)
        going = await incidents.going(connection, engine.org_id)
        had = {part.id for part in await incidents.of_ticket(connection, engine.org_id, standing.ticket.id)}
    return [incident for incident in going if incident.is_telling and incident.id not in had]
