"""The area under a curve: https://keras.io/api/metrics/classification_metrics/#auc-class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.config import config
from graphc.eager import Tensor, as_tensor
from graphc.keras import ops
from graphc.keras.metrics.counting import Counts, count_decisions, evenly_spaced
from graphc.keras.metrics.metric import Metric
from graphc.keras.saving.registry import deserialize_keras_object, public

_CURVES = {"roc": "ROC", "pr": "PR", "prgain": "PRGAIN", "pr_gain": "PRGAIN"}
_SUMMATIONS = ("interpolation", "majoring", "minoring")


@public("keras.metrics")
class AUC(Metric):
    """The area under the ROC or precision-recall curve, from sums at many thresholds.

    Args:
        num_thresholds: How many thresholds, at equal distances.
        curve: ``"ROC"``, ``"PR"`` or ``"PRGAIN"``.
        summation_method: ``"interpolation"``, ``"minoring"`` or ``"majoring"``.
        name: A name.
        dtype: Element type of the state.
        thresholds: Thresholds of one's own between 0 and 1 instead.
        multi_label: Whether each column is a curve of its own; the result is their mean.
        num_labels: How many columns there are, if that is known.
        label_weights: How much each column counts.
        from_logits: Whether predictions are what a sigmoid makes probabilities of.

    Raises:
        ValueError: An argument that is none of these.

    Example:
        >>> model.compile(loss="binary_crossentropy", metrics=[keras.metrics.AUC()])
    """

    _direction = "up"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ):
        if str(curve).lower() not in _CURVES:
            raise ValueError(
                f'Invalid `curve` argument value "{curve}". Expected one of: '
                f"{', '.join(dict.fromkeys(_CURVES.values()))}"
            )
        if str(summation_method).lower() not in _SUMMATIONS:
            raise ValueError(
                f'Invalid `summation_method` argument value "{summation_method}". '
                f"Expected one of: {', '.join(_SUMMATIONS)}"
            )
        if thresholds is None and num_thresholds <= 1:
            raise ValueError(
                "Argument `num_thresholds` must be an integer > 1. "
                f"Received: num_thresholds={num_thresholds}"
            )
        if num_labels and not multi_label:
            raise ValueError("`num_labels` is needed only when `multi_label` is True.")
        super().__init__(name=name, dtype=dtype)
        self.curve = _CURVES[str(curve).lower()]
        self.summation_method = str(summation_method).lower()
        self._given_thresholds = thresholds
        inner = evenly_spaced(num_thresholds)[1:-1] if thresholds is None else sorted(thresholds)
        # Ends beyond 0 and 1, so that predictions of just these are on the right side.
        self.thresholds = [-config.epsilon, *map(float, inner), 1.0 + config.epsilon]
        self.num_thresholds = len(self.thresholds)
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = None if label_weights is None else np.asarray(label_weights).tolist()
        self.from_logits = from_logits
        self.built = False
        if not multi_label:
            self._build(())
        elif num_labels:
            self._build((num_labels,))

    def _build(self, labels: tuple[int, ...]) -> None:
        for name in Counts._fields:
            setattr(self, name, self.add_variable((self.num_thresholds, *labels), name=name))
        self.built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch into account.

        Args:
            y_true: What is right: 0 or 1.
            y_pred: Predictions.
            sample_weight: How much each example counts.

        Raises:
            ValueError: ``multi_label`` and predictions that are no matrix.
        """
        predicted = as_tensor(y_pred)
        if not self.built:
            if predicted.ndim != 2 or predicted.shape[1] is None:
                raise ValueError(
                    "`y_pred` must have rank 2 when `multi_label=True`. Found rank "
                    f"{predicted.ndim}. Full shape received for `y_pred`: {predicted.shape}"
                )
            self._build((predicted.shape[1],))
        counts = count_decisions(
            y_true,
            ops.sigmoid(predicted) if self.from_logits else predicted,
            self.thresholds,
            self.dtype,
            sample_weight,
            label_weights=self.label_weights,
            multi_label=self.multi_label,
        )
        for name in Counts._fields:
            getattr(self, name).assign_add(getattr(counts, name))

    def result(self) -> Tensor:
        """The area so far."""
        counts = Counts(*(getattr(self, name).value for name in Counts._fields))
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self._over_labels(_interpolated_pr(counts))
        x, y = _CURVE_POINTS[self.curve](counts)
        left, right = y[:-1], y[1:]
        if self.summation_method == "interpolation":
            heights = (left + right) / 2.0
        else:
            pick = ops.minimum if self.summation_method == "minoring" else ops.maximum
            heights = pick(left, right)
        return self._over_labels((x[:-1] - x[1:]) * heights)

    def _over_labels(self, areas: Tensor) -> Tensor:
        """The sum of areas; of several labels the weighted mean of their sums."""
        total = ops.sum(areas, axis=0)
        if not self.multi_label:
            return total
        if self.label_weights is None:
            return ops.mean(total)
        weights = as_tensor(self.label_weights, self.dtype)
        return ops.divide_no_nan(ops.sum(total * weights), ops.sum(weights))

    def get_config(self) -> dict[str, Any]:
        config = {
            **super().get_config(),
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": self.label_weights,
            "from_logits": self.from_logits,
        }
        if self._given_thresholds is not None:
            config["thresholds"] = self.thresholds[1:-1]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> AUC:
        weights = config.get("label_weights")
        if isinstance(weights, dict):
            config = {**config, "label_weights": deserialize_keras_object(weights)}
        return cls(**config)


