"""What a replay may try in the place of what judges today, who may, and the desk it is tried at: one that can do nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final
from uuid import UUID

from asoe.connectors.contract import Connector
from asoe.desk.connector import Connectors
from asoe.desk.context import Champion, Desk, ModelAccess
from asoe.domain.errors import Denied, FieldProblem, Invalid
from asoe.domain.language_model import USES
from asoe.domain.organization import Principal

SETTINGS: Final = (
    "routing", "languages", "default_language", "answer_threshold", "confidence_threshold", "answers_alone",
    "answer_error_limit", "persons_only", "standing_consents", "escalation", "language_model",
    "runbook_looks", "runbook_questions", "error_limits", "outside_agents",
)  # fmt: skip
"""Those of an organization that a judgement goes by."""
LONGEST_PROMPT: Final = 8_000
MOST_VERSIONS: Final = 20


@dataclass(frozen=True, slots=True)
class Instead:
    """What judges in the place of what judges today; what is None stays.

    model: a version of the organization's own models, 0 for the shared one alone. settings: `SETTINGS` over the organization's.
    language_model: another one of the same provider. prompts: other instructions by use, in which `{task}` stands for ours.
    is_consulted: whether the language model is asked at all; it costs what it always does, twice where something is changed.
    versions: of runbooks, by name, in the place of those in use; the one whose run the pass carried is played again.
    """

    model: int | None = None
    settings: Mapping[str, Any] | None = None
    language_model: str | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    is_consulted: bool = False
    versions: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_something(self) -> bool:
        return self != Instead(is_consulted=self.is_consulted)

    @property
    def is_worded_otherwise(self) -> bool:
        """Whether the language model that is asked, or how, is another."""
        return self.is_consulted and (bool(self.prompts) or self.language_model is not None)


@dataclass(frozen=True, slots=True)
class Judged:
    """What a pass came to. `consulted`: what the language model was asked for, and what came of it. `run`: what the runbook's
    run that it carried had come to; `incident`: the number of the one it found to be the cause.
    """

    category: str | None = None
    severity: str | None = None
    intent: str | None = None
    decision: str = ""
    runbook: str | None = None
    run: str = ""
    incident: int | None = None
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


def check(desk: Desk, principal: Principal, asked: Instead) -> None:
    """Raise `Denied(staff_only | admin_only)` or `Invalid(bad_replay)` unless this may be tried by them, here."""
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
    problems += [
        FieldProblem(f"runbooks.{name}", "must be a version, from 1")
        for name, version in asked.versions.items()
        if isinstance(version, bool) or version < 1
    ]
    if len(asked.versions) > MOST_VERSIONS:
        problems.append(FieldProblem("runbooks", f"must be {MOST_VERSIONS} at most"))
    if problems:
        raise Invalid("This cannot be tried: see the fields.", code="bad_replay", fields=tuple(problems))


def alone(desk: Desk, *, is_consulted: bool) -> Desk:
    """The desk as it judges today, with nobody to call and no job to enqueue."""
    return replace(desk, connectors=_NOBODY, queue=_Nothing(), model=desk.model if is_consulted else None)


@asynccontextmanager
async def other_desk(
    desk: Desk, asked: Instead, *, champions: dict[UUID, Champion] | None = None
) -> AsyncIterator[Desk]:
    """The desk with what is tried in its place; a language model that was opened for it is closed afterwards."""
    desk = replace(desk, versions=dict(asked.versions), champions=desk.champions if champions is None else champions)
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


class _Nothing:
    """No job follows from a replay."""

    async def enqueue(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("a replay wanted to enqueue a job")

    async def advance(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("a replay wanted to advance a ticket")


_NO_CONNECTORS: Mapping[str, Connector] = {}
_NOBODY: Final = Connectors.fixed(_NO_CONNECTORS)
