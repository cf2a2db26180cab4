"""Handing over: the named reasons, and the dossier that must not arrive empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from asoe.domain.errors import FieldProblem

REASONS: Final[dict[str, str]] = {
    "critical_severity": "The severity is critical: a person looks at once.",
    "client_asked": "The client asked for a person.",
    "low_confidence": "The engine is not sure what the client needs.",
    "no_grounded_answer": "No article answers this well enough.",
    "uncertified_answer": "An article answers this, and the engine may not send the answer by itself.",
    "needs_action": "This needs an act in another system that the engine may not do by itself.",
    "answer_did_not_help": "The client said the answers did not help.",
    "unsupported_language": "The ticket is in a language the engine does not answer in.",
    "security": "It concerns security, privacy or law.",
    "repeat_contact": "The same client came back about the same thing.",
    "stage_failed": "A stage failed repeatedly; the cause is in the timeline.",
    "over_cap": "The act would pass a limit of the organization.",
    "wrong_amount": "The act would move more than its runbook says.",
    "needs_consent": "The client has not agreed to what the fix needs.",
    "approval_refused": "A person refused the act.",
    "approval_expired": "Nobody decided on the act in time.",
    "autonomy": "The runbook is not allowed to act by itself.",
    "outside_hours": "Acts are not allowed at this time.",
    "emergency_stop": "All acts are stopped.",
    "goal_not_met": "Everything the runbook knows was tried, and the goal is not met.",
    "verification_failed": "An act was done, and the check after it failed.",
    "act_failed": "An act failed without effect.",
    "effect_unknown": "Nobody can tell whether an act took effect: look in the outside system first.",
    "check_failed": "A check could not be read or understood.",
    "not_found": "The outside system knows neither this client's address nor what they write about.",
    "not_theirs": "What the client writes about belongs to somebody else.",
    "fraud": "There are signs of fraud.",
    "cannot_fix": "A runbook found what is the matter, and nothing that it may do mends it.",
    "already_met": "The checks find nothing wrong.",
    "already_done": "The same act was done before and is done only once.",
    "runbook_refused": "The runbook's policy says no.",
    "run_timeout": "The run took longer than it may.",
    "run_cancelled": "A person cancelled the run.",
    "client_silent": "The client did not answer what the run needs to know.",
    "no_answer": "What the run needs to know could not be read from the client's words.",
    "connector_down": "An outside system does not answer.",
    "policy": "The organization's policy gives these to a person.",
    "engine_complaint": "The client says that the engine sorted or answered wrongly.",
    "safety": "Somebody's life or health may be at risk.",
    "threat": "The client threatens people, or to make it public, or to take the money back.",
    "legal": "The client speaks of lawyers, courts or authorities.",
    "anger": "The client is angry.",
    "incident": "It may be one of many tickets with one cause.",
    "service_level": "What the client is owed is late, or soon will be.",
}

WEIGHTS: Final[dict[str, float]] = {
    "critical_severity": 1,
    "safety": 1,
    "threat": 1,
    "client_asked": 1,
    "legal": 1,
    "unsupported_language": 1,
    "security": 1,
    "policy": 1,
    "incident": 0.5,
    "anger": 0.5,
    "repeat_contact": 1,
    "service_level": 0.5,
}
"""What speaks for a person before any answer is tried, most telling first. From a sum of 1 on, a person gets the ticket."""

REQUIRED_DOSSIER_FIELDS: Final = (
    "wants",
    "reasons",
    "team",
    "severity",
    "category",
    "tried",
    "not_done",
    "next_step",
    "suggested_reply",
)


@dataclass(frozen=True, slots=True)
class Rule:
    """An organization's own rule: every condition must hold, `words` that one of them stands in the text."""

    name: str
    when: Mapping[str, tuple[str, ...]]
    words: tuple[str, ...] = ()
    weight: float = 1
    team: str | None = None

    def holds(self, signs: Signs) -> bool:
        if any(not set(values) & signs.classes.get(name, frozenset()) for name, values in self.when.items()):
            return False
        text = f" {signs.text.casefold()} "
        return not self.words or any(word.casefold() in text for word in self.words)


