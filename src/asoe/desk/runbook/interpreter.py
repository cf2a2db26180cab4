"""What a runbook does next, as a pure generator: it asks for reads, acts, answers and pauses, and is told what became of them.

The same runbook, environment and answers give the same effects with the same paths, which is what replays and idempotency
keys stand on. It decides nothing about autonomy, limits, approvals or time-outs: whoever carries it out does.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final, TypeAlias, TypeVar

from asoe.desk.runbook.expressions import ExpressionError, decide, evaluate, fill, fill_text, to_amount, to_json, to_key
from asoe.domain.runbook import (
    ASK_PATIENCE,
    RECOVERED,
    Act,
    Ask,
    Call,
    Condition,
    Consent,
    Each,
    Effect,
    End,
    Ending,
    Fix,
    Goal,
    Guard,
    Inquire,
    Let,
    Lookup,
    Observe,
    Observed,
    Passed,
    Patience,
    Pause,
    Perform,
    Performed,
    Procedure,
    Read,
    Routine,
    Runbook,
    Slot,
    SlotReading,
    Step,
    Told,
    Verdict,
    Wait,
    When,
)

DEEPEST_CALLS: Final = 8
LONGEST_EVIDENCE: Final = 8_000
MOST_EVIDENCE: Final = 200
_AT_ONCE: Final = Patience()
_ABSENT: Final = {"status": "absent", "amount": None, "unit": None}

Names: TypeAlias = dict[str, Any]
T = TypeVar("T")


def interpret(
    runbook: Runbook, *, environment: Mapping[str, Any], library: Mapping[str, Runbook] | None = None
) -> Generator[Effect, Told, Ending]:
    """Yields what is to be done, is sent what became of it, and returns how the run ended.

    `environment`: `ticket`, `contact`, `slots` (name → `SlotReading` or plain value) and `now`, as they were when the run
    began: a replay must be given the same ones, and later answers of the client as answers to `Inquire`. `library`: the
    organization's other runbooks, which procedures may name.
    """
    return _Run(runbook, library or {}).all(dict(environment))


class _Ended(Exception):
    """Unwinds the run from wherever it ended; never leaves this module."""

    def __init__(self, verdict: Verdict, reason: str, *, step: str, note: str = "") -> None:
        super().__init__(reason)
        self.ending = Ending(verdict, reason, note=note, step=step)


@dataclass(frozen=True, slots=True)
class _Done:
    """An act that took effect, and how to take it back."""

    path: str
    act: Act
    undo: Call | None
    problem: str = ""


@dataclass(slots=True)
class _Frame:
    """One routine under way: whose runbook it is, the path of its goal, and whether its goal may have changed since checked."""

    runbook: Runbook
    goal: Goal
    path: str
    depth: int
    checks: int = 0
    is_stale: bool = False


@dataclass(slots=True)
class _Run:
    runbook: Runbook
    library: Mapping[str, Runbook]
    paths: set[str] = field(default_factory=set)
    places: set[str] = field(default_factory=set)
    cache: dict[tuple[str, str, str], Observed] = field(default_factory=dict)
    done: list[_Done] = field(default_factory=list)
    names: Names = field(default_factory=dict)
    slots: Names = field(default_factory=dict)
    acts: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    performed: int = 0
    is_rehearsed: bool = False

    def all(self, environment: Names) -> Generator[Effect, Told, Ending]:
        undone: tuple[str, ...] = ()
        try:
            ending = yield from self._whole(environment)
        except _Ended as ended:
            ending = ended.ending
        if self.is_rehearsed:
            said = "" if ending.reason == "goal_not_met" else f"Then: {ending.verdict}, {ending.reason}. {ending.note}"
            ending = Ending("unverified", "rehearsed", note=said.strip(), step=ending.step)
        elif ending.verdict == "failed":
            undone, left = yield from self._undo()
            note = " ".join(part for part in (ending.note, *left) if part)
            ending = replace(ending, note=note)
        evidence = {"checks": self.checks[-MOST_EVIDENCE:], "acts": self.acts, "reply": self._reply(ending)}
        return replace(ending, evidence=evidence, undone=undone)

    def _reply(self, ending: Ending) -> dict[str, str]:
        """What the runbook tells the client about this ending, by language; a text that says what was not read is left out.

        Nothing where it came true without an act: its words are about what it does.
        """
        is_ours = not self.is_rehearsed and ending.reason != RECOVERED
        texts = self.runbook.replies.get(ending.verdict, {}) if is_ours else {}
        filled: dict[str, str] = {}
        for language, text in texts.items():
            with suppress(ExpressionError):
                filled[language] = fill_text(text, self.names)
        return filled

    def _whole(self, environment: Names) -> Generator[Effect, Told, Ending]:
        given = environment.get("slots") or {}
        self.slots = {slot.name: _slot_value(slot, given.get(slot.name)) for slot in self.runbook.slots}
        self.slots |= {name: _plain(value) for name, value in given.items() if name not in self.slots}
        names = self.names
        names |= {"ticket": {}, "contact": {}, **environment, "slots": self.slots}
        for slot in self.runbook.slots:
            if slot.is_required:
                yield from self._inquire(slot, f"slots/{slot.name}", Ask(slot.name, slot.name).patience)
        frame = _Frame(self.runbook, self.runbook.routine.goal, "", 0)
        if (yield from self._is_met(frame, names)):
            return Ending("unverified", "already_met", note="The goal was met before anything was done.", step="goal")
        if (yield from self._steps(self.runbook.routine.steps, "steps", names, frame)):
            has_acted = any(act["status"] in {"done", "already_done"} for act in self.acts)
            return Ending("verified", "goal_met" if has_acted else RECOVERED, step="goal")
        return Ending(
            "escalated", "goal_not_met", note="Every step was taken and the goal is still not met.", step="goal"
        )

    # A routine: its steps until its goal is met.

    def _steps(
        self, steps: Sequence[Step], path: str, names: Names, frame: _Frame, *, is_whole: bool = True
    ) -> Generator[Effect, Told, bool]:
        """Whether the frame's goal was met on the way. `is_whole`: these are all its steps, not those of a branch."""
        for step in steps:
            here = _unique(f"{path}/{step.id}", self.places)
            try:
                is_met = yield from self._step(step, here, names, frame)
            except ExpressionError as error:
                raise _Ended("escalated", "check_failed", step=here, note=f"{here}: {error.message}") from None
            if is_met:
                return True
        if is_whole and frame.is_stale and not self.is_rehearsed:
            return (yield from self._is_met(frame, names, patience=frame.goal.patience))
        return False

    def _step(self, step: Step, path: str, names: Names, frame: _Frame) -> Generator[Effect, Told, bool]:
        match step:
            case Lookup():
                yield from self._lookup(step, path, names, frame)
            case Let():
                for name, expression in step.values.items():
                    names[name] = evaluate(expression, names)
            case Fix():
                return (yield from self._fix(step, path, names, frame))
            case Procedure():
                return (yield from self._procedure(step, path, names, frame))
            case Each():
                return (yield from self._each(step, path, names, frame))
            case When():
                is_so = decide(step.condition, names)
                branch, side = (step.then, "then") if is_so else (step.otherwise, "else")
                return (yield from self._steps(branch, f"{path}/{side}", names, frame, is_whole=False))
            case Ask():
                if step.when is None or decide(step.when, names):
                    frame.is_stale |= yield from self._inquire(_slot(frame.runbook, step.slot), path, step.patience)
            case Wait():
                yield from self._pause(path, step.duration)
                frame.is_stale = True
            case End():
                if step.when is None or decide(step.when, names):
                    raise _Ended(step.verdict, step.reason, step=path, note=step.note)
        return False

    def _is_met(self, frame: _Frame, names: Names, *, patience: Patience = _AT_ONCE) -> Generator[Effect, Told, bool]:
        """Reads the frame's goal anew; `patience` waits for it to come true."""
        frame.is_stale = False
        spent = timedelta(0)
        while True:
            path = _join(frame.path, f"goal/{frame.checks}")
            frame.checks += 1
            is_last = spent + patience.every > patience.within or patience.every <= timedelta(0)
            condition = Condition(frame.goal.reads, frame.goal.met)
            if (yield from self._holds(condition, path, names, frame, may_fail=not is_last)):
                return True
            if is_last:
                return False
            yield from self._pause(f"{path}/pause", patience.every)
            spent += patience.every

    def _procedure(self, step: Procedure, path: str, names: Names, frame: _Frame) -> Generator[Effect, Told, bool]:
        if step.when is not None and not decide(step.when, names):
            return False
        runbook, routine = self._routine(step, path, frame)
        if frame.depth >= DEEPEST_CALLS:
            note = f"{path}: procedures call one another more than {DEEPEST_CALLS} deep."
            raise _Ended("escalated", "check_failed", step=path, note=note)
        inner: Names = {name: names[name] for name in ("ticket", "contact", "slots", "now") if name in names}
        for slot in runbook.slots:
            self.slots.setdefault(slot.name, _unread(slot))
        inner |= {name: _handed(value, names) for name, value in step.values.items()}
        called = _Frame(runbook, routine.goal, path, frame.depth + 1)
        before = self.performed
        if (yield from self._is_met(called, inner)):
            return False
        frame.is_stale = True
        is_met = yield from self._steps(routine.steps, f"{path}/steps", inner, called)
        if not is_met and not self.is_rehearsed:
            note = f"{path}: every step of {step.name!r} was taken and its goal is still not met."
            raise _Ended("escalated", "goal_not_met", step=path, note=note)
        if self.is_rehearsed or self.performed == before:
            return False
        return (yield from self._is_met(frame, names, patience=frame.goal.patience))

    def _routine(self, step: Procedure, path: str, frame: _Frame) -> tuple[Runbook, Routine]:
        if step.name in frame.runbook.procedures:
            return frame.runbook, frame.runbook.procedures[step.name]
        if step.name in self.library:
            return self.library[step.name], self.library[step.name].routine
        raise _Ended("escalated", "check_failed", step=path, note=f"{path}: there is no procedure {step.name!r}.")

    def _each(self, step: Each, path: str, names: Names, frame: _Frame) -> Generator[Effect, Told, bool]:
        over = evaluate(step.over, names)
        if not isinstance(over, list):
            raise ExpressionError(step.over, "`each` needs a list.")
        chosen = [
            (number, element)
            for number, element in enumerate(over)
            if step.where is None or decide(step.where, {**names, step.name: element})
        ]
        if len(chosen) > step.most:
            note = f"{path}: {len(chosen)} elements are more than the {step.most} this step may touch; none was."
            raise _Ended("escalated", "over_cap", step=path, note=note)
        for number, element in chosen:
            inner = {**names, step.name: element}
            if (yield from self._steps(step.steps, f"{path}/{number}", inner, frame, is_whole=False)):
                return True
        return False

    # A fix: check, act once, verify, re-check the goal.

    def _fix(self, step: Fix, path: str, names: Names, frame: _Frame) -> Generator[Effect, Told, bool]:
        if not (yield from self._is_broken(step, path, names, frame)):
            return False
        if (yield from self._ask_first(step, path, names, frame)):
            frame.is_stale = True  # hours may have passed
            if not (yield from self._is_broken(step, path, names, frame)):
                return False
        acted = is_simulated = False
        for number, act in enumerate(step.acts):
            outcome = yield from self._act(act, f"{path}/act/{number}", names, frame)
            if outcome is None:
                continue
            if outcome.status == "failed":
                if step.still_broken != "next":
                    raise _Ended("failed", outcome.reason or "act_failed", step=path, note=outcome.note)
                break
            acted = True
            is_simulated |= outcome.status == "simulated"
        if is_simulated or not acted:
            return False
        if not (yield from self._is_verified(step, path, names, frame)) and step.still_broken != "next":
            verdict: Verdict = "failed" if step.still_broken == "fail" else "escalated"
            note = f"{path}: what was done did not show: the verification does not hold."
            raise _Ended(verdict, "verification_failed", step=path, note=note)
        return (yield from self._is_met(frame, names, patience=frame.goal.patience))

    def _is_broken(self, step: Fix, path: str, names: Names, frame: _Frame) -> Generator[Effect, Told, bool]:
        for read in step.check:
            yield from self._bind(read, f"{path}/check/{read.into}", names, frame)
        return decide(step.when, names)

    def _ask_first(self, step: Fix, path: str, names: Names, frame: _Frame) -> Generator[Effect, Told, bool]:
        """Asks for what guards lack and the client can say, as far as no other guard forbids the acts; whether it asked."""
        has_asked = False
        asks = any(guard.ask for act in step.acts for guard in act.guards)
        for act in step.acts if asks else ():
            for guard in act.guards:
                try:
                    holds = self._would_hold(guard, act, names)
                except ExpressionError:
                    return has_asked  # it stands on what an act gives, or the act tells what is wrong
                if not holds and not guard.ask:
                    return has_asked
                if not holds:
                    slot = _slot(frame.runbook, guard.ask)
                    place = f"{path}/ask/{slot.name}"
                    has_asked |= yield from self._inquire(
                        slot, place, ASK_PATIENCE, guard=guard, before=act, names=names
                    )
        return has_asked

    def _would_hold(self, guard: Guard, act: Act, names: Names) -> bool:
        seen = names
        if act.amount is not None:
            seen = {**names, "amount": to_amount(act.amount, evaluate(act.amount, names))}
        return decide(guard.that, seen)

    def _act(self, act: Act, path: str, names: Names, frame: _Frame) -> Generator[Effect, Told, Performed | None]:
        """None when a guard says to leave this act out."""
        amount = None if act.amount is None else to_amount(act.amount, evaluate(act.amount, names))
        seen = names if amount is None else {**names, "amount": amount}
        for guard in act.guards:
            if not decide(guard.that, seen):
                if guard.otherwise == "skip":
                    return None
                raise _Ended(_verdict(guard), guard.reason, step=path, note=guard.note)
        if self.performed >= self.runbook.most_acts:
            note = f"{path}: a run of this runbook may act {self.runbook.most_acts} times at most."
            raise _Ended("escalated", "over_cap", step=path, note=note)
        call = self._call(act.call, seen, frame, path)
        perform = Perform(
            path=self._path(path),
            act=act,
            call=call,
            business_key=None if act.once_per is None else to_key(act.once_per, evaluate(act.once_per, seen)),
            amount=amount,
            undo=self._foreseen_undo(act, seen, frame, path),
            needs_approval=act.approval is not None and decide(act.approval.when, seen),
        )
        self.performed += 1
        told = yield perform
        outcome = _told(told, Performed)
        self._forget(call.connector)
        self.acts.append({"path": perform.path, "call": f"{call.connector}.{call.action}", "status": outcome.status})
        return self._judged(perform, outcome, names, seen=seen, frame=frame)

    def _judged(self, perform: Perform, outcome: Performed, names: Names, *, seen: Names, frame: _Frame) -> Performed:
        """Keeps what the act gave and how to take it back; ends the run where nobody knows or somebody said no."""
        act, path = perform.act, perform.path
        match outcome.status:
            case "declined":
                verdict: Verdict = "refused" if outcome.reason == "already_done" else "escalated"
                raise _Ended(verdict, outcome.reason or "declined", step=path, note=outcome.note)
            case "unknown":
                note = outcome.note or f"{path}: nobody can tell whether this took effect; look before doing it again."
                raise _Ended("escalated", "effect_unknown", step=path, note=note)
            case "simulated":
                self.is_rehearsed = True
        if act.into is not None and outcome.status != "failed":
            names[act.into] = outcome.value
        if outcome.status == "done":
            undo, problem = perform.undo, ""
            if act.undo is not None:
                try:
                    undo = self._call(act.undo, {**seen, **_bound(act, outcome)}, frame, path)
                except ExpressionError as error:
                    undo, problem = None, error.message
            self.done.append(_Done(path, act, undo, problem))
        return outcome

    def _is_verified(self, step: Fix, path: str, names: Names, frame: _Frame) -> Generator[Effect, Told, bool]:
        """Without a condition of its own, the check is read again and must then find nothing to fix."""
        condition = step.verify or Condition(step.check, f"!({step.when})")
        spent, number, patience = timedelta(0), 0, step.patience
        while True:
            here = f"{path}/verify/{number}"
            is_last = spent + patience.every > patience.within or patience.every <= timedelta(0)
            if (yield from self._holds(condition, here, names, frame, may_fail=not is_last)):
                return True
            if is_last:
                return False
            yield from self._pause(f"{here}/pause", patience.every)
            spent += patience.every
            number += 1

    def _undo(self) -> Generator[Effect, Told, tuple[tuple[str, ...], tuple[str, ...]]]:
        """Takes back what was done, last first: what was undone, and a sentence for each act that was not."""
        undone: list[str] = []
        left: list[str] = []
        for done in reversed(self.done):
            if done.undo is None:
                why = f" ({done.problem})" if done.problem else ""
                left.append(f"{done.path} stands: it has no undo{why}.")
                continue
            told = yield Perform(self._path(f"undo/{done.path}"), done.act, done.undo, is_undo=True)
            outcome = _told(told, Performed)
            if outcome.status in {"done", "already_done"}:
                undone.append(done.path)
            else:
                left.append(f"{done.path} could not be undone ({outcome.reason or outcome.status}).")
        return tuple(undone), tuple(left)

    # Reads, answers and pauses.

    def _holds(
        self, condition: Condition, path: str, names: Names, frame: _Frame, *, may_fail: bool
    ) -> Generator[Effect, Told, bool]:
        """Fresh reads and what they decide, kept as evidence. `may_fail`: it will be tried again, so no error ends the run."""
        values: Names = {}
        try:
            for read in condition.reads:
                yield from self._bind(read, f"{path}/{read.into}", names, frame, is_final=True)
                values[read.into] = _evident(names[read.into])
            holds = decide(condition.that, names)
        except _Ended:
            if not may_fail:
                raise
            holds = False
        except ExpressionError as error:
            if not may_fail:
                raise _Ended("escalated", "check_failed", step=path, note=f"{path}: {error.message}") from None
            holds = False
        self.checks.append({"path": path, "values": values, "holds": holds})
        return holds

    def _bind(
        self, read: Read, path: str, names: Names, frame: _Frame, *, is_final: bool = False
    ) -> Generator[Effect, Told, None]:
        observed = yield from self._observe(read, path, names, frame, is_final=is_final)
        if observed.error is not None or observed.is_missing:
            reason = "not_found" if observed.is_missing and not self.acts else "check_failed"
            raise _Ended("escalated", reason, step=path, note=f"{path}: {_failure(observed)}")
        names[read.into] = _selected(read, observed.value, names)

    def _lookup(self, step: Lookup, path: str, names: Names, frame: _Frame) -> Generator[Effect, Told, None]:
        observed = yield from self._observe(step.read, path, names, frame, is_cached=True)
        if observed.error is not None and not observed.is_missing:
            raise _Ended("escalated", "check_failed", step=path, note=f"{path}: {_failure(observed)}")
        value, problem = None, "it does not exist." if observed.is_missing else ""
        if not observed.is_missing:
            try:
                value = _selected(step.read, observed.value, names)
            except ExpressionError as error:
                if step.expect is None or not error.is_absent:
                    raise
                problem = error.message
        names[step.read.into] = value
        if step.expect is None:
            if observed.is_missing:
                raise _Ended("escalated", "check_failed", step=path, note=f"{path}: {_failure(observed)}")
            return
        if step.expect.otherwise != "skip" and not _is_expected(step.expect, names, is_absent=value is None):
            raise _Ended(_verdict(step.expect), step.expect.reason, step=path, note=step.expect.note or problem)

    def _observe(
        self, read: Read, path: str, names: Names, frame: _Frame, *, is_final: bool = False, is_cached: bool = False
    ) -> Generator[Effect, Told, Observed]:
        call = self._call(read.call, names, frame, path)
        key = (call.connector, call.action, repr(_ordered(call.arguments)))
        if is_cached and key in self.cache:
            return self.cache[key]
        told = yield Observe(self._path(path), call, is_final=is_final)
        observed = _told(told, Observed)
        if is_cached and observed.error is None:
            self.cache[key] = observed
        return observed

    def _inquire(
        self,
        slot: Slot,
        path: str,
        patience: timedelta,
        *,
        guard: Guard | None = None,
        before: Act | None = None,
        names: Names | None = None,
    ) -> Generator[Effect, Told, bool]:
        """Asks unless the slot has been read; whether it asked. No answer ends the run, for the `guard`'s reason."""
        needs_amount = guard is not None and self._needs_amount(slot, guard, names or {})
        if not _is_open(self.slots.get(slot.name), needs_amount=needs_amount):
            return False
        told = yield Inquire(self._path(path), slot, patience, needs_amount, before)
        self.cache.clear()
        reading = _told(told, SlotReading)
        self.slots[slot.name] = _slot_value(slot, reading)
        if _is_open(self.slots[slot.name], needs_amount=needs_amount):
            reason = "needs_consent" if slot.type == "consent" else "no_answer"
            note = reading.evidence or f"The client did not say: {slot.question['en']}"
            verdict: Verdict = "escalated" if guard is None else _verdict(guard)
            raise _Ended(verdict, guard.reason if guard else reason, step=path, note=note)
        return True

    def _needs_amount(self, slot: Slot, guard: Guard, names: Names) -> bool:
        """Whether a yes without an amount would not do."""
        if slot.type != "consent" or slot.unit is None:
            return False
        given = {**self.slots, slot.name: {"status": "given", "amount": None, "unit": slot.unit}}
        try:
            return not decide(guard.that, {**names, "slots": given})
        except ExpressionError:
            return True

    def _pause(self, path: str, duration: timedelta) -> Generator[Effect, Told, None]:
        told = yield Pause(self._path(path), duration)
        _told(told, Passed)
        self.cache.clear()

    def _call(self, call: Call, names: Names, frame: _Frame, path: str) -> Call:
        return Call(self._alias(call.connector, frame, path), call.action, fill(call.arguments, names))

    def _alias(self, alias: str, frame: _Frame, path: str) -> str:
        """The run's own alias of a connector that a runbook of the library calls by another name."""
        if frame.runbook is self.runbook:
            return alias
        wanted = frame.runbook.connectors.get(alias)
        for own, name in self.runbook.connectors.items():
            if name == wanted:
                return own
        note = f"{path}: {frame.runbook.name!r} uses the connector {wanted!r}; declare it in {self.runbook.name!r} as well."
        raise _Ended("escalated", "check_failed", step=path, note=note)

    def _foreseen_undo(self, act: Act, names: Names, frame: _Frame, path: str) -> Call | None:
        """None as well while it depends on what the act will give."""
        if act.undo is None:
            return None
        try:
            return self._call(act.undo, names, frame, path)
        except ExpressionError:
            return None

    def _forget(self, connector: str) -> None:
        self.cache = {key: kept for key, kept in self.cache.items() if key[0] != connector}

    def _path(self, wanted: str) -> str:
        return _unique(wanted, self.paths)


