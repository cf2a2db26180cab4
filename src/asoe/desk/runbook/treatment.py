"""A ticket's treatment by runbooks: which one is for it, what the client has told, and what its run comes to.

Carrying a run out is `execution.py`'s; what the ticket does next is the journey's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from asoe.ai.slots import SlotText
from asoe.desk.consulting.slots import fill_slots
from asoe.desk.context import Desk
from asoe.desk.runbook import matching, shelf
from asoe.desk.runbook.shelf import Shelved
from asoe.desk.trail import Trail
from asoe.desk.wording import say
from asoe.domain.escalation import REASONS
from asoe.domain.mail import is_unproven
from asoe.domain.mail_text import without_quotes
from asoe.domain.organization import Principal
from asoe.domain.policy import Looks, Policy
from asoe.domain.runbook import RECOVERED, Consent, Runbook, Slot, SlotReading
from asoe.domain.session import Message
from asoe.domain.ticket import Ticket
from asoe.domain.triage import Triage
from asoe.store import runs
from asoe.store.db import Connection
from asoe.store.runs import ActionRow, Client, Run, StepRow

ACTS: Final = frozenset({"approve", "auto"})
REHEARSES: Final = frozenset({"shadow", "suggest"})
_PATH: Final = re.compile(r"^[\w-]+(/[\w-]+)+: ")
"""Where in its runbook something was met, which says nothing to whoever has never read it; the run's page does."""
_PLACE: Final = re.compile(r"goal(/|$)|steps/(?:.*/)?(?P<act>[A-Za-z_][\w-]*)(?:/\d+)*/verify(/|$)")
MOST_NAMED: Final = 3
MOST_BESIDE: Final = 100
_FROM_CONTACT: Final = {"email": "email", "phone": "phone", "name": "name"}


