"""Exchange: tickets come in from other systems, and everything of an organization goes out as files.

Imported tickets are history: the engine is quiet on them until their client writes again. Formats are domain/foreign.py's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

from asoe.desk.champion import judge_text
from asoe.desk.context import Desk
from asoe.desk.triage import settle_category, settle_severity
from asoe.domain.errors import Conflict, Denied, Invalid
from asoe.domain.foreign import SOURCES, ForeignMessage, ForeignTicket, RowProblem, read
from asoe.domain.organization import Principal
from asoe.domain.session import Session
from asoe.domain.triage import Triage
from asoe.store import contacts, exports, facts, imports, journeys, sessions, tickets
from asoe.store.db import Connection
from asoe.store.journeys import Journey
from asoe.store.tickets import NewRow

BATCH: Final = 100
Progress = Callable[[int, int], None]


@dataclass(slots=True)
class ImportCount:
    """What became of the rows; `problems` name those that could not be imported."""

    created: int = 0
    skipped: int = 0
    messages: int = 0
    problems: list[RowProblem] = field(default_factory=list)


async def import_tickets(
    desk: Desk,
    principal: Principal,
    *,
    source: str,
    text: str,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> ImportCount:
    """Import an export of `source`; what is there already is skipped, so a broken-off import is simply repeated.

    Every ticket is its own transaction: a wrong one is named and the others come in. Raises `Invalid(bad_export)`.
    """
    _admin_only(principal)
    if source not in SOURCES:
        raise Invalid(f"{source!r} is not one of {', '.join(SOURCES)}.", code="unknown_source")
    rows = list(read(source, text, now=desk.clock()))
    count = ImportCount()
    done = 0
    for batch in _batches(rows):
        found = [row for row in batch if isinstance(row, ForeignTicket)]
        count.problems += [row for row in batch if isinstance(row, RowProblem)]
        async with desk.database.org_reading(principal) as connection:
            known = await imports.known(connection, principal.org_id, source, [row.external_id for row in found])
        fresh = {row.external_id: row for row in found if row.external_id not in known}
        count.skipped += len(found) - len(fresh)
        for row in fresh.values():
            await _import_one(desk, principal, source, row, count, dry_run=dry_run)
        done += len(batch)
        if progress is not None:
            progress(done, len(rows))
    return count


async def export_organization(
    desk: Desk, principal: Principal, folder: Path, *, progress: Callable[[str, int], None] | None = None
) -> dict[str, int]:
    """Write everything of the organization into `folder`, one file of JSON lines per noun, while the service goes on.

    Secrets stay out (`exports.LEFT_OUT` names what else does, and why). Raises `Conflict(folder_not_empty)`.
    """
    _admin_only(principal)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise Conflict(f"{folder} is not empty. Name a new folder.", code="folder_not_empty")
    written: dict[str, int] = {}
    async with desk.database.org_reading(principal) as connection:
        for noun in exports.NOUNS:
            path = folder / f"{noun}.jsonl"
            path.touch(mode=0o600)
            with path.open("w", encoding="utf-8") as file:
                written[noun] = 0
                async for row in exports.rows(connection, principal.org_id, noun):
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
                    written[noun] += 1
            if progress is not None:
                progress(noun, written[noun])
    async with desk.database.org_transaction(principal) as connection:
        await facts.record(connection, principal, "organization.exported", tickets=written["tickets"])
    return written


class _TakenError(Exception):
    """Rolls back a ticket that another import has brought in meanwhile."""


async def _import_one(
    desk: Desk, principal: Principal, source: str, row: ForeignTicket, count: ImportCount, *, dry_run: bool
) -> None:
    messages = row.messages or (ForeignMessage("user", row.body or row.subject, row.created_at),)
    said = [message for message in messages if message.content.strip()]
    if dry_run:
        count.created += 1
        count.messages += len(said)
        return
    triage = await judge_text(desk, principal.org_id, row.subject, row.body)
    try:
        async with desk.database.org_transaction(principal) as connection:
            await _write(connection, principal, source, row, said=said, triage=triage)
    except Invalid as error:  # an address that is none, and the like
        count.problems.append(RowProblem(f"ticket {row.external_id}", error.message))
    except _TakenError:  # another import was faster
        count.skipped += 1
    else:
        count.created += 1
        count.messages += len(said)


async def _write(
    connection: Connection,
    principal: Principal,
    source: str,
    row: ForeignTicket,
    *,
    said: Sequence[ForeignMessage],
    triage: Triage,
) -> None:
    ticket_id, org_id = uuid4(), principal.org_id
    contact_id: UUID | None = None
    if row.email or row.phone:
        found = await contacts.find_or_create(connection, org_id, email=row.email, phone=row.phone, name=row.name)
        contact_id = found.id
    session = sessions.new_session(ticket_id, assistant_type="ai", at=row.created_at)
    new = NewRow(
        id=ticket_id,
        org_id=org_id,
        category=row.category or settle_category(None, triage),
        severity=row.severity or settle_severity(None, triage),
        status="in_progress" if row.status == "open" else row.status,
        created_at=row.created_at,
        subject=row.subject,
        body=row.body,
        contact_id=contact_id,
        channel="import",
        language=triage.language,
        intent=triage.intent.value,
        triage=triage.to_json(),
        metadata={"imported": {"source": source, "external_id": row.external_id}},
        tags=row.tags,
    )
    ticket = await tickets.insert(connection, new, session_id=session.id)
    if not await imports.remember(connection, org_id, source, row.external_id, ticket_id):
        raise _TakenError
    await sessions.insert(connection, session)
    for seq, message in enumerate(said, 1):
        await imports.add_message(
            connection,
            org_id,
            session_id=session.id,
            ticket_id=ticket_id,
            seq=seq,
            role=message.role,
            content=message.content,
            is_internal=message.is_internal,
            at=message.at,
        )
    if row.status == "open":
        await tickets.update(connection, ticket, {"waiting_for": "person"})
    else:
        times: dict[str, Any] = {"resolved_at": row.ended_at}
        if row.status == "closed":
            times["closed_at"] = row.ended_at
        await tickets.update(connection, ticket, times)
    await journeys.save(connection, org_id, ticket_id, _quiet(session, len(said), is_open=row.status == "open"))
    await facts.record(connection, principal, "ticket.imported", ticket_id=ticket_id, source=source)


def _quiet(session: Session, last_seq: int, *, is_open: bool) -> Journey:
    """A journey that has taken all of this into account and does nothing until there is news."""
    return Journey(
        stage="with_person" if is_open else "ended", seen_seq=last_seq, data={"seen": {str(session.id): last_seq}}
    )


def _batches(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def _admin_only(principal: Principal) -> None:
    if principal.role not in {"owner", "admin"}:
        raise Denied("Only an owner or admin imports and exports.", code="admin_only")
