"""The shelf of an organization's runbooks: checked text goes on it, versions stay, published ones are in use."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Final
from uuid import UUID

from asoe.connectors.contract import Action, ConnectorError
from asoe.desk.context import Desk
from asoe.desk.runbook.language import Written, parse, read_runbook
from asoe.desk.runbook.lint import Finding, lint
from asoe.desk.runbook.lint import check as check_text
from asoe.desk.runbook.source import refused
from asoe.domain.errors import Conflict, Denied, Invalid, Missing
from asoe.domain.organization import ROLE_RANK, Principal
from asoe.domain.runbook import Each, Procedure, Runbook, Step, When
from asoe.store import autonomy, facts, runbooks
from asoe.store.db import Connection
from asoe.store.runbooks import RunbookRow, VersionRow

MOST_READ: Final = 512


@dataclass(frozen=True, slots=True)
class Shelved:
    """One published runbook, read, with where it stands on the ladder."""

    runbook_id: UUID
    runbook: Runbook
    level: str


async def save(
    desk: Desk, principal: Principal, source: str, *, needs_connectors: bool = False
) -> tuple[RunbookRow, VersionRow]:
    """Check and store a version; the same text again is the same version. Raises `Invalid(bad_runbook)`.

    Calls are checked against the connectors that are there; one that is not there yet is no mistake of the runbook, but
    with `needs_connectors`, for who wants it in use at once, a `Conflict(connectors_missing)`.
    """
    _require_admin(principal)
    runbook = await _checked(desk, principal, source)
    if needs_connectors:
        await _require_connectors(desk, principal, runbook)
    async with desk.database.org_transaction(principal) as connection:
        runbook_id, number, is_new = await runbooks.put(
            connection,
            principal.org_id,
            name=runbook.name,
            title=runbook.title,
            resolution_type=runbook.resolution_type,
            source=source,
            digest=_digest(source),
            by=principal.user_id,
        )
        row = await runbooks.find(connection, principal.org_id, str(runbook_id))
        if is_new:
            await facts.record(connection, principal, "runbook.written", runbook_id=runbook_id, version=number)
        return row, await runbooks.version(connection, principal.org_id, runbook_id, number)


async def publish(
    desk: Desk, principal: Principal, name: str, version: int | None = None, *, needs_connectors: bool = False
) -> RunbookRow:
    """Put a version (the newest by default) into use. A changed text begins without evidence and without lent trust: it
    is another runbook. So does every runbook that calls it.

    With `needs_connectors`, as every door wants it, raises `Conflict(connectors_missing)`: it could only ever fail.
    """
    _require_admin(principal)
    if needs_connectors:
        async with desk.database.org_reading(principal) as connection:
            row = await runbooks.find(connection, principal.org_id, name)
            text = await runbooks.version(connection, principal.org_id, row.id, version or row.newest_version or 0)
        await _require_connectors(desk, principal, _read(text.source))
    async with desk.database.org_transaction(principal) as connection:
        row = await runbooks.find(connection, principal.org_id, name)
        number = version or row.newest_version or 0
        await runbooks.version(connection, principal.org_id, row.id, number)
        if row.published_version != number:
            changed = [row.id]  # also after it was out of use
            if row.published_version is not None or row.retired_at is not None:
                changed += await _callers(connection, principal.org_id, row.name)
            await runbooks.publish(connection, principal.org_id, row.id, number)
            await facts.record(
                connection,
                principal,
                "runbook.published",
                runbook_id=row.id,
                version=number,
                before=row.published_version,
            )
            for runbook_id in changed:
                await _begin_anew(connection, principal, runbook_id)
        return await runbooks.find(connection, principal.org_id, name)


async def retire(desk: Desk, principal: Principal, name: str) -> RunbookRow:
    """Take it out of use; runs under way go on with their version."""
    _require_admin(principal)
    async with desk.database.org_transaction(principal) as connection:
        row = await runbooks.find(connection, principal.org_id, name)
        if await runbooks.retire(connection, principal.org_id, row.id):
            await facts.record(
                connection, principal, "runbook.retired", runbook_id=row.id, before=row.published_version
            )
        return await runbooks.find(connection, principal.org_id, name)


async def list_runbooks(desk: Desk, principal: Principal, *, with_retired: bool = False) -> list[RunbookRow]:
    async with desk.database.org_reading(principal) as connection:
        return await runbooks.list_runbooks(connection, principal.org_id, with_retired=with_retired)


async def read_version(
    desk: Desk, principal: Principal, name: str, version: int | None = None
) -> tuple[RunbookRow, VersionRow]:
    """A version's text: the one named, else the published, else the newest."""
    async with desk.database.org_reading(principal) as connection:
        row = await runbooks.find(connection, principal.org_id, name)
        number = version or row.published_version or row.newest_version or 0
        return row, await runbooks.version(connection, principal.org_id, row.id, number)


