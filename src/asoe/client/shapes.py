"""What the API answers, as values. Fields a newer server adds are passed over, so that an older client goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from datetime import datetime
from functools import cache
from types import UnionType
from typing import Any, Final, Generic, TypeVar, Union, cast, get_args, get_origin, get_type_hints
from uuid import UUID

from asoe.domain.errors import Unavailable

Item = TypeVar("Item")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ticket:
    """One ticket; the last five fields are filled for staff only."""

    id: UUID
    org_id: UUID
    user_id: UUID | None
    category: str
    severity: str
    status: str
    resolution: Json
    metadata: Json
    created_at: datetime
    number: int
    subject: str
    body: str
    triage: Json
    intent: str | None
    language: str
    session_id: UUID | None
    contact_id: UUID | None
    channel: str
    cc: list[str]
    waiting_for: str | None
    merged_into: UUID | None
    reopened: int
    version: int
    updated_at: datetime
    first_response_at: datetime | None
    resolved_at: datetime | None
    closed_at: datetime | None
    team: str | None = None
    assignee: UUID | None = None
    tags: list[str] = field(default_factory=list)
    custom_fields: Json = field(default_factory=dict)
    is_spam: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One message; what a request answers has no citations, and `is_internal` and `author` are for staff."""

    id: UUID
    seq: int
    role: str
    content: str
    timestamp: datetime
    citations: list[Json] = field(default_factory=list)
    is_internal: bool = False
    author: UUID | None = None


@dataclass(frozen=True, slots=True)
class Session:
    id: UUID
    ticket_id: UUID
    assistant_type: str
    resolved: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SessionWithMessages:
    id: UUID
    ticket_id: UUID
    assistant_type: str
    resolved: bool
    created_at: datetime
    messages: list[Message]


@dataclass(frozen=True, slots=True)
class Stats:
    """`resolved_rate` in whole percent, `avg_resolution_time` in hours; None when there is nothing to go by."""

    total_tickets: int
    open_tickets: int
    resolved_rate: int | None
    avg_resolution_time: float | None
    by_category: dict[str, int]


@dataclass(frozen=True, slots=True)
class Fact:
    id: int
    kind: str
    at: datetime
    session_id: UUID | None
    actor: UUID | None
    data: Json


@dataclass(frozen=True, slots=True)
class Invocation:
    """One agent's part of a pass."""

    agent: str
    engine_type: str
    input: Json
    output: Json
    status: str
    tokens_in: int
    tokens_out: int
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass of the engine over a ticket."""

    id: UUID
    initiator: str
    entrypoint: str
    plan: list[str]
    status: str
    error: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    invocations: list[Invocation]


@dataclass(frozen=True, slots=True)
class Escalation:
    id: UUID
    ticket_id: UUID
    reasons: list[str]
    team: str
    dossier: Json
    created_at: datetime
    taken_by: UUID | None
    taken_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Attachment:
    id: UUID
    ticket_id: UUID
    name: str
    media_type: str
    size: int
    sha256: str
    created_at: datetime
    is_internal: bool = False
    created_by: UUID | None = None


@dataclass(frozen=True, slots=True)
class Article:
    id: UUID
    title: str
    slug: str
    language: str
    body: str
    product: str | None
    audience: str
    tags: list[str]
    status: str
    version: int
    published_version: int | None
    is_indexed: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Passage:
    article_id: UUID
    slug: str
    title: str
    heading: str
    text: str
    position: int
    language: str
    score: float
    lexical: float
    semantic: float


@dataclass(frozen=True, slots=True)
class Runbook:
    id: UUID
    name: str
    title: str
    resolution_type: str
    published_version: int | None
    newest_version: int | None
    level: str
    retired_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a runbook."""

    id: UUID
    runbook_id: UUID
    version: int
    ticket_id: UUID | None
    mode: str
    status: str
    waiting_for: str | None
    slots: Json
    reason: str | None
    note: str | None
    ended_at_step: str | None
    evidence: Json
    initiator: UUID | None
    due_at: datetime | None
    cancel_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class RunRecord(Run):
    """A run with every read and question (`steps`) and every intent with its outcome (`actions`)."""

    runbook: str = ""
    steps: list[Json] = field(default_factory=list)
    actions: list[Json] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Approval:
    """One act that waits for people, with its exact arguments."""

    id: UUID
    run_id: UUID
    ticket_id: UUID | None
    path: str
    connector: str
    action: str
    risk: str
    arguments: Json
    digest: str
    card: Json
    people: int
    role: str
    status: str
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    approvals: int


@dataclass(frozen=True, slots=True)
class Me:
    """As whom the key or token acts."""

    user_id: UUID
    org_id: UUID
    role: str
    name: str
    key_id: UUID | None
    scopes: list[str]


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page of a list; give `next_cursor` as `cursor` to go on, until it is None."""

    items: list[Item]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """That something happened, never what was said; `kind` "resync" means more happened than is told."""

    id: str
    kind: str
    seq: int | None = None


Shape = TypeVar("Shape")
_PLAIN: Final = (str, int, float, bool)


def read(shape: type[Shape], value: Any) -> Shape:
    """`value`, as it came from JSON, as a `shape`; raises `Unavailable(unreadable_answer)` when it does not fit."""
    try:
        made: Shape = _read(shape, value)
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable(
            f"The answer is no {shape.__name__} ({type(error).__name__}: {str(error)[:100]}). Is the address that of an ASOE "
            "API, and this client not much older than it?",
            code="unreadable_answer",
            permanent=True,
        ) from None
    return made


def read_page(shape: type[Shape], value: Any) -> Page[Shape]:
    if not isinstance(value, Mapping) or not isinstance(value.get("items"), list):
        raise Unavailable("The answer is no list.", code="unreadable_answer", permanent=True)
    return Page([read(shape, item) for item in value["items"]], value.get("next_cursor"))


def _read(kind: Any, value: Any) -> Any:
    if kind is Any or kind is dict or get_origin(kind) is dict:
        return value
    if get_origin(kind) in {Union, UnionType}:
        if value is None:
            return None
        (kind,) = (one for one in get_args(kind) if one is not type(None))
        return _read(kind, value)
    if get_origin(kind) is list:
        (inner,) = get_args(kind)
        if not isinstance(value, list):
            raise TypeError("a list is missing")
        return [_read(inner, item) for item in value]
    if kind is UUID:
        return UUID(str(value))
    if kind is datetime:
        return datetime.fromisoformat(str(value))
    if is_dataclass(kind):
        shape = cast("type[Any]", kind)
        found = {name: _read(hint, value[name]) for name, hint, needed in _parts(shape) if needed or name in value}  # type: ignore[arg-type]  # a class has a hash
        return shape(**found)
    if kind in _PLAIN and not isinstance(value, _PLAIN):
        raise TypeError(f"{type(value).__name__} instead of {kind.__name__}")
    return value


@cache
def _parts(shape: type[Any]) -> list[tuple[str, Any, bool]]:
    """Each field's name, type, and whether it has to be there."""
    hints = get_type_hints(shape)
    return [
        (one.name, hints[one.name], one.default is MISSING and one.default_factory is MISSING) for one in fields(shape)
    ]
