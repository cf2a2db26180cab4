"""What the API answers, for its OpenAPI document; `encoding.py` builds the same shapes, and a test compares the two."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from asoe.api.schemas import (
    ArticleStatus,
    AssistantType,
    Audience,
    Category,
    FieldType,
    LinkKind,
    MemberRole,
    MessageRole,
    Severity,
    Status,
    WaitingFor,
)


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FieldProblemOut(Answer):
    field: str
    problem: str


class Problem(Answer):
    """RFC 9457; docs/api/errors.md lists the codes."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldProblemOut] = []
    instance: str = ""


class TicketOut(Answer):
    """The last five fields are for staff only and absent in a client's view."""

    id: UUID
    org_id: UUID
    user_id: UUID | None
    category: Category
    severity: Severity
    status: Status
    resolution: dict[str, Any]
    metadata: dict[str, Any]
    created_at: datetime
    number: int
    subject: str
    body: str
    triage: dict[str, Any]
    intent: str | None
    language: str
    session_id: UUID | None
    contact_id: UUID | None
    channel: str
    cc: list[str]
    waiting_for: WaitingFor | None
    merged_into: UUID | None
    reopened: int
    version: int
    updated_at: datetime
    first_response_at: datetime | None
    resolved_at: datetime | None
    closed_at: datetime | None
    team: str | None = None
    assignee: UUID | None = None
    tags: list[str] = []
    custom_fields: dict[str, Any] = {}
    is_spam: bool = False


class TicketPage(Answer):
    items: list[TicketOut]
    next_cursor: str | None


class StatsOut(Answer):
    total_tickets: int
    open_tickets: int
    resolved_rate: int | None
    avg_resolution_time: float | None
    by_category: dict[str, int]


class FactOut(Answer):
    id: int
    kind: str
    at: datetime
    session_id: UUID | None
    actor: UUID | None
    data: dict[str, Any]


class FactPage(Answer):
    items: list[FactOut]
    next_cursor: str | None


class InvocationOut(Answer):
    agent: str
    engine_type: str
    input: dict[str, Any]
    output: dict[str, Any]
    status: str
    tokens_in: int
    tokens_out: int
    started_at: str
    ended_at: str | None


class RunOut(Answer):
    id: UUID
    initiator: str
    entrypoint: str
    plan: list[str]
    status: str
    error: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    invocations: list[InvocationOut]


class TraceOut(Answer):
    """As OpenTelemetry's protocol writes it in JSON, therefore in its own spelling."""

    resourceSpans: list[dict[str, Any]]  # noqa: N815


class RunPage(Answer):
    items: list[RunOut]
    next_cursor: str | None


class EscalationOut(Answer):
    id: UUID
    ticket_id: UUID
    reasons: list[str]
    team: str
    dossier: dict[str, Any]
    created_at: datetime
    taken_by: UUID | None
    taken_at: datetime | None
    ended_at: datetime | None


class LinkOut(Answer):
    ticket_id: UUID
    other_id: UUID
    kind: LinkKind
    created_at: datetime


class LinkPage(Answer):
    items: list[LinkOut]
    next_cursor: str | None


class AttachmentOut(Answer):
    """The last two fields are for staff only."""

    id: UUID
    ticket_id: UUID
    name: str
    media_type: str
    size: int
    sha256: str
    created_at: datetime
    is_internal: bool = False
    created_by: UUID | None = None


class AttachmentPage(Answer):
    items: list[AttachmentOut]
    next_cursor: str | None


class CustomFieldOut(Answer):
    name: str
    type: FieldType
    choices: list[str]
    is_required: bool


class CustomFieldPage(Answer):
    items: list[CustomFieldOut]
    next_cursor: str | None


class SessionOut(Answer):
    id: UUID
    ticket_id: UUID
    assistant_type: AssistantType
    resolved: bool
    created_at: datetime


class MessageOut(Answer):
    id: UUID
    seq: int
    role: MessageRole
    content: str
    timestamp: datetime


class MessageInSession(MessageOut):
    """The last two fields are for staff only."""

    citations: list[dict[str, Any]]
    is_internal: bool = False
    author: UUID | None = None


class SessionWithMessages(SessionOut):
    messages: list[MessageInSession]


class MemberOut(Answer):
    user_id: UUID
    role: MemberRole | str
    kind: str
    name: str
    email: str | None
    created_at: datetime
    disabled_at: datetime | None