@dataclass(frozen=True, slots=True)
class Treatment:
    """A runbook that fits a ticket, and what is known of its slots. `is_live`: it may act, not only rehearse."""

    runbook_id: UUID
    runbook: Runbook
    score: float
    slots: Mapping[str, SlotReading]
    is_live: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did and did not do, in lines for the dossier and the resolution's evidence.

    `pending`: the place it waits at; `slot`: what it asks the client for there, and `question` how, by language. `answers`:
    the words that would do, where a word or two do.
    """

    run: Run
    runbook: Runbook
    pending: str
    slot: str
    question: Mapping[str, str]
    tried: tuple[str, ...]
    not_done: tuple[str, ...]
    effects: tuple[str, ...]
    answers: tuple[str, ...] = ()


async def find(
    desk: Desk,
    engine: Principal,
    ticket: Ticket,
    *,
    triage: Triage | None,
    question: str,
    messages: Sequence[Message],
    policy: Policy,
    tried: Sequence[str] = (),
    trail: Trail | None = None,
    is_last: bool = False,
    besides: Sequence[str] = (),
    in_order: Sequence[str] = (),
) -> Treatment | None:
    """The next of the published runbooks that are for this ticket: the first that was not `tried` (ids) on it, or None.

    `is_last`: also one that is hardly like what was said; it finds out by itself whether it is the matter. With `besides`,
    one that may be meant as well as those (ids), which mended something. None when enough found all `in_order` (ids), or
    another hardly helps.

    None also for a ticket whose sender nobody has proven: it may be anybody, and a runbook acts on its contact's account.
    """
    if is_unproven(ticket.metadata):
        return None
    async with desk.database.org_reading(engine) as connection:
        shelved = [
            each
            for each in await shelf.published(connection, engine.org_id, instead=desk.versions)
            if each.level in ACTS | REHEARSES
        ]
        if not shelved or not question.strip():
            return None
        client = await runs.client_of(connection, engine.org_id, ticket.id)
    if is_last:  # a rehearsal of what is hardly meant would teach nothing
        shelved = [each for each in shelved if each.level in ACTS]
    fitting = await matching.fitting(
        desk,
        shelved,
        ticket=ticket,
        triage=triage,
        question=question,
        client=client,
        is_last=is_last,
        besides=besides,
        in_order=in_order,
        looks=policy.looks,
    )
    matched = next((each for each in fitting if str(each.runbook_id) not in tried), None)
    if matched is None:
        return None
    chosen: Shelved = next(each for each in shelved if each.runbook_id == matched.runbook_id)
    slots = await read_slots(
        desk,
        chosen.runbook,
        ticket,
        messages=messages,
        client=client,
        policy=policy,
        beside=[each.runbook for each in shelved],
        engine=engine,
        trail=trail,
    )
    return Treatment(chosen.runbook_id, chosen.runbook, matched.score, slots, chosen.level in ACTS)


async def left_over(
    desk: Desk, engine: Principal, *, question: str, mended: Sequence[str], in_order: Sequence[str] = ()
) -> list[str]:
    """What the client complains of, too, and no runbook that `mended` something (ids) is about, nor any that found all `in_order`."""
    async with desk.database.org_reading(engine) as connection:
        shelved = [
            each
            for each in await shelf.published(connection, engine.org_id, instead=desk.versions)
            if each.level in ACTS
        ]
    if not shelved:
        return []
    return await matching.left_over(desk, shelved, question, mended=set(mended), in_order=set(in_order))


async def not_looked(
    desk: Desk, engine: Principal, *, question: str, tried: Collection[str], in_order: Sequence[str], looks: Looks
) -> str:
    """In a line, which runbooks that may act have not looked at a ticket and why, likeliest first; empty when all have."""
    async with desk.database.org_reading(engine) as connection:
        shelved = [
            each
            for each in await shelf.published(connection, engine.org_id, instead=desk.versions)
            if each.level in ACTS
        ]
    titles = {each.runbook_id: each.runbook.title or each.runbook.name for each in shelved}
    found = await matching.likeliest(desk, shelved, question, in_order=in_order)
    rest = [each for each in found if str(each.runbook_id) not in tried]
    if not rest:
        return ""
    named = "; ".join(f"“{titles[each.runbook_id]}” ({each.score:.0%})" for each in rest[:MOST_NAMED])
    more = f"; and {len(rest) - MOST_NAMED} less likely" if len(rest) > MOST_NAMED else ""
    is_full = len(in_order) >= looks.at_most
    why = f"{looks.at_most} had, which is the limit" if is_full else "none was likely enough to be what is meant"
    return f"Did not look, because {why} (how likely each finds something): {named}{more}."


async def read_slots(
    desk: Desk,
    runbook: Runbook,
    ticket: Ticket,
    *,
    messages: Sequence[Message],
    client: Client,
    policy: Policy,
    beside: Iterable[Runbook],
    engine: Principal | None = None,
    trail: Trail | None = None,
    known: Mapping[str, SlotReading] | None = None,
) -> dict[str, SlotReading]:
    """Every slot from the client's words, oldest first; then from who the client is, and the organization's policy.

    What staff wrote down as the client's words gives no consent, unless they vouched for it.

    `beside`: the organization's other runbooks; a sentence that is nearer to a consent of theirs is not of this one's.

    What is absent all the same a language model may find, where there is one and `trail` is to tell of it; `known` is what
    was read before.
    """
    if not runbook.slots:
        return {}
    passages = _passages(ticket, messages)
    others = [slot for each in beside for slot in each.slots if slot.type == "consent"][:MOST_BESIDE]
    read = await desk.ai.read_slots(runbook.slots, passages, language=ticket.language, beside=others)
    noted = {passage.source for passage in passages if passage.role == "staff"}
    found = {}
    for slot in runbook.slots:
        reading = read.get(slot.name) or SlotReading(slot.name, "absent")
        if reading.source in noted and isinstance(reading.value, Consent) and reading.value.status == "given":
            reading = SlotReading(slot.name, "absent")  # whoever reads: nobody consents for a client
        if reading.status != "read":
            reading = _standing_consent(slot, policy) or _of_client(slot, client, reading)
        found[slot.name] = reading
    if engine is None or trail is None:
        return found
    rules = policy.language_model
    return await fill_slots(
        desk, engine, ticket, runbook.slots, found, passages=passages, known=known or {}, rules=rules, trail=trail
    )


async def runbook_of(connection: Connection, org_id: UUID, run_id: UUID) -> Runbook:
    """The version a run goes by; raises `Missing(run_missing)`."""
    run = await runs.find(connection, org_id, run_id)
    return await shelf.load(connection, org_id, run.runbook_id, run.version)


async def client_of(connection: Connection, org_id: UUID, ticket_id: UUID) -> Client:
    return await runs.client_of(connection, org_id, ticket_id)


async def keep_slots(connection: Connection, org_id: UUID, run_id: UUID, slots: Mapping[str, SlotReading]) -> None:
    """Keep what was read anew; the run sees it at its next question."""
    await runs.answer(connection, org_id, run_id, slots)


async def report(connection: Connection, org_id: UUID, run_id: UUID, *, was_at: str | None = None) -> Report:
    """What came of a run so far; raises `Missing(run_missing)`. was_at: where it waited for its client once, "" for nowhere."""
    run = await runs.find(connection, org_id, run_id)
    runbook = await shelf.load(connection, org_id, run.runbook_id, run.version)
    steps = await runs.steps(connection, org_id, run_id)
    asks = [step for step in steps if step.kind == "inquire"]
    waits = [step for step in asks if (step.told is None if was_at is None else step.path == was_at)]
    pending = waits[-1].path if waits else ""
    asked = next((slot for slot in runbook.slots if waits and slot.name == _slot_at(waits[-1])), None)
    actions = await runs.actions(connection, org_id, run_id)
    done = [action for action in actions if action.status == "done" and not action.is_undo]
    undone = [action for action in actions if action.status == "undone"]
    others = [action for action in actions if action.status not in {"done", "undone"} and not action.is_undo]
    tried = [f"The runbook “{runbook.title or runbook.name}” ended {run.status}{_because(run)}"]
    if run.note:
        tried.append(_PATH.sub("", run.note))
    tried += [f"Did {_named(action)}." for action in done]
    tried += [f"Did {_named(action)} and took it back." for action in undone]
    tried += _checked(run.evidence.get("checks", ()))
    not_done = [f"Not done: {_named(action)} ({action.status}{_why(action)})." for action in others]
    effects = tuple(_named(action) for action in done)
    question = asked.question if asked else {}
    slot = asked.name if asked else ""
    answers = _answers(asked, waits[-1]) if asked else ()
    return Report(run, runbook, pending, slot, question, tuple(tried), tuple(not_done), effects, answers)


def say_waiting(found: Report, language: str, *, is_again: bool = False) -> str | None:
    """What the client is told while a run waits: the question, or that somebody is asked; nothing for a short pause."""
    match found.run.waiting_for:
        case "client":
            spoken = language if language in found.question else "en"
            question = found.question.get(spoken)
            if question is None:
                return None
            how = say("answer_with_yes_or_no" if "yes" in found.answers else "answer_with_a_number", spoken)
            asked = f"{question}\n\n{how}" if found.answers else question
            return say("ask_again", spoken, question=asked) if is_again else asked
        case "approval":
            return say("awaits_approval", language)
        case _:
            return None


def say_fixed(found: Report, language: str) -> str:
    """The runbook's own words for a verified run, else ours; what came right by itself is not called a fix."""
    if found.run.reason == RECOVERED:
        return say("recovered", language)
    own = found.run.evidence.get("reply") or {}
    return own.get(language) or own.get("en") or say("fixed", language, title=found.runbook.title)