async def list_versions(desk: Desk, principal: Principal, name: str) -> list[VersionRow]:
    async with desk.database.org_reading(principal) as connection:
        row = await runbooks.find(connection, principal.org_id, name)
        return await runbooks.versions(connection, principal.org_id, row.id)


async def load(connection: Connection, org_id: UUID, runbook_id: UUID, version: int) -> Runbook:
    """One version, read; raises `Missing(runbook_version_missing)`."""
    row = await runbooks.version(connection, org_id, runbook_id, version)
    return replace(_read(row.source), version=version)


async def published(
    connection: Connection, org_id: UUID, *, instead: Mapping[str, int] = MappingProxyType({})
) -> list[Shelved]:
    """What is in use, whatever its level. instead: versions by name that are tried in the place of those in use, or beside
    them; one nobody has raises `Missing(runbook_missing | runbook_version_missing)`.
    """
    rows = await runbooks.published(connection, org_id)
    found = [
        Shelved(row.id, replace(_read(row.source), version=row.version), row.level)
        for row in rows
        if row.name not in instead
    ]
    for name, version in instead.items():
        tried = await runbooks.find(connection, org_id, name)
        found.append(Shelved(tried.id, await load(connection, org_id, tried.id, version), tried.level))
    return sorted(found, key=lambda each: each.runbook.name) if instead else found


async def library(
    connection: Connection, org_id: UUID, *, instead: Mapping[str, int] = MappingProxyType({})
) -> Mapping[str, Runbook]:
    """The published runbooks by name: what `do:` may call beside the procedures of its own file. instead: see `published`."""
    return {shelved.runbook.name: shelved.runbook for shelved in await published(connection, org_id, instead=instead)}


async def find_published(connection: Connection, org_id: UUID, name: str) -> tuple[UUID, int]:
    """(id, version) in use; raises `Missing(runbook_missing | runbook_not_published)`."""
    row = await runbooks.find(connection, org_id, name)
    if row.published_version is None:
        raise Missing(
            f"Runbook {row.name} is not published. Publish it: asoe runbook publish {row.name}",
            code="runbook_not_published",
        )
    return row.id, row.published_version


async def pins(connection: Connection, org_id: UUID, runbook: Runbook) -> dict[str, tuple[str, int]]:
    """The versions of other runbooks that this one calls: a run keeps them, whatever is published later."""
    wanted = _elsewhere(runbook)
    if not wanted:
        return {}
    shelved = {found.runbook.name: found for found in await published(connection, org_id)}
    found: dict[str, tuple[str, int]] = {}
    while wanted:
        name = wanted.pop()
        if name in shelved and name not in found:
            found[name] = (str(shelved[name].runbook_id), shelved[name].runbook.version)
            wanted |= _elsewhere(shelved[name].runbook)
    return found


async def _callers(connection: Connection, org_id: UUID, name: str) -> list[UUID]:
    """The published runbooks that call this one, directly or through others."""
    calls: dict[str, tuple[UUID, set[str]]] = {}
    for row in await runbooks.published(connection, org_id):
        with suppress(Invalid):  # what cannot be read calls nothing
            calls[row.name] = row.id, _elsewhere(_read(row.source))
    changed, found = {name}, list[UUID]()
    while new := {each for each, (_, called) in calls.items() if each not in changed and called & changed}:
        found += [calls[each][0] for each in new]
        changed |= new
    return found


