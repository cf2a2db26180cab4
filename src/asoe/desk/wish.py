"""Wishes: recorded for a ticket, merged with an equal one, read again, governed by people, and told when they ship.

When a ticket's wish is recorded is `resolution`'s to say; whether two wishes are one, the domain's. A client never reads
another client's words: it hears numbers only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

import numpy as np

from asoe.ai.features import words_of
from asoe.ai.glossary import in_english
from asoe.ai.language import function_words
from asoe.ai.redaction import redact
from asoe.desk.context import Desk, unstorable
from asoe.desk.outcome import Step
from asoe.desk.wording import say, spoken
from asoe.domain.errors import Conflict, Denied, FieldProblem, Invalid
from asoe.domain.facts import before_and_after
from asoe.domain.organization import Principal
from asoe.domain.session import Session
from asoe.domain.ticket import Ticket
from asoe.domain.wish import (
    MAX_NOTE_CHARS,
    MAX_TITLE_CHARS,
    SAME_FROM,
    SHRUNK_BY,
    WANTED,
    WISH_STATUSES,
    NewWish,
    Supporter,
    Wish,
)
from asoe.store import facts, sessions, tickets, wishes
from asoe.store.db import Connection
from asoe.store.wishes import Spoken

JOB: Final = "tell_wishes"
_MOST_WORDS: Final = 1000
_STEM: Final = 5
_POLITE: Final = frozenset(
    "please pls would could should like want need love great nice awesome useful helpful feature request wish idea suggestion "
    "suggest add adding support supported build implement possible thanks thank hello team product future plan planned "
    "give allow allows able also just really have make some any".split()
)
"""What every wish says and none is about."""
_POLITE_STEMS: Final = frozenset(word[:_STEM] for word in _POLITE)


@dataclass(frozen=True, slots=True)
class WishWithSupporters:
    wish: Wish
    supporters: tuple[Supporter, ...]


# --- one ticket's wish ---


async def phrase(desk: Desk, ticket: Ticket) -> NewWish:
    """The ticket's wish in redacted words, with the vector it is compared by."""
    text = redact(ticket.text).text.strip()
    whole, core = await desk.ai.embed([text, content(text) or text])
    subject = redact(ticket.subject).text
    line = " ".join((subject if content(subject) else text.removeprefix(subject)).split()) or subject or text
    return NewWish(
        title=line if len(line) <= MAX_TITLE_CHARS else line[: MAX_TITLE_CHARS - 1].rsplit(" ", 1)[0] + "…",
        words=text[:_MOST_WORDS],
        language=ticket.language,
        embedding=packed(whole + core),
    )


async def record(desk: Desk, connection: Connection, engine: Principal, ticket: Ticket, step: Step) -> Step:
    """Write the step's wish, merged with an equal one, and have it read again once this is committed."""
    assert step.wish is not None
    org_id, now = engine.org_id, desk.clock()
    await wishes.hold(connection, org_id)
    spoken_for = await wishes.of_ticket(connection, org_id, ticket.id)
    if spoken_for is None:
        same, likeness = nearest(step.wish.embedding, await wishes.wanted(connection, org_id))
        wish_id = same or await wishes.insert(connection, org_id, step.wish, ticket_id=ticket.id, at=now)
        await wishes.support(connection, org_id, wish_id, ticket.id, likeness=likeness if same else None, at=now)
        await facts.record(
            connection,
            engine,
            "wish.recorded",
            ticket_id=ticket.id,
            wish_id=str(wish_id),
            merged=same is not None,
        )
    await desk.queue.advance(connection, org_id, ticket.id)
    return replace(step, journey=replace(step.journey, data={**step.journey.data, "wish": "recorded"}))


async def reread(desk: Desk, engine: Principal, ticket_id: UUID) -> Spoken | None:
    """What is stored of the ticket's wish, in a transaction of its own: the proof that it was recorded."""
    async with desk.database.org_reading(engine) as connection:
        return await wishes.of_ticket(connection, engine.org_id, ticket_id)


def nearest(embedding: bytes, wanted: Sequence[tuple[UUID, bytes]]) -> tuple[UUID | None, float]:
    """The wish that is the same, with its likeness, or None: the cosine once what all these wishes share is taken off."""
    if not wanted:
        return None, 0.0
    known = np.stack([np.frombuffer(each, np.float16) for _, each in wanted]).astype(np.float32)
    shared = known.mean(axis=0) * (len(known) / (len(known) + SHRUNK_BY))
    apart, own = known - shared, np.frombuffer(embedding, np.float16).astype(np.float32) - shared
    likeness = apart @ own / np.maximum(np.linalg.norm(apart, axis=1) * np.linalg.norm(own), 1e-6)
    best = int(likeness.argmax())
    return wanted[best][0] if likeness[best] >= SAME_FROM else None, float(likeness[best])


