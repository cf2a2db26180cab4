"""Recorded cases: a runbook played against answers written down, and a run that happened written down as such a case.

Nothing outside is touched. A call that nobody recorded fails its case, and so does an answer that nobody asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

from jsonschema import Draft202012Validator

from asoe.desk.runbook.interpreter import interpret
from asoe.desk.runbook.language import problems_of
from asoe.desk.runbook.source import read_source, refused
from asoe.domain.runbook import (
    Call,
    Consent,
    Effect,
    Ending,
    Inquire,
    Observe,
    Observed,
    Passed,
    Perform,
    Performed,
    Runbook,
    SlotReading,
    Told,
)

MOST_EFFECTS: Final = 10_000
_NOW: Final = "2026-01-01T12:00:00Z"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded answer; `arguments` None: for any. `after`: only once this act was done."""

    call: str
    arguments: Mapping[str, Any] | None
    told: Mapping[str, Any]
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """How a case must end; None: not compared."""

    verdict: str
    reason: str | None = None
    acts: tuple[Mapping[str, Any], ...] | None = None
    asked: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One recorded case."""

    name: str
    environment: Mapping[str, Any]
    answers: Mapping[str, Any]
    calls: tuple[Recorded, ...]
    expected: Expected
    mode: Literal["live", "shadow", "dry_run"] = "live"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case went; it passed when nothing differs."""

    name: str
    verdict: str
    reason: str
    differences: tuple[str, ...]
    acts: tuple[Mapping[str, Any], ...] = ()
    note: str = ""
    step: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_passed(self) -> bool:
        return not self.differences

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "passed": self.has_passed,
            "verdict": self.verdict,
            "reason": self.reason,
            "note": self.note,
            "differences": list(self.differences),
            "acts": list(self.acts),
        }


def read_cases(text: str) -> tuple[Case, ...]:
    """Cases from YAML or JSON; raises `Invalid(bad_runbook)` with lines and remedies."""
    source = read_source(text)
    if problems := problems_of(source, _validator()):
        raise refused(source, problems)
    cases = []
    for number, data in enumerate(source.data["cases"]):
        try:
            cases.append(case_of(data))
        except ValueError:
            place = ("cases", number, "now")
            raise refused(source, [(place, "it is no time; write it like 2026-01-31T12:00:00Z")]) from None
    return tuple(cases)


def play(
    runbook: Runbook,
    case: Case,
    *,
    library: Mapping[str, Runbook] | None = None,
    interpreter: Callable[..., Generator[Effect, Told, Ending]] = interpret,
) -> Outcome:
    """Run one case to its end, and compare."""
    stage = _Stage(case, list(case.calls), interpreter)
    ending = stage.run(runbook, library or {})
    if ending is None:
        return Outcome(case.name, "", "", tuple(stage.differences), tuple(stage.acts))
    stage.compare(ending)
    return Outcome(
        case.name,
        ending.verdict,
        ending.reason,
        tuple(stage.differences),
        tuple(stage.acts),
        ending.note,
        step=ending.step,
        evidence=ending.evidence,
    )


def record(
    name: str,
    *,
    runbook: Runbook,
    environment: Mapping[str, Any],
    steps: Sequence[Mapping[str, Any]],
    actions: Sequence[Mapping[str, Any]],
    verdict: str,
    reason: str,
    mode: str = "live",
) -> dict[str, Any]:
    """A run that happened, as a case for `cases:`.

    `environment`: what the run was given. `steps`, `actions`: its rows (`seq`, `path`, `connector`, `action`, `arguments` and
    `kind`, `told`; or `status`, `value`, `reason`, `error`, `business_key`, `amount`, `is_undo`). The rows name connectors
    by their names in the organization, the case by the runbook's aliases. It holds what the run read: look before sharing it.
    """
    aliases = {connector: alias for alias, connector in runbook.connectors.items()}
    rows = sorted((*steps, *actions), key=lambda row: int(row["seq"]))
    calls, acts, answers, asked = [], [], {}, []
    for row in rows:
        told = row.get("told") or {}
        if row.get("kind") == "inquire":
            slot = (row.get("arguments") or {}).get("slot") or str(row["path"]).rsplit("/", 1)[-1]
            asked.append(slot)
            if told.get("status") == "read":
                answers[slot] = told.get("value")
        elif row.get("kind") != "pause":
            call = {
                "call": f"{aliases.get(row['connector'], row['connector'])}.{row['action']}",
                "with": row["arguments"],
            }
            if "kind" in row:
                calls.append({**call, **_read_row(told)})
                continue
            acts.append({**call, **_identity(row)})
            if mode == "live":
                calls.append({**call, **_act_row(row)})
    given = {part: environment[part] for part in ("ticket", "contact") if environment.get(part)}
    slots = {slot: slot_json(reading) for slot, reading in (environment.get("slots") or {}).items()}
    now = environment.get("now")
    case = {
        "name": name,
        "mode": mode,
        "now": now.isoformat() if isinstance(now, datetime) else now,
        **given,
        "slots": {slot: value for slot, value in slots.items() if value is not None},
        "answers": answers,
        "calls": calls,
        "expect": {"verdict": verdict, "reason": reason, "acts": acts, "asked": asked},
    }
    kept: dict[str, Any] = {part: value for part, value in case.items() if value or part in {"calls", "expect"}}
    return kept