@dataclass(frozen=True, slots=True)
class EscalationRules:
    """How an organization decides: weights by reason, the sum from which a person gets it, teams by reason, own rules."""

    weights: Mapping[str, float] = field(default_factory=lambda: WEIGHTS)
    threshold: float = 1
    repeat_after: int = 3
    teams: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Signs:
    """What is known of a ticket when it is decided: reasons that hold, its classes by name, and the client's words."""

    reasons: frozenset[str]
    classes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    text: str = ""


def decide(signs: Signs, rules: EscalationRules) -> tuple[str, ...]:
    """All reasons that hold, most telling first, when together they weigh enough; else none."""
    own = [rule.weight for rule in rules.rules if rule.holds(signs)]
    held = [name for name in WEIGHTS if name in signs.reasons or (name == "policy" and own)]
    total = sum(rules.weights.get(name, 0) for name in held if name != "policy" or "policy" in signs.reasons) + sum(own)
    return tuple(held) if held and total >= rules.threshold else ()


def team_by_reasons(reasons: Sequence[str], signs: Signs, rules: EscalationRules) -> str | None:
    """The team that a rule names, else the one of the most telling reason that has one."""
    if "policy" in reasons:
        named = next((rule.team for rule in rules.rules if rule.team is not None and rule.holds(signs)), None)
        if named is not None:
            return named
    return next((rules.teams[reason] for reason in reasons if reason in rules.teams), None)


@dataclass(frozen=True, slots=True)
class Link:
    """Something the person may want to open: `kind` is one of `LINK_PATHS`, `name` what it is called."""

    kind: str
    id: str
    name: str

    def to_json(self) -> dict[str, str]:
        return {"kind": self.kind, "id": self.id, "name": self.name, "path": LINK_PATHS[self.kind] + self.id}


LINK_PATHS: Final = {
    "ticket": "/api/support/ticket/",
    "run": "/api/support/runs/",
    "incident": "/api/support/incidents/",
    "article": "/api/articles/",
}
"""Where each is read over the API."""


@dataclass(frozen=True, slots=True)
class Dossier:
    """What a person is handed: plain values only, so that it is stored and shown as it is.

    `wants` are the client's whole words, `in_short` the paragraph of them. `links`: the earlier tickets in the order of `history`, then whatever the engine did or read.
    """

    wants: str
    reasons: tuple[str, ...]
    team: str
    severity: str
    category: str
    tried: tuple[str, ...]
    not_done: tuple[str, ...]
    next_step: str
    suggested_reply: str
    history: tuple[str, ...] = ()
    likely: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    in_short: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "in_short": self.in_short,
            "wants": self.wants,
            "reasons": list(self.reasons),
            "reasons_in_words": [
                REASONS.get(reason, reason.replace("_", " ").capitalize() + ".") for reason in self.reasons
            ],
            "team": self.team,
            "severity": self.severity,
            "category": self.category,
            "tried": list(self.tried),
            "not_done": list(self.not_done),
            "next_step": self.next_step,
            "suggested_reply": self.suggested_reply,
            "history": list(self.history),
            "likely": list(self.likely),
            "links": [link.to_json() for link in self.links],
            **self.extra,
        }


def missing_fields(dossier: dict[str, Any]) -> tuple[str, ...]:
    """The required fields that are absent or empty; an empty `tried` must say that nothing was tried."""
    return tuple(name for name in REQUIRED_DOSSIER_FIELDS if not dossier.get(name))


RULE_CONDITIONS: Final = ("category", "severity", "intent", "language", "channel", "tag")
MOST_RULES: Final = 100


