"""Losses as functions: the loss of each example, not reduced; https://keras.io/api/losses/.

All take ``y_true``, what is right, and ``y_pred``, what was predicted, and reduce the last axis
unless they have an ``axis``.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from graphc.config import config
from graphc.eager import Tensor, as_tensor, cast, size_tensor
from graphc.keras import ops
from graphc.keras.losses.loss import same_rank
from graphc.keras.ops.arguments import counted, float_tensor
from graphc.keras.ops.recording import composed
from graphc.keras.saving.registry import public


def _pair(y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Both in the type of the predictions."""
    predicted = float_tensor(y_pred)
    return cast(as_tensor(y_true), predicted.dtype), predicted


def _matching_pair(y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Both in the type of the predictions, with as many axes."""
    return same_rank(*_pair(y_true, y_pred))


# ------------------------------------------------------------------------------------- regression


@public("keras.losses")
@composed
def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """``mean((y_true - y_pred)**2)``.

    Example:
        >>> keras.losses.mean_squared_error([[0.0, 1.0]], [[1.0, 1.0]])
    """
    truth, predicted = _matching_pair(y_true, y_pred)
    return ops.mean(ops.square(truth - predicted), axis=-1)


@public("keras.losses")
@composed
def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """``mean(|y_true - y_pred|)``."""
    truth, predicted = _matching_pair(y_true, y_pred)
    return ops.mean(ops.absolute(truth - predicted), axis=-1)


@public("keras.losses")
@composed
def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Tensor:
    """``100 * mean(|y_true - y_pred| / |y_true|)``; the divisor is at least epsilon."""
    truth, predicted = _matching_pair(y_true, y_pred)
    size = ops.maximum(ops.absolute(truth), config.epsilon)
    return 100.0 * ops.mean(ops.absolute((truth - predicted) / size), axis=-1)


@public("keras.losses")
@composed
def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Tensor:
    """``mean((log(y_true + 1) - log(y_pred + 1))**2)``; both are taken as at least epsilon."""
    logs = [ops.log(ops.maximum(x, config.epsilon) + 1.0) for x in _matching_pair(y_true, y_pred)]
    return ops.mean(ops.square(logs[1] - logs[0]), axis=-1)


@public("keras.losses")
@composed
def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """Minus the cosine of the angle between both: -1 for one direction, 1 for the opposite."""
    truth, predicted = _matching_pair(y_true, y_pred)
    return -ops.sum(ops.normalize(truth, axis) * ops.normalize(predicted, axis), axis=axis)


@public("keras.losses")
@composed
def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """Half the squared error up to ``delta``, and a line beyond."""
    truth, predicted = _matching_pair(y_true, y_pred)
    error = predicted - truth
    size = ops.absolute(error)
    line = delta * size - 0.5 * delta * delta
    return ops.mean(ops.where(size <= delta, 0.5 * ops.square(error), line), axis=-1)


@public("keras.losses")
@composed
def log_cosh(y_true: Any, y_pred: Any) -> Tensor:
    """``mean(log(cosh(y_pred - y_true)))``: nearly half the square, and nearly a line far out."""
    truth, predicted = _matching_pair(y_true, y_pred)
    error = predicted - truth
    return ops.mean(error + ops.softplus(error * -2.0) - math.log(2.0), axis=-1)


# ---------------------------------------------------------------------------------- probabilities


@public("keras.losses")
@composed
def kl_divergence(y_true: Any, y_pred: Any) -> Tensor:
    """``sum(y_true * log(y_true / y_pred))``; both are limited to [epsilon, 1]."""
    truth, predicted = (ops.clip(x, config.epsilon, 1) for x in _pair(y_true, y_pred))
    return ops.sum(truth * ops.log(truth / predicted), axis=-1)


@public("keras.losses")
@composed
def poisson(y_true: Any, y_pred: Any) -> Tensor:
    """``mean(y_pred - y_true * log(y_pred + epsilon))``."""
    truth, predicted = _pair(y_true, y_pred)
    return ops.mean(predicted - truth * ops.log(predicted + config.epsilon), axis=-1)


@public("keras.losses")
@composed
def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """The mean cross-entropy of yes-or-no decisions.

    Args:
        y_true: 0 or 1, or probabilities.
        y_pred: Probabilities, or what a sigmoid makes them of.
        from_logits: Whether they are the latter.
        label_smoothing: How far labels are moved towards 1/2, from 0 to 1.
        axis: The axis along which the mean is taken.
    """
    truth, predicted = _pair(y_true, y_pred)
    if label_smoothing:
        truth = truth * (1.0 - label_smoothing) + 0.5 * label_smoothing
    return ops.mean(ops.binary_crossentropy(truth, predicted, from_logits), axis=axis)


@public("keras.losses")
@composed
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
    """Binary cross-entropy in which examples that are right already count less.

    Lin et al. 2018, https://arxiv.org/abs/1708.02002.

    Args:
        y_true: 0 or 1.
        y_pred: Probabilities, or what a sigmoid makes them of.
        apply_class_balancing: Whether class 1 counts ``alpha`` and class 0 ``1 - alpha``.
        alpha: See there.
        gamma: The power of one minus the probability of the right class.
        from_logits: See `binary_crossentropy`.
        label_smoothing: See `binary_crossentropy`.
        axis: The axis along which the mean is taken.
    """
    truth, predicted = _pair(y_true, y_pred)
    if label_smoothing:
        truth = truth * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        predicted = ops.sigmoid(predicted)
    right = truth * predicted + (1 - truth) * (1 - predicted)
    loss = ops.power(1.0 - right, gamma) * ops.binary_crossentropy(truth, predicted)
    if apply_class_balancing:
        loss = (truth * alpha + (1 - truth) * (1 - alpha)) * loss
    return ops.mean(loss, axis=axis)


def _check_classes(name: str, predicted: Tensor, axis: Any) -> None:
    if isinstance(axis, bool):
        raise ValueError(f"`axis` must be of type `int`. Received: axis={axis} of type bool")
    if predicted.ndim and predicted.dims[-1] == 1:
        warnings.warn(
            f"In loss {name}, expected y_pred.shape to be (batch_size, num_classes) with "
            f"num_classes > 1. Received: y_pred.shape={predicted.shape}. Consider using "
            "'binary_crossentropy' if you only have 2 classes.",
            SyntaxWarning,
            stacklevel=3,
        )


def _smoothed(truth: Tensor, label_smoothing: float) -> Tensor:
    """Labels moved towards equal probabilities of all classes."""
    if not label_smoothing:
        return truth
    return truth * (1.0 - label_smoothing) + label_smoothing / truth.dims[-1]


@public("keras.losses")
@composed
def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """The cross-entropy of a choice among classes, labels given as one-hot vectors.

    Args:
        y_true: Vectors of probabilities.
        y_pred: Probabilities, or what a softmax makes them of.
        from_logits: Whether they are the latter.
        label_smoothing: How far labels are moved towards equal probabilities, from 0 to 1.
        axis: The axis of the classes.
    """
    truth, predicted = _pair(y_true, y_pred)
    _check_classes("categorical_crossentropy", predicted, axis)
    truth = _smoothed(truth, label_smoothing)
    return ops.categorical_crossentropy(truth, predicted, from_logits, axis)


@public("keras.losses")
@composed
def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Categorical cross-entropy in which examples that are right already count less.

    Lin et al. 2018, https://arxiv.org/abs/1708.02002.

    Args:
        y_true: Vectors of probabilities.
        y_pred: Probabilities, or what a softmax makes them of.
        alpha: A factor (or one per class).
        gamma: The power of one minus the probability.
        from_logits: See `categorical_crossentropy`.
        label_smoothing: See `categorical_crossentropy`.
        axis: The axis of the classes.
    """
    truth, predicted = _pair(y_true, y_pred)
    _check_classes("categorical_focal_crossentropy", predicted, axis)
    truth = _smoothed(truth, label_smoothing)
    if from_logits:
        predicted = ops.softmax(predicted, axis)
    share = predicted / ops.sum(predicted, axis=axis, keepdims=True)
    share = ops.clip(share, config.epsilon, 1.0 - config.epsilon)
    weight = ops.power(1.0 - share, gamma) * alpha
    return ops.sum(weight * (-truth * ops.log(share)), axis=axis)


@public("keras.losses")
@composed
def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """The cross-entropy of a choice among classes, labels given as numbers of classes.

    Args:
        y_true: Numbers of classes.
        y_pred: Probabilities, or what a softmax makes them of.
        from_logits: Whether they are the latter.
        ignore_class: A class whose examples do not count.
        axis: The axis of the classes.
    """
    truth, predicted = as_tensor(y_true), float_tensor(y_pred)
    if truth.ndim == predicted.ndim and truth.dims[axis] == 1:
        truth = ops.squeeze(truth, axis)
    if ignore_class is None:
        return ops.sparse_categorical_crossentropy(truth, predicted, from_logits, axis)
    counts = ops.not_equal(truth, ignore_class)
    truth = ops.where(counts, truth, 0)
    predicted = ops.where(ops.expand_dims(counts, axis), predicted, 0)
    loss = ops.sparse_categorical_crossentropy(truth, predicted, from_logits, axis)
    result = ops.where(counts, loss, 0.0)
    result.mask = counts
    return result


# ------------------------------------------------------------------------------------------ hinge


def _signs(truth: Tensor) -> Tensor:
    """Labels 0 and 1 as -1 and 1; other labels as they are."""
    binary = ops.all(ops.logical_or(ops.equal(truth, 0), ops.equal(truth, 1)))
    return ops.where(binary, 2.0 * truth - 1.0, truth)


@public("keras.losses")
@composed
def hinge(y_true: Any, y_pred: Any) -> Tensor:
    """``mean(max(1 - y_true * y_pred, 0))`` for labels -1 and 1 (or 0 and 1)."""
    truth, predicted = _pair(y_true, y_pred)
    return ops.mean(ops.maximum(1.0 - _signs(truth) * predicted, 0.0), axis=-1)


@public("keras.losses")
@composed
def squared_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """``mean(max(1 - y_true * y_pred, 0)**2)`` for labels -1 and 1 (or 0 and 1)."""
    truth, predicted = _pair(y_true, y_pred)
    return ops.mean(ops.square(ops.maximum(1.0 - _signs(truth) * predicted, 0.0)), axis=-1)


@public("keras.losses")
@composed
def categorical_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """``max(1 + the best wrong score - the right score, 0)`` for one-hot labels."""
    truth, predicted = _pair(y_true, y_pred)
    right = ops.sum(truth * predicted, axis=-1)
    wrong = ops.max((1.0 - truth) * predicted, axis=-1)
    return ops.maximum(wrong - right + 1.0, 0.0)


# ------------------------------------------------------------------------------------------- areas


@public("keras.losses")
@composed
def dice(y_true: Any, y_pred: Any, axis: Any = None) -> Tensor:
    """``1 - 2 * sum(y_true * y_pred) / (sum(y_true) + sum(y_pred))``."""
    truth, predicted = _pair(y_true, y_pred)
    common = ops.sum(truth * predicted, axis=axis)
    both = ops.sum(truth, axis=axis) + ops.sum(predicted, axis=axis)
    return 1 - 2.0 * common / (both + config.epsilon)


@public("keras.losses")
@composed
def tversky(
    y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None
) -> Tensor:
    """`dice` with a weight for either kind of error.

    Salehi et al. 2017, https://arxiv.org/abs/1706.05721.

    Args:
        y_true: 0 or 1.
        y_pred: Probabilities.
        alpha: How much a 1 counts that was missed.
        beta: How much a 0 counts that was taken for a 1.
        axis: The axes that are summed over; None for all.
    """
    truth, predicted = _pair(y_true, y_pred)
    common = ops.sum(truth * predicted, axis=axis)
    missed = ops.sum((1 - predicted) * truth, axis=axis)
    invented = ops.sum(predicted * (1 - truth), axis=axis)
    return 1 - common / (common + missed * alpha + invented * beta + config.epsilon)


# ------------------------------------------------------------------- sequences, embeddings, noise


@public("keras.losses")
@composed
def ctc(y_true: Any, y_pred: Any) -> Tensor:
    """The loss of labels whose places in a sequence are not known; see `keras.ops.ctc_loss`.

    Args:
        y_true: Labels, ``(batch, length)``, with 0 (the blank) behind the last one.
        y_pred: Logits, ``(batch, steps, classes)``.

    Raises:
        ValueError: Other ranks.
    """
    labels, logits = as_tensor(y_true), float_tensor(y_pred)
    if labels.ndim != 2:
        raise ValueError(
            "Targets `y_true` are expected to be a tensor of shape `(batch_size, max_length)` in "
            f"integer format. Received: y_true.shape={labels.shape}"
        )
    if logits.ndim != 3:
        raise ValueError(
            "Logits `y_pred` are expected to be a tensor of shape "
            f"`(batch_size, max_length, num_classes)`. Received: y_pred.shape={logits.shape}"
        )
    count = ops.sum(cast(ops.not_equal(labels, 0), "int32"), axis=-1)
    steps = ops.broadcast_to(size_tensor(logits.dims[1], "int32"), (logits.dims[0],))
    return ops.ctc_loss(labels, logits, count, steps, mask_index=0)


@public("keras.losses")
@composed
def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> Tensor:
    """The loss of embeddings: near those of the same class, far from those of others.

    Sun et al. 2020, https://arxiv.org/abs/2002.10857. Rows with a loss of 0 do not count in means.

    Args:
        y_true: Classes, ``(batch,)``.
        y_pred: Embeddings of length 1, ``(batch, width)``.
        ref_labels: The classes of those that they are compared with; by default ``y_true``.
        ref_embeddings: Those; by default ``y_pred``.
        remove_diagonal: Whether an embedding is not compared with itself.
        gamma: The scale of similarities.
        margin: How much nearness is enough.
    """
    embeddings = float_tensor(y_pred)
    others = embeddings if ref_embeddings is None else cast(as_tensor(ref_embeddings),
                                                            embeddings.dtype)  # fmt: skip
    classes = ops.reshape(cast(as_tensor(y_true), "int32"), (-1, 1))
    known = classes if ref_labels is None else cast(as_tensor(ref_labels), "int32")
    same = ops.equal(classes, ops.reshape(known, (1, -1)))
    different = ops.logical_not(same)
    if remove_diagonal:
        rows, columns = same.dims
        diagonal = ops.equal(ops.expand_dims(counted(rows, "int32"), 1), counted(columns, "int32"))
        same = ops.logical_and(same, ops.logical_not(diagonal))
    distance = ops.maximum(1.0 - ops.matmul(embeddings, ops.transpose(others)), 0.0)
    pull = -gamma * ops.maximum(margin + distance, 0.0) * (margin - distance)
    push = gamma * ops.maximum(1.0 + margin - distance, 0.0) * (1.0 - margin - distance)
    never = -float("inf")
    near = ops.logsumexp(ops.where(same, pull, never), axis=1)
    far = ops.logsumexp(ops.where(different, push, never), axis=1)
    loss = ops.softplus(near + far)
    loss.mask = loss > 0
    return loss


@public("keras.losses")
@composed
def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> Tensor:
    """``(1 - p**q) / q`` for the probability p of the right class, for labels with errors in them.

    Zhang & Sabuncu 2018, https://arxiv.org/abs/1805.07836. Between the cross-entropy (q near 0) and
    the absolute error (q near 1).

    Args:
        y_true: Numbers of classes, ``(batch,)``.
        y_pred: Probabilities, ``(batch, classes)``.
        q: Between 0 and 1.
    """
    predicted = float_tensor(y_pred)
    labels = cast(as_tensor(y_true), "int32")
    if labels.ndim == predicted.ndim and labels.dims[-1] == 1:
        labels = ops.squeeze(labels, -1)
    truth = ops.one_hot(labels, predicted.dims[-1], dtype=predicted.dtype)
    right = ops.sum(predicted * truth, axis=-1)
    return (1.0 - ops.power(right, q)) / q
