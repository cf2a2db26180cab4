"""The stages that wait for the client: after an answer or a question back, and after the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from asoe.desk import outcome, resolution
from asoe.desk.context import Desk
from asoe.desk.journey.resolving import hand_over, read_replies, resolve
from asoe.desk.journey.standing import Standing, tried_in
from asoe.desk.outcome import Step
from asoe.desk.resolution import HandOver
from asoe.desk.trail import Trail
from asoe.domain.organization import Principal


async def after_waiting(desk: Desk, engine: Principal, standing: Standing, trail: Trail) -> Step | None:
    journey, ticket, policy = standing.journey, standing.ticket, standing.policy
    if not standing.news:
        if ticket.severity == "critical":  # a person has raised it meanwhile
            return hand_over(standing, HandOver(("critical_severity",), tried=tried_in(standing)), trail)
        if journey.due_at is None or journey.due_at > desk.clock():
            return None
        with trail.agent("resolution", reading="silence"):
            return outcome.silent(desk.clock(), journey, ticket, policy=policy)
    reply = await read_replies(desk, standing, trail)
    if reply == "helped" and journey.data.get("cited"):
        step = outcome.confirmed(desk.clock(), journey, ticket, policy=policy).seen(standing.positions)
        return replace(step, was_right=True)
    if reply == "wants_person":
        step = hand_over(standing, HandOver(("client_asked",), tried=tried_in(standing)), trail)
    elif journey.attempts >= resolution.MAX_ATTEMPTS:
        step = hand_over(standing, HandOver(("answer_did_not_help",), tried=tried_in(standing)), trail)
    else:
        step = await resolve(desk, engine, standing, trail, after_a_miss=reply == "did_not_help")
    # whoever goes on after an answer was not served by it: where that is unjust, staff's word stands above it
    return replace(step, was_right=False) if journey.data.get("cited") else step


async def after_resolution(desk: Desk, standing: Standing, trail: Trail) -> Step | None:
    ticket, journey = standing.ticket, standing.journey
    if not standing.news:
        if journey.due_at is None or journey.due_at > desk.clock() or ticket.status == "closed":
            return None
        with trail.agent("resolution", reading="silence"):
            return outcome.closed(journey, ticket)
    reply = await read_replies(desk, standing, trail)
    if reply == "helped":
        if _is_proof(standing):
            step = outcome.confirmed(desk.clock(), journey, ticket, policy=standing.policy)
            step = replace(step, was_right=True) if journey.data.get("cited") else step
        else:
            step = outcome.heard(journey, ticket)
        return step.seen(standing.positions)
    came_back = "answer_did_not_help" if journey.data.get("cited") else "repeat_contact"
    reason = "client_asked" if reply == "wants_person" else came_back
    step = hand_over(standing, HandOver((reason,), tried=tried_in(standing)), trail)
    is_quiet = any(session.is_ai_quiet for session in standing.sessions)
    return replace(step, is_notice=is_quiet, doubted=_runs_of(ticket.resolution))


def _runs_of(resolution: Mapping[str, Any]) -> tuple[UUID, ...]:
    """The verified runs on which a ticket was resolved."""
    if resolution.get("verdict") != "verified" or not resolution.get("run_id"):
        return ()
    several = (resolution.get("evidence") or {}).get("runs") or {}
    return tuple(UUID(run_id) for run_id in dict.fromkeys((*several, resolution["run_id"])))


def _is_proof(standing: Standing) -> bool:
    """Whether thanks after the end prove something: somebody did help, and it is not proven yet."""
    stored = standing.ticket.resolution
    is_help = standing.journey.data.get("cited") or (stored.get("evidence") or {}).get("by")
    return bool(is_help) and stored.get("verdict") in {"answered", "unverified"}
