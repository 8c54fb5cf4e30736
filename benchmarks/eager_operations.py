"""The operations on small tensors that `benchmarks.eager` measures, and what NumPy does for each.

Each row holds two expressions: one of NumPy, one of graphc. Where NumPy has no such function it is
the shortest composition of its functions that gives the same for these operands, in float32 (graphc
sums in float64). For ``dropout`` NumPy draws by its own generator. Both are over

- ``x``, ``y``: 8x8 matrices of float32; ``b``: a vector of 8; ``p``: rows that sum to 1;
- ``mask``: 8x8 bools; ``index``: 8 integers from 0 to 7; ``labels``: the same as rows of 0 and 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc
from graphc.eager import as_tensor
from graphc.keras import losses, ops, random

Functions = dict[str, Callable[[], Any]]

#: Operation: NumPy's expression, graphc's expression.
OPERATIONS: dict[str, tuple[str, str]] = {
    "x + y": ("x + y", "x + y"),
    "x * 2.0": ("x * 2.0", "x * 2.0"),
    "1 - x": ("1 - x", "1 - x"),
    "-x": ("-x", "-x"),
    "x / y": ("x / y", "x / y"),
    "x ** 2": ("x ** 2", "x ** 2"),
    "x > y": ("x > y", "x > y"),
    "x @ y": ("x @ y", "x @ y"),
    "x[0]": ("x[0]", "x[0]"),
    "x[1:, 0]": ("x[1:, 0]", "x[1:, 0]"),
    "x[..., None]": ("x[..., None]", "x[..., None]"),
    "exp": ("np.exp(x)", "ops.exp(x)"),
    "square": ("np.square(x)", "ops.square(x)"),
    "abs": ("np.abs(x)", "ops.abs(x)"),
    "tanh": ("np.tanh(x)", "ops.tanh(x)"),
    "relu": ("np.maximum(x, 0)", "ops.relu(x)"),
    "sigmoid": ("1 / (1 + np.exp(-x))", "ops.sigmoid(x)"),
    "softmax": ("softmax(x)", "ops.softmax(x)"),
    "log softmax": ("log_softmax(x)", "ops.log_softmax(x)"),
    "maximum": ("np.maximum(x, y)", "ops.maximum(x, y)"),
    "maximum, scalar": ("np.maximum(x, 0.0)", "ops.maximum(x, 0.0)"),
    "clip": ("np.clip(x, -1, 1)", "ops.clip(x, -1, 1)"),
    "where": ("np.where(mask, x, y)", "ops.where(mask, x, y)"),
    "where, compared": ("np.where(x > y, x, y)", "ops.where(x > y, x, y)"),
    "where, scalars": ("np.where(mask, f32(1), f32(0))", "ops.where(mask, 1.0, 0.0)"),
    "logical and": ("np.logical_and(mask, mask)", "ops.logical_and(mask, mask)"),
    "mean": ("x.mean()", "ops.mean(x)"),
    "mean, axis": ("x.mean(-1)", "ops.mean(x, axis=-1)"),
    "sum": ("x.sum()", "ops.sum(x)"),
    "sum, axis": ("x.sum(-1)", "ops.sum(x, axis=-1)"),
    "max, axis": ("x.max(-1)", "ops.max(x, axis=-1)"),
    "argmax": ("x.argmax(-1)", "ops.argmax(x, axis=-1)"),
    "any": ("mask.any()", "ops.any(mask)"),
    "variance": ("x.var(-1)", "ops.var(x, axis=-1)"),
    "reshape": ("x.reshape(64)", "ops.reshape(x, (64,))"),
    "reshape, -1": ("x.reshape(4, -1)", "ops.reshape(x, (4, -1))"),
    "transpose": ("x.T", "ops.transpose(x)"),
    "expand dims": ("np.expand_dims(x, 0)", "ops.expand_dims(x, 0)"),
    "broadcast": ("np.broadcast_to(b, (8, 8))", "ops.broadcast_to(b, (8, 8))"),
    "concatenate": ("np.concatenate([x, y])", "ops.concatenate([x, y])"),
    "concatenate 3": ("np.concatenate([x, y, x], 1)", "ops.concatenate([x, y, x], 1)"),
    "stack": ("np.stack([x, y])", "ops.stack([x, y])"),
    "split": ("np.split(x, 2)", "ops.split(x, 2)"),
    "take": ("x.take(index, 0)", "ops.take(x, index, axis=0)"),
    "tile": ("np.tile(x, (2, 1))", "ops.tile(x, (2, 1))"),
    "cast": ("x.astype('int32')", "ops.cast(x, 'int32')"),
    "one hot": ("np.eye(8, dtype='float32')[index]", "ops.one_hot(index, 8)"),
    "zeros like": ("np.zeros_like(x)", "ops.zeros_like(x)"),
    "einsum": ("np.einsum('ij,kj->ik', x, y)", "ops.einsum('ij,kj->ik', x, y)"),
    "layer norm": ("layer_norm(x)", "ops.layer_normalization(x, epsilon=0.001)"),
    "dropout": ("dropout(x)", "random.dropout(x, 0.5)"),
    "mean squared error": (
        "np.mean(np.square(x - y), -1)",
        "losses.mean_squared_error(x, y)",
    ),
    "cross-entropy": (
        "-np.sum(labels * np.log(np.clip(p, 1e-7, 1 - 1e-7)), -1)",
        "ops.categorical_crossentropy(labels, p)",
    ),
    "sparse cross-entropy": (
        "-log_softmax(x)[np.arange(8), index]",
        "ops.sparse_categorical_crossentropy(index, x, from_logits=True)",
    ),
    # The same under TensorFlow's names.
    "graphc.exp": ("np.exp(x)", "graphc.exp(x)"),
    "graphc.add": ("x + y", "graphc.add(x, y)"),
    "graphc.matmul": ("x @ y", "graphc.matmul(x, y)"),
    "graphc.reduce_mean": ("x.mean(-1)", "graphc.reduce_mean(x, axis=-1)"),
    "graphc.reshape": ("x.reshape(64)", "graphc.reshape(x, (64,))"),
    "graphc.concat": ("np.concatenate([x, y])", "graphc.concat([x, y], 0)"),
    "graphc.gather": ("x.take(index, 0)", "graphc.gather(x, index)"),
    "graphc.cast": ("x.astype('int32')", "graphc.cast(x, 'int32')"),
    "graphc.nn.softmax": ("softmax(x)", "graphc.nn.softmax(x)"),
    "graphc.one_hot": ("np.eye(8, dtype='float32')[index]", "graphc.one_hot(index, 8)"),
}


def softmax(x: np.ndarray) -> np.ndarray:
    """The same formula as that of the op."""
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def log_softmax(x: np.ndarray) -> np.ndarray:
    """The same formula as that of the op."""
    shifted = x - x.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def layer_norm(x: np.ndarray) -> np.ndarray:
    """Rows of mean 0 and variance 1."""
    centered = x - x.mean(-1, keepdims=True)
    return centered / np.sqrt(np.square(centered).mean(-1, keepdims=True) + 0.001)


def dropout(x: np.ndarray) -> np.ndarray:
    """Half of the elements, by NumPy's generator."""
    return np.where(_generator.random(x.shape, np.float32) < 0.5, x / 0.5, 0)


_generator = np.random.default_rng(0)


def operands() -> dict[str, np.ndarray]:
    """What the expressions are about, as arrays."""
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(8, 8)).astype("float32") for _ in range(2))
    index = rng.integers(0, 8, 8).astype("int32")
    labels = np.eye(8, dtype="float32")[index]
    return {"x": x, "y": y, "b": x[0], "p": softmax(x), "mask": x > y, "index": index,
            "labels": labels}  # fmt: skip


def with_numpy(arrays: dict[str, np.ndarray]) -> Functions:
    """The operations in NumPy."""
    scope = {**globals(), **arrays, "f32": np.float32}
    return {name: eval(f"lambda: {text}", scope) for name, (text, _) in OPERATIONS.items()}


def with_graphc(tensors: dict[str, Any]) -> Functions:
    """The operations in graphc."""
    scope = {**globals(), **tensors}
    return {name: eval(f"lambda: {text}", scope) for name, (_, text) in OPERATIONS.items()}


def as_tensors(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The same operands as tensors."""
    return {name: as_tensor(array) for name, array in arrays.items()}


_USED = (graphc, losses, ops, random)  # by name, in the expressions
