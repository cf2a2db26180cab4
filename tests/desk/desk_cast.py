"""A desk to act on: a judgement that reads tags and refuses to think inside a transaction, a clock that is moved."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import numpy as np

from asoe.desk import intake, journey, session, ticket
from asoe.desk.context import Desk
from asoe.desk.intake import NewContact, NewTicket
from asoe.domain.answer import Answer
from asoe.domain.knowledge import Passage
from asoe.domain.organization import Principal
from asoe.domain.resolution import Citation
from asoe.domain.runbook import Consent, SlotReading
from asoe.domain.ticket import MOVES
from asoe.domain.triage import CATEGORIES, INTENTS, NEEDS, SEVERITIES, Estimate, Evidence, Triage
from asoe.store.db import Database

_in_transaction: ContextVar[bool] = ContextVar("in_transaction", default=False)
_TAG = re.compile(r"#(\w+):([\w.]+)(?::([\d.]+))?")


class Clock:
    """Starts a month ago, so that what the database calls now is later than any timer a test lets run out."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC) - timedelta(days=30)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


class WatchedDatabase(Database):
    """Knows for each task whether it holds a transaction."""

    @asynccontextmanager
    async def _begin(self, principal: Principal, begin: str):
        assert not _in_transaction.get(), "one transaction was opened inside another"
        token = _in_transaction.set(True)
        try:
            async with super()._begin(principal, begin) as connection:
                yield connection
        finally:
            _in_transaction.reset(token)


