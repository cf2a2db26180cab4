"""What every desk function is handed first: the database, the queue, the models, the clock, thresholds and connectors."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from uuid import UUID

import numpy as np

from asoe.ai.adapter import Adapter
from asoe.ai.language_model import LanguageModel
from asoe.ai.own_intents import OwnIntents
from asoe.ai.slots import SlotText
from asoe.connectors.mail import MailServer
from asoe.desk.breaker import Breaker
from asoe.desk.connector import Connectors
from asoe.domain.answer import Answer
from asoe.domain.errors import FieldProblem, Missing
from asoe.domain.knowledge import Passage
from asoe.domain.organization import Principal
from asoe.domain.policy import Policy, read_policy
from asoe.domain.runbook import Slot, SlotReading
from asoe.domain.triage import Triage
from asoe.store import organizations
from asoe.store.db import Connection, Database

if TYPE_CHECKING:
    from asoe.ai.local import Models

T = TypeVar("T")

_HALF: Final = re.compile("[\ud800-\udfff]")
ENGINES_KEPT: Final = 2.0
"""Seconds for which a process may go on working for an organization that was suspended or deleted."""


class JobQueue(Protocol):
    """The durable queue; both methods enqueue inside the caller's transaction."""

    async def enqueue(
        self,
        connection: Connection,
        job: str,
        ids: Mapping[str, UUID | str],
        *,
        delay: timedelta | None = None,
        dedupe_key: str | None = None,
    ) -> None: ...

    async def advance(
        self, connection: Connection, org_id: UUID, ticket_id: UUID, *, delay: timedelta | None = None
    ) -> None: ...


