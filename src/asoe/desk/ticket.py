"""What people do to a ticket: read, change, assign, move, merge, link. Each change is a fact with who, before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from asoe.desk import ending, outcome, triage
from asoe.desk.context import Desk, plain, policy_of, unstorable
from asoe.desk.moves import walk
from asoe.desk.outcome import with_verdict
from asoe.desk.resolution import HandOver
from asoe.domain.errors import Conflict, Denied, FieldProblem, Invalid, Missing
from asoe.domain.facts import Fact
from asoe.domain.organization import Principal
from asoe.domain.ticket import MAX_SUBJECT_CHARS, SEVERITY_RANK, Ticket, check_move
from asoe.domain.triage import CATEGORIES
from asoe.store import (
    answers,
    contacts,
    escalations,
    facts,
    fields,
    journeys,
    orchestrator,
    org_intents,
    organizations,
    sessions,
    tickets,
)
from asoe.store.db import Connection
from asoe.store.escalations import Escalation
from asoe.store.tickets import Page, TicketFilter

CHANGEABLE: Final = frozenset(
    {"category", "severity", "intent", "team", "assignee", "tags", "cc", "custom_fields", "subject", "metadata"}
)
_TRIAGED: Final = ("category", "severity", "intent")
_CORRECTIONS: Final = (*_TRIAGED, "team")
_CLASSES: Final = frozenset({*_CORRECTIONS, "assignee", "tags"})
"""Fields whose values are classes or ids, and so may stand in a fact; the others are named only."""
LINK_KINDS: Final = ("related", "duplicate_of", "follow_up_of", "blocked_by")


async def read_ticket(desk: Desk, principal: Principal, ticket_id: UUID) -> Ticket:
    """One ticket; raises `Missing(ticket_missing)`."""
    async with desk.database.org_reading(principal) as connection:
        return await tickets.find(connection, principal.org_id, ticket_id)


async def read_by_number(desk: Desk, principal: Principal, number: int) -> Ticket:
    async with desk.database.org_reading(principal) as connection:
        return await tickets.find_by_number(connection, principal.org_id, number)


async def list_tickets(
    desk: Desk, principal: Principal, wanted: TicketFilter, *, cursor: str | None = None, limit: int = 50
) -> Page:
    """A keyset page, newest first; a client gets its own tickets only."""
    if principal.is_client:  # row-level security would show no others; saying so lets its index be used
        wanted = replace(wanted, user_id=principal.user_id)
    async with desk.database.org_reading(principal) as connection:
        return await tickets.page(connection, principal.org_id, wanted, cursor=cursor, limit=limit)


async def list_open(desk: Desk, principal: Principal, *, limit: int = tickets.MAX_PAGE) -> list[Ticket]:
    """Open, triaging and in_progress tickets; most severe first by rank, then oldest."""
    async with desk.database.org_reading(principal) as connection:
        return await tickets.open_by_severity(connection, principal.org_id, limit=limit)


async def timeline(
    desk: Desk, principal: Principal, ticket_id: UUID, *, after: int = 0, limit: int = 200
) -> list[Fact]:
    async with desk.database.org_reading(principal) as connection:
        await tickets.find(connection, principal.org_id, ticket_id)
        return await facts.timeline(connection, principal.org_id, ticket_id, after=after, limit=limit)


async def runs(desk: Desk, principal: Principal, ticket_id: UUID) -> list[dict[str, Any]]:
    """The ticket's orchestrator runs with their agent invocations, newest first; staff only."""
    _staff_only(principal, "the record of the engine's passes")
    async with desk.database.org_reading(principal) as connection:
        await tickets.find(connection, principal.org_id, ticket_id)
        return await orchestrator.runs_of_ticket(connection, principal.org_id, ticket_id)


async def run(desk: Desk, principal: Principal, run_id: UUID) -> dict[str, Any]:
    """One of them with what it went by; raises `Missing(agent_run_missing)`. Staff only."""
    _staff_only(principal, "the record of the engine's passes")
    async with desk.database.org_reading(principal) as connection:
        return await orchestrator.find_run(connection, principal.org_id, run_id)


