"""Whoever opens a transaction to change something leaves a fact in it: read off the source, so that a new function is held to it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

DESK = Path(__file__).resolve().parents[2] / "src" / "asoe" / "desk"
CHANGING = {"org_transaction", "org_step"}
RECORDING = {"record", "record_all"}

# Statements of the store that write a fact with what they do (runs.sql).
BY_STATEMENT = {("runs", "start")}

# Functions that open a transaction of a caller's and leave no fact: what they do is no change that anybody could ask about.
NO_CHANGE = {
    "notification.mark_read": "what somebody has read is nobody else's business",
    "recommendation.ask": "the worker looks sooner than it would; nothing anybody decided changes",
    "presence.be_present": "being there changes nothing, and is forgotten within the hour",
}

# Changes whose facts hold no value before and after.
NO_VALUES = {
    "password_reset.use": "a password",
    "sign_in.change_password": "a password",
    "alerting.rotate": "a secret",
    "handling.name_tickets": "tickets are added to an incident: data names them",
}


def functions() -> dict[str, ast.AsyncFunctionDef | ast.FunctionDef]:
    """Every function of the desk at the top of its module or class, as `module.name`."""
    found: dict[str, ast.AsyncFunctionDef | ast.FunctionDef] = {}
    for path in sorted(DESK.rglob("*.py")):
        module = path.parent.name if path.name == "__init__.py" else path.stem
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inside = [node for outer in tree.body if isinstance(outer, ast.ClassDef) for node in outer.body]
        for node in [*tree.body, *inside]:
            if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
                found[f"{module}.{node.name}"] = node
    return found


def calls(node: ast.AST) -> Iterator[tuple[str, str]]:
    """(what it is called on, its name): `("facts", "record")`, `("", "_helper")`."""
    for each in ast.walk(node):
        if isinstance(each, ast.Call):
            if isinstance(each.func, ast.Attribute):
                yield (each.func.value.id if isinstance(each.func.value, ast.Name) else "", each.func.attr)
            elif isinstance(each.func, ast.Name):
                yield "", each.func.id


def opens_for_a_caller(node: ast.AST) -> bool:
    """Whether it opens a transaction in the name of who asked (`principal`), not of the engine."""
    return any(
        isinstance(each, ast.Call)
        and isinstance(each.func, ast.Attribute)
        and each.func.attr in CHANGING
        and isinstance(each.args[0], ast.Name)
        and each.args[0].id in {"principal", "actor"}
        for each in ast.walk(node)
    )


def leaves_a_fact(name: str, known: dict[str, ast.AsyncFunctionDef | ast.FunctionDef], seen: set[str]) -> bool:
    seen.add(name)
    module = name.partition(".")[0]
    for on, called in calls(known[name]):
        if (on == "facts" and called in RECORDING) or (on, called) in BY_STATEMENT:
            return True
        other = f"{on}.{called}" if on else f"{imported(module).get(called, module)}.{called}"
        if other in known and other not in seen and leaves_a_fact(other, known, seen):
            return True
    return False


@cache
def imported(module: str) -> dict[str, str]:
    """Functions that a module takes from another of the desk by name, and from which."""
    found = {}
    for path in DESK.rglob("*.py"):
        if module == (path.parent.name if path.name == "__init__.py" else path.stem):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module:
                    found |= {each.name: node.module.rpartition(".")[2] for each in node.names}
    return found


def test_every_desk_function_that_changes_something_for_a_caller_leaves_a_fact() -> None:
    known = functions()
    changing = {name for name, node in known.items() if opens_for_a_caller(node)}
    assert len(changing) > 50, "the law no longer sees the desk's functions"
    silent = {name for name in changing if not leaves_a_fact(name, known, set())}
    assert silent - NO_CHANGE.keys() == set(), "each leaves a fact, or stands in NO_CHANGE with its reason"
    assert NO_CHANGE.keys() <= silent, "what leaves a fact has no business in NO_CHANGE"


def test_every_fact_of_a_change_says_what_was_before_and_what_is_after() -> None:
    found = {}
    for name, node in functions().items():
        for call in ast.walk(node):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "record":
                kinds = [each.value for each in call.args if isinstance(each, ast.Constant)]
                if any(str(kind).endswith(".changed") for kind in kinds):
                    named = {each.arg for each in call.keywords}
                    found[name] = bool(named & {"values", "before", "fields"})
    assert len(found) > 10, "the law no longer sees the facts of changes"
    assert {name for name, says in found.items() if not says} == NO_VALUES.keys()
