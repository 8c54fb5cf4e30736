"""Losses as functions: one value per sample (https://keras.io/api/losses/)."""

from __future__ import annotations

import math
import warnings
from typing import Any

from graphc.config import config
from graphc.eager.tensor import Tensor, as_tensor, cast
from graphc.keras import ops
from graphc.keras.metrics.reduction import match_ranks
from graphc.keras.saving.registry import public


def _pair(y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Both as tensors of the prediction's type, a last axis of size 1 matched."""
    y_pred = as_tensor(y_pred)
    return match_ranks(cast(y_true, y_pred.dtype), y_pred)


def _typed(y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Both as tensors of the prediction's type."""
    y_pred = as_tensor(y_pred)
    mask = getattr(y_pred, "mask", None)
    y_true = cast(y_true, y_pred.dtype)
    y_pred.mask = mask
    return y_true, y_pred


# ------------------------------------------------------------------------------------- regression


@public("keras.losses")
def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """The mean of ``(y_true - y_pred) ** 2`` over the last axis."""
    y_true, y_pred = _pair(y_true, y_pred)
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


@public("keras.losses")
def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """The mean of ``|y_true - y_pred|`` over the last axis."""
    y_true, y_pred = _pair(y_true, y_pred)
    return ops.mean(ops.absolute(y_true - y_pred), axis=-1)


@public("keras.losses")
def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Tensor:
    """100 times the mean of ``|y_true - y_pred| / |y_true|`` over the last axis."""
    y_true, y_pred = _pair(y_true, y_pred)
    size = ops.maximum(ops.absolute(y_true), config.epsilon)
    return 100.0 * ops.mean(ops.absolute((y_true - y_pred) / size), axis=-1)


@public("keras.losses")
def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Tensor:
    """The mean of ``(log(y_true + 1) - log(y_pred + 1)) ** 2`` over the last axis."""
    y_true, y_pred = _pair(y_true, y_pred)
    logs = [ops.log(ops.maximum(y, config.epsilon) + 1.0) for y in (y_pred, y_true)]
    return ops.mean(ops.square(logs[0] - logs[1]), axis=-1)


@public("keras.losses")
def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """Minus the cosine of the angle between targets and predictions along an axis."""
    y_true, y_pred = _pair(y_true, y_pred)
    return -ops.sum(_normalized(y_true, axis) * _normalized(y_pred, axis), axis=axis)


def _normalized(x: Tensor, axis: int) -> Tensor:
    return ops.normalize(x, axis=axis)


@public("keras.losses")
def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """Half the square of small errors, linear in those above ``delta``; the mean of it."""
    y_true, y_pred = _pair(y_true, y_pred)
    error = y_pred - y_true
    size = ops.absolute(error)
    small = 0.5 * ops.square(error)
    return ops.mean(ops.where(size <= delta, small, delta * size - 0.5 * delta**2), axis=-1)


@public("keras.losses")
def log_cosh(y_true: Any, y_pred: Any) -> Tensor:
    """The mean of ``log(cosh(y_pred - y_true))`` over the last axis."""
    y_true, y_pred = _pair(y_true, y_pred)
    error = y_pred - y_true
    return ops.mean(error + ops.softplus(error * -2.0) - math.log(2.0), axis=-1)


# ------------------------------------------------------------------------------------------ hinge


def _signs(y_true: Tensor) -> Tensor:
    """Labels -1 and 1; if all are 0 or 1, they are turned to that."""
    zero_or_one = ops.logical_or(y_true == 0.0, y_true == 1.0)
    return ops.where(ops.all(zero_or_one), 2.0 * y_true - 1.0, y_true)


@public("keras.losses")
def hinge(y_true: Any, y_pred: Any) -> Tensor:
    """The mean of ``max(1 - y_true * y_pred, 0)``; targets are -1 and 1 (or 0 and 1)."""
    y_true, y_pred = _typed(y_true, y_pred)
    return ops.mean(ops.maximum(1.0 - _signs(y_true) * y_pred, 0.0), axis=-1)


@public("keras.losses")
def squared_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """The mean of ``max(1 - y_true * y_pred, 0) ** 2``; targets are -1 and 1 (or 0 and 1)."""
    y_true, y_pred = _typed(y_true, y_pred)
    return ops.mean(ops.square(ops.maximum(1.0 - _signs(y_true) * y_pred, 0.0)), axis=-1)


@public("keras.losses")
def categorical_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """``max(largest wrong score - right score + 1, 0)``; targets are one-hot."""
    y_true, y_pred = _typed(y_true, y_pred)
    right = ops.sum(y_true * y_pred, axis=-1)
    wrong = ops.max((1.0 - y_true) * y_pred, axis=-1)
    return ops.maximum(wrong - right + 1.0, 0.0)


# ---------------------------------------------------------------------------------- probabilistic


@public("keras.losses")
def kl_divergence(y_true: Any, y_pred: Any) -> Tensor:
    """The sum of ``y_true * log(y_true / y_pred)`` over the last axis."""
    y_true, y_pred = _typed(y_true, y_pred)
    y_true, y_pred = (ops.clip(y, config.epsilon, 1.0) for y in (y_true, y_pred))
    return ops.sum(y_true * ops.log(y_true / y_pred), axis=-1)


@public("keras.losses")
def poisson(y_true: Any, y_pred: Any) -> Tensor:
    """The mean of ``y_pred - y_true * log(y_pred)`` over the last axis."""
    y_true, y_pred = _typed(y_true, y_pred)
    return ops.mean(y_pred - y_true * ops.log(y_pred + config.epsilon), axis=-1)


def _smoothed(y_true: Tensor, label_smoothing: float, classes: Any) -> Tensor:
    if not label_smoothing:
        return y_true
    return y_true * (1.0 - label_smoothing) + label_smoothing / classes


@public("keras.losses")
def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """The mean cross-entropy of two classes along an axis.

    Args:
        y_true: Targets from 0 to 1.
        y_pred: Probabilities, or logits.
        from_logits: Whether predictions are logits.
        label_smoothing: How far targets are moved towards 0.5.
        axis: The axis of the mean.
    """
    y_true, y_pred = _typed(y_true, y_pred)
    y_true = _smoothed(y_true, label_smoothing, 2)
    return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits=from_logits), axis=axis)


