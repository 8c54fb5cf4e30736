"""Windows as views: convolutions and pools become contractions and reductions of overlapping views.

Before::

    %0 = Conv(%x, %kernel) {strides=[1, 1], padding=[[1, 1], [1, 1]], ...} : [batch, 28, 28, 32]

after::

    %0 = Pad(%x) {before=[0, 1, 1, 0], after=[0, 1, 1, 0]} : [batch, 30, 30, 16]
    %1 = Windows(%0) {window=[3, 3], ...} : [batch, 28, 28, 3, 3, 16]
    %2 = Einsum(%1, %kernel) {equation="npqklc,klcf->npqf"} : [batch, 28, 28, 32]

`Windows` copies nothing in a backend that reads through strides, so this is the implicit matrix
product that convolution libraries write by hand; and because it is an Einsum, what follows becomes
its epilogue. The transposed convolution looks through reversed windows at its operand; with strides
it is one such contraction for each place between two windows, and the results are interleaved. The
maximum's gradient, which asks for the first of equals, stays an op.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.errors import ShapeError
from graphc.ir import Graph, Op, TensorType, Value, filled
from graphc.ir.dims import Dim, Shape, ceil_divide
from graphc.ops.conv import Conv, ConvKernelGradient, ConvTranspose
from graphc.ops.elementwise import Cast, Max, Min
from graphc.ops.linalg import Einsum
from graphc.ops.movement import Concat, Iota, Pad, Reshape, Slice, insert_axis
from graphc.ops.pool import AveragePool, AveragePoolGradient, MaxPool
from graphc.ops.reduce import ReduceMax, ReduceSum
from graphc.ops.window import Windowed
from graphc.passes.fuse import SizeOf
from graphc.passes.report import Report
from graphc.passes.successor import Successor

_COUNTS = "pqr"
_POSITIONS = "klm"


class Windows(Op):
    """What a window sees at each of its places: an overlapping view of ``x``.

    ``y[..., p, ..., k, ...] = x[..., start + p * stride + k * dilation, ...]`` for each spatial
    axis; with ``reverse``, ``window - 1 - k`` instead of k. The axes of the windows' places replace
    the spatial axes; the axes of the positions in a window follow them.

    Args:
        axis: The first spatial axis.
        starts: Where the first window begins, along each spatial axis.
        counts: How many windows there are.
        strides: Steps between neighbouring windows.
        window: How many elements a window sees.
        dilations: Distances between them.
        reverse: Whether each window is seen from its end.
    """

    axis: int
    starts: tuple[int, ...]
    counts: Shape
    strides: tuple[int, ...]
    window: tuple[int, ...]
    dilations: tuple[int, ...]
    reverse: bool = False
    differentiable: ClassVar[bool] = False

    def infer(self, x: TensorType) -> TensorType:
        end = self.axis + len(self.window)
        if end > x.rank:
            raise ShapeError(f"{len(self.window)} spatial axes from {self.axis} are too many")
        return x.with_shape((*x.shape[: self.axis], *self.counts, *self.window, *x.shape[end:]))

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        count = len(self.window)
        for i in reversed(range(count)):
            positions = np.arange(self.window[i])[:: -1 if self.reverse else 1]
            places = self.starts[i] + np.arange(int(self.counts[i]))[:, None] * self.strides[i]
            x = np.take(x, places + positions * self.dilations[i], self.axis + i)
            # The positions go behind the places of all spatial axes.
            x = np.moveaxis(x, self.axis + i + 1, self.axis + count)
        return x


def expose_windows(graph: Graph, report: Report | None = None) -> Graph:
    """The graph without convolutions and pools (but the gradient of the maximum).

    Args:
        graph: It stays as it is.
        report: Told what was replaced.
    """
    result = Successor(graph)
    for node in graph.nodes:
        rule = _RULES.get(type(node.op))
        if rule is None:
            result.repeat(node, node.op.map_bodies(lambda body: expose_windows(body, report)))
            continue
        with result.graph.at(node.location):
            result.put(node, rule(node.op, *result.of(node.inputs)))
        if report is not None:
            report.apply("expose windows", node.location)
    return result.finish()


# ------------------------------------------------------------------------------------ the windows


def _axis(op: Windowed) -> int:
    return 1 if op.layout == "last" else 2


def _padded(
    op: Windowed,
    x: Value,
    before: Sequence[Dim],
    after: Sequence[Dim],
    number: float = 0.0,
    gaps: Sequence[int] | None = None,
) -> Value:
    """``x`` with its spatial axes padded; itself if there is nothing to pad."""
    gaps = gaps or [0] * len(before)
    if all(width == 0 for width in (*before, *after, *gaps)):
        return x
    first = _axis(op)

    def along(widths: Sequence[Any]) -> tuple[Any, ...]:
        rest = x.rank - first - len(widths)
        return (*[0] * first, *widths, *[0] * rest)

    return Pad(along(before), along(after), along(gaps), number)(x)


def _look(
    op: Windowed, x: Value, window: Sequence[Dim], dilations: Sequence[int], number: float = 0.0
) -> Value:
    """What the windows of a forward op see of its image."""
    _, spatial, _ = op.split(x.type)
    sizes = [int(size) for size in window]
    counts = op.windows(spatial, sizes, dilations)
    before, after = zip(*op.padding, strict=True)
    padded = _padded(op, x, before, after, number)
    zeros = (0,) * len(sizes)
    view = Windows(_axis(op), zeros, counts, op.strides, tuple(sizes), tuple(dilations))
    return view(padded)


def _look_back(
    op: Windowed, y: Value, spatial: Shape, window: Sequence[Dim], dilations: Sequence[int]
) -> Value:
    """For each place of the image, the windows that saw it, in the order of their positions."""
    _, counts, _ = op.split(y.type)
    sizes = [int(size) for size in window]
    before: list[Dim] = []
    after: list[Dim] = []
    starts: list[int] = []
    for axis, (size, count) in enumerate(zip(spatial, counts, strict=True)):
        reach = (sizes[axis] - 1) * dilations[axis]
        left, right = op.padding[axis]
        stride = op.strides[axis]
        before.append(max(reach - left, 0))
        starts.append(max(left - reach, 0))
        # At least so much is seen behind the last window; never negative.
        after.append(size + (left - 1 + max(right - reach, 0)) - (count - 1) * stride)
    gaps = [stride - 1 for stride in op.strides]
    padded = _padded(op, y, before, after, gaps=gaps)
    ones = (1,) * len(sizes)
    view = Windows(
        _axis(op), tuple(starts), spatial, ones, tuple(sizes), tuple(dilations), reverse=True
    )
    return view(padded)


# ----------------------------------------------------------------------------------- convolutions


def _letters(op: Windowed, count: int, channels: str, positions: bool) -> str:
    """The axes of an image, or of what windows see of one."""
    spatial = _COUNTS[:count] + (_POSITIONS[:count] if positions else "")
    return f"n{spatial}{channels}" if op.layout == "last" else f"n{channels}{spatial}"


def _grouped(x: Value, axis: int, groups: int) -> Value:
    """The channels as two axes, group and channel in it; as they are if there is one group."""
    if groups == 1:
        return x
    size = x.shape[axis]
    shape = (*x.shape[:axis], groups, size // groups, *x.shape[axis + 1 :])
    return Reshape(shape)(x)


def _channel_axis(op: Windowed, x: Value) -> int:
    return x.rank - 1 if op.layout == "last" else 1


def _conv(op: Conv, x: Value, kernel: Value) -> Value:
    count, groups = len(op.strides), op.groups
    g = "g" if groups > 1 else ""
    seen = _look(op, x, kernel.shape[:-2], op.dilations)
    seen = _grouped(seen, _channel_axis(op, seen), groups)
    kernel = _grouped(kernel, kernel.rank - 1, groups)
    equation = (
        f"{_letters(op, count, g + 'c', True)},{_POSITIONS[:count]}c{g}f->"
        f"{_letters(op, count, g + 'f', False)}"
    )
    y = Einsum(equation)(seen, kernel)
    return _joined(op, y)


def _conv_transpose(op: ConvTranspose, y: Value, kernel: Value) -> Value:
    if all(stride == 1 for stride in op.strides):
        seen = _look_back(op, y, op.spatial, kernel.shape[:-2], op.dilations)
        return _contract_back(op, seen, kernel)
    return _cropped(op, _phases(op, y, kernel, []))


def _contract_back(op: ConvTranspose, seen: Value, kernel: Value) -> Value:
    count, groups = len(op.strides), op.groups
    g = "g" if groups > 1 else ""
    seen = _grouped(seen, _channel_axis(op, seen), groups)
    kernel = _grouped(kernel, kernel.rank - 1, groups)
    equation = (
        f"{_letters(op, count, g + 'f', True)},{_POSITIONS[:count]}c{g}f->"
        f"{_letters(op, count, g + 'c', False)}"
    )
    return _joined(op, Einsum(equation)(seen, kernel))


def _phases(op: ConvTranspose, y: Value, kernel: Value, places: list[int]) -> Value:
    """The result at the given places between windows, along the axes behind them at all places.

    The image is ``ceil(size / stride)`` strides long along each axis.
    """
    axis = len(places)
    if axis == len(op.strides):
        return _phase(op, y, kernel, places)
    stride = op.strides[axis]
    parts = [_phases(op, y, kernel, [*places, place]) for place in range(stride)]
    if stride == 1:
        return parts[0]
    where = _axis(op) + axis
    shape = parts[0].shape
    joined = Concat(where + 1)(*[insert_axis(part, where + 1) for part in parts])
    return Reshape((*shape[:where], shape[where] * stride, *shape[where + 1 :]))(joined)


def _phase(op: ConvTranspose, y: Value, kernel: Value, places: list[int]) -> Value:
    """The result at every stride-th place: only every so-many-th kernel position reaches it."""
    _, counts, _ = op.split(y.type)
    spatial, lefts, dilations = [], [], []
    starts: list[Dim] = [0] * kernel.rank
    steps = [1] * kernel.rank
    for axis, place in enumerate(places):
        stride, dilation = op.strides[axis], op.dilations[axis]
        left = place + op.padding[axis][0]
        step = stride // math.gcd(stride, dilation)
        size = int(kernel.shape[axis])
        reached = [k for k in range(min(step, size)) if (left - k * dilation) % stride == 0]
        spatial.append(ceil_divide(op.spatial[axis], stride))
        if not reached:
            type = op.image(y.shape[0], _long(op), kernel.shape[-2] * op.groups, y.dtype)
            return filled(y.graph, type, 0)
        starts[axis], steps[axis] = reached[0], step
        lefts.append((left - reached[0] * dilation) // stride)
        dilations.append(step * dilation // stride)
    part = Slice(tuple(starts), kernel.shape, tuple(steps))(kernel)
    seen = _look_behind(op, y, tuple(spatial), counts, part.shape[:-2], lefts, dilations)
    return _contract_back(op, seen, part)


def _long(op: ConvTranspose) -> Shape:
    """The number of strides along each axis."""
    return tuple(
        ceil_divide(size, stride) for size, stride in zip(op.spatial, op.strides, strict=True)
    )


def _cropped(op: ConvTranspose, x: Value) -> Value:
    """The image without what stands behind its end in the last stride."""
    first = _axis(op)
    stops = (*x.shape[:first], *op.spatial, *x.shape[first + len(op.spatial) :])
    if stops == x.shape:
        return x
    return Slice((0,) * x.rank, stops, (1,) * x.rank)(x)


def _look_behind(
    op: Windowed,
    y: Value,
    spatial: Shape,
    counts: Shape,
    window: Sequence[Dim],
    lefts: Sequence[int],
    dilations: Sequence[int],
) -> Value:
    """Reversed windows of stride 1: position k at place q sees ``y[q + left - k * dilation]``."""
    sizes = [int(size) for size in window]
    before: list[Dim] = []
    after: list[Dim] = []
    starts: list[int] = []
    for size, count, width, left, dilation in zip(
        spatial, counts, sizes, lefts, dilations, strict=True
    ):
        reach = (width - 1) * dilation
        before.append(max(reach - left, 0))
        starts.append(max(left - reach, 0))
        missing = size + left - count
        if isinstance(missing, int):
            after.append(max(missing, 0))
        else:
            # Of symbolic sizes nobody knows which is larger; the difference is bounded.
            slack = sum(map(sum, op.padding)) + max(-left, 0) + 2
            after.append(missing + slack)
    view = Windows(
        _axis(op),
        tuple(starts),
        spatial,
        (1,) * len(sizes),
        tuple(sizes),
        tuple(dilations),
        reverse=True,
    )
    return view(_padded(op, y, before, after))


def _conv_kernel_gradient(op: ConvKernelGradient, x: Value, dy: Value) -> Value:
    count, groups = len(op.strides), op.groups
    g = "g" if groups > 1 else ""
    seen = _look(op, x, op.window, op.dilations)
    seen = _grouped(seen, _channel_axis(op, seen), groups)
    dy = _grouped(dy, _channel_axis(op, dy), groups)
    equation = (
        f"{_letters(op, count, g + 'c', True)},{_letters(op, count, g + 'f', False)}->"
        f"{_POSITIONS[:count]}c{g}f"
    )
    kernel = Einsum(equation)(seen, dy)
    if groups == 1:
        return kernel
    *rest, inputs, _, outputs = kernel.shape
    return Reshape((*rest, inputs, groups * outputs))(kernel)


def _joined(op: Any, y: Value) -> Value:
    """Group and channel as one axis again."""
    if op.groups == 1:
        return y
    axis = y.rank - 2 if op.layout == "last" else 1
    channels = y.shape[axis] * y.shape[axis + 1]
    return Reshape((*y.shape[:axis], channels, *y.shape[axis + 2 :]))(y)


# ------------------------------------------------------------------------------------------ pools


def _position_axes(op: Windowed, count: int) -> tuple[int, ...]:
    first = _axis(op) + count
    return tuple(range(first, first + count))


def _max_pool(op: MaxPool, x: Value) -> Value:
    count = len(op.window)
    seen = _look(op, x, op.window, (1,) * count, -np.inf)
    return ReduceMax(_position_axes(op, count))(seen)


def _average_pool(op: AveragePool, x: Value) -> Value:
    count = len(op.window)
    seen = _look(op, x, op.window, (1,) * count)
    total = ReduceSum(_position_axes(op, count))(seen)
    _, spatial, _ = op.split(x.type)
    return total / _seen_elements(op, total, spatial)


def _average_pool_gradient(op: AveragePoolGradient, dy: Value) -> Value:
    count = len(op.window)
    shares = dy / _seen_elements(op, dy, op.spatial)
    seen = _look_back(op, shares, op.spatial, op.window, (1,) * count)
    return ReduceSum(_position_axes(op, count))(seen)


def _seen_elements(op: Any, y: Value, spatial: Shape) -> Value:
    """How many elements of the image each window sees, to be broadcast against ``y``."""
    graph, first = y.graph, _axis(op)
    number: Value | None = None
    for axis, size in enumerate(spatial):
        left, right = op.padding[axis]
        if left == right == 0:
            seen = graph.constant(op.window[axis], "int32")
        else:
            shape: list[Dim] = [1] * y.rank
            shape[first + axis] = y.shape[first + axis]
            place = graph.apply(Iota(tuple(shape), first + axis, "int32"))
            begin = place * op.strides[axis] + -left
            end = Min()(begin + op.window[axis], _size(graph, size))
            seen = end - Max()(begin, graph.constant(0, "int32"))
        number = seen if number is None else number * seen
    assert number is not None  # there is at least one spatial axis
    return Cast(y.dtype)(number)


def _size(graph: Graph, size: Dim) -> Value:
    if isinstance(size, int):
        return graph.constant(size, "int32")
    return graph.apply(SizeOf(size, "int32"))


_RULES: dict[type[Op], Any] = {
    AveragePool: _average_pool,
    AveragePoolGradient: _average_pool_gradient,
    Conv: _conv,
    ConvKernelGradient: _conv_kernel_gradient,
    ConvTranspose: _conv_transpose,
    MaxPool: _max_pool,
}