class Judgement(Protocol):
    """Local judgement, or a better one; every method answers within its caller's patience or raises."""

    @property
    def triage_backlog(self) -> timedelta:
        """How long a text that comes now would wait before it is judged."""
        ...

    async def triage(
        self, subject: str, body: str, *, adapter: Adapter | None = None, own: OwnIntents | None = None
    ) -> Triage: ...

    async def work(self, task: Callable[[Models], T]) -> T: ...

    async def embed(self, texts: Sequence[str]) -> np.ndarray: ...

    async def answer(
        self, question: str, passages: Sequence[Passage], *, language: str, threshold: float
    ) -> Answer | None: ...

    async def read_reply(self, text: str, language: str) -> str: ...

    async def read_reasons(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """For each text the reasons for a person that are read in it by meaning, with their probabilities."""
        ...

    async def read_slots(
        self, slots: Sequence[Slot], passages: Sequence[SlotText], *, language: str, beside: Sequence[Slot] = ()
    ) -> dict[str, SlotReading]: ...


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Installation-wide defaults; an organization's policy may set its own."""

    answer: float = 0.5
    confidence: float = 0.35
    triage_budget: timedelta = timedelta(milliseconds=250)


def _breaker() -> Breaker:
    return Breaker(time.monotonic, opens_after=3)


@dataclass(frozen=True, slots=True)
class ModelAccess:
    """The installation's language model with its limits per organization and day (None: none); `timeout` in seconds.

    prompts: other instructions by use, in which `{task}` stands for ours. open_other: another model of the same provider.
    """

    model: LanguageModel
    timeout: float = 15.0
    tokens_per_day: int | None = None
    usd_per_day: Decimal | None = None
    breaker: Breaker = field(default_factory=_breaker)
    prompts: Mapping[str, str] = field(default_factory=dict)
    open_other: Callable[[str], AbstractAsyncContextManager[LanguageModel]] | None = None


@dataclass(frozen=True, slots=True)
class HouseMail:
    """The installation's own mail server, for mails about accounts; `sender` is (name, address)."""

    server: MailServer
    sender: tuple[str, str]
    password: str = field(default="", repr=False)


@dataclass(slots=True)
class Engines:
    """The own accounts of the organizations that are not suspended, as they were read last."""

    by_id: dict[UUID, Principal] = field(default_factory=dict)
    ids: dict[str, UUID] = field(default_factory=dict)
    read_at: float = -math.inf

    def find(self, org: UUID | str) -> Principal | None:
        org_id = self.ids.get(org) if isinstance(org, str) else org
        return None if org_id is None else self.by_id.get(org_id)


@dataclass(frozen=True, slots=True)
class Champion:
    """The model an organization's tickets are judged by, as it was read last; `model_id` None: the shared one alone.

    `own`: its own intents as they were at `stamp`.
    """

    model_id: UUID | None
    adapter: Adapter | None
    read_at: float
    own: OwnIntents | None = None
    stamp: str = ""


def _no_secret_key(purpose: str) -> tuple[bytes, ...]:
    raise RuntimeError(f"this desk was opened without the secret key, which {purpose!r} needs")


@dataclass(frozen=True, slots=True)
class Desk:
    """Handed to every desk function; holds no state of any ticket."""

    database: Database
    queue: JobQueue
    ai: Judgement
    clock: Callable[[], datetime]
    thresholds: Thresholds = Thresholds()
    engines: Engines = field(default_factory=Engines)
    connectors: Connectors = field(default_factory=lambda: Connectors.fixed({}))
    public_url: str = ""
    """How people reach the dashboard, for links in messages."""
    champions: dict[UUID, Champion] = field(default_factory=dict)
    """Which model judges for whom, as this process knows it; `champion` fills it."""
    phrases: dict[str, np.ndarray] = field(default_factory=dict)
    """Vectors of what published runbooks say they are for; `matching` fills and empties it."""
    derive: Callable[[str], tuple[bytes, ...]] = _no_secret_key
    """Keys of 32 bytes for one purpose, newest first, from the installation's secret key."""
    model: ModelAccess | None = None
    """None: the local models do it all."""
    versions: Mapping[str, int] = field(default_factory=dict)
    """Versions of runbooks, by name, that are tried in the place of those in use: only a replay has any."""
    house_mail: HouseMail | None = None
    """None: no password is reset by mail."""

    async def engine_of(self, org_id: UUID | str) -> Principal:
        """The own account of the organization with this id or slug; raises `Missing(organization_missing)`."""
        kept = self.engines
        found = kept.find(org_id)
        if found is None or time.monotonic() - kept.read_at > ENGINES_KEPT:
            async with self.database.system_transaction("list_organizations") as connection:
                rows = await connection.fetch("select org_id, slug, engine_id from asoe.system_organizations()")
            kept.by_id = {row["org_id"]: Principal(row["engine_id"], row["org_id"], "engine", "ASOE") for row in rows}
            kept.ids = {row["slug"]: row["org_id"] for row in rows}
            kept.read_at = time.monotonic()
            found = kept.find(org_id)
        if found is None:
            raise Missing(f"There is no organization {org_id}, or it is suspended.", code="organization_missing")
        return found


async def policy_of(connection: Connection, org_id: UUID) -> Policy:
    """The organization's policy as stored; wrong stored settings raise `Invalid(bad_policy)`."""
    return read_policy((await organizations.read_organization(connection, org_id)).settings)


def unstorable(value: Any, field_name: str) -> list[FieldProblem]:
    """What PostgreSQL cannot hold in a caller's value: null characters, half surrogates, numbers that are none."""
    match value:
        case str():
            wrong = "holds a null character (U+0000)" if "\x00" in value else None
            if wrong is None and not value.isascii() and _HALF.search(value):
                wrong = "holds half of a surrogate pair"
            return [FieldProblem(field_name, f"{wrong}, which cannot be stored")] if wrong else []
        case float() if not math.isfinite(value):
            return [FieldProblem(field_name, f"{value} is no number that can be stored")]
        case Mapping():
            inside = [(f"{field_name}.{key}", item) for key, item in value.items()]
            keys = [problem for key in value for problem in unstorable(str(key), field_name)]
            return keys or [problem for name, item in inside for problem in unstorable(item, name)]
        case list() | tuple():
            return [
                problem for index, item in enumerate(value) for problem in unstorable(item, f"{field_name}.{index}")
            ]
        case _:
            return []


def plain(value: Any) -> Any:
    """A value as facts may carry it: ids, times (RFC 3339) and classes as text."""
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value
