"""``graphc.TensorShape``: a shape that is a tuple and knows what TensorFlow's shapes know."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from graphc.eager import Tensor, as_tensor
from graphc.errors import ShapeError
from graphc.names.adapt import takes_name, tensor_of


def known_sizes(x: Any, function: str, first: int = 0, last: int | None = None) -> tuple[int, ...]:
    """Sizes of a tensor that have to be known for what is to be done with it.

    Args:
        x: A tensor.
        function: Who asks.
        first: The first axis.
        last: The axis behind the last one; all by default.

    Raises:
        ShapeError: One of them is known only when a program runs.
    """
    shape = tensor_of(x).shape[first:last]
    known = tuple(size for size in shape if size is not None)
    if len(known) < len(shape):
        raise ShapeError(
            f"{function}: needs to know the sizes of its operand, which has shape "
            f"{tensor_of(x).shape} here; give the inputs their sizes"
        )
    return known


class TensorShape(tuple[int | None, ...]):
    """Sizes, None for those that are not known.

    Tensors have plain tuples as shapes; this is for code that makes shapes itself.

    Args:
        dims: The sizes.

    Example:
        >>> graphc.TensorShape([None, 3]).as_list()
        [None, 3]
    """

    __slots__ = ()

    def __new__(cls, dims: Iterable[int | None]) -> TensorShape:
        """A shape; sizes are made integers."""
        return super().__new__(cls, [None if dim is None else int(dim) for dim in dims])

    @property
    def rank(self) -> int:
        """The number of sizes."""
        return len(self)

    ndims = rank

    @property
    def dims(self) -> list[int | None]:
        """The sizes as a list."""
        return list(self)

    def as_list(self) -> list[int | None]:
        """The sizes as a list."""
        return list(self)

    def num_elements(self) -> int | None:
        """How many elements a tensor of this shape has; None if that is not known."""
        return None if None in self else math.prod(dim for dim in self if dim is not None)

    def is_fully_defined(self) -> bool:
        """Whether all sizes are known."""
        return None not in self

    def concatenate(self, other: Iterable[int | None]) -> TensorShape:
        """These sizes and then others."""
        return TensorShape([*self, *other])

    def is_compatible_with(self, other: Iterable[int | None]) -> bool:
        """Whether a tensor can have both shapes."""
        theirs = TensorShape(other)
        return len(self) == len(theirs) and all(
            None in (own, their) or own == their for own, their in zip(self, theirs, strict=True)
        )

    def assert_is_compatible_with(self, other: Iterable[int | None]) -> None:
        """Check `is_compatible_with`.

        Raises:
            ShapeError: They are not.
        """
        if not self.is_compatible_with(other):
            raise ShapeError(f"shapes {tuple(self)} and {tuple(other)} are not compatible")

    def assert_is_fully_defined(self) -> None:
        """Check `is_fully_defined`.

        Raises:
            ShapeError: A size is not known.
        """
        if not self.is_fully_defined():
            raise ShapeError(f"shape {tuple(self)} has sizes that are not known")

    def assert_has_rank(self, rank: int) -> None:
        """Check how many sizes there are.

        Raises:
            ShapeError: There are more, or fewer.
        """
        if len(self) != rank:
            raise ShapeError(f"shape {tuple(self)} should have {rank} axes")

    def with_rank(self, rank: int) -> TensorShape:
        """Itself, after `assert_has_rank`."""
        self.assert_has_rank(rank)
        return self

    def with_rank_at_least(self, rank: int) -> TensorShape:
        """Itself.

        Raises:
            ShapeError: There are fewer sizes.
        """
        if len(self) < rank:
            raise ShapeError(f"shape {tuple(self)} should have {rank} axes or more")
        return self

    def with_rank_at_most(self, rank: int) -> TensorShape:
        """Itself.

        Raises:
            ShapeError: There are more sizes.
        """
        if len(self) > rank:
            raise ShapeError(f"shape {tuple(self)} should have {rank} axes or fewer")
        return self

    def merge_with(self, other: Iterable[int | None]) -> TensorShape:
        """What is known of either of two shapes that a tensor can have both.

        Raises:
            ShapeError: It cannot.
        """
        theirs = TensorShape(other)
        self.assert_is_compatible_with(theirs)
        return TensorShape(a if b is None else b for a, b in zip(self, theirs, strict=True))

    def __repr__(self) -> str:
        return f"TensorShape({list(self)})"


@takes_name
def broadcast_static_shape(shape_x: Any, shape_y: Any) -> TensorShape:
    """The shape of what is computed from two tensors, elementwise; None where it is not known.

    Raises:
        ShapeError: The sizes are neither equal nor 1.
    """
    x, y = TensorShape(shape_x), TensorShape(shape_y)
    rank = max(len(x), len(y))
    pairs = zip([1] * (rank - len(x)) + [*x], [1] * (rank - len(y)) + [*y], strict=True)
    sizes: list[int | None] = []
    for a, b in pairs:
        if None not in (a, b) and a != b and 1 not in (a, b):
            raise ShapeError(f"shapes {tuple(x)} and {tuple(y)} cannot be broadcast to one")
        # An unknown size is the other one, unless that is 1.
        sizes.append(b if a == 1 or (a is None and b != 1) else a)
    return TensorShape(sizes)


@takes_name
def broadcast_dynamic_shape(shape_x: Any, shape_y: Any) -> Tensor:
    """`broadcast_static_shape` as an int32 tensor; the sizes have to be known."""
    x, y = (as_tensor(shape).numpy().tolist() for shape in (shape_x, shape_y))
    return as_tensor(np.array(broadcast_static_shape(x, y), np.int32))