@dataclass
class Judgement:
    """Reads tags like `#category:billing:0.9 #severity:high #intent:how_to #need:vague #lang:de`; else a sure how_to."""

    thinking: list[str] = field(default_factory=list)
    failing: dict[str, BaseException] = field(default_factory=dict)
    slow: dict[str, asyncio.Event] = field(default_factory=dict)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    triaged: list[str] = field(default_factory=list)
    seen_passages: list[tuple[str, ...]] = field(default_factory=list)
    spoken: list[str] = field(default_factory=list)
    triage_backlog: timedelta = timedelta(0)

    async def _think(self, what: str) -> None:
        assert not _in_transaction.get(), f"{what} was asked for while a transaction was held"
        self.thinking.append(what)
        if what in self.slow:
            self.reached.set()
            await self.slow[what].wait()
        await asyncio.sleep(0)
        if what in self.failing:
            raise self.failing[what]

    async def triage(self, subject: str, body: str) -> Triage:
        assert isinstance(subject, str)
        assert isinstance(body, str)
        assert (subject + body).strip(), "an empty text has nothing to judge"
        await self._think("triage")
        text = f"{subject}\n{body}"
        self.triaged.append(text)
        tags = {name: (value, float(sure) if sure else 0.9) for name, value, sure in _TAG.findall(text)}
        intent = tags.get("intent", ("how_to", 0.9))
        category = tags.get("category", (INTENTS[intent[0]], 0.9))
        severity = tags.get("severity", ("medium", 0.9))
        need = tags.get("need", ("information", 0.9))
        assert intent[0] in INTENTS
        assert category[0] in CATEGORIES
        assert severity[0] in SEVERITIES
        assert need[0] in NEEDS
        return Triage(
            category=Estimate(*category),
            severity=Estimate(*severity),
            intent=Estimate(*intent, alternatives=(("sso_setup", 0.05),)),
            language=tags.get("lang", ("en", 0.9))[0],
            language_confidence=0.9,
            scope=0.9,
            evidence=Evidence(words=tuple(text.split()[:3]), similar=("a text like this",)),
            requests=(intent[0], "invoice_question"),
            model_version="strict-1",
            need=Estimate(*need),
        )

    async def embed(self, texts: Sequence[str]) -> np.ndarray:
        assert texts
        assert all(isinstance(text, str) and text.strip() for text in texts)
        await self._think("embed")
        return np.ones((len(texts), 384), np.float32)

    async def read_slots(self, slots, passages, *, language: str, beside=()):
        """Consents are given as `#slot:NAME:given` or refused, others as `#slot:NAME:VALUE`, or `unsure`; the last counts."""
        assert passages, "there is nothing to read"
        await self._think("read_slots")
        found = {}
        for slot in slots:
            said = [
                (passage.source, value)
                for passage in passages
                for name, value in re.findall(r"#slot:(\w+):([\w.@-]+)", passage.text)
                if name == slot.name
            ]
            if said:
                source, value = said[-1]
                if value == "unsure":
                    found[slot.name] = SlotReading(slot.name, "unsure", None, source, value, 0.4)
                    continue
                read = Consent(value) if slot.type == "consent" else value
                found[slot.name] = SlotReading(slot.name, "read", read, source, value, 0.9)
        return found

    async def answer(
        self, question: str, passages: Sequence[Passage], *, language: str, threshold: float
    ) -> Answer | None:
        assert question.strip()
        assert passages, "an answer without passages cannot be grounded"
        assert language in {"en", "de", "es", "fr"}, language
        assert 0 <= threshold <= 1
        await self._think("answer")
        self.seen_passages.append(tuple(passage.slug for passage in passages))
        self.spoken.append(language)
        best = passages[0]
        if best.score < threshold:
            return None
        cited = Citation(best.article_id, best.slug, best.title, best.heading, best.text[:80])
        return Answer(f"{best.text} [1]", (cited,), best.score, steps=("first",), fit=best.score)

    async def read_reply(self, text: str, language: str) -> str:
        assert text.strip()
        assert isinstance(language, str)
        await self._think("read_reply")
        known = {"yes": "helped", "no": "did_not_help"}
        return "wants_person" if "PERSON" in text else known.get(text.strip().lower(), "other")

    async def read_reasons(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """Given as `#meant:NAME`."""
        assert texts
        return [dict.fromkeys(re.findall(r"#meant:(\w+)", text), 0.9) for text in texts]


def passage(slug: str, score: float = 0.9, **more: Any) -> Passage:
    made = Passage(
        article_id=f"00000000-0000-0000-0000-{abs(hash(slug)) % 10**12:012d}",
        slug=slug,
        title=slug.title(),
        heading="Steps",
        text=f"Do what {slug} says.",
        position=0,
        language="en",
        score=score,
        lexical=score,
        semantic=score,
    )
    return replace(made, **more)


@dataclass
class World:
    """Acme's desk with its people, and a window behind row-level security."""

    desk: Desk
    acme: Any
    clock: Clock
    ai: Judgement
    owner: asyncpg.Connection
    passages: list[Passage]

    async def open(self, body: str = "How do I export?", subject: str = "", by: Any = None, **more: Any):
        by = by or self.acme.client
        return await intake.open_ticket(self.desk, by, NewTicket(subject=subject, body=body, **more))

    async def open_by_contact(self, body: str, email: str = "kim@example.org", **more: Any):
        contact = NewContact(email=email, name="Kim Contact")
        return await self.open(body, by=self.acme.agent, contact=contact, **{"is_relayed": True, **more})

    async def advance(self, of: Any) -> str:
        return await journey.advance(self.desk, self.acme.org_id, of.id)

    async def say(self, of: Any, text: str, by: Any = None, role: str = "user"):
        return await session.add_message(self.desk, by or self.acme.client, of.session_id, role, text)

    async def now(self, of: Any):
        return await ticket.read_ticket(self.desk, self.acme.agent, of.id)

    async def answered(self, body: str = "How do I export?", **more: Any):
        made = await self.open(body, **more)
        await self.advance(made)
        found = await self.now(made)
        assert (found.status, found.waiting_for) == ("in_progress", "client")
        return found

    async def messages(self, of: Any) -> list[tuple[str, str]]:
        rows = await self.owner.fetch(
            "select role, content from asoe.session_messages where ticket_id = $1 and not is_internal order by created_at, seq",
            of.id,
        )
        return [(row["role"], row["content"]) for row in rows]

    async def said_by_engine(self, of: Any) -> list[str]:
        return [content for role, content in await self.messages(of) if role == "assistant"]

    async def rows(self, sql: str, *arguments: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.owner.fetch(sql, *arguments)]

    async def one(self, sql: str, *arguments: Any) -> Any:
        return await self.owner.fetchval(sql, *arguments)

    async def journey(self, of: Any) -> dict[str, Any]:
        row = await self.owner.fetchrow("select * from asoe.journeys where ticket_id = $1", of.id)
        return dict(row) if row else {}

    async def facts(self, of: Any) -> list[str]:
        rows = await self.owner.fetch("select kind from asoe.facts where ticket_id = $1 order by id", of.id)
        return [row["kind"] for row in rows]

    async def escalations(self, of: Any) -> list[dict[str, Any]]:
        found = await self.rows("select * from asoe.escalations where ticket_id = $1 order by created_at", of.id)
        return [{**row, "dossier": json.loads(row["dossier"])} for row in found]

    async def jobs(self) -> int:
        return await self.one("select count(*) from queue.pgqueuer where status = 'queued'")

    async def drain(self, *, most: int = 50) -> None:
        """Do what the queue holds, as the worker would, until it is empty."""
        for _ in range(most):
            row = await self.owner.fetchrow(
                "delete from queue.pgqueuer where id = (select min(id) from queue.pgqueuer) returning payload"
            )
            if row is None:
                return
            ids = json.loads(row["payload"])
            if "run_id" in ids:
                await journey.carry_on_run(self.desk, UUID(ids["org_id"]), UUID(ids["run_id"]))
            else:
                await journey.carry_on(self.desk, UUID(ids["org_id"]), UUID(ids["ticket_id"]))
        raise AssertionError("the queue does not come to rest")

    async def set_settings(self, **settings: Any) -> None:
        await self.owner.execute(
            "update asoe.organization_profiles set settings = $2 where org_id = $1",
            self.acme.org_id,
            json.dumps(settings),
        )


async def forbid_illegal_moves(owner: asyncpg.Connection) -> None:
    """From here on the database itself refuses every status move that design §3.4 does not list."""
    legal = " or ".join(
        f"(old.status = '{current}' and new.status = '{following}')"
        for current, allowed in MOVES.items()
        for following in sorted(allowed)
    )
    await owner.execute(
        f"""
        create function asoe.test_legal_moves() returns trigger language plpgsql as $$
        begin
          if old.status <> new.status and not ({legal}) then
            raise exception 'illegal move from % to %', old.status, new.status;
          end if;
          return new;
        end $$;
        create trigger test_legal_moves before update on public.support_tickets
          for each row execute function asoe.test_legal_moves();
        """
    )
