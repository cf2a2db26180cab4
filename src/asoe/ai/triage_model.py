"""The triage model: category, severity, intent and need of tickets, each with a calibrated confidence, and why.

Decides how the heads of the classifier are combined (category and intent never contradict each other, severity errs
upwards) and how the model is stored; `triage_training` fits it. Files: arrays without pickle, and a readable manifest
with version, fingerprint of the training set, figures and settings.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from asoe.ai.adapter import Adapter
from asoe.ai.classifier import Floats, TextClassifier
from asoe.ai.encoder import Encoder, Vectors, read_with
from asoe.ai.features import Row
from asoe.ai.language import detect_language
from asoe.ai.orders import without_orders
from asoe.ai.own_intents import OwnIntents
from asoe.ai.redaction import redact
from asoe.domain.errors import Unavailable
from asoe.domain.triage import CATEGORIES, INTENTS, SEVERITIES, Estimate, Evidence, Triage

FORMAT: Final = 1
HEADS: Final = ("category", "severity", "intent", "need")
ALTERNATIVES: Final = 3
SIMILAR: Final = 3
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_FURTHER_REQUEST: Final = 0.55
_MAX_SENTENCES: Final = 24


@dataclass(frozen=True, slots=True)
class TriageInput:
    """One ticket's text; `names` are people known from the ticket, redacted before anything reads the text.

    `adapter`: what the ticket's organization has taught; `own`: its own intents.
    """

    subject: str
    body: str
    names: tuple[str, ...] = ()
    adapter: Adapter | None = None
    own: OwnIntents | None = None

    @property
    def text(self) -> str:
        return ticket_text(self.subject, self.body, names=self.names)


@dataclass(frozen=True, slots=True)
class Settings:
    """What training chose on out-of-fold predictions.

    `category_weights`: of log p(category) and of log p(category by intent). `severity_boost`: prior odds given to
    critical. `low_guard`: low is not said when p(critical) is above it. `usual_similarity`: median cosine of a
    training text to its nearest neighbour.
    """

    category_weights: tuple[float, float]
    severity_weights: tuple[float, float]
    severity_boost: float
    low_guard: float
    usual_similarity: float


@dataclass(frozen=True, slots=True)
class Judged:
    """Probabilities in the order of the label tuples, shape (texts, labels)."""

    category: Floats
    severity: Floats
    intent: Floats
    need: Floats | None


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """The intents of one organization in the order of the columns: everybody's, then its own."""

    intents: tuple[str, ...]
    categories: tuple[str, ...]
    membership: Floats
    """Which category (columns, as CATEGORIES) each intent belongs to."""


