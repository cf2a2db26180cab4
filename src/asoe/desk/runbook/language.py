"""The language of runbooks: YAML text → `Runbook`. Shape is judged by the schema, sense by the linter; nothing is run here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from asoe.desk.runbook.source import Path, Source, read_source, refused
from asoe.domain.runbook import (
    Act,
    ApprovalRule,
    Ask,
    Call,
    Condition,
    Each,
    End,
    Fix,
    Goal,
    Guard,
    Let,
    Limit,
    Lookup,
    Match,
    Patience,
    Procedure,
    Read,
    Routine,
    Runbook,
    Slot,
    Step,
    Wait,
    When,
)

STEP_KEYS: Final = ("lookup", "let", "fix", "do", "each", "then", "ask", "wait", "escalate", "refuse")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_MOST_PROBLEMS: Final = 50


@dataclass(frozen=True, slots=True)
class Written:
    """A runbook and the text it was read from."""

    runbook: Runbook
    source: Source


def read_runbook(text: str) -> Runbook:
    """The runbook this text says; raises `Invalid(bad_runbook)` that names every line with an error, and what to do."""
    from asoe.desk.runbook.lint import lint

    written = parse(text)
    errors = [(finding.path, f"{finding.problem}; {finding.remedy}") for finding in lint(written) if finding.is_error]
    if errors:
        raise refused(written.source, errors)
    return written.runbook


def parse(text: str) -> Written:
    """Like `read_runbook`, without asking the linter whether it makes sense."""
    source = read_source(text)
    problems = problems_of(source, _validator())
    if problems:
        raise refused(source, problems)
    return Written(_runbook(source.data), source)


@cache
def schema() -> Mapping[str, Any]:
    """The JSON Schema (draft 2020-12) of a runbook's YAML."""
    found: Mapping[str, Any] = json.loads(files(__package__).joinpath("runbook.schema.json").read_text("utf-8"))
    return found


def duration(text: str) -> timedelta:
    """`90s`, `10m`, `48h`, `7d`."""
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


def problems_of(source: Source, validator: Draft202012Validator) -> list[tuple[Path, str]]:
    """What the shape lacks: each place once, in words."""
    found: dict[tuple[Path, str], None] = {}
    for error in validator.iter_errors(source.data):
        for path, problem in _in_words(error):
            found.setdefault((path, problem))
            if len(found) >= _MOST_PROBLEMS:
                return list(found)
    return list(found)


def _in_words(error: ValidationError) -> Iterable[tuple[Path, str]]:
    path: Path = tuple(error.absolute_path)
    told = error.schema if isinstance(error.schema, Mapping) else {}
    rule: Any = error.validator_value
    given: Any = error.instance
    match error.validator:
        case "required":
            missing = next(name for name in rule if name not in given and f"'{name}'" in error.message)
            yield path, f"{missing!r} is missing; add it"
        case "additionalProperties" if rule is False:
            known = sorted(told.get("properties", {}))
            for name in sorted(set(given) - set(known)):
                near = get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"here stand: {', '.join(known)}"
                if not name.replace("-", "_").isidentifier():
                    hint = "if an expression was cut here, put the whole of it in single quotes"
                yield (*path, name), f"nobody knows {name!r}; {hint}"
        case "pattern":
            yield (
                path,
                f"{_shown(given)} does not fit; {told.get('patternErrorMessage', 'it must match ' + str(rule))}",
            )
        case "enum":
            near = get_close_matches(str(given), list(map(str, rule)), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(map(str, rule))}"
            yield path, f"{_shown(given)} is not known here; {hint}"
        case "type":
            kinds = {
                "object": "a mapping (key: value)",
                "array": "a list",
                "string": "a text",
                "integer": "a whole number",
            }
            wanted = kinds.get(str(rule), f"a {rule}")
            yield path, f"{_shown(given)} is not {wanted}; write {wanted}"
        case "anyOf" if "per" in told.get("properties", {}):
            yield path, "a limit needs 'count' or 'total'; add one"
        case "anyOf":
            yield (
                path,
                f"this is no step; one begins with {', '.join(STEP_KEYS[:5])}, when/then, {', '.join(STEP_KEYS[6:])}",
            )
        case "dependentRequired":
            yield path, "'that' is missing beside 'reads'; say what must be true of them"
        case "minItems" | "minLength" | "minProperties":
            yield path, "it is empty; write at least one"
        case "maxItems" | "maxLength" | "maxProperties":
            yield path, f"there are more than {rule}; use fewer"
        case "minimum" | "maximum":
            side = "at least" if error.validator == "minimum" else "at most"
            yield path, f"{given} is out of range; use {side} {rule}"
        case _:
            yield path, error.message


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else f"{value!r}"
    return text if len(text) <= 80 else text[:77] + "…"


# From here on the shape is known to be right.


def _runbook(data: Mapping[str, Any]) -> Runbook:
    return Runbook(
        name=data["runbook"],
        title=data["title"],
        resolution_type=data["resolution_type"],
        match=_match(data.get("match") or {}),
        connectors=dict(data["connectors"]),
        slots=tuple(_slot(slot) for slot in data.get("slots") or ()),
        routine=_routine(data),
        procedures={name: _routine(one) for name, one in (data.get("procedures") or {}).items()},
        replies={verdict: dict(texts) for verdict, texts in (data.get("replies") or {}).items()},
        description=data.get("description", ""),
        timeout=duration(data.get("timeout", "10m")),
        most_acts=data.get("most_acts", 20),
        limits=_limits(data),
        hours=tuple(data.get("hours") or ()),
    )


def _match(data: Mapping[str, Any]) -> Match:
    lists = {name: tuple(data.get(name) or ()) for name in ("categories", "intents", "phrases", "unlike")}
    return Match(**lists, when=_expression(data.get("when")))


