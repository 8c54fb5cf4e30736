"""Sums and means over batches (https://keras.io/api/metrics/reduction_metrics/)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.eager.tensor import Tensor, apply, as_tensor, cast
from graphc.keras import ops
from graphc.keras.metrics.metric import Metric
from graphc.keras.saving.registry import (
    deserialize_keras_object,
    public,
    serialize_keras_object,
)
from graphc.ops.movement import Size


def match_ranks(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Drop or add a last axis of size 1 where the two differ by just that."""
    if x.ndim == y.ndim + 1 and x.shape[-1] == 1:
        return (x, y[..., None]) if y.ndim == 1 else (x[..., 0], y)
    if y.ndim == x.ndim + 1 and y.shape[-1] == 1:
        return (x[..., None], y) if x.ndim == 1 else (x, y[..., 0])
    return x, y


def samplewise(
    values: Any, sample_weight: Any, reduce: Callable[..., Tensor], dtype: str
) -> tuple[Tensor, Tensor | None]:
    """One value per sample, weighted, and one weight per sample.

    Args:
        values: Values with the batch's axis first; a mask on them counts as weights.
        sample_weight: Weights of the same or a lower rank; None without.
        reduce: Takes a tensor and ``axis``: how the other axes become one value.
        dtype: Element type of both results.

    Returns:
        The values, and the weights (None without).
    """
    values = as_tensor(values)
    mask = values.mask
    values = cast(values, dtype)
    weight = None if sample_weight is None else cast(as_tensor(sample_weight), dtype)
    if mask is not None and weight is not None:
        weight, matched = match_ranks(weight, cast(mask, dtype))
        weight = weight * matched
    if weight is not None:
        values, weight = match_ranks(values, weight)
        if values.ndim > weight.ndim:
            values = reduce(values, axis=list(range(weight.ndim, values.ndim)))
        rank = weight.ndim
        weight = ops.broadcast_to(weight, values.dims)
        values = values * weight
        if rank > 1:
            weight = reduce(weight, axis=list(range(1, rank)))
    if values.ndim > 1:
        values = reduce(values, axis=list(range(1, values.ndim)))
    return values, weight


@public("keras.metrics")
class Sum(Metric):
    """The (weighted) sum of all values.

    Args:
        name: A name.
        dtype: Element type of the state.
    """

    def __init__(self, name: str = "sum", dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros", name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add values."""
        values, _ = samplewise(values, sample_weight, ops.sum, self.dtype)
        self.total.assign_add(ops.sum(values))

    def result(self) -> Tensor:
        """The sum so far."""
        return cast(self.total, self.dtype)


@public("keras.metrics")
class Mean(Metric):
    """The (weighted) mean of all values.

    Args:
        name: A name.
        dtype: Element type of the state.

    Example:
        >>> metric = Mean()
        >>> metric.update_state([1.0, 3.0, 5.0, 7.0])
        >>> float(metric.result())
        4.0
    """

    def __init__(self, name: str = "mean", dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take values into account."""
        values, weight = samplewise(values, sample_weight, ops.mean, self.dtype)
        self.total.assign_add(ops.sum(values))
        if weight is not None:
            self.count.assign_add(ops.sum(weight))
        elif values.ndim == 0:
            self.count.assign_add(1)
        else:
            self.count.assign_add(apply(Size((0,), self.dtype), values))

    def result(self) -> Tensor:
        """The mean so far; 0 without values."""
        return ops.divide_no_nan(self.total.as_tensor(), self.count.as_tensor())


@public("keras.metrics")
class MeanMetricWrapper(Mean):
    """The mean of a function ``(y_true, y_pred) -> values``.

    Args:
        fn: The function.
        name: A name; that of the function if left out.
        dtype: Element type of the state.
        **kwargs: Passed to the function.
    """

    def __init__(self, fn: Any, name: str | None = None, dtype: Any = None, **kwargs: Any):
        super().__init__(name=str(name or getattr(fn, "__name__", "metric")), dtype=dtype)
        self._fn = fn
        self._fn_kwargs = kwargs

    def update_state(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Take a batch into account.

        Args:
            y_true: Targets.
            y_pred: Predictions; a mask on them excludes values.
            sample_weight: Weights.
        """
        y_pred = as_tensor(y_pred)
        values = as_tensor(self._fn(as_tensor(y_true), y_pred, **self._fn_kwargs))
        mask = y_pred.mask
        if sample_weight is not None and mask is not None:
            weight, matched = match_ranks(as_tensor(sample_weight), cast(mask, self.dtype))
            sample_weight = weight * matched
        elif mask is not None:
            sample_weight = mask
        super().update_state(values, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor; subclasses with a fixed function leave it out."""
        config = {"name": self.name, "dtype": self.dtype}
        if type(self) is MeanMetricWrapper:
            config["fn"] = serialize_keras_object(self._fn)
        return {**config, **self._fn_kwargs}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The metric that `get_config` described."""
        if "fn" in config:
            config = {**config, "fn": deserialize_keras_object(config["fn"])}
        return cls(**config)