async def dossier(desk: Desk, principal: Principal, ticket_id: UUID) -> Escalation:
    """The newest escalation with its dossier; raises `Missing(no_dossier)` when nobody was handed the ticket."""
    _staff_only(principal, "dossiers")
    async with desk.database.org_reading(principal) as connection:
        await tickets.find(connection, principal.org_id, ticket_id)
        found = await escalations.newest(connection, principal.org_id, ticket_id)
    if found is None:
        raise Missing("This ticket was not handed over, so it has no dossier.", code="no_dossier")
    return found


async def links(desk: Desk, principal: Principal, ticket_id: UUID) -> list[dict[str, Any]]:
    async with desk.database.org_reading(principal) as connection:
        await tickets.find(connection, principal.org_id, ticket_id)
        return await tickets.links(connection, principal.org_id, ticket_id)


async def change_ticket(
    desk: Desk,
    principal: Principal,
    ticket_id: UUID,
    changes: Mapping[str, Any],
    *,
    expected_version: int | None = None,
) -> Ticket:
    """Change fields; category, severity, intent and team are kept as corrections, of which the first three are learned from.

    Raises `Invalid` naming each wrong field, `Conflict(ticket_changed)` when the ticket is past `expected_version`.
    """
    _staff_only(principal, "fields of a ticket")
    async with desk.database.org_transaction(principal) as connection:
        ticket = await _held(connection, principal, ticket_id, expected_version)
        wanted = await _checked(connection, principal, changes)
        before = {name: getattr(ticket, name) for name in wanted}
        different = {name: value for name, value in wanted.items() if before[name] != value}
        if not different:
            return ticket
        changed = await tickets.update(connection, ticket, different)
        for name in _CORRECTIONS:
            if name in different:
                await tickets.correct(
                    connection,
                    ticket,
                    field_name=name,
                    judged=ticket.triage.get(name, {}).get("value", before[name]),
                    before=before[name],
                    corrected=str(different[name] or ""),
                    by=principal.user_id,
                )
        named = {
            name: {"from": _class(before[name]), "to": _class(value)} if name in _CLASSES else True
            for name, value in different.items()
        }
        await facts.record(connection, principal, "ticket.changed", ticket_id=ticket_id, fields=named)
        if any(name in different for name in _TRIAGED):
            await facts.record(connection, principal, "ticket.corrected", ticket_id=ticket_id)
            if different.get("severity") == "critical" and ticket.status not in {"escalated", "resolved", "closed"}:
                await desk.queue.advance(connection, principal.org_id, ticket_id)
        if "assignee" in different or "team" in different:
            if different.get("assignee") is not None:
                await escalations.take(connection, principal.org_id, ticket_id, by=different["assignee"])
            await facts.record(
                connection,
                principal,
                "ticket.assigned",
                ticket_id=ticket_id,
                assignee=plain(changed.assignee),
                team=changed.team,
            )
        return changed


async def judge_answer(desk: Desk, principal: Principal, ticket_id: UUID, *, is_useful: bool) -> None:
    """Say whether the engine's answer on a ticket was useful; the last word of all counts. Raises `Conflict(no_answer_given)`."""
    _staff_only(principal, "how useful an answer was")
    async with desk.database.org_transaction(principal) as connection:
        ticket = await tickets.find_for_update(connection, principal.org_id, ticket_id)
        slugs = dict.fromkeys(str(cited["slug"]) for cited in ticket.resolution.get("citations", ()))
        last = await answers.last(connection, principal.org_id, ticket_id)
        if not slugs and last is not None:  # suggested, and not sent
            slugs = dict.fromkeys(last[1])
        if not slugs:
            raise Conflict(
                f"The engine gave no answer on ticket {ticket.number}: there is nothing to judge.",
                code="no_answer_given",
            )
        said = "useful" if is_useful else "not_useful"
        await tickets.correct(
            connection,
            ticket,
            field_name="answer",
            judged=", ".join(slugs),
            before=ticket.resolution.get("verdict"),
            corrected=said,
            by=principal.user_id,
        )
        if last is not None:
            await answers.judge(
                connection, principal.org_id, last[0], is_right=is_useful, source="person", by=principal.user_id
            )
        await facts.record(connection, principal, "ticket.answer_judged", ticket_id=ticket_id, answer=said)


