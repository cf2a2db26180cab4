"""What callers may send. Unknown fields are refused by name; what a value means is the desk's to check."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import to_json

from asoe.domain.errors import Invalid
from asoe.domain.people import clean_email

_MAX_OBJECT_BYTES: Final = 64 * 1024

Category = Literal[
    "billing", "technical", "feature_request", "bug_report", "account", "integration", "performance", "general"
]
Severity = Literal["low", "medium", "high", "critical"]
Status = Literal["open", "triaging", "in_progress", "resolved", "escalated", "closed"]
Channel = Literal["api", "web", "email", "widget", "import", "demo"]
WaitingFor = Literal["client", "approval", "timer", "person", "incident"]
AssistantType = Literal["ai", "human", "hybrid"]
MessageRole = Literal["user", "assistant", "agent", "system"]
MemberRole = Literal["owner", "admin", "agent", "client"]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]
LinkKind = Literal["related", "duplicate_of", "follow_up_of", "blocked_by"]
FieldType = Literal["text", "number", "boolean", "date", "choice"]
ArticleStatus = Literal["draft", "published", "retired"]
Audience = Literal["client", "agent"]


def _to_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range") from None


def _not_too_large(value: dict[str, Any]) -> dict[str, Any]:
    if len(to_json(value, inf_nan_mode="null")) > _MAX_OBJECT_BYTES:
        raise ValueError(f"is larger than {_MAX_OBJECT_BYTES // 1024} KiB")
    return value


def _email(value: str) -> str:
    try:
        return clean_email(value)
    except Invalid as error:
        raise ValueError(error.message) from None


Moment = Annotated[AwareDatetime, AfterValidator(_to_utc)]
JsonObject = Annotated[dict[str, Any], AfterValidator(_not_too_large)]
Email = Annotated[str, Field(max_length=254, json_schema_extra={"format": "email"}), AfterValidator(_email)]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Short = Annotated[str, StringConstraints(max_length=200)]
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]


class Body(BaseModel):
    """A JSON object whose fields are all known."""

    model_config = ConfigDict(extra="forbid")


# --- tickets ---


class ContactIn(Body):
    email: Annotated[str, Field(max_length=254)] | None = None
    phone: Annotated[str, Field(max_length=40)] | None = None
    external_id: Short | None = None
    name: Short = ""


class TicketIn(Body):
    """A request. Category and severity are the caller's opinion and may be left out."""

    subject: str | None = Field(None, max_length=500)
    body: str | None = Field(None, max_length=65536, description="At most 64 KiB.")
    category: Category | None = None
    severity: Severity | None = None
    metadata: JsonObject | None = None
    user_id: UUID | None = Field(None, description="The member it is for; clients leave it out.")
    contact: ContactIn | None = Field(None, description="A client without an account; clients leave it out.")
    channel: Channel = "api"
    cc: list[Email] = Field(default_factory=list, max_length=50)
    tags: list[Tag] = Field(default_factory=list, max_length=50)
    custom_fields: JsonObject | None = None
    relayed: bool = Field(
        False,
        description="Staff only: you vouch that these are the client's own words, so that a consent in them counts.",
    )


class TicketChange(Body):
    """Only the fields that are given are changed."""

    category: Category | None = None
    severity: Severity | None = None
    intent: Annotated[str, Field(max_length=100)] | None = None
    team: Short | None = None
    assignee: UUID | None = None
    tags: list[Tag] | None = Field(None, max_length=50)
    cc: list[Email] | None = Field(None, max_length=50)
    custom_fields: JsonObject | None = None
    subject: str | None = Field(None, max_length=500)
    metadata: JsonObject | None = None
    expected_version: Version | None = Field(None, description="Refuse when the ticket is past this version.")

    @model_validator(mode="after")
    def _some_may_not_be_null(self) -> TicketChange:
        never_null = {"category", "severity", "tags", "cc", "custom_fields", "subject", "metadata"}
        wrong = [name for name in sorted(never_null & self.model_fields_set) if getattr(self, name) is None]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: null is no value; leave it out to keep what is there")
        return self


class AssignIn(Body):
    """To a person, a team, or both; null takes it away."""

    assignee: UUID | None = None
    team: Short | None = None
    expected_version: Version | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> AssignIn:
        if not {"assignee", "team"} & self.model_fields_set:
            raise ValueError("give assignee, team or both")
        return self


class MoveIn(Body):
    status: Status
    expected_version: Version | None = None


class CloseIn(Body):
    expected_version: Version | None = None


class MergeIn(Body):
    into: UUID


class LinkIn(Body):
    other_id: UUID
    kind: LinkKind = "related"


class SpamIn(Body):
    is_spam: bool = True
    block_sender: bool = False


class NoteIn(Body):
    content: Annotated[str, Field(min_length=1, max_length=65536)]