@public("keras.losses")
def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Binary cross-entropy that counts hard cases more (https://arxiv.org/abs/1708.02002).

    Args:
        y_true: Targets from 0 to 1.
        y_pred: Probabilities, or logits.
        apply_class_balancing: Whether class 1 is weighted by ``alpha``.
        alpha: Weight of class 1.
        gamma: Exponent of the focus.
        from_logits: Whether predictions are logits.
        label_smoothing: How far targets are moved towards 0.5.
        axis: The axis of the mean.
    """
    y_true, y_pred = _typed(y_true, y_pred)
    y_true = _smoothed(y_true, label_smoothing, 2)
    if from_logits:
        y_pred = ops.sigmoid(y_pred)
    entropy = ops.binary_crossentropy(y_true, y_pred, from_logits=False)
    right = y_true * y_pred + (1.0 - y_true) * (1.0 - y_pred)
    values = ops.power(1.0 - right, gamma) * entropy
    if apply_class_balancing:
        values = (y_true * alpha + (1.0 - y_true) * (1.0 - alpha)) * values
    return ops.mean(values, axis=axis)


def _check_axis(axis: Any) -> None:
    if isinstance(axis, bool):
        raise ValueError(f"`axis` must be of type `int`. Received: axis={axis} of type bool")


def _warn_single_class(y_pred: Tensor, loss: str) -> None:
    if y_pred.shape[-1] == 1:
        warnings.warn(
            f"In loss {loss}, expected y_pred.shape to be (batch_size, num_classes) with "
            f"num_classes > 1. Received: y_pred.shape={y_pred.shape}. Consider using "
            "'binary_crossentropy' if you only have 2 classes.",
            SyntaxWarning,
            stacklevel=3,
        )


@public("keras.losses")
def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """The cross-entropy of classes along an axis; targets are one-hot.

    Args:
        y_true: Probabilities of the classes, usually one-hot.
        y_pred: Probabilities, or logits.
        from_logits: Whether predictions are logits.
        label_smoothing: How far targets are moved towards equal ones.
        axis: The axis of the classes.
    """
    _check_axis(axis)
    y_true, y_pred = _typed(y_true, y_pred)
    _warn_single_class(y_pred, "categorical_crossentropy")
    y_true = _smoothed(y_true, label_smoothing, y_true.shape[-1])
    return ops.categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)


@public("keras.losses")
def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Cross-entropy that counts hard cases more (https://arxiv.org/abs/1708.02002).

    Args:
        y_true: One-hot targets.
        y_pred: Probabilities, or logits.
        alpha: Weight of the classes: a number, or one per class.
        gamma: Exponent of the focus.
        from_logits: Whether predictions are logits.
        label_smoothing: How far targets are moved towards equal ones.
        axis: The axis of the classes.
    """
    _check_axis(axis)
    y_true, y_pred = _typed(y_true, y_pred)
    _warn_single_class(y_pred, "categorical_focal_crossentropy")
    y_true = _smoothed(y_true, label_smoothing, y_true.shape[-1])
    if from_logits:
        y_pred = ops.softmax(y_pred, axis=axis)
    output = y_pred / ops.sum(y_pred, axis=axis, keepdims=True)
    output = ops.clip(output, config.epsilon, 1.0 - config.epsilon)
    entropy = -y_true * ops.log(output)
    return ops.sum(ops.power(1.0 - output, gamma) * alpha * entropy, axis=axis)


@public("keras.losses")
def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """The cross-entropy of classes along an axis; targets are class numbers.

    Args:
        y_true: Class numbers.
        y_pred: Probabilities, or logits.
        from_logits: Whether predictions are logits.
        ignore_class: A class number whose samples do not count.
        axis: The axis of the classes.
    """
    y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
    if y_true.ndim == y_pred.ndim and y_true.shape[axis] == 1:
        y_true = ops.squeeze(y_true, axis=axis)
    if ignore_class is None:
        return ops.sparse_categorical_crossentropy(
            y_true, y_pred, from_logits=from_logits, axis=axis
        )
    valid = y_true != ignore_class
    y_true = ops.where(valid, y_true, 0)
    y_pred = ops.where(ops.expand_dims(valid, axis), y_pred, 0.0)
    values = ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)
    values = ops.where(valid, values, 0.0)
    values.mask = valid
    return values
