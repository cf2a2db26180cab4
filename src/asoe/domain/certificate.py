"""Certificates of answers: from which chance an answer may be sent alone, on which evidence; and what lending that means.

Thresholds are calculated by `asoe.ai.calibration`, drift is found by `asoe.ai.drift`; when to renew is the desk's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from asoe.domain.binomial import at_least

Alone: TypeAlias = Literal["lent", "certified", "never"]
Trust: TypeAlias = Literal["lent", "certified", "suggested"]

ALONE: Final = ("lent", "certified", "never")
DELTA: Final = 0.05
EVERYTHING: Final = ""
"""The category of a certificate about the whole organization."""


@dataclass(frozen=True, slots=True)
class Given:
    """An answer as it was given. `chance`: of helping, in 0..1. `model`: the shared model that judged the ticket.

    `words`: of one that was suggested; what was sent is a message.
    """

    trust: Trust
    chance: float
    articles: tuple[str, ...]
    model: str
    words: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A judged answer."""

    category: str
    chance: float
    is_right: bool
    is_audited: bool


@dataclass(frozen=True, slots=True)
class Certificate:
    """`threshold`: the chance from which answers may be sent alone (None: not enough evidence yet), so that with probability
    1 - `delta` at most `level` of those sent are wrong; `marginal_threshold`: from which, on average, at most `level` of all are.

    `cases` were judged, `errors` of them wrong; `accepted` reach the threshold, `accepted_errors` of them wrong; `audited` were
    looked at blind. `reference`: the traffic it rests on. `drift`: what had changed when it was voided.
    """

    category: str
    model: str
    threshold: float | None
    marginal_threshold: float | None
    level: float
    delta: float
    cases: int
    errors: int
    accepted: int
    accepted_errors: int
    audited: int
    reference: Mapping[str, Any]
    made_at: datetime
    made_by: UUID | None = None
    ended_at: datetime | None = None
    ended_why: str | None = None
    drift: Mapping[str, Any] | None = field(default=None)

    @property
    def state(self) -> str:
        """`certified`, `not_enough_evidence`, or how it ended: `renewed` or `voided`."""
        if self.ended_at is not None:
            return "voided" if self.ended_why == "drift" else "renewed"
        return "not_enough_evidence" if self.threshold is None else "certified"


def deciding(standing: Sequence[Certificate]) -> Certificate | None:
    """Of a category's own certificate and the whole organization's the one that counts; None where neither does.

    The whole's stands in where the category has too little evidence of its own, unless what it has speaks against it: as many
    errors as that come by chance less often than `DELTA` where the level is kept.
    """
    own = next((one for one in standing if one.category != EVERYTHING), None)
    whole = next((one for one in standing if one.category == EVERYTHING), None)
    if own is None:
        return whole
    if own.threshold is not None:
        return own
    return None if at_least(own.errors, own.cases, own.level) < DELTA else whole


def may_send(certificate: Certificate | None, *, chance: float, model: str) -> bool:
    """Whether a certificate lets an answer of this chance be sent alone; another model's says nothing."""
    return (
        certificate is not None
        and certificate.ended_at is None
        and certificate.threshold is not None
        and certificate.model == model
        and chance >= certificate.threshold
    )


def base_of(model_version: str) -> str:
    """The shared model's name; what an organization taught lies over it (`triage-5d27c1+3`)."""
    return model_version.partition("+")[0]


def in_words(drift: Mapping[str, Any]) -> str:
    """Why a certificate was voided, in a sentence."""
    what = str(drift.get("what", "")).replace("_", " ")
    named = "out of scope" if what == "out of scope" else f"about {what}"
    before, after = float(drift.get("before", 0)), float(drift.get("after", 0))
    window, at = drift.get("window", 0), drift.get("at", 0)
    return f"Of the newest {window} of {at} tickets {after:.0%} are {named}, where {before:.0%} were."