def _answers(slot: Slot, step: StepRow) -> tuple[str, ...]:
    if slot.type != "consent":
        return ()
    return ("no",) if (step.arguments or {}).get("needs_amount") else ("yes", "no")


def _slot_at(step: StepRow) -> str:
    """The slot a question is about: the executor keeps its name with the question."""
    return str((step.arguments or {}).get("slot", ""))


def _passages(ticket: Ticket, messages: Sequence[Message]) -> list[SlotText]:
    """What the client said, oldest first; what the engine asked in between tells what a bare "yes" is about."""
    first = next((message for message in messages if message.role == "user"), None)
    begun = "staff" if ticket.channel == "import" else "client" if first is None else _speaker(first)
    opening = [
        SlotText("ticket.subject", ticket.subject, begun),
        SlotText("ticket.body", ticket.body or ticket.text, begun),
    ]
    later = [
        SlotText(f"message:{message.seq}", _own(ticket, message), _speaker(message))
        for message in messages
        if message.role in {"user", "assistant"} and message.content != ticket.body
    ]
    return [passage for passage in (*opening, *later) if passage.text and passage.text.strip()]


def _own(ticket: Ticket, message: Message) -> str:
    """Without what a client's mail quotes: our own question in it is no consent of the client's."""
    return without_quotes(message.content) if ticket.channel == "email" and message.role == "user" else message.content


def _speaker(message: Message) -> str:
    if message.role != "user":
        return "engine"
    return "staff" if message.is_noted_by_staff else "client"


def _standing_consent(slot: Slot, policy: Policy) -> SlotReading | None:
    """What the organization has agreed with all its clients beforehand; a client's own words go before it."""
    if slot.type != "consent" or slot.name not in policy.standing_consents:
        return None
    amount = policy.standing_consents[slot.name]
    consent = Consent("given", None if amount is None else Decimal(str(amount)), slot.unit)
    return SlotReading(slot.name, "read", consent, source="policy", evidence="standing consent", confidence=1.0)


def _of_client(slot: Slot, client: Client, reading: SlotReading) -> SlotReading:
    known = getattr(client, _FROM_CONTACT[slot.type]) if slot.type in _FROM_CONTACT else None
    if not known:
        return reading
    return replace(reading, status="read", value=known, source="contact", evidence=known, confidence=1.0)


def _named(action: ActionRow) -> str:
    arguments = ", ".join(f"{name}={value!r}" for name, value in dict(action.arguments).items())
    return f"{action.connector}.{action.action}({arguments})"


def _checked(checks: Iterable[Mapping[str, Any]]) -> list[str]:
    """How the goal and each act's own check stood in the end; every single look is on the run's page."""
    ended: dict[str, bool] = {}
    for check in checks:
        place = _PLACE.match(str(check.get("path", "")))
        if place is not None:
            ended[place["act"] or ""] = bool(check.get("holds", check.get("is_met")))
    goal = [f"Checked in the end: the goal {'holds' if ended.pop('') else 'does not hold'}."] if "" in ended else []
    failed = [
        f"The check after “{name.replace('_', ' ')}” does not hold." for name, holds in ended.items() if not holds
    ]
    return [*goal, *failed]


def _why(action: ActionRow) -> str:
    why = action.reason or action.error
    return f": {why}" if why else ""


def _because(run: Run) -> str:
    """In words, as a person reads it; the word of a runbook's author stands as it is."""
    if not run.reason:
        return "."
    return f": {REASONS[run.reason]}" if run.reason in REASONS else f": {run.reason.replace('_', ' ')}."