class MemberPage(Answer):
    items: list[MemberOut]
    next_cursor: str | None


class InvitationOut(Answer):
    id: UUID
    email: str
    role: MemberRole
    invited_by: UUID | None
    created_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    revoked_at: datetime | None


class NewInvitationOut(InvitationOut):
    """The token is in the first response only: it is stored nowhere."""

    token: str | None


class InvitationPage(Answer):
    items: list[InvitationOut]
    next_cursor: str | None


class KeyOut(Answer):
    id: UUID
    user_id: UUID
    name: str
    prefix: str
    role: MemberRole
    scopes: list[str]
    created_by: UUID | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class NewKeyOut(KeyOut):
    """The token is in the first response only: it is stored nowhere."""

    token: str | None


class KeyPage(Answer):
    items: list[KeyOut]
    next_cursor: str | None


class OrganizationOut(Answer):
    org_id: UUID
    name: str
    slug: str
    settings: dict[str, Any]
    created_at: datetime | None
    suspended_at: datetime | None


class ContactOut(Answer):
    id: UUID
    email: str | None
    phone: str | None
    external_id: str | None
    name: str
    language: str | None
    user_id: UUID | None
    blocked_at: datetime | None
    created_at: datetime
    plan: str | None


class ContactPage(Answer):
    items: list[ContactOut]
    next_cursor: str | None


class ContactExport(Answer):
    contact: dict[str, Any]
    tickets: list[dict[str, Any]]
    attachments: list[dict[str, Any]]


class ContactErased(Answer):
    tickets: int


class ArticleOut(Answer):
    """In lists the body is left empty."""

    id: UUID
    title: str
    slug: str
    language: str
    body: str
    product: str | None
    audience: Audience
    tags: list[str]
    status: ArticleStatus
    version: int
    published_version: int | None
    is_indexed: bool
    created_at: datetime
    updated_at: datetime


class ArticlePage(Answer):
    items: list[ArticleOut]
    next_cursor: str | None


class ArticleVersionOut(Answer):
    version: int
    title: str
    slug: str
    language: str
    body: str
    product: str | None
    audience: Audience
    tags: list[str]
    written_by: UUID | None
    created_at: datetime
    is_published: bool


class ArticleVersionPage(Answer):
    items: list[ArticleVersionOut]
    next_cursor: str | None


class PassageOut(Answer):
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


class PassagePage(Answer):
    items: list[PassageOut]
    next_cursor: str | None


class PrincipalOut(Answer):
    user_id: UUID
    org_id: UUID
    role: MemberRole
    name: str
    key_id: UUID | None
    scopes: list[str]


class HealthOut(Answer):
    status: str


class WidgetOut(Answer):
    is_on: bool
    takes_anonymous: bool
    shows_help: bool
    origins: list[str]
    theme: str
    accent: str
    greetings: dict[str, str]
    has_secret: bool
    secret_made_at: datetime | None
    changed_at: datetime | None


class WidgetSecretOut(WidgetOut):
    """The secret is in the first response only: it is stored nowhere."""

    secret: str | None


class AdmissionOut(Answer):
    client: UUID
    token: str
    expires_at: datetime
    visitor: str | None


class LookOut(Answer):
    organization: str
    language: str
    theme: str
    accent: str
    greetings: dict[str, str]
    help: str | None
    max_file_bytes: int


class StartOut(AdmissionOut):
    name: str
    look: LookOut


class LastSaid(Answer):
    role: MessageRole
    text: str


class GlanceOut(Answer):
    id: UUID
    number: int
    title: str
    state: Literal["thinking", "yours", "with_person", "waiting", "ended"]
    last: LastSaid | None
    created_at: datetime
    updated_at: datetime


class GlancePage(Answer):
    items: list[GlanceOut]
    next_cursor: str | None


class ChatCitation(Answer):
    title: str
    heading: str
    quote: str
    url: str | None


class ChatMessageOut(MessageOut):
    citations: list[ChatCitation]
    steps: list[str]


class ChatFileOut(Answer):
    id: UUID
    name: str
    size: int
    is_own: bool
    created_at: datetime


class ConversationOut(Answer):
    id: UUID
    number: int
    state: Literal["thinking", "yours", "with_person", "waiting", "ended"]
    language: str
    may_rate: bool
    may_answer: list[Literal["yes", "no"]]
    team_writes: bool
    created_at: datetime
    updated_at: datetime
    messages: list[ChatMessageOut]
    files: list[ChatFileOut]
