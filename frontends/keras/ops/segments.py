"""Reductions of rows that belong together: https://keras.io/api/ops/core/."""

from __future__ import annotations

from typing import Any

from graphc.eager import Tensor, apply, as_tensor, cast, operate, size_tensor
from graphc.errors import ShapeError
from graphc.ir.dims import Dim
from graphc.keras.ops.arguments import dim_of
from graphc.keras.ops.elementwise import logical_or, where
from graphc.keras.ops.recording import operation
from graphc.ops.gather import Scatter, ScatterAdd
from graphc.ops.scatter import ScatterMax, ScatterMin, ScatterMul

__all__ = ["segment_max", "segment_min", "segment_prod", "segment_sum"]

#: Types that reach as far as an axis does.
_WIDE = ("int32", "int64", "uint32", "uint64")


def combined(kind: type[Scatter], size: Dim, places: Tensor, rows: Tensor) -> Tensor:
    """Rows for the same place combined; those for places that do not exist are left out.

    These get a place of their own behind the others, which is cut off: so no runtime sees an index
    that it might refuse.
    """
    if places.dtype not in _WIDE:
        places = cast(places, "int32")
    behind = size_tensor(size, places.dtype)
    outside = logical_or(operate("less", places, 0), operate("greater_equal", places, behind))
    return apply(kind(0, size + 1), where(outside, behind, places), rows)[:size]


def _segments(
    kind: type[Scatter], function: str, data: Any, segment_ids: Any, num_segments: Any
) -> Tensor:
    rows, number = as_tensor(data), as_tensor(segment_ids)
    if number.ndim != 1 or not rows.ndim:
        raise ShapeError(
            f"{function}: needs a vector with the segment of each row of the data. "
            f"Received: data.shape={rows.shape}, segment_ids.shape={number.shape}"
        )
    rows = cast(rows, "int32") if rows.dtype == "bool" else rows
    if num_segments is None:
        if number.is_symbolic:
            raise ShapeError(
                f"{function}: in a program nobody knows the last segment before it runs; say with "
                "`num_segments` how many there are"
            )
        num_segments = int(number.numpy().max(initial=-1)) + 1
    return combined(kind, dim_of(num_segments, function), number, rows)


@operation
def segment_sum(
    data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The sum of the rows of each segment; 0 for a segment without rows.

    Args:
        data: Rows.
        segment_ids: The segment that each row belongs to, an integer from 0; rows of others are
            left out.
        num_segments: How many segments there are; programs and models need it.
        sorted: Accepted as in Keras; it changes nothing.

    Raises:
        ShapeError: There is not one number for each row; ``num_segments`` is missing in a program.
    """
    return _segments(ScatterAdd, "segment_sum", data, segment_ids, num_segments)


@operation
def segment_max(
    data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The largest elements of the rows of each segment; see `segment_sum`.

    For a segment without rows it is the least number there is.
    """
    return _segments(ScatterMax, "segment_max", data, segment_ids, num_segments)


@operation
def segment_min(
    data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The smallest elements of the rows of each segment; see `segment_sum`.

    For a segment without rows it is the greatest number there is.
    """
    return _segments(ScatterMin, "segment_min", data, segment_ids, num_segments)


@operation
def segment_prod(
    data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The product of the rows of each segment, 1 for one without rows; see `segment_sum`."""
    return _segments(ScatterMul, "segment_prod", data, segment_ids, num_segments)
