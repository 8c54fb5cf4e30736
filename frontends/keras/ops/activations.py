"""Activation functions: https://keras.io/api/ops/nn/."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from graphc.eager import Tensor, apply, apply_function, as_tensor, cast
from graphc.errors import ShapeError
from graphc.ir import Op, Value, is_complex, is_inexact
from graphc.keras.ops import elementwise as math_ops
from graphc.keras.ops.arguments import (
    float_tensor,
    many_axes,
    one_axis,
    refuse_complex,
    reshaped,
)
from graphc.keras.ops.elementwise import maximum, where
from graphc.keras.ops.movement import split, transpose
from graphc.keras.ops.recording import operation
from graphc.keras.ops.sorting import sort
from graphc.ops import activation as graph_ops
from graphc.ops.elementwise import Relu, Sigmoid
from graphc.ops.nn import LogSoftmax, Softmax

__all__ = [
    "celu", "elu", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish",
    "hard_tanh", "leaky_relu", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu",
    "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus",
    "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh_shrink", "threshold",
]  # fmt: skip


def _apply(op: Op, x: Any) -> Tensor:
    return apply(op, float_tensor(x))


def _map(function: Callable[[Value], Value], x: Any) -> Tensor:
    return apply_function(function, float_tensor(x))


# ------------------------------------------------------------------------------------ activations


@operation
def relu(x: Any) -> Tensor:
    """``max(x, 0)``."""
    tensor = as_tensor(x)
    return apply(Relu(), tensor if is_inexact(tensor.dtype) else _signed(tensor))


def _signed(x: Tensor) -> Tensor:
    return cast(x, "int32") if x.dtype.startswith(("uint", "bool")) else x


@operation
def relu6(x: Any) -> Tensor:
    """``x`` limited to [0, 6]."""
    return _apply(graph_ops.Relu6(), x)


@operation
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Tensor:
    """``x`` if not negative, else ``negative_slope * x``."""
    return _apply(graph_ops.LeakyRelu(float(negative_slope)), x)


@operation
def sigmoid(x: Any) -> Tensor:
    """``1 / (1 + exp(-x))``."""
    return _apply(Sigmoid(), x)


@operation
def log_sigmoid(x: Any) -> Tensor:
    """``log(sigmoid(x))``, exact where that is close to 0."""
    return _apply(graph_ops.LogSigmoid(), x)


@operation
def hard_sigmoid(x: Any) -> Tensor:
    """``relu6(x + 3) / 6``."""
    return _apply(graph_ops.HardSigmoid(), x)


@operation
def sparse_sigmoid(x: Any) -> Tensor:
    """0 up to -1, 1 from 1 on, and a line between."""
    tensor = float_tensor(x)
    refuse_complex(tensor, "sparse_sigmoid")
    return _map(graph_ops.sparse_sigmoid, tensor)


@operation
def silu(x: Any) -> Tensor:
    """``x * sigmoid(x)``, also called swish."""
    return _apply(graph_ops.Silu(), x)


swish = silu


@operation
def hard_silu(x: Any) -> Tensor:
    """``x * hard_sigmoid(x)``."""
    return _apply(graph_ops.HardSwish(), x)


hard_swish = hard_silu


@operation
def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """``x`` if positive, else ``alpha * (exp(x) - 1)``."""
    return _apply(graph_ops.Elu(float(alpha)), x)


@operation
def selu(x: Any) -> Tensor:
    """`elu` scaled so that mean 0 and variance 1 are kept."""
    return _apply(graph_ops.Selu(), x)


@operation
def celu(x: Any, alpha: float = 1.0) -> Tensor:
    """``x`` if positive, else ``alpha * (exp(x / alpha) - 1)``."""
    return _apply(graph_ops.Celu(float(alpha)), x)


@operation
def gelu(x: Any, approximate: bool = True) -> Tensor:
    """``x`` times the probability that a standard normal number is below it.

    Args:
        x: A tensor.
        approximate: Whether to use the formula with a hyperbolic tangent.
    """
    return _apply(graph_ops.Gelu(bool(approximate)), x)


@operation
def mish(x: Any) -> Tensor:
    """``x * tanh(softplus(x))``."""
    return _apply(graph_ops.Mish(), x)


@operation
def softplus(x: Any) -> Tensor:
    """``log(1 + exp(x))``."""
    return _apply(graph_ops.Softplus(), x)


@operation
def softsign(x: Any) -> Tensor:
    """``x / (1 + |x|)``."""
    tensor = float_tensor(x)
    if is_complex(tensor.dtype):
        return tensor / (math_ops.absolute(tensor) + 1.0)
    return apply(graph_ops.Softsign(), tensor)


@operation
def squareplus(x: Any, b: float = 4) -> Tensor:
    """``(x + sqrt(x * x + b)) / 2``."""
    return _map(lambda value: graph_ops.squareplus(value, float(b)), x)


@operation
def sparse_plus(x: Any) -> Tensor:
    """0 up to -1, ``x`` from 1 on, and a parabola between."""
    return _map(graph_ops.sparse_plus, x)


@operation
def hard_tanh(x: Any) -> Tensor:
    """``x`` limited to [-1, 1]."""
    return _apply(graph_ops.HardTanh(), x)


@operation
def tanh_shrink(x: Any) -> Tensor:
    """``x - tanh(x)``."""
    return _map(graph_ops.tanh_shrink, x)


@operation
def hard_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """``x`` where it is farther from 0 than the threshold, else 0."""
    return _map(lambda value: graph_ops.hard_shrink(value, float(threshold)), x)


@operation
def soft_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """``x`` moved towards 0 by the threshold, and no farther than to 0."""
    return _map(lambda value: graph_ops.soft_shrink(value, float(threshold)), x)


@operation
def threshold(x: Any, threshold: float, default_value: float) -> Tensor:
    """``x`` where it is above the threshold, else the default."""
    return _map(lambda value: graph_ops.threshold(value, float(threshold), float(default_value)), x)


@operation
def glu(x: Any, axis: int = -1) -> Tensor:
    """The first half of ``x`` along an axis times the sigmoid of the second half."""
    tensor = float_tensor(x)
    place = one_axis(axis, tensor.ndim, "glu")
    first, second = split(tensor, 2, place)
    return first * sigmoid(second)


def _softmax(kind: type[Softmax] | type[LogSoftmax], x: Any, axis: Any, function: str) -> Tensor:
    tensor = float_tensor(x)
    if not isinstance(axis, (list, tuple)):
        return apply(kind(one_axis(axis, tensor.ndim, function)), tensor)
    # Several axes are brought to the end and taken as one.
    axes = many_axes(axis, tensor.ndim, function)
    order = [a for a in range(tensor.ndim) if a not in axes] + list(axes)
    moved = transpose(tensor, order)
    kept = tensor.ndim - len(axes)
    size: Any = 1
    for dim in moved.dims[kept:]:
        size = size * dim
    flat = apply(kind(kept), reshaped(moved, (*moved.dims[:kept], size)))
    back = sorted(range(tensor.ndim), key=order.__getitem__)
    return transpose(reshaped(flat, moved.dims), back)


@operation
def softmax(x: Any, axis: Any = -1) -> Tensor:
    """``exp(x)`` divided by its sum along the axis (or axes)."""
    tensor = float_tensor(x)
    if isinstance(axis, int) and -tensor.ndim <= axis < tensor.ndim and tensor.dims[axis] == 1:
        warnings.warn(
            f"You are using a softmax over axis {axis} of a tensor of shape {tensor.shape}. This "
            "axis has size 1. The softmax operation will always return the value 1, which is "
            "likely not what you intended. Did you mean to use a sigmoid instead?"
        )
    return _softmax(Softmax, tensor, axis, "softmax")


@operation
def log_softmax(x: Any, axis: Any = -1) -> Tensor:
    """The logarithm of the softmax, exact where that is close to 0."""
    return _softmax(LogSoftmax, x, axis, "log_softmax")


@operation
def sparsemax(x: Any, axis: int = -1) -> Tensor:
    """The nearest probabilities to ``x``: like a softmax that can be exactly 0.

    Martins & Astudillo 2016, https://arxiv.org/abs/1602.02068.
    """
    tensor = float_tensor(x)
    refuse_complex(tensor, "sparsemax")
    place = one_axis(axis, tensor.ndim, "sparsemax")
    ordered = math_ops.negative(sort(math_ops.negative(tensor), place))
    size = tensor.dims[place]
    if not isinstance(size, int):
        raise ShapeError(f"sparsemax: the size of axis {place} has to be known: {tensor.shape}")
    # The level of the first k elements, for the largest k whose last one is still above it.
    total = tau = None
    for count, part in enumerate(split(ordered, size, place), start=1):
        total = part if total is None else total + part
        level = (total - 1.0) / float(count)
        tau = level if tau is None else where(part > level, level, tau)
    return maximum(tensor - tau, 0.0)
