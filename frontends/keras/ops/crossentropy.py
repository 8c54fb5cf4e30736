"""Cross-entropies, and vectors for classes: https://keras.io/api/ops/nn/."""

from __future__ import annotations

from typing import Any

from graphc.config import config
from graphc.eager import Tensor, apply, as_tensor, cast
from graphc.errors import ShapeError
from graphc.keras.ops.activations import log_softmax
from graphc.keras.ops.arguments import float_tensor, one_axis
from graphc.keras.ops.creation import one_hot
from graphc.keras.ops.elementwise import clip, log
from graphc.keras.ops.movement import squeeze
from graphc.keras.ops.recording import operation
from graphc.keras.ops.reduction import max as reduce_max
from graphc.keras.ops.reduction import sum as reduce_sum
from graphc.ops import activation as graph_ops
from graphc.ops.gather import Pick

__all__ = [
    "binary_crossentropy", "categorical_crossentropy", "multi_hot",
    "sparse_categorical_crossentropy",
]  # fmt: skip


@operation
def multi_hot(
    inputs: Any,
    num_classes: Any = None,
    axis: int = -1,
    dtype: Any = None,
    sparse: bool = False,
) -> Tensor:
    """For each row of integers a vector with ones at all their places.

    Raises:
        ValueError: ``num_classes`` is missing.
    """
    if num_classes is None:
        raise ValueError("Argument `num_classes` must be specified.")
    places = as_tensor(inputs)
    vectors = one_hot(cast(places, "int32"), num_classes, axis, dtype, sparse)
    return reduce_max(vectors, 1 if places.ndim > 1 else 0)


def _same_shape(target: Tensor, output: Tensor) -> None:
    """Refuse shapes that are known to differ; sizes that are not known yet are taken as equal."""
    known = zip(target.shape, output.shape, strict=False)
    if target.ndim != output.ndim or any(a != b for a, b in known if None not in (a, b)):
        raise ShapeError(
            "Arguments `target` and `output` must have the same shape. Received: "
            f"target.shape={target.shape}, output.shape={output.shape}"
        )


@operation
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Tensor:
    """``-target * log(output) - (1 - target) * log(1 - output)`` for each element.

    Args:
        target: Probabilities, or 0 and 1.
        output: Predicted probabilities; limited to [epsilon, 1 - epsilon].
        from_logits: Whether ``output`` is what a sigmoid would make probabilities of.

    Raises:
        ShapeError: The shapes differ.
    """
    result = float_tensor(output)
    truth = cast(as_tensor(target), result.dtype)
    _same_shape(truth, result)
    if from_logits:
        positive = truth * apply(graph_ops.Softplus(), -result)
        return positive + (1.0 - truth) * apply(graph_ops.Softplus(), result)
    result = clip(result, config.epsilon, 1.0 - config.epsilon)
    return -(truth * log(result) + (1.0 - truth) * log(1.0 - result))


def _log_probabilities(output: Tensor, from_logits: bool, axis: int) -> Tensor:
    if from_logits:
        return log_softmax(output, axis)
    shares = output / reduce_sum(output, axis, keepdims=True)
    return log(clip(shares, config.epsilon, 1.0 - config.epsilon))


@operation
def categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """``-sum(target * log(output))`` along the axis of the classes.

    Args:
        target: Probabilities of the classes: one-hot vectors.
        output: Predicted probabilities; they are divided by their sum and limited to
            [epsilon, 1 - epsilon].
        from_logits: Whether ``output`` is what a softmax would make probabilities of.
        axis: The axis of the classes.

    Raises:
        ShapeError: The shapes differ, or are scalars.
    """
    result = float_tensor(output)
    truth = cast(as_tensor(target), result.dtype)
    _same_shape(truth, result)
    if not result.ndim:
        raise ShapeError(
            "Arguments `target` and `output` must be at least rank 1. Received: "
            f"target.shape={truth.shape}, output.shape={result.shape}"
        )
    place = one_axis(axis, result.ndim, "categorical_crossentropy")
    return -reduce_sum(truth * _log_probabilities(result, from_logits, place), place)


@operation
def sparse_categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """``-log(output[target])``: the cross-entropy where the target is the number of a class.

    Args:
        target: Numbers of classes; a class that does not exist costs 0.
        output: As for `categorical_crossentropy`.
        from_logits: As for `categorical_crossentropy`.
        axis: The axis of the classes.

    Raises:
        ShapeError: The shapes do not fit.
    """
    result = float_tensor(output)
    truth = cast(as_tensor(target), "int32")
    if not result.ndim:
        raise ShapeError(
            f"Argument `output` must be at least rank 1. Received: output.shape={result.shape}"
        )
    if truth.ndim == result.ndim and truth.dims[-1] == 1:
        truth = squeeze(truth, -1)
    place = one_axis(axis, result.ndim, "sparse_categorical_crossentropy")
    expected = [dim for a, dim in enumerate(result.shape) if a != place]
    differs = any(a != b for a, b in zip(truth.shape, expected, strict=False) if None not in (a, b))
    if truth.ndim != len(expected) or differs:
        raise ShapeError(
            "Arguments `target` and `output` must have the same shape up until the last "
            f"dimension: target.shape={truth.shape}, output.shape={result.shape}"
        )
    return -apply(Pick(place), _log_probabilities(result, from_logits, place), truth)
