"""How a ticket ends: the seven resolution types, the verdicts, and which type an unexplained ticket gets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

RESOLUTION_TYPES: Final = (
    "auto_fix",
    "guided_resolution",
    "workflow_reset",
    "billing_sync",
    "token_refund",
    "feature_recommendation",
    "engine_retraining",
)
VERDICTS: Final = ("verified", "unverified", "failed", "refused", "answered", "handed_over")

TYPE_OF_CATEGORY: Final = {
    "billing": "billing_sync",
    "technical": "auto_fix",
    "account": "auto_fix",
    "integration": "auto_fix",
    "performance": "workflow_reset",
    "feature_request": "feature_recommendation",
}
TYPE_OF_INTENT: Final = {
    "billing_out_of_sync": "billing_sync",
    "credits_missing": "token_refund",
    "workflow_stuck": "workflow_reset",
    "engine_complaint": "engine_retraining",
    "how_to": "guided_resolution",
    "api_usage": "guided_resolution",
    "import_export_help": "guided_resolution",
}


def select_resolution_type(category: str, intent: str | None = None, *, has_runbook: bool = False) -> str:
    """Choose one of the seven types (design §3.3): evidence first, else the category's own.

    `intent` is given only when triage was sure of it; `has_runbook` says that a runbook for the type of the
    category matches, which outweighs an intent that would only be answered.
    """
    by_category = TYPE_OF_CATEGORY.get(category, "guided_resolution")
    by_intent = TYPE_OF_INTENT.get(intent or "")
    if by_intent is None or (has_runbook and by_intent == "guided_resolution"):
        return by_category
    return by_intent


@dataclass(frozen=True, slots=True)
class Citation:
    """A place in an article that an answer rests on."""

    article_id: str
    slug: str
    title: str
    heading: str
    quote: str

    def to_json(self) -> dict[str, str]:
        return {
            "article_id": self.article_id,
            "slug": self.slug,
            "title": self.title,
            "heading": self.heading,
            "quote": self.quote,
        }


@dataclass(frozen=True, slots=True)
class Resolution:
    """What `support_tickets.resolution` holds."""

    type: str
    verdict: str
    summary: str
    decided_at: datetime
    run_id: str | None = None
    citations: tuple[Citation, ...] = ()
    evidence: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        out: dict[str, Any] = {
            "type": self.type,
            "verdict": self.verdict,
            "summary": self.summary,
            "decided_at": self.decided_at.isoformat(),
        }
        if self.run_id is not None:
            out["run_id"] = self.run_id
        if self.citations:
            out["citations"] = [citation.to_json() for citation in self.citations]
        if self.evidence is not None:
            out["evidence"] = self.evidence
        return out
