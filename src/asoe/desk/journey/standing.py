"""What one advance has read of a ticket: the ticket, its journey, everything said, and the policy it is handled by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from asoe.desk.runbook.treatment import Report
from asoe.domain.errors import Invalid
from asoe.domain.organization import Principal
from asoe.domain.policy import Policy, read_policy
from asoe.domain.session import Message, Session
from asoe.domain.ticket import Ticket
from asoe.store import journeys, sessions, tickets
from asoe.store.db import Connection
from asoe.store.journeys import Journey

WORDS_OF_QUESTION: Final = 5
"""Of a long conversation, the opening and the client's last messages are what an answer must fit."""


@dataclass(frozen=True, slots=True)
class Then:
    """What a pass of the past is told again, where it would read on the way; what is None is as it is now.

    corrected: what people had corrected. run: what its run had come to, and `stopped` when the pass ended it. incident: the
    status of the ticket's incident, `is_part` whether it waited for that. joinable: incidents that took tickets in.
    """

    corrected: frozenset[str]
    run: Report | None = None
    stopped: Report | None = None
    incident: str | None = None
    is_part: bool = True
    joinable: tuple[UUID, ...] | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """All that one advance has read."""

    ticket: Ticket
    journey: Journey
    sessions: tuple[Session, ...]
    messages: tuple[Message, ...]
    earlier: tuple[Ticket, ...]
    policy: Policy
    is_late: bool = False
    has_incidents: bool = False
    then: Then | None = None
    """None: this pass happens now."""

    @property
    def news(self) -> tuple[Message, ...]:
        """What the client has said since the engine last looked."""
        seen = self.journey.seen
        return tuple(m for m in self.messages if m.role == "user" and m.seq > seen.get(str(m.session_id), 0))

    @property
    def positions(self) -> Mapping[str, int]:
        """The last seq of each session."""
        return self.journey.seen | {str(message.session_id): message.seq for message in self.messages}

    @property
    def session(self) -> Session | None:
        """Where to speak: the session in which the client spoke last, else the newest."""
        spoken = [message.session_id for message in self.messages if message.role == "user"]
        found = [session for session in self.sessions if spoken and session.id == spoken[-1]]
        return next(iter(found), self.sessions[-1] if self.sessions else None)

    @property
    def is_persons(self) -> bool:
        """Whether a person has the ticket, so that the engine is quiet."""
        return (
            self.ticket.status == "escalated"
            or self.journey.stage == "with_person"
            or any(session.is_ai_quiet for session in self.sessions)
        )

    @property
    def is_taken(self) -> bool:
        """Whether a person is at work on it; an escalated one may still be waiting for whoever takes it."""
        is_at_work = self.ticket.status == "in_progress" and self.ticket.waiting_for == "person"
        return is_at_work or any(session.is_ai_quiet for session in self.sessions)

    @property
    def has_met_person(self) -> bool:
        """Whether a person has answered the client."""
        return any(message.role == "agent" and not message.is_internal for message in self.messages)

    @property
    def run_id(self) -> UUID | None:
        """The run under way for this ticket."""
        stored = self.journey.data.get("run")
        return None if stored is None else UUID(stored)

    @property
    def incident(self) -> Mapping[str, Any] | None:
        """The incident it is part of: `id`, `number`, and of the run that showed it `runbook`, `reason` and `tried`."""
        stored: Mapping[str, Any] | None = self.journey.data.get("incident")
        return stored

    @property
    def is_ended(self) -> bool:
        return self.ticket.status in {"resolved", "closed"}


async def read(connection: Connection, engine: Principal, ticket_id: UUID, *, is_lenient: bool = False) -> Standing:
    """Read it all; `is_lenient`: settings nobody can read are the defaults. Raises `Missing(ticket_missing)`."""
    ticket, journey, settings, is_late, has_incidents = await journeys.standing(connection, engine.org_id, ticket_id)
    return Standing(
        ticket=ticket,
        journey=journey,
        sessions=tuple(await sessions.of_ticket(connection, engine.org_id, ticket_id)),
        messages=tuple(await sessions.messages_of_ticket(connection, engine.org_id, ticket_id)),
        earlier=tuple(await tickets.earlier_of_requester(connection, ticket)),
        policy=_policy(settings, is_lenient=is_lenient),
        is_late=is_late,
        has_incidents=has_incidents,
    )


def _policy(settings: Mapping[str, Any], *, is_lenient: bool) -> Policy:
    try:
        return read_policy(settings)
    except Invalid:
        if not is_lenient:
            raise
        return Policy()


def is_at_rest(standing: Standing) -> bool:
    """Whether nobody is owed anything by the engine."""
    ticket = standing.ticket
    if ticket.is_spam or ticket.merged_into is not None:
        return True
    return not standing.news if standing.is_ended else standing.is_persons


def is_over(ticket: Ticket) -> bool:
    """Whether nothing may be done on the ticket any more."""
    return ticket.is_spam or ticket.merged_into is not None or ticket.status in {"resolved", "closed"}


def question_of(standing: Standing) -> str:
    """Subject, opening and the client's last words, which is what an answer must fit."""
    ticket = standing.ticket
    parts = [ticket.subject, *(said_in(standing) or [ticket.body or ticket.text])]
    return "\n".join(dict.fromkeys(part for part in parts if part)).strip()


def said_in(standing: Standing) -> list[str]:
    """What the client said: all of a short conversation, the opening and the end of a long one."""
    said = [message.content for message in standing.messages if message.role == "user"]
    return said if len(said) <= WORDS_OF_QUESTION else [said[0], *said[1 - WORDS_OF_QUESTION :]]


def looked_in(standing: Standing) -> Sequence[Mapping[str, str]]:
    """The runbooks that have looked and found nothing to mend, in order: `runbook` (its id) and `title`."""
    found: Sequence[Mapping[str, str]] = standing.journey.data.get("looked", ())
    return found


def tried_in(standing: Standing) -> tuple[str, ...]:
    """The answers given so far, as the dossier says them."""
    titles = standing.journey.data.get("titles", {})
    return tuple(
        f"Answered from the article “{titles.get(slug, slug)}”; it did not settle the matter."
        for slug in standing.journey.data.get("cited", ())
    )
