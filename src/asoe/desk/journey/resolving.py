"""The stage `resolve`: the triage as it stands, a runbook if one fits, else an answer, a question back, or a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from asoe.desk import outcome, resolution, triage, wish
from asoe.desk.alarm import read_by_meaning
from asoe.desk.champion import judge_text
from asoe.desk.consulting.answers import write_answer
from asoe.desk.consulting.ties import break_tie, tied_in
from asoe.desk.context import Desk
from asoe.desk.escalation import MENDED_ALL_THE_SAME, WORTH_KNOWING, reasons_to_escalate
from asoe.desk.journey import cause
from asoe.desk.journey.standing import Standing, looked_in, question_of, said_in
from asoe.desk.outcome import Step
from asoe.desk.resolution import Case, HandOver
from asoe.desk.runbook import treatment
from asoe.desk.runbook.treatment import Treatment
from asoe.desk.trail import Trail
from asoe.domain.escalation import WEIGHTS
from asoe.domain.organization import Principal
from asoe.domain.ticket import SEVERITY_RANK
from asoe.domain.triage import Triage
from asoe.store import tickets

NOTHING_FITS: Final = frozenset({"needs_action", "no_grounded_answer", "low_confidence"})
"""Reasons for a person that hold only until a runbook finds what is the matter."""


async def resolve(
    desk: Desk,
    engine: Principal,
    standing: Standing,
    trail: Trail,
    *,
    after_a_miss: bool = False,
    looked: HandOver | None = None,
) -> Step:
    """`looked`: what a runbook found that could not say who the client is; no other one is tried then."""
    standing, judged, changed = await judge(desk, engine, standing, trail)
    standing, judged, changed = await _settled(desk, engine, standing, judged, changed=changed, trail=trail)
    ticket = standing.ticket
    found = None if looked else await find_treatment(desk, engine, standing, judged, trail)
    if found is not None and found.is_live and ticket.severity != "critical":
        step = outcome.treated(standing.journey, ticket)
        return replace(step, triage=changed, treatment=found).seen(standing.positions)
    case = Case(
        ticket=ticket,
        triage=judged,
        policy=standing.policy,
        question=question_of(standing),
        earlier=standing.earlier,
        attempts=standing.journey.attempts,
        cited=tuple(standing.journey.data.get("cited", ())),
        has_asked=bool(standing.journey.data.get("has_asked")),
        said=tuple(message.content for message in standing.news),
        is_late=standing.is_late,
        has_met_person=standing.has_met_person,
        has_wished="wish" in standing.journey.data,
    )
    with trail.agent("resolution", attempt=case.attempts + 1) as noted:
        plan = await resolution.choose(desk, engine, case)
        noted(plan=type(plan).__name__)
    if found is None and looked is None and _is_unexplained(standing, plan):
        last = await find_treatment(desk, engine, standing, judged, trail, is_last=True)
        if last is not None and ticket.severity != "critical":
            step = outcome.treated(standing.journey, ticket)
            return replace(step, triage=changed, treatment=last).seen(standing.positions)
    if looked is None and not (isinstance(plan, HandOver) and set(plan.reasons) & set(WEIGHTS)):
        joining = await cause.by_intent(desk, engine, standing, judged, trail=trail)
        if joining is not None:
            return replace(joining, triage=changed)
    if isinstance(plan, resolution.GiveAnswer):
        answer = await write_answer(
            desk,
            engine,
            ticket,
            plan.answer,
            question=case.question,
            passages=case.found,
            language=resolution.answer_language(ticket, standing.policy),
            rules=standing.policy.language_model,
            trail=trail,
        )
        step = outcome.answered(
            desk.clock(),
            standing.journey,
            ticket,
            answer,
            policy=standing.policy,
            given=plan.given,
            after_a_miss=after_a_miss,
        )
    elif isinstance(plan, resolution.AskBack):
        step = outcome.asked(desk.clock(), standing.journey, ticket, policy=standing.policy)
    elif isinstance(plan, resolution.NothingWanted):
        step = outcome.noted(desk.clock(), standing.journey, ticket, policy=standing.policy)
    elif isinstance(plan, resolution.RecordWish):
        step = outcome.wished(standing.journey, ticket, await wish.phrase(desk, ticket))
    else:
        if looked is not None:
            plan = replace(
                plan,
                reasons=(*plan.reasons, *looked.reasons),
                tried=(*plan.tried, *looked.tried),
                not_done=looked.not_done,
            )
        step = hand_over(standing, plan, trail)
    return replace(step, triage=changed, treatment=found).seen(standing.positions)


async def tell_of_wish(desk: Desk, engine: Principal, standing: Standing, trail: Trail) -> Step:
    """Read the wish again: only what stands there is told. What the client wrote meanwhile is read after that."""
    with trail.agent("resolution", reading="wish") as noted:
        found = await wish.reread(desk, engine, standing.ticket.id)
        noted(wish=found.number if found else None)
    if found is None:
        tried = ("The wish was written down, and was not there when it was read again.",)
        return hand_over(standing, HandOver(("verification_failed",), tried=tried), trail)
    return outcome.wish_recorded(desk.clock(), standing.journey, standing.ticket, found, policy=standing.policy)


def _is_unexplained(standing: Standing, plan: resolution.Plan) -> bool:
    """Whether a person would get it only because nothing has been found that fits."""
    is_first = not standing.journey.data.get("treated")
    return is_first and isinstance(plan, HandOver) and set(plan.reasons) <= NOTHING_FITS


async def find_treatment(
    desk: Desk,
    engine: Principal,
    standing: Standing,
    judged: Triage | None,
    trail: Trail,
    *,
    is_last: bool = False,
    besides: Sequence[str] = (),
) -> Treatment | None:
    """A runbook for the ticket, unless something speaks for a person first; a critical one may be mended all the same.

    `is_last`: nothing else is left to be looked at before a person must, or before all is called fixed (`besides`: what mended something).
    """
    said = [message.content for message in standing.news]
    reasons = reasons_to_escalate(
        standing.ticket,
        judged,
        standing.policy,
        earlier=standing.earlier,
        said=said,
        meant=await read_by_meaning(desk.ai, said),
        is_late=standing.is_late,
        has_met_person=standing.has_met_person,
    )
    if set(reasons) - MENDED_ALL_THE_SAME or standing.journey.data.get("cited"):
        return None
    with trail.agent("ops-fixer", looking_for="runbook") as noted:
        found = await treatment.find(
            desk,
            engine,
            standing.ticket,
            triage=judged,
            question=question_of(standing),
            messages=standing.messages,
            policy=standing.policy,
            tried=standing.journey.data.get("treated", ()),
            trail=trail,
            is_last=is_last,
            besides=besides,
            in_order=[one["runbook"] for one in looked_in(standing)],
        )
        noted(runbook=found.runbook.name if found else None)
    return found


async def judge(
    desk: Desk, engine: Principal, standing: Standing, trail: Trail
) -> tuple[Standing, Triage | None, dict[str, Any]]:
    """The triage, and what it changes: made now if there is none, and made anew on what was asked back for."""
    ticket = standing.ticket
    judged = triage.readable(ticket)
    is_answer = bool(standing.journey.data.get("has_asked")) and not standing.journey.attempts and bool(standing.news)
    with trail.agent("triage", reused=judged is not None and not is_answer) as noted:
        changed: dict[str, Any] = {}
        if is_answer:
            judged = await judge_text(desk, engine.org_id, ticket.subject, "\n".join(said_in(standing)))
        elif judged is None:
            judged = await triage.judge(desk, ticket)
        else:
            noted(category=ticket.category, severity=ticket.severity, intent=ticket.intent)
            return standing, judged, {}
        if judged is not None:
            changed = triage.changes(ticket, judged, corrected=await _corrected(desk, engine, standing))
            if is_answer and "severity" in changed:  # what was urgent stays urgent
                changed["severity"] = max(ticket.severity, changed["severity"], key=SEVERITY_RANK.__getitem__)
            ticket = replace(ticket, **changed)
        noted(category=ticket.category, severity=ticket.severity, intent=ticket.intent)
    return replace(standing, ticket=ticket), judged, changed


async def _settled(
    desk: Desk, engine: Principal, standing: Standing, judged: Triage | None, *, changed: dict[str, Any], trail: Trail
) -> tuple[Standing, Triage | None, dict[str, Any]]:
    """A tie between intents is put to the language model, once in a ticket's life; without one nothing changes."""
    if desk.model is None or judged is None or standing.journey.data.get("has_settled"):
        return standing, judged, changed
    ticket, text = standing.ticket, question_of(standing)
    tied = tied_in(ticket, judged)
    if not tied or not text:
        return standing, judged, changed
    rules = standing.policy.language_model
    settled = await break_tie(desk, engine, ticket, judged, tied, text=text, rules=rules, trail=trail)
    journey = replace(standing.journey, data={**standing.journey.data, "has_settled": True})
    standing = replace(standing, journey=journey)
    if settled is judged:
        return standing, judged, changed
    columns = triage.changes(ticket, settled, corrected=await _corrected(desk, engine, standing))
    columns = {name: value for name, value in columns.items() if name in {"intent", "triage"}}
    return replace(standing, ticket=replace(ticket, **columns)), settled, {**changed, **columns}


