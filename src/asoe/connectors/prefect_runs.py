"""What a flow run of Prefect tells: whether it is late, crashed or a zombie, and which of its states carries a key of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from asoe.connectors.contract import Json

STATE_TYPES: Final = (
    "SCHEDULED", "PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "CRASHED", "PAUSED", "CANCELLING",
)  # fmt: skip
ENDED: Final = frozenset({"COMPLETED", "FAILED", "CANCELLED", "CRASHED"})
_LONGEST: Final = 300


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a run may be late before it counts as such, and silent before it counts as a zombie."""

    late: timedelta
    silent: timedelta


def told_of(run: Mapping[str, Any], *, now: datetime, patience: Patience, last_event: datetime | None = None) -> Json:
    """A run as runbooks see it. `now` is Prefect's own clock; `last_event` the latest event about the run, where asked for."""
    state = run.get("state") or {}
    kind, name = run.get("state_type") or "", run.get("state_name") or ""
    seen = last_seen(run, last_event)
    due = moment(run.get("next_scheduled_start_time")) or moment(run.get("expected_start_time"))
    is_late = kind == "SCHEDULED" and (name == "Late" or (due is not None and now - due > patience.late))
    is_crashed = kind == "CRASHED"
    is_zombie = kind == "RUNNING" and now - seen > patience.silent
    return {
        "id": run["id"],
        "name": run.get("name") or "",
        "flow_id": run["flow_id"],
        "deployment_id": run.get("deployment_id") or "",
        "state_id": run.get("state_id") or "",
        "state_type": kind,
        "state_name": name,
        "message": (state.get("message") or "")[:_LONGEST],
        "is_late": is_late,
        "is_crashed": is_crashed,
        "is_zombie": is_zombie,
        "is_stuck": is_late or is_crashed or is_zombie,
        "is_moving": kind in {"PENDING", "COMPLETED"} or (kind == "RUNNING" and not is_zombie),
        "expected_start_time": run.get("expected_start_time"),
        "start_time": run.get("start_time"),
        "end_time": run.get("end_time"),
        "last_seen": seen.isoformat(),
        "run_count": run.get("run_count") or 0,
        "tags": list(run.get("tags") or ()),
    }


def last_seen(run: Mapping[str, Any], last_event: datetime | None = None) -> datetime:
    """The last sign of life: its row, its state, an event about it or its tasks (a heartbeat is one)."""
    signs = [moment(run.get("updated")), moment((run.get("state") or {}).get("timestamp")), last_event]
    return max(sign for sign in signs if sign is not None)


def is_maybe_silent(run: Mapping[str, Any], *, now: datetime, patience: Patience) -> bool:
    """Whether only its events can tell that it lives."""
    return run.get("state_type") == "RUNNING" and now - last_seen(run) > patience.silent


def moment(text: str | None) -> datetime | None:
    """A time of Prefect's, always with its zone."""
    return None if text is None else datetime.fromisoformat(text)


def transition_of(key: str) -> UUID:
    """The id under which Prefect itself refuses the same change a second time in a row."""
    return uuid5(NAMESPACE_URL, f"asoe:{key}")


def signed(words: str, key: str) -> str:
    """The message of a state that we set: people read it, and a probe finds the key in it."""
    return f"{words} asoe:{key}"


def state_of(states: Iterable[Mapping[str, Any]], key: str) -> Mapping[str, Any] | None:
    """The state that was set under this key, however many came after it."""
    mark = f"asoe:{key}"
    return next((state for state in states if mark in (state.get("message") or "").split()), None)


def told_of_state(state: Mapping[str, Any]) -> dict[str, Json]:
    return {
        "state_id": state["id"],
        "state_type": state["type"],
        "state_name": state.get("name") or "",
        "message": (state.get("message") or "")[:_LONGEST],
        "timestamp": state["timestamp"],
    }