async def move_ticket(
    desk: Desk, principal: Principal, ticket_id: UUID, status: str, *, expected_version: int | None = None
) -> Ticket:
    """Move a ticket along the legal moves; a person's `resolved` is recorded as such, not as verified by a check.

    `escalated` hands over with a dossier, `in_progress` keeps it with a person, `triaging` and `open` let the engine look
    (unless a person has the conversation, or the ticket had ended: see `reopen_ticket`).
    """
    _staff_only(principal, "the status of a ticket")
    if status == "closed":
        return await close_ticket(desk, principal, ticket_id, expected_version=expected_version)
    engine = await desk.engine_of(principal.org_id)
    async with desk.database.org_transaction(principal) as connection:
        ticket = await _held(connection, principal, ticket_id, expected_version)
        check_move(ticket.status, status)
        if status == "open" and ticket.status in {"resolved", "closed"}:
            return await ending.reopen(desk, connection, principal, ticket)
        if status == "resolved":
            changed = await ending.resolve(desk, connection, principal, ticket)
        elif status == "escalated":
            changed = await _hand_over(desk, connection, engine, ticket)
        else:
            changed = await _move(desk, connection, principal, ticket, status)
        await facts.record(
            connection, principal, "ticket.moved", ticket_id=ticket.id, before=ticket.status, after=changed.status
        )
        return changed


async def close_ticket(
    desk: Desk, principal: Principal, ticket_id: UUID, *, expected_version: int | None = None
) -> Ticket:
    """Close a resolved ticket; one that a person closes from elsewhere goes over resolved first."""
    _staff_only(principal, "closing a ticket")
    async with desk.database.org_transaction(principal) as connection:
        ticket = await _held(connection, principal, ticket_id, expected_version)
        at = ticket
        if at.status in {"in_progress", "escalated", "triaging"}:
            at = await ending.resolve(desk, connection, principal, at)
        check_move(at.status, "closed")
        changed = await ending.close(desk, connection, principal, at)
        await facts.record(
            connection, principal, "ticket.moved", ticket_id=ticket.id, before=ticket.status, after="closed"
        )
        return changed


async def reopen_ticket(desk: Desk, principal: Principal, ticket_id: UUID) -> Ticket:
    """Open a resolved or closed ticket again: it waits for a person until one hands it back; raises `Conflict`."""
    _staff_only(principal, "reopening a ticket")
    async with desk.database.org_transaction(principal) as connection:
        ticket = await _held(connection, principal, ticket_id, None)
        check_move(ticket.status, "open")
        return await ending.reopen(desk, connection, principal, ticket)


async def merge_ticket(desk: Desk, principal: Principal, ticket_id: UUID, *, into: UUID) -> Ticket:
    """Close `ticket_id` as merged into another; its client keeps it, its words are noted on the target."""
    _staff_only(principal, "merging tickets")
    if ticket_id == into:
        raise Invalid("into: a ticket cannot be merged into itself.", fields=(FieldProblem("into", "the same ticket"),))
    async with desk.database.org_transaction(principal) as connection:
        first, second = sorted((ticket_id, into))  # always in one order, so that two merges cannot wait for each other
        held = {each: await tickets.find_for_update(connection, principal.org_id, each) for each in (first, second)}
        source, target = held[ticket_id], held[into]
        if source.merged_into is not None or target.merged_into is not None:
            raise Conflict(
                "One of the two is merged already; merge into the ticket that is left.", code="already_merged"
            )
        if target.status == "closed" and source.status != "closed":
            raise Conflict(
                f"Ticket {target.number} is closed: nobody would see what is merged into it. Reopen it first.",
                code="merge_into_closed",
            )
        now = desk.clock()
        merged = with_verdict(source, "unverified", f"Merged into #{target.number}.", now, evidence={"into": str(into)})
        columns: dict[str, Any] = {"merged_into": into}
        if source.status == "closed":
            columns["closed_at"] = source.closed_at
        else:
            columns |= {"resolved_at": source.resolved_at or now}
            columns |= {} if source.resolved_at else {"resolution": merged.to_json()}
        changed = await ending.close(desk, connection, principal, source, columns)
        await tickets.link(connection, principal.org_id, ticket_id, into, kind="duplicate_of", by=principal.user_id)
        found = await sessions.of_ticket(connection, principal.org_id, into)
        if found:
            words = await sessions.messages_of_ticket(connection, principal.org_id, ticket_id)
            said = "\n\n".join(message.content for message in words if message.role == "user") or source.text
            await sessions.add(
                connection,
                principal.org_id,
                found[-1],
                role="system",
                content=f"Merged from #{source.number}:\n\n{said}",
                author=principal.user_id,
                is_internal=True,
                data={"merged_from": str(ticket_id)},
            )
        await facts.record(connection, principal, "ticket.merged", ticket_id=ticket_id, into=str(into))
        await facts.record(
            connection, principal, "ticket.linked", ticket_id=into, other=str(ticket_id), kind="duplicate_of"
        )
        return changed


