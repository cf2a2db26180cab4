"""May this act alone? The ladder, lent trust, and the certificate: an exact upper limit of the error rate."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import comb
from typing import Any, Final, Literal, TypeAlias

LEVELS: Final = ("off", "shadow", "suggest", "approve", "auto")
CONFIDENCE: Final = 0.95
DEFAULT_LIMITS: Final = {"reversible": 0.05, "costly": 0.02}
LONGEST_LOAN: Final = timedelta(days=90)
Level: TypeAlias = Literal["off", "shadow", "suggest", "approve", "auto"]


@dataclass(frozen=True, slots=True)
class Loan:
    """Trust an owner lent: `auto` without a certificate until `until`."""

    by: str
    reason: str
    since: datetime
    until: datetime
    caps: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Judged cases of one runbook since its certificate was last voided."""

    cases: int
    errors: int

    @property
    def upper_limit(self) -> float:
        """The exact upper 95 % limit of the error rate (Clopper-Pearson, one-sided); 1.0 without any case."""
        return upper_limit(self.errors, self.cases)


@dataclass(frozen=True, slots=True)
class Standing:
    """A runbook's autonomy in an organization."""

    level: Level
    evidence: Evidence
    loan: Loan | None = None
    braked_at: datetime | None = None

    def may_act_alone(self, risk: str, now: datetime, *, limits: dict[str, float] | None = None) -> bool:
        """Reads always; irreversible acts never; others at `auto` with a valid loan or a certificate."""
        if risk == "read":
            return True
        if risk == "irreversible" or self.level != "auto" or self.braked_at is not None:
            return False
        if self.loan is not None and self.loan.since <= now < self.loan.until:
            return True
        limit = (limits or DEFAULT_LIMITS).get(risk, 0.0)
        return self.evidence.upper_limit < limit


def upper_limit(errors: int, cases: int, confidence: float = CONFIDENCE) -> float:
    """The largest error rate under which so few errors still happen with probability 1 - confidence."""
    if cases <= 0 or errors >= cases:
        return 1.0
    if errors == 0:
        return 1.0 - (1.0 - confidence) ** (1.0 / cases)
    low, high = errors / cases, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _at_most(errors, cases, middle) > 1.0 - confidence:
            low = middle
        else:
            high = middle
    return high


def cases_needed(limit: float, confidence: float = CONFIDENCE) -> int:
    """How many cases without an error a certificate for `limit` needs (59 for 5 %, 149 for 2 %)."""
    cases = 1
    while upper_limit(0, cases, confidence) >= limit:
        cases += 1
    return cases


def _at_most(errors: int, cases: int, rate: float) -> float:
    return sum(comb(cases, k) * float(rate**k * (1 - rate) ** (cases - k)) for k in range(errors + 1))
