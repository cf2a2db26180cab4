"""Adding, changing, disabling, removing and checking connectors. Owners and admins decide; secrets go in and never out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final
from uuid import UUID

from asoe.connectors.contract import Action, ConnectorError, Health
from asoe.connectors.kinds import Kind, Opening, refused
from asoe.desk.connector import Hand
from asoe.desk.context import Desk, unstorable
from asoe.domain.connector import ConnectorRecord, Trouble
from asoe.domain.errors import Conflict, Denied, FieldProblem, Missing, Unavailable
from asoe.domain.facts import before_and_after
from asoe.domain.organization import Principal
from asoe.store import connectors, facts

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)
_SECRET_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_MOST_SECRETS: Final = 20
_LONGEST_SECRET: Final = 16 * 1024
_WAYS: Final = frozenset({"hosts", "auth", "ca", "allow_http"})
_LARGEST_CONFIG: Final = 6 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Offered:
    """What a connector can do, and what of the system's offer may not be used, each with the reason."""

    actions: Mapping[str, Action]
    unclassified: Mapping[str, str]


async def list_connectors(desk: Desk, principal: Principal) -> list[ConnectorRecord]:
    _require_admin(principal)
    async with desk.database.org_reading(principal) as connection:
        return await connectors.list_all(connection, principal.org_id)


async def list_troubles(desk: Desk, principal: Principal) -> Mapping[UUID, Trouble]:
    """The latest trouble of each connector that ever had one, by the connector's id."""
    _require_admin(principal)
    async with desk.database.org_reading(principal) as connection:
        return await connectors.troubles(connection, principal.org_id)


async def read_connector(desk: Desk, principal: Principal, name: str) -> ConnectorRecord:
    """Raises `Missing(no_connector)`."""
    _require_admin(principal)
    async with desk.database.org_reading(principal) as connection:
        return _there(await connectors.read(connection, principal.org_id, name))


async def add_connector(
    desk: Desk,
    principal: Principal,
    *,
    name: str,
    kind: str,
    config: Mapping[str, Any],
    secrets: Mapping[str, str],
    allow_private: bool = False,
    may_be_private: bool = False,
) -> ConnectorRecord:
    """Check and store a connector; what its kind needs to know of the system is asked for now.

    `may_be_private`: whether the caller may let it reach private addresses. Raises `Invalid(bad_connector)`,
    `Conflict(connector_exists)`, `Denied(private_not_allowed)`, `Unavailable(connector_unreachable)`.
    """
    _require_admin(principal)
    _require_private(is_private=allow_private, may_be_private=may_be_private)
    if not _NAME.fullmatch(name):
        raise refused([FieldProblem("name", "must be a small letter, then up to 62 small letters, digits, _ or -")])
    _check(config, secrets)
    opening = Opening(principal.org_id, name, _of_kind(config), secrets, allow_private)
    prepared = await _prepared(_kind(desk, kind), opening, config)
    _check(prepared, {})
    async with desk.database.org_transaction(principal) as connection:
        record = await connectors.add(
            connection,
            principal.org_id,
            name=name,
            kind=kind,
            config={**_of_desk(config), **prepared},
            sealed=desk.connectors.seal(principal.org_id, name, secrets),
            allow_private=allow_private,
            created_by=principal.user_id,
        )
        await facts.record(connection, principal, "connector.added", connector_id=record.id, type=kind)
    await desk.connectors.forget(principal.org_id, name)
    return record


