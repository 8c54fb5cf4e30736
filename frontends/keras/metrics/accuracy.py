"""How often predictions are right (https://keras.io/api/metrics/accuracy_metrics/)."""

from __future__ import annotations

from typing import Any

from graphc.config import config
from graphc.eager.tensor import Tensor, as_tensor, cast
from graphc.keras import ops
from graphc.keras.metrics.reduction import MeanMetricWrapper, match_ranks
from graphc.keras.saving.registry import public


def accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the target equals the prediction, else 0."""
    y_pred = as_tensor(y_pred)
    y_true, y_pred = match_ranks(cast(y_true, y_pred.dtype), y_pred)
    return cast(ops.equal(y_true, y_pred), config.floatx)


@public("keras.metrics")
def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Tensor:
    """1 where the prediction is on the target's side of the threshold, else 0.

    Args:
        y_true: Targets, 0 or 1.
        y_pred: Predictions.
        threshold: What separates 0 from 1.
    """
    y_true, y_pred = match_ranks(as_tensor(y_true), as_tensor(y_pred))
    decided = cast(ops.greater(y_pred, threshold), y_true.dtype)
    return cast(ops.equal(y_true, decided), config.floatx)


@public("keras.metrics")
def categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the largest prediction is that of the class with the largest target, else 0.

    Args:
        y_true: One-hot targets.
        y_pred: Probabilities or logits of the same shape.
    """
    matches = ops.equal(ops.argmax(y_true, axis=-1), ops.argmax(y_pred, axis=-1))
    return cast(matches, config.floatx)


@public("keras.metrics")
def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the largest prediction is that of the target's class, else 0.

    Args:
        y_true: Class numbers; a last axis of size 1 is ignored.
        y_pred: Probabilities or logits with a last axis of classes.
    """
    y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = y_true[..., 0]
    matches = cast(ops.equal(cast(y_true, "int32"), ops.argmax(y_pred, axis=-1)), config.floatx)
    return matches[..., 0] if matches.ndim > 1 and matches.shape[-1] == 1 else matches


def _rank_of_target(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """How many classes have a larger score than the target's; the number of classes if no score."""
    classes: Any = y_pred.shape[-1]
    chosen = ops.one_hot(cast(y_true, "int32"), classes, dtype="bool")
    score = ops.sum(ops.where(chosen, y_pred, 0.0), axis=-1, keepdims=True)
    larger = ops.sum(cast(y_pred > score, "int32"), axis=-1)
    finite = ops.isfinite(score)[..., 0]
    return ops.where(finite, larger, classes)


@public("keras.metrics")
def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """1 where the target's class is among the ``k`` largest predictions, else 0.

    Args:
        y_true: One-hot targets.
        y_pred: Scores of the same shape.
        k: How many count.
    """
    return sparse_top_k_categorical_accuracy(ops.argmax(y_true, axis=-1), y_pred, k)


@public("keras.metrics")
def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> Tensor:
    """1 where the target's class is among the ``k`` largest predictions, else 0.

    Args:
        y_true: Class numbers.
        y_pred: Scores; or class numbers from best to worst, with ``from_sorted_ids``.
        k: How many count.
        from_sorted_ids: Whether ``y_pred`` holds class numbers.
    """
    y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = y_true[..., 0]
    if from_sorted_ids:
        best = y_pred[..., :k]
        return cast(ops.any(cast(y_true, best.dtype)[..., None] == best, axis=-1), config.floatx)
    return cast(_rank_of_target(y_true, y_pred) < k, config.floatx)


class _Accuracy(MeanMetricWrapper):
    """What accuracies share: more is better."""

    _direction = "up"


@public("keras.metrics")
class Accuracy(_Accuracy):
    """How often predictions equal targets.

    Args:
        name: A name.
        dtype: Element type of the state.
    """

    def __init__(self, name: str = "accuracy", dtype: Any = None):
        super().__init__(accuracy, name, dtype)


@public("keras.metrics")
class BinaryAccuracy(_Accuracy):
    """How often predictions are on the target's side of a threshold.

    Args:
        name: A name.
        dtype: Element type of the state.
        threshold: What separates 0 from 1.
    """

    def __init__(self, name: str = "binary_accuracy", dtype: Any = None, threshold: float = 0.5):
        if threshold is not None and (threshold <= 0 or threshold >= 1):
            raise ValueError(
                "Invalid value for argument `threshold`. Expected a value in interval (0, 1). "
                f"Received: threshold={threshold}"
            )
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


@public("keras.metrics")
class CategoricalAccuracy(_Accuracy):
    """How often the class of a one-hot target gets the largest prediction.

    Args:
        name: A name.
        dtype: Element type of the state.
    """

    def __init__(self, name: str = "categorical_accuracy", dtype: Any = None):
        super().__init__(categorical_accuracy, name, dtype)


@public("keras.metrics")
class SparseCategoricalAccuracy(_Accuracy):
    """How often the class of a target gets the largest prediction.

    Args:
        name: A name.
        dtype: Element type of the state.
    """

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: Any = None):
        super().__init__(sparse_categorical_accuracy, name, dtype)


@public("keras.metrics")
class TopKCategoricalAccuracy(_Accuracy):
    """How often the class of a one-hot target is among the largest predictions.

    Args:
        k: How many count.
        name: A name.
        dtype: Element type of the state.
    """

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: Any = None):
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


@public("keras.metrics")
class SparseTopKCategoricalAccuracy(_Accuracy):
    """How often the class of a target is among the largest predictions.

    Args:
        k: How many count.
        name: A name.
        dtype: Element type of the state.
        from_sorted_ids: Whether predictions are class numbers from best to worst.
    """

    def __init__(
        self,
        k: int = 5,
        name: str = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ):
        super().__init__(
            sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids
        )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if not config["from_sorted_ids"]:  # Keras does not write it down
            del config["from_sorted_ids"]
        return config
