"""Conversions, shapes and the limits of gradients: https://keras.io/api/ops/core/."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.eager import Tensor, apply, as_tensor, size_tensor
from graphc.eager import cast as eager_cast
from graphc.eager.custom import custom_gradient
from graphc.ir.dims import Dim, SymbolicDim
from graphc.keras.ops.arguments import resolved_dtype
from graphc.keras.ops.movement import stack
from graphc.keras.ops.recording import operation
from graphc.ops.barrier import StopGradient

__all__ = [
    "cast", "convert_to_numpy", "convert_to_tensor", "copy", "custom_gradient", "dtype",
    "is_tensor", "ndim", "shape", "size", "stop_gradient",
]  # fmt: skip


@operation
def convert_to_tensor(x: Any, dtype: Any = None, sparse: Any = None, ragged: Any = None) -> Tensor:
    """Anything array-like as a tensor.

    Args:
        x: A tensor, a variable, an array, numbers, a list of them.
        dtype: Element type; by default that of ``x``, and `floatx` for Python floats.
        sparse: Ignored but for True, since there are no sparse tensors here.
        ragged: The same.

    Raises:
        ValueError: A sparse or ragged tensor is asked for.
        DTypeError: ``x`` holds something that is no number.

    Example:
        >>> keras.ops.convert_to_tensor([1, 2, 3])
    """
    if sparse or ragged:
        raise ValueError("convert_to_tensor: there are no sparse or ragged tensors here")
    kind = None if dtype is None else resolved_dtype(dtype)
    if isinstance(x, SymbolicDim):
        return size_tensor(x, kind or "int32")
    if isinstance(x, (list, tuple)) and any(isinstance(item, Tensor) for item in x):
        return _stacked(x, kind)
    return as_tensor(x, kind)


def _stacked(items: Any, dtype: str | None) -> Tensor:
    tensors = [convert_to_tensor(item) for item in items]
    tensor = stack(tensors)
    return tensor if dtype is None else eager_cast(tensor, dtype)


def convert_to_numpy(x: Any) -> np.ndarray:
    """A tensor's elements as a NumPy array that may be changed."""
    return np.array(x)


def is_tensor(x: Any) -> bool:
    """Whether it is a tensor (a variable is none)."""
    return isinstance(x, Tensor) or getattr(x, "records_operations", False)


def shape(x: Any) -> tuple[Dim | None, ...]:
    """The sizes of a tensor.

    In a program that is being traced a size may be symbolic: it can be given to ``reshape``,
    ``zeros`` and the like, and becomes a tensor by ``convert_to_tensor``. Sizes of a functional
    model's placeholder that are not known yet are None.
    """
    if getattr(x, "records_operations", False):
        return x.shape
    return as_tensor(x).dims


def ndim(x: Any) -> int:
    """The number of axes."""
    return x.ndim if hasattr(x, "ndim") else as_tensor(x).ndim


@operation
def size(x: Any) -> Any:
    """The number of elements: an integer, or a scalar tensor where it is not known yet."""
    tensor = as_tensor(x)
    count: Dim = 1
    for dim in tensor.dims:
        count = count * dim
    return count if isinstance(count, int) else size_tensor(count, "int32")


def dtype(x: Any) -> str:
    """The element type of a tensor, as a string."""
    return x.dtype if isinstance(getattr(x, "dtype", None), str) else as_tensor(x).dtype


@operation
def cast(x: Any, dtype: Any) -> Tensor:
    """The elements converted to another type.

    Example:
        >>> keras.ops.cast([1, 2], "float16")
    """
    return eager_cast(as_tensor(x), resolved_dtype(dtype))


@operation
def copy(x: Any) -> Tensor:
    """A tensor with the same elements; tensors never change, so it may be the same one."""
    return as_tensor(x)


@operation
def stop_gradient(variable: Any) -> Tensor:
    """The tensor itself, through which no gradient passes."""
    tensor = as_tensor(variable)
    return apply(StopGradient(), tensor) if tensor.is_symbolic else tensor
