"""Turns texts into unit vectors of 384 numbers, on one thread, in batches sorted by length.

Decides truncation and batching; what a vector is compared with is the caller's. The model is English at heart: German,
Spanish and French are read into English word by word first, others get a usable but weaker vector.
"""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Protocol

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


class OnnxEncoder:
    """The built MiniLM; thread-safe, since ONNX sessions and tokenizers are."""

    def __init__(self, folder: Path) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        model, tokenizer = folder / "model.onnx", folder / "tokenizer.json"
        for file in (model, tokenizer):
            if not file.is_file():
                raise Unavailable(
                    f"The encoder's file {file} is missing. Run `make setup` or `python -m asoe.ai.build` once.",
                    code="ai_not_built",
                    permanent=True,
                )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # the arena keeps the largest batch's memory forever
        self._session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"], disabled_optimizers=_DISABLED
        )
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of unit length for each text, shape (len(texts), 384)."""
        vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
        readable = [in_english(text[:MAX_CHARS]) for text in texts]
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(readable)]
        for batch in _batches([len(row) for row in ids]):
            width = len(ids[batch[-1]])
            tokens = np.zeros((len(batch), width), np.int64)
            mask = np.zeros((len(batch), width), np.int64)
            for row, index in enumerate(batch):
                tokens[row, : len(ids[index])] = ids[index]
                mask[row, : len(ids[index])] = 1
            vectors[batch] = self._session.run(["embedding"], {"ids": tokens, "mask": mask})[0]
        return vectors


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
        self._lock = Lock()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """As the encoder's, to the third decimal: what is kept has half the precision."""
        words = [" ".join(text.split()) for text in texts]
        with self._lock:
            known = {text: self._vectors[text] for text in words if text in self._vectors}
            for text in known:
                self._vectors.move_to_end(text)
        unknown = [text for text in dict.fromkeys(words) if text not in known]
        if unknown:
            known |= dict(zip(unknown, self._encoder.embed(unknown).astype(np.float16), strict=True))
            with self._lock:
                self._vectors.update((text, known[text]) for text in unknown)
                while len(self._vectors) > self._most:
                    self._vectors.popitem(last=False)
        found = np.zeros((len(texts), DIMENSIONS), np.float32)
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