@dataclass(frozen=True, slots=True)
class TriageModel:
    """Everything one triage needs; immutable, safe to share between threads."""

    classifier: TextClassifier
    severity_by_intent: Floats
    """p(severity | intent), rows as the intent head's labels, columns as SEVERITIES."""
    settings: Settings
    examples: tuple[str, ...]
    """Redacted beginnings of the texts behind the classifier's anchors, for evidence."""
    manifest: Mapping[str, Any]

    @property
    def version(self) -> str:
        return str(self.manifest["version"])

    def triage(self, inputs: Sequence[TriageInput], encoder: Encoder) -> list[Triage]:
        """Judge tickets; one batch through the encoder."""
        if not inputs:
            return []
        texts = [item.text for item in inputs]
        vectors, meanings = read_with(encoder, texts, is_tuned=self.classifier.is_tuned)
        likeness = np.asarray(vectors @ self.classifier.anchors.T, np.float32)
        rows = [self.classifier.ngrams.row(text) for text in texts]
        judged = self.judge(texts, vectors, likeness, rows, meanings=meanings)
        nearest = likeness.max(axis=1)
        found: list[Triage | None] = [None] * len(inputs)
        for places, adapter, own in _by_organization([(self.fitting(item.adapter), item.own) for item in inputs]):
            taxonomy = self.taxonomy(own)
            laid = self.adapted(_rows(judged, places), adapter, vectors[places], own=own, nearest=nearest[places])
            near = nearest[places] if own is None else np.maximum(nearest[places], own.likeness(vectors[places]))
            for row, place in enumerate(places):
                found[place] = self._triage_of(
                    texts[place],
                    _rows(laid, [row]),
                    taxonomy,
                    likeness=likeness[place],
                    near=float(near[row]),
                    row=rows[place],
                    adapter=adapter,
                )
        return self._unswayed(texts, [each for each in found if each is not None], encoder)

    def taxonomy(self, own: OwnIntents | None) -> Taxonomy:
        """Everybody's intents, then the own ones."""
        names, categories = ((), ()) if own is None else (own.names, own.categories)
        return _taxonomy(self.classifier.heads["intent"].labels, names, categories)

    def fitting(self, adapter: Adapter | None) -> Adapter | None:
        """The adapter, if it was taught over this very model."""
        return adapter if adapter is not None and adapter.base == self.version else None

    def adapted(
        self,
        judged: Judged,
        adapter: Adapter | None,
        vectors: Vectors,
        *,
        own: OwnIntents | None = None,
        nearest: Floats | None = None,
    ) -> Judged:
        """The judgement with one organization's own intents among the shared ones, and with what its people corrected laid over it.

        Columns of `intent` are then those of `taxonomy(own)`; what was critical stays as it was. `nearest`: cosines to the
        nearest training text.
        """
        if adapter is None and own is None:
            return judged
        taxonomy, laid = self.taxonomy(own), judged
        of_category = taxonomy.membership
        if own is not None:
            near = (vectors @ self.classifier.anchors.T).max(axis=1) if nearest is None else nearest
            laid = _among(judged, own.shares(vectors, near), of_category[-len(own.names) :])
        if adapter is None:
            return laid
        category = adapter.apply("category", CATEGORIES, laid.category, vectors)
        severity = adapter.apply("severity", SEVERITIES, laid.severity, vectors).copy()
        shares = adapter.apply("intent", taxonomy.intents, laid.intent, vectors)
        spread = shares / np.maximum(shares @ of_category @ of_category.T, 1e-9)
        was_critical = severity_places(judged.severity, self.settings) == SEVERITIES.index("critical")
        severity[was_critical] = judged.severity[was_critical]
        return replace(laid, category=category, severity=severity, intent=spread * (category @ of_category.T))

    def _unswayed(self, texts: Sequence[str], found: list[Triage], encoder: Encoder) -> list[Triage]:
        """No severity is lower for what a text says to the machine that judges it."""
        plain = {place: left for place, text in enumerate(texts) if (left := without_orders(text)) is not None}
        if plain:
            remaining = list(plain.values())
            vectors, meanings = read_with(encoder, remaining, is_tuned=self.classifier.is_tuned)
            shares = self.judge(remaining, vectors, meanings=meanings).severity
            for place, row in zip(plain, shares, strict=True):
                severity = decide_severity(row, self.settings)
                if SEVERITIES.index(severity.value) > SEVERITIES.index(found[place].severity.value):
                    found[place] = replace(found[place], severity=severity)
        return found

    def judge(
        self,
        texts: Sequence[str],
        vectors: Vectors,
        likeness: Floats | None = None,
        rows: Sequence[Row] | None = None,
        *,
        meanings: Vectors | None = None,
    ) -> Judged:
        """The combined probabilities for already redacted texts; what may be given beside as `TextClassifier.judge` takes it."""
        return combine(
            self.classifier.judge(texts, vectors, likeness, rows, meanings),
            {name: head.labels for name, head in self.classifier.heads.items()},
            self.severity_by_intent,
            self.settings,
        )

    def save(self, folder: Path) -> None:
        """Write `model.npz` and `manifest.json`; the manifest goes last, so a torn write is never taken for a model."""
        folder.mkdir(parents=True, exist_ok=True)
        examples = np.frombuffer("\n".join(self.examples).encode(), np.uint8)
        arrays = {**self.classifier.to_arrays(), "examples": examples, "severity_by_intent": self.severity_by_intent}
        np.savez(folder / "model.npz", allow_pickle=False, **arrays)
        manifest = {**self.manifest, "format": FORMAT, "settings": asdict(self.settings)}
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "TriageModel":
        """Raises `Unavailable(ai_not_built)` when there is no model of this format in `folder`."""
        try:
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            with np.load(folder / "model.npz", allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        except (OSError, ValueError) as problem:
            raise Unavailable(
                f"There is no triage model in {folder} ({problem}). Run `make setup` or `python -m asoe.ai.build`.",
                code="ai_not_built",
                permanent=True,
            ) from problem
        if manifest.get("format") != FORMAT:
            raise Unavailable(
                f"The triage model in {folder} has format {manifest.get('format')}, this version reads {FORMAT}. "
                "Run `python -m asoe.ai.build`.",
                code="ai_not_built",
                permanent=True,
            )
        given = manifest["settings"]
        settings = Settings(
            category_weights=tuple(given["category_weights"]),
            severity_weights=tuple(given["severity_weights"]),
            severity_boost=given["severity_boost"],
            low_guard=given["low_guard"],
            usual_similarity=given["usual_similarity"],
        )
        examples = tuple(arrays.pop("examples").tobytes().decode().split("\n"))
        by_intent = arrays.pop("severity_by_intent")
        return cls(TextClassifier.from_arrays(arrays), by_intent, settings, examples, manifest)

    def _triage_of(
        self,
        text: str,
        judged: Judged,
        taxonomy: Taxonomy,
        *,
        likeness: Floats,
        near: float,
        row: Row,
        adapter: Adapter | None,
    ) -> Triage:
        heads = self.classifier.heads
        category = estimate(CATEGORIES, judged.category[0])
        severity = decide_severity(judged.severity[0], self.settings)
        within = taxonomy.membership[:, CATEGORIES.index(category.value)] > 0
        intent = estimate(taxonomy.intents, judged.intent[0], within=within)
        some = (
            np.argpartition(-likeness, SIMILAR - 1)[:SIMILAR] if len(likeness) > SIMILAR else np.arange(len(likeness))
        )
        nearest = some[np.argsort(-likeness[some], kind="stable")]
        usual = max(self.settings.usual_similarity, 1e-6)
        language, language_confidence = detect_language(text)
        return Triage(
            category=category,
            severity=severity,
            intent=intent,
            language=language,
            language_confidence=language_confidence,
            scope=float(category.confidence * np.clip(near / usual, 0, 1)),
            evidence=Evidence(
                words=self.classifier.words_for("category", category.value, text, row=row),
                similar=tuple(self.examples[place] for place in nearest),
            ),
            requests=(intent.value, *self._further_requests(text, category.value)),
            model_version=self.version if adapter is None else f"{self.version}+{adapter.version}",
            need=(
                estimate(heads["need"].labels, judged.need[0]) if judged.need is not None else Estimate("unknown", 0.0)
            ),
        )

    def _further_requests(self, text: str, first: str) -> tuple[str, ...]:
        """Intents of other categories than the first that single sentences ask for, judged by words alone."""
        sentences = [part for part in _SENTENCE.split(text) if len(part.split()) > 3][:_MAX_SENTENCES]
        if len(sentences) < 2:
            return ()
        judged = self.classifier.judge_by_words("intent", sentences)
        labels = self.classifier.heads["intent"].labels
        seen, found = {first}, []
        for row in judged:
            best = int(row.argmax())
            if row[best] >= _FURTHER_REQUEST and INTENTS[labels[best]] not in seen:
                seen.add(INTENTS[labels[best]])
                found.append(labels[best])
        return tuple(found)


def ticket_text(subject: str, body: str, *, names: Sequence[str] = ()) -> str:
    """The one text that is judged, embedded and trained on: subject, a line break, body, redacted."""
    return redact(f"{subject}\n{body}".strip(), names).text


def combine(
    judged: Mapping[str, Floats],
    labels: Mapping[str, Sequence[str]],
    severity_by_intent: Floats,
    settings: Settings,
) -> Judged:
    """Pool the heads: category with the categories of the intents, severity with what is usual for the intents."""
    intents = judged["intent"]
    of_category = membership(labels["intent"])
    category = _ordered(judged["category"], labels["category"], CATEGORIES)
    by_intent = intents @ of_category
    first, second = settings.category_weights
    pooled = _pool([(first, category), (second, by_intent)])
    severity = _ordered(judged["severity"], labels["severity"], SEVERITIES)
    first, second = settings.severity_weights
    # intents are spread anew within the pooled categories, so that the best intent lies in the best category
    share = intents / np.maximum(by_intent @ of_category.T, 1e-9)
    return Judged(
        category=pooled,
        severity=_pool([(first, severity), (second, intents @ severity_by_intent)]),
        intent=np.asarray(share * (pooled @ of_category.T), np.float32),
        need=judged.get("need"),
    )


@lru_cache(maxsize=256)
def _taxonomy(shared: tuple[str, ...], names: tuple[str, ...], own: tuple[str, ...]) -> Taxonomy:
    categories = (*(INTENTS[each] for each in shared), *own)
    belongs = np.array([[mine == category for category in CATEGORIES] for mine in categories], np.float32)
    return Taxonomy((*shared, *names), categories, belongs)


def _by_organization(
    taught: Sequence[tuple[Adapter | None, OwnIntents | None]],
) -> list[tuple[list[int], Adapter | None, OwnIntents | None]]:
    """The places of the texts that are judged alike, with what their organization has taught."""
    groups: dict[tuple[int, int], tuple[list[int], Adapter | None, OwnIntents | None]] = {}
    for place, (adapter, own) in enumerate(taught):
        groups.setdefault((id(adapter), id(own)), ([], adapter, own))[0].append(place)
    return list(groups.values())


def _rows(judged: Judged, places: Sequence[int]) -> Judged:
    return Judged(
        judged.category[places],
        judged.severity[places],
        judged.intent[places],
        None if judged.need is None else judged.need[places],
    )


def _among(judged: Judged, own: Floats, of_category: Floats) -> Judged:
    """Own intents take their shares from all shared ones alike, in the intents and in the categories, so that these agree."""
    left = 1 - own.sum(axis=1, keepdims=True)
    return replace(
        judged,
        category=np.asarray(left * judged.category + own @ of_category, np.float32),
        intent=np.concatenate([left * judged.intent, own], axis=1),
    )


def membership(intents: Sequence[str]) -> Floats:
    """Which category (columns, as CATEGORIES) each intent (rows) belongs to."""
    return np.array([[INTENTS[intent] == category for category in CATEGORIES] for intent in intents], np.float32)


def estimate(labels: Sequence[str], shares: Floats, *, within: NDArray[np.bool_] | None = None) -> Estimate:
    """The best label (of those `within`, if given) with its probability, and the next best."""
    order = [int(place) for place in np.argsort(-shares, kind="stable")]
    allowed = [place for place in order if within is None or within[place]]
    best = (allowed or order)[0]
    others = [place for place in order if place != best][:ALTERNATIVES]
    return Estimate(labels[best], float(shares[best]), tuple((labels[place], float(shares[place])) for place in others))


def decide_severity(shares: Floats, settings: Settings) -> Estimate:
    """Ordinal and cautious: critical counts more than its share, and low is not said while critical is thinkable."""
    place = severity_places(shares[None, :], settings)[0]
    others = [int(other) for other in np.argsort(-shares, kind="stable") if other != place][:ALTERNATIVES]
    return Estimate(
        SEVERITIES[place], float(shares[place]), tuple((SEVERITIES[other], float(shares[other])) for other in others)
    )


def severity_places(shares: Floats, settings: Settings) -> Any:
    """The decided index into SEVERITIES for each row."""
    places = (shares * np.array([1, 1, 1, settings.severity_boost], np.float32)).argmax(axis=1)
    places[(places == 0) & (shares[:, 3] > settings.low_guard)] = 1
    return places


def _ordered(shares: Floats, labels: Sequence[str], wanted: Sequence[str]) -> Floats:
    ordered = np.full((len(shares), len(wanted)), 1e-4, np.float32)
    for place, label in enumerate(wanted):
        if label in labels:
            ordered[:, place] = shares[:, labels.index(label)]
    return ordered


def _pool(members: Sequence[tuple[float, Floats]]) -> Floats:
    logs = sum(weight * np.log(np.maximum(shares, 1e-5)) for weight, shares in members)
    grown = np.exp(logs - np.max(logs, axis=1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=1, keepdims=True), np.float32)