def _slot(data: Mapping[str, Any]) -> Slot:
    return Slot(
        name=data["name"],
        type=data["type"],
        question=dict(data["question"]),
        is_required=data.get("required", True),
        choices=tuple(data.get("choices") or ()),
        examples={value: tuple(said) for value, said in (data.get("examples") or {}).items()},
        unit=data.get("unit"),
        pattern=data.get("pattern"),
    )


def _routine(data: Mapping[str, Any]) -> Routine:
    goal = data["goal"]
    return Routine(
        Goal(_reads(goal["reads"]), goal["met"][1:], _patience(goal.get("patience"))),
        _steps(data["steps"]),
        tuple(data.get("parameters") or ()),
    )


def _steps(data: Iterable[Mapping[str, Any]]) -> tuple[Step, ...]:
    """Ids say what a step is; of equal ones the second is called -2."""
    taken: set[str] = set()
    found = []
    for step in data:
        wanted = _id(step)
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted}-{number}", number + 1
        taken.add(name)
        found.append(_step(step, name))
    return tuple(found)


def _id(step: Mapping[str, Any]) -> str:
    for kind in ("lookup", "fix", "do"):
        if kind in step:
            return str(step[kind])
    if "each" in step:
        return f"each-{step['as']}"
    if "ask" in step:
        return f"ask-{step['ask']}"
    return "when" if "then" in step else next(kind for kind in STEP_KEYS if kind in step)


def _step(data: Mapping[str, Any], name: str) -> Step:
    when = _expression(data.get("when"))
    kind = next(kind for kind in STEP_KEYS if kind in data)
    match kind:
        case "lookup":
            expect = _guard(data["expect"]) if "expect" in data else None
            return Lookup(name, _read({**data, "into": data["lookup"]}), expect)
        case "let":
            return Let(name, {bound: _literal(value) for bound, value in data["let"].items()})
        case "fix":
            return _fix(data, name)
        case "do":
            return Procedure(name, data["do"], dict(data.get("with") or {}), when)
        case "each":
            where = _expression(data.get("where"))
            return Each(name, data["each"][1:], data["as"], _steps(data["steps"]), where, data.get("most", 100))
        case "then":
            return When(name, data["when"][1:], _steps(data["then"]), _steps(data.get("else") or ()))
        case "ask":
            return Ask(name, data["ask"], when, duration(data.get("patience", "48h")))
        case "wait":
            return Wait(name, duration(data["wait"]))
    return End(name, "escalated" if kind == "escalate" else "refused", data[kind], when, data.get("note", ""))


def _fix(data: Mapping[str, Any], name: str) -> Fix:
    check = _reads(data["check"])
    listed = data["act"] if isinstance(data["act"], list) else [data["act"]]
    guards = _guards(data)
    verify = data.get("verify") or {}
    condition = None
    if "that" in verify:
        condition = Condition(_reads(verify["reads"]) if "reads" in verify else check, verify["that"][1:])
    return Fix(
        id=name,
        check=check,
        when=data["when"][1:],
        acts=tuple(_act(act, guards) for act in listed),
        verify=condition,
        patience=_patience(verify.get("patience")),
        still_broken=data.get("still_broken", "escalate"),
    )


def _act(data: Mapping[str, Any], guards: tuple[Guard, ...]) -> Act:
    approval = data.get("approval")
    amount = data.get("amount")
    return Act(
        call=_call(data),
        guards=(*guards, *_guards(data)),
        limits=_limits(data),
        once_per=_expression(data.get("once_per")),
        amount=None if amount is None else _literal(amount),
        unit=data.get("unit"),
        undo=_call(data["undo"]) if "undo" in data else None,
        approval=None if approval is None else _approval(approval),
        into=data.get("into"),
    )


def _approval(data: Mapping[str, Any]) -> ApprovalRule:
    return ApprovalRule(
        people=data.get("people", 1),
        role=data.get("role", "agent"),
        expires_after=duration(data.get("expires_after", "24h")),
        when=_expression(data.get("when")) or "true",
    )


def _limits(data: Mapping[str, Any]) -> tuple[Limit, ...]:
    return tuple(
        Limit(
            per=limit["per"],
            window=duration(limit["window"]) if "window" in limit else None,
            count=limit.get("count"),
            total=Decimal(str(limit["total"])) if "total" in limit else None,
            reason=limit.get("reason", "over_cap"),
        )
        for limit in data.get("limits") or ()
    )


def _guards(data: Mapping[str, Any]) -> tuple[Guard, ...]:
    return tuple(_guard(guard) for guard in data.get("guards") or ())


def _guard(data: Mapping[str, Any]) -> Guard:
    ask = data.get("ask", "")
    return Guard(data["that"][1:], data["reason"], data.get("otherwise", "escalate"), data.get("note", ""), ask)


def _reads(data: Iterable[Mapping[str, Any]]) -> tuple[Read, ...]:
    return tuple(_read(read) for read in data)


def _read(data: Mapping[str, Any]) -> Read:
    return Read(_call(data), data["into"], _expression(data.get("select")))


def _call(data: Mapping[str, Any]) -> Call:
    connector, action = data["call"].split(".", 1)
    return Call(connector, action, dict(data.get("with") or {}))


def _patience(data: Mapping[str, Any] | None) -> Patience:
    if data is None:
        return Patience()
    return Patience(duration(data["within"]), duration(data.get("every", "2s")))


def _expression(text: str | None) -> str | None:
    return None if text is None else text[1:]


def _literal(value: Any) -> str:
    """An expression as it is, or a literal as the CEL that says it."""
    if isinstance(value, str) and value.startswith("="):
        return value[1:]
    return json.dumps(value, ensure_ascii=False)
