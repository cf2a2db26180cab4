"""A look at a ticket, judged again from what it went by: with a run it carried told as it was, or played by another version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from asoe.desk import journey
from asoe.desk.champion import base_version, read_adapter
from asoe.desk.context import Champion, Desk
from asoe.desk.journey import basis, resolving
from asoe.desk.journey.replay.trying import Instead, Judged, alone, other_desk
from asoe.desk.journey.standing import Standing
from asoe.desk.outcome import Step
from asoe.desk.resolution import answer_language
from asoe.desk.runbook import replay as runbook_replay
from asoe.desk.runbook import shelf
from asoe.desk.trail import FAILED, Trail
from asoe.desk.wording import say
from asoe.domain.errors import Conflict, Invalid, Missing
from asoe.domain.organization import Principal
from asoe.domain.policy import Policy, read_policy
from asoe.domain.session import Message
from asoe.store import incidents, models, organizations
from asoe.store.db import Connection
from asoe.store.transient import is_transient

JOINED: Final = "joined_incident"
UNKNOWN: Final = "nobody_can_tell"
"""The decision where the run would have read or done what was never recorded."""
_FOREVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class _Past:
    """What is read in one transaction. `policy` has the settings that are tried."""

    standing: Standing
    reply: Message | None
    policy: Policy
    champion: Champion | None


async def judge(
    desk: Desk, engine: Principal, run: Mapping[str, Any], asked: Instead
) -> tuple[Judged, Judged, Judged | None]:
    """(as it was, as it would be today, as it would be with what is tried)."""
    base = await base_version(desk) if asked.model else ""
    async with desk.database.org_reading(engine) as connection:
        past = await _past(connection, engine, run, asked, base=base)
    was = _judged(run["invocations"], run["plan"], past.standing, reply=past.reply)
    if run["status"] == FAILED:
        was = replace(was, reasons=(run["error"] or FAILED,))
    desk = alone(desk, is_consulted=asked.is_consulted)
    today = await _again(desk, engine, past.standing, was)
    if not asked.is_something:
        return was, today, None
    champions = None if past.champion is None else {engine.org_id: past.champion}
    async with other_desk(desk, asked, champions=champions) as other:
        standing = await _with_run(other, engine, replace(past.standing, policy=past.policy), asked)
        if standing is None:
            return was, today, replace(Judged(), decision=UNKNOWN)
        return was, today, await _again(other, engine, standing, was)


async def _past(
    connection: Connection, engine: Principal, run: Mapping[str, Any], asked: Instead, *, base: str
) -> _Past:
    org_id = engine.org_id
    settings = (await organizations.read_organization(connection, org_id)).settings
    await shelf.published(connection, org_id, instead=asked.versions)  # that they are there
    standing, reply = await basis.again(
        connection, engine, run["ticket_id"], run["basis"], at=run["created_at"], policy=read_policy(settings)
    )
    champion = None if asked.model is None else await _champion(connection, org_id, asked.model, base=base)
    return _Past(standing, reply, read_policy({**settings, **(asked.settings or {})}), champion)


async def _champion(connection: Connection, org_id: UUID, version: int, *, base: str) -> Champion:
    """A version of the registry, as if it judged; 0 is the shared model alone. `base`: the shared model of today."""
    if version == 0:
        return Champion(None, None, _FOREVER)
    found = await models.find(connection, org_id, version)
    adapter = read_adapter(await models.arrays(connection, org_id, found.id), org_id)
    if adapter is None:
        raise Conflict(f"Model {version} is {found.state}: there is nothing to judge with.", code="model_not_usable")
    if found.base_version != base:
        raise Conflict(
            f"Model {version} was taught over {found.base_version}, and {base} judges now: it does not fit.",
            code="model_not_usable",
        )
    return Champion(found.id, adapter, _FOREVER)


async def _with_run(desk: Desk, engine: Principal, standing: Standing, asked: Instead) -> Standing | None:
    """With its run as it would have come by what is tried; None where nobody can tell."""
    then = standing.then
    was = None if then is None else then.run
    is_anew = asked.is_worded_otherwise or bool(set(asked.settings or ()) & set(runbook_replay.SETTINGS))
    if then is None or was is None or not (asked.versions or is_anew):
        return standing
    if was.run.ended_at is None:
        if was.runbook.name in asked.versions:
            raise Invalid(
                f"The run {was.run.id} went on after this pass: replay the pass in which it ended, or the run itself "
                "(asoe runbook replay).",
                code="bad_replay",
            )
        return standing
    played = await runbook_replay.report(desk, engine, was, standing.policy, is_anew=is_anew)
    return None if played is None else replace(standing, then=replace(then, run=played, stopped=played))


async def _again(desk: Desk, engine: Principal, standing: Standing, was: Judged) -> Judged:
    trail = Trail(desk.clock, initiator="replay", entrypoint="replay")  # never saved
    try:
        # sorted anew by whoever judges, also where the pass went by how it had been sorted
        standing, _, _ = await resolving.judge(desk, engine, standing, Trail(desk.clock, "replay", "replay"))
        step = await journey.think(desk, engine, standing, trail)
        if step is not None and step.dossier is not None and step.given is None:
            step = replace(step, dossier=await journey.drafted(desk, engine, standing, step.dossier, trail))
    except Exception as error:
        if isinstance(error, Missing) or is_transient(error):
            raise
        return Judged(decision=FAILED, reasons=(type(error).__name__,))  # as the conductor would keep it
    if step is not None and step.incident is not None:
        step = await _joined(desk, engine, standing, step)
    parts = [
        {
            "agent": each.agent,
            "engine_type": each.engine_type,
            "input": each.input_summary,
            "output": each.output_summary,
        }
        for each in trail.invocations
    ]
    found = _judged(parts, (step.name if step else "nothing",), standing, step=step)
    if found.decision == was.decision == JOINED and found.incident == was.incident:
        return replace(found, answer=was.answer)  # whether its client had heard of it is not kept
    return found


async def _joined(desk: Desk, engine: Principal, standing: Standing, step: Step) -> Step:
    assert step.incident is not None
    async with desk.database.org_reading(engine) as connection:
        incident = await incidents.find(connection, engine.org_id, step.incident.incident_id)
    words = incident.known or say("incident_known", answer_language(standing.ticket, standing.policy))
    return replace(step, name=JOINED, reply=None if standing.is_taken else words)


def _judged(
    parts: Sequence[Mapping[str, Any]],
    plan: Sequence[str],
    standing: Standing,
    *,
    reply: Message | None = None,
    step: Step | None = None,
) -> Judged:
    """From the agents' own records, in both cases; only the words to the client come from a step, or from what was sent."""
    local = [each for each in parts if each["engine_type"] == "local"]

    def last(agent: str, side: str, name: str) -> Any:
        found = [each[side][name] for each in local if each["agent"] == agent and each[side].get(name) is not None]
        return found[-1] if found else None

    ticket = standing.ticket
    data = step.reply_data if step is not None else reply.data if reply is not None else {}
    words = (step.reply or "") if step is not None else reply.content if reply is not None else ""
    asked = [each for each in parts if each["engine_type"] == "model"]
    carried = [each["output"] for each in local if each["agent"] == "ops-fixer" and each["output"].get("status")]
    return Judged(
        category=last("triage", "output", "category") or ticket.category,
        severity=last("triage", "output", "severity") or ticket.severity,
        intent=last("triage", "output", "intent") or ticket.intent,
        decision=plan[-1] if plan else "",
        runbook=last("ops-fixer", "output", "runbook"),
        run=_came_to(carried[-1]) if carried else "",
        incident=last("insight", "output", "incident"),
        reasons=tuple(last("escalation", "input", "reasons") or ()),
        team=last("escalation", "output", "team"),
        articles=tuple(dict.fromkeys(each["slug"] for each in data.get("citations", ()))),
        answer=words,
        consulted=tuple(f"{each['input'].get('use')}: {each['output'].get('outcome')}" for each in asked),
    )


def _came_to(output: Mapping[str, Any]) -> str:
    why = output.get("reason") or output.get("waiting_for")
    return f"{output['status']}: {why}" if why else str(output["status"])
