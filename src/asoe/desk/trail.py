"""The trail: an autonomous pass recorded as one orchestrator run with an invocation per agent (design §7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from asoe import tracing
from asoe.domain.language_model import ModelUsage
from asoe.store import orchestrator
from asoe.store.db import Connection
from asoe.store.orchestrator import Invocation, Run

FAILED: Final = "failed"
"""The outcome of a pass that came to nothing."""


@dataclass(slots=True)
class Trail:
    """Collects in memory while the pass thinks; written with what the pass did, in the same transaction."""

    clock: Callable[[], datetime]
    initiator: str
    entrypoint: str
    run_id: UUID = field(default_factory=uuid4)
    invocations: list[Invocation] = field(default_factory=list)
    read: dict[str, Any] = field(default_factory=dict)
    """What else the pass went by, found on the way: ids and classes, kept with its basis."""
    started_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.started_at = self.clock()

    @contextmanager
    def agent(self, name: str, **given: Any) -> Iterator[Callable[..., None]]:
        """Record one agent's part: `given` is its input summary, the yielded function notes its output."""
        started = self.clock()
        output: dict[str, Any] = {}
        with tracing.span("invoke_agent", of=name, agent=name, spoken="invoke_agent", provider="asoe") as span:
            span.note(**given)
            yield output.update
            span.note(**output)
        self.invocations.append(
            Invocation(
                agent=name, started_at=started, ended_at=self.clock(), input_summary=given, output_summary=output
            )
        )

    def consulted(
        self, agent: str, *, use: str, model: str, outcome: str, usage: ModelUsage, started_at: datetime
    ) -> None:
        """Record one consultation of a language model as the agent's part; what it was told and said stays out."""
        self.invocations.append(
            Invocation(
                agent=agent,
                started_at=started_at,
                ended_at=self.clock(),
                engine_type="model",
                input_summary={"use": use, "model": model},
                output_summary={"outcome": outcome},
                usage=usage,
            )
        )

    @property
    def spent(self) -> tuple[ModelUsage, ...]:
        """What this pass's consultations have cost by now."""
        return tuple(part.usage for part in self.invocations if part.engine_type == "model")

    async def save(
        self,
        connection: Connection,
        org_id: UUID,
        ticket_id: UUID,
        outcome: str,
        *,
        basis: Mapping[str, Any] | None = None,
        error: str | None = None,
    ) -> None:
        """Write the run; the last step of the plan is what came out, `basis` what it went by, `error` the class of what failed."""
        run = Run(
            id=self.run_id,
            ticket_id=ticket_id,
            initiator=self.initiator,
            entrypoint=self.entrypoint,
            plan=(*(part.agent for part in self.invocations), outcome),
            status="failed" if outcome == FAILED else "completed",
            started_at=self.started_at,
            ended_at=self.clock(),
            invocations=tuple(self.invocations),
            basis={} if basis is None else {**basis, "read": self.read},
            error=error,
        )
        await orchestrator.record_run(connection, org_id, run)
