"""An organization's policy: its teams, who gets what, languages and windows. Stored as its settings, read as values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from asoe.domain.autonomy import DEFAULT_LIMITS
from asoe.domain.certificate import ALONE, Alone
from asoe.domain.delegation import OutsideAgents, read_outside_agents
from asoe.domain.errors import FieldProblem, Invalid
from asoe.domain.escalation import EscalationRules, read_escalation
from asoe.domain.intent import may_be_intent
from asoe.domain.language_model import ModelRules, read_model_rules
from asoe.domain.triage import CATEGORIES, INTENTS, SEVERITIES

MOST_ERRORS: Final = 0.2
MOST_LOOKS: Final = 40
MOST_QUESTIONS: Final = 20
QUESTIONS: Final = 4
SUPPORTED_LANGUAGES: Final = ("en", "de", "es", "fr")

DEFAULT_BY_CATEGORY: Final = {
    "billing": "billing",
    "account": "accounts",
    "technical": "technical",
    "integration": "technical",
    "performance": "technical",
    "bug_report": "technical",
    "feature_request": "product",
    "general": "frontline",
}
DEFAULT_BY_INTENT: Final = {"account_takeover": "on_call", "outage": "on_call", "data_corruption": "on_call"}
DEFAULT_BY_SEVERITY: Final = {"critical": "on_call"}


@dataclass(frozen=True, slots=True)
class Looks:
    """How long runbooks look at a ticket one after another: so many may find nothing to mend, and none that is less likely to help."""

    at_most: int = 8
    least_chance: float = 0.02


@dataclass(frozen=True, slots=True)
class Policy:
    """`answer_threshold`, `confidence_threshold`, `answer_error_limit` and `audit_share` are shares in 0..1; windows are in days and
    hours. `answers_alone`: on what answers are sent without a person. `most_questions`: how many the runs of one ticket put to its client.
    """

    by_category: Mapping[str, str] = field(default_factory=lambda: DEFAULT_BY_CATEGORY)
    by_intent: Mapping[str, str] = field(default_factory=lambda: DEFAULT_BY_INTENT)
    by_severity: Mapping[str, str] = field(default_factory=lambda: DEFAULT_BY_SEVERITY)
    default_team: str = "frontline"
    languages: tuple[str, ...] = SUPPORTED_LANGUAGES
    default_language: str = "en"
    reopen_window_days: float = 7
    silence_hours: float = 48
    answer_threshold: float | None = None
    confidence_threshold: float | None = None
    answers_alone: Alone = "lent"
    answer_error_limit: float = 0.05
    audit_share: float = 0.05
    signature: str = ""
    persons_only: tuple[str, ...] = ()
    error_limits: Mapping[str, float] = field(default_factory=dict)
    standing_consents: Mapping[str, float | None] = field(default_factory=dict)
    looks: Looks = field(default_factory=Looks)
    most_questions: int = QUESTIONS
    escalation: EscalationRules = field(default_factory=EscalationRules)
    outside_agents: OutsideAgents = field(default_factory=OutsideAgents)
    language_model: ModelRules = field(default_factory=ModelRules)

    @property
    def teams(self) -> frozenset[str]:
        """Every team that a ticket may be sent to."""
        tables = (self.by_category, self.by_intent, self.by_severity, self.escalation.teams)
        named = {rule.team for rule in self.escalation.rules if rule.team is not None}
        return frozenset({self.default_team, *named, *(team for table in tables for team in table.values())})

    def team_for(self, *, category: str, intent: str | None, severity: str) -> str:
        """Severity outweighs intent, intent outweighs category."""
        return (
            self.by_severity.get(severity)
            or self.by_intent.get(intent or "")
            or self.by_category.get(category)
            or self.default_team
        )


def read_policy(stored: Mapping[str, Any]) -> Policy:
    """Read an organization's settings; raises `Invalid(bad_policy)` naming each wrong field."""
    problems: list[FieldProblem] = []
    routing = stored.get("routing") or {}
    if not isinstance(routing, Mapping):
        problems.append(
            FieldProblem("routing", "must be an object with by_category, by_intent, by_severity or default")
        )
        routing = {}

    def team_map(
        name: str,
        allowed: tuple[str, ...],
        default: Mapping[str, str],
        *,
        fits: Callable[[str], bool] = lambda _: False,
    ) -> Mapping[str, str]:
        given = routing.get(name)
        if given is None:
            return default
        if not isinstance(given, Mapping):
            problems.append(FieldProblem(f"routing.{name}", "must map a value to a team"))
            return default
        for value, team in given.items():
            if value not in allowed and not fits(str(value)):
                problems.append(FieldProblem(f"routing.{name}.{value}", f"not one of {', '.join(allowed)}"))
            if not isinstance(team, str) or not team:
                problems.append(FieldProblem(f"routing.{name}.{value}", "must name a team"))
        return {str(value): str(team) for value, team in given.items()}

    def number(name: str, default: float | None, *, low: float, high: float) -> float | None:
        given = stored.get(name)
        if given is None:
            return default
        if isinstance(given, bool) or not isinstance(given, int | float) or not low <= given <= high:
            problems.append(FieldProblem(name, f"must be a number from {low:g} to {high:g}"))
            return default
        return float(given)

    def words(
        name: str, allowed: Collection[str], what: str, *, fits: Callable[[str], bool] = lambda _: False
    ) -> tuple[str, ...]:
        given = stored.get(name) or ()
        if isinstance(given, str) or not isinstance(given, Sequence):
            problems.append(FieldProblem(name, "must be a list"))
            return ()
        problems.extend(
            FieldProblem(name, f"{value!r} is {what}")
            for value in given
            if value not in allowed and not fits(str(value))
        )
        return tuple(str(value) for value in given)

    def text(name: str, default: str, *, within: Mapping[str, Any] = stored, path: str = "") -> str:
        given = within.get(name)
        if given is None:
            return default
        if not isinstance(given, str):
            problems.append(FieldProblem(path + name, "must be text"))
            return default
        return given

    one_language = f"not one of {', '.join(SUPPORTED_LANGUAGES)}"
    languages = words("languages", SUPPORTED_LANGUAGES, one_language) or SUPPORTED_LANGUAGES
    default_language = text("default_language", "en")
    if default_language not in SUPPORTED_LANGUAGES:
        problems.append(FieldProblem("default_language", f"{default_language!r} is {one_language}"))

    answers_alone = text("answers_alone", "lent")
    if answers_alone not in ALONE:
        problems.append(FieldProblem("answers_alone", f"must be one of {', '.join(ALONE)}"))

    given_limits = stored.get("error_limits") or {}
    error_limits: dict[str, float] = {}
    if not isinstance(given_limits, Mapping):
        problems.append(FieldProblem("error_limits", "must map reversible or costly to a share"))
        given_limits = {}
    for risk, share in given_limits.items():
        if risk not in DEFAULT_LIMITS:
            problems.append(FieldProblem(f"error_limits.{risk}", f"not one of {', '.join(DEFAULT_LIMITS)}"))
        elif isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= MOST_ERRORS:
            problems.append(FieldProblem(f"error_limits.{risk}", f"must be a share above 0, at most {MOST_ERRORS:g}"))
        else:
            error_limits[str(risk)] = float(share)

    given_consents = stored.get("standing_consents") or {}
    standing_consents: dict[str, float | None] = {}
    if not isinstance(given_consents, Mapping):
        problems.append(FieldProblem("standing_consents", "must map a consent slot to an amount, or to null"))
        given_consents = {}
    for slot, amount in given_consents.items():
        if amount is not None and (isinstance(amount, bool) or not isinstance(amount, int | float) or amount < 0):
            problems.append(FieldProblem(f"standing_consents.{slot}", "must be an amount, or null for any"))
        else:
            standing_consents[str(slot)] = None if amount is None else float(amount)

    policy = Policy(
        looks=_looks(stored.get("runbook_looks"), problems),
        most_questions=_most_questions(stored.get("runbook_questions"), problems),
        by_category=team_map("by_category", CATEGORIES, DEFAULT_BY_CATEGORY),
        by_intent=team_map("by_intent", tuple(INTENTS), DEFAULT_BY_INTENT, fits=may_be_intent),
        by_severity=team_map("by_severity", SEVERITIES, DEFAULT_BY_SEVERITY),
        default_team=text("default", "frontline", within=routing, path="routing."),
        languages=languages,
        default_language=default_language,
        reopen_window_days=number("reopen_window_days", 7, low=0, high=365) or 0,
        silence_hours=number("close_after_silence_hours", 48, low=0.001, high=24 * 90) or 48,
        answer_threshold=number("answer_threshold", None, low=0, high=1),
        confidence_threshold=number("confidence_threshold", None, low=0, high=1),
        answers_alone=cast("Alone", answers_alone),
        answer_error_limit=number("answer_error_limit", 0.05, low=0.001, high=MOST_ERRORS) or 0.05,
        audit_share=_share(number("audit_share", 0.05, low=0, high=1)),
        signature=text("signature", ""),
        error_limits=error_limits,
        standing_consents=standing_consents,
        escalation=read_escalation(stored.get("escalation"), problems),
        outside_agents=read_outside_agents(stored.get("outside_agents"), problems),
        language_model=read_model_rules(stored.get("language_model"), problems),
        persons_only=words("persons_only", CATEGORIES, "neither a category nor an intent", fits=may_be_intent),
    )
    if problems:
        listed = "; ".join(f"{problem.field}: {problem.problem}" for problem in problems)
        raise Invalid(f"The organization's settings are wrong: {listed}.", code="bad_policy", fields=tuple(problems))
    return policy


