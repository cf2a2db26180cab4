"""The connectors of all organizations, opened when first needed: `use` gives the hand that reads, acts and probes.

It decides how often and how many at once one system is called (breaker, concurrency) and holds secrets in memory only.
What may act is decided elsewhere; where a call may go, by the connector itself.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

import structlog

from asoe import tracing
from asoe.connectors.contract import (
    Action,
    Connector,
    ConnectorError,
    Health,
    Json,
    Probe,
    TransactionalConnector,
)
from asoe.connectors.kinds import Kind, Opening
from asoe.desk.breaker import OPENS_AFTER, Breaker
from asoe.desk.connector_trouble import TroubleNotes
from asoe.domain.connector import ConnectorRecord
from asoe.domain.errors import AsoeError
from asoe.domain.organization import Principal
from asoe.store import connectors, sealed
from asoe.store.db import Connection, Database
from asoe.tracing import measures

_log = structlog.get_logger(__name__)

PURPOSE: Final = "connector-secrets"
MOST_AT_ONCE: Final = 8
TIMEOUT: Final = 30.0
_ACTIONS_SECONDS: Final = 300.0
_IDLE_SECONDS: Final = 600.0
_CROWDED: Final = 256
_MARGIN: Final = 2.0

EngineOf = Callable[[UUID], Awaitable[Principal]]


@dataclass(slots=True)
class _Entry:
    """One opened connector of one organization; closed when retired and nobody uses it any more."""

    connector: Connector
    name: str
    org_id: UUID
    stamp: tuple[UUID, datetime] | None
    breaker: Breaker
    turns: asyncio.Semaphore
    users: int = 0
    used_at: float = 0.0
    is_retired: bool = False
    actions: Mapping[str, Action] = field(default_factory=dict)
    actions_until: float = 0.0
    notes: TroubleNotes | None = None


class Hand:
    """One connector as a run uses it. Every method raises `ConnectorError` and nothing else."""

    def __init__(self, entry: _Entry, now: Callable[[], float]) -> None:
        self._entry = entry
        self._now = now

    def __repr__(self) -> str:
        return f"Hand({self.name!r}, {self.kind!r})"

    @property
    def name(self) -> str:
        return self._entry.name

    @property
    def kind(self) -> str:
        return self._entry.connector.kind

    async def actions(self) -> Mapping[str, Action]:
        """What may be called, by name; asked of the system at most every few minutes."""
        entry = self._entry
        if self._now() >= entry.actions_until:
            entry.actions = await self._guarded(entry.connector.actions, TIMEOUT)
            entry.actions_until = self._now() + _ACTIONS_SECONDS
        return entry.actions

    def unclassified(self) -> Mapping[str, str]:
        """What the system offers and nobody may call yet, each with the reason."""
        told = getattr(self._entry.connector, "unclassified", None)
        return told() if callable(told) else {}

    async def read(self, action: str, arguments: Mapping[str, Json], *, timeout: float = TIMEOUT) -> Json:
        """Refuses any action that is known to have an effect."""
        known = (await self.actions()).get(action)
        if known is not None and known.risk != "read":
            raise ConnectorError(f"{self.name}: {action} is no read: its risk is {known.risk}.", permanent=True)
        with self._span("read", action):
            return await self._guarded(
                lambda left: self._entry.connector.read(action, arguments, timeout=left), timeout, is_timed=True
            )

    async def act(self, action: str, arguments: Mapping[str, Json], *, key: str, timeout: float = TIMEOUT) -> Json:
        """Once; the intent must have been written before."""
        with self._span("act", action):
            return await self._guarded(
                lambda left: self._entry.connector.act(action, arguments, key=key, timeout=left),
                timeout,
                is_timed=True,
                is_act=True,
            )

    async def probe(self, action: str, arguments: Mapping[str, Json], *, key: str, timeout: float = TIMEOUT) -> Probe:
        with self._span("probe", action) as span:
            found: Probe = await self._guarded(
                lambda left: self._entry.connector.probe(action, arguments, key=key, timeout=left),
                timeout,
                is_timed=True,
            )
            span.note(outcome=found.status)
        return found

    async def health(self) -> Health:
        """Asks the system even while the breaker is open, and closes it when it answers."""
        found = await self._looked_at()
        if found.is_up:
            await self._answered(is_certain=True)
        elif self._entry.notes is not None:
            await self._entry.notes.met(found.detail, None)
        return found

    async def _looked_at(self) -> Health:
        try:
            async with _using(self._entry, self._now):
                return await self._entry.connector.health()
        except ConnectorError as error:
            return Health(is_up=False, detail=error.message)
        except Exception as error:
            _log.exception("connector.health_failed", connector=self.name, error=type(error).__name__)
            return Health(is_up=False, detail=f"{self.name}: the check itself failed ({type(error).__name__}).")

    @contextlib.contextmanager
    def _span(self, operation: str, action: str) -> Iterator[tracing.Span]:
        """One call, as it is traced and timed."""
        began, outcome = time.monotonic(), "failed"
        known = self._entry.actions.get(action)
        try:
            with tracing.span(
                "connector",
                of=f"{self.name}.{action}",
                connector=self.name,
                connector_kind=self.kind,
                action=action,
                operation=operation,
                risk=None if known is None else known.risk,
            ) as span:
                yield span
            outcome = "answered"
        except ConnectorError as error:
            outcome = "missing" if error.is_missing else "refused" if error.permanent else "failed"
            raise
        finally:
            measures.took("asoe_connector_seconds", time.monotonic() - began, operation, outcome)

    async def close(self) -> None:
        """Nothing: the connector is closed by whoever opened it."""

    async def _guarded(
        self, call: Callable[..., Awaitable[Any]], timeout: float, *, is_timed: bool = False, is_act: bool = False
    ) -> Any:
        entry = self._entry
        wait = entry.breaker.wait()
        if wait is not None:
            raise ConnectorError(
                f"{self.name} did not answer several times in a row and is left alone for {wait:.0f} s.",
                permanent=False,
                retry_after=wait,
            )
        started = self._now()
        is_called = False
        try:
            async with _using(entry, self._now), asyncio.timeout(timeout + _MARGIN), _turn(entry, timeout):
                is_called = True
                left = max(0.001, timeout - (self._now() - started))
                result = await (call(left) if is_timed else call())
        except ConnectorError as error:
            await self._judge(error)
            raise
        except TimeoutError:
            failed = ConnectorError(
                f"{self.name}: no answer came in time.", permanent=False, effect="unknown" if is_act else "none"
            )
        except Exception as error:
            _log.exception("connector.broken", connector=self.name, kind=self.kind, error=type(error).__name__)
            failed = ConnectorError(
                f"{self.name}: the connector itself failed ({type(error).__name__}); the log says where.",
                permanent=True,
                effect="unknown" if is_act and is_called else "none",
            )
        except BaseException:
            entry.breaker.abandoned()
            raise
        else:
            await self._answered()
            return result
        await self._judge(failed)
        raise failed

    async def _answered(self, *, is_certain: bool = False) -> None:
        self._entry.breaker.succeeded()
        if self._entry.notes is not None:
            await self._entry.notes.ended(is_certain=is_certain)

    async def _judge(self, error: ConnectorError) -> None:
        """A refusal shows that the system is there; only silence and faults of its side count against it."""
        pause = None
        if error.permanent or error.retry_after is not None:
            self._entry.breaker.succeeded()
        else:
            pause = self._entry.breaker.failed()
            if pause is not None:
                _log.warning("connector.paused", org_id=str(self._entry.org_id), connector=self.name, seconds=pause)
        if self._entry.notes is not None and not error.is_missing:
            await self._entry.notes.met(error.message, pause, is_drift=error.is_drift)


class TransactionalHand(Hand):
    """The hand of a connector whose effect is in our own database: its act is part of the caller's transaction."""

    async def act_within(
        self, connection: Connection, action: str, arguments: Mapping[str, Json], *, key: str, org_id: UUID
    ) -> Json:
        ledger: Any = self._entry.connector
        with self._span("act", action):
            async with _using(self._entry, self._now):
                return await ledger.act_within(connection, action, arguments, key=key, org_id=org_id)