async def _begin_anew(connection: Connection, principal: Principal, runbook_id: UUID) -> None:
    await autonomy.void_evidence(connection, principal.org_id, runbook_id)
    if await autonomy.end_loan(connection, principal.org_id, runbook_id):
        await facts.record(
            connection, principal, "autonomy.changed", runbook_id=runbook_id, before="lent", after="loan_ended"
        )


def _elsewhere(runbook: Runbook) -> set[str]:
    steps = [*runbook.routine.steps, *(step for routine in runbook.procedures.values() for step in routine.steps)]
    return _called(steps) - set(runbook.procedures)


def _called(steps: list[Step]) -> set[str]:
    found: set[str] = set()
    for step in steps:
        match step:
            case Procedure():
                found.add(step.name)
            case Each():
                found |= _called(list(step.steps))
            case When():
                found |= _called([*step.then, *step.otherwise])
            case _:
                pass
    return found


async def check(
    desk: Desk, principal: Principal, source: str, *, nearby: Mapping[str, Runbook] = MappingProxyType({})
) -> tuple[Finding, ...]:
    """What is wrong or doubtful in a text for this organization: calls against its connectors, and those it lacks.

    nearby: runbooks by name that are to be published with it.
    """
    try:
        written = parse(source)
    except Invalid:
        return check_text(source)
    found = [*await _findings(desk, principal, written, nearby), *await _lacking(desk, principal, written)]
    return tuple(sorted(found, key=lambda finding: finding.line))


async def lacking(desk: Desk, principal: Principal, source: str) -> tuple[Finding, ...]:
    """A warning for each connector that a text names and the organization does not have; asks no outside system."""
    try:
        return await _lacking(desk, principal, parse(source))
    except Invalid:  # what is wrong with it is said where it is read
        return ()


async def _lacking(desk: Desk, principal: Principal, written: Written) -> tuple[Finding, ...]:
    named = written.runbook.connectors
    missing = await desk.connectors.missing(principal.org_id, named.values())
    return tuple(
        Finding(
            "warning",
            written.source.line(("connectors", alias)),
            ("connectors", alias),
            f"the organization has no connector {name!r}",
            f"add it before you publish: asoe connector add {name}",
        )
        for alias, name in named.items()
        if name in missing
    )


async def _require_connectors(desk: Desk, principal: Principal, runbook: Runbook) -> None:
    missing = await desk.connectors.missing(principal.org_id, runbook.connectors.values())
    if missing:
        raise Conflict(
            f"Runbook {runbook.name} needs what this organization has no connector for: {', '.join(missing)}. Add each "
            f"(asoe connector add {missing[0]} --kind KIND …, or the dashboard's Connectors), or name others under "
            "`connectors:`; then publish again.",
            code="connectors_missing",
        )


async def _findings(
    desk: Desk, principal: Principal, written: Written, nearby: Mapping[str, Runbook] = MappingProxyType({})
) -> tuple[Finding, ...]:
    actions: dict[str, Mapping[str, Action]] = {}
    for alias, name in written.runbook.connectors.items():
        with suppress(ConnectorError):
            actions[alias] = await (await desk.connectors.use(principal.org_id, name)).actions()
    async with desk.database.org_reading(principal) as connection:
        others = await library(connection, principal.org_id)
    return lint(written, actions=actions, library={**nearby, **others})


async def _checked(desk: Desk, principal: Principal, source: str) -> Runbook:
    written = parse(source)
    found = await _findings(desk, principal, written)
    errors = [(finding.path, f"{finding.problem}; {finding.remedy}") for finding in found if finding.is_error]
    if errors:
        raise refused(written.source, errors)
    return written.runbook


def _digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


@lru_cache(MOST_READ)
def _read(source: str) -> Runbook:
    return read_runbook(source)


def _require_admin(principal: Principal) -> None:
    if ROLE_RANK.get(principal.role, -1) < ROLE_RANK["admin"]:
        raise Denied(
            f"Runbooks are changed by admins and owners; you act as {principal.role}.", code="role_not_permitted"
        )