def _share(part: Tensor, other: Tensor) -> Tensor:
    return ops.divide_no_nan(part, part + other)


def _roc_points(counts: Counts) -> tuple[Tensor, Tensor]:
    """False alarms, and what was found."""
    return (
        _share(counts.false_positives, counts.true_negatives),
        _share(counts.true_positives, counts.false_negatives),
    )


def _pr_points(counts: Counts) -> tuple[Tensor, Tensor]:
    """What was found, and how much of that is right."""
    return (
        _share(counts.true_positives, counts.false_negatives),
        _share(counts.true_positives, counts.false_positives),
    )


def _pr_gain_points(counts: Counts) -> tuple[Tensor, Tensor]:
    """Recall and precision as gains over always saying 1: Flach & Kull 2015."""
    found = counts.true_positives
    odds = ops.divide_no_nan(
        found + counts.false_negatives, counts.true_negatives + counts.false_positives
    )
    recall = 1.0 - odds * ops.divide_no_nan(counts.false_negatives, found)
    precision = 1.0 - odds * ops.divide_no_nan(counts.false_positives, found)
    nothing = ops.equal(found, 0.0)
    # Without anything found the gains diverge, and a worse recall than chance has no gain.
    return (
        ops.maximum(ops.where(nothing, 0.0, recall), 0.0),
        ops.where(nothing, 1.0, precision),
    )


_CURVE_POINTS = {"ROC": _roc_points, "PR": _pr_points, "PRGAIN": _pr_gain_points}


def _interpolated_pr(counts: Counts) -> Tensor:
    """Areas under the precision-recall curve with true positives interpolated linearly.

    Davis & Goadrich 2006, https://minds.wisconsin.edu/handle/1793/60482.
    """
    found = counts.true_positives
    taken = found + counts.false_positives
    found_step, taken_step = found[:-1] - found[1:], taken[:-1] - taken[1:]
    slope = ops.divide_no_nan(found_step, ops.maximum(taken_step, 0))
    intercept = found[1:] - slope * taken[1:]
    both = ops.logical_and(taken[:-1] > 0, taken[1:] > 0)
    ratio = ops.divide_no_nan(taken[:-1], ops.maximum(taken[1:], 0))
    ratio = ops.where(both, ratio, ops.ones_like(ratio))
    rise = slope * (found_step + intercept * ops.log(ratio))
    return ops.divide_no_nan(rise, ops.maximum((found + counts.false_negatives)[1:], 0))
