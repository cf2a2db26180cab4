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
    "hostile_content": "The text tries to instruct the engine.",
    "stage_failed": "A stage failed repeatedly; the cause is in the timeline.",
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
            "reasons_in_words": [REASONS[reason] for reason in self.reasons],
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