class TicketQuery(Body):
    """Which tickets. A field given several times means any of the values."""

    status: list[Status] | None = None
    category: list[Category] | None = None
    severity: list[Severity] | None = None
    intent: list[Short] | None = None
    language: list[Language] | None = None
    channel: list[Channel] | None = None
    team: Short | None = None
    assignee: UUID | None = None
    is_unassigned: bool | None = None
    contact_id: UUID | None = None
    user_id: UUID | None = None
    waiting_for: WaitingFor | None = None
    tag: Tag | None = None
    is_spam: bool | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    q: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        None, description='Words in subject and body; "quotes", or, - as in a web search.'
    )
    cursor: Annotated[str, Field(max_length=400)] | None = None
    limit: int = Field(50, ge=1, le=200)


# --- sessions ---


class SessionIn(Body):
    assistant_type: AssistantType = "ai"


class MessageIn(Body):
    role: MessageRole
    content: Annotated[str, Field(min_length=1, max_length=65536)]
    seen_seq: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = Field(
        None, description="The last `seq` you have seen: refused with `conversation_moved` when more was said since."
    )
    relayed: bool = Field(
        False,
        description="Staff writing as user: you vouch for the client's own words, so that a consent in them counts.",
    )


# --- custom fields ---


class FieldIn(Body):
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    type: FieldType
    choices: list[Tag] = Field(default_factory=list, max_length=200)
    is_required: bool = False


class FieldChange(Body):
    choices: list[Tag] | None = Field(None, max_length=200)
    is_required: bool | None = None


# --- people ---


class MemberIn(Body):
    email: Email
    name: Annotated[str, Field(min_length=1, max_length=200)]
    role: MemberRole


class MemberChange(Body):
    role: MemberRole | None = None
    disabled: bool | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> MemberChange:
        if self.role is None and self.disabled is None:
            raise ValueError("give role, disabled or both")
        return self


class InvitationIn(Body):
    email: Email
    role: MemberRole
    days: int = Field(7, ge=1, le=30)


class AcceptIn(Body):
    token: Annotated[str, Field(min_length=1, max_length=200)]
    name: Annotated[str, Field(min_length=1, max_length=200)]


class KeyIn(Body):
    name: Annotated[str, Field(min_length=1, max_length=200)]
    role: MemberRole
    scopes: list[Short] = Field(default_factory=list, max_length=20)
    expires_at: Moment | None = None


class OrganizationChange(Body):
    """Settings are merged key by key; null removes a key. docs/operations/policy.md lists them."""

    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    settings: JsonObject | None = None


# --- articles ---


class ArticleIn(Body):
    title: Annotated[str, Field(min_length=1, max_length=300)]
    slug: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,118}[a-z0-9])?$")]
    language: Language
    body: Annotated[str, Field(min_length=1, max_length=200_000)]
    product: Annotated[str, Field(min_length=1, max_length=120)] | None = None
    audience: Audience = "client"
    tags: list[Tag] = Field(default_factory=list, max_length=50)


class ArticleChange(Body):
    """Only the fields that are given are changed; the result is a new version."""

    title: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    body: Annotated[str, Field(min_length=1, max_length=200_000)] | None = None
    product: Annotated[str, Field(min_length=1, max_length=120)] | None = None
    audience: Audience | None = None
    tags: list[Tag] | None = Field(None, max_length=50)


class RestoreIn(Body):
    version: Version


class ArticleSearch(Body):
    question: Annotated[str, Field(min_length=1, max_length=2000)]
    language: Language = "en"
    product: Annotated[str, Field(min_length=1, max_length=120)] | None = None
    limit: int = Field(8, ge=1, le=50)


# --- the widget ---


class WidgetIn(Body):
    """Only the fields that are given are changed."""

    is_on: bool | None = None
    takes_anonymous: bool | None = Field(None, description="Whether visitors may write whom nobody has signed.")
    shows_help: bool | None = Field(
        None, description="Whether published articles for clients are public at /help/SLUG."
    )
    origins: list[Short] | None = Field(
        None, max_length=50, description="https://www.example.com, https://*.example.com"
    )
    theme: Literal["auto", "light", "dark"] | None = None
    accent: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] | None = None
    greetings: dict[Language, Annotated[str, Field(max_length=500)]] | None = Field(None, max_length=20)


class SecretIn(Body):
    ends_earlier: bool = Field(False, description="The secret before is void at once, not after a day.")


class StartIn(Body):
    identity: Annotated[str, Field(max_length=8192)] | None = Field(None, description="A JWT (HS256) of your server.")
    visitor: Annotated[str, Field(max_length=4096)] | None = Field(None, description="The key this visitor was given.")


class OpenIn(Body):
    text: Annotated[str, Field(min_length=1, max_length=65536)]
    page: Annotated[str, Field(max_length=500)] = Field("", description="Address of the page the client is on.")
    wants_person: bool = False


class MessageOfClient(Body):
    text: Annotated[str, Field(min_length=1, max_length=65536)]


class RatingIn(Body):
    helped: bool
    language: Language | None = None


class WritingIn(Body):
    is_writing: bool


class PersonIn(Body):
    language: Language | None = None
