"""What is wrong or doubtful in a runbook, each with its line and a remedy. An error keeps it from loading; a warning does not.

What connectors offer is judged in `lint_calls.py`, and only when the caller knows it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal

from asoe.connectors.contract import Action
from asoe.desk.runbook.expressions import (
    REPLACED,
    ExpressionError,
    compile_expression,
    evaluate,
    expressions_in,
    unknown_functions,
)
from asoe.desk.runbook.functions import FUNCTIONS
from asoe.desk.runbook.language import STEP_KEYS, Written, duration, parse
from asoe.desk.runbook.lint_calls import CallProblem, act_problems, hearsay_of, read_problems
from asoe.desk.runbook.source import Path, Source
from asoe.desk.runbook.tokens import tokens_of
from asoe.domain.autonomy import check_window
from asoe.domain.errors import Invalid
from asoe.domain.runbook import MOST_EXAMPLES, Runbook

BASE: Final = frozenset({"ticket", "contact", "slots", "now"})
TAKEN: Final = BASE | {"amount", "result"}
_PROBES: Final[tuple[Any, ...]] = (None, {}, [], 0, 1, "", "x", True, False)

Actions = Mapping[str, Mapping[str, Action]]
Names = frozenset[str]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend: where, what, and how."""

    severity: Literal["error", "warning"]
    line: int
    path: Path
    problem: str
    remedy: str

    @property
    def is_error(self) -> bool:
        return self.severity == "error"

    def to_json(self) -> dict[str, Any]:
        place = ".".join(map(str, self.path))
        return {
            "severity": self.severity,
            "line": self.line,
            "path": place,
            "problem": self.problem,
            "remedy": self.remedy,
        }


def check(
    text: str, *, actions: Actions | None = None, library: Mapping[str, Runbook] | None = None
) -> tuple[Finding, ...]:
    """Everything that is wrong with this text, also when it cannot be read at all."""
    try:
        written = parse(text)
    except Invalid as error:
        return tuple(_unreadable(one.field, one.problem) for one in error.fields)
    return lint(written, actions=actions, library=library)


def lint(
    written: Written, *, actions: Actions | None = None, library: Mapping[str, Runbook] | None = None
) -> tuple[Finding, ...]:
    """Findings in the order of the text. `actions`: by alias and name; `library`: the organization's other runbooks."""
    linter = _Linter(written.source, written.runbook, actions, library)
    linter.all()
    return tuple(sorted(linter.findings, key=lambda finding: (finding.line, finding.path.__repr__())))