def packed(vector: np.ndarray) -> bytes:
    """A vector of unit length in halves, as it is stored."""
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-6), np.float16).tobytes()


def content(text: str) -> str:
    """The words that say what is wished for, read into English."""
    words = (word for word in words_of(in_english(text)) if len(word) > 2 and word not in function_words())
    return " ".join(word for word in words if word[:_STEM] not in _POLITE_STEMS)


# --- people ---


async def list_wishes(
    desk: Desk,
    principal: Principal,
    *,
    status: str | None = None,
    after: tuple[int, int] | None = None,
    limit: int = 200,
) -> list[Wish]:
    """Those that most clients want first, behind `after` (how many clients, and the number); staff only."""
    _staff_only(principal)
    if status is not None and status not in WISH_STATUSES:
        raise _invalid("status", f"{status!r} is not one of {', '.join(WISH_STATUSES)}")
    async with desk.database.org_reading(principal) as connection:
        return await wishes.page(
            connection, principal.org_id, status=status, after=after, limit=max(1, min(limit, 1000))
        )


async def read_wish(desk: Desk, principal: Principal, number: int) -> WishWithSupporters:
    """One wish with who wants it; raises `Missing(wish_missing)`."""
    _staff_only(principal)
    async with desk.database.org_reading(principal) as connection:
        found = await wishes.find(connection, principal.org_id, number)
        return WishWithSupporters(found, tuple(await wishes.supporters(connection, principal.org_id, found.id)))


async def change_wish(
    desk: Desk, principal: Principal, number: int, *, title: str | None = None, status: str | None = None
) -> Wish:
    """Name a wish in one's own words, or say what becomes of it: open, planned or declined (`ship` for shipped)."""
    _staff_only(principal)
    if title is not None:
        title = " ".join(title.split())
        if not title or len(title) > MAX_TITLE_CHARS or unstorable(title, "title"):
            raise _invalid("title", f"must be text of 1 to {MAX_TITLE_CHARS} characters")
    if status is not None and status not in {"open", "planned", "declined"}:
        raise _invalid("status", "must be open, planned or declined; shipping and merging are acts of their own")
    async with desk.database.org_transaction(principal) as connection:
        await wishes.hold(connection, principal.org_id)
        held = await wishes.find_for_update(connection, principal.org_id, number)
        if status is not None and status != held.status:
            if held.status in {"shipped", "merged"}:
                raise Conflict(
                    f"Wish {number} is {held.status}: its supporters were told, or are another wish's.",
                    code="wish_settled",
                )
            await wishes.set_status(connection, principal.org_id, held.id, status)
        if title is not None:
            await wishes.rename(connection, principal.org_id, held.id, title, by=principal.user_id)
        named = {"from": held.status, "to": status} if status not in {None, held.status} else None
        if named or title is not None:
            after = {"status": status or held.status, "title": title or held.title}
            values = before_and_after({"status": held.status, "title": held.title}, after, ("status", "title"))
            values = {name: both for name, both in values.items() if both[0] != both[1]}
            await facts.record(connection, principal, "wish.changed", wish_id=str(held.id), values=values)
        return await wishes.find(connection, principal.org_id, number)


async def merge_wishes(desk: Desk, principal: Principal, number: int, *, into: int) -> Wish:
    """Count the supporters of one wish with another; into a shipped one, they are told. `split_wish` takes it back."""
    _staff_only(principal)
    if number == into:
        raise _invalid("into", "is the same wish")
    async with desk.database.org_transaction(principal) as connection:
        org_id = principal.org_id
        await wishes.hold(connection, org_id)
        held = await wishes.find_for_update(connection, org_id, number)
        target = await wishes.find_for_update(connection, org_id, into)
        if held.status not in {*WANTED, "declined"} or target.status in {"merged", "declined"}:
            raise Conflict(
                f"Wish {number} is {held.status}, wish {into} is {target.status}: only a wish that is not shipped or merged "
                "goes into another, and that one must stand.",
                code="wish_settled",
            )
        moved = await wishes.move_all(connection, org_id, held.id, into=target.id)
        await wishes.set_status(connection, org_id, held.id, "merged", merged_into=target.id)
        await facts.record(
            connection, principal, "wish.merged", wish_id=str(held.id), into=str(target.id), supporters=moved
        )
        if target.status == "shipped":
            await _enqueue(desk, connection, org_id)
        return await wishes.find(connection, org_id, into)