class Connectors:
    """The directory. One per process; close it with the application."""

    def __init__(
        self,
        database: Database | None,
        engine_of: EngineOf | None,
        *,
        keys: Sequence[bytes] = (),
        kinds: Mapping[str, Kind] = MappingProxyType({}),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`keys`: derived for PURPOSE, newest first."""
        self._database = database
        self._engine_of = engine_of
        self._keys = tuple(keys)
        self.kinds = kinds
        self._now = now
        self._entries: dict[tuple[UUID, str], _Entry] = {}
        self._fixed: Mapping[str, Connector] = {}
        self._opens_after = OPENS_AFTER

    def __repr__(self) -> str:
        return f"Connectors({len(self._entries)} open)"

    @classmethod
    def fixed(cls, mapping: Mapping[str, Connector], *, opens_after: int = sys.maxsize) -> Connectors:
        """The same connectors for every organization, by name, never left alone: for tests and rehearsals."""
        made = cls(None, None)
        made._fixed = mapping
        made._opens_after = opens_after
        return made

    async def use(self, org_id: UUID, name: str) -> Hand:
        """The organization's connector; raises `ConnectorError` when there is none that can be used, and why.

        Take it anew for every step: a change or a shut-down by an admin then counts from the next call on.
        """
        if self._database is None or self._engine_of is None:
            return await self._use_fixed(org_id, name)
        async with self._database.org_reading(await self._engine_of(org_id)) as connection:
            record = await connectors.read(connection, org_id, name)
            if record is None:
                raise ConnectorError(f"There is no connector {name!r}. Add it (asoe connector add).", permanent=True)
            if record.disabled_at is not None:
                why = f": {record.disabled_why}" if record.disabled_why else ""
                raise ConnectorError(f"The connector {name!r} is disabled{why}.", permanent=True)
            stamp = (record.id, record.updated_at)
            entry = self._known(org_id, name, stamp)
            secret = None if entry else await connectors.read_sealed(connection, org_id, name)
        entry = self._known(org_id, name, stamp)  # another call may have opened it meanwhile
        if entry is None:
            connector = self._open(org_id, record, secret)
            entry = await self._keep(org_id, name, connector, stamp=stamp, most=most_at_once(record.config))
        return self._hand(entry)

    async def missing(self, org_id: UUID, names: Iterable[str]) -> list[str]:
        """Those of `names` that the organization has no connector for; a disabled one is there."""
        if self._database is None or self._engine_of is None:
            known = set(self._fixed)
        else:
            async with self._database.org_reading(await self._engine_of(org_id)) as connection:
                known = {record.name for record in await connectors.list_all(connection, org_id)}
        return sorted(set(names) - known)

    def opening(self, org_id: UUID, record: ConnectorRecord, secret: bytes | None) -> Opening:
        """A stored connector with its secrets opened; raises `Unavailable(secrets_sealed)`."""
        config = {key: value for key, value in record.config.items() if key != "concurrency"}
        secrets = self.unseal(org_id, record.name, secret)
        return Opening(org_id, record.name, config, secrets, record.allow_private)

    def seal(self, org_id: UUID, name: str, secrets: Mapping[str, str]) -> bytes | None:
        if not secrets:
            return None
        return sealed.seal(self._keys, json.dumps(dict(secrets)).encode(), _about(org_id, name))

    def unseal(self, org_id: UUID, name: str, secret: bytes | None) -> dict[str, str]:
        return sealed_with(self._keys, org_id, name, secret)

    def sign(self, org_id: UUID, text: str) -> str:
        """Sixteen letters that only this installation can make for this organization and text."""
        return _signature(self._keys[0], org_id, text)

    def is_signed(self, org_id: UUID, text: str, signature: str) -> bool:
        """Whether `sign` made it, with whichever key there was then."""
        given = signature.encode()
        return any(hmac.compare_digest(_signature(key, org_id, text).encode(), given) for key in self._keys)

    async def forget(self, org_id: UUID, name: str) -> None:
        """Close what was opened before a change; other processes notice at their next use."""
        entry = self._entries.pop((org_id, name), None)
        if entry is not None:
            await _retire(entry)

    async def close(self) -> None:
        for entry in list(self._entries.values()):
            entry.is_retired = True
            await _close(entry)
        self._entries.clear()

    def _hand(self, entry: _Entry) -> Hand:
        is_ledger = isinstance(entry.connector, TransactionalConnector)
        return (TransactionalHand if is_ledger else Hand)(entry, self._now)

    def _known(self, org_id: UUID, name: str, stamp: tuple[UUID, datetime]) -> _Entry | None:
        entry = self._entries.get((org_id, name))
        return entry if entry is not None and entry.stamp == stamp else None

    async def _use_fixed(self, org_id: UUID, name: str) -> Hand:
        if name not in self._fixed:
            raise ConnectorError(f"There is no connector {name!r}.", permanent=True)
        entry = self._entries.get((org_id, name))
        if entry is None:
            entry = await self._keep(org_id, name, self._fixed[name], stamp=None, most=MOST_AT_ONCE)
        return self._hand(entry)

    def _open(self, org_id: UUID, record: ConnectorRecord, secret: bytes | None) -> Connector:
        kind = self.kinds.get(record.kind)
        if kind is None:
            raise ConnectorError(f"This installation has no connectors of kind {record.kind!r}.", permanent=True)
        try:
            return kind.open(self.opening(org_id, record, secret))
        except AsoeError as error:
            raise ConnectorError(
                f"The connector {record.name!r} cannot be opened: {error.message}", permanent=True
            ) from None

    async def _keep(
        self, org_id: UUID, name: str, connector: Connector, *, stamp: tuple[UUID, datetime] | None, most: int
    ) -> _Entry:
        before = self._entries.get((org_id, name))
        breaker = Breaker(self._now, opens_after=self._opens_after)
        entry = _Entry(connector, name, org_id, stamp, breaker, asyncio.Semaphore(most), used_at=self._now())
        if stamp is not None and self._database is not None and self._engine_of is not None:
            entry.notes = TroubleNotes(self._database, self._engine_of, org_id, stamp[0], now=self._now)
        self._entries[org_id, name] = entry
        if before is not None:
            await _retire(before)
        if len(self._entries) > _CROWDED:
            idle = self._now() - _IDLE_SECONDS
            for key, other in list(self._entries.items()):
                if other.users == 0 and other.used_at < idle:
                    del self._entries[key]
                    await _retire(other)
        return entry


def sealed_with(keys: Sequence[bytes], org_id: UUID, name: str, secret: bytes | None) -> dict[str, str]:
    """The secrets that were sealed with one of these keys; raises `Unavailable(secrets_sealed)`."""
    if secret is None:
        return {}
    opened: dict[str, str] = json.loads(sealed.unseal(keys, secret, _about(org_id, name)))
    return opened


def most_at_once(config: Mapping[str, Any]) -> int:
    """How many calls one process makes to a system at once (`concurrency`)."""
    most = config.get("concurrency", MOST_AT_ONCE)
    return most if isinstance(most, int) and 1 <= most <= 64 else MOST_AT_ONCE


@asynccontextmanager
async def _using(entry: _Entry, now: Callable[[], float]) -> AsyncIterator[None]:
    if entry.is_retired:
        raise ConnectorError(f"{entry.name} was changed just now: take it anew.", permanent=False, retry_after=0.1)
    entry.users += 1
    try:
        yield
    finally:
        entry.users -= 1
        entry.used_at = now()
        await _close_if_done(entry)


@asynccontextmanager
async def _turn(entry: _Entry, timeout: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(timeout):
            await entry.turns.acquire()
    except TimeoutError:
        raise ConnectorError(
            f"{entry.name}: too many calls at once; none was free in time.", permanent=False, retry_after=1.0
        ) from None
    try:
        yield
    finally:
        entry.turns.release()


async def _retire(entry: _Entry) -> None:
    entry.is_retired = True
    await _close_if_done(entry)


async def _close_if_done(entry: _Entry) -> None:
    if entry.is_retired and entry.users == 0:
        await _close(entry)


async def _close(entry: _Entry) -> None:
    with contextlib.suppress(Exception):
        await entry.connector.close()


def _signature(key: bytes, org_id: UUID, text: str) -> str:
    made = hmac.digest(key, b"reply\n" + org_id.bytes + text.encode(), "sha256")
    return base64.b32encode(made[:10]).decode().lower()


def _about(org_id: UUID, name: str) -> bytes:
    return org_id.bytes + name.encode()
