"""A ticket's part in an incident: it is linked once, its client hears once what is known, and how it ended is kept.

Everything is written in the transaction that holds the ticket; the keys of link and notice keep a crash or a second hand from doing it twice.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from asoe.desk import outcome
from asoe.desk.context import Desk
from asoe.desk.incident.signs import client_key
from asoe.desk.resolution import answer_language
from asoe.desk.wording import say
from asoe.domain.incident import Incident
from asoe.domain.organization import Principal
from asoe.store import facts, incidents
from asoe.store.db import Connection

if TYPE_CHECKING:
    from asoe.desk.journey.standing import Standing
    from asoe.desk.outcome import Settled, Step

KNOWN: Final = "known"


async def join(desk: Desk, connection: Connection, engine: Principal, standing: Standing, step: Step) -> Step | None:
    """The step that takes the held ticket into `step.incident`; None when the incident takes none any more, or has it."""
    part = step.incident
    assert part is not None
    ticket, now = standing.ticket, desk.clock()
    incident = await incidents.find_for_share(connection, engine.org_id, part.incident_id)
    client = client_key(ticket)
    if not incident.is_telling:
        return None
    if not await incidents.link(connection, incident, ticket.id, client_key=client, because=part.because, at=now):
        return None
    reply, note = await _say(desk, connection, engine, standing, incident)
    kept: dict[str, Any] = {"id": str(incident.id), "number": incident.number}
    if part.report is not None:
        run = part.report.run
        kept |= {"run": str(run.id), "runbook": str(run.runbook_id), "reason": run.reason}
        kept["tried"] = list(part.report.tried)
    journey = replace(step.journey, data={**step.journey.data, "incident": kept})
    joined = outcome.joined(journey, ticket, reply=reply, note=note, is_persons=standing.is_persons)
    about: dict[str, Any] = {"incident_id": str(incident.id), "because": part.because.partition(":")[0]}
    await facts.record(connection, engine, "incident.linked", ticket_id=ticket.id, **about)
    return replace(joined, triage=step.triage)


async def settle(desk: Desk, connection: Connection, engine: Principal, standing: Standing, settled: Settled) -> None:
    """Keep how the ticket's part ended, with its fact."""
    is_new = await incidents.settle(
        connection,
        engine.org_id,
        settled.incident_id,
        standing.ticket.id,
        outcome=settled.outcome,
        at=desk.clock(),
        reason=settled.reason,
        run_id=settled.run_id,
    )
    if is_new:
        about: dict[str, Any] = {
            "incident_id": str(settled.incident_id),
            "outcome": settled.outcome,
            "reason": settled.reason,
        }
        await facts.record(connection, engine, "incident.settled", ticket_id=standing.ticket.id, **about)


async def tell(
    desk: Desk,
    connection: Connection,
    engine: Principal,
    standing: Standing,
    incident: Incident,
    *,
    kind: str,
    text: str,
) -> tuple[str | None, str | None]:
    """(what to say to the client, what to note for staff) of a notice, if this client has not had it yet."""
    ticket = standing.ticket
    is_said = not standing.is_taken
    is_new = await incidents.notice(
        connection,
        incident,
        kind,
        client_key=client_key(ticket),
        ticket_id=ticket.id,
        is_said=is_said,
        at=desk.clock(),
    )
    if not is_new:
        return None, None
    about: dict[str, Any] = {"incident_id": str(incident.id), "notice": kind, "is_said": is_said}
    await facts.record(connection, engine, "incident.told", ticket_id=ticket.id, **about)
    return (
        (text, None) if is_said else (None, f"Incident {incident.number}: tell the client, whom you speak with: {text}")
    )


async def _say(
    desk: Desk, connection: Connection, engine: Principal, standing: Standing, incident: Incident
) -> tuple[str | None, str | None]:
    language = answer_language(standing.ticket, standing.policy)
    text = incident.known or say("incident_known", language)
    said = await tell(desk, connection, engine, standing, incident, kind=KNOWN, text=text)
    if said != (None, None):
        return said
    number = await incidents.told_at(connection, incident, KNOWN, client_key(standing.ticket))
    if number is None or number == standing.ticket.number or standing.is_taken:
        return None, f"Part of incident {incident.number}; its client has heard of it."
    return say("incident_again", language, number=number), None
