"""What a language model may be asked for, and what it may cost an organization in a day; the installation's limits are the caller's.

The model is a second pair of eyes: each use has a local twin, and whatever it says is checked before it counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from asoe.domain.errors import FieldProblem

USES: Final[dict[str, str]] = {
    "answers": "write an answer from the passages that were found",
    "slots": "find what a runbook must know in the client's words",
    "ties": "choose between intents that are as likely as one another",
    "articles": "word a person's answer as the draft of an article",
    "dossiers": "sum a ticket up and draft a reply for the person who gets it",
}
MOST_TOKENS: Final = 1_000_000_000
MOST_USD: Final = 1_000_000
_TOKENS: Final = ("tokens_per_day", "tokens_per_pass")
_MONEY: Final = ("usd_per_day", "usd_per_pass")
_LIMITS: Final = ", ".join((*_TOKENS, *_MONEY))


@dataclass(frozen=True, slots=True)
class ModelRules:
    """An organization's own limits; None: the installation's alone. A pass is one autonomous step over one ticket."""

    uses: frozenset[str] = frozenset(USES)
    tokens_per_day: int | None = None
    usd_per_day: Decimal | None = None
    tokens_per_pass: int | None = None
    usd_per_pass: Decimal | None = None

    def allow(self, spent: Sequence[ModelUsage], most: ModelUsage) -> bool:
        """Whether a pass that has spent this may spend that much more; money that nobody knows is too much."""
        tokens, costs = sum(each.tokens for each in spent), [each.cost_usd for each in (*spent, most)]
        if self.tokens_per_pass is not None and tokens + most.tokens > self.tokens_per_pass:
            return False
        known = [cost for cost in costs if cost is not None]
        return self.usd_per_pass is None or (len(known) == len(costs) and sum(known) <= self.usd_per_pass)


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """Tokens of one call, both ways, and what they cost in US dollars; None: nobody knows the price."""

    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: Decimal | None = Decimal(0)

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out


def read_model_rules(stored: Any, problems: list[FieldProblem]) -> ModelRules:
    """Read the setting `language_model`; what is wrong is added to `problems`."""
    if stored is None:
        return ModelRules()
    if not isinstance(stored, Mapping):
        problems.append(FieldProblem("language_model", f"must be an object with uses, {_LIMITS}"))
        return ModelRules()
    problems.extend(
        FieldProblem(f"language_model.{name}", f"is no limit: uses, {_LIMITS}")
        for name in stored
        if name not in {"uses", *_TOKENS, *_MONEY}
    )
    uses = stored.get("uses")
    if uses is not None and (isinstance(uses, str) or not isinstance(uses, Sequence)):
        problems.append(FieldProblem("language_model.uses", f"must be a list out of {', '.join(USES)}; [] for none"))
        uses = ()
    problems.extend(
        FieldProblem(f"language_model.uses.{name}", f"not one of {', '.join(USES)}")
        for name in uses or ()
        if name not in USES
    )
    tokens = {name: _amount(stored, name, problems, most=MOST_TOKENS) for name in _TOKENS}
    problems.extend(
        FieldProblem(f"language_model.{name}", "must be a whole number")
        for name, amount in tokens.items()
        if amount is not None and amount != int(amount)
    )
    usd = {name: _amount(stored, name, problems, most=MOST_USD) for name in _MONEY}
    whole = {name: None if amount is None else int(amount) for name, amount in tokens.items()}
    return ModelRules(
        frozenset(USES if uses is None else map(str, uses)),
        tokens_per_day=whole["tokens_per_day"],
        usd_per_day=usd["usd_per_day"],
        tokens_per_pass=whole["tokens_per_pass"],
        usd_per_pass=usd["usd_per_pass"],
    )


def least(own: Decimal | int | None, installation: Decimal | int | None) -> Decimal | int | None:
    """The stricter of two limits, either of which may be absent."""
    given = [limit for limit in (own, installation) if limit is not None]
    return min(given) if given else None


def _amount(stored: Mapping[str, Any], name: str, problems: list[FieldProblem], *, most: int) -> Decimal | None:
    given = stored.get(name)
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= most:
        problems.append(FieldProblem(f"language_model.{name}", f"must be a number from 0 to {most:,}"))
        return None
    return Decimal(str(given))
