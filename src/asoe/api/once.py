"""Idempotency-Key: a POST that is sent again with the same key has one effect, and gets the first response again.

The row of a key commits in the transaction of the effect: with the response where the desk function takes `remember`,
else as a claim, whose response is put in when it is known. Errors are not kept: a failed request may be sent again.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from starlette.responses import Response

from asoe.api.encoding import JSON, encode
from asoe.desk.context import Desk
from asoe.domain.errors import Conflict, FieldProblem, Invalid
from asoe.domain.organization import Principal
from asoe.store import idempotency
from asoe.store.db import Connection, Database

HEADER: Final = "idempotency-key"
_FORM: Final = re.compile(r"^[\x21-\x7e]{1,255}$")
_PATIENCE_SECONDS: Final = 2.0
_IN_FLIGHT: Final = timedelta(seconds=30)
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class ClaimingDatabase(Database):
    """A database whose first writing transaction claims the key of one request."""

    once: Once | None = None

    @asynccontextmanager
    async def org_transaction(self, principal: Principal) -> AsyncIterator[Connection]:
        async with Database.org_transaction(self, principal) as connection:
            if self.once is not None:
                await self.once.claim(connection)
            yield connection
        if self.once is not None:
            self.once.is_claimed = True


@dataclass(slots=True)
class Once:
    """One request with an Idempotency-Key; `request` is the hash of what was asked."""

    principal: Principal
    key: str
    request: bytes
    is_claimed: bool = False
    is_kept: bool = False

    def desk(self, desk: Desk) -> Desk:
        """The desk whose first writing transaction claims the key."""
        database = ClaimingDatabase(desk.database.app, desk.database.system, self)
        return replace(desk, database=database)

    def remember(
        self, show: Callable[[_Value], Any], status: int = 201
    ) -> Callable[[Connection, _Value], Awaitable[None]]:
        """What a desk function calls last in its transaction: keeps the response that `show` makes of the result."""

        async def keep(connection: Connection, value: _Value) -> None:
            await idempotency.remember(
                connection,
                self.principal,
                self.key,
                request=self.request,
                status=status,
                response=encode(show(value)).decode(),
            )
            self.is_kept = True

        return keep

    async def claim(self, connection: Connection) -> None:
        if not self.is_claimed:
            await idempotency.claim(connection, self.principal, self.key, request=self.request)

    async def settle(self, database: Database, status: int, response: bytes) -> None:
        """Keep the response of a request whose transaction only claimed the key."""
        if self.is_kept:
            return
        async with database.org_transaction(self.principal) as connection:
            await idempotency.settle(
                connection, self.principal, self.key, request=self.request, status=status, response=response.decode()
            )

    async def withdraw(self, database: Database) -> None:
        """Let a request that failed after its claim be sent again."""
        if self.is_claimed and not self.is_kept:
            async with database.org_transaction(self.principal) as connection:
                await idempotency.withdraw(connection, self.principal, self.key)

    async def first_response(self, database: Database, now: datetime) -> Response | None:
        """The response of an earlier request with this key; None when there was none.

        Raises `Invalid(idempotency_key_reused)` when that was another request, `Conflict` when its response is not known.
        """
        waited = 0.0
        while True:
            async with database.org_reading(self.principal) as connection:
                found = await idempotency.find(connection, self.principal, self.key)
            if found is None:
                return None
            if found.request != self.request:
                raise Invalid(
                    "Idempotency-Key: this key was used for another request. Take a new key for a new request.",
                    code="idempotency_key_reused",
                    fields=(FieldProblem("Idempotency-Key", "was used for another request"),),
                )
            if not found.is_claim:
                return Response(found.response, found.status, headers={"Idempotency-Replayed": "true"}, media_type=JSON)
            if waited >= _PATIENCE_SECONDS:
                raise _unknown(now - found.created_at)
            await asyncio.sleep(0.05)
            waited += 0.05


def read_key(value: str | None) -> str | None:
    """The header's value, checked; raises `Invalid(bad_idempotency_key)`."""
    if value is None or _FORM.match(value):
        return value
    problem = "must be 1 to 255 printable ASCII characters without spaces"
    raise Invalid(
        f"The header Idempotency-Key {problem}.",
        code="bad_idempotency_key",
        fields=(FieldProblem("Idempotency-Key", problem),),
        unreadable=True,
    )


def key_of_client(client_id: UUID, key: str) -> str:
    """Clients of the widget act by one account: each has keys of its own."""
    return f"client:{client_id}:{hashlib.sha256(key.encode()).hexdigest()}"


def hash_request(method: str, path: str, body: bytes) -> bytes:
    return hashlib.sha256(b"%s %s\n%s" % (method.encode(), path.encode(), body)).digest()


def _unknown(age: timedelta) -> Conflict:
    if age < _IN_FLIGHT:
        return Conflict(
            "The first request with this Idempotency-Key is not finished. Send it again in a moment.",
            code="idempotency_in_progress",
        )
    return Conflict(
        "The first request with this Idempotency-Key took effect, but its response was lost. Read the resource to see it.",
        code="idempotency_response_lost",
    )