@dataclass(slots=True)
class _Linter:
    source: Source
    runbook: Runbook
    actions: Actions | None
    library: Mapping[str, Runbook] | None
    findings: list[Finding] = field(default_factory=list)
    used_slots: set[str] = field(default_factory=set)
    guarding_slots: set[str] = field(default_factory=set)
    used_connectors: set[str] = field(default_factory=set)
    calls: dict[str, set[str]] = field(default_factory=dict)
    is_open: bool = False  # it calls runbooks that nobody showed us: they may use what it declares

    def all(self) -> None:
        data = self.source.data
        self._match(data.get("match") or {})
        self._slots(data.get("slots") or [])
        for number, window in enumerate(data.get("hours") or []):
            if problem := check_window(window):
                self._error(("hours", number), f"{window!r} {problem}", "write days, times and a known time zone")
        self._limits(data, ())
        names = self._routine(data, (), BASE, "")
        for name, procedure in (data.get("procedures") or {}).items():
            parameters = frozenset(procedure.get("parameters") or ())
            for taken in sorted(parameters & TAKEN):
                self._error(("procedures", name, "parameters"), f"{taken!r} is taken", "choose another name")
            self._routine(procedure, ("procedures", name), BASE | parameters, name)
        self._replies(data.get("replies") or {}, names)
        self._procedures(data.get("procedures") or {})
        self._leftovers(data)

    # What belongs to the whole runbook.

    def _match(self, data: Mapping[str, Any]) -> None:
        if not any(data.get(name) for name in ("categories", "intents", "phrases", "when")):
            self._warn(("match",), "nothing says which tickets this is for", "add match: with phrases, intents or when")
        if "when" in data:
            self._expression(data["when"][1:], ("match", "when"), frozenset({"ticket", "contact"}))

    def _slots(self, slots: Sequence[Mapping[str, Any]]) -> None:
        seen: set[str] = set()
        for number, slot in enumerate(slots):
            path: Path = ("slots", number)
            if slot["name"] in seen:
                self._error((*path, "name"), f"the slot {slot['name']!r} is declared twice", "keep one of them")
            seen.add(slot["name"])
            if (slot["type"] == "choice") != ("choices" in slot):
                self._error(path, "a slot has choices exactly when its type is choice", "add or remove `choices`")
            if "pattern" in slot:
                self._pattern(slot, (*path, "pattern"))
            allowed = {"consent": ("given", "refused"), "choice": slot.get("choices", ()), "boolean": ("true", "false")}
            for value, said in (slot.get("examples") or {}).items():
                here: Path = (*path, "examples", value)
                if slot["type"] in allowed and value not in allowed[slot["type"]]:
                    wanted = ", ".join(allowed[slot["type"]])
                    self._error(here, f"{value!r} is no value of this slot", f"use one of {wanted}")
                if len(said) > MOST_EXAMPLES:
                    problem = f"there are {len(said)} phrasings for {value!r}; {MOST_EXAMPLES} are read"
                    self._error(here, problem, "keep the most different ones: the reader generalises")

    def _pattern(self, slot: Mapping[str, Any], path: Path) -> None:
        if slot["type"] != "identifier":
            self._warn(path, "only an identifier has a pattern", "remove it, or change the type")
        try:
            re.compile(slot["pattern"])
        except re.error as error:
            self._error(path, f"it is no regular expression ({error})", "escape signs like ( [ + with a backslash")

    def _replies(self, replies: Mapping[str, Mapping[str, str]], names: Names) -> None:
        for verdict, texts in replies.items():
            for language, text in texts.items():
                for expression in REPLACED.findall(text):
                    self._expression(expression.strip(), ("replies", verdict, language), names)

    def _procedures(self, procedures: Mapping[str, Any]) -> None:
        for name in procedures:
            if not any(name in called for caller, called in self.calls.items() if caller != name):
                self._warn(
                    ("procedures", name), f"nobody calls the procedure {name!r}", "remove it, or call it with do:"
                )
            if _reaches(self.calls, name, name):
                problem = f"the procedure {name!r} calls itself, directly or through others"
                self._error(("procedures", name), problem, "a goal is reached by steps, not by calling oneself")

    def _leftovers(self, data: Mapping[str, Any]) -> None:
        if self.is_open:
            return
        for number, slot in enumerate(data.get("slots") or []):
            name = slot["name"]
            if name not in self.used_slots:
                self._warn(("slots", number), f"the slot {name!r} is not used", "remove it, or use slots." + name)
            elif slot["type"] == "consent" and name not in self.guarding_slots:
                remedy = f'guard the act with `=slots.{name}.status == "given"`'
                self._warn(("slots", number), f"no guard asks for the consent {name!r}", remedy)
        for alias in data["connectors"]:
            if alias not in self.used_connectors:
                self._warn(("connectors", alias), f"the connector {alias!r} is not used", "remove it")

    # A routine: its goal, then its steps.

    def _routine(self, data: Mapping[str, Any], path: Path, names: Names, caller: str) -> Names:
        """The names that surely hold at its end."""
        goal, here = data["goal"], (*path, "goal")
        known = self._reads(goal["reads"], (*here, "reads"), names)
        self._expression(goal["met"][1:], (*here, "met"), known)
        bound = {read["into"] for read in goal["reads"]}
        self._must_decide(goal["met"][1:], bound, (*here, "met"), "the goal")
        self._patience(goal.get("patience"), (*here, "patience"))
        return self._steps(data["steps"], (*path, "steps"), known, caller)

    def _steps(self, steps: Sequence[Mapping[str, Any]], path: Path, names: Names, caller: str) -> Names:
        ended = False
        for number, step in enumerate(steps):
            here = (*path, number)
            if ended:
                self._warn(here, "this step is never reached", "remove it, or give the end before it a `when`")
                ended = False
            names = self._step(step, here, names, caller)
            ended |= ("escalate" in step or "refuse" in step) and "when" not in step
        return names

    def _step(self, step: Mapping[str, Any], path: Path, names: Names, caller: str) -> Names:
        kind = next(kind for kind in STEP_KEYS if kind in step)
        if "when" in step and kind != "fix":
            self._expression(step["when"][1:], (*path, "when"), names)
        match kind:
            case "lookup":
                names = self._read({**step, "into": step["lookup"]}, path, names)
                if "expect" in step:
                    self._expression(step["expect"]["that"][1:], (*path, "expect", "that"), names)
            case "let":
                for name, value in step["let"].items():
                    for expression in expressions_in(value):
                        self._expression(expression, (*path, "let", name), names)
                    names |= self._named(name, (*path, "let", name))
            case "fix":
                return self._fix(step, path, names)
            case "do":
                self._do(step, path, names, caller)
            case "each":
                self._expression(step["each"][1:], (*path, "each"), names)
                inner = names | self._named(step["as"], (*path, "as"))
                if "where" in step:
                    self._expression(step["where"][1:], (*path, "where"), inner)
                self._steps(step["steps"], (*path, "steps"), inner, caller)
            case "then":
                then = self._steps(step["then"], (*path, "then"), names, caller)
                other = self._steps(step.get("else") or [], (*path, "else"), names, caller)
                return then & other
            case "ask":
                self._asks(step["ask"], (*path, "ask"))
                self._is_positive(step.get("patience"), (*path, "patience"))
            case "wait":
                self._is_positive(step["wait"], (*path, "wait"))
        return names

    def _asks(self, slot: str, path: Path) -> None:
        self.used_slots.add(slot)
        if all(known.name != slot for known in self.runbook.slots):
            self._error(path, f"there is no slot {slot!r}", "declare it under slots:")

    def _fix(self, step: Mapping[str, Any], path: Path, names: Names) -> Names:
        after = known = self._reads(step["check"], (*path, "check"), names)
        self._expression(step["when"][1:], (*path, "when"), known)
        listed = step["act"] if isinstance(step["act"], list) else [step["act"]]
        for number, act in enumerate(listed):
            here: Path = (*path, "act", number) if isinstance(step["act"], list) else (*path, "act")
            known = self._act(act, here, known, guards=step.get("guards") or [], path_of_guards=(*path, "guards"))
        verify = step.get("verify") or {}
        if "that" in verify:
            reads = verify.get("reads") or []
            self._must_not_hear([*reads, verify["that"]], hearsay_of(listed, self.actions), (*path, "verify"))
            known = self._reads(reads, (*path, "verify", "reads"), known)
            bound = {read["into"] for read in reads or step["check"]}
            self._expression(verify["that"][1:], (*path, "verify", "that"), known)
            self._must_decide(verify["that"][1:], bound, (*path, "verify", "that"), "the verification")
        else:
            bound = {read["into"] for read in step["check"]}
            self._must_decide(
                f"!({step['when'][1:]})", bound, (*path, "when"), "the check, which is the verification as well,"
            )
        self._patience(verify.get("patience"), (*path, "verify", "patience"))
        return after

    def _act(
        self,
        act: Mapping[str, Any],
        path: Path,
        names: Names,
        *,
        guards: Sequence[Mapping[str, Any]],
        path_of_guards: Path,
    ) -> Names:
        seen = names
        if "amount" in act:
            self._template(act["amount"], (*path, "amount"), names)
            seen |= {"amount"}
        placed = [(guard, (*path_of_guards, number)) for number, guard in enumerate(guards)]
        placed += [(guard, (*path, "guards", number)) for number, guard in enumerate(act.get("guards") or [])]
        consents = {slot.name for slot in self.runbook.slots if slot.type == "consent"}
        asked: set[str] = set()
        for guard, here in placed:
            self._expression(guard["that"][1:], (*here, "that"), seen)
            asked |= _slot_names(guard["that"][1:]) & consents
            if "ask" in guard:
                self._asks(guard["ask"], (*here, "ask"))
                if guard["ask"] not in _slot_names(guard["that"][1:]):
                    problem = f"the answer for {guard['ask']!r} changes nothing for this guard"
                    self._error((*here, "ask"), problem, f"use slots.{guard['ask']} in `that`, or leave `ask` out")
        self.guarding_slots |= asked
        self._call(act, path, seen)
        if "once_per" in act:
            self._expression(act["once_per"][1:], (*path, "once_per"), seen)
        if "when" in (act.get("approval") or {}):
            self._expression(act["approval"]["when"][1:], (*path, "approval", "when"), seen)
        self._is_positive((act.get("approval") or {}).get("expires_after"), (*path, "approval", "expires_after"))
        self._limits(act, path)
        known = names | (self._named(act["into"], (*path, "into")) if "into" in act else frozenset())
        if "undo" in act:
            self._call(act["undo"], (*path, "undo"), seen | known)
        problems = act_problems(act, self.actions)
        is_money = "amount" in act or "once_per" in act
        if self.actions is not None:
            is_money = any(problem.is_costly for problem in problems)
        if consents and is_money and not asked:
            remedy = f'add a guard such as `=slots.{min(consents)}.status == "given"`, or remove the consent'
            self._warn(path, "the runbook asks for a consent, and this act is done without one", remedy)
        if self.actions is None and "amount" in act and "once_per" not in act:
            remedy = "add once_per: with what it may happen only once for, as in `=charge.id`"
            self._warn(path, "this act moves an amount and nothing keeps it from moving twice", remedy)
        self._report(problems, path)
        return known

    def _do(self, step: Mapping[str, Any], path: Path, names: Names, caller: str) -> None:
        given = step.get("with") or {}
        for name, value in given.items():
            self._template(value, (*path, "with", name), names)
        name = step["do"]
        self.calls.setdefault(caller, set()).add(name)
        if name in self.runbook.procedures:
            parameters = set(self.runbook.procedures[name].parameters)
        elif self.library is not None and name in self.library:
            self._borrowed(self.library[name], path)
            parameters = set(self.library[name].routine.parameters)
        elif name == self.runbook.name:
            self._error((*path, "do"), "the runbook calls itself", "name a procedure, or another runbook")
            return
        elif self.library is None:
            self.is_open = True
            self._warn((*path, "do"), f"{name!r} is no procedure of this file", "it must be a published runbook")
            return
        else:
            self._error(
                (*path, "do"), f"there is neither a procedure nor a runbook {name!r}", "declare it under procedures:"
            )
            return
        for missing in sorted(parameters - given.keys()):
            self._error(path, f"{name!r} needs {missing!r}", f"add with: {{{missing}: …}}")
        for extra in sorted(given.keys() - parameters):
            self._error(
                (*path, "with", extra), f"{name!r} takes no {extra!r}", "remove it, or declare it under parameters:"
            )

    def _borrowed(self, other: Runbook, path: Path) -> None:
        for name in sorted(set(other.connectors.values()) - set(self.runbook.connectors.values())):
            self._error(
                (*path, "do"), f"{other.name!r} uses the connector {name!r}", "declare it under connectors: as well"
            )
        self.used_slots |= {slot.name for slot in other.slots}
        self.guarding_slots |= {slot.name for slot in other.slots}
        own = {slot.name for slot in self.runbook.slots}
        for slot in other.slots:
            if slot.is_required and slot.name not in own:
                problem = f"{other.name!r} needs the slot {slot.name!r}, and nobody asks for it"
                self._warn((*path, "do"), problem, "declare it under slots: as well")
        for alias, name in self.runbook.connectors.items():
            if name in other.connectors.values():
                self.used_connectors.add(alias)

    # Reads, calls, expressions, durations.

    def _reads(self, reads: Sequence[Mapping[str, Any]], path: Path, names: Names) -> Names:
        for number, read in enumerate(reads):
            names = self._read(read, (*path, number), names)
        return names

    def _read(self, read: Mapping[str, Any], path: Path, names: Names) -> Names:
        self._call(read, path, names)
        if "select" in read:
            self._expression(read["select"][1:], (*path, "select"), names | {"result"})
        self._report(read_problems(read, self.actions), path)
        return names | self._named(read["into"], (*path, "into") if "lookup" not in read else (*path, "lookup"))

    def _call(self, data: Mapping[str, Any], path: Path, names: Names) -> None:
        alias = data["call"].split(".", 1)[0]
        self.used_connectors.add(alias)
        if alias not in self.runbook.connectors:
            known = ", ".join(sorted(self.runbook.connectors))
            self._error(
                (*path, "call"),
                f"there is no connector {alias!r}",
                f"declare it under connectors: (there are: {known})",
            )
        self._template(data.get("with") or {}, (*path, "with"), names)

    def _report(self, problems: Sequence[CallProblem], path: Path) -> None:
        for problem in problems:
            if problem.problem:
                say = self._error if problem.is_error else self._warn
                say((*path, *problem.path), problem.problem, problem.remedy)

    def _template(self, template: Any, path: Path, names: Names) -> None:
        if isinstance(template, Mapping):
            for name, inner in template.items():
                self._template(inner, (*path, name), names)
        elif isinstance(template, list):
            for number, inner in enumerate(template):
                self._template(inner, (*path, number), names)
        else:
            for expression in expressions_in(template):
                self._expression(expression, path, names)

    def _expression(self, expression: str, path: Path, names: Names) -> None:
        try:
            compiled = compile_expression(expression)
        except ExpressionError as error:
            remedy = "mend the expression; one with , : { } [ ] or # stands in single quotes where YAML would split it"
            self._error(path, error.message.rstrip("."), remedy)
            return
        for name in sorted(compiled.names - names):
            known = ", ".join(sorted(names))
            self._error(path, f"nothing is named {name!r} here", f"bind it before, or use one of: {known}")
        for name in unknown_functions(expression):
            own = ", ".join(sorted(FUNCTIONS))
            self._error(path, f"there is no function {name}()", f"CEL's own functions and these may be called: {own}")
        for slot in sorted(_slot_names(expression)):
            self.used_slots.add(slot)
            if all(declared.name != slot for declared in self.runbook.slots):
                self._error(path, f"there is no slot {slot!r}", "declare it under slots:")

    def _must_decide(self, expression: str, bound: set[str], path: Path, what: str) -> None:
        """A verification that is true whatever was read proves nothing."""
        try:
            names = compile_expression(expression).names
        except ExpressionError:
            return
        if not names & bound:
            remedy = f"say what must be true of {', '.join(sorted(bound))}"
            self._error(path, f"{what} does not depend on anything it reads", remedy)
        elif _is_always_true(expression, names):
            self._error(path, f"{what} is true whatever is read", "compare what was read with what it must be")

    def _must_not_hear(self, proof: Sequence[Any], hearsay: frozenset[str], path: Path) -> None:
        """A verification neither believes an outside agent nor asks where the agent points."""
        for expression in expressions_in(proof):
            try:
                heard = compile_expression(expression).names & hearsay
            except ExpressionError:
                continue
            if heard:
                problem = f"the verification goes by {min(heard)!r}, which is an outside agent's word"
                self._error(path, problem, "read a system of yours, by what was known before the agent was asked")

    def _named(self, name: str, path: Path) -> Names:
        if name in TAKEN:
            self._error(path, f"the name {name!r} is taken", "choose another name")
        return frozenset({name})

    def _limits(self, data: Mapping[str, Any], path: Path) -> None:
        for number, limit in enumerate(data.get("limits") or []):
            here = (*path, "limits", number)
            if limit["per"] != "run" and "window" not in limit:
                self._error(here, f"a limit per {limit['per']} needs a window", "add window: 24h")
            if "total" in limit and path and "amount" not in data:
                self._error(here, "a limit of a total needs the act's amount", "add amount: to the act")
            self._is_positive(limit.get("window"), (*here, "window"))

    def _patience(self, data: Mapping[str, Any] | None, path: Path) -> None:
        if data is None:
            return
        within, every = duration(data["within"]), duration(data.get("every", "2s"))
        self._is_positive(data.get("every"), (*path, "every"))
        if within < every:
            self._warn(path, "nothing is tried again: `every` is longer than `within`", "make `within` longer")
        if within > self.runbook.timeout:
            self._warn(
                path, "the run's timeout ends before this patience does", "lengthen timeout:, or shorten within:"
            )

    def _is_positive(self, text: str | None, path: Path) -> None:
        if text is not None and duration(text) <= timedelta(0):
            self._error(path, f"{text!r} is no time at all", "use at least 1s")

    def _error(self, path: Path, problem: str, remedy: str) -> None:
        self.findings.append(Finding("error", self.source.line(path), path, problem, remedy))

    def _warn(self, path: Path, problem: str, remedy: str) -> None:
        self.findings.append(Finding("warning", self.source.line(path), path, problem, remedy))


