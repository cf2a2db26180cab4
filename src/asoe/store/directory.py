"""Names for ids, as lists and timelines show them. Reads only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from asoe.domain.facts import Fact
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class DirectorySql(NamedQueries):
    staff: str
    names: str
    contacts: str
    runbooks: str


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody a ticket may be assigned to."""

    user_id: UUID
    name: str
    email: str | None
    role: str

    @property
    def called(self) -> str:
        return self.name or self.email or "Member"


async def staff(connection: Connection, org_id: UUID) -> list[Colleague]:
    """Active people of the support team, by name."""
    return [Colleague(**dict(row)) for row in await connection.fetch(DirectorySql.staff, org_id)]


async def names(connection: Connection, org_id: UUID, ids: Iterable[UUID | None]) -> dict[UUID, str]:
    """What accounts are called; the engine is "Engine". Who is not found is left out."""
    wanted = list({each for each in ids if each is not None})
    rows = await connection.fetch(DirectorySql.names, org_id, wanted) if wanted else []
    return {row["id"]: "Engine" if row["kind"] == "engine" else row["name"] or "Member" for row in rows}


async def contacts(connection: Connection, org_id: UUID, ids: Iterable[UUID | None]) -> dict[UUID, str]:
    """What contacts are called: their name, else the address they wrote from."""
    wanted = list({each for each in ids if each is not None})
    rows = await connection.fetch(DirectorySql.contacts, org_id, wanted) if wanted else []
    return {
        row["id"]: row["name"] or row["email"] or row["phone"] or row["external_id"] or "Erased client" for row in rows
    }


async def runbooks(
    connection: Connection, org_id: UUID, found: Iterable[Fact], *, runs: Iterable[UUID] = ()
) -> dict[str, str]:
    """What the runbooks of these facts, and of these runs, are called, by the ids that the facts carry: the runbook's, its run's or its backtest's."""
    ids = {
        str(fact.data[name]) for fact in found for name in ("runbook_id", "run_id", "backtest_id") if name in fact.data
    } | set(map(str, runs))
    rows = await connection.fetch(DirectorySql.runbooks, org_id, sorted(ids)) if ids else []
    return {str(row["id"]): row["name"] for row in rows}
