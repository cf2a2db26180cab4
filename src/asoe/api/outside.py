"""What both doors for outside agents (MCP and A2A) do with a call: delegate, do it once, and keep that it was made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import structlog
from pydantic_core import from_json, to_json

from asoe.api.door import Call
from asoe.api.once import Once, hash_request
from asoe.api.permissions import Rule, authorize
from asoe.desk import delegation
from asoe.desk.delegation import AgentCall
from asoe.domain.delegation import Delegation
from asoe.domain.errors import AsoeError, Denied
from asoe.domain.organization import Principal

_log = structlog.get_logger("asoe.agents")


@dataclass(slots=True)
class Trace:
    """What the record of one call will say."""

    tool: str
    via: Literal["mcp", "a2a"]
    changes: bool
    started_at: datetime
    outcome: str = "done"
    ticket_id: UUID | None = None
    run_id: UUID | None = None


def own_rights(principal: Principal, rules: Mapping[str, Rule]) -> Mapping[str, Denied | None]:
    """For each tool whether the caller's role and scopes allow it by themselves (None), or why not."""
    return {name: _denial(principal, rule) for name, rule in rules.items()}


async def delegated(call: Call, rules: Mapping[str, Rule]) -> Delegation:
    return await delegation.delegation_of(call.desk, call.principal, own_rights(call.principal, rules))


async def do_once(
    call: Call, trace: Trace, key: str | None, asked: Any, do: Callable[[Call], Awaitable[Any]]
) -> dict[str, Any]:
    """The result of `do` as plain JSON; with a key it has one effect, and a repeated call gets the first result.

    `asked` is what tells one request from another. Raises `Invalid(idempotency_key_reused)`, `Conflict`, what `do` raises.
    """
    if key is None:
        return _plain(await do(call))
    once = Once(call.principal, f"{trace.via}:{key}", hash_request(trace.via.upper(), trace.tool, to_json(asked)))
    try:
        made = await do(Call(call.gate, call.principal, once))
    except Exception as error:
        if not once.is_claimed:
            first = await once.first_response(call.desk.database, call.desk.clock())
            if first is not None:
                trace.outcome = "repeated"
                again: dict[str, Any] = from_json(bytes(first.body))
                return again
        elif isinstance(error, AsoeError):
            await once.withdraw(call.desk.database)
        raise
    shown = _plain(made)
    if once.is_claimed:
        await once.settle(call.desk.database, 200, to_json(shown))
    return shown


async def keep(call: Call, trace: Trace) -> None:
    """Record the call. The effect stands whether or not that succeeds: what happened has facts of its own."""
    try:
        await delegation.record(
            call.desk,
            call.principal,
            AgentCall(
                tool=trace.tool,
                via=trace.via,
                outcome=trace.outcome,
                started_at=trace.started_at,
                changes=trace.changes,
                ticket_id=trace.ticket_id,
                run_id=trace.run_id,
            ),
        )
    except Exception as error:
        _log.error("agent.unrecorded", tool=trace.tool, org_id=str(call.principal.org_id), error=type(error).__name__)


def _denial(principal: Principal, rule: Rule) -> Denied | None:
    try:
        authorize(principal, rule)
    except Denied as denied:
        return denied
    return None


def _plain(value: Any) -> dict[str, Any]:
    plain: dict[str, Any] = from_json(to_json(value, inf_nan_mode="null"))
    return plain