def _handed(template: Any, names: Mapping[str, Any]) -> Any:
    """A value handed to a procedure: like `fill`, but times stay times."""
    if isinstance(template, str) and template.startswith("="):
        return evaluate(template[1:], names)
    return fill(template, names)


def _unique(wanted: str, taken: set[str]) -> str:
    """No two places of a run share a path, whatever the ids of a runbook are."""
    path, number = wanted, 2
    while path in taken:
        path, number = f"{wanted}~{number}", number + 1
    taken.add(path)
    return path


def _told(told: Told, kind: type[T]) -> T:
    if not isinstance(told, kind):
        raise TypeError(f"the interpreter was told {type(told).__name__} where {kind.__name__} answers")
    return told


def _selected(read: Read, value: Any, names: Names) -> Any:
    return value if read.select is None else evaluate(read.select, {**names, "result": value})


def _is_expected(expect: Guard, names: Names, *, is_absent: bool) -> bool:
    """An absent thing is expected only by an expression that says so (`x == null`)."""
    try:
        return decide(expect.that, names)
    except ExpressionError:
        if is_absent:
            return False
        raise


def _slot(runbook: Runbook, name: str) -> Slot:
    try:
        return runbook.slot(name)
    except StopIteration:
        raise ExpressionError(f"slots.{name}", "the runbook declares no such slot.") from None


