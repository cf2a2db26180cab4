"""Handing over: the named reasons, and the dossier that must not arrive empty."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

REASONS: Final[dict[str, str]] = {
    "critical_severity": "The severity is critical: a person looks at once.",
    "client_asked": "The client asked for a person.",
    "low_confidence": "The engine is not sure what the client needs.",
    "no_grounded_answer": "No article answers this well enough.",
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
    "not_found": "What the client writes about was not found in the outside system.",
    "not_theirs": "What the client writes about belongs to somebody else.",
    "fraud": "There are signs of fraud.",
    "already_met": "The checks find nothing wrong.",
    "already_done": "The same act was done before and is done only once.",
    "runbook_refused": "The runbook's policy says no.",
    "run_timeout": "The run took longer than it may.",
    "run_cancelled": "A person cancelled the run.",
    "client_silent": "The client did not answer what the run needs to know.",
    "no_answer": "What the run needs to know could not be read from the client's words.",
    "connector_down": "An outside system does not answer.",
    "policy": "The organization's policy gives these to a person.",
}

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
class Dossier:
    """What a person is handed: plain values only, so that it is stored and shown as it is."""

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
    links: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
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
            "links": list(self.links),
            **self.extra,
        }


def missing_fields(dossier: dict[str, Any]) -> tuple[str, ...]:
    """The required fields that are absent or empty; an empty `tried` must say that nothing was tried."""
    return tuple(name for name in REQUIRED_DOSSIER_FIELDS if not dossier.get(name))
