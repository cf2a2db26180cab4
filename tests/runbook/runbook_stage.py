"""A stage for runbooks: a scripted outside world, and a player that answers the interpreter from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from asoe.desk.runbook.interpreter import interpret
from asoe.domain.runbook import (
    Act,
    Call,
    Effect,
    Ending,
    Fix,
    Goal,
    Guard,
    Inquire,
    Match,
    Observe,
    Observed,
    Passed,
    Patience,
    Pause,
    Perform,
    Performed,
    Read,
    Routine,
    Runbook,
    Slot,
    SlotReading,
    Step,
    Told,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
READ = Read(Call("estate", "get_account", {"email": "=contact.email"}), "account")
LOCKED = 'account.status == "locked"'
AT_ONCE = Patience()
ACTIVE = 'account.status == "active"'


@dataclass
class World:
    """Accounts by their status; what acts do to them; what was asked."""

    state: dict[str, Any] = field(default_factory=lambda: {"status": "locked", "fraud": False})
    effects: dict[str, Callable[[dict[str, Any]], Any]] = field(
        default_factory=lambda: {
            "unlock": lambda state: state.update(status="active"),
            "lock": lambda state: state.update(status="locked"),
        }
    )
    answers: dict[str, Any] = field(default_factory=dict)
    slots: dict[str, SlotReading] = field(default_factory=dict)
    effects_seen: list[Effect] = field(default_factory=list)
    on_pause: Callable[[dict[str, Any]], Any] = lambda state: None

    def tell(self, effect: Effect) -> Told:
        self.effects_seen.append(effect)
        match effect:
            case Observe():
                answer = self.answers.get(effect.call.action, self.answers.get(effect.path, dict(self.state)))
                return answer if isinstance(answer, Observed) else Observed(answer)
            case Perform():
                answer = self.answers.get(effect.call.action)
                if isinstance(answer, Performed):
                    return answer
                self.effects.get(effect.call.action, lambda state: None)(self.state)
                return Performed("done", answer)
            case Inquire():
                return self.slots.get(effect.slot.name, SlotReading(effect.slot.name, "absent"))
            case Pause():
                self.on_pause(self.state)
                return Passed()

    @property
    def acts(self) -> list[str]:
        return [effect.call.action for effect in self.effects_seen if isinstance(effect, Perform)]

    @property
    def paths(self) -> list[str]:
        return [effect.path for effect in self.effects_seen]


def play(
    runbook: Runbook,
    world: World,
    *,
    slots: Mapping[str, Any] | None = None,
    library: Mapping[str, Runbook] | None = None,
    most: int = 2_000,
) -> Ending:
    """Run to the end against a world."""
    going = interpret(runbook, environment=environment(slots), library=library)
    told: Told | None = None
    for _ in range(most):
        try:
            effect = going.send(told)  # type: ignore[arg-type]
        except StopIteration as stop:
            return stop.value
        told = world.tell(effect)
    raise AssertionError(f"no end after {most} effects")


def environment(slots: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {
        "ticket": {"number": 7, "subject": "locked out", "body": "help", "category": "account", "language": "en"},
        "contact": {"email": "ana@acme.test", "phone": "+15550100", "external_id": None, "name": "Ana"},
        "slots": dict(slots or {}),
        "now": NOW,
    }


def act(action: str = "unlock", **given: Any) -> Act:
    undo = given.pop("undo", None)
    return Act(
        Call("estate", action, {"email": "=contact.email"}), undo=Call("estate", undo) if undo else None, **given
    )


def fix(name: str = "unlock", *acts: Act, when: str = LOCKED, **given: Any) -> Fix:
    return Fix(name, given.pop("check", (READ,)), when, acts or (act(),), **given)


def book(
    *steps: Step, met: str = ACTIVE, patience: Patience = AT_ONCE, slots: tuple[Slot, ...] = (), **given: Any
) -> Runbook:
    return Runbook(
        name=given.pop("name", "unlock-account"),
        title="Unlock an account",
        resolution_type="auto_fix",
        match=Match(),
        connectors=given.pop("connectors", {"estate": "estate"}),
        slots=slots,
        routine=Routine(Goal((READ,), met, patience), steps or (fix(),)),
        **given,
    )


def guard(that: str, reason: str = "fraud", otherwise: Any = "escalate") -> Guard:
    return Guard(that, reason, otherwise)


def seconds(within: float, every: float) -> Patience:
    return Patience(timedelta(seconds=within), timedelta(seconds=every))
