"""Random tensors: https://keras.io/api/random/random_ops/.

A seed is an integer (the same numbers every time), a `SeedGenerator` (others every time), or None
for numbers that nobody asked to repeat. The bits come from Threefry: the same seed gives the same
numbers on every backend, alone or in a compiled program.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.eager import Tensor, apply_function, as_tensor, cast, current_trace
from graphc.errors import DTypeError, ShapeError
from graphc.ir import is_float, is_integer
from graphc.ir.dims import Shape
from graphc.keras import ops
from graphc.keras.ops.arguments import one_axis, resolved_dtype, shape_of
from graphc.keras.ops.recording import composed, unplanned_operation
from graphc.keras.random.seed_generator import shared_generator
from graphc.keras.random_seed import next_seed
from graphc.ops import random as graph_ops


def seed_key(seed: Any) -> Tensor:
    """The key that a seed stands for: two words, uint32.

    Raises:
        ValueError: Another kind of seed.
    """
    if seed is None:
        # A number that is drawn while a program is built would be the same in each of its runs.
        if current_trace() is not None:
            return shared_generator().next()
        return Tensor(np.array((next_seed(), 0), np.uint32))
    if isinstance(seed, Tensor):
        return cast(seed, "uint32")
    if hasattr(seed, "next"):
        return seed.next()
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool):
        raise ValueError(
            "Argument `seed` must be either an integer or an instance of `SeedGenerator`. "
            f"Received: seed={seed} (of type {type(seed).__name__})"
        )
    return Tensor(np.array((int(seed) % 2**32, 0), np.uint32))


def _draw(name: str, shape: Any, dtype: Any, seed: Any, caller: str = "") -> Tensor:
    """Numbers by a generator of `graphc.ops.random`, for the caller, called the same by default."""
    kind = resolved_dtype(dtype)
    if not is_float(kind):
        raise DTypeError(
            f"keras.random.{caller or name} requires a floating point dtype. Received: {kind}"
        )
    return _drawn(seed_key(seed), name, shape_of(shape, caller or name), kind)


@composed
def _drawn(key: Tensor, name: str, sizes: Shape, dtype: str) -> Tensor:
    generator = getattr(graph_ops, name)
    return apply_function(lambda words: generator(words, sizes, dtype), key)


def normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Normally distributed numbers.

    Args:
        shape: The shape.
        mean: Their mean.
        stddev: Their standard deviation.
        dtype: A floating-point type; by default `floatx`.
        seed: An integer, a `SeedGenerator` or None.

    Example:
        >>> keras.random.normal((2, 3), seed=1)
    """
    return _draw("normal", shape, dtype, seed) * stddev + mean


def truncated_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Normally distributed numbers, none farther than two deviations from the mean."""
    draw = _draw("truncated_normal", shape, dtype, seed)
    return draw * stddev + mean


def uniform(
    shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Numbers that are spread evenly from ``minval`` to before ``maxval``."""
    return _draw("uniform", shape, dtype, seed) * (maxval - minval) + minval


def randint(shape: Any, minval: int, maxval: int, dtype: Any = "int32", seed: Any = None) -> Tensor:
    """Integers from ``minval`` to before ``maxval``, all equally likely.

    Raises:
        DTypeError: The dtype is no integer type.
        ValueError: An empty range.
    """
    kind = resolved_dtype(dtype)
    if not is_integer(kind):
        raise DTypeError(f"keras.random.randint requires an integer dtype. Received: {kind}")
    if maxval <= minval:
        raise ValueError(f"randint: no integer is in [{minval}, {maxval})")
    # In float64, so that every integer of 32 bits is reached with the same probability.
    share = _draw("uniform", shape, "float64", seed, "randint")
    return cast(cast(ops.floor(share * float(maxval - minval)), "int64") + int(minval), kind)


@unplanned_operation
def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: Any = None) -> Tensor:
    """Classes drawn with probabilities ``softmax(logits)``.

    Args:
        logits: ``(batch, classes)``.
        num_samples: How many are drawn for each row.
        dtype: An integer type.
        seed: An integer, a `SeedGenerator` or None.

    Raises:
        ShapeError: ``logits`` is no matrix.
    """
    scores = as_tensor(logits)
    if scores.ndim != 2:
        raise ShapeError(
            "`logits` should be a 2-D tensor with shape [batch_size, num_classes]. "
            f"Received: shape={scores.shape}"
        )
    rows, classes = scores.dims
    shape = (rows, num_samples, classes)
    share = _draw("uniform", shape, scores.dtype, seed, "categorical")
    # The largest of logits plus Gumbel noise is distributed as the softmax says.
    tiny = 1e-7 if scores.dtype != "float64" else 1e-15
    gumbel = -ops.log(-ops.log(ops.clip(share, tiny, 1 - tiny)))
    return cast(ops.argmax(ops.expand_dims(scores, 1) + gumbel, -1), resolved_dtype(dtype))


@unplanned_operation
def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Tensor:
    """Each element 0 with probability ``rate``, the others made larger to keep the sum.

    Args:
        inputs: A tensor.
        rate: A probability, below 1.
        noise_shape: The shape of the decisions, broadcast to ``inputs``; None in a place for the
            size of the input.
        seed: An integer, a `SeedGenerator` or None.

    Raises:
        ValueError: ``rate`` is no probability below 1.
    """
    return _dropout(inputs, rate, noise_shape, seed_key(seed))


@composed
def _dropout(inputs: Any, rate: float, noise_shape: Any, key: Tensor) -> Tensor:
    if not 0 <= rate < 1:
        raise ValueError(f"dropout: `rate` should be at least 0 and below 1. Received: {rate}")
    x = as_tensor(inputs)
    if not rate:
        return x
    keep = 1.0 - rate
    if noise_shape is None and is_float(x.dtype):
        return apply_function(graph_ops.Dropout(keep), x, key)
    sizes = x.dims
    if noise_shape is not None:
        pairs = zip(noise_shape, x.dims, strict=True)
        sizes = shape_of([own if size is None else size for size, own in pairs], "dropout")
    mask = apply_function(lambda words: graph_ops.bernoulli(words, keep, tuple(sizes)), key)
    return ops.where(mask, x / keep, 0)


@unplanned_operation
def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Tensor:
    """The slices along an axis in random order."""
    tensor = as_tensor(x)
    place = one_axis(axis, tensor.ndim, "shuffle")
    noise = _draw("uniform", (tensor.dims[place],), "float64", seed, "shuffle")
    return ops.take(tensor, ops.argsort(noise), place)
