"""Settling: the chance that sending an answer is what a good desk would do, from the words, the triage and the fit.

Whether that chance is high enough is the caller's; which answer fits best was decided before.
"""

from __future__ import annotations

import re
from math import exp, log
from typing import Final

from asoe.domain.answer import Answer
from asoe.domain.triage import Estimate, Triage

BIAS: Final = 3.87
WEIGHTS: Final = {
    "fit": 2.88,
    "leaning": 1.12,
    "odds": 0.31,
    "vague": -7.95,
    "urgent": -1.07,
    "named_case": -4.80,
    "length": -1.72,
    "asks": 0.74,
    "begs": -2.33,
    "encloses": -4.22,
    "lead": 5.43,
    "code": 1.31,
    "general": -2.42,
}
"""Logistic, fitted by `python -m evals.settling` on the gate corpus and the `dev` part of the desk corpus."""

_NAMED_CASE: Final = re.compile(r"\b(?:[a-z]+[_-]?(?:\d{4}-)?\d{3,}\d*|\d{5,})\b", re.IGNORECASE)
_CODE: Final = re.compile(r"\b[A-Z]{1,5}-?\d{3}\b")
_BEGS: Final = re.compile(
    r"\b(?:please|kindly|(?:could|can|would) you|bitte|k[oö]nn(?:en|ten) sie|por favor|pod[eé]is|merci de|svp|veuillez|"
    r"pou(?:vez|rriez)[ -]vous)\b",
    re.IGNORECASE,
)
_ENCLOSES: Final = re.compile(
    r"\b(?:attach(?:ed|ment)?|enclosed|anbei|beigef[uü]gt|im anhang|adjunt[oa]s?|ci-joints?|jointe?s?)\b", re.IGNORECASE
)
_LEAST_SHARE: Final = 0.02


def settles(triage: Triage, answer: Answer, question: str) -> float:
    """The chance, in 0..1.

    A client who wants information is answered the sooner the better the article fits, the further it is ahead of others,
    and if it names the error code in question; one who needs an act is not, and one who names a run or an invoice, begs
    for something, encloses papers, tells a long story or writes of nothing in particular seldom wants a page.
    """
    found = signals(triage, answer, question)
    total = BIAS + sum(weight * found[name] for name, weight in WEIGHTS.items())
    return 1 / (1 + exp(-total))


def signals(triage: Triage, answer: Answer, question: str) -> dict[str, float]:
    """What the chance rests on, by the names of WEIGHTS."""
    information, action = share(triage.need, "information"), share(triage.need, "action")
    return {
        "fit": answer.fit,
        "leaning": information - action,
        "odds": log((information + _LEAST_SHARE) / (action + _LEAST_SHARE)),
        "vague": share(triage.need, "vague"),
        "urgent": float(triage.severity.value in {"high", "critical"}),
        "named_case": float(_names_a_case(question, answer)),
        "length": log(1 + len(question.split())),
        "asks": float("?" in question),
        "begs": float(_BEGS.search(question) is not None),
        "encloses": float(_ENCLOSES.search(question) is not None),
        "lead": answer.lead,
        "code": float(any(code in answer.text for code in _CODE.findall(question))),
        "general": share(triage.category, "general"),
    }


def _names_a_case(question: str, answer: Answer) -> bool:
    """Whether a run, an invoice or the like is named; what the article names itself is an error code of many."""
    named = _NAMED_CASE.findall(_CODE.sub(" ", question))
    return any(name.casefold() not in answer.text.casefold() for name in named)


def share(estimate: Estimate, value: str) -> float:
    """What the estimate gives to `value`."""
    if estimate.value == value:
        return estimate.confidence
    return next((found for other, found in estimate.alternatives if other == value), 0.0)
