"""The built model: loads fast, contradicts itself nowhere, and never takes the critical for low."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from evals.triage import HELD_BACK, leakage, measure, read_held_back

from asoe.ai.build import build_triage
from asoe.ai.local import BUILT, LocalAI, Models
from asoe.ai.triage_model import TriageInput, TriageModel
from asoe.domain.errors import Unavailable
from asoe.domain.triage import CATEGORIES, INTENTS, SEVERITIES, Triage


@pytest.fixture(scope="module")
def models() -> Models:
    return Models.load()


def test_held_back_tickets_are_triaged_above_the_floor(models: Models) -> None:
    rows = read_held_back(HELD_BACK)
    report = measure(models, rows)
    assert report["category"]["macro_f1"] >= 0.86
    assert report["severity"]["macro_f1"] >= 0.76
    assert report["critical_taken_for_low"] == 0
    assert report["language_accuracy"] >= 0.97
    for head in ("category", "severity"):
        assert report[head]["macro_f1"] > report["keywords"][head] + 0.2
        assert report[head]["macro_f1"] > report[head]["shuffled_labels_macro_f1"] + 0.3
    near = leakage(models, rows)
    assert near["closer_than_0.9"] == near["sharing_8_words"] == 0


def test_category_and_intent_never_contradict_each_other(models: Models) -> None:
    rows = read_held_back(HELD_BACK)[:120]
    for found in models.triage([TriageInput(row["subject"] or "", row["body"]) for row in rows]):
        assert INTENTS[found.intent.value] == found.category.value
        assert found.requests[0] == found.intent.value
        assert found.category.value in CATEGORIES
        assert found.severity.value in SEVERITIES
        assert 0 <= found.scope <= 1
        for estimate in (found.category, found.severity, found.intent, found.need):
            assert 0 <= estimate.confidence <= 1
        assert len(found.evidence.similar) == 3


def test_a_judgement_survives_its_json(models: Models) -> None:
    found = models.triage(
        [TriageInput("Charged twice", "You took 49 euros two times. Also, how do I reset my password?")]
    )[0]
    again = Triage.from_json(json.loads(json.dumps(found.to_json())))
    assert again.to_json() == found.to_json()
    assert found.category.value == "billing"
    assert "password_reset" in found.requests


def test_nothing_private_reaches_the_evidence(models: Models) -> None:
    text = "My card 4242 4242 4242 4242 was charged, mail ana@mail.example, call +49 30 901820"
    found = models.triage([TriageInput("Ana Lopez", text, names=("Ana Lopez",))])[0]
    shown = json.dumps(found.to_json())
    for private in ("4242", "ana@", "901820", "lopez"):
        assert private not in shown.lower()


@pytest.mark.parametrize(
    "body", ["", " ", "\x00", "?" * 5000, "word " * 20_000, "💥" * 300, "{{7*7}} ${jndi:ldap://x} <script>"]
)
def test_odd_texts_are_judged_like_any_other(models: Models, body: str) -> None:
    found = models.triage([TriageInput("", body)])[0]
    assert np.isfinite(found.category.confidence)


def test_alone_or_in_a_batch_a_ticket_is_judged_alike(models: Models) -> None:
    inputs = [TriageInput("", text) for text in ("cannot log in", "the invoice is wrong " * 30, "thanks!")]
    together = models.triage(inputs)
    for single, batched in zip((models.triage([item])[0] for item in inputs), together, strict=True):
        assert single.category.value == batched.category.value
        assert single.category.confidence == pytest.approx(batched.category.confidence, abs=0.03)


async def test_what_arrives_together_is_judged_together(models: Models) -> None:
    sizes: list[int] = []

    class Counting:
        def embed(self, texts):
            sizes.append(len(texts))
            return models.encoder.embed(texts)

    ai = LocalAI(Models(Counting(), models.triage_model))
    found = await asyncio.gather(*(ai.triage("", f"cannot log in {number}") for number in range(40)))
    assert len(found) == 40
    assert max(sizes) > 8
    vectors = await ai.embed(["one", "two"])
    assert vectors.shape == (2, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1], abs=1e-3)
    assert (await ai.embed([])).shape == (0, 384)
    await ai.close()


async def test_a_failing_batch_fails_for_those_in_it_only(models: Models) -> None:
    class Fragile:
        def embed(self, texts):
            if any("boom" in text for text in texts):
                raise RuntimeError("boom")
            return models.encoder.embed(texts)

    ai = LocalAI(Models(Fragile(), models.triage_model))
    with pytest.raises(RuntimeError):
        await ai.triage("", "boom")
    assert (await ai.triage("", "cannot log in")).category.value == "account"
    await ai.close()


def test_a_missing_model_is_said_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"make setup") as caught:
        Models.load(tmp_path)
    assert caught.value.code == "ai_not_built"
    with pytest.raises(Unavailable):
        TriageModel.load(tmp_path)


def test_building_again_changes_nothing_and_the_same_text_gives_the_same_model(tmp_path: Path, capsys) -> None:
    training = tmp_path / "training"
    training.mkdir()
    tickets = [
        {
            "id": str(number),
            "subject": "",
            "body": body,
            "category": INTENTS[intent],
            "severity": severity,
            "intent": intent,
            "language": "en",
        }
        for number, (intent, severity, body) in enumerate(
            [
                (intent, SEVERITIES[place % 4], f"{intent.replace('_', ' ')} number {place}")
                for intent in INTENTS
                for place in range(5)
            ]
        )
    ]
    (training / "tickets.jsonl").write_text("\n".join(json.dumps(ticket) for ticket in tickets))
    build_triage(tmp_path / "one", BUILT / "encoder", training)
    build_triage(tmp_path / "one", BUILT / "encoder", training)
    assert "up to date" in capsys.readouterr().out
    build_triage(tmp_path / "two", BUILT / "encoder", training)
    one, two = (TriageModel.load(tmp_path / name) for name in ("one", "two"))
    assert one.version == two.version
    for name, head in one.classifier.heads.items():
        assert np.array_equal(head.linear, two.classifier.heads[name].linear)
