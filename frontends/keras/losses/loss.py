"""The base class of losses, and how values become one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.config import config
from graphc.eager.promotion import standard_dtype
from graphc.eager.tensor import Tensor, apply, as_tensor, cast
from graphc.keras import ops, tree
from graphc.keras.engine.naming import automatic_name
from graphc.keras.metrics.reduction import match_ranks
from graphc.keras.saving.registry import (
    deserialize_keras_object,
    public,
    serialize_keras_object,
)
from graphc.ops.movement import Size

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


@public("keras.losses")
class Loss:
    """How far predictions are from targets (https://keras.io/api/losses/).

    Subclasses define ``call(y_true, y_pred)``, which returns one value per sample.

    Args:
        name: A name; made up from the class if left out.
        reduction: How values become one number: ``"sum_over_batch_size"`` (their mean, also with
            sample weights), ``"mean"`` (the same), ``"sum"``, ``"mean_with_sample_weight"`` (the
            weighted mean), or ``"none"`` for all of them.
        dtype: Element type of the computation; `floatx` by default.

    Raises:
        ValueError: An unknown reduction.
    """

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ):
        if reduction not in REDUCTIONS:
            raise ValueError(
                "Invalid value for argument `reduction`. Expected one of "
                f"{', '.join(map(repr, REDUCTIONS))}. Received: reduction={reduction}"
            )
        self.name = name or automatic_name(type(self))
        self.reduction = reduction
        self._dtype = standard_dtype(getattr(dtype, "name", dtype) or config.floatx)

    @property
    def dtype(self) -> str:
        """The element type of the computation."""
        return self._dtype

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One value per sample; to be defined by subclasses."""
        raise NotImplementedError(f"{type(self).__name__} has to define call(self, y_true, y_pred)")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """The loss of a batch.

        Args:
            y_true: Targets, or a structure of them.
            y_pred: Predictions; a mask on them excludes steps.
            sample_weight: A weight per sample, or per value.

        Returns:
            A scalar, or all values with the reduction ``"none"``.
        """
        given = getattr(y_pred, "mask", None)
        y_pred = tree.map_structure(lambda x: cast(x, self.dtype), y_pred)
        y_true = tree.map_structure(lambda x: cast(x, self.dtype), y_true)
        values = as_tensor(self.call(y_true, y_pred))
        masks = [mask for mask in (given, values.mask) if mask is not None]
        mask = masks[0] if masks else None
        if len(masks) == 2:
            mask = ops.logical_and(*masks)
        return reduce_weighted(values, sample_weight, mask, self.reduction, self.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The loss that `get_config` described."""
        return cls(**config)


@public("keras.losses")
class LossFunctionWrapper(Loss):
    """A function ``(y_true, y_pred) -> values`` as a loss.

    Args:
        fn: The function.
        reduction: See `Loss`.
        name: A name; that of the function if left out.
        dtype: Element type of the computation.
        **kwargs: Passed to the function.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ):
        super().__init__(name or getattr(fn, "__name__", None), reduction, dtype)
        self.fn = fn
        self._fn_kwargs = kwargs

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The function's values."""
        if isinstance(y_true, Tensor) and isinstance(y_pred, Tensor):
            y_true, y_pred = match_ranks(y_true, y_pred)
        return self.fn(y_true, y_pred, **self._fn_kwargs)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor; subclasses with a fixed function leave it out."""
        config = super().get_config()
        if type(self) is LossFunctionWrapper:
            config["fn"] = serialize_keras_object(self.fn)
        return {**config, **self._fn_kwargs}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The loss that `get_config` described."""
        if "fn" in config:
            config = {**config, "fn": deserialize_keras_object(config["fn"])}
        return cls(**config)


def element_count(x: Tensor, dtype: str) -> Tensor:
    """The number of elements as a scalar."""
    return apply(Size(tuple(range(x.ndim)), dtype), x)


def reduce_weighted(
    values: Tensor, sample_weight: Any, mask: Any, reduction: str | None, dtype: str
) -> Tensor:
    """Weigh values and make them one number, as Keras does it.

    Args:
        values: One per sample, or more.
        sample_weight: Weights; None without.
        mask: Which values count; None for all. In a mean only those that count are counted.
        reduction: See `Loss`.
        dtype: Element type of the result.
    """
    values = cast(values, dtype)
    weight = _masked_weight(sample_weight, mask, values.dtype, reduction)
    if weight is not None:
        values, weight = match_ranks(values, weight)
        values = values * weight
    if reduction in (None, "none") or values.ndim == 0:
        return values
    total = ops.sum(values)
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and weight is not None:
        spread = ops.broadcast_to(weight, values.dims)
        return ops.divide_no_nan(total, ops.sum(spread))
    return ops.divide_no_nan(total, element_count(values, values.dtype))


def _masked_weight(
    sample_weight: Any, mask: Any, dtype: str, reduction: str | None
) -> Tensor | None:
    if sample_weight is not None:
        sample_weight = cast(as_tensor(sample_weight), dtype)
    if mask is None:
        return sample_weight
    weight = cast(as_tensor(mask), dtype)
    if reduction in ("mean", "sum_over_batch_size"):
        # A mean divides by all values: those that count stand in for those that do not.
        share = ops.divide_no_nan(element_count(weight, dtype), ops.sum(weight))
        weight = ops.where(cast(mask, "bool"), share, 0.0)
    if sample_weight is None:
        return weight
    weight, sample_weight = match_ranks(weight, sample_weight)
    return sample_weight * weight
