"""What a plan has to know of an array: its element type and its shape, as one object."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.eager.cache import Cache
from graphc.ir import TensorType, numpy_dtype
from graphc.ir.dims import known


class Kind:
    """The element type and shape of arrays, one object for all arrays that agree in both.

    As a part of a key it is compared and hashed by identity, which costs a tenth of what its dtype
    and its shape would.

    Args:
        dtype: Element type.
        shape: Sizes, outermost first.
    """

    __slots__ = ("dtype", "shape")

    def __init__(self, dtype: np.dtype, shape: tuple[int, ...]):
        self.dtype = dtype
        self.shape = shape

    def __reduce__(self) -> Any:
        return _kind, (self.dtype, self.shape)  # a copy is the same object

    def __repr__(self) -> str:
        return f"<Kind {self.dtype}{list(self.shape)}>"


# Once it is full it starts anew, and so do the plans of the kinds that it held.
_kinds: Cache[tuple[np.dtype, tuple[int, ...]], Kind] = Cache(8192)


def kind_of(data: Any) -> Kind | None:
    """The kind of an array; None for all else, subclasses of arrays among it."""
    if type(data) is not np.ndarray:
        return None
    return _kind(data.dtype, data.shape)


def kind_of_type(type: TensorType) -> Kind:
    """The kind of arrays that have a type of known sizes."""
    return _kind(numpy_dtype(type.dtype), known(type.shape))


def _kind(*key: Any) -> Kind:
    return _kinds.get(key) or _kinds.keep(key, Kind(*key))