def _slot_names(expression: str) -> set[str]:
    """The slots an expression names, as `slots.phone` or `slots["phone"]`."""
    tokens = tokens_of(expression)
    found = set()
    for place, token in enumerate(tokens):
        if token.text != "slots" or (place and tokens[place - 1].text == "."):
            continue
        after = [one.text for one in tokens[place + 1 : place + 3]]
        if after[:1] == ["."]:
            found.add(after[1])
        elif after[:1] == ["["] and len(after) > 1:
            found.add(after[1].strip("'\""))
    return found


def _is_always_true(expression: str, names: Names) -> bool:
    """True for null, for empty things, and for every literal the expression itself compares with."""
    written = [token.text for token in tokens_of(expression) if token.kind in {"text", "int", "double"}]
    probes = [*_PROBES, *(evaluate(literal, {}) for literal in written)]
    for probe in probes:
        try:
            if evaluate(expression, dict.fromkeys(names, probe)) is not True:
                return False
        except ExpressionError:
            return False
    return True


def _reaches(calls: Mapping[str, set[str]], start: str, wanted: str) -> bool:
    seen: set[str] = set()
    waiting = list(calls.get(start, ()))
    while waiting:
        name = waiting.pop()
        if name == wanted:
            return True
        if name not in seen:
            seen.add(name)
            waiting += calls.get(name, ())
    return False


def _unreadable(place: str, problem: str) -> Finding:
    """A reader's problem (`line 12: steps.2`, `what; remedy`) as a finding."""
    head, _, path = place.partition(": ")
    what, _, remedy = problem.partition("; ")
    parts = tuple(int(part) if part.isdigit() else part for part in path.split(".")) if path != "the document" else ()
    return Finding("error", int(head.removeprefix("line ")), parts, what, remedy)
