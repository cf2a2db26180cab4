"""What was tuned changes nothing for whoever does not ask for it, and counts only as far as unseen texts bear it out."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from asoe.ai.classifier import Head, TextClassifier, TunedHead
from asoe.ai.deltas import DELTA_FILE, SCORE_STEP, mark_of, read_deltas
from asoe.ai.encoder import RememberingEncoder, read_with
from asoe.ai.features import fit_ngrams
from asoe.ai.local import BUILT, Models
from asoe.ai.training import Tuned, fit
from asoe.domain.errors import Invalid

TEXTS = ["cannot sign in", "the invoice of May is wrong, please look", "¿Dónde está mi factura?", "a " * 400]


@pytest.fixture(scope="module")
def models() -> Models:
    return Models.load()


def test_the_published_vectors_are_the_same_whether_or_not_the_tuned_ones_are_made(models):
    vectors, meanings = models.encoder.read(TEXTS)
    assert np.array_equal(vectors, models.encoder.embed(TEXTS))
    assert np.linalg.norm(meanings, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-3)
    assert np.abs(vectors - meanings).max() > 0.01


def test_no_tuned_weight_is_on_the_way_to_the_published_vector():
    import onnx

    graph = onnx.load(str(BUILT / "encoder" / "tuned.onnx")).graph
    made_by = {output: node for node in graph.node for output in node.output}
    wanted, seen = ["embedding"], set()
    while wanted:
        name = wanted.pop()
        if name not in seen:
            seen.add(name)
            wanted += made_by[name].input if name in made_by else []
    tuned = {constant.name for constant in graph.initializer if constant.name.startswith("tuned.")}
    assert tuned
    assert not tuned & seen


def test_a_text_that_was_read_is_not_made_again_for_its_published_vector():
    class Counting:
        is_tuned = True
        made = 0

        def embed(self, texts):
            raise AssertionError(texts)

        def read(self, texts):
            self.made += len(texts)
            return np.ones((len(texts), 384), np.float32), np.zeros((len(texts), 384), np.float32)

    counting = Counting()
    encoder = RememberingEncoder(counting, most=2)
    assert encoder.is_tuned
    assert read_with(encoder, ["one", "two"], is_tuned=True)[1].shape == (2, 384)
    assert encoder.embed([" one", "two "]).shape == (2, 384)
    encoder.read(["two", "one"])
    assert counting.made == 2


def test_an_encoder_without_tuned_layers_is_asked_for_none():
    class Plain:
        def embed(self, texts):
            return np.ones((len(texts), 384), np.float32)

    assert read_with(Plain(), ["one"], is_tuned=True)[1] is None
    assert read_with(RememberingEncoder(Plain()), ["one"], is_tuned=True)[1] is None


def _written(folder, *, texts):
    rng = np.random.default_rng(1)
    name = "encoder.layer.5.output.dense"
    arrays = {
        f"{name}.down": rng.normal(size=(1536, 2)).astype(np.float16),
        f"{name}.up": rng.normal(size=(2, 384)).astype(np.float16),
        f"{name}.shift": np.ones(384, np.float16),
        "head.need.weight": rng.normal(size=(384, 2)).astype(np.float16),
        "head.need.bias": np.zeros(2, np.float16),
        "scores.need": np.array([[12, -12]] * len(texts), np.int8),
        "marks.need": np.array([[*bytes.fromhex(mark_of(text))] for text in texts], np.uint8),
    }
    save_file(arrays, folder / DELTA_FILE, metadata={"labels.need": "information,action"})
    return name, arrays


def test_deltas_are_laid_over_the_published_weights_and_only_over_their_layers(tmp_path):
    name, arrays = _written(tmp_path, texts=["seen"])
    published = {
        f"{name}.weight": np.zeros((384, 1536), np.float32),
        f"{name}.bias": np.zeros(384, np.float32),
        "encoder.layer.4.output.dense.bias": np.zeros(384, np.float32),
    }
    found = read_deltas(tmp_path).tuned_weights(published)
    assert set(found) == {f"{name}.weight", f"{name}.bias"}
    product = (arrays[f"{name}.down"].astype(np.float32) @ arrays[f"{name}.up"].astype(np.float32)).T
    assert np.allclose(found[f"{name}.weight"], product, atol=1e-4)
    assert np.allclose(found[f"{name}.bias"], 1)
    assert not published[f"{name}.bias"].any(), "the published ones are left as they are"


def test_only_texts_that_were_left_out_once_have_scores(tmp_path):
    _written(tmp_path, texts=["seen"])
    deltas = read_deltas(tmp_path)
    tuned = deltas.tuned("need", ["new", "seen"])
    assert np.isnan(tuned.out_of_fold[0]).all()
    assert tuned.out_of_fold[1] == pytest.approx([12 * SCORE_STEP, -12 * SCORE_STEP])
    turned = tuned.of(["action", "information"], np.array([False, True]))
    assert turned.out_of_fold[0] == pytest.approx([-12 * SCORE_STEP, 12 * SCORE_STEP])
    assert deltas.tuned("category", ["seen"]) is None
    assert read_deltas(tmp_path / "elsewhere") is None


def test_a_torn_file_is_refused_with_a_remedy(tmp_path):
    (tmp_path / DELTA_FILE).write_bytes(b"torn")
    with pytest.raises(Invalid, match="tune_encoder"):
        read_deltas(tmp_path)


def test_a_third_member_that_knows_nothing_counts_for_nothing_and_one_that_knows_counts():
    rng = np.random.default_rng(3)
    texts = [f"{word} number {place}" for place in range(60) for word in ("invoice", "password")]
    labels = {"kind": ["billing", "account"] * 60}
    vectors = rng.normal(size=(120, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    blank = (np.zeros((384, 2), np.float32), np.zeros(2, np.float32))
    noise = Tuned(("account", "billing"), *blank, rng.normal(size=(120, 2)).astype(np.float32))
    right = np.tile(np.array([[-3.0, 3.0], [3.0, -3.0]], np.float32), (60, 1))
    for member, counts in ((noise, False), (Tuned(("account", "billing"), *blank, right), True)):
        found = fit(texts, vectors, labels, tuned={"kind": member}).classifier.heads["kind"]
        assert found.tuned is not None
        assert (found.tuned.pool[2] > 0.5) is counts
    unseen = Tuned(("account", "billing"), *blank, np.full((120, 2), np.nan, np.float32))
    assert fit(texts, vectors, labels, tuned={"kind": unseen}).classifier.heads["kind"].tuned is None


def test_two_members_judge_where_there_is_no_tuned_vector_and_three_are_kept_in_a_file():
    ngrams = fit_ngrams(["one two", "one two"])
    nothing = np.zeros((len(ngrams) + 384, 2), np.float32)
    head = Head(
        labels=("no", "yes"),
        linear=nothing,
        bias=np.array([1, 0], np.float32),
        kernel=np.zeros((1, 2), np.float32),
        linear_weight=1.0,
        kernel_weight=1.0,
        alone_weight=1.0,
        tuned=TunedHead(np.eye(384, 2, dtype=np.float32), np.array([0, 5], np.float32), (1.0, 1.0, 1.0)),
    )
    made = TextClassifier(ngrams, np.ones((1, 384), np.float32), {"kind": head})
    stored = TextClassifier.from_arrays(made.to_arrays())
    assert stored.is_tuned
    vectors = np.zeros((1, 384), np.float32)
    for one in (made, stored):
        assert one.judge(["one"], vectors)["kind"].argmax() == 0
        assert one.judge(["one"], vectors, meanings=vectors)["kind"].argmax() == 1