async def change_connector(
    desk: Desk,
    principal: Principal,
    name: str,
    *,
    config: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str | None] | None = None,
    allow_private: bool | None = None,
    may_be_private: bool = False,
) -> ConnectorRecord:
    """Merge configuration and secrets key by key (null removes a key), and check the whole again.

    Secrets must be given anew when they would go to another place or in another way: else whoever may change a connector
    could have them sent to himself.

    Raises what `add_connector` raises, `Missing(no_connector)` and `Conflict(connector_changed)`.
    """
    _require_admin(principal)
    org_id = principal.org_id
    async with desk.database.org_reading(principal) as connection:
        before = _there(await connectors.read(connection, org_id, name))
        sealed = await connectors.read_sealed(connection, org_id, name)
    is_private = before.allow_private if allow_private is None else allow_private
    _require_private(is_private=is_private, may_be_private=may_be_private)
    merged = _merged(before.config, config or {})
    kept = desk.connectors.unseal(org_id, name, sealed)
    opened = _merged(kept, secrets or {})
    if _leads_elsewhere(before.config, merged) and not set(kept) <= set(secrets or {}):
        raise refused(
            [FieldProblem("secrets", "must be given anew (or null): the connector would send them elsewhere")]
        )
    _check(merged, opened)
    opening = Opening(org_id, name, _of_kind(merged), opened, is_private)
    prepared = await _prepared(_kind(desk, before.kind), opening, config or {})
    _check(prepared, {})
    async with desk.database.org_transaction(principal) as connection:
        record = await connectors.change(
            connection,
            org_id,
            name,
            config={**_of_desk(merged), **prepared},
            sealed=desk.connectors.seal(org_id, name, opened),
            allow_private=is_private,
            known=before.updated_at,
        )
        if record is None:
            raise Conflict(
                f"Somebody changed the connector {name!r} just now. Read it again, then change it.",
                code="connector_changed",
            )
        names = sorted({*(config or {}), *(("secrets",) if secrets else ())})
        values = before_and_after(before.config, record.config, sorted(config or {}))
        await facts.record(
            connection, principal, "connector.changed", connector_id=record.id, names=names, values=values
        )
    await desk.connectors.forget(org_id, name)
    return record


async def disable_connector(desk: Desk, principal: Principal, name: str, *, why: str) -> ConnectorRecord:
    """No call is made through it from now on; runs that need it are given to a person."""
    return await _set_disabled(desk, principal, name, why=why.strip()[:500] or "no reason was given")


async def enable_connector(desk: Desk, principal: Principal, name: str) -> ConnectorRecord:
    return await _set_disabled(desk, principal, name, why=None)


async def remove_connector(desk: Desk, principal: Principal, name: str) -> None:
    """Delete it with its secrets; what was done through it stays in the runs."""
    _require_admin(principal)
    async with desk.database.org_transaction(principal) as connection:
        found = await connectors.remove(connection, principal.org_id, name)
        if found is None:
            raise _missing()
        await facts.record(connection, principal, "connector.removed", connector_id=found)
    await desk.connectors.forget(principal.org_id, name)


async def check_connector(desk: Desk, principal: Principal, name: str) -> Health:
    """Ask the system whether it answers and lets us in."""
    return await (await _hand(desk, principal, name)).health()


async def read_actions(desk: Desk, principal: Principal, name: str) -> Offered:
    """What runbooks may call; raises `Unavailable(connector_unreachable)` when the system had to be asked and was silent."""
    hand = await _hand(desk, principal, name)
    try:
        actions = await hand.actions()
    except ConnectorError as error:
        raise _unreachable(error) from None
    return Offered(actions, hand.unclassified())


async def secret_names(desk: Desk, principal: Principal, name: str) -> list[str]:
    """Which secrets are set; their values are shown to nobody."""
    _require_admin(principal)
    async with desk.database.org_reading(principal) as connection:
        _there(await connectors.read(connection, principal.org_id, name))
        sealed = await connectors.read_sealed(connection, principal.org_id, name)
    return sorted(desk.connectors.unseal(principal.org_id, name, sealed))


def shown(record: ConnectorRecord) -> dict[str, Any]:
    """A connector as people see it: of an OpenAPI document its title, version and number of paths."""
    config = dict(record.config)
    document = config.get("openapi")
    if isinstance(document, Mapping):
        config["openapi"] = {**document.get("info", {}), "paths": len(document.get("paths", ()))}
    return {**asdict(record), "config": config}


