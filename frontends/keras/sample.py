"""Made-up data that fits a model: to measure or trace it without data of your own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.export.check import index_limits
from graphc.ir import TensorType, dims, is_integer, numpy_dtype
from graphc.keras import losses, tree
from graphc.keras.engine.data import Rows, make_rows
from graphc.keras.engine.outputs import Outputs
from graphc.keras.export import input_structure, predict_program

#: The size of an open axis for which no size is given.
DEFAULT_SIZE = 32
#: Integers are drawn below this number, and below the size of what they index.
_INTEGER_LIMIT = 8


def sample_rows(model: Any, sizes: Mapping[str, int], targets: bool = True) -> Rows:
    """Random data for a model: the same every time.

    Args:
        model: A model that knows the shapes of its inputs.
        sizes: How large open axes are: ``{"batch": 256, "time": 100}``; 32 by default.
        targets: Whether targets that suit the model's losses are made too.

    Raises:
        ValueError: The model has not seen a shape yet, or has no loss.
    """
    program, _ = predict_program(model)
    sizes = {name: sizes.get(name, DEFAULT_SIZE) for name in program.graph.symbols()}
    rng = np.random.default_rng(0)
    limits = index_limits(program.graph)
    arrays = [draw(rng, value.type, sizes, limits.get(value)) for value in program.data]
    x = tree.pack_sequence_as(input_structure(model), arrays)
    if not targets:
        return make_rows(x)
    if not model.compiled:
        raise ValueError(
            f'model "{model.name}" was not compiled, so it has no loss to train with: call '
            "compile() before it is saved"
        )
    types = [value.type for value in program.results.values()]
    outputs = Outputs(list(range(len(types))), getattr(model, "output_names", None))
    wanted = outputs.flatten(model.loss, "loss") if len(types) > 1 else [_only(model.loss)]
    y = [_target(rng, loss, type, sizes) for loss, type in zip(wanted, types, strict=True)]
    return make_rows(x, y if len(y) > 1 else y[0])


def draw(
    rng: np.random.Generator, type: TensorType, sizes: Mapping[str, int], limit: int | None = None
) -> np.ndarray:
    """A random array of a type.

    Args:
        rng: Where it comes from.
        type: Shape and dtype.
        sizes: Of the symbolic dimensions.
        limit: Integers stay below it.
    """
    shape = [dims.evaluate(dim, sizes) for dim in type.shape]
    if limit is not None or is_integer(type.dtype):
        high = _INTEGER_LIMIT if limit is None else max(limit, 1)
        return np.asarray(rng.integers(0, high, shape)).astype(numpy_dtype(type.dtype))
    if type.dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    return np.asarray(rng.normal(size=shape)).astype(numpy_dtype(type.dtype))


def _target(
    rng: np.random.Generator, loss: Any, output: TensorType, sizes: Mapping[str, int]
) -> np.ndarray:
    """Classes as numbers for sparse losses; otherwise what the output looks like, from 0 to 1."""
    shape = [dims.evaluate(dim, sizes) for dim in output.shape]
    if _is_sparse(loss):
        return rng.integers(0, max(shape[-1], 1), shape[:-1]).astype(np.int32)
    return rng.random(shape).astype(np.float32)


def _is_sparse(loss: Any) -> bool:
    if loss is None:
        return False
    function = losses.get(loss)
    name = getattr(function, "name", None) or getattr(function, "__name__", "")
    return "sparse" in f"{name} {type(function).__name__}".lower()


def _only(loss: Any) -> Any:
    found = tree.flatten(loss)
    return found[0] if found else None
