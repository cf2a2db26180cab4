"""What callers send and get on runbooks, their autonomy, runs and approvals; a test compares it with what is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from asoe.api.answers import Answer
from asoe.api.schemas import Body, JsonObject, Moment, Version
from asoe.desk.autonomy import describe
from asoe.desk.runbook.record import Record
from asoe.domain.autonomy import Standing, cases_needed
from asoe.store.approvals import Approval
from asoe.store.autonomy import ToAudit
from asoe.store.runbooks import RunbookRow, VersionRow
from asoe.store.runs import Run

Level = Literal["off", "shadow", "suggest", "approve", "auto"]
ApprovalStatus = Literal["pending", "approved", "refused", "expired", "dead", "used"]
Reason = Annotated[str, Field(max_length=2000)]


class SourceIn(Body):
    """A runbook as YAML; docs/runbooks.md describes the language."""

    source: Annotated[str, Field(min_length=1, max_length=256 * 1024)]


class PublishIn(Body):
    version: Version | None = Field(None, description="The newest one when left out.")


class LevelIn(Body):
    level: Level


class LoanIn(Body):
    """Trust lent in the open; `caps`: acts_per_day, total_per_day."""

    reason: Annotated[str, Field(min_length=1, max_length=2000)]
    until: Moment
    caps: JsonObject = Field(default_factory=dict)


class VoteIn(Body):
    vote: Literal["approve", "refuse"]
    reason: Reason = ""


class StopIn(Body):
    reason: Annotated[str, Field(min_length=1, max_length=2000)]


class RunReplayIn(Body):
    """What to play instead; what is left out stays. `anew`: read the client's words with the models of today."""

    runbook: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    version: Version | None = None
    settings: JsonObject | None = Field(None, description="error_limits, standing_consents over your own.")
    anew: bool = False


class RunSideOut(Answer):
    runbook: str
    version: int
    verdict: str
    reason: str
    acts: list[str]
    slots: dict[str, Any]
    alone: dict[str, bool]


class RunReplayOut(Answer):
    """`verdict` is empty where nobody can tell how it would have ended."""

    run_id: UUID
    was: RunSideOut
    now: RunSideOut
    differences: list[str]


class JudgementIn(Body):
    is_right: bool
    source: Literal["person", "audit"] = "person"
    note: Reason = ""


class RunbookOut(Answer):
    id: UUID
    name: str
    title: str
    resolution_type: str
    published_version: int | None
    newest_version: int | None
    level: Level
    retired_at: datetime | None
    created_at: datetime
    updated_at: datetime


class RunbookVersionOut(Answer):
    version: int
    digest: str
    created_by: UUID | None
    created_at: datetime
    source: str


class RunbookTextOut(RunbookOut):
    version: RunbookVersionOut


class RunbookPage(Answer):
    items: list[RunbookOut]
    next_cursor: str | None


class RunbookVersionPage(Answer):
    items: list[RunbookVersionOut]
    next_cursor: str | None


class LoanOut(Answer):
    by: str
    reason: str
    since: datetime
    until: datetime
    caps: dict[str, Any]
    is_valid: bool


class AutonomyOut(Answer):
    """`error_limit_95`: the exact upper 95 % limit of the error rate on the judged runs."""

    level: Level
    in_words: str
    cases: int
    errors: int
    error_limit_95: float
    limits: dict[str, float]
    cases_needed: dict[str, int]
    acts_alone: dict[str, bool]
    loan: LoanOut | None
    braked_at: datetime | None
    braked_why: str | None


class ApprovalOut(Answer):
    id: UUID
    run_id: UUID
    ticket_id: UUID | None
    path: str
    connector: str
    action: str
    risk: str
    arguments: dict[str, Any]
    digest: str
    card: dict[str, Any]
    people: int
    role: str
    status: ApprovalStatus
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    approvals: int


class ApprovalPage(Answer):
    items: list[ApprovalOut]
    next_cursor: str | None


class StopOut(Answer):
    is_stopped: bool
    reason: str | None


class AuditItem(Answer):
    id: UUID
    runbook_id: UUID
    ticket_id: UUID | None
    ended_at: datetime


