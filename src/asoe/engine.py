"""The library face: `SupportOpsEngine`, `OpsAutoFixer` and `AIResolutionEngine` over the desk, without any server.

async with asoe.connect() as connection:
    engine = connection.engine("acme")
    ticket = await engine.create_ticket(subject="…", body="…")
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from asoe.app import App, open_app
from asoe.config import Settings
from asoe.desk import escalation, insight, intake, journey, resolution, session, ticket, triage
from asoe.desk.alarm import read_by_meaning
from asoe.desk.champion import judge_text
from asoe.desk.context import Desk, policy_of
from asoe.desk.insight import Stats
from asoe.desk.intake import NewContact, NewTicket
from asoe.desk.runbook import diagnosis, execution, record
from asoe.desk.runbook.diagnosis import Diagnosis, Verification
from asoe.desk.runbook.record import Record
from asoe.domain.answer import Answer
from asoe.domain.errors import Denied, Invalid, Missing, Unavailable
from asoe.domain.organization import Principal
from asoe.domain.policy import Policy
from asoe.domain.resolution import select_resolution_type
from asoe.domain.session import Message, Session
from asoe.domain.ticket import Ticket
from asoe.domain.triage import Triage
from asoe.store import organizations, tickets
from asoe.store.tickets import TicketFilter

_log = structlog.get_logger(__name__)

_TRIES = 3
"""How often a step is tried again when somebody else changed the ticket meanwhile."""
_open: list[App] = []
"""What `connect` has opened in this process and not closed yet; the newest serves whoever names none."""


@dataclass(frozen=True, slots=True)
class Connection:
    """An open installation in this process."""

    app: App

    def engine(self, org_id: UUID | str, acting_as: Principal | None = None) -> SupportOpsEngine:
        """The engine of one organization (its id or slug), acting as a principal or as the organization's own account."""
        return SupportOpsEngine(org_id, acting_as=acting_as, app=self.app)

    def resolution_engine(self, org_id: UUID | str) -> AIResolutionEngine:
        return AIResolutionEngine(org_id, app=self.app)

    def fixer(self, org_id: UUID | str, acting_as: Principal | None = None) -> OpsAutoFixer:
        """Runbooks of one organization, as a principal starts and looks at them."""
        return OpsAutoFixer(org_id, acting_as=acting_as, app=self.app)

    async def principal(self, org_id: UUID | str, email: str) -> Principal:
        """A member of the organization by e-mail address, to act as; raises `Denied(not_a_member)`."""
        engine = await _engine_of(self.app, _named(org_id))
        async with self.app.database.org_reading(engine) as reading:
            member = await organizations.find_member_by_email(reading, engine.org_id, email)
        if member is None or member.disabled_at is not None:
            raise Denied(f"{email} is no active member of this organization.", code="not_a_member")
        return Principal(member.user_id, engine.org_id, member.role, member.name)


@asynccontextmanager
async def connect(
    database_url: str | None = None, *, data_dir: Path | str | None = None, **settings: Any
) -> AsyncIterator[Connection]:
    """Open ASOE in this process: the embedded PostgreSQL of `data_dir`, or another one as its role asoe_app.

    database_url: a `postgresql://asoe_app:…` address; `settings` are those of docs/operations/settings.md by their names.
    """
    given: dict[str, Any] = dict(settings)
    if database_url is not None:
        given["database_app_url"] = database_url
    if data_dir is not None:
        given["data_dir"] = Path(data_dir)
    async with open_app(Settings(**given)) as app:
        _open.append(app)
        try:
            yield Connection(app)
        finally:
            _open.remove(app)


