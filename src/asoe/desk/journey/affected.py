"""A ticket that is part of an incident: what it does while it waits, and its own check once the cause is mended.

A mend proves nothing for a ticket: its own runbook looks again, and only a check that holds ends it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal
from uuid import UUID

from asoe.desk import outcome, resolution
from asoe.desk.context import Desk
from asoe.desk.journey.resolving import hand_over, read_replies
from asoe.desk.journey.standing import Standing
from asoe.desk.outcome import Settled, Step
from asoe.desk.resolution import HandOver
from asoe.desk.runbook import shelf, treatment
from asoe.desk.runbook.treatment import ACTS, Report, Treatment
from asoe.desk.trail import Trail
from asoe.domain.incident import Incident
from asoe.domain.organization import Principal
from asoe.domain.runbook import RECOVERED
from asoe.store import incidents

_NOBODY_CHECKS: Final = "Its cause is mended (incident {number}); no runbook checks this ticket by itself."


async def think(desk: Desk, engine: Principal, standing: Standing, trail: Trail) -> Step | Literal["pass"] | None:
    """The next step of a ticket that is part of an incident; `pass`: as if it were not, None: nothing now."""
    about = standing.incident
    assert about is not None
    incident, is_part = await _part(desk, engine, standing, UUID(about["id"]))
    trail.read["part"] = {"status": incident.status, "is_part": is_part}
    if not is_part:
        return outcome.heard(_without(standing).journey, standing.ticket) if standing.is_persons else "pass"
    if incident.status == "dismissed":
        return _released(standing, about, trail)
    if incident.status not in {"mended", "closed"}:
        return await _while_it_lasts(desk, standing, trail)
    if standing.is_taken:
        note = f"The cause of this is mended (incident {incident.number}). Check it with the client you speak with."
        return _left(standing, "person", note=note)
    found = await _own_check(desk, engine, standing, about)
    if found is None:
        note = _NOBODY_CHECKS.format(number=incident.number)
        return _left(standing, "no_check", note=note) if standing.is_persons else _given(standing, about, note, trail)
    data = {**standing.journey.data, "incident": {**about, "checked": True}}
    step = outcome.treated(replace(standing.journey, data=data), standing.ticket)
    return replace(step, treatment=found)


async def _part(desk: Desk, engine: Principal, standing: Standing, incident_id: UUID) -> tuple[Incident, bool]:
    """The incident, and whether the ticket waits for it; of a pass of the past, as it was then."""
    then = standing.then
    async with desk.database.org_reading(engine) as connection:
        incident = await incidents.find(connection, engine.org_id, incident_id)
        if then is not None and then.incident is not None:
            return replace(incident, status=then.incident), then.is_part
        parts = await incidents.of_ticket(connection, engine.org_id, standing.ticket.id)
    return incident, any(part.id == incident_id and part.outcome is None for part in parts)


def is_checked(standing: Standing) -> bool:
    """Whether the run under way is the ticket's own check after the cause was mended."""
    return standing.incident is not None and bool(standing.incident.get("checked"))


def in_order(standing: Standing, report: Report) -> tuple[Standing, Settled]:
    """The ticket's own check holds: what the client is told of it, beside whatever its runbook had to mend, too."""
    about = standing.incident
    assert about is not None
    language = resolution.answer_language(standing.ticket, standing.policy)
    kept = dict(standing.journey.data)
    if report.run.status != "verified" or report.run.reason == RECOVERED:
        kept["mended"] = [*kept.get("mended", ()), outcome.mended(report, language, incident=about["number"])]
    del kept["incident"]
    settled = Settled(UUID(about["id"]), "mended", run_id=report.run.id)
    return replace(standing, journey=replace(standing.journey, data=kept)), settled


def still_broken(standing: Standing, report: Report, trail: Trail, *, reasons: Sequence[str]) -> Step:
    """The cause is mended and this ticket's own check fails: a person gets it with the reason."""
    about = standing.incident
    assert about is not None
    number, why = about["number"], reasons[0]
    rest = _without(standing)
    settled = Settled(UUID(about["id"]), "broken", reason=why, run_id=report.run.id)
    head = f"The cause of this was mended (incident {number}); this ticket's own check failed all the same: {why}."
    if standing.ticket.status == "escalated":
        note = "\n".join((head, *report.tried, *report.not_done))
        return replace(outcome.dropped(rest.journey, standing.ticket, note), settled=settled)
    listed = tuple(dict.fromkeys(("incident", *reasons)))
    step = hand_over(rest, HandOver(listed, tried=(head, *report.tried), not_done=report.not_done), trail)
    return replace(step, settled=settled)


async def _while_it_lasts(desk: Desk, standing: Standing, trail: Trail) -> Step | Literal["pass"] | None:
    if standing.is_persons:
        return "pass"
    if standing.ticket.severity == "critical":
        return hand_over(standing, HandOver(("critical_severity", "incident"), tried=_tried(standing)), trail)
    if not standing.news:
        return None
    if await read_replies(desk, standing, trail) == "wants_person":
        return hand_over(standing, HandOver(("client_asked", "incident"), tried=_tried(standing)), trail)
    return outcome.heard(standing.journey, standing.ticket).seen(standing.positions)


async def _own_check(desk: Desk, engine: Principal, standing: Standing, about: Mapping[str, Any]) -> Treatment | None:
    """The runbook that saw the ticket's trouble, as it is published now."""
    async with desk.database.org_reading(engine) as connection:
        shelved = await shelf.published(connection, engine.org_id, instead=desk.versions)
        client = await treatment.client_of(connection, engine.org_id, standing.ticket.id)
    found = next(
        (each for each in shelved if str(each.runbook_id) == about.get("runbook") and each.level in ACTS), None
    )
    if found is None:
        return None
    slots = await treatment.read_slots(
        desk,
        found.runbook,
        standing.ticket,
        messages=standing.messages,
        client=client,
        policy=standing.policy,
        beside=[each.runbook for each in shelved],
    )
    return Treatment(found.runbook_id, found.runbook, 1.0, slots, is_live=True)


def _released(standing: Standing, about: Mapping[str, Any], trail: Trail) -> Step:
    """The incident was none: the ticket goes where its run left it."""
    if standing.is_persons:
        return _left(standing, "dismissed", note=f"Incident {about['number']} was none; this ticket stands for itself.")
    reasons = (about.get("reason") or "no_grounded_answer",)
    step = hand_over(_without(standing), HandOver(reasons, tried=_tried(standing)), trail)
    return replace(step, settled=Settled(UUID(about["id"]), "left", reason="dismissed"))


def _given(standing: Standing, about: Mapping[str, Any], note: str, trail: Trail) -> Step:
    step = hand_over(_without(standing), HandOver(("incident",), tried=(note, *_tried(standing))), trail)
    return replace(step, settled=Settled(UUID(about["id"]), "left", reason="no_check"))


def _left(standing: Standing, why: str, *, note: str) -> Step:
    """Whoever has the ticket goes on with it."""
    assert standing.incident is not None
    step = outcome.dropped(_without(standing).journey, standing.ticket, note)
    return replace(step, settled=Settled(UUID(standing.incident["id"]), "left", reason=why))


def _without(standing: Standing) -> Standing:
    data = {name: value for name, value in standing.journey.data.items() if name != "incident"}
    return replace(standing, journey=replace(standing.journey, data=data))


def _tried(standing: Standing) -> tuple[str, ...]:
    about = standing.incident or {}
    return (f"It is part of incident {about.get('number')}.", *about.get("tried", ()))
