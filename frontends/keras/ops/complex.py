"""Complex numbers: https://keras.io/api/ops/numpy/.

Gradients with respect to complex tensors follow the convention of JAX; see `graphc.ops.complex`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.eager import Tensor, apply, apply_function, as_tensor, cast
from graphc.errors import ShapeError
from graphc.ir import is_complex
from graphc.keras.ops.arguments import float_tensor
from graphc.keras.ops.creation import full_like, zeros_like
from graphc.keras.ops.elementwise import cos, equal, isnan, less, sin, where
from graphc.keras.ops.movement import get_item, stack
from graphc.keras.ops.recording import operation
from graphc.ops import complex as graph_ops

__all__ = [
    "angle", "conj", "conjugate", "imag", "isreal", "polar", "real", "view_as_complex",
    "view_as_real",
]  # fmt: skip


@operation
def real(x: Any) -> Tensor:
    """The real parts; real numbers themselves."""
    tensor = as_tensor(x)
    return apply(graph_ops.Real(), tensor) if is_complex(tensor.dtype) else tensor


@operation
def imag(x: Any) -> Tensor:
    """The imaginary parts; of real numbers zeros."""
    tensor = as_tensor(x)
    return apply(graph_ops.Imag(), tensor) if is_complex(tensor.dtype) else zeros_like(tensor)


@operation
def conjugate(x: Any) -> Tensor:
    """The complex conjugates; real numbers themselves."""
    tensor = as_tensor(x)
    return apply(graph_ops.Conj(), tensor) if is_complex(tensor.dtype) else tensor


@operation
def conj(x: Any) -> Tensor:
    """The same as `conjugate`."""
    return conjugate(x)


@operation
def angle(x: Any) -> Tensor:
    """The angle to the positive real axis in radians: for real numbers 0 or pi."""
    tensor = float_tensor(x)
    if is_complex(tensor.dtype):
        return apply_function(graph_ops.phase, tensor)
    turned = where(less(tensor, 0), full_like(tensor, np.pi), zeros_like(tensor))
    return where(isnan(tensor), tensor, turned)


@operation
def isreal(x: Any) -> Tensor:
    """Whether elements have no imaginary part."""
    return equal(imag(x), 0)


@operation
def polar(abs_: Any, angle: Any) -> Tensor:
    """Complex numbers of given absolute values and angles, in radians.

    Example:
        >>> keras.ops.polar([1.0, 2.0], [0.0, 3.14159])
    """
    size, turn = _precise(abs_), _precise(angle)
    return apply(graph_ops.Complex(), *_of_one_type(size * cos(turn), size * sin(turn)))


def _precise(x: Any) -> Tensor:
    """Real numbers as float32 or float64, of which complex numbers are made."""
    tensor = float_tensor(x)
    return tensor if tensor.dtype == "float64" else cast(tensor, "float32")


def _of_one_type(*tensors: Tensor) -> list[Tensor]:
    wide = any(tensor.dtype == "float64" for tensor in tensors)
    return [cast(tensor, "float64" if wide else "float32") for tensor in tensors]


@operation
def view_as_complex(x: Any) -> Tensor:
    """Real and imaginary parts along a last axis of size 2 as complex numbers.

    Args:
        x: Tensor of shape ``(..., 2)``.

    Returns:
        Tensor of shape ``(...)``: complex128 for float64, else complex64.

    Raises:
        ShapeError: The last axis has another size.

    Example:
        >>> keras.ops.view_as_complex([[1.0, 2.0], [3.0, 4.0]])
    """
    tensor = _precise(x)
    if tensor.ndim < 1 or tensor.dims[-1] != 2:
        raise ShapeError(
            "Last dimension of input must be size 2 (real and imaginary). "
            f"Received shape: {tensor.shape}"
        )
    parts = [get_item(tensor, (..., i)) for i in (0, 1)]
    return apply(graph_ops.Complex(), *parts)


@operation
def view_as_real(x: Any) -> Tensor:
    """Complex numbers as real and imaginary parts along a new last axis.

    Example:
        >>> keras.ops.view_as_real([1 + 2j, 3 + 4j])
    """
    return stack([real(x), imag(x)], axis=-1)
