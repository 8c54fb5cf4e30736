"""The base of losses, and how losses of single examples become one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.config import config
from graphc.eager import Tensor, as_tensor, cast, size_tensor
from graphc.eager.promotion import standard_dtype
from graphc.ir import dims
from graphc.keras import ops, tree
from graphc.keras.engine.naming import automatic_name
from graphc.keras.ops.recording import composed
from graphc.keras.saving.registry import (
    deserialize_keras_object,
    public,
    serialize_keras_object,
)

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


class Loss:
    """What training makes small.

    Subclasses define ``call(self, y_true, y_pred)``, which returns a loss for each example (one
    number per row, or per row and step); the class weighs and reduces them.

    Args:
        name: Its name; made up if left out.
        reduction: ``"sum_over_batch_size"`` or ``"mean"`` (sum divided by how many there are),
            ``"mean_with_sample_weight"`` (divided by the sum of weights), ``"sum"``, or ``"none"``.
        dtype: Element type in which it is computed; by default `floatx`.

    Raises:
        ValueError: Another reduction.

    Example:
        >>> class Cubic(keras.losses.Loss):
        ...     def call(self, y_true, y_pred):
        ...         return keras.ops.mean(keras.ops.abs(y_true - y_pred) ** 3, axis=-1)
    """

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ):
        self.name = name or automatic_name(type(self))
        self.reduction = checked_reduction(reduction)
        self.dtype = standard_dtype(getattr(dtype, "compute_dtype", dtype))

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """The reduced loss.

        Args:
            y_true: What is right: a tensor or a structure of them.
            y_pred: What was predicted. Where it has a mask, masked places do not count.
            sample_weight: How much each example counts: one number per loss, or fewer axes.
        """
        masks = [getattr(leaf, "mask", None) for leaf in tree.flatten(y_pred)]
        y_true, y_pred = (_tensors(structure, self.dtype) for structure in (y_true, y_pred))
        losses = self.call(y_true, y_pred)
        masks = [mask for mask in (*masks[:1], getattr(losses, "mask", None)) if mask is not None]
        mask = ops.logical_and(*masks) if len(masks) == 2 else next(iter(masks), None)
        return reduce_weighted_values(losses, sample_weight, mask, self.reduction, self.dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each example."""
        raise NotImplementedError(
            f"The loss {type(self).__name__} has to define call(self, y_true, y_pred)"
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments from which another such loss can be made."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A loss from what `get_config` returned."""
        return cls(**config)


@public("keras.losses")
class LossFunctionWrapper(Loss):
    """A loss made of a function.

    Args:
        fn: Maps ``y_true`` and ``y_pred`` to the loss of each example.
        reduction: See `Loss`.
        name: Its name.
        dtype: See `Loss`.
        **kwargs: Further arguments of the function.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.fn = fn
        self.fn_kwargs = kwargs

    def call(self, y_true: Any, y_pred: Any) -> Any:
        if isinstance(y_true, Tensor) and isinstance(y_pred, Tensor):
            y_true, y_pred = same_rank(y_true, y_pred)
        loss = self.fn(y_true, y_pred, **self.fn_kwargs)
        if loss is None:
            raise ValueError(
                f'the loss function "{self.name}" returned None; is there a `return` missing?'
            )
        return loss

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "fn": serialize_keras_object(self.fn),
            **serialize_keras_object(self.fn_kwargs),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**deserialize_keras_object(config) if "fn" in config else config)

    def __repr__(self) -> str:
        return f"<LossFunctionWrapper({self.fn}, kwargs={self.fn_kwargs})>"


def _tensors(structure: Any, dtype: str) -> Any:
    """A structure of tensors of one type; lists of plain numbers are tensors, not structures."""
    if all(isinstance(leaf, (int, float, np.generic)) for leaf in tree.flatten(structure)):
        structure = as_tensor(structure)
    return tree.map_structure(lambda leaf: cast(as_tensor(leaf), dtype), structure)


def checked_reduction(reduction: str | None) -> str | None:
    """A reduction that there is; Keras 2's ``"auto"`` is the default one.

    Raises:
        ValueError: There is no such reduction.
    """
    if reduction == "auto":
        return "sum_over_batch_size"
    if reduction not in REDUCTIONS:
        raise ValueError(
            "Invalid value for argument `reduction`. Expected one of "
            f"{', '.join(map(repr, REDUCTIONS))}. Received: reduction={reduction}"
        )
    return reduction


def same_rank(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Two tensors with as many axes, where one has a last axis of size 1 more than the other.

    Against a vector the vector gets such an axis; else it is taken away.
    """
    if x.ndim == y.ndim + 1 and x.dims[-1] == 1:
        return (x, ops.expand_dims(y, -1)) if y.ndim == 1 else (ops.squeeze(x, -1), y)
    if y.ndim == x.ndim + 1 and y.dims[-1] == 1:
        return (ops.expand_dims(x, -1), y) if x.ndim == 1 else (x, ops.squeeze(y, -1))
    return x, y


def count_of(x: Tensor) -> Tensor:
    """The number of elements as a scalar of the same type."""
    return size_tensor(dims.product(x.dims), x.dtype)


def divide_or_zero(total: Tensor, count: Tensor) -> Tensor:
    """``total / count``, and 0 for a count of 0."""
    if not count.is_symbolic:
        return total / count if float(count) else total * 0.0
    return ops.divide_no_nan(total, count)


def reduce_values(
    values: Tensor,
    sample_weight: Tensor | None = None,
    reduction: str | None = "sum_over_batch_size",
) -> Tensor:
    """Weighted losses as one number.

    Args:
        values: The losses, weights in them.
        sample_weight: The weights, if the reduction divides by them.
        reduction: One of `REDUCTIONS`.
    """
    if reduction in (None, "none") or values.dims in ((), (0,)):
        return values
    total = ops.sum(values)
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and sample_weight is not None:
        return divide_or_zero(total, cast(ops.sum(sample_weight), total.dtype))
    return divide_or_zero(total, cast(count_of(values), total.dtype))


@composed
def reduce_weighted_values(
    values: Any,
    sample_weight: Any = None,
    mask: Any = None,
    reduction: str | None = "sum_over_batch_size",
    dtype: str | None = None,
) -> Tensor:
    """Losses, weighed and masked, as one number.

    Args:
        values: The losses.
        sample_weight: How much each counts.
        mask: Which of them count at all; a mean is taken over those only.
        reduction: One of `REDUCTIONS`.
        dtype: Element type in which it is computed.
    """
    reduction = checked_reduction(reduction)
    losses = cast(as_tensor(values), dtype or config.floatx)
    weight = None if sample_weight is None else cast(as_tensor(sample_weight), losses.dtype)
    weight = apply_mask(weight, mask, losses.dtype, reduction)
    if weight is not None:
        losses, weight = same_rank(losses, weight)
        losses = losses * _spread(weight, losses)
    return reduce_values(losses, weight, reduction)


def _spread(weight: Tensor, losses: Tensor) -> Tensor:
    """A weight per row shaped to meet losses per row and step."""
    missing = losses.ndim - weight.ndim
    if weight.ndim and missing > 0 and weight.dims == losses.dims[: weight.ndim]:
        return ops.reshape(weight, (*weight.dims, *[1] * missing))
    return weight


def apply_mask(
    sample_weight: Tensor | None, mask: Any, dtype: str, reduction: str | None
) -> Tensor | None:
    """Weights in which masked places are 0.

    For a mean the others are made larger, so that dividing by the number of all places gives the
    mean over those that count.
    """
    if mask is None:
        return sample_weight
    keep = cast(as_tensor(mask), dtype)
    if reduction in ("mean", "sum_over_batch_size"):
        keep = keep * divide_or_zero(count_of(keep), ops.sum(keep))
    if sample_weight is None:
        return keep
    keep, weight = same_rank(keep, sample_weight)
    return _spread(weight, keep) * keep
