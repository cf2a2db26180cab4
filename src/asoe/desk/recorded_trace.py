"""What is recorded of a ticket as spans with the times at which it happened: OTLP as JSON, for any collector, any time later.

One trace a ticket (its id), whether or not anybody listened then. Rows say it: passes with their agents, runs with their
steps and acts. What a span may hold is `asoe.tracing`'s to decide, as for those that are sent while it happens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any, Final
from uuid import UUID

from asoe import tracing
from asoe.desk.context import Desk
from asoe.domain.errors import Denied
from asoe.domain.organization import Principal
from asoe.domain.ticket import Ticket
from asoe.store import orchestrator, runbooks, runs, tickets
from asoe.store.runs import ActionRow, Run, StepRow

MOST_PASSES: Final = 1_000
MOST_RUNS: Final = 200
_INTERNAL: Final = 1
_ERROR: Final = 2


@dataclass(frozen=True, slots=True)
class _Treated:
    """One run with what it did."""

    run: Run
    runbook: str
    steps: Sequence[StepRow]
    actions: Sequence[ActionRow]


async def trace_of_ticket(desk: Desk, principal: Principal, ticket_id: UUID) -> dict[str, Any]:
    """The body of an OTLP request (`resourceSpans`); staff only. Raises `Missing(ticket_missing)`, `Denied(staff_only)`."""
    if principal.is_client:
        raise Denied("The record of the engine's passes is for staff.", code="staff_only")
    org_id = principal.org_id
    async with desk.database.org_reading(principal) as connection:
        ticket = await tickets.find(connection, org_id, ticket_id)
        passes = await orchestrator.runs_of_ticket(connection, org_id, ticket_id, limit=MOST_PASSES)
        found = await runs.list_runs(connection, org_id, ticket_id=ticket_id, limit=MOST_RUNS)
        ids = [run.id for run in found]
        names = {each.id: each.name for each in await runbooks.list_runbooks(connection, org_id, with_retired=True)}
        steps = await runs.steps_of(connection, org_id, ids)
        actions = await runs.actions_of(connection, org_id, ids)
    treated = [_Treated(run, names[run.runbook_id], steps.get(run.id, []), actions.get(run.id, [])) for run in found]
    return as_otlp(ticket, passes, treated)


def as_otlp(ticket: Ticket, passes: Iterable[Mapping[str, Any]], treated: Iterable[_Treated]) -> dict[str, Any]:
    """The rows as one trace: the ticket, below it each pass and each run, oldest first."""
    trace = ticket.id.hex
    below = [*_passes(trace, passes), *_runs(trace, treated)]
    ends = [ticket.created_at, *(each.ended for each in below)]
    root = _Span(
        trace,
        key="ticket",
        parent="",
        verb="ticket",
        began=ticket.created_at,
        ended=max(ends),
        given={
            "org_id": ticket.org_id,
            "ticket_id": ticket.id,
            "channel": ticket.channel,
            "category": ticket.category,
            "severity": ticket.severity,
            "intent": ticket.intent,
            "status": ticket.status,
            "team": ticket.team,
        },
    )
    spans = [root, *below]
    resource = {"service.name": "asoe", "service.version": version("asoe")}
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _listed(resource)},
                "scopeSpans": [
                    {
                        "scope": {"name": "asoe.recorded", "version": version("asoe")},
                        "spans": [span.to_json() for span in spans],
                    }
                ],
            }
        ]
    }


@dataclass(frozen=True, slots=True)
class _Span:
    trace: str
    key: str
    parent: str
    verb: str
    began: datetime
    ended: datetime
    given: Mapping[str, Any]
    of: str = ""
    error: str | None = None

    @property
    def id(self) -> str:
        return _id(self.trace, self.key)

    def to_json(self) -> dict[str, Any]:
        made: dict[str, Any] = {
            "traceId": self.trace,
            "spanId": self.id,
            "parentSpanId": _id(self.trace, self.parent) if self.parent else "",
            "name": tracing.named(self.verb, self.of),
            "kind": _INTERNAL,
            "startTimeUnixNano": _nanoseconds(self.began),
            "endTimeUnixNano": _nanoseconds(max(self.began, self.ended)),
            "attributes": _listed(tracing.attributes(**{**self.given, "error": self.error})),
        }
        return made if self.error is None else {**made, "status": {"code": _ERROR}}


def _passes(trace: str, passes: Iterable[Mapping[str, Any]]) -> Iterator[_Span]:
    for each in reversed(list(passes)):
        began, key = each["started_at"] or each["created_at"], f"pass:{each['id']}"
        given = {
            "spoken": "invoke_workflow",
            "workflow": each["entrypoint"],
            "orchestrator_run_id": each["id"],
            "initiator": each["initiator"],
            "plan": each["plan"][-1] if each["plan"] else None,
            "status": each["status"],
        }
        failed = None if each["error"] is None else "failed"
        yield _Span(
            trace, key, "ticket", "invoke_workflow", began, each["ended_at"] or began, given, each["entrypoint"], failed
        )
        for number, part in enumerate(each["invocations"]):
            started = datetime.fromisoformat(part["started_at"])
            ended = started if part["ended_at"] is None else datetime.fromisoformat(part["ended_at"])
            said = {**part["input"], **part["output"]}
            said |= {"agent": part["agent"], "spoken": "invoke_agent", "provider": "asoe", "status": part["status"]}
            if part["engine_type"] == "model":
                provider, _, model = str(part["input"].get("model", "")).partition(":")
                said |= {"spoken": "chat", "provider": provider, "model": model}
                said |= {"tokens_in": part["tokens_in"], "tokens_out": part["tokens_out"]}
            yield _Span(trace, f"{key}:{number}", key, "invoke_agent", started, ended, said, part["agent"])


def _runs(trace: str, treated: Iterable[_Treated]) -> Iterator[_Span]:
    for each in reversed(list(treated)):
        run, key = each.run, f"run:{each.run.id}"
        ends = [run.ended_at or run.created_at, *(step.at for step in each.steps if step.at)]
        given = {
            "run_id": run.id,
            "runbook": each.runbook,
            "mode": run.mode,
            "status": run.status,
            "reason": run.reason,
            "waiting_for": run.waiting_for,
        }
        yield _Span(trace, key, "ticket", "run", run.started_at or run.created_at, max(ends), given, each.runbook)
        rows: list[StepRow | ActionRow] = [*each.steps, *each.actions]
        rows.sort(key=lambda row: row.seq)
        yield from (_done(trace, key, row) for row in rows if isinstance(row, ActionRow) or row.at is not None)


def _done(trace: str, run: str, row: StepRow | ActionRow) -> _Span:
    """One step, at the time when it was written down, or one act from its intent to its outcome."""
    given: dict[str, Any] = {"step": row.path, "connector": row.connector, "action": row.action}
    if isinstance(row, StepRow):
        assert row.at is not None
        verb = "verify" if "/verify/" in row.path else "check" if row.kind == "observe" else row.kind
        return _Span(trace, f"{run}:{row.path}", run, verb, row.at, row.at, given, row.path)
    given |= {
        "risk": row.risk,
        "is_undo": row.is_undo,
        "status": row.status,
        "reason": row.reason,
        "tries": row.attempts,
    }
    failed = row.reason or row.status if row.status in {"failed", "unknown"} else None
    ended = row.ended_at or row.intended_at
    return _Span(trace, f"{run}:{row.path}:act", run, "act", row.intended_at, ended, given, row.path, failed)


def _id(trace: str, key: str) -> str:
    """Eight bytes that are the same at every export, and never all zero."""
    return hashlib.sha256(f"{trace}:{key}".encode()).hexdigest()[:15] + "1"


def _nanoseconds(at: datetime) -> str:
    return str(round(at.timestamp() * 1_000_000) * 1_000)


def _listed(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in attributes.items()]


def _value(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [_value(each) for each in value]}}
        case _:
            return {"stringValue": str(value)}
