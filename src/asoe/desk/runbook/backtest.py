"""Backtest: a runbook rehearsed over past tickets before it may act. Reads what was recorded, else reads now; acts on nothing.

Agreement is with what came of each ticket: an act agrees where a verified run did the same, or a person resolved a ticket of
the runbook's resolution type; leaving it alone agrees elsewhere. Harm is acting where people refused or judged it wrong.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from math import sqrt
from typing import Any, Final
from uuid import UUID

from asoe.connectors.contract import ConnectorError
from asoe.desk.context import Desk, policy_of
from asoe.desk.runbook import matching, shelf, treatment
from asoe.desk.runbook.interpreter import interpret
from asoe.desk.runbook.shelf import Shelved
from asoe.domain.autonomy import upper_limit
from asoe.domain.errors import Missing
from asoe.domain.organization import Principal
from asoe.domain.policy import Policy
from asoe.domain.runbook import (
    Ending,
    Inquire,
    Observe,
    Observed,
    Passed,
    Pause,
    Perform,
    Performed,
    Runbook,
    SlotReading,
)
from asoe.domain.session import Message
from asoe.domain.ticket import Ticket
from asoe.store import runbooks, runs, sessions, tickets
from asoe.store.runs import ActionRow, Client, StepRow
from asoe.store.tickets import TicketFilter

READ_SECONDS: Final = 20.0
_Z: Final = 1.959964
_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Case:
    """One past ticket: what the runbook would have done, and what came of it. `agrees` None: nobody ended it yet."""

    ticket_id: UUID
    number: int
    would: str
    acts: tuple[str, ...]
    amount: Decimal
    people: str
    agrees: bool | None
    is_harm: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Backtest:
    """The whole of it; rates with their 95 % intervals (Wilson), the disagreement also with its exact upper limit."""

    runbook: str
    version: int
    at: datetime
    cases: tuple[Case, ...]

    def to_json(self) -> dict[str, Any]:
        known = [case for case in self.cases if case.agrees is not None]
        acting = [case for case in self.cases if case.would == "act"]
        judged = [case for case in acting if case.agrees is not None]
        wrong = sum(not case.agrees for case in judged)
        return {
            "runbook": self.runbook,
            "version": self.version,
            "at": self.at.isoformat(),
            "tickets": len(self.cases),
            "would_have_acted": _rate(len(acting), len(self.cases)),
            "agreed_with_people": _rate(sum(bool(case.agrees) for case in known), len(known)),
            "wrong_when_acting": {**_rate(wrong, len(judged)), "upper_limit_95": upper_limit(wrong, len(judged))},
            "harm": sum(case.is_harm for case in self.cases),
            "money": str(sum((case.amount for case in acting), Decimal(0))),
            "cases": [
                {**asdict(case), "ticket_id": str(case.ticket_id), "amount": str(case.amount)} for case in self.cases
            ],
        }

    def in_words(self) -> str:
        found = self.to_json()
        acted, agreed, wrong = found["would_have_acted"], found["agreed_with_people"], found["wrong_when_acting"]
        return (
            f"{self.runbook} v{self.version} over {found['tickets']} past tickets: would have acted on {acted['count']} "
            f"({_percent(acted)}); agreed with people in {agreed['count']} of {agreed['of']} ({_percent(agreed)}); wrong when acting "
            f"{wrong['count']} of {wrong['of']} (at most {wrong['upper_limit_95']:.1%} with 95 % confidence); harm {found['harm']}; "
            f"moved {found['money']}."
        )


async def backtest(
    desk: Desk,
    principal: Principal,
    name: str,
    *,
    version: int | None = None,
    most: int = 200,
    progress: Callable[[int], None] | None = None,
    goes_on: Callable[[int], Awaitable[bool]] | None = None,
) -> Backtest:
    """Rehearse over the `most` newest tickets; raises `Missing(runbook_missing | runbook_version_missing)`.

    goes_on: asked after each ticket with how many are done; False ends it with what there is.
    """
    engine = await desk.engine_of(principal.org_id)
    async with desk.database.org_reading(principal) as connection:
        row = await runbooks.find(connection, principal.org_id, name)
        number = version or row.published_version or row.newest_version or 0
        runbook = await shelf.load(connection, principal.org_id, row.id, number)
        others = [each for each in await shelf.published(connection, principal.org_id) if each.runbook_id != row.id]
        library = {each.runbook.name: each.runbook for each in others}
        policy = await policy_of(connection, principal.org_id)
    mine = Shelved(row.id, runbook, row.level)
    cases: list[Case] = []
    cursor: str | None = None
    while len(cases) < most:
        async with desk.database.org_reading(principal) as connection:
            page = await tickets.page(
                connection, principal.org_id, TicketFilter(), cursor=cursor, limit=min(_PAGE, most - len(cases))
            )
        for ticket in page.items:
            cases.append(await _case(desk, engine, ticket, mine, others=others, library=library, policy=policy))
            if progress is not None:
                progress(len(cases))
            if goes_on is not None and not await goes_on(len(cases)):
                return Backtest(runbook.name, number, desk.clock(), tuple(cases))
        cursor = page.next_cursor
        if cursor is None:
            break
    return Backtest(runbook.name, number, desk.clock(), tuple(cases))


async def rehearse(
    desk: Desk,
    engine: Principal,
    runbook: Runbook,
    *,
    environment: Mapping[str, Any],
    library: Mapping[str, Runbook],
    recorded: Mapping[tuple[str, str, str], Any],
) -> tuple[Ending, list[Perform]]:
    """Drive a runbook without rows: recorded reads first, then live ones; every act is only noted."""
    generator = interpret(runbook, environment=environment, library=library)
    acts: list[Perform] = []
    try:
        effect = next(generator)
        while True:
            match effect:
                case Observe():
                    effect = generator.send(await _observe(desk, engine, runbook, effect, recorded))
                case Perform():
                    acts.append(effect)
                    effect = generator.send(Performed("simulated"))
                case Inquire():
                    effect = generator.send(SlotReading(effect.slot.name, "absent"))
                case Pause():
                    effect = generator.send(Passed())
    except StopIteration as stop:
        ending: Ending = stop.value
        return ending, acts


async def _case(
    desk: Desk,
    engine: Principal,
    ticket: Ticket,
    mine: Shelved,
    *,
    others: list[Shelved],
    library: Mapping[str, Runbook],
    policy: Policy,
) -> Case:
    async with desk.database.org_reading(engine) as connection:
        said = [
            message
            for message in await sessions.messages_of_ticket(connection, engine.org_id, ticket.id)
            if message.role == "user"
        ]
        client = await runs.client_of(connection, engine.org_id, ticket.id)
        earlier = await runs.list_runs(connection, engine.org_id, ticket_id=ticket.id)
        steps = [step for run in earlier for step in await runs.steps(connection, engine.org_id, run.id)]
        acted = [action for run in earlier for action in await runs.actions(connection, engine.org_id, run.id)]
        verified = {run.id for run in earlier if run.status == "verified" and run.mode == "live"}
        refused = any(run.reason == "approval_refused" for run in earlier)
    opening = said[:1]
    would, note, acts = await _would(
        desk,
        engine,
        ticket,
        mine,
        others=others,
        library=library,
        policy=policy,
        opening=opening,
        client=client,
        steps=steps,
    )
    people, should_act = _people(ticket, mine.runbook, has_verified=bool(verified), acted=acted)
    is_acting = would == "act"
    return Case(
        ticket_id=ticket.id,
        number=ticket.number,
        would=would,
        acts=tuple(f"{act.call.connector}.{act.call.action}" for act in acts),
        amount=sum((act.amount or Decimal(0) for act in acts), Decimal(0)),
        people=people,
        agrees=None if should_act is None else is_acting == should_act,
        is_harm=is_acting and refused,
        note=note,
    )


async def _would(
    desk: Desk,
    engine: Principal,
    ticket: Ticket,
    mine: Shelved,
    *,
    others: list[Shelved],
    library: Mapping[str, Runbook],
    policy: Policy,
    opening: list[Message],
    client: Client,
    steps: list[StepRow],
) -> tuple[str, str, list[Perform]]:
    question = "\n".join(part for part in (ticket.subject, ticket.body or ticket.text) if part).strip()
    if not question:
        return "not_for_it", "no text", []
    matched = await matching.best(desk, [mine, *others], ticket=ticket, triage=None, question=question, client=client)
    if matched is None or matched.runbook_id != mine.runbook_id:
        return "not_for_it", "", []
    beside = [each.runbook for each in others]
    slots = await treatment.read_slots(
        desk, mine.runbook, ticket, messages=opening, client=client, policy=policy, beside=beside
    )
    environment = {
        "ticket": matching.names_of_ticket(ticket),
        "contact": matching.names_of_client(client),
        "slots": slots,
        "now": ticket.created_at,
    }
    recorded = {
        (str(step.connector), str(step.action), canonical(step.arguments)): step.told
        for step in reversed(steps)
        if step.kind == "observe" and step.told is not None
    }
    ending, acts = await rehearse(
        desk, engine, mine.runbook, environment=environment, library=library, recorded=recorded
    )
    return ("act" if acts else ending.verdict), ending.note or ending.reason, acts


def _people(ticket: Ticket, runbook: Runbook, *, has_verified: bool, acted: list[ActionRow]) -> tuple[str, bool | None]:
    """What came of the ticket, and whether that speaks for acting; None while nobody has ended it."""
    if has_verified and any(action.status == "done" for action in acted):
        return "a verified run acted", True
    if ticket.status not in {"resolved", "closed"}:
        return "open", None
    by = (ticket.resolution.get("evidence") or {}).get("by")
    if by is not None and by != "client" and ticket.resolution.get("type") == runbook.resolution_type:
        return "a person resolved it", True
    return str(ticket.resolution.get("verdict") or ticket.status), False


async def _observe(
    desk: Desk,
    engine: Principal,
    runbook: Runbook,
    effect: Observe,
    recorded: Mapping[tuple[str, str, str], Any],
) -> Observed:
    name = runbook.connectors.get(effect.call.connector, effect.call.connector)
    told = recorded.get((name, effect.call.action, canonical(effect.call.arguments)))
    if told is not None:
        return Observed(told.get("value"), told.get("error"), is_missing=bool(told.get("is_missing")))
    try:
        hand = await desk.connectors.use(engine.org_id, name)
        return Observed(await hand.read(effect.call.action, effect.call.arguments, timeout=READ_SECONDS))
    except ConnectorError as error:
        return Observed(error=error.message, is_missing=error.is_missing)
    except Missing as error:
        return Observed(error=error.message)


def canonical(arguments: Any) -> str:
    """Arguments as one text, whatever the order of their names."""
    return json.dumps(arguments or {}, sort_keys=True, separators=(",", ":"), default=str)


def _rate(count: int, of: int) -> dict[str, Any]:
    """A share with its Wilson interval; None where there is nothing to divide by."""
    if of == 0:
        return {"count": 0, "of": 0, "share": None, "low": None, "high": None}
    share = count / of
    middle = (share + _Z**2 / (2 * of)) / (1 + _Z**2 / of)
    half = _Z * sqrt(share * (1 - share) / of + _Z**2 / (4 * of**2)) / (1 + _Z**2 / of)
    return {"count": count, "of": of, "share": share, "low": max(0.0, middle - half), "high": min(1.0, middle + half)}


def _percent(rate: Mapping[str, Any]) -> str:
    if rate["share"] is None:
        return "no cases"
    return f"{rate['share']:.0%} [{rate['low']:.0%}, {rate['high']:.0%}]"
