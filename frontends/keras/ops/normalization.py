"""Normalizations and moments: https://keras.io/api/ops/nn/."""

from __future__ import annotations

import warnings
from typing import Any

from graphc.config import config
from graphc.eager import Tensor, apply, as_tensor, cast
from graphc.eager.promotion import promote
from graphc.errors import ShapeError
from graphc.ir.dims import Dim
from graphc.keras.ops.arguments import filled_tensor, float_tensor, many_axes, one_axis, reshaped
from graphc.keras.ops.elementwise import clip, maximum, minimum, rsqrt
from graphc.keras.ops.linalg import norm
from graphc.keras.ops.movement import squeeze
from graphc.keras.ops.recording import operation
from graphc.keras.ops.reduction import mean
from graphc.keras.ops.reduction import sum as reduce_sum
from graphc.ops.nn import BatchNormalization, LayerNormalization

__all__ = [
    "batch_normalization", "layer_normalization", "moments", "normalize", "rms_normalization",
]  # fmt: skip


@operation
def normalize(x: Any, axis: Any = -1, order: int = 2, epsilon: float | None = None) -> Tensor:
    """``x`` divided by its norm along the axis.

    Args:
        x: A tensor.
        axis: The axis of the vectors.
        order: Which norm.
        epsilon: The least norm that is divided by; by default `keras.config.epsilon()`.

    Raises:
        ValueError: An order below 1.
    """
    if not isinstance(order, int) or order < 1:
        raise ValueError(f"Argument `order` must be an int >= 1. Received: order={order}")
    tensor = float_tensor(x)
    tensor = reshaped(tensor, (1,)) if tensor.ndim == 0 else tensor
    least = config.epsilon if epsilon is None else epsilon
    if order == 2:
        squares = reduce_sum(tensor * tensor, axis, keepdims=True)
        return tensor * minimum(rsqrt(squares), 1.0 / least)
    return tensor / maximum(norm(tensor, order, axis, keepdims=True), least)


@operation
def moments(
    x: Any, axes: Any, keepdims: bool = False, synchronized: bool = False
) -> tuple[Tensor, Tensor]:
    """Mean and variance along axes; of half-precision numbers in float32.

    Args:
        x: A tensor.
        axes: The axes.
        keepdims: Whether reduced axes stay, with size 1.
        synchronized: Only False: there are no replicas here.

    Raises:
        ValueError: ``synchronized`` is True.
    """
    if synchronized:
        raise ValueError("moments: there are no replicas to synchronize; use synchronized=False")
    tensor = float_tensor(x)
    wide = cast(tensor, "float32") if tensor.dtype in ("float16", "bfloat16") else tensor
    centre = mean(wide, axes, keepdims=True)
    distance = wide - centre
    variance = mean(distance * distance, axes, keepdims)
    centre = centre if keepdims else squeeze(centre, axes)
    if wide is tensor:
        return centre, variance
    limit = 65504.0
    return (
        cast(clip(centre, -limit, limit), tensor.dtype),
        cast(clip(variance, -limit, limit), tensor.dtype),
    )


@operation
def rms_normalization(
    x: Any, scale: Any = None, axis: Any = -1, epsilon: float | None = None
) -> Tensor:
    """``x`` divided by the root of its mean square along the axes, times ``scale``."""
    tensor = float_tensor(x)
    small = config.epsilon if epsilon is None else epsilon
    inverse = rsqrt(mean(tensor * tensor, axis, keepdims=True) + small)
    return tensor * inverse if scale is None else tensor * inverse * as_tensor(scale)


