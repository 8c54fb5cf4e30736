"""Counting right and wrong decisions at many thresholds at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from graphc.config import config
from graphc.eager import Tensor, apply, as_tensor, cast
from graphc.keras import ops
from graphc.keras.metrics.reduction import match_ranks
from graphc.ops.gather import ScatterAdd

#: What predictions that do not count are set to.
NEGATIVE = -1e10


class Counts(NamedTuple):
    """Weighted numbers of decisions, one per threshold."""

    true_positives: Tensor
    false_positives: Tensor
    true_negatives: Tensor
    false_negatives: Tensor


def evenly_spaced(count: int) -> list[float]:
    """The thresholds 0, ..., 1 at equal distances."""
    return [i / (count - 1) for i in range(count)]


def are_even(thresholds: Sequence[float]) -> bool:
    """Whether there are at least three thresholds, at equal distances from 0 to 1."""
    if len(thresholds) < 3:
        return False
    even = np.asarray(evenly_spaced(len(thresholds)))
    return bool(np.allclose(thresholds, even, atol=config.epsilon))


def count_decisions(
    y_true: Any,
    y_pred: Any,
    thresholds: Sequence[float],
    dtype: str,
    sample_weight: Any = None,
    top_k: int | None = None,
    class_id: int | None = None,
    label_weights: Any = None,
    multi_label: bool = False,
) -> Counts:
    """How often a prediction above each threshold is right and wrong, and one that is not.

    Args:
        y_true: What is right: 0 or not.
        y_pred: Predictions.
        thresholds: Rising.
        dtype: Element type of the counts.
        sample_weight: How much each example counts.
        top_k: Only the k largest predictions along the last axis count as positive.
        class_id: Only this class counts.
        label_weights: How much each label counts.
        multi_label: Whether the labels are counted separately, as a second axis of the counts.

    Raises:
        ValueError: A class of predictions that are vectors.
    """
    predicted, truth = match_ranks(cast(as_tensor(y_pred), dtype), cast(as_tensor(y_true), dtype))
    weight = _weights(predicted, sample_weight, dtype)
    if top_k is not None:
        predicted = _keep_largest(predicted, top_k)
    if class_id is not None:
        if predicted.ndim == 1:
            raise ValueError(
                "When class_id is provided, y_pred must be a 2D array with shape (num_samples, "
                f"num_classes), found shape: {predicted.shape}"
            )
        truth, predicted = truth[..., class_id, None], predicted[..., class_id, None]
    weight = ops.broadcast_to(weight, predicted.dims)
    if label_weights is not None and not multi_label:
        weight = weight * cast(as_tensor(label_weights), dtype)
    positive = cast(ops.not_equal(truth, 0), dtype) * weight
    negative = weight - positive
    if not multi_label:
        predicted, positive, negative = (
            ops.reshape(x, (-1, 1)) for x in (predicted, positive, negative)
        )
    above = _sums_above if not are_even(thresholds) else _sums_above_even
    hits, alarms = (above(predicted, x, thresholds) for x in (positive, negative))
    rest = [ops.sum(x, axis=0) for x in (positive, negative)]
    counts = [hits, alarms, rest[1] - alarms, rest[0] - hits]
    return Counts(*(x if multi_label else ops.squeeze(x, 1) for x in counts))


def _weights(predicted: Tensor, sample_weight: Any, dtype: str) -> Tensor:
    """Weights with as many axes as the predictions."""
    if sample_weight is None:
        return as_tensor(1, dtype)
    weight = cast(as_tensor(sample_weight), dtype)
    missing = predicted.ndim - weight.ndim
    if missing > 0:
        return ops.reshape(weight, (*weight.dims, *[1] * missing))
    if missing == -1 and weight.dims[-1] == 1:
        return ops.squeeze(weight, -1)
    return weight


def _keep_largest(x: Tensor, k: int) -> Tensor:
    """All but the k largest elements along the last axis made hugely negative."""
    _, places = ops.top_k(x, k)
    kept = ops.sum(ops.one_hot(places, x.dims[-1], dtype=x.dtype), axis=-2)
    return x * kept + NEGATIVE * (1 - kept)


def _sums_above(predicted: Tensor, weight: Tensor, thresholds: Sequence[float]) -> Tensor:
    """For each threshold (and label) the sum of weights of predictions above it."""
    limits = as_tensor(np.asarray(thresholds), predicted.dtype)
    above = cast(ops.expand_dims(predicted, 0) > ops.reshape(limits, (-1, 1, 1)), weight.dtype)
    return ops.einsum("tnl,nl->tl", above, weight)


def _sums_above_even(predicted: Tensor, weight: Tensor, thresholds: Sequence[float]) -> Tensor:
    """The same for thresholds at equal distances: each prediction is put into its bucket.

    Bucket b holds the predictions above the first b thresholds, so that the work does not grow with
    the number of thresholds.
    """
    count = len(thresholds)
    labels = predicted.dims[1]
    limited = ops.clip(predicted, 0.0, 1.0)
    bucket = cast(ops.ceil(limited * float(count - 1)), "int32")
    if labels != 1:
        bucket = bucket + ops.arange(labels, dtype="int32") * count
    size = count * labels
    flat = ops.reshape(bucket, (-1,)), ops.reshape(weight, (-1,))
    sums = ops.reshape(apply(ScatterAdd(0, size), *flat), (labels, count))
    # Threshold t is passed by the buckets above t; a first one below 0 by every bucket.
    passed = np.triu(np.ones((count, count)), 1).T
    if thresholds[0] < 0:
        passed[:, 0] = 1
    return ops.einsum("lb,bt->tl", sums, as_tensor(passed, weight.dtype))


def checked_thresholds(thresholds: Any, default: float) -> list[float]:
    """Thresholds as a list.

    Raises:
        ValueError: One that is not from 0 to 1.
    """
    if thresholds is None:
        return [default]
    values = [float(t) for t in (thresholds if hasattr(thresholds, "__len__") else [thresholds])]
    wrong = [value for value in values if not 0 <= value <= 1 or math.isnan(value)]
    if wrong:
        raise ValueError(
            f"Threshold values must be in [0, 1]. Received: {wrong} in thresholds={thresholds}"
        )
    return values
