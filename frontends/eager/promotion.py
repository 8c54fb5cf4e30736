"""The common element type of operands, by Keras 3's rules.

Python numbers are *weak*: they take the type of what they meet, unless that type cannot hold their
kind (a float meeting integers makes `floatx`). Integers meeting floats become that float type,
whatever their width.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.config import config
from graphc.ir import FLOATS, is_complex, is_float, is_inexact, numpy_dtype


def standard_dtype(dtype: Any) -> str:
    """The name graphc uses for ``dtype``, which may be a name, a NumPy or a Python type.

    Raises:
        DTypeError: It is no element type of graphc.
    """
    if dtype is None:
        return config.floatx
    if isinstance(dtype, str):
        name = {"float": config.floatx, "int": "int32", "half": "float16"}.get(dtype, dtype)
    elif dtype is float:
        name = config.floatx
    elif dtype is int:
        name = "int32"
    elif dtype is bool:
        name = "bool"
    elif dtype is complex:
        name = "complex64"
    elif isinstance(dtype, (np.dtype, type)):
        name = np.dtype(dtype).name
    else:
        name = getattr(dtype, "name", str(dtype))
    numpy_dtype(name)
    return name


def promote_pair(a: str, b: str) -> str:
    """The common dtype of two tensors."""
    if a == b:
        return a
    if "bool" in (a, b):
        return b if a == "bool" else a
    if is_complex(a) or is_complex(b):
        wide = {"complex128", "float64"} & {a, b}
        return "complex128" if wide else "complex64"
    if is_float(a) and is_float(b):
        if {a, b} == {"float16", "bfloat16"}:
            return "float32"
        return max(a, b, key=FLOATS.index)
    if is_float(a) or is_float(b):
        return a if is_float(a) else b
    promoted = np.promote_types(a, b).name
    return config.floatx if promoted == "float64" else promoted


def promote(dtypes: list[str], weak: list[type]) -> str:
    """The common dtype of tensors and Python numbers.

    Args:
        dtypes: Element types of the tensors.
        weak: Python types (bool, int, float, complex) of the plain numbers.
    """
    result: str | None = None
    for dtype in dtypes:
        result = dtype if result is None else promote_pair(result, dtype)
    if complex in weak:
        return promote_pair(result or config.floatx, "complex64")
    if float in weak and (result is None or not is_inexact(result)):
        return config.floatx
    if int in weak and (result is None or result == "bool"):
        return "int32"
    if result is None:
        return "bool" if weak else config.floatx
    return result
