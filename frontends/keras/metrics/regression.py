"""Errors of predicted numbers: https://keras.io/api/metrics/regression_metrics/."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from graphc.eager import Tensor, as_tensor, cast
from graphc.keras import losses, ops
from graphc.keras.metrics.metric import Metric
from graphc.keras.metrics.reduction import Mean, MeanMetricWrapper, match_ranks
from graphc.keras.saving.registry import public


class FunctionMetric(MeanMetricWrapper):
    """The mean of a function that the class knows.

    Args:
        name: A name.
        dtype: Element type of the state.
    """

    function: ClassVar[Callable[..., Any]]
    default_name: ClassVar[str]
    _direction = "down"

    def __init__(self, name: str | None = None, dtype: Any = None):
        super().__init__(type(self).function, name or self.default_name, dtype)


@public("keras.metrics")
class MeanSquaredError(FunctionMetric):
    """``mean((y_true - y_pred)**2)``."""

    function = losses.mean_squared_error
    default_name = "mean_squared_error"


@public("keras.metrics")
class MeanAbsoluteError(FunctionMetric):
    """``mean(|y_true - y_pred|)``."""

    function = losses.mean_absolute_error
    default_name = "mean_absolute_error"


@public("keras.metrics")
class MeanAbsolutePercentageError(FunctionMetric):
    """``100 * mean(|y_true - y_pred| / |y_true|)``."""

    function = losses.mean_absolute_percentage_error
    default_name = "mean_absolute_percentage_error"


@public("keras.metrics")
class MeanSquaredLogarithmicError(FunctionMetric):
    """``mean((log(y_true + 1) - log(y_pred + 1))**2)``."""

    function = losses.mean_squared_logarithmic_error
    default_name = "mean_squared_logarithmic_error"


@public("keras.metrics")
class LogCoshError(FunctionMetric):
    """``mean(log(cosh(y_pred - y_true)))``."""

    function = losses.log_cosh
    default_name = "logcosh"


@public("keras.metrics")
class RootMeanSquaredError(Mean):
    """``sqrt(mean((y_true - y_pred)**2))`` over all that was seen.

    Args:
        name: A name.
        dtype: Element type of the state.

    Example:
        >>> metric = keras.metrics.RootMeanSquaredError()
        >>> metric.update_state([0.0, 1.0], [3.0, 5.0])
    """

    _direction = "down"

    def __init__(self, name: str = "root_mean_squared_error", dtype: Any = None):
        super().__init__(name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take a batch into account."""
        pair = (cast(as_tensor(x), self.dtype) for x in (y_true, y_pred))
        truth, predicted = match_ranks(*pair)
        super().update_state(ops.square(predicted - truth), sample_weight)

    def result(self) -> Tensor:
        """The root of the mean so far."""
        return ops.sqrt(super().result())


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """The cosine of the angle between both: 1 for one direction, -1 for the opposite."""
    return -losses.cosine_similarity(y_true, y_pred, axis)


@public("keras.metrics")
class CosineSimilarity(MeanMetricWrapper):
    """The mean cosine of the angle between ``y_true`` and ``y_pred``.

    Args:
        name: A name.
        dtype: Element type of the state.
        axis: The axis of the vectors.
    """

    _direction = "up"

    def __init__(self, name: str = "cosine_similarity", dtype: Any = None, axis: int = -1):
        super().__init__(cosine_similarity, name, dtype, axis=axis)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if config["axis"] == -1:  # Keras does not write it down
            del config["axis"]
        return config


_AGGREGATIONS = (None, "uniform_average", "variance_weighted_average")


