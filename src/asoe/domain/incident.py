"""Incidents: many tickets, one cause. What tickets have in common (keys), how an incident stands, and an organization's rules for them.

Pure. Who is part of one, who is told and what is mended are the desk's questions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from asoe.domain.errors import FieldProblem, Invalid
from asoe.domain.intent import may_be_intent
from asoe.domain.service_level import read_duration

STATUSES: Final[dict[str, str]] = {
    "suspected": "many tickets look alike; clients are told nothing before a person or equal failed checks confirm it",
    "open": "it is so: clients are told, a runbook is started where one is named",
    "fixing": "a runbook is at the cause",
    "mended": "the cause is mended; each ticket is checked on its own",
    "closed": "every ticket of it is settled",
    "dismissed": "it was none",
}
SOURCES: Final = ("person", "checks", "alert", "spike")
OUTCOMES: Final[dict[str, str]] = {
    "mended": "its own check holds, and the client was told",
    "broken": "its own check does not hold: a person has it",
    "left": "it went another way: a person or the client ended it, or the incident was dismissed",
}
ENDED: Final = frozenset({"closed", "dismissed"})
TELLING: Final = frozenset({"open", "fixing", "mended"})
"""Incidents that take tickets in and tell their clients."""

SHARED_REASONS: Final = frozenset(
    {"incident", "check_failed", "goal_not_met", "verification_failed", "act_failed", "connector_down"}
)
"""Reasons of a run's end that may have a cause which other tickets have, too."""

MOST_FIXES: Final = 100
_CLUES: Final = ("check", "connector", "intent", "runbook", "alert")


@dataclass(frozen=True, slots=True)
class Fix:
    """Which runbook mends the cause of incidents with this clue; `slots` names where each slot's value comes from."""

    runbook: str
    check: str | None = None
    connector: str | None = None
    intent: str | None = None
    of: str | None = None
    alert: Mapping[str, str] = field(default_factory=dict)
    slots: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AlertRule:
    """What alerts with these labels are about: the check of tickets' runs that is the same place, or an intent. `arguments` name labels."""

    labels: Mapping[str, str] = field(default_factory=dict)
    check: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    intent: str = ""
    is_suspected: bool = False
    is_ignored: bool = False

    def holds(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(name) == value for name, value in self.labels.items())

    def place(self, labels: Mapping[str, str]) -> dict[str, Any]:
        """The check's call, with arguments from the labels; empty when one of them is missing."""
        connector, _, action = self.check.partition(".")
        found = {argument: labels[label] for argument, label in self.arguments.items() if label in labels}
        if not action or len(found) < len(self.arguments):
            return {}
        return {"connector": connector, "action": action, "arguments": found}


