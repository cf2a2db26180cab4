"""Fits the two small models of `asoe.ai.slots.leaning` on the letters for development and prints their constants.

`python -m evals.estate.weighing`: what the signs of a sentence weigh for its giving a permission, and what tells that a sentence is about a matter. The
letters of `fresh.yaml` take no part. Printed beside it: the highest weight of a withheld letter, out of fold.
"""

from __future__ import annotations

import sys
from itertools import groupby

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from asoe.ai.encoder import Encoder, RememberingEncoder
from asoe.ai.local import Models
from asoe.ai.redaction import redact
from asoe.ai.slots import leaning
from asoe.ai.slots.clauses import Fragment, fragments_of, likened
from asoe.ai.slots.sentence import parts_of
from asoe.ai.slots.topic import topic_of

from .cases import VOICES, WORDINGS
from .reading import WHOSE, language_of, letters, slots


def _sentences(text: str) -> list[list[Fragment]]:
    pieces = fragments_of(redact(text).text)
    return [list(group) for _, group in groupby(pieces, key=lambda fragment: fragment.sentence)]


def _told() -> list[tuple[str, str, bool]]:
    """Text, slot and whether it gives: letters, consents that anybody may look at, and the runbooks' examples."""
    found = [
        (each.text, each.slot, each.kind == "given")
        for each in letters()
        if each.half != "fresh" and each.kind in {"given", "withheld", "plain"}
    ]
    for words, step in ((WORDINGS, 2), (VOICES, 1)):
        for name, lines in words["consents"].items():
            found += [(line.replace("{asked}", "3"), name, True) for line in lines[::step] if name != "identity"]
    for slot in slots().values():
        if slot.name != WHOSE:
            found += [(text, slot.name, value == "given") for value in slot.examples for text in slot.examples[value]]
    return found


def weights(told: list[tuple[str, str, bool]]) -> tuple[float, dict[str, float], float]:
    """Bias and weight of each sign, and the most that a withheld letter weighs out of fold."""
    signs = []
    for text, _, _ in told:
        here = [leaning.signs(sentence, language_of(text)) for sentence in _sentences(text)]
        signs.append({name: any(one[name] for one in here) for name in here[0]})
    rows = np.array([[float(value) for value in one.values()] for one in signs])
    wanted = np.array([given for _, _, given in told])
    out = np.zeros(len(told))
    for seen, held in KFold(5, shuffle=True, random_state=1).split(rows):
        out[held] = _fit(rows[seen], wanted[seen]).predict_proba(rows[held])[:, 1]
    fitted = _fit(rows, wanted)
    named = {name: round(float(value), 2) for name, value in zip(signs[0], fitted.coef_[0], strict=True)}
    return round(float(fitted.intercept_[0]), 2), named, float(out[~wanted].max())


def matters(told: list[tuple[str, str, bool]], encoder: Encoder) -> tuple[float, list[float]]:
    """Bias and weights of nearness: of a letter that gives one consent, that one against all others."""
    topics = {name: topic_of(slot, encoder) for name, slot in slots().items() if name != WHOSE}
    rows, wanted = [], []
    for text, name, given in told:
        if not (given or not name) or language_of(text) != "en":
            continue
        for other, topic in topics.items():
            if other == name and text in topic.slot.examples.get("given", ()):
                continue
            best: tuple[float, ...] = ()
            for sentence in _sentences(text):
                vectors = encoder.embed([likened(part) for part in parts_of(sentence)])
                words = "".join(fragment.words for fragment in sentence)
                best = max(best, topic.nearness(words, vectors, is_english=True))
            if best:
                rows.append(best)
                wanted.append(given and other == name)
    fitted = _fit(np.array(rows), np.array(wanted))
    return round(float(fitted.intercept_[0]), 2), [round(float(value), 2) for value in fitted.coef_[0]]


def _fit(rows: np.ndarray, wanted: np.ndarray) -> LogisticRegression:
    return LogisticRegression(C=1, max_iter=2000, class_weight="balanced").fit(rows, wanted)


def main() -> int:
    told = _told()
    bias, named, most = weights(told)
    print(f"_BIAS: Final = {bias}\n_WEIGHTS: Final = {named}\nmost of a withheld letter, out of fold: {most:.3f}")
    near, of_matter = matters(told, RememberingEncoder(Models.load().encoder, most=50_000))
    print(f"_MATTER_BIAS: Final = {near}\n_MATTER: Final = {tuple(of_matter)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
