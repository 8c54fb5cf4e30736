"""Means of precision and recall: https://keras.io/api/metrics/classification_metrics/."""

from __future__ import annotations

from typing import Any

from graphc.config import config
from graphc.eager import Tensor, Variable, as_tensor, cast
from graphc.keras import ops
from graphc.keras.metrics.metric import Metric
from graphc.keras.metrics.regression import check_matrices
from graphc.keras.saving.registry import public

_AVERAGES = (None, "micro", "macro", "weighted")
_STATE = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")


@public("keras.metrics")
class FBetaScore(Metric):
    """``(1 + beta**2) * precision * recall / (beta**2 * precision + recall)``.

    Args:
        average: How classes become one number: ``"micro"`` counts over all classes, ``"macro"``
            takes the mean, ``"weighted"`` the mean by frequency; None for one number each.
        beta: How many times more the recall counts.
        threshold: Above it a class is predicted; None for only the most probable class.
        name: A name.
        dtype: Element type of the state.

    Raises:
        ValueError: An argument that is none of these, or tensors that are no matrices.
    """

    _direction = "up"
    true_positives: Variable
    false_positives: Variable
    false_negatives: Variable
    intermediate_weights: Variable

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: Any = None,
    ):
        super().__init__(name=name, dtype=dtype)
        if average not in _AVERAGES:
            raise ValueError(
                f"Invalid `average` argument value. Expected one of: {_AVERAGES}. "
                f"Received: average={average}"
            )
        if not isinstance(beta, float) or beta <= 0:
            raise ValueError(
                "Invalid `beta` argument value. It should be a Python float > 0. "
                f"Received: beta={beta}"
            )
        if threshold is not None and (not isinstance(threshold, float) or not 0 < threshold <= 1):
            raise ValueError(
                "Invalid `threshold` argument value. It should be a Python float, 0 < threshold "
                f"<= 1. Received: threshold={threshold}"
            )
        self.average = average
        self.beta = beta
        self.threshold = threshold
        self.built = False

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch into account.

        Args:
            y_true: One-hot (or several-hot) vectors.
            y_pred: Predictions.
            sample_weight: How much each example counts.
        """
        truth, predicted = (cast(as_tensor(x), self.dtype) for x in (y_true, y_pred))
        if not self.built:
            check_matrices("FBetaScore", truth, predicted)
            shape = () if self.average == "micro" else (predicted.shape[-1],)
            for name in _STATE:
                setattr(self, name, self.add_variable(shape, name=name))
            self.built = True
        if self.threshold is None:
            best = predicted >= ops.max(predicted, axis=-1, keepdims=True)
            # A row of zeros predicts nothing.
            chosen = ops.logical_and(best, ops.absolute(predicted) > 1e-9)
        else:
            chosen = predicted > self.threshold
        taken = cast(chosen, self.dtype)
        parts = (taken * truth, taken * (1 - truth), (1 - taken) * truth, truth)
        for name, part in zip(_STATE, parts, strict=True):
            if sample_weight is not None:
                part = part * ops.expand_dims(cast(as_tensor(sample_weight), self.dtype), 1)
            axis = None if self.average == "micro" else 0
            getattr(self, name).assign_add(ops.sum(part, axis=axis))

    def result(self) -> Tensor:
        """The score so far.

        Raises:
            ValueError: Nothing was seen yet, so nobody knows how many classes there are.
        """
        if not self.built:
            raise ValueError(f"{self.name}: call update_state() before result()")
        found, small = self.true_positives, config.epsilon
        precision = found / (found + self.false_positives + small)
        recall = found / (found + self.false_negatives + small)
        square = self.beta**2
        score = precision * recall / (square * precision + recall + small) * (1 + square)
        if self.average == "weighted":
            weights = self.intermediate_weights
            return ops.sum(score * (weights / (ops.sum(weights) + small)))
        return score if self.average is None else ops.mean(score)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "average": self.average,
            "beta": self.beta,
            "threshold": self.threshold,
        }


@public("keras.metrics")
class F1Score(FBetaScore):
    """``2 * precision * recall / (precision + recall)``.

    Args:
        average: As for `FBetaScore`.
        threshold: As for `FBetaScore`.
        name: A name.
        dtype: Element type of the state.
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: Any = None,
    ):
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["beta"]
        return config