async def _set_disabled(desk: Desk, principal: Principal, name: str, *, why: str | None) -> ConnectorRecord:
    _require_admin(principal)
    problems = unstorable(why or "", "why")
    if problems:
        raise refused(problems)
    async with desk.database.org_transaction(principal) as connection:
        record = _there(await connectors.set_disabled(connection, principal.org_id, name, why=why))
        kind = "connector.enabled" if why is None else "connector.disabled"
        await facts.record(connection, principal, kind, connector_id=record.id)
    await desk.connectors.forget(principal.org_id, name)
    return record


async def _hand(desk: Desk, principal: Principal, name: str) -> Hand:
    record = await read_connector(desk, principal, name)
    if record.disabled_at is not None:
        raise Conflict(f"The connector {name!r} is disabled. Enable it first.", code="connector_disabled")
    try:
        return await desk.connectors.use(principal.org_id, name)
    except ConnectorError as error:
        raise _unreachable(error) from None


async def _prepared(kind: Kind, opening: Opening, given: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return await kind.prepare(opening, given)
    except ConnectorError as error:
        raise _unreachable(error) from None


def _kind(desk: Desk, name: str) -> Kind:
    kind = desk.connectors.kinds.get(name)
    if kind is None:
        known = ", ".join(sorted(desk.connectors.kinds))
        raise refused([FieldProblem("kind", f"is not one of {known}")])
    return kind


def _check(config: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
    problems = unstorable(config, "config")
    if not problems and len(json.dumps(config, default=str)) > _LARGEST_CONFIG:
        problems.append(FieldProblem("config", f"is larger than {_LARGEST_CONFIG} bytes"))
    most = config.get("concurrency")
    if most is not None and not (isinstance(most, int) and not isinstance(most, bool) and 1 <= most <= 64):
        problems.append(FieldProblem("config.concurrency", "must be a number from 1 to 64"))
    if len(secrets) > _MOST_SECRETS:
        problems.append(FieldProblem("secrets", f"are more than {_MOST_SECRETS}"))
    for name, secret in secrets.items():
        if not _SECRET_NAME.fullmatch(name):
            problems.append(FieldProblem("secrets", "have names of small letters, digits and _"))
        elif not isinstance(secret, str) or not secret or len(secret) > _LONGEST_SECRET:
            problems.append(FieldProblem(f"secrets.{name}", f"must be a text of 1 to {_LONGEST_SECRET} characters"))
        elif not secret.isascii() or not secret.isprintable():
            problems.append(FieldProblem(f"secrets.{name}", "must be printable ASCII (is there a line break in it?)"))
    if problems:
        raise refused(problems)


def _leads_elsewhere(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether a changed configuration could carry secrets to where, or show them to whom, they were not given for."""
    addresses = {key for key, value in (*before.items(), *after.items()) if isinstance(value, str) and "://" in value}
    return any(before.get(key) != after.get(key) for key in addresses | _WAYS)


def _of_kind(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "concurrency"}


def _of_desk(config: Mapping[str, Any]) -> dict[str, Any]:
    """What every kind has, and no kind needs to know."""
    return {key: value for key, value in config.items() if key == "concurrency"}


def _merged(before: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**before, **given}.items() if value is not None}


def _there(record: ConnectorRecord | None) -> ConnectorRecord:
    if record is None:
        raise _missing()
    return record


def _missing() -> Missing:
    return Missing("There is no such connector.", code="no_connector")


def _unreachable(error: ConnectorError) -> Unavailable:
    return Unavailable(
        error.message, code="connector_unreachable", retry_after=error.retry_after, permanent=error.permanent
    )


def _require_admin(principal: Principal) -> None:
    if principal.role not in {"owner", "admin"}:
        raise Denied("Connectors are for owners and admins.", code="admin_only")


def _require_private(*, is_private: bool, may_be_private: bool) -> None:
    if is_private and not may_be_private:
        raise Denied(
            "This connector may reach private addresses, which only the operator allows: use the command line on the "
            "machine, or set ASOE_CONNECTOR_PRIVATE.",
            code="private_not_allowed",
        )