async def split_wish(desk: Desk, principal: Principal, number: int, *, ticket_ids: Sequence[UUID] = ()) -> Wish:
    """A merged wish stands by itself again; or, of a wish that stands, these tickets become a wish of their own."""
    _staff_only(principal)
    new = await _phrase_of(desk, principal, ticket_ids[0]) if ticket_ids else None
    async with desk.database.org_transaction(principal) as connection:
        org_id = principal.org_id
        await wishes.hold(connection, org_id)
        held = await wishes.find_for_update(connection, org_id, number)
        if new is None:
            if held.status != "merged":
                raise Conflict(
                    f"Wish {number} is not merged; name the tickets that want something else.", code="wish_settled"
                )
            await wishes.set_status(connection, org_id, held.id, "open")
            moved = await wishes.move_back(connection, org_id, held.id)
            part, shown = held.id, number
        else:
            part = await wishes.insert(connection, org_id, new, ticket_id=ticket_ids[0], at=desk.clock())
            moved = await wishes.move_tickets(connection, org_id, held.id, ticket_ids, into=part)
            if moved != len(set(ticket_ids)):
                raise _invalid("ticket_ids", f"not every one of them speaks for wish {number}")
            spoken_for = await wishes.of_ticket(connection, org_id, ticket_ids[0])
            assert spoken_for is not None
            shown = spoken_for.number
        await facts.record(
            connection, principal, "wish.split", wish_id=str(part), out_of=str(held.id), supporters=moved
        )
        return await wishes.find(connection, org_id, shown)


async def ship_wish(desk: Desk, principal: Principal, number: int, *, note: str = "") -> Wish:
    """It exists now: every client who wants it is told once, on its ticket, with the note. Shipping twice tells nobody twice."""
    _staff_only(principal)
    note = note.strip()
    if len(note) > MAX_NOTE_CHARS or unstorable(note, "note"):
        raise _invalid("note", f"must be text of at most {MAX_NOTE_CHARS} characters")
    async with desk.database.org_transaction(principal) as connection:
        org_id = principal.org_id
        await wishes.hold(connection, org_id)
        held = await wishes.find_for_update(connection, org_id, number)
        if held.status == "merged":
            raise Conflict(f"Wish {number} is merged into another: ship that one.", code="wish_settled")
        if held.status != "shipped":
            await wishes.set_status(connection, org_id, held.id, "shipped", note=note, shipped_at=desk.clock())
            shipped = await wishes.find(connection, org_id, number)
            await facts.record(connection, principal, "wish.shipped", wish_id=str(held.id), clients=shipped.clients)
        await _enqueue(desk, connection, org_id)
        return await wishes.find(connection, org_id, number)


async def tell(desk: Desk, org_id: UUID) -> int:
    """Tell the clients of shipped wishes who were not told; each in a transaction of its own, so that none hears it twice."""
    engine = await desk.engine_of(org_id)
    told = 0
    while await _tell_one(desk, engine):
        told += 1
        await asyncio.sleep(0)
    return told


async def _tell_one(desk: Desk, engine: Principal) -> bool:
    async with desk.database.org_transaction(engine) as connection:
        await wishes.hold(connection, engine.org_id)
        found = await wishes.untold(connection, engine.org_id)
        if found is None:
            return False
        language = spoken(found.language, default="en")
        lines = [say("wish_shipped", language, number=found.number)]
        lines += [found.note] if found.note else []
        session = Session(
            found.session_id, found.ticket_id, found.assistant_type, resolved=False, created_at=desk.clock()
        )
        await sessions.add(
            connection,
            engine.org_id,
            session,
            role="system" if session.is_ai_quiet else "assistant",
            content="\n\n".join(lines),
            author=engine.user_id,
            data={"wish": str(found.wish_id)},
        )
        await wishes.set_told(connection, engine.org_id, found, at=desk.clock())
        await facts.record(
            connection,
            engine,
            "wish.told",
            ticket_id=found.ticket_id,
            session_id=found.session_id,
            wish_id=str(found.wish_id),
        )
    return True


async def _phrase_of(desk: Desk, principal: Principal, ticket_id: UUID) -> NewWish:
    async with desk.database.org_reading(principal) as connection:
        ticket = await tickets.find(connection, principal.org_id, ticket_id)
    return await phrase(desk, ticket)


async def _enqueue(desk: Desk, connection: Connection, org_id: UUID) -> None:
    await desk.queue.enqueue(connection, JOB, {"org_id": org_id})


def _invalid(name: str, problem: str) -> Invalid:
    return Invalid(f"{name}: {problem}.", code="invalid_wish", fields=(FieldProblem(name, problem),))


def _staff_only(principal: Principal) -> None:
    if principal.is_client:
        raise Denied("Wishes are counted and settled by the team.", code="staff_only")