@public("keras.metrics")
class R2Score(Metric):
    """The share of the variance that is explained: 1 is perfect, 0 as good as the mean.

    Args:
        class_aggregation: How several outputs become one number: ``"uniform_average"``,
            ``"variance_weighted_average"``, or None for one number each.
        num_regressors: How many independent variables there were, for the adjusted score.
        name: A name.
        dtype: Element type of the state.

    Raises:
        ValueError: Another aggregation, a negative number, or tensors that are no matrices.
    """

    _direction = "up"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: Any = None,
    ):
        super().__init__(name=name, dtype=dtype)
        if class_aggregation not in _AGGREGATIONS:
            raise ValueError(
                "Invalid value for argument `class_aggregation`. Expected one of "
                f"{_AGGREGATIONS}. Received: class_aggregation={class_aggregation}"
            )
        if num_regressors < 0:
            raise ValueError(
                "Invalid value for argument `num_regressors`. Expected a value >= 0. "
                f"Received: num_regressors={num_regressors}"
            )
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.num_samples = self.add_variable((), name="num_samples")
        self.built = False

    def _build(self, truth: Tensor, predicted: Tensor) -> None:
        check_matrices("R2Score", truth, predicted)
        width = (predicted.shape[-1],)
        self.squared_sum = self.add_variable(width, name="squared_sum")
        self.sum = self.add_variable(width, name="sum")
        self.total_mse = self.add_variable(width, name="residual")
        self.count = self.add_variable(width, name="count")
        self.built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch into account."""
        pair = (cast(as_tensor(x), self.dtype) for x in (y_true, y_pred))
        truth, predicted = match_ranks(*pair)
        if not self.built:
            self._build(truth, predicted)
        weight = cast(as_tensor(1 if sample_weight is None else sample_weight), self.dtype)
        weight = ops.expand_dims(weight, 1) if weight.ndim == 1 else weight
        weight = ops.broadcast_to(weight, truth.dims)
        weighted = truth * weight
        self.sum.assign_add(ops.sum(weighted, axis=0))
        self.squared_sum.assign_add(ops.sum(truth * weighted, axis=0))
        self.total_mse.assign_add(ops.sum(ops.square(truth - predicted) * weight, axis=0))
        self.count.assign_add(ops.sum(weight, axis=0))
        self.num_samples.assign_add(ops.cast(ops.size(truth), self.dtype))

    def result(self) -> Tensor:
        """The score so far."""
        total = self.squared_sum - self.sum * (self.sum / self.count)
        scores = 1 - self.total_mse / total
        scores = ops.where(ops.isinf(scores), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            score = ops.mean(scores)
        elif self.class_aggregation == "variance_weighted_average":
            score = ops.sum(total * scores) / ops.sum(total)
        else:
            score = scores
        if not self.num_regressors:
            return score
        # With as many variables as samples there is no adjusted score: the plain one stands.
        free = self.num_samples - float(self.num_regressors) - 1.0
        safe = ops.where(free > 0, free, 1.0)
        adjusted = 1.0 - (1.0 - score) * (self.num_samples - 1.0) / safe
        return ops.where(free > 0, adjusted, score)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "class_aggregation": self.class_aggregation,
            "num_regressors": self.num_regressors,
        }


def check_matrices(metric: str, truth: Tensor, predicted: Tensor) -> None:
    """Refuse what is no matrix with a known number of columns.

    Raises:
        ValueError: It is not.
    """
    shapes = (
        f"Received input shapes: y_pred.shape={predicted.shape} and y_true.shape={truth.shape}."
    )
    if predicted.ndim != 2 or truth.ndim != 2:
        raise ValueError(
            f"{metric} expects 2D inputs with shape (batch_size, output_dim). {shapes}"
        )
    if predicted.shape[-1] is None or truth.shape[-1] is None:
        raise ValueError(
            f"{metric} expects 2D inputs with shape (batch_size, output_dim), with output_dim "
            f"fully defined (not None). {shapes}"
        )


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """The correlation of both along an axis, from -1 to 1."""
    truth, predicted = _standardized(y_true, y_pred, axis)
    return ops.mean(truth * predicted, axis=axis)


def _standardized(y_true: Any, y_pred: Any, axis: int) -> list[Tensor]:
    """Both with mean 0 and deviation 1 along an axis."""
    predicted = as_tensor(y_pred)
    pair = match_ranks(cast(as_tensor(y_true), predicted.dtype), predicted)
    parts = []
    for x in pair:
        centred = x - ops.mean(x, axis=axis, keepdims=True)
        parts.append(centred / ops.std(x, axis=axis, keepdims=True))
    return parts


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """The correlation, less what the means and the deviations differ by."""
    predicted = as_tensor(y_pred)
    truth, predicted = match_ranks(cast(as_tensor(y_true), predicted.dtype), predicted)
    means = [ops.mean(x, axis=axis, keepdims=True) for x in (truth, predicted)]
    variances = [ops.var(x, axis=axis) for x in (truth, predicted)]
    covariance = ops.mean((truth - means[0]) * (predicted - means[1]), axis=axis)
    distance = ops.squeeze(ops.square(means[0] - means[1]), axis)
    return 2 * covariance / (variances[0] + variances[1] + distance)


class _Correlation(MeanMetricWrapper):
    """A mean of correlations."""

    _direction = "up"


@public("keras.metrics")
class PearsonCorrelation(_Correlation):
    """The mean correlation along an axis.

    Args:
        name: A name.
        dtype: Element type of the state.
        axis: The axis.
    """

    def __init__(self, name: str = "pearson_correlation", dtype: Any = None, axis: int = -1):
        super().__init__(pearson_correlation, name, dtype, axis=axis)


@public("keras.metrics")
class ConcordanceCorrelation(_Correlation):
    """The mean concordance correlation along an axis: Lin 1989.

    Args:
        name: A name.
        dtype: Element type of the state.
        axis: The axis.
    """

    def __init__(self, name: str = "concordance_correlation", dtype: Any = None, axis: int = -1):
        super().__init__(concordance_correlation, name, dtype, axis=axis)