class AnswerAuditItem(Answer):
    """As it is shown to who judges it blind: without chance, trust or verdict."""

    id: UUID
    subject: str
    question: str
    answer: str
    articles: list[str]
    at: datetime


class AuditPage(Answer):
    items: list[AuditItem]
    answers: list[AnswerAuditItem]
    next_cursor: str | None


def runbook(value: RunbookRow) -> dict[str, Any]:
    return asdict(value)


def runbook_version(value: VersionRow) -> dict[str, Any]:
    return asdict(value)


def runbook_text(row: RunbookRow, version: VersionRow) -> dict[str, Any]:
    return {**asdict(row), "version": asdict(version)}


def autonomy(standing: Standing, limits: Mapping[str, float], now: datetime) -> dict[str, Any]:
    loan = standing.loan
    return {
        "level": standing.level,
        "in_words": describe(standing, limits, now),
        "cases": standing.evidence.cases,
        "errors": standing.evidence.errors,
        "error_limit_95": standing.evidence.upper_limit,
        "limits": dict(limits),
        "cases_needed": {risk: cases_needed(limit) for risk, limit in limits.items()},
        "acts_alone": {
            risk: standing.may_act_alone(risk, now, limits=limits) for risk in ("reversible", "costly", "irreversible")
        },
        "loan": None if loan is None else {**asdict(loan), "is_valid": standing.lent(now) is not None},
        "braked_at": standing.braked_at,
        "braked_why": standing.braked_why,
    }


def approval(value: Approval) -> dict[str, Any]:
    shown: dict[str, Any] = plain(asdict(value))
    return shown


def to_audit(value: ToAudit) -> dict[str, Any]:
    return asdict(value)


def plain(value: Any) -> Any:
    """Sums of money as text: JSON numbers are floats to most readers."""
    match value:
        case Decimal():
            return str(value)
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return value


class RunStartIn(Body):
    """Start a published runbook; `dry_run` and `shadow` act on nothing."""

    runbook: Annotated[str, Field(min_length=1, max_length=64)]
    ticket_id: UUID
    mode: Literal["live", "shadow", "dry_run"] = "live"


class RunOut(Answer):
    id: UUID
    runbook_id: UUID
    version: int
    ticket_id: UUID | None
    mode: str
    status: str
    waiting_for: str | None
    slots: dict[str, Any]
    reason: str | None
    note: str | None
    ended_at_step: str | None
    evidence: dict[str, Any]
    initiator: UUID | None
    due_at: datetime | None
    cancel_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class RunbookRunPage(Answer):
    items: list[RunOut]
    next_cursor: str | None


class StepOut(Answer):
    """One thing that was read, asked or waited for; `told` null: not answered yet."""

    seq: int
    path: str
    kind: str
    connector: str | None
    action: str | None
    arguments: Any
    told: Any
    is_final: bool
    at: datetime | None


class ActOut(Answer):
    """One intent and what became of it."""

    id: UUID
    seq: int
    path: str
    connector: str
    action: str
    risk: str
    arguments: Any
    idempotency_key: str
    business_key: str | None
    amount: str | None
    unit: str | None
    is_undo: bool
    status: str
    attempts: int
    value: Any
    reason: str | None
    error: str | None
    approval_id: UUID | None
    intended_at: datetime
    ended_at: datetime | None


class RunRecordOut(RunOut):
    runbook: str
    steps: list[StepOut]
    actions: list[ActOut]


_HIDDEN_OF_RUN = frozenset({"org_id", "environment", "held_until", "client_key"})


def run(value: Run) -> dict[str, Any]:
    shown: dict[str, Any] = plain({name: item for name, item in asdict(value).items() if name not in _HIDDEN_OF_RUN})
    return shown


def run_record(value: Record) -> dict[str, Any]:
    steps = [plain(asdict(step)) for step in value.steps]
    actions = [
        {name: item for name, item in plain(asdict(action)).items() if name != "claimed_until"}
        for action in value.actions
    ]
    return {**run(value.run), "runbook": value.runbook, "steps": steps, "actions": actions}