@dataclass(frozen=True, slots=True)
class IncidentRules:
    """`clients` with equal failed checks `within` that time make an incident, `alike` with equally failed runs a suspicion."""

    clients: int = 5
    alike: int = 10
    within: timedelta = timedelta(hours=1)
    fixes: tuple[Fix, ...] = ()
    alerts: tuple[AlertRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Incident:
    """One row. `keys` are what its tickets have in common; `known` is what clients are told, empty: the engine's own words."""

    id: UUID
    org_id: UUID
    number: int
    title: str
    source: str
    status: str
    keys: tuple[str, ...]
    place: Mapping[str, Any]
    known: str
    fix: str
    slots: Mapping[str, Any]
    run_id: UUID | None
    trouble: str
    opened_by: UUID | None
    opened_at: datetime
    since: datetime
    confirmed_at: datetime | None = None
    mended_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def is_telling(self) -> bool:
        return self.status in TELLING


@dataclass(frozen=True, slots=True)
class Sign:
    """What a ticket's run found that others may share: a key, and the call that found it (empty for runs that ended alike)."""

    key: str
    place: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def is_check(self) -> bool:
        """Whether a runbook itself calls it shared; else it is a suspicion: a call may fail for one client's own reason, too."""
        return self.key.startswith("check:")


def intent_key(intent: str) -> str:
    return f"intent:{intent}"


def runbook_key(runbook_id: UUID) -> str:
    return f"runbook:{runbook_id}"


def alike_key(runbook_id: UUID, reason: str, step: str) -> str:
    """Runs of one runbook that ended at one step for one reason."""
    return f"runbook:{runbook_id}/{reason}/{step}"


def alert_key(source_id: UUID, group: str) -> str:
    """Alerts that their sender tells as one group."""
    return f"alert:{source_id}:{hashlib.sha256(group.encode()).hexdigest()[:24]}"


def connector_key(connector: str) -> str:
    """Calls of one connector that are not answered."""
    return f"connector:{connector}"


def check_key(connector: str, action: str, arguments: Any) -> str:
    """One check of one place: the same call with the same arguments. Arguments may name a person, so only their hash is kept."""
    text = json.dumps(arguments or {}, sort_keys=True, separators=(",", ":"), default=str)
    return f"check:{connector}.{action}:{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def named_key(incident_id: UUID) -> str:
    """Tickets that a person named."""
    return f"named:{incident_id}"


def keys_of(incident_keys: Sequence[str]) -> tuple[str, ...]:
    """The keys by which tickets are taken in: those that name a place outweigh runbooks and intents, which say less."""
    said = tuple(key for key in incident_keys if key.startswith("named:"))
    placed = tuple(key for key in incident_keys if key.startswith(("check:", "connector:")))
    alike = tuple(key for key in incident_keys if key.startswith(("runbook:", "intent:")))
    return (*said, *(placed or alike))


def fix_of(
    rules: IncidentRules,
    keys: Sequence[str],
    *,
    place: Mapping[str, Any],
    labels: Mapping[str, str],
    names: Sequence[str],
) -> Fix | None:
    """The first fix all of whose clues hold; `names`: the runbooks whose runs failed, `labels`: those of an alert."""
    check = f"{place.get('connector')}.{place.get('action')}" if place else None
    connectors = {key.removeprefix("connector:") for key in keys if key.startswith("connector:")}
    intents = {key.removeprefix("intent:") for key in keys if key.startswith("intent:")}
    for fix in rules.fixes:
        clues = (
            fix.check is None or fix.check == check,
            fix.connector is None or fix.connector in connectors,
            fix.intent is None or fix.intent in intents,
            fix.of is None or fix.of in names,
            all(labels.get(name) == value for name, value in fix.alert.items()),
        )
        if all(clues):
            return fix
    return None


def values_for(fix: Fix, *, place: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, str]:
    """Values of the slots that the fix names, from the arguments of the check and the labels of the alert."""
    known = {**labels, **{str(name): value for name, value in (place.get("arguments") or {}).items()}}
    return {
        slot: str(known[name]) for slot, name in fix.slots.items() if isinstance(known.get(name), str | int | float)
    }


def read_incident_rules(stored: Mapping[str, Any]) -> IncidentRules:
    """Read `incidents` of an organization's settings; raises `Invalid(bad_incidents)` naming each wrong field."""
    given = stored.get("incidents")
    if given is None:
        return IncidentRules()
    problems: list[FieldProblem] = []
    if not isinstance(given, Mapping):
        problems.append(FieldProblem("incidents", "must be an object"))
        given = {}
    known = ("clients", "alike", "within", "fixes", "alerts")
    problems.extend(
        FieldProblem(f"incidents.{name}", f"is not known; {', '.join(known)} are")
        for name in given
        if name not in known
    )
    within = read_duration(given.get("within", "1h"))
    if within is None or within > timedelta(hours=24):
        problems.append(FieldProblem("incidents.within", "must be a time such as 1h or 30m, at most 24h"))
    rules = IncidentRules(
        clients=_count(given, "clients", 5, problems),
        alike=_count(given, "alike", 10, problems),
        within=within or timedelta(hours=1),
        fixes=_read_fixes(given.get("fixes") or (), problems),
        alerts=_read_alerts(given.get("alerts") or (), problems),
    )
    if problems:
        listed = "; ".join(f"{problem.field}: {problem.problem}" for problem in problems)
        raise Invalid(f"The rules for incidents are wrong: {listed}.", code="bad_incidents", fields=tuple(problems))
    return rules


def _count(given: Mapping[str, Any], name: str, default: int, problems: list[FieldProblem]) -> int:
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 2 <= value <= 10_000:
        problems.append(FieldProblem(f"incidents.{name}", "must be a whole number from 2 to 10000"))
        return default
    return value


def _read_fixes(given: Any, problems: list[FieldProblem]) -> tuple[Fix, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) > MOST_FIXES:
        problems.append(FieldProblem("incidents.fixes", f"must be a list of at most {MOST_FIXES}"))
        return ()
    found = []
    for index, row in enumerate(given):
        path = f"incidents.fixes.{index}"
        if not isinstance(row, Mapping):
            problems.append(FieldProblem(path, f"must be an object with run, slots and one of {', '.join(_CLUES)}"))
            continue
        known = ("run", "slots", *_CLUES)
        problems.extend(
            FieldProblem(f"{path}.{name}", f"is not known; {', '.join(known)} are") for name in row if name not in known
        )
        texts: dict[str, str | None] = {}
        for name in ("run", "check", "connector", "intent", "runbook"):
            value = row.get(name)
            if value is not None and (not isinstance(value, str) or not value):
                problems.append(FieldProblem(f"{path}.{name}", "must be a name"))
                value = None
            texts[name] = value
        maps = {name: _texts(row.get(name) or {}, f"{path}.{name}", problems) for name in ("alert", "slots")}
        if not texts["run"]:
            problems.append(FieldProblem(f"{path}.run", "must name the runbook that mends it"))
        if not any((texts["check"], texts["connector"], texts["intent"], texts["runbook"], maps["alert"])):
            problems.append(FieldProblem(path, f"needs a clue: one of {', '.join(_CLUES)}"))
        found.append(
            Fix(
                runbook=texts["run"] or "",
                check=texts["check"],
                connector=texts["connector"],
                intent=texts["intent"],
                of=texts["runbook"],
                alert=maps["alert"],
                slots=maps["slots"],
            )
        )
    return tuple(found)


def _read_alerts(given: Any, problems: list[FieldProblem]) -> tuple[AlertRule, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) > MOST_FIXES:
        problems.append(FieldProblem("incidents.alerts", f"must be a list of at most {MOST_FIXES}"))
        return ()
    found = []
    for index, row in enumerate(given):
        path = f"incidents.alerts.{index}"
        known = ("labels", "check", "arguments", "intent", "suspected", "ignore")
        if not isinstance(row, Mapping) or not set(row) <= set(known):
            problems.append(FieldProblem(path, f"must be an object with {', '.join(known)}"))
            continue
        check, intent = row.get("check") or "", row.get("intent") or ""
        if not isinstance(check, str) or (check and not all(check.partition("."))):
            problems.append(FieldProblem(f"{path}.check", "must be CONNECTOR.ACTION"))
            check = ""
        if not isinstance(intent, str) or (intent and not may_be_intent(intent)):
            problems.append(FieldProblem(f"{path}.intent", "is not one of the intents that triage knows"))
            intent = ""
        problems.extend(
            FieldProblem(f"{path}.{name}", "must be true or false")
            for name in ("suspected", "ignore")
            if not isinstance(row.get(name, False), bool)
        )
        found.append(
            AlertRule(
                labels=_texts(row.get("labels") or {}, f"{path}.labels", problems),
                check=check,
                arguments=_texts(row.get("arguments") or {}, f"{path}.arguments", problems),
                intent=intent,
                is_suspected=row.get("suspected", False) is True,
                is_ignored=row.get("ignore", False) is True,
            )
        )
    return tuple(found)


def _texts(given: Any, path: str, problems: list[FieldProblem]) -> dict[str, str]:
    if not isinstance(given, Mapping) or not all(isinstance(value, str) for value in given.values()):
        problems.append(FieldProblem(path, "must map names to texts"))
        return {}
    return {str(name): str(value) for name, value in given.items()}
