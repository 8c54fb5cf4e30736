"""Arrays as attributes of ops: immutable, comparable, hashable."""

from __future__ import annotations

import numpy as np

from graphc.ir.types import TensorType, type_of


class Literal:
    """A constant array that compares by value (bit by bit, so NaN equals the same NaN).

    Args:
        array: Any array or scalar. It is copied and frozen.
    """

    __slots__ = ("_hash", "array")

    def __init__(self, array: np.ndarray):
        self.array = np.array(array, order="C", copy=True)
        self.array.setflags(write=False)
        self._hash: int | None = None

    @property
    def type(self) -> TensorType:
        """Shape and dtype of the array."""
        return type_of(self.array)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Literal)
            and self.array.dtype == other.array.dtype
            and self.array.shape == other.array.shape
            and self.array.tobytes() == other.array.tobytes()
        )

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash((self.array.dtype.str, self.array.shape, self.array.tobytes()))
        return self._hash

    def __repr__(self) -> str:
        return f"Literal({self.array!r})"
