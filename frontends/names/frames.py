"""Signals in overlapping pieces: a part of ``graphc.signal``.

See https://www.tensorflow.org/api_docs/python/tf/signal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.eager import Tensor, as_tensor
from graphc.keras import ops
from graphc.keras.ops.recording import operation
from graphc.names.adapt import public_names, takes_name
from graphc.names.shape import known_sizes


@takes_name
@operation
def frame(
    signal: Any,
    frame_length: int,
    frame_step: int,
    pad_end: bool = False,
    pad_value: float = 0,
    axis: int = -1,
) -> Tensor:
    """Overlapping pieces of an axis, along two axes in its place.

    Args:
        signal: A tensor.
        frame_length: The size of a piece.
        frame_step: The distance from one to the next.
        pad_end: Whether pieces that reach over the end are filled up; otherwise they are left out.
        pad_value: With what.
        axis: The axis.
    """
    x = ops.moveaxis(signal, axis, -1)
    (size,) = known_sizes(x, "frame", -1)
    count = -(-size // frame_step) if pad_end else max(0, 1 + (size - frame_length) // frame_step)
    missing = (count - 1) * frame_step + frame_length - size if count else 0
    if missing > 0:
        widths = [(0, 0)] * (ops.ndim(x) - 1) + [(0, missing)]
        x = ops.pad(x, widths, "constant", pad_value)
    starts = ops.expand_dims(ops.arange(count) * frame_step, 1)
    pieces = ops.take(x, starts + ops.arange(frame_length), -1)
    rank = ops.ndim(x)
    place = axis % rank
    return ops.moveaxis(pieces, (-2, -1), (place, place + 1))


@takes_name
@operation
def overlap_and_add(signal: Any, frame_step: int) -> Tensor:
    """The inverse of `frame`: pieces added up where they overlap.

    Args:
        signal: ``(..., frames, frame length)``.
        frame_step: The distance from one piece to the next.
    """
    x = as_tensor(signal)
    count, length = known_sizes(x, "overlap_and_add", -2)
    size = (count - 1) * frame_step + length if count else 0
    places = ops.expand_dims(ops.arange(count) * frame_step, 1) + ops.arange(length)
    front = ops.transpose(ops.reshape(x, (-1, count * length)), (1, 0))
    total = ops.scatter(ops.reshape(places, (-1, 1)), front, (size, front.shape[-1]))
    return ops.reshape(ops.transpose(total, (1, 0)), (*x.dims[:-2], size))


def fitted(x: Any, sizes: Sequence[int]) -> Any:
    """The last axes of a tensor cut off, or filled up with zeros, to sizes."""
    shape = known_sizes(x, "signal", -len(sizes))
    front = ops.ndim(x) - len(sizes)
    missing = [max(0, size - old) for size, old in zip(sizes, shape, strict=True)]
    if any(missing):
        x = ops.pad(x, [(0, 0)] * front + [(0, extra) for extra in missing])
    return x[(..., *[slice(0, size) for size in sizes])]


__all__ = public_names(globals())
