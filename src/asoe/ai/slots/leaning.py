"""How surely a sentence gives a permission: what the patterns find in it, weighed by a small fitted model.

The patterns alone say yes or no; this lets a sentence through whose signs are nearly all of one kind. Weights and what of the matter counts
are fitted by `python -m evals.estate.weighing` on letters for development. What costs money is left to the patterns.
"""

import math
from collections.abc import Sequence
from typing import Final

from asoe.ai.slots import sentence as patterns
from asoe.ai.slots.clauses import Fragment
from asoe.ai.slots.permission import cue_of, denies, doubts, is_offered, is_over

SURE: Final = 0.9
"""From here on it counts: of the letters for development, no withheld permission is weighed as much."""
ABOUT_IT: Final = 0.6
_BIAS: Final = -1.31
_WEIGHTS: Final = {
    "asks": -2.05,
    "holds": 0.73,
    "repeats a question": 1.43,
    "withholds": -2.53,
    "others say": -0.5,
    "doubts": -0.52,
    "denies": -1.94,
    "is offered": -0.25,
    "refuses beside": -1.05,
    "another act": -2.72,
    "is over": -0.44,
    "says aside": 0.27,
    "gives": 2.72,
    "refuses": 0.71,
    "is unsure": 0.01,
    "is weak": -0.67,
    "wants": -0.06,
    "permits": 1.91,
    "orders": 2.9,
    "wishes": 1.34,
    "answers yes": 1.56,
}
_MATTER_BIAS: Final = -9.43
_MATTER: Final = (5.51, 4.84, 5.79, -0.53, 1.85)


def leans(fragments: Sequence[Fragment], following: Sequence[Fragment], language: str) -> bool:
    """Whether a sentence surely gives a permission, of whatever; what holds it back or asks it ends it whatever else it says."""
    if not fragments or patterns.is_kept_back(fragments, following, language) or not patterns.ways(fragments, language):
        return False
    found = signs(fragments, language)
    weight = _BIAS + sum(_WEIGHTS[name] for name, is_there in found.items() if is_there)
    return _share(weight) >= SURE


def signs(fragments: Sequence[Fragment], language: str) -> dict[str, bool]:
    """What the patterns find in a sentence, by name."""
    main = patterns.main_of(fragments)
    told = " |".join(fragment.words for fragment in main)
    whole = "".join(fragment.words for fragment in fragments)
    cues = [cue_of(each.words, is_question=each.is_question, language=language) for each in fragments]
    polarities = {cue.polarity for cue in cues}
    return {
        "asks": fragments[0].is_question,
        "holds": any(patterns.holds(fragment, language) for fragment in fragments),
        "repeats a question": patterns.repeats_a_question(whole),
        "withholds": patterns.is_withheld(fragments),
        "others say": patterns.is_theirs(whole),
        "doubts": doubts(told),
        "denies": any(denies(patterns.without_harmless(fragment.words), "und") for fragment in main),
        "is offered": is_offered(patterns.without_harmless(told)),
        "refuses beside": patterns.refuses_beside(fragments),
        "another act": any(patterns.is_another_act(fragment.words) for fragment in fragments),
        "is over": is_over(whole),
        "says aside": len(main) < len(fragments),
        "gives": "given" in polarities,
        "refuses": "refused" in polarities,
        "is unsure": "unsure" in polarities,
        "is weak": any(cue.is_weak for cue in cues),
        "wants": any(cue.is_wish for cue in cues),
        "permits": any(patterns.permits(fragment.words) for fragment in fragments),
        "orders": any(patterns.orders(fragment.words) for fragment in fragments),
        "wishes": patterns.wishes(whole),
        "answers yes": any(patterns.is_yes(fragment) for fragment in fragments),
    }


def matter(likeness: Sequence[float]) -> float:
    """How surely a sentence is about a matter (0..1), by what `Topic.nearness` tells of it."""
    return _share(_MATTER_BIAS + sum(weight * value for weight, value in zip(_MATTER, likeness, strict=True)))


def _share(weight: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, weight))))
