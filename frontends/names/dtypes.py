"""Element types as objects: ``graphc.float32`` and its kind.

A `DType` is a string (``graphc.float32 == "float32"``), so it goes wherever a dtype goes, and it
knows what TensorFlow's `tf.dtypes.DType` knows (https://www.tensorflow.org/api_docs/python/tf/dtypes).
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from graphc.eager.promotion import standard_dtype
from graphc.ir import numpy_dtype
from graphc.names.adapt import missing_name


class DType(str):
    """The type of a tensor's elements.

    Example:
        >>> graphc.float32.is_floating
        True
        >>> graphc.zeros((2, 3), graphc.float32).dtype == graphc.float32
        True
    """

    __slots__ = ()

    @property
    def name(self) -> str:
        """The name as a plain string."""
        return str(self)

    @property
    def as_numpy_dtype(self) -> Any:
        """NumPy's scalar type of the same kind."""
        return numpy_dtype(str(self)).type

    @property
    def is_floating(self) -> builtins.bool:
        """Whether the elements are real floating-point numbers."""
        return self.name.startswith(("float", "bfloat"))

    @property
    def is_integer(self) -> builtins.bool:
        """Whether the elements are integers, with or without a sign."""
        return self.name.startswith(("int", "uint"))

    @property
    def is_unsigned(self) -> builtins.bool:
        """Whether the elements are integers without a sign."""
        return self.name.startswith("uint")

    @property
    def is_complex(self) -> builtins.bool:
        """Whether the elements are complex numbers."""
        return self.name.startswith("complex")

    @property
    def is_bool(self) -> builtins.bool:
        """Whether the elements are truth values."""
        return self.name == "bool"

    @property
    def real_dtype(self) -> DType:
        """The type of the real part; itself unless it is complex."""
        parts = {"complex64": "float32", "complex128": "float64"}
        return DType(parts.get(self.name, self.name))

    @property
    def base_dtype(self) -> DType:
        """Itself: there are no references."""
        return self

    @property
    def is_numpy_compatible(self) -> builtins.bool:
        """Whether NumPy has the type: bfloat16 comes from a package beside it."""
        return self.name != "bfloat16"

    @property
    def limits(self) -> tuple[Any, Any]:
        """The least and the greatest number; for floating-point numbers 0 and 1, as of images."""
        return (0, 1) if self.is_floating else (self.min, self.max)

    def is_compatible_with(self, other: Any) -> builtins.bool:
        """Whether the other one names the same type."""
        return self.name == name_of(other)

    @property
    def size(self) -> int:
        """Bytes per element."""
        return numpy_dtype(str(self)).itemsize

    @property
    def min(self) -> Any:
        """The smallest finite number of this type."""
        return self._limit("min")

    @property
    def max(self) -> Any:
        """The largest finite number of this type."""
        return self._limit("max")

    def _limit(self, which: str) -> Any:
        if self.is_bool:
            return which == "max"
        if self.is_integer:
            return getattr(np.iinfo(self.name), which)
        if self.name == "bfloat16":
            # The bit pattern with the largest exponent that is no infinity, and all ones behind.
            bits = np.array(0x7F7F if which == "max" else 0xFF7F, np.uint32) << np.uint32(16)
            return float(bits.view(np.float32))
        if self.is_floating:
            return getattr(np.finfo(self.name), which)
        raise TypeError(f"{self.name} has no order, so it has no {which}")

    def __str__(self) -> str:
        return str.__str__(self)

    def __repr__(self) -> str:
        return f"graphc.{self.name}"

    def __reduce__(self) -> Any:
        return DType, (self.name,)


def as_dtype(type_value: Any) -> DType:
    """An element type from its name, a Python type or a NumPy type.

    Args:
        type_value: Such as ``"float32"``, ``float``, ``np.int64`` or a `DType`.

    Raises:
        DTypeError: It names no type that tensors have.
    """
    return DType(standard_dtype(type_value))


def name_of(dtype: Any) -> str | None:
    """A dtype argument as the plain name that the rest of graphc uses; None stays None."""
    return None if dtype is None else str(standard_dtype(dtype))


bfloat16 = DType("bfloat16")
bool = DType("bool")
complex64 = DType("complex64")
complex128 = DType("complex128")
double = DType("float64")
float16 = DType("float16")
float32 = DType("float32")
float64 = DType("float64")
half = DType("float16")
int8 = DType("int8")
int16 = DType("int16")
int32 = DType("int32")
int64 = DType("int64")
uint8 = DType("uint8")
uint16 = DType("uint16")
uint32 = DType("uint32")
uint64 = DType("uint64")

__all__ = [
    "DType",
    "as_dtype",
    "bfloat16",
    "bool",
    "complex128",
    "complex64",
    "double",
    "float16",
    "float32",
    "float64",
    "half",
    "int16",
    "int32",
    "int64",
    "int8",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
]


def __getattr__(name: str) -> Any:
    raise missing_name("graphc.dtypes", name, __all__)
