"""What the tools take: the same limits as the API's bodies, described for a model that fills them in."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from asoe.api.schemas import Category, ContactIn, Language, Severity, Status


def _written(value: object) -> object:
    """A number as text: models and command lines send 7 for "7"."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


TicketName = Annotated[
    str,
    BeforeValidator(_written),
    Field(min_length=1, max_length=40, description="The ticket's number, such as 7, or its id."),
]
Text = Annotated[str, Field(min_length=1, max_length=65536)]
Key = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=200,
        pattern="^[!-~]+$",
        description="Choose one for each thing you mean to do: with the same key it is done once, however often you call.",
    ),
]
Seconds = Annotated[float, Field(ge=0, le=25, description="How long to wait for it, 25 at most.")]
RunbookName = Annotated[str, Field(min_length=1, max_length=64, description="As list_runbooks names it.")]


class Arguments(BaseModel):
    """A JSON object whose fields are all known."""

    model_config = ConfigDict(extra="forbid")


class OpenTicket(Arguments):
    body: Text = Field(description="What the client wants, in its own words.")
    subject: str | None = Field(None, max_length=500)
    category: Category | None = Field(None, description="Leave it out unless you know: triage decides.")
    severity: Severity | None = Field(None, description="Leave it out unless you know: triage decides.")
    contact: ContactIn | None = Field(None, description="The client it is for, when it has no account. Staff only.")
    idempotency_key: Key = None


class FindTickets(Arguments):
    words: str | None = Field(None, min_length=1, max_length=500, description="Words in subject and body.")
    status: list[Status] = Field(default_factory=list, max_length=6)
    category: list[Category] = Field(default_factory=list, max_length=8)
    severity: list[Severity] = Field(default_factory=list, max_length=4)
    cursor: str | None = Field(None, max_length=400, description="`next_cursor` of the page before.")
    limit: int = Field(20, ge=1, le=50)


class ReadTicket(Arguments):
    ticket: TicketName
    after_seq: int = Field(0, ge=0, le=2**31 - 1, description="Only messages behind this one.")


class WaitForTicket(Arguments):
    ticket: TicketName
    seconds: Seconds = 20


class AnswerTicket(Arguments):
    ticket: TicketName
    content: Text
    idempotency_key: Key = None


class AddNote(Arguments):
    ticket: TicketName
    content: Text
    idempotency_key: Key = None


class SearchKnowledge(Arguments):
    question: str = Field(min_length=1, max_length=2000)
    language: Language = "en"
    product: str | None = Field(None, min_length=1, max_length=120)
    limit: int = Field(5, ge=1, le=20)


class ReadArticle(Arguments):
    article_id: UUID


class DryRun(Arguments):
    runbook: RunbookName
    ticket: TicketName
    wait_seconds: Seconds = 20


class StartRun(DryRun):
    idempotency_key: Key = None


class ReadRun(Arguments):
    run_id: UUID


class ListApprovals(Arguments):
    ticket: TicketName | None = None
    status: Literal["pending", "approved", "refused", "expired", "dead", "used"] = "pending"
    limit: int = Field(20, ge=1, le=50)


class ReadInsights(Arguments):
    days: int = Field(30, ge=1, le=366, description="The last so many days.")
    category: Category | None = Field(None, description="Only this category.")
    channel: str | None = Field(None, min_length=1, max_length=40, description="Only this channel, such as email.")