async def link_ticket(
    desk: Desk, principal: Principal, ticket_id: UUID, *, other_id: UUID, kind: str = "related"
) -> None:
    """Link two tickets of the organization; linking twice changes nothing."""
    _staff_only(principal, "linking tickets")
    if kind not in LINK_KINDS:
        raise Invalid(
            f"kind: {kind!r} is not one of {', '.join(LINK_KINDS)}.",
            fields=(FieldProblem("kind", f"not one of {', '.join(LINK_KINDS)}"),),
        )
    if ticket_id == other_id:
        raise Invalid(
            "other_id: a ticket cannot be linked to itself.", fields=(FieldProblem("other_id", "the same ticket"),)
        )
    async with desk.database.org_transaction(principal) as connection:
        await tickets.find(connection, principal.org_id, ticket_id)
        await tickets.find(connection, principal.org_id, other_id)
        if await tickets.link(connection, principal.org_id, ticket_id, other_id, kind=kind, by=principal.user_id):
            await facts.record(
                connection, principal, "ticket.linked", ticket_id=ticket_id, other=str(other_id), kind=kind
            )


async def mark_spam(
    desk: Desk, principal: Principal, ticket_id: UUID, *, is_spam: bool = True, block_sender: bool = False
) -> Ticket:
    """Mark as spam (closes it, unanswered) or take that back (the engine looks at it); may block the sender."""
    _staff_only(principal, "spam")
    async with desk.database.org_transaction(principal) as connection:
        ticket = await _held(connection, principal, ticket_id, None)
        if ticket.is_spam != is_spam:
            if is_spam:
                refused = with_verdict(ticket, "refused", "Marked as spam.", desk.clock())
                columns = {"is_spam": True, "resolved_at": None, "resolution": refused.to_json()}
                ticket = await ending.close(desk, connection, principal, ticket, columns)
            elif ticket.merged_into is None:
                ticket = await ending.begin_again(desk, connection, ticket, {"is_spam": False})
            else:
                ticket = await tickets.update(connection, ticket, {"is_spam": False})
            await facts.record(connection, principal, "ticket.spam", ticket_id=ticket_id, is_spam=is_spam)
        if block_sender and ticket.contact_id is not None:
            await contacts.set_blocked(connection, principal.org_id, ticket.contact_id, blocked=is_spam)
            await facts.record(
                connection, principal, "sender.blocked", contact_id=str(ticket.contact_id), blocked=is_spam
            )
        return ticket


async def _move(desk: Desk, connection: Connection, principal: Principal, ticket: Ticket, status: str) -> Ticket:
    """To open, triaging or in_progress: a person has it, or the engine looks anew."""
    found = await sessions.of_ticket(connection, principal.org_id, ticket.id)
    is_persons = status == "in_progress" or any(session.is_ai_quiet for session in found)
    columns: dict[str, Any] = {"waiting_for": "person" if is_persons else None}
    if status == "in_progress" and ticket.assignee is None and not principal.is_engine and principal.key_id is None:
        columns["assignee"] = principal.user_id
    changed = await walk(connection, ticket, (status,), columns)
    if is_persons:
        await escalations.take(connection, principal.org_id, ticket.id, by=principal.user_id)
        await journeys.place(connection, principal.org_id, ticket.id, "with_person")
    else:
        await escalations.end(connection, principal.org_id, ticket.id)
        await journeys.place(connection, principal.org_id, ticket.id, "resolve", knows_all=True)
        await desk.queue.advance(connection, principal.org_id, ticket.id)
    return changed


