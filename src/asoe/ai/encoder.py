"""Turns texts into unit vectors of 384 numbers, on one thread, in batches sorted by length.

Decides truncation and batching; what a vector is compared with is the caller's. The model is English at heart: German,
Spanish and French are read into English word by word first, others get a usable but weaker vector.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from asoe.ai.glossary import in_english
from asoe.domain.errors import Unavailable

Vectors = NDArray[np.float32]

DIMENSIONS = 384
MAX_TOKENS = 256
MAX_CHARS = 4000
"""More than MAX_TOKENS ever stand for."""
BATCH_TOKENS = 256
"""Padded tokens in one pass: more of them leave the processor's cache, and a pass then costs up to twice as much a token."""
_DISABLED = ["SkipLayerNormFusion"]
"""On a CPU the fused operator takes eight times as long as the two it stands for, a fifth of a whole pass."""


class Encoder(Protocol):
    """What the other modules need of an encoder."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of unit length for each text, shape (len(texts), 384)."""
        ...


@runtime_checkable
class TunedEncoder(Encoder, Protocol):
    """An encoder that may also have the layers tuned on our own labelled texts."""

    @property
    def is_tuned(self) -> bool: ...

    def read(self, texts: Sequence[str]) -> tuple[Vectors, Vectors]:
        """`embed`'s vectors and the tuned ones, from one pass; both of unit length, shape (len(texts), 384)."""
        ...


def read_with(encoder: Encoder, texts: Sequence[str], *, is_tuned: bool) -> tuple[Vectors, Vectors | None]:
    """The vectors of texts, and the tuned ones where somebody wants them (`is_tuned`) and the encoder has them."""
    if is_tuned and isinstance(encoder, TunedEncoder) and encoder.is_tuned:
        return encoder.read(texts)
    return encoder.embed(texts), None


class OnnxEncoder:
    """The built MiniLM; thread-safe, since ONNX sessions and tokenizers are.

    Two graphs: an ONNX session makes all outputs whatever is asked for, and most callers want the published vectors alone.
    """

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        model, tokenizer = folder / "model.onnx", folder / "tokenizer.json"
        for file in (model, tokenizer):
            if not file.is_file():
                raise Unavailable(
                    f"The encoder's file {file} is missing. Run `make setup` or `python -m asoe.ai.build` once.",
                    code="ai_not_built",
                    permanent=True,
                )
        self._session = _session(model)
        tuned = folder / "tuned.onnx"
        self._tuned = _session(tuned) if tuned.is_file() else None
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of unit length for each text, shape (len(texts), 384)."""
        return self._run(self._session, texts, ["embedding"])[0]

    def read(self, texts: Sequence[str]) -> tuple[Vectors, Vectors]:
        """`embed`'s vectors and the tuned ones, from one pass."""
        embedded, meant = self._run(self._tuned, texts, ["embedding", "meaning"])
        return embedded, meant

    @property
    def is_tuned(self) -> bool:
        return self._tuned is not None

    def _run(self, session: Any, texts: Sequence[str], outputs: list[str]) -> list[Vectors]:
        vectors = [np.zeros((len(texts), DIMENSIONS), np.float32) for _ in outputs]
        readable = [in_english(text[:MAX_CHARS]) for text in texts]
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(readable)]
        for batch in _batches([len(row) for row in ids]):
            width = len(ids[batch[-1]])
            tokens = np.zeros((len(batch), width), np.int64)
            mask = np.zeros((len(batch), width), np.int64)
            for row, index in enumerate(batch):
                tokens[row, : len(ids[index])] = ids[index]
                mask[row, : len(ids[index])] = 1
            found = session.run(outputs, {"ids": tokens, "mask": mask})
            for place, rows in enumerate(found):
                vectors[place][batch] = rows
        return vectors


def _session(model: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # the arena keeps the largest batch's memory forever
    return onnxruntime.InferenceSession(
        str(model), options, providers=["CPUExecutionProvider"], disabled_optimizers=_DISABLED
    )


class RememberingEncoder:
    """An encoder that keeps the vectors of the texts it saw last.

    An organization's articles are asked about again and again: many, for long. One client's text is read by triage,
    search and answer within a second: few (`most`), so that they are soon gone. Texts are told apart by their words, not
    by the white space between them, which the encoder does not read either.
    """

    def __init__(self, encoder: Encoder, *, most: int = 40_000) -> None:
        self._encoder = encoder
        self._most = most
        self._vectors: OrderedDict[str, NDArray[np.float16]] = OrderedDict()
        self._meanings: OrderedDict[str, NDArray[np.float16]] = OrderedDict()
        self._lock = Lock()

    @property
    def is_tuned(self) -> bool:
        return isinstance(self._encoder, TunedEncoder) and self._encoder.is_tuned

    def embed(self, texts: Sequence[str]) -> Vectors:
        """As the encoder's, to the third decimal: what is kept has half the precision."""
        words = [" ".join(text.split()) for text in texts]
        known = self._known(self._vectors, words)
        unknown = [text for text in dict.fromkeys(words) if text not in known]
        if unknown:
            known |= self._keep(self._vectors, unknown, self._encoder.embed(unknown))
        return _rows(known, words)

    def read(self, texts: Sequence[str]) -> tuple[Vectors, Vectors]:
        """As the encoder's; whoever asks for the first vectors alone later has them, too."""
        words = [" ".join(text.split()) for text in texts]
        meant = self._known(self._meanings, words)
        known = self._known(self._vectors, words)
        unknown = [text for text in dict.fromkeys(words) if text not in known or text not in meant]
        if unknown:
            assert isinstance(self._encoder, TunedEncoder)
            vectors, meanings = self._encoder.read(unknown)
            known |= self._keep(self._vectors, unknown, vectors)
            meant |= self._keep(self._meanings, unknown, meanings)
        return _rows(known, words), _rows(meant, words)

    def _known(
        self, kept: OrderedDict[str, NDArray[np.float16]], words: Sequence[str]
    ) -> dict[str, NDArray[np.float16]]:
        with self._lock:
            known = {text: kept[text] for text in words if text in kept}
            for text in known:
                kept.move_to_end(text)
        return known

    def _keep(
        self, kept: OrderedDict[str, NDArray[np.float16]], texts: Sequence[str], vectors: Vectors
    ) -> dict[str, NDArray[np.float16]]:
        found = dict(zip(texts, vectors.astype(np.float16), strict=True))
        with self._lock:
            kept.update(found)
            while len(kept) > self._most:
                kept.popitem(last=False)
        return found


def _rows(known: Mapping[str, NDArray[np.float16]], words: Sequence[str]) -> Vectors:
    found = np.zeros((len(words), DIMENSIONS), np.float32)
    for row, text in enumerate(words):
        found[row] = known[text]
    return found


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Indices in rising order of length, cut so that no padded batch is wider than BATCH_TOKENS in all."""
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if not batches or (len(batches[-1]) + 1) * lengths[index] > BATCH_TOKENS:
            batches.append([])
        batches[-1].append(index)
    return batches