def _looks(given: Any, problems: list[FieldProblem]) -> Looks:
    if given is None:
        return Looks()
    if not isinstance(given, Mapping):
        problems.append(FieldProblem("runbook_looks", "must be an object with at_most or least_chance"))
        return Looks()
    for name in given:
        if name not in {"at_most", "least_chance"}:
            problems.append(FieldProblem(f"runbook_looks.{name}", "not one of at_most, least_chance"))
    at_most, least = given.get("at_most", Looks().at_most), given.get("least_chance", Looks().least_chance)
    if isinstance(at_most, bool) or not isinstance(at_most, int) or not 1 <= at_most <= MOST_LOOKS:
        problems.append(FieldProblem("runbook_looks.at_most", f"must be a whole number from 1 to {MOST_LOOKS}"))
        at_most = 1
    if isinstance(least, bool) or not isinstance(least, int | float) or not 0 <= least <= 1:
        problems.append(FieldProblem("runbook_looks.least_chance", "must be a share from 0 to 1"))
        least = 1
    return Looks(at_most, float(least))


def _most_questions(given: Any, problems: list[FieldProblem]) -> int:
    if given is None:
        return QUESTIONS
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= MOST_QUESTIONS:
        problems.append(FieldProblem("runbook_questions", f"must be a whole number from 0 to {MOST_QUESTIONS}"))
        return 0
    return given


def _share(given: float | None) -> float:
    return 0.05 if given is None else given