@operation
def batch_normalization(
    x: Any,
    mean: Any,
    variance: Any,
    axis: int,
    offset: Any = None,
    scale: Any = None,
    epsilon: float = 1e-3,
) -> Tensor:
    """``x`` with given statistics taken out: ``(x - mean) / sqrt(variance + epsilon)``.

    Args:
        x: A tensor.
        mean: One number for each place along the axis.
        variance: The same.
        axis: The axis of the channels.
        offset: Added to the result; None for nothing.
        scale: What the result is multiplied by before that; None for nothing.
        epsilon: What keeps the root away from 0.

    Raises:
        ShapeError: The statistics do not fit the axis.
    """
    tensor = float_tensor(x)
    place = one_axis(axis, tensor.ndim, "batch_normalization")
    given = {"mean": mean, "variance": variance, "offset": offset, "scale": scale}
    parts = {name: as_tensor(part) for name, part in given.items() if part is not None}
    kind = promote([tensor.dtype, *[part.dtype for part in parts.values()]], [])
    channels = tensor.dims[place]
    for name, part in parts.items():
        if part.dims != (channels,):
            raise ShapeError(
                f"batch_normalization: `{name}` should have shape ({channels},), as axis {axis} "
                f"of `x`. Received: {name}.shape={part.shape}, x.shape={tensor.shape}"
            )
    wide = {name: cast(part, kind) for name, part in parts.items()}
    gamma = wide["scale"] if "scale" in wide else filled_tensor((channels,), 1.0, kind)
    beta = wide["offset"] if "offset" in wide else filled_tensor((channels,), 0.0, kind)
    op = BatchNormalization(place, float(epsilon))
    return apply(op, cast(tensor, kind), gamma, beta, wide["mean"], wide["variance"])


@operation
def layer_normalization(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    axis: Any = -1,
    epsilon: float | None = None,
    rms_scaling: bool = False,
) -> Tensor:
    """``x`` with mean 0 and variance 1 along the axes, times ``gamma``, plus ``beta``.

    Args:
        x: A tensor; half precision is computed in float32.
        gamma: Factors, shaped as the axes; None for none.
        beta: Summands, shaped as the axes; None for none.
        axis: The axis, or axes.
        epsilon: What keeps the root away from 0; by default `keras.config.epsilon()`.
        rms_scaling: Deprecated in Keras: divide by the deviation, but leave the mean, and ``beta``.

    Raises:
        ShapeError: A parameter does not fit the axes.
    """
    tensor = float_tensor(x)
    wide = cast(tensor, "float32") if tensor.dtype in ("float16", "bfloat16") else tensor
    small = config.epsilon if epsilon is None else float(epsilon)
    axes = many_axes(axis, wide.ndim, "layer_normalization")
    sizes = tuple(wide.dims[a] for a in axes)
    factors = _parameter(gamma, "gamma", sizes, wide)
    if rms_scaling:
        warnings.warn(
            "You passed `rms_scaling=True`, which is deprecated. This argument incorrectly scales "
            "the input by the variance, not the root mean square. To correctly use RMS "
            "Normalization, please use `keras.ops.rms_normalization` instead."
        )
        _, variance = moments(wide, axes, keepdims=True)
        shape = [dim if a in axes else 1 for a, dim in enumerate(wide.dims)]
        scaled = wide * rsqrt(variance + small)
        result = scaled if factors is None else scaled * reshaped(factors, shape)
        return cast(result, tensor.dtype)
    summands = _parameter(beta, "beta", sizes, wide)
    one = filled_tensor(sizes, 1.0, wide.dtype) if factors is None else factors
    zero = filled_tensor(sizes, 0.0, wide.dtype) if summands is None else summands
    return cast(apply(LayerNormalization(axes, small), wide, one, zero), tensor.dtype)


def _parameter(given: Any, name: str, sizes: tuple[Dim, ...], x: Tensor) -> Tensor | None:
    if given is None:
        return None
    parameter = cast(as_tensor(given), x.dtype)
    dims = tuple(dim for dim in parameter.dims if dim != 1) if parameter.ndim == x.ndim else None
    if parameter.dims != sizes and dims != tuple(dim for dim in sizes if dim != 1):
        raise ShapeError(
            f"layer_normalization: `{name}` should have the shape of the normalized axes, "
            f"{sizes}. Received: {name}.shape={parameter.shape}, x.shape={x.shape}"
        )
    return reshaped(parameter, sizes)