async def _corrected(desk: Desk, engine: Principal, standing: Standing) -> frozenset[str]:
    if standing.then is not None:
        return standing.then.corrected
    async with desk.database.org_reading(engine) as connection:
        return await tickets.corrected_fields(connection, engine.org_id, standing.ticket.id)


async def read_replies(desk: Desk, standing: Standing, trail: Trail) -> str:
    """What the client's new words come to: the last one counts, but who asks for a person anywhere gets one."""
    reply = "other"
    if not standing.news:
        return reply
    with trail.agent("resolution", reading="reply", messages=len(standing.news)) as noted:
        for message in standing.news:
            told = message.data.get("said")
            reply = told or await desk.ai.read_reply(message.content, standing.ticket.language)
            if reply == "wants_person":
                break
        noted(reply=reply)
    return reply


def hand_over(standing: Standing, plan: HandOver, trail: Trail) -> Step:
    """To a person, with the dossier."""
    with trail.agent("escalation", reasons=list(plan.reasons)) as noted:
        step = outcome.handed_over(
            standing.journey,
            standing.ticket,
            triage.readable(standing.ticket),
            plan,
            policy=standing.policy,
            messages=standing.messages,
            earlier=standing.earlier,
            also=_also_holds(standing, plan),
        )
        noted(team=step.team)
    mended = [one["reply"] for one in standing.journey.data.get("mended", ())]
    if mended and step.reply is not None:  # what was verified on the way is told, too
        step = replace(step, reply="\n\n".join((*dict.fromkeys(mended), step.reply)))
    return step.seen(standing.positions)


def _also_holds(standing: Standing, plan: HandOver) -> tuple[str, ...]:
    """What holds of the ticket beside what calls a person, and changes how one answers."""
    policy = standing.policy
    held = reasons_to_escalate(
        standing.ticket,
        triage.readable(standing.ticket),
        replace(policy, escalation=replace(policy.escalation, threshold=0)),
        earlier=standing.earlier,
        said=said_in(standing),
        is_late=standing.is_late,
        has_met_person=standing.has_met_person,
    )
    return tuple(each for each in held if each in WORTH_KNOWING and each not in plan.reasons)