def _slot_value(slot: Slot, given: Any) -> Any:
    """A slot for expressions: null when not read; a consent is always an object, and an unsure one is absent."""
    if isinstance(given, SlotReading):
        given = given.value if given.status == "read" else None
    if given is None:
        return _unread(slot)
    if slot.type == "consent" and isinstance(given, Mapping) and given.get("status") not in {"given", "refused"}:
        return _unread(slot)
    return _plain(given)


def _plain(value: Any) -> Any:
    if isinstance(value, SlotReading):
        return _plain(value.value) if value.status == "read" else None
    if isinstance(value, Consent):
        return {"status": value.status, "amount": value.amount, "unit": value.unit}
    return value


def _unread(slot: Slot) -> Any:
    return dict(_ABSENT) if slot.type == "consent" else None


def _is_open(value: Any, *, needs_amount: bool = False) -> bool:
    """Whether the client has yet to say it."""
    if not isinstance(value, Mapping):
        return value is None
    status = value.get("status")
    return status == "absent" or (needs_amount and status == "given" and value.get("amount") is None)


def _verdict(guard: Guard) -> Verdict:
    return "refused" if guard.otherwise == "refuse" else "escalated"


def _bound(act: Act, outcome: Performed) -> Names:
    return {} if act.into is None else {act.into: outcome.value}


def _failure(observed: Observed) -> str:
    return observed.error or "it does not exist."


def _evident(value: Any) -> Any:
    """A value as evidence keeps it; the whole of a long one is in the step that read it."""
    kept = to_json(value)
    return kept if len(repr(kept)) <= LONGEST_EVIDENCE else f"(longer than {LONGEST_EVIDENCE} characters: see the step)"


def _ordered(value: Any) -> Any:
    if isinstance(value, Mapping):
        return sorted((str(name), _ordered(inner)) for name, inner in value.items())
    return [_ordered(inner) for inner in value] if isinstance(value, list | tuple) else value


def _join(*parts: str) -> str:
    return "/".join(part for part in parts if part)
