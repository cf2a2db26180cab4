"""Whether calls fit what connectors offer: actions by name and risk, arguments by schema, money by its business key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from asoe.connectors.contract import Action
from asoe.desk.runbook.expressions import ExpressionError, compile_expression, evaluate, expressions_in

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class CallProblem:
    """What does not fit; `is_costly` says that the act moves something that does not come back by itself."""

    path: Path
    problem: str
    remedy: str
    is_error: bool = True
    is_costly: bool = False


def read_problems(read: Mapping[str, Any], actions: Mapping[str, Mapping[str, Action]] | None) -> list[CallProblem]:
    """A check or a look-up may call nothing but actions of risk `read`."""
    action, problems = _found(read, actions)
    if action is None:
        return problems
    if action.risk != "read":
        problem = f"{read['call']!r} changes something (risk {action.risk}), and here it is only read"
        problems.append(CallProblem(("call",), problem, "read with an action of risk read; acts stand under act:"))
    return problems + _arguments(read, action)


def act_problems(act: Mapping[str, Any], actions: Mapping[str, Mapping[str, Action]] | None) -> list[CallProblem]:
    """An act has an effect, and one that costs happens once, or a person agrees to it."""
    action, problems = _found(act, actions)
    if action is None:
        return problems
    if action.risk == "read":
        problems.append(
            CallProblem(("call",), f"{act['call']!r} only reads", "put it under check:, or name an action that acts")
        )
    is_costly = action.risk in {"costly", "irreversible"}
    if is_costly:
        problems.append(CallProblem((), "", "", is_costly=True))
    if is_costly and "once_per" not in act:
        by_key = action.repeats == "by_key"
        remedy = "add once_per: with what it may happen only once for, as in `=charge.id`"
        problem = f"{act['call']!r} is {action.risk} and nothing keeps two runs from doing it twice"
        problems.append(CallProblem(("call",), problem, remedy, is_error=not by_key))
    if action.risk == "irreversible" and "approval" not in act:
        problem = f"{act['call']!r} is irreversible and is never done without a person's approval"
        problems.append(CallProblem(("call",), problem, "add approval: {people: 1, role: admin}"))
    if action.risk == "reversible" and "undo" not in act:
        offered = f"undo: {{call: {act['call'].split('.', 1)[0]}.{action.undo}}}" if action.undo else "undo: {call: …}"
        problem = f"{act['call']!r} can be undone and no undo is declared"
        problems.append(CallProblem(("call",), problem, f"add {offered}", is_error=False))
    if "undo" in act:
        undo, found = _found(act["undo"], actions)
        found = found + (_arguments(act["undo"], undo) if undo is not None else [])
        problems += [CallProblem(("undo", *one.path), one.problem, one.remedy, is_error=one.is_error) for one in found]
    return problems + _amounts(act, action) + _arguments(act, action)


def hearsay_of(acts: Sequence[Mapping[str, Any]], actions: Mapping[str, Mapping[str, Action]] | None) -> frozenset[str]:
    """Under which names the words of outside agents stand after these acts."""
    heard = set()
    for act in acts:
        action, _ = _found(act, actions)
        if action is not None and action.is_hearsay and "into" in act:
            heard.add(act["into"])
    return frozenset(heard)


def _amounts(act: Mapping[str, Any], action: Action) -> list[CallProblem]:
    """A declared amount is at least what the action moves, as far as both are written down."""
    if action.amount is None or "amount" not in act:
        return []
    if action.amount not in (act.get("with") or {}):
        problem = f"an amount is declared, and nothing tells {act['call']!r} how much to move"
        remedy = f"add with: {{{action.amount}: …}}; without it the action decides, and no cap can hold"
        return [CallProblem(("amount",), problem, remedy)]
    declared, moved = _written(act["amount"]), _written(act["with"][action.amount])
    if declared is None or moved is None or declared >= moved:
        return []
    problem = f"{act['call']!r} moves {moved} ({action.amount}), and the runbook declares {declared}"
    return [CallProblem(("amount",), problem, f"declare what is moved, in the same unit as {action.amount}")]


def _written(value: Any) -> Decimal | None:
    """The number that stands in the text; None when only a run can tell."""
    try:
        if isinstance(value, str) and value.startswith("="):
            if compile_expression(value[1:]).names:
                return None
            value = evaluate(value[1:], {})
        return None if value is None or isinstance(value, bool) else Decimal(str(value))
    except (ExpressionError, InvalidOperation):
        return None


def _found(
    data: Mapping[str, Any], actions: Mapping[str, Mapping[str, Action]] | None
) -> tuple[Action | None, list[CallProblem]]:
    alias, name = data["call"].split(".", 1)
    if actions is None or alias not in actions:
        return None, []
    if name in actions[alias]:
        return actions[alias][name], []
    near = get_close_matches(name, list(actions[alias]), n=1)
    known = ", ".join(sorted(actions[alias])[:20]) or "none"
    remedy = f"did you mean {alias}.{near[0]}?" if near else f"it has: {known}"
    return None, [CallProblem(("call",), f"the connector {alias!r} has no action {name!r}", remedy)]


def _arguments(data: Mapping[str, Any], action: Action) -> list[CallProblem]:
    """Literal arguments by their schema; what an expression gives is only known in a run."""
    given = data.get("with") or {}
    properties = action.arguments.get("properties") or {}
    problems = [
        CallProblem((), f"{data['call']!r} needs the argument {name!r}", f"add with: {{{name}: …}}")
        for name in action.arguments.get("required") or ()
        if name not in given
    ]
    for name, value in given.items():
        if name not in properties:
            if properties and action.arguments.get("additionalProperties") is False:
                known = ", ".join(sorted(properties))
                problems.append(
                    CallProblem(("with", name), f"{data['call']!r} takes no {name!r}", f"it takes: {known}")
                )
            continue
        if expressions_in(value):
            continue
        try:
            judge = Draft202012Validator(properties[name], registry=Registry())  # nothing is fetched
            wrong = next(iter(judge.iter_errors(value)), None)
        except (SchemaError, Unresolvable):
            continue
        if wrong is not None:
            remedy = "write what the connector's schema asks for"
            problems.append(
                CallProblem(("with", name), f"{data['call']!r} does not take this: {wrong.message}", remedy)
            )
    return problems