@dataclass(slots=True)
class _Stage:
    case: Case
    left: list[Recorded]
    interpreter: Callable[..., Generator[Effect, Told, Ending]]
    used: list[int] = field(default_factory=list)
    acts: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    def run(self, runbook: Runbook, library: Mapping[str, Runbook]) -> Ending | None:
        """None when a call came that nobody recorded, or no end."""
        going = self.interpreter(runbook, environment=self.case.environment, library=library)
        told: Told | None = None
        for _ in range(MOST_EFFECTS):
            try:
                effect = next(going) if told is None else going.send(told)
            except StopIteration as stop:
                ending: Ending = stop.value
                return ending
            told = self._tell(effect)
            if told is None:
                return None
        self.differences.append(f"after {MOST_EFFECTS} effects there was no end")
        return None

    def compare(self, ending: Ending) -> None:
        expected = self.case.expected
        if ending.verdict != expected.verdict:
            where = f" at {ending.step}: {ending.reason}. {ending.note}" if ending.step else ""
            self.differences.append(f"verdict: expected {expected.verdict}, was {ending.verdict}{where}".strip())
        if expected.reason is not None and ending.reason != expected.reason:
            self.differences.append(f"reason: expected {expected.reason}, was {ending.reason}")
        if expected.asked is not None and tuple(self.asked) != expected.asked:
            self.differences.append(f"asked: expected {list(expected.asked)}, was {self.asked}")
        if expected.acts is not None:
            self._compare_acts(expected.acts)
        for recorded in self.left:
            if id(recorded) not in self.used:
                self.differences.append(
                    f"nobody asked for the recorded answer of {_named(recorded.call, recorded.arguments)}"
                )

    def _compare_acts(self, expected: Sequence[Mapping[str, Any]]) -> None:
        for number, act in enumerate(expected):
            if number >= len(self.acts):
                self.differences.append(f"act {number + 1}: {_named(act['call'], act.get('with'))} was not done")
                continue
            done = self.acts[number]
            for part, given in {"undo": False, **act}.items():
                wanted = str(given) if part == "once_per" else given
                if not _is_same(done.get(part), wanted):
                    self.differences.append(
                        f"act {number + 1}: {part}: expected {_json(wanted)}, was {_json(done.get(part))}"
                    )
        for number, done in enumerate(self.acts[len(expected) :], start=len(expected) + 1):
            self.differences.append(f"act {number}: {_named(done['call'], done['with'])} was not expected")

    def _tell(self, effect: Effect) -> Told | None:
        match effect:
            case Observe():
                recorded = self._recorded(effect.call, effect.path)
                return None if recorded is None else _observed(recorded.told)
            case Perform():
                self.acts.append(_act(effect))
                if self.case.mode != "live":
                    return Performed("simulated")
                recorded = self._recorded(effect.call, effect.path)
                return None if recorded is None else _performed(recorded.told)
            case Inquire():
                name = effect.slot.name
                self.asked.append(name)
                if name in self.case.answers:
                    return SlotReading(name, "read", self.case.answers[name], source="recorded", confidence=1.0)
                return SlotReading(name, "absent")
        return Passed()

    def _recorded(self, call: Call, path: str) -> Recorded | None:
        """The next answer for exactly these arguments, else for any; the last one is given again and again."""
        name = f"{call.connector}.{call.action}"
        exact = [one for one in self.left if one.call == name and _is_same(one.arguments, call.arguments)]
        fitting = self._timely(exact) or self._timely(
            [one for one in self.left if one.call == name and one.arguments is None]
        )
        if not fitting:
            self.differences.append(f"unexpected call at {path}: {_named(name, call.arguments)} was not recorded")
            return None
        found = fitting[0]
        self.used.append(id(found))
        if len(fitting) > 1:
            self.left = [one for one in self.left if one is not found]
        return found

    def _timely(self, recorded: Sequence[Recorded]) -> list[Recorded]:
        """Those after the latest act that any of them waits for; before it, those that wait for none."""
        for done in reversed(self.acts):
            if after := [one for one in recorded if one.after == done["call"]]:
                return after
        return [one for one in recorded if one.after is None]


