"""Tensor types and element types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from graphc.errors import DTypeError
from graphc.ir import dims
from graphc.ir.dims import Dim, Shape

FLOATS = ("float16", "bfloat16", "float32", "float64")
SIGNED_INTEGERS = ("int8", "int16", "int32", "int64")
UNSIGNED_INTEGERS = ("uint8", "uint16", "uint32", "uint64")
INTEGERS = SIGNED_INTEGERS + UNSIGNED_INTEGERS
#: The element types that backends compute with.
DTYPES = (*FLOATS, *INTEGERS, "bool")
#: Pairs of floats, which `graphc.passes.split_complex` takes apart before a backend sees them.
COMPLEXES = ("complex64", "complex128")

#: Every element type.
ALL_DTYPES = (*DTYPES, *COMPLEXES)

_PARTS = {"complex64": "float32", "complex128": "float64"}

_SIZES = {"bool": 1, "bfloat16": 2}


@cache
def numpy_dtype(dtype: str) -> np.dtype:
    """The NumPy dtype that holds elements of ``dtype``.

    Args:
        dtype: One of `ALL_DTYPES`.

    Raises:
        DTypeError: The name is no element type of graphc.
    """
    if dtype not in ALL_DTYPES:
        raise DTypeError(f"unknown dtype {dtype!r}; known are {', '.join(ALL_DTYPES)}")
    if dtype == "bfloat16":
        import ml_dtypes  # comes with onnx; NumPy has no bfloat16 of its own

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(dtype)


def dtype_size(dtype: str) -> int:
    """Bytes that one element of ``dtype`` takes in memory."""
    return _SIZES.get(dtype) or numpy_dtype(dtype).itemsize


def is_float(dtype: str) -> bool:
    """Whether ``dtype`` is a floating-point type."""
    return dtype in FLOATS


def is_complex(dtype: str) -> bool:
    """Whether ``dtype`` is a type of complex numbers."""
    return dtype in COMPLEXES


def is_inexact(dtype: str) -> bool:
    """Whether ``dtype`` is floating-point or complex: what has gradients."""
    return dtype in FLOATS or dtype in COMPLEXES


def part_dtype(dtype: str) -> str:
    """The type of the real and imaginary parts of complex numbers; other types are their own."""
    return _PARTS.get(dtype, dtype)


def is_integer(dtype: str) -> bool:
    """Whether ``dtype`` is an integer type; bool is none."""
    return dtype in INTEGERS


@dataclass(frozen=True)
class TensorType:
    """The type of a value: a shape, whose dimensions may be symbolic, and an element type.

    Args:
        shape: Dimensions, outermost first; ``()`` for a scalar.
        dtype: One of `ALL_DTYPES`.

    Example:
        >>> TensorType((dims.symbol("batch"), 784), "float32")
        float32[batch, 784]
    """

    shape: Shape
    dtype: str

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> Dim:
        """The number of elements."""
        return dims.product(self.shape)

    @property
    def is_possible(self) -> bool:
        """Whether each size is a whole number from 0 up, or symbolic."""
        return all(
            dim >= 0 if isinstance(dim, (int, np.integer)) else isinstance(dim, dims.SymbolicDim)
            for dim in self.shape
        )

    def with_shape(self, shape: Iterable[Dim]) -> TensorType:
        """The same element type in another shape."""
        return TensorType(tuple(shape), self.dtype)

    def with_dtype(self, dtype: str) -> TensorType:
        """The same shape with another element type."""
        return TensorType(self.shape, dtype)

    def substitute(self, bindings: Mapping[str, Dim]) -> TensorType:
        """The type with symbols replaced."""
        return self.with_shape(dims.substitute(dim, bindings) for dim in self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}{dims.shape_text(self.shape)}"

    __repr__ = __str__


@cache
def dtype_name(dtype: np.dtype) -> str:
    """The name of a NumPy dtype, which NumPy itself takes its time to make up."""
    return dtype.name


def type_of(array: np.ndarray) -> TensorType:
    """The type of a NumPy array."""
    return TensorType(tuple(array.shape), dtype_name(array.dtype))
