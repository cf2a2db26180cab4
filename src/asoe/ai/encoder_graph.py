"""Writes the sentence encoder as an ONNX graph from published weights, and quantizes it to int8.

Decides the graph (BERT with mean pooling and unit length, as sentence-transformers defines all-MiniLM-L6-v2) and the
quantization; leaves tokenizing and batching to `encoder`. Where upper layers were tuned they stand beside the published ones
on the same lower layers, with an output of their own. Runs at build time only.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

OPSET = 20
LAYERS, HEADS, WIDTH = 6, 12, 384
HEAD_WIDTH = WIDTH // HEADS
EPSILON = 1e-12
_TUNED = "tuned."

Weights = Mapping[str, NDArray[np.float32]]


def write_encoder(weights: Weights, target: Path, *, tuned: Weights | None = None) -> None:
    """Write the int8 model to `target`; inputs `ids` and `mask` (batch, tokens) int64, output `embedding` (batch, 384).

    tuned: whole weights of the upper layers under their published names, for a second output `meaning` of that shape.
    """
    import logging

    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    plain = target.with_suffix(".fp32.onnx")
    onnx.save(encoder_graph(weights, tuned=tuned), str(plain))
    logging.getLogger().setLevel(logging.ERROR)  # the quantizer logs through the root logger
    # per_channel and reduce_range keep the cosine to fp32 at .99; without them it falls to .90-.96
    quantize_dynamic(
        plain,
        target,
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
    )
    plain.unlink()


def encoder_graph(weights: Weights, *, tuned: Weights | None = None) -> Any:
    """The fp32 model as an `onnx.ModelProto`."""
    from onnx import TensorProto, checker, helper

    upper = sorted({int(name.split(".")[2]) for name in tuned or {}})
    graph = _Graph({**weights, **{f"{_TUNED}{name}": value for name, value in (tuned or {}).items()}})
    graph.embed()
    fork = graph.hidden
    for layer in range(LAYERS):
        fork = graph.hidden if upper and layer == upper[0] else fork
        graph.transform(f"encoder.layer.{layer}.")
    graph.pool("embedding")
    if upper:
        graph.hidden = fork
        for layer in upper:
            graph.transform(f"{_TUNED}encoder.layer.{layer}.")
        graph.pool("meaning")
    shape = ["batch", "tokens"]
    proto = helper.make_graph(
        graph.nodes,
        "all-MiniLM-L6-v2",
        [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in ("ids", "mask")],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", WIDTH])
            for name in ("embedding", *(["meaning"] if upper else []))
        ],
        graph.constants,
    )
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    checker.check_model(model)
    return model


class _Graph:
    """Nodes in order; `hidden` names the current activations."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.known: set[str] = set()
        self.hidden = ""
        self.penalty = ""

    def embed(self) -> None:
        word = self.op("Gather", [self.weight("embeddings.word_embeddings.weight"), "ids"])
        tokens = self.op("Shape", ["ids"], start=1, end=2)
        # one token type only, so its row is folded into the positions
        places = self.weights["embeddings.position_embeddings.weight"]
        table = self.constant("positions", places + self.weights["embeddings.token_type_embeddings.weight"][0])
        position = self.op("Slice", [table, self.constant("zero", np.array([0])), tokens])
        self.hidden = self.norm(self.op("Add", [word, position]), "embeddings.LayerNorm")
        mask = self.op("Cast", [self.op("Unsqueeze", ["mask", self.constant("axes12", np.array([1, 2]))])], to=1)
        inverse = self.op("Sub", [self.constant("one", np.array(1, np.float32)), mask])
        self.penalty = self.op("Mul", [inverse, self.constant("minus", np.array(-1e4, np.float32))])

    def transform(self, prefix: str) -> None:
        self.attend(prefix)
        self.feed_forward(prefix)

    def attend(self, prefix: str) -> None:
        name = prefix + "attention.self."
        parts = ("query", "key", "value")
        matrix = np.concatenate([self.weights[f"{name}{part}.weight"].T for part in parts], axis=1)
        bias = np.concatenate([self.weights[f"{name}{part}.bias"] for part in parts])
        product = self.op("MatMul", [self.hidden, self.constant(name + "matrix", matrix)])
        product = self.op("Add", [product, self.constant(name + "bias", bias)])
        heads = self.op("Reshape", [product, self.constant("heads", np.array([0, 0, 3, HEADS, HEAD_WIDTH]))])
        heads = self.op("Transpose", [heads], perm=[2, 0, 3, 1, 4])
        query, key, value = (
            self.op("Gather", [heads, self.constant(f"part{index}", np.array(index))], axis=0) for index in range(3)
        )
        scores = self.op("MatMul", [query, self.op("Transpose", [key], perm=[0, 1, 3, 2])])
        scores = self.op("Mul", [scores, self.constant("scale", np.array(HEAD_WIDTH**-0.5, np.float32))])
        share = self.op("Softmax", [self.op("Add", [scores, self.penalty])], axis=-1)
        mixed = self.op("Transpose", [self.op("MatMul", [share, value])], perm=[0, 2, 1, 3])
        mixed = self.op("Reshape", [mixed, self.constant("flat", np.array([0, 0, WIDTH]))])
        output = self.dense(mixed, prefix + "attention.output.dense")
        self.hidden = self.norm(self.op("Add", [output, self.hidden]), prefix + "attention.output.LayerNorm")

    def feed_forward(self, prefix: str) -> None:
        inner = self.op("Gelu", [self.dense(self.hidden, prefix + "intermediate.dense")])
        output = self.dense(inner, prefix + "output.dense")
        self.hidden = self.norm(self.op("Add", [output, self.hidden]), prefix + "output.LayerNorm")

    def pool(self, output: str) -> None:
        mask = self.op("Cast", [self.op("Unsqueeze", ["mask", self.constant("axis2", np.array([2]))])], to=1)
        total = self.op(
            "ReduceSum", [self.op("Mul", [self.hidden, mask]), self.constant("axis1", np.array([1]))], keepdims=0
        )
        self.op("LpNormalization", [total], name=output, axis=-1, p=2)  # the length cancels the mean's divisor

    def dense(self, value: str, name: str) -> str:
        product = self.op("MatMul", [value, self.constant(name + ".matrix", self.weights[name + ".weight"].T)])
        return self.op("Add", [product, self.weight(name + ".bias")])

    def norm(self, value: str, name: str) -> str:
        scale, bias = self.weight(name + ".weight"), self.weight(name + ".bias")
        return self.op("LayerNormalization", [value, scale, bias], axis=-1, epsilon=EPSILON)

    def weight(self, name: str) -> str:
        return self.constant(name, self.weights[name])

    def constant(self, name: str, value: NDArray[Any]) -> str:
        from onnx import numpy_helper

        if name not in self.known:
            self.known.add(name)
            self.constants.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def op(self, kind: str, inputs: list[str], *, name: str = "", **attributes: Any) -> str:
        from onnx import helper

        output = name or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output