class SupportOpsEngine:
    """One organization's support desk. Every method acts as one principal; row-level security binds it."""

    def __init__(self, org_id: UUID | str, *, acting_as: Principal | None = None, app: App | None = None) -> None:
        self.org = _named(org_id)
        self._acting_as = acting_as
        self._app = app

    async def create_ticket(
        self,
        category: str | None = None,
        severity: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        user_id: UUID | None = None,
        *,
        subject: str = "",
        body: str = "",
        contact: NewContact | Mapping[str, str] | None = None,
        channel: str = "api",
        relayed: bool = False,
    ) -> Ticket:
        """Accept a request; returns its ticket after triage. Category and severity are opinions that triage may correct.

        relayed: acting as staff, you vouch for the client's own words, so that a consent in them counts.
        """
        if isinstance(contact, Mapping):
            contact = NewContact(**contact)
        new = NewTicket(
            subject=subject,
            body=body,
            category=category,
            severity=severity,
            metadata=dict(metadata or {}),
            user_id=user_id,
            contact=contact,
            channel=channel,
            is_relayed=relayed,
        )
        made = await intake.open_ticket(self._desk, await self._principal(), new)
        if triage.stored(made) or not made.text:
            return made
        try:
            return await self.triage_ticket(made.id)
        except Exception as error:
            # it is accepted all the same: its journey judges it later, and a second request would be a second ticket
            _log.warning("engine.not_judged", error=type(error).__name__)
            return made

    async def triage_ticket(self, ticket_id: UUID | str) -> Ticket:
        """Judge a ticket anew; what people corrected stays corrected."""
        seen = await self.get_ticket(ticket_id)
        return await triage.retriage(self._desk, await self._engine(), seen.id)

    async def attempt_auto_resolution(self, ticket_id: UUID | str) -> dict[str, Any]:
        """Advance the ticket's journey now, in this process, and return its `resolution`.

        `verdict` is `answered` for a cited answer that waits for the client, `handed_over` for a person; {} when nothing
        was decided (it waits, or a person has it).
        """
        seen = await self.get_ticket(ticket_id)
        for _ in range(_TRIES):
            done = await journey.advance(self._desk, seen.org_id, seen.id, initiator="library")
            if done not in {"busy", "stale"}:
                break
        return (await self.get_ticket(ticket_id)).resolution

    async def should_escalate(self, ticket_id: UUID | str) -> tuple[str, ...]:
        """The named reasons for which a person must look before any answer is tried; empty when none holds."""
        found = await self.get_ticket(ticket_id)
        async with self._desk.database.org_reading(await self._engine()) as reading:
            earlier = await tickets.earlier_of_requester(reading, found)
            policy = await policy_of(reading, found.org_id)
        judged = triage.stored(found)
        meant = await read_by_meaning(self._desk.ai, (found.text,))
        return escalation.reasons_to_escalate(found, judged, policy, earlier=earlier, said=(found.text,), meant=meant)

    async def create_session(self, ticket_id: UUID | str, assistant_type: str = "ai") -> Session:
        return await session.start_session(self._desk, await self._principal(), _uuid(ticket_id), assistant_type)

    async def add_message(self, session_id: UUID | str, role: str, content: str) -> Message:
        """Append a message; who may write which role is checked against the principal."""
        return await session.add_message(self._desk, await self._principal(), _uuid(session_id), role, content)

    async def resolve_session(self, session_id: UUID | str) -> Session:
        return await session.resolve_session(self._desk, await self._principal(), _uuid(session_id))

    async def get_ticket(self, ticket_id: UUID | str) -> Ticket:
        return await ticket.read_ticket(self._desk, await self._principal(), _uuid(ticket_id))

    async def get_tickets(self, *, limit: int = 50, **wanted: Any) -> list[Ticket]:
        """Newest first; `wanted` are the fields of `TicketFilter`, such as status=("open",)."""
        page = await ticket.list_tickets(self._desk, await self._principal(), TicketFilter(**wanted), limit=limit)
        return list(page.items)

    async def get_open_tickets(self, *, limit: int = 200) -> list[Ticket]:
        """Open, triaging and in_progress; most severe first by rank, then oldest."""
        return await ticket.list_open(self._desk, await self._principal(), limit=limit)

    async def get_stats(self) -> Stats:
        return await insight.get_stats(self._desk, await self._principal())

    @staticmethod
    def select_resolution_type(found: Ticket) -> str:
        """One of the seven resolution types for this ticket (design §3.3)."""
        judged = triage.stored(found)
        sure = judged is not None and judged.intent.confidence >= escalation.SURE_INTENT
        return select_resolution_type(found.category, found.intent if sure else None)

    @property
    def _desk(self) -> Any:
        return _app(self._app).desk

    async def _engine(self) -> Principal:
        return await _engine_of(_app(self._app), self.org)

    async def _principal(self) -> Principal:
        if self._acting_as is None:
            return await self._engine()
        org_id = self.org if isinstance(self.org, UUID) else (await self._engine()).org_id
        if self._acting_as.org_id != org_id:
            raise Denied("acting_as: this principal belongs to another organization.", code="wrong_organization")
        return self._acting_as


