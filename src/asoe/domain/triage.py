"""What triage says about a ticket: category, severity, intent, each with a calibrated confidence, and why.

The closed sets and which intent belongs to which category are decided here; how they are judged is `asoe.ai`'s.
docs/labels.md defines every value for the people who label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from asoe.domain.errors import Invalid

CATEGORY_INTENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "billing": (
        "invoice_question",
        "double_charge",
        "refund_request",
        "payment_failed",
        "change_plan",
        "cancel_subscription",
        "billing_out_of_sync",
        "credits_missing",
    ),
    "technical": ("how_to", "error_message", "job_failed", "workflow_stuck", "data_missing", "import_export_help"),
    "feature_request": ("new_feature", "missing_integration", "higher_limit", "does_it_exist"),
    "bug_report": ("wrong_result", "crash", "display_glitch", "regression", "data_corruption"),
    "account": (
        "cannot_sign_in",
        "password_reset",
        "two_factor",
        "invite_member",
        "change_role",
        "delete_account",
        "sso_setup",
        "account_locked",
        "account_takeover",
        "profile_change",
    ),
    "integration": (
        "connect_integration",
        "integration_broken",
        "webhook_missing",
        "api_key_rejected",
        "rate_limited",
        "api_usage",
    ),
    "performance": ("slow_pages", "slow_jobs", "timeouts", "outage"),
    "general": (
        "thanks_or_feedback",
        "wants_a_person",
        "before_buying",
        "privacy_or_security",
        "engine_complaint",
        "not_for_us",
    ),
}

CATEGORIES: Final = tuple(CATEGORY_INTENTS)
SEVERITIES: Final = ("low", "medium", "high", "critical")
"""In rising order."""
INTENTS: Final[Mapping[str, str]] = {
    intent: category for category, intents in CATEGORY_INTENTS.items() for intent in intents
}
"""Each default intent with its category."""


NEEDS: Final = ("information", "action", "vague", "none")
"""What would settle a ticket: a documented answer, an act by somebody, a question back, or nothing."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One judged value; `confidence` is the calibrated chance that it is right, `alternatives` the next best."""

    value: str
    confidence: float
    alternatives: tuple[tuple[str, float], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "confidence": round(self.confidence, 4),
            "alternatives": [{"value": value, "confidence": round(share, 4)} for value, share in self.alternatives],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Estimate:
        others = tuple((str(other["value"]), float(other["confidence"])) for other in stored.get("alternatives", ()))
        return cls(str(stored["value"]), float(stored["confidence"]), others)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why: the words that spoke for the category, and the nearest texts known (redacted)."""

    words: tuple[str, ...] = ()
    similar: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"words": list(self.words), "similar": list(self.similar)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Evidence:
        return cls(tuple(map(str, stored.get("words", ()))), tuple(map(str, stored.get("similar", ()))))


@dataclass(frozen=True, slots=True)
class Triage:
    """The whole judgement. `scope` in 0..1 says how much the text looks like support at all; `language` may be `und`.

    `requests` are the intents asked for in the text, the blocking one first. `need` says what would settle it (NEEDS).
    """

    category: Estimate
    severity: Estimate
    intent: Estimate
    language: str
    language_confidence: float
    scope: float
    evidence: Evidence
    requests: tuple[str, ...]
    model_version: str
    need: Estimate = Estimate("unknown", 0.0)

    def to_json(self) -> dict[str, Any]:
        return {
            "category": self.category.to_json(),
            "severity": self.severity.to_json(),
            "intent": self.intent.to_json(),
            "language": self.language,
            "language_confidence": round(self.language_confidence, 4),
            "scope": round(self.scope, 4),
            "evidence": self.evidence.to_json(),
            "requests": list(self.requests),
            "model_version": self.model_version,
            "need": self.need.to_json(),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Triage:
        """Read what `to_json` wrote; raises `Invalid(triage_unreadable)` on anything else."""
        try:
            return cls(
                category=Estimate.from_json(stored["category"]),
                severity=Estimate.from_json(stored["severity"]),
                intent=Estimate.from_json(stored["intent"]),
                language=str(stored["language"]),
                language_confidence=float(stored["language_confidence"]),
                scope=float(stored["scope"]),
                evidence=Evidence.from_json(stored["evidence"]),
                requests=tuple(map(str, stored["requests"])),
                model_version=str(stored["model_version"]),
                need=Estimate.from_json(stored["need"]) if "need" in stored else Estimate("unknown", 0.0),
            )
        except (KeyError, TypeError, ValueError) as problem:
            raise Invalid(
                f"triage: the stored judgement cannot be read ({problem!r}); triage the ticket again.",
                code="triage_unreadable",
            ) from problem


def severity_rank(severity: str) -> int:
    """0 for low to 3 for critical."""
    return SEVERITIES.index(severity)
