"""Right and wrong decisions: https://keras.io/api/metrics/classification_metrics/."""

from __future__ import annotations

from typing import Any, ClassVar

from graphc.eager import Tensor, Variable
from graphc.keras import ops
from graphc.keras.metrics.counting import (
    NEGATIVE,
    checked_thresholds,
    count_decisions,
    evenly_spaced,
)
from graphc.keras.metrics.metric import Metric
from graphc.keras.saving.registry import public


class _Counting(Metric):
    """A metric whose state is some of the four counts, one number per threshold."""

    #: Which counts it keeps.
    kept: ClassVar[tuple[str, ...]] = ()

    thresholds: list[float]
    top_k: int | None = None
    class_id: int | None = None

    def add_counts(self) -> None:
        """Make the state."""
        for name in self.kept:
            setattr(self, name, self.add_variable((len(self.thresholds),), name=name))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch into account.

        Args:
            y_true: What is right: 0 or 1.
            y_pred: Predictions, from 0 to 1.
            sample_weight: How much each example counts.
        """
        counts = count_decisions(
            y_true,
            y_pred,
            self.thresholds,
            self.dtype,
            sample_weight,
            top_k=self.top_k,
            class_id=self.class_id,
        )
        for name in self.kept:
            getattr(self, name).assign_add(getattr(counts, name))

    def plain(self, result: Any) -> Tensor:
        """A number where there is one threshold, else a vector."""
        return result[0] if len(self.thresholds) == 1 else ops.convert_to_tensor(result)

    def ratio(self, part: str, other: str) -> Tensor:
        """``part / (part + other)`` of two counts, and 0 where both are 0."""
        first, second = getattr(self, part), getattr(self, other)
        return ops.divide_no_nan(first.value, first + second)


class _SingleCount(_Counting):
    """One of the four counts.

    Args:
        thresholds: One, or several; by default 0.5.
        name: A name.
        dtype: Element type of the state.

    Raises:
        ValueError: A threshold that is not from 0 to 1.
    """

    kept = ("accumulator",)
    counted: ClassVar[str]
    accumulator: Variable

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds = thresholds
        self.thresholds = checked_thresholds(thresholds, 0.5)
        self.add_counts()

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        counts = count_decisions(y_true, y_pred, self.thresholds, self.dtype, sample_weight)
        self.accumulator.assign_add(getattr(counts, self.counted))

    def result(self) -> Tensor:
        """The count so far."""
        return self.plain(self.accumulator)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self.init_thresholds}


@public("keras.metrics")
class TruePositives(_SingleCount):
    """How many were taken for 1 and are."""

    counted = "true_positives"


@public("keras.metrics")
class TrueNegatives(_SingleCount):
    """How many were taken for 0 and are."""

    counted = "true_negatives"


@public("keras.metrics")
class FalsePositives(_SingleCount):
    """How many were taken for 1 and are 0."""

    counted = "false_positives"


@public("keras.metrics")
class FalseNegatives(_SingleCount):
    """How many were taken for 0 and are 1."""

    counted = "false_negatives"


class _Share(_Counting):
    """A share of decisions.

    Args:
        thresholds: One, or several; by default 0.5, or none with ``top_k``.
        top_k: Only the k largest predictions of an example count as positive.
        class_id: Only this class counts.
        name: A name.
        dtype: Element type of the state.

    Raises:
        ValueError: A threshold that is not from 0 to 1.
    """

    _direction = "up"

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds = thresholds
        self.top_k = top_k
        self.class_id = class_id
        self.thresholds = checked_thresholds(thresholds, 0.5 if top_k is None else NEGATIVE)
        self.add_counts()

    def result(self) -> Tensor:
        """The share so far; 0 of nothing."""
        return self.plain(self.ratio(*self.kept))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "thresholds": self.init_thresholds,
            "top_k": self.top_k,
            "class_id": self.class_id,
        }


@public("keras.metrics")
class Precision(_Share):
    """How many of those that were taken for 1 are.

    Example:
        >>> model.compile(loss="binary_crossentropy", metrics=[keras.metrics.Precision()])
    """

    kept = ("true_positives", "false_positives")


@public("keras.metrics")
class Recall(_Share):
    """How many of those that are 1 were found.

    Example:
        >>> model.compile(loss="binary_crossentropy", metrics=[keras.metrics.Recall()])
    """

    kept = ("true_positives", "false_negatives")


class _AtShare(_Counting):
    """The best of one share among the thresholds at which another one is high enough."""

    kept = ("true_positives", "false_positives", "true_negatives", "false_negatives")
    #: The name of the argument that says how high.
    limited: ClassVar[str]
    #: The two counts that make the share that is limited, and the one that is maximized.
    limited_share: ClassVar[tuple[str, str]]
    wanted_share: ClassVar[tuple[str, str]]
    _direction = "up"

    def _prepare(
        self, value: float, num_thresholds: int, class_id: int | None, name: Any, dtype: Any
    ) -> None:
        if not 0 <= value <= 1:
            raise ValueError(
                f"Argument `{self.limited}` must be in the range [0, 1]. "
                f"Received: {self.limited}={value}"
            )
        if num_thresholds <= 0:
            raise ValueError(
                "Argument `num_thresholds` must be an integer > 0. "
                f"Received: num_thresholds={num_thresholds}"
            )
        Metric.__init__(self, name=name, dtype=dtype)
        self.value = value
        self.num_thresholds = num_thresholds
        self.class_id = class_id
        self.thresholds = [0.5] if num_thresholds == 1 else evenly_spaced(num_thresholds)
        self.add_counts()

    def result(self) -> Tensor:
        """The best share so far; 0 if the other one is nowhere high enough."""
        limited, wanted = self.ratio(*self.limited_share), self.ratio(*self.wanted_share)
        return ops.max(ops.where(limited >= self.value, wanted, 0.0), initial=0.0)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "class_id": self.class_id,
            "num_thresholds": self.num_thresholds,
            self.limited: self.value,
        }


_SENSITIVITY = ("true_positives", "false_negatives")
_SPECIFICITY = ("true_negatives", "false_positives")
_PRECISION = ("true_positives", "false_positives")


@public("keras.metrics")
class SensitivityAtSpecificity(_AtShare):
    """The best share of 1 that is found, where so large a share of 0 is left alone.

    Args:
        specificity: The least share of 0 that has to be taken for 0.
        num_thresholds: How many thresholds are tried.
        class_id: Only this class counts.
        name: A name.
        dtype: Element type of the state.

    Raises:
        ValueError: A share that is not from 0 to 1, or no thresholds.
    """

    limited = "specificity"
    limited_share = _SPECIFICITY
    wanted_share = _SENSITIVITY

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        self._prepare(specificity, num_thresholds, class_id, name, dtype)


@public("keras.metrics")
class SpecificityAtSensitivity(_AtShare):
    """The best share of 0 that is left alone, where so large a share of 1 is found.

    Args:
        sensitivity: The least share of 1 that has to be found.
        num_thresholds: How many thresholds are tried.
        class_id: Only this class counts.
        name: A name.
        dtype: Element type of the state.

    Raises:
        ValueError: A share that is not from 0 to 1, or no thresholds.
    """

    limited = "sensitivity"
    limited_share = _SENSITIVITY
    wanted_share = _SPECIFICITY

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        self._prepare(sensitivity, num_thresholds, class_id, name, dtype)


@public("keras.metrics")
class PrecisionAtRecall(_AtShare):
    """The best precision where the recall is so high.

    Args:
        recall: The least recall.
        num_thresholds: How many thresholds are tried.
        class_id: Only this class counts.
        name: A name.
        dtype: Element type of the state.

    Raises:
        ValueError: A recall that is not from 0 to 1, or no thresholds.
    """

    limited = "recall"
    limited_share = _SENSITIVITY
    wanted_share = _PRECISION

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        self._prepare(recall, num_thresholds, class_id, name, dtype)


@public("keras.metrics")
class RecallAtPrecision(_AtShare):
    """The best recall where the precision is so high.

    Args:
        precision: The least precision.
        num_thresholds: How many thresholds are tried.
        class_id: Only this class counts.
        name: A name.
        dtype: Element type of the state.

    Raises:
        ValueError: A precision that is not from 0 to 1, or no thresholds.
    """

    limited = "precision"
    limited_share = _PRECISION
    wanted_share = _SENSITIVITY

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        self._prepare(precision, num_thresholds, class_id, name, dtype)
