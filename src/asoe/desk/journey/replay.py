"""A pass of the agents judged again with something else in the place of what judged: nothing is done, sent or stored.

It is told what the pass was told, up to the same message. What is not kept (articles, runbooks, incidents) is as it is today:
so the pass is judged twice, as everything is now and with the change, and each difference is told apart. Passes that carried a
runbook's run are the run's to replay (`runbook/replay.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final
from uuid import UUID

from asoe.connectors.contract import Connector
from asoe.desk import journey
from asoe.desk.champion import base_version, read_adapter
from asoe.desk.connector import Connectors
from asoe.desk.context import Champion, Desk, ModelAccess
from asoe.desk.journey import basis
from asoe.desk.journey.standing import Standing
from asoe.desk.outcome import Step
from asoe.desk.trail import Trail
from asoe.domain.errors import Conflict, Denied, FieldProblem, Invalid
from asoe.domain.language_model import USES
from asoe.domain.organization import Principal
from asoe.domain.policy import Policy, read_policy
from asoe.domain.session import Message
from asoe.store import models, orchestrator, organizations, sessions
from asoe.store.db import Connection

SETTINGS: Final = (
    "routing", "languages", "default_language", "answer_threshold", "confidence_threshold", "answers_alone",
    "answer_error_limit", "persons_only", "standing_consents", "escalation", "language_model",
    "runbook_looks", "runbook_questions",
)  # fmt: skip
"""Those of an organization that a judgement goes by."""
LONGEST_PROMPT: Final = 8_000
_FOREVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Instead:
    """What judges in the place of what judges today; what is None stays.

    model: a version of the organization's own models, 0 for the shared one alone. settings: `SETTINGS` over the organization's.
    language_model: another one of the same provider. prompts: other instructions by use, in which `{task}` stands for ours.
    is_consulted: whether the language model is asked at all; it costs what it always does, twice where something is changed.
    """

    model: int | None = None
    settings: Mapping[str, Any] | None = None
    language_model: str | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    is_consulted: bool = False

    @property
    def is_something(self) -> bool:
        return self != Instead(is_consulted=self.is_consulted)


@dataclass(frozen=True, slots=True)
class Judged:
    """What a pass came to. `consulted`: what the language model was asked for, and what came of it."""

    category: str | None = None
    severity: str | None = None
    intent: str | None = None
    decision: str = ""
    runbook: str | None = None
    reasons: tuple[str, ...] = ()
    team: str | None = None
    articles: tuple[str, ...] = ()
    answer: str = ""
    consulted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    what: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Replay:
    """A pass as it was, as it would be today, and with the change (None: nothing was changed).

    `since`: from then to today, by what has moved meanwhile; `differences`: from today to the change, by the change alone.
    """

    run_id: UUID
    ticket_id: UUID
    was: Judged
    today: Judged
    instead: Judged | None
    since: tuple[Difference, ...]
    differences: tuple[Difference, ...]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "run_id": str(self.run_id), "ticket_id": str(self.ticket_id)}


@dataclass(frozen=True, slots=True)
class _Past:
    """What is read in one transaction."""

    run: Mapping[str, Any]
    standing: Standing
    reply: Message | None
    policy: Policy
    """With the settings that are tried."""
    champion: Champion | None


async def replay(desk: Desk, principal: Principal, run_id: UUID, instead: Instead | None = None) -> Replay:
    """Judge the pass again; staff only, and owners and admins where the language model is asked.

    Raises `Missing(agent_run_missing | model_missing)`, `Conflict(not_replayable | run_is_replayed_apart | model_not_usable)`,
    `Invalid(bad_policy | bad_replay | bad_model)`, `Denied(staff_only | admin_only)`.
    """
    asked = instead or Instead()
    _may(desk, principal, asked)
    async with desk.database.org_reading(principal) as connection:  # by the caller's own rights
        run = await orchestrator.find_run(connection, principal.org_id, run_id)
    _check(run)
    engine = await desk.engine_of(principal.org_id)
    base = await base_version(desk) if asked.model else ""
    async with desk.database.org_reading(engine) as connection:
        past = await _past(connection, engine, run, asked, base=base)
    was = _judged(run["invocations"], run["plan"], past.standing, reply=past.reply)
    alone = replace(desk, connectors=_NOBODY, queue=_Nothing(), model=desk.model if asked.is_consulted else None)
    today = await _again(alone, engine, past.standing)
    changed: Judged | None = None
    if asked.is_something:
        async with _instead(alone, principal.org_id, past, asked) as other:
            changed = await _again(other, engine, replace(past.standing, policy=past.policy))
    return Replay(
        run_id=run_id,
        ticket_id=run["ticket_id"],
        was=was,
        today=today,
        instead=changed,
        since=_differences(was, today),
        differences=() if changed is None else _differences(today, changed),
    )


def _may(desk: Desk, principal: Principal, asked: Instead) -> None:
    if not principal.is_staff:
        raise Denied("Only staff of the organization may replay what its agents did.", code="staff_only")
    needs_model = asked.is_consulted or asked.prompts or asked.language_model is not None
    if needs_model and principal.role not in {"owner", "admin"}:
        raise Denied("Asking the language model costs money: owners and admins may.", code="admin_only")
    if needs_model and not asked.is_consulted:
        raise Invalid(
            "Another language model or prompt can only be tried by asking it: say so (consult).", code="bad_replay"
        )
    if asked.is_consulted and desk.model is None:
        raise Invalid("No language model is configured here (ASOE_MODEL).", code="bad_replay")
    problems = [
        FieldProblem(f"prompts.{use}", f"must be one of {', '.join(USES)}, with 1 to {LONGEST_PROMPT} characters")
        for use, prompt in asked.prompts.items()
        if use not in USES or not prompt.strip() or len(prompt) > LONGEST_PROMPT
    ]
    problems += [
        FieldProblem(f"settings.{name}", f"must be one of {', '.join(SETTINGS)}")
        for name in asked.settings or ()
        if name not in SETTINGS
    ]
    if problems:
        raise Invalid("This cannot be tried: see the fields.", code="bad_replay", fields=tuple(problems))


def _check(run: Mapping[str, Any]) -> None:
    kept = run["basis"]
    if not kept:
        raise Conflict(
            "This was no judgement of the engine, or it was recorded before judgements could be replayed.",
            code="not_replayable",
        )
    if kept["journey"].get("run"):
        raise Conflict(
            f"This pass carried the runbook's run {kept['journey']['run']}: replay that one (asoe runbook replay).",
            code="run_is_replayed_apart",
        )
    if kept["incident"]:
        raise Conflict("This pass followed an incident, which is not replayed.", code="not_replayable")


async def _past(
    connection: Connection, engine: Principal, run: Mapping[str, Any], asked: Instead, *, base: str
) -> _Past:
    org_id, kept = engine.org_id, run["basis"]
    settings = (await organizations.read_organization(connection, org_id)).settings
    standing = await basis.again(
        connection, engine, run["ticket_id"], kept, at=run["created_at"], policy=read_policy(settings)
    )
    reply = None
    if kept["has_replied"]:
        said = await sessions.messages_of_ticket(connection, org_id, run["ticket_id"], limit=5000)
        positions = standing.positions
        reply = next(
            (
                each
                for each in said
                if each.role in {"assistant", "system"}
                and not each.is_internal
                and each.seq == positions.get(str(each.session_id), 0) + 1
            ),
            None,
        )
    champion = None if asked.model is None else await _champion(connection, org_id, asked.model, base=base)
    return _Past(run, standing, reply, read_policy({**settings, **(asked.settings or {})}), champion)


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


@asynccontextmanager
async def _instead(desk: Desk, org_id: UUID, past: _Past, asked: Instead) -> AsyncIterator[Desk]:
    """The desk with what is tried in its place; a language model that was opened for it is closed afterwards."""
    if past.champion is not None:
        desk = replace(desk, champions={org_id: past.champion})
    access = desk.model
    if access is None:
        yield desk
        return
    access = replace(access, prompts=dict(asked.prompts))
    if asked.language_model is None:
        yield replace(desk, model=access)
        return
    async with _other_model(access, asked.language_model) as other:
        yield replace(desk, model=other)


@asynccontextmanager
async def _other_model(access: ModelAccess, name: str) -> AsyncIterator[ModelAccess]:
    provider = access.model.name.partition(":")[0]
    if access.open_other is None or name.partition(":")[0] != provider or not name.partition(":")[2]:
        raise Invalid(
            f"{name!r} cannot be asked here: only models of the configured provider can, as {provider}:MODEL.",
            code="bad_replay",
            fields=(FieldProblem("language_model", f"must be {provider}:MODEL"),),
        )
    async with access.open_other(name) as model:
        yield replace(access, model=model)


async def _again(desk: Desk, engine: Principal, standing: Standing) -> Judged:
    trail = Trail(desk.clock, initiator="replay", entrypoint="replay")  # never saved
    step = await journey.think(desk, engine, standing, trail)
    if step is not None and step.dossier is not None and step.given is None:
        step = replace(step, dossier=await journey.drafted(desk, engine, standing, step.dossier, trail))
    parts = [
        {
            "agent": each.agent,
            "engine_type": each.engine_type,
            "input": each.input_summary,
            "output": each.output_summary,
        }
        for each in trail.invocations
    ]
    return _judged(parts, (step.name if step else "nothing",), standing, step=step)


def _judged(
    parts: Sequence[Mapping[str, Any]],
    plan: Sequence[str],
    standing: Standing,
    *,
    reply: Message | None = None,
    step: Step | None = None,
) -> Judged:
    """From the agents' own records, in both cases; only the words to the client come from a step, or from what was sent."""

    def last(agent: str, side: str, name: str) -> Any:
        local = [each for each in parts if each["agent"] == agent and each["engine_type"] == "local"]
        found = [each[side][name] for each in local if each[side].get(name) is not None]
        return found[-1] if found else None

    ticket = standing.ticket
    data = step.reply_data if step is not None else reply.data if reply is not None else {}
    words = (step.reply or "") if step is not None else reply.content if reply is not None else ""
    asked = [each for each in parts if each["engine_type"] == "model"]
    return Judged(
        category=last("triage", "output", "category") or ticket.category,
        severity=last("triage", "output", "severity") or ticket.severity,
        intent=last("triage", "output", "intent") or ticket.intent,
        decision=plan[-1] if plan else "",
        runbook=last("ops-fixer", "output", "runbook"),
        reasons=tuple(last("escalation", "input", "reasons") or ()),
        team=last("escalation", "output", "team"),
        articles=tuple(dict.fromkeys(each["slug"] for each in data.get("citations", ()))),
        answer=words,
        consulted=tuple(f"{each['input'].get('use')}: {each['output'].get('outcome')}" for each in asked),
    )


def _differences(before: Judged, after: Judged) -> tuple[Difference, ...]:
    pairs = [(each.name, getattr(before, each.name), getattr(after, each.name)) for each in fields(Judged)]
    return tuple(Difference(name, one, other) for name, one, other in pairs if one != other)


class _Nothing:
    """No job follows from a replay."""

    async def enqueue(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("a replay wanted to enqueue a job")

    async def advance(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("a replay wanted to advance a ticket")


_NO_CONNECTORS: Mapping[str, Connector] = {}
_NOBODY: Final = Connectors.fixed(_NO_CONNECTORS)