def case_of(data: Mapping[str, Any]) -> Case:
    """A case as `record` wrote it, or as a file has it; raises ValueError when its `now` is no time."""
    expect = data["expect"]
    return Case(
        name=data["name"],
        environment={
            "ticket": data.get("ticket") or {},
            "contact": data.get("contact") or {},
            "slots": data.get("slots") or {},
            "now": datetime.fromisoformat(data.get("now", _NOW)),
        },
        answers=data.get("answers") or {},
        calls=tuple(
            Recorded(one["call"], one.get("with"), one, one.get("after"))
            for one in data["calls"]
            for _ in range(one.get("times", 1))
        ),
        expected=Expected(
            verdict=expect["verdict"],
            reason=expect.get("reason"),
            acts=tuple(expect["acts"]) if "acts" in expect else None,
            asked=tuple(expect["asked"]) if "asked" in expect else None,
        ),
        mode=data.get("mode", "live"),
    )


def _observed(told: Mapping[str, Any]) -> Observed:
    is_missing = bool(told.get("missing"))
    return Observed(told.get("gives"), told.get("fails") or ("it does not exist." if is_missing else None), is_missing)


def _performed(told: Mapping[str, Any]) -> Performed:
    status = told.get("status", "failed" if "fails" in told else "done")
    return Performed(status, told.get("gives"), reason=told.get("reason", ""), note=told.get("fails", ""))


def _act(perform: Perform) -> dict[str, Any]:
    return {
        "call": f"{perform.call.connector}.{perform.call.action}",
        "with": dict(perform.call.arguments),
        "once_per": perform.business_key,
        "amount": None if perform.amount is None else float(perform.amount),
        "undo": perform.is_undo,
    }


def _read_row(told: Mapping[str, Any]) -> dict[str, Any]:
    if told.get("is_missing"):
        return {"missing": True}
    return {"fails": told["error"]} if told.get("error") else {"gives": told.get("value")}


def _act_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the row of an act says it became; one that nobody can tell of stays unknown."""
    status = {"undone": "done", "intended": "unknown"}.get(row["status"], row["status"])
    told = {"status": status, "gives": row.get("value"), "reason": row.get("reason"), "fails": row.get("error")}
    return {part: value for part, value in told.items() if value is not None and (part, value) != ("status", "done")}


def _identity(row: Mapping[str, Any]) -> dict[str, Any]:
    amount = row.get("amount")
    found = {
        "once_per": row.get("business_key"),
        "amount": None if amount is None else float(amount),
        "undo": True if row.get("is_undo") else None,
    }
    return {part: value for part, value in found.items() if value is not None}


def slot_json(reading: Any) -> Any:
    """A reading as a case writes it: its value, when it was read."""
    if isinstance(reading, SlotReading):
        reading = reading.value if reading.status == "read" else None
    if isinstance(reading, Consent):
        amount = None if reading.amount is None else float(reading.amount)
        return {"status": reading.status, "amount": amount, "unit": reading.unit}
    if isinstance(reading, Mapping) and {"status", "value"} <= reading.keys():
        return reading["value"] if reading["status"] == "read" else None
    return float(reading) if isinstance(reading, Decimal) else reading


def _is_same(left: Any, right: Any) -> bool:
    return left is None if right is None else _json(_plain(left)) == _json(_plain(right))


def _plain(value: Any) -> Any:
    """JSON has one kind of number: 5 is 5.0, and "5" is not."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _named(call: str, arguments: Mapping[str, Any] | None) -> str:
    return call if arguments is None else f"{call} {_json(arguments)}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(files(__package__).joinpath("cases.schema.json").read_text("utf-8")))