async def _hand_over(desk: Desk, connection: Connection, engine: Principal, ticket: Ticket) -> Ticket:
    """A person decides that a person must look: with the dossier, as when the engine decides it."""
    found = await sessions.of_ticket(connection, engine.org_id, ticket.id)
    step = outcome.handed_over(
        await journeys.find(connection, engine.org_id, ticket.id),
        ticket,
        triage.readable(ticket),
        HandOver(("policy",), not_done=("The engine stopped: a person of the organization escalated it.",)),
        policy=await policy_of(connection, engine.org_id),
        messages=await sessions.messages_of_ticket(connection, engine.org_id, ticket.id),
        earlier=await tickets.earlier_of_requester(connection, ticket),
    )
    step = replace(step, is_notice=any(session.is_ai_quiet for session in found))
    return await outcome.write(desk, connection, engine, ticket, step, session=found[-1] if found else None)


async def _held(connection: Connection, principal: Principal, ticket_id: UUID, expected_version: int | None) -> Ticket:
    ticket = await tickets.find_for_update(connection, principal.org_id, ticket_id)
    if expected_version is not None and ticket.version != expected_version:
        raise Conflict(
            f"Ticket {ticket.number} is at version {ticket.version}, not {expected_version}: somebody changed it. Read it "
            "again, then decide.",
            code="ticket_changed",
        )
    return ticket


async def _checked(connection: Connection, principal: Principal, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes with their values checked and in stored form."""
    problems: list[FieldProblem] = []
    wanted = dict(changes)
    intents = await org_intents.categories(connection, principal.org_id) if "intent" in changes else {}
    closed_sets = {"category": CATEGORIES, "severity": tuple(SEVERITY_RANK), "intent": tuple(intents)}
    for name, value in changes.items():
        if name not in CHANGEABLE:
            problems.append(FieldProblem(name, f"cannot be changed; these can: {', '.join(sorted(CHANGEABLE))}"))
        elif name in closed_sets and value not in closed_sets[name]:
            problems.append(FieldProblem(name, f"{value!r} is not one of {', '.join(closed_sets[name])}"))
        elif name in {"tags", "cc"}:
            if isinstance(value, str) or not all(isinstance(item, str) for item in value or ()):
                problems.append(FieldProblem(name, "must be a list of texts"))
            else:
                wanted[name] = tuple(dict.fromkeys(value or ()))
        elif name in {"custom_fields", "metadata"} and not isinstance(value, Mapping):
            problems.append(FieldProblem(name, "must be an object"))
        elif name == "subject" and not (isinstance(value, str) and len(value) <= MAX_SUBJECT_CHARS):
            problems.append(FieldProblem(name, f"must be text of at most {MAX_SUBJECT_CHARS} characters"))
        elif name == "team" and not (value is None or (isinstance(value, str) and value.strip())):
            problems.append(FieldProblem(name, "must be the name of a team, or null"))
        problems += unstorable(value, name)
    if wanted.get("intent") in intents:  # the category follows, and never contradicts
        category = intents[wanted["intent"]]
        if wanted.setdefault("category", category) != category:
            problems.append(FieldProblem("intent", f"{wanted['intent']!r} belongs to {category}; leave category out"))
    if wanted.get("assignee") is not None:
        member = await organizations.find_member(connection, principal.org_id, wanted["assignee"])
        if member is None or member.disabled_at is not None or member.role == "client" or member.kind != "person":
            problems.append(FieldProblem("assignee", "no active owner, admin or agent of this organization"))
    if isinstance(wanted.get("custom_fields"), Mapping):
        problems += await fields.problems(connection, principal.org_id, wanted["custom_fields"])
    if problems:
        listed = "; ".join(f"{problem.field}: {problem.problem}" for problem in problems)
        raise Invalid(f"The ticket was not changed: {listed}.", code="invalid_change", fields=tuple(problems))
    return wanted


def _class(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else plain(value)


def _staff_only(principal: Principal, what: str) -> None:
    if principal.is_client:
        raise Denied(f"Clients may not see or change {what}.", code="staff_only")
