"""ONNX nodes that only move elements, done at once where their operands are known.

Ops turn kernels and biases into the layouts of ONNX with such nodes. They vanish from the file if
what they turn is an array of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Arrays = Sequence[np.ndarray | None]


def _reshape(arrays: Arrays, attributes: dict[str, Any]) -> np.ndarray:
    x, shape = arrays
    assert x is not None and shape is not None
    sizes = [int(size) for size in shape]
    if not attributes.get("allowzero"):
        sizes = [x.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)]
    return x.reshape(sizes)


def _slice(arrays: Arrays, attributes: dict[str, Any]) -> np.ndarray:
    x, starts, stops, *rest = arrays
    assert x is not None and starts is not None and stops is not None
    axes = rest[0] if rest and rest[0] is not None else range(len(starts))
    steps = rest[1] if len(rest) > 1 and rest[1] is not None else [1] * len(starts)
    parts = [slice(None)] * x.ndim
    for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True):
        # Far below the first element means: to the very start.
        end = None if step < 0 and stop < -x.shape[axis] else int(stop)
        parts[axis] = slice(int(start), end, int(step))
    return x[tuple(parts)]


FOLDABLE: dict[str, Callable[[Arrays, dict[str, Any]], np.ndarray]] = {
    "Concat": lambda arrays, a: np.concatenate(arrays, a["axis"]),  # type: ignore[arg-type]
    "Gather": lambda arrays, a: np.take(arrays[0], arrays[1], a["axis"]),  # type: ignore
    "Identity": lambda arrays, a: arrays[0],  # type: ignore[dict-item, return-value]
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": lambda arrays, a: np.squeeze(arrays[0], tuple(arrays[1])),  # type: ignore
    "Transpose": lambda arrays, a: np.transpose(arrays[0], a["perm"]),  # type: ignore
    "Unsqueeze": lambda arrays, a: np.expand_dims(arrays[0], tuple(arrays[1])),  # type: ignore
}


def fold_node(op_type: str, arrays: Arrays, attributes: dict[str, Any]) -> np.ndarray | None:
    """The result of a node whose operands are all known; None if it has to stay a node.

    Args:
        op_type: ONNX's name of the operation.
        arrays: The operands; None for one that is left out.
        attributes: The node's attributes.
    """
    if op_type not in FOLDABLE:
        return None
    return np.array(FOLDABLE[op_type](arrays, attributes), order="C")
