"""NumPy arrays from what users hand over."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.eager.location import user_line_text
from graphc.eager.promotion import promote
from graphc.errors import DTypeError
from graphc.ir import numpy_dtype


def as_array(x: Any, dtype: str | None) -> np.ndarray:
    """Numbers, lists of them, NumPy arrays and what NumPy takes for one as an array of our own.

    Args:
        x: What to convert.
        dtype: The element type of Python's numbers; None for that which they have by themselves.

    Raises:
        DTypeError: ``x`` holds something that is no number.
    """
    array = native(np.asarray(x))
    if array.dtype == object or array.dtype.kind in "USMmV" and array.dtype.name != "bfloat16":
        place = user_line_text()
        hint = "rows of different length, text or objects?"
        if x is None:
            hint = "is it a size that is not known yet? Layers see sizes when they are called"
        elif isinstance(x, int):
            hint = "the number is too large"
        raise DTypeError(
            f"{place + ': ' if place else ''}cannot make a tensor of {type(x).__name__} with "
            f"elements of type {array.dtype}: {hint}"
        )
    if isinstance(x, (np.ndarray, np.generic)) or hasattr(x, "__array__"):
        # What others can change has to be copied.
        return array.copy() if array.flags.writeable else array
    # Python numbers and lists of them have no width of their own.
    if dtype is None:
        kind = {"b": bool, "i": int, "u": int, "c": complex}.get(array.dtype.kind, float)
        dtype = promote([], [kind])
        if dtype == "int32" and array.size and np.any(array != array.astype(np.int32)):
            place = user_line_text()
            largest = array.flat[np.argmax(np.abs(array.astype(np.float64)))]
            raise DTypeError(
                f"{place + ': ' if place else ''}{largest} does not fit int32, the type of Python "
                'integers here; name another one: keras.ops.convert_to_tensor(x, "int64")'
            )
    return array.astype(numpy_dtype(dtype))


def native(array: np.ndarray) -> np.ndarray:
    """An array in the machine's byte order, and in no type wider than float64."""
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array.astype(np.float64, copy=False) if array.dtype == np.longdouble else array