class OpsAutoFixer:
    """Runbooks on tickets: find out, rehearse, fix, and verify. Acts only as far as each runbook's autonomy allows."""

    def __init__(self, org_id: UUID | str, *, acting_as: Principal | None = None, app: App | None = None) -> None:
        self.org = _named(org_id)
        self._acting_as = acting_as
        self._app = app

    async def diagnose(self, ticket_id: UUID | str) -> Diagnosis | None:
        """The runbook that fits a ticket, what it reads now, and what it would do; None when none fits. Stores nothing."""
        desk, principal = await self._who()
        return await diagnosis.diagnose(desk, principal, _uuid(ticket_id))

    async def dry_run(self, ticket_id: UUID | str, runbook: str) -> Record:
        """Rehearse a published runbook for a ticket, and keep the record; every act is only noted."""
        desk, principal = await self._who()
        run_id = await journey.begin_run(desk, principal, _uuid(ticket_id), runbook, mode="dry_run")
        await execution.advance_run(desk, await desk.engine_of(principal.org_id), run_id)
        return await record.read_run(desk, principal, run_id)

    async def fix(self, ticket_id: UUID | str, runbook: str) -> Record:
        """Start a published runbook for a ticket and bring it as far as it goes now.

        It may wait for the client, an approval or a timer: the worker goes on. Raises `Conflict(run_under_way)`, `Missing`.
        """
        desk, principal = await self._who()
        run_id = await journey.begin_run(desk, principal, _uuid(ticket_id), runbook)
        await journey.carry_on_run(desk, principal.org_id, run_id)
        return await record.read_run(desk, principal, run_id)

    async def verify(self, run_id: UUID | str) -> Verification:
        """Read the goal of a run anew in the system of record."""
        desk, principal = await self._who()
        return await diagnosis.verify(desk, principal, _uuid(run_id))

    async def _who(self) -> tuple[Desk, Principal]:
        app = _app(self._app)
        desk, engine = app.desk, await _engine_of(app, self.org)
        if self._acting_as is not None and self._acting_as.org_id != engine.org_id:
            raise Denied("acting_as belongs to another organization.", code="not_a_member")
        return desk, self._acting_as or engine


class AIResolutionEngine:
    """Judgement without effects: triage a text, look for an answer, choose a type, explain. Stores nothing."""

    def __init__(self, org_id: UUID | str, *, app: App | None = None) -> None:
        self.org = _named(org_id)
        self._app = app

    async def triage(self, subject: str, body: str = "") -> Triage:
        app = _app(self._app)
        return await judge_text(app.desk, (await _engine_of(app, self.org)).org_id, subject, body)

    async def answer(self, question: str, *, language: str = "en") -> Answer | None:
        """A cited answer from the organization's published articles, or None: not in the knowledge base."""
        app = _app(self._app)
        engine = await _engine_of(app, self.org)
        return await resolution.answer_question(app.desk, engine, question, language=language)

    async def select(self, subject: str, body: str = "") -> str:
        judged = await self.triage(subject, body)
        sure = judged.intent.confidence >= escalation.SURE_INTENT
        return select_resolution_type(judged.category.value, judged.intent.value if sure else None)

    async def explain(self, subject: str, body: str = "") -> dict[str, Any]:
        """The judgement with its evidence, the chosen type and the reasons for which a person would look."""
        app = _app(self._app)
        judged = await self.triage(subject, body)
        now: datetime = app.desk.clock()
        engine = await _engine_of(app, self.org)
        draft = Ticket(
            id=UUID(int=0),
            org_id=engine.org_id,
            number=0,
            category=judged.category.value,
            severity=judged.severity.value,
            status="open",
            created_at=now,
            updated_at=now,
            version=0,
            subject=subject,
            body=body,
            language=judged.language,
            intent=judged.intent.value,
        )
        async with app.database.org_reading(engine) as reading:
            policy: Policy = await policy_of(reading, engine.org_id)
        meant = await read_by_meaning(app.desk.ai, (draft.text,))
        return {
            "triage": judged.to_json(),
            "resolution_type": await self.select(subject, body),
            "reasons_for_a_person": list(
                escalation.reasons_to_escalate(draft, judged, policy, said=(draft.text,), meant=meant)
            ),
            "read_by_meaning": meant,
        }


def _app(given: App | None) -> App:
    found = given or (_open[-1] if _open else None)
    if found is None:
        raise Unavailable(
            "No connection is open in this process: use `async with asoe.connect() as connection`.",
            code="not_connected",
            permanent=True,
        )
    return found


async def _engine_of(app: App, org: UUID | str) -> Principal:
    """The organization's own account; who names one that is not there is told which there are, where it may know that."""
    try:
        return await app.desk.engine_of(org)
    except Missing as error:
        if app.owner_url is None:
            raise Missing(f"{error.message} `asoe org list` lists those there are.", code=error.code) from None
        told = await organizations.unknown_organization(app.owner_url, str(org))
        raise Missing(told.message, code=error.code) from None


def _named(org: UUID | str) -> UUID | str:
    """An id, or a slug as it stands; raises `Invalid(bad_id)` for what can be neither."""
    if isinstance(org, UUID):
        return org
    try:
        return UUID(org)
    except ValueError:
        if org:
            return org
        raise Invalid("An organization is named by its id or its slug.", code="bad_id") from None


def _uuid(value: UUID | str) -> UUID:
    try:
        return value if isinstance(value, UUID) else UUID(str(value))
    except ValueError:
        raise Invalid(f"{value!r} is no id: ids are UUIDs.", code="bad_id") from None