def read_escalation(stored: Any, problems: list[FieldProblem]) -> EscalationRules:
    """Read `{weights, threshold, repeat_after, teams, rules}` of an organization's settings; appends what is wrong."""
    if stored is None:
        return EscalationRules()
    if not isinstance(stored, Mapping):
        problems.append(FieldProblem("escalation", "must be an object"))
        return EscalationRules()
    known = ("weights", "threshold", "repeat_after", "teams", "rules")
    problems.extend(
        FieldProblem(f"escalation.{name}", f"is not known; {', '.join(known)} are")
        for name in stored
        if name not in known
    )
    weights = {**WEIGHTS, **_numbers(stored.get("weights") or {}, problems)}
    threshold = stored.get("threshold", 1)
    if not _is_number(threshold) or not 0 < threshold <= 10:
        problems.append(FieldProblem("escalation.threshold", "must be a number above 0, at most 10"))
        threshold = 1
    repeat_after = stored.get("repeat_after", 3)
    if not isinstance(repeat_after, int) or isinstance(repeat_after, bool) or not 1 <= repeat_after <= 5:
        problems.append(FieldProblem("escalation.repeat_after", "must be a whole number from 1 to 5"))
        repeat_after = 3
    teams = stored.get("teams") or {}
    if not isinstance(teams, Mapping):
        problems.append(FieldProblem("escalation.teams", "must map a reason to a team"))
        teams = {}
    for reason, team in teams.items():
        if reason not in REASONS:
            problems.append(FieldProblem(f"escalation.teams.{reason}", "is no reason; docs/escalation.md lists them"))
        if not isinstance(team, str) or not team:
            problems.append(FieldProblem(f"escalation.teams.{reason}", "must name a team"))
    rules = stored.get("rules") or ()
    if isinstance(rules, str) or not isinstance(rules, Sequence) or len(rules) > MOST_RULES:
        problems.append(FieldProblem("escalation.rules", f"must be a list of at most {MOST_RULES} rules"))
        rules = ()
    read = tuple(_read_rule(rule, f"escalation.rules.{index}", problems) for index, rule in enumerate(rules))
    return EscalationRules(weights, float(threshold), repeat_after, {str(k): str(v) for k, v in teams.items()}, read)


def _numbers(stored: Any, problems: list[FieldProblem]) -> dict[str, float]:
    if not isinstance(stored, Mapping):
        problems.append(FieldProblem("escalation.weights", "must map a reason to a weight"))
        return {}
    for name, weight in stored.items():
        if name not in WEIGHTS:
            problems.append(FieldProblem(f"escalation.weights.{name}", f"is not one of {', '.join(WEIGHTS)}"))
        elif not _is_number(weight) or not 0 <= weight <= 10:
            problems.append(FieldProblem(f"escalation.weights.{name}", "must be a number from 0 to 10"))
    return {str(name): float(weight) for name, weight in stored.items() if _is_number(weight)}


def _read_rule(stored: Any, path: str, problems: list[FieldProblem]) -> Rule:
    if not isinstance(stored, Mapping):
        problems.append(FieldProblem(path, "must be an object with name, when, words, weight and team"))
        return Rule("", {})
    known = ("name", "when", "words", "weight", "team")
    problems.extend(
        FieldProblem(f"{path}.{name}", f"is not known; {', '.join(known)} are") for name in stored if name not in known
    )
    when = stored.get("when") or {}
    if not isinstance(when, Mapping):
        problems.append(FieldProblem(f"{path}.when", f"must map one of {', '.join(RULE_CONDITIONS)} to values"))
        when = {}
    conditions: dict[str, tuple[str, ...]] = {}
    for name, values in when.items():
        listed = [values] if isinstance(values, str) else values
        if name not in RULE_CONDITIONS:
            problems.append(FieldProblem(f"{path}.when.{name}", f"is not one of {', '.join(RULE_CONDITIONS)}"))
        elif not isinstance(listed, Sequence) or not listed or not all(isinstance(each, str) for each in listed):
            problems.append(FieldProblem(f"{path}.when.{name}", "must be a value or a list of values"))
        else:
            conditions[str(name)] = tuple(listed)
    words = stored.get("words") or ()
    if isinstance(words, str) or not isinstance(words, Sequence) or not all(isinstance(each, str) for each in words):
        problems.append(FieldProblem(f"{path}.words", "must be a list of words"))
        words = ()
    if not conditions and not words:
        problems.append(FieldProblem(path, "holds always: give it a condition or words"))
    weight = stored.get("weight", 1)
    if not _is_number(weight) or not 0 < weight <= 10:
        problems.append(FieldProblem(f"{path}.weight", "must be a number above 0, at most 10"))
        weight = 1
    team = stored.get("team")
    if team is not None and (not isinstance(team, str) or not team):
        problems.append(FieldProblem(f"{path}.team", "must name a team"))
        team = None
    return Rule(str(stored.get("name") or path), conditions, tuple(word for word in words if word), float(weight), team)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
