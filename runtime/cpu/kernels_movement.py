"""Ops that put elements into other places: joining, padding, reading and adding rows by index."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from graphc.ir import Graph, Node, TensorType
from graphc.ir.dims import Dim, product
from graphc.ops.gather import Gather, Scatter, ScatterAdd, missing
from graphc.ops.movement import Concat, Expand, Pad
from graphc.ops.scatter import ScatterMax, ScatterMin, ScatterMul
from graphc.runtime.cpu.emitter import Emitter, Register
from graphc.runtime.cpu.frame import View
from graphc.runtime.cpu.lower import KernelWriter, Lowering, interior, loop_nest, lowers


def fill(lowering: Lowering, target: View, number: float) -> None:
    """A kernel that writes one number everywhere."""
    body = Graph("fill")
    body.outputs["y"] = Expand(target.shape)(body.constant(number, target.dtype))
    loop_nest(lowering, body, [], [target])


def copy_into(lowering: Lowering, source: View, target: View) -> None:
    """A kernel that copies one view to another."""
    body = Graph("copy")
    body.outputs["y"] = body.input("x", TensorType(source.shape, source.dtype))
    loop_nest(lowering, body, [source], [target])


@lowers(Concat)
def lower_concat(lowering: Lowering, node: Node) -> None:
    """A copy of each operand into its part of the result."""
    y = lowering.allocate(node.output)
    begin: Dim = 0
    for value in node.inputs:
        x = lowering.view(value)
        place = View(y.buffer, x.shape, y.strides, begin * y.strides[node.op.axis])
        copy_into(lowering, x, place)
        begin = begin + x.shape[node.op.axis]


@lowers(Pad)
def lower_pad(lowering: Lowering, node: Node) -> None:
    """The constant around, and a copy into the middle, unless the operand is there already."""
    op: Pad = node.op
    (value,) = node.inputs
    if lowering.pads.get(value) is node:
        _fill_borders(lowering, lowering.view(node.output), op)
        return
    x, y = lowering.view(value), lowering.allocate(node.output)
    if any(op.gaps):
        fill(lowering, y, op.value)
    else:
        _fill_borders(lowering, y, op)
    middle = interior(y, x.shape, op.before)
    strides = tuple(stride * (gap + 1) for stride, gap in zip(y.strides, op.gaps, strict=True))
    copy_into(lowering, x, View(y.buffer, x.shape, strides, middle.offset))


def _fill_borders(lowering: Lowering, y: View, op: Pad) -> None:
    """The constant everywhere but in the middle: axis after axis, the rest of them whole."""
    begin: list[Dim] = [0] * len(y.shape)
    shape = list(y.shape)
    for axis, (before, after) in enumerate(zip(op.before, op.after, strict=True)):
        inner = shape[axis] - before - after
        for first, width in ((0, before), (before + inner, after)):
            if width != 0:
                slab = (*shape[:axis], width, *shape[axis + 1 :])
                fill(
                    lowering,
                    interior(y, slab, [*begin[:axis], first, *begin[axis + 1 :]]),
                    op.value,
                )
        begin[axis], shape[axis] = before, inner


# ----------------------------------------------------------------------------------- rows by index


def _split(shape: tuple[Dim, ...], axis: int, axes: int) -> tuple[Dim, Dim]:
    """The number of elements before some axes, and behind them."""
    return product(shape[:axis]), product(shape[axis + axes :])


def _position(k: KernelWriter, indices: View, number: Register, size: Register) -> Register:
    """The place that an index means; -1 where there is none."""
    e = k.e
    index = e.load(e.offset(k.frame.pointer(indices), number, indices.dtype), indices.dtype)
    wide = e.cast(index, "index")
    if indices.dtype == "uint64":  # beyond the signed range: no place
        wide = e.select(e.compare("lt", wide, 0), e.index(-(1 << 62)), wide)
    elif not indices.dtype.startswith("u"):
        wide = e.select(e.compare("lt", wide, 0), e.add(wide, size), wide)
    known = e.logical_and(e.compare("ge", wide, 0), e.compare("lt", wide, size))
    return e.select(known, wide, e.index(-1))


@lowers(Gather)
def lower_gather(lowering: Lowering, node: Node) -> None:
    """A run of elements for each index, or what stands for a missing one."""
    op: Gather = node.op
    x = lowering.dense_view(node.inputs[0])
    indices = lowering.dense_view(node.inputs[1])
    y = lowering.allocate(node.output)
    before, behind = _split(x.shape, op.axis, 1)
    count = product(indices.shape)
    units = before * count
    with lowering.kernel("gather", [x, indices], [y], units, units * behind) as k:
        e, frame = k.e, k.frame
        size, row, counted = frame.dim(x.shape[op.axis]), frame.dim(behind), frame.dim(count)
        with e.loop(k.begin, k.end) as unit:
            outer = e.emit(f"udiv i64 {unit.text}, {counted.text}", "index")
            position = _position(k, indices, e.sub(unit, e.mul(outer, counted)), size)
            target = e.offset(frame.pointer(y), e.mul(unit, row), x.dtype)
            found = e.compare("ge", position, 0)
            with e.if_(found):
                place = e.mul(e.add(e.mul(outer, size), position), row)
                source = e.offset(frame.pointer(x), place, x.dtype)
                _row(e, row, x.dtype, partial(_copy, e, source, target, x.dtype))
            with e.if_(e.logical_not(found)):
                _row(e, row, x.dtype, partial(_fill, e, target, x.dtype))


def _copy(
    e: Emitter,
    source: Register,
    target: Register,
    dtype: str,
    i: Register,
    lanes: int,
    mask: Register | None,
) -> None:
    x = e.load(e.offset(source, i, dtype), dtype, lanes, mask)
    e.store(x, e.offset(target, i, dtype), mask)


def _fill(
    e: Emitter, target: Register, dtype: str, i: Register, lanes: int, mask: Register | None
) -> None:
    e.store(e.constant(missing(dtype), dtype, lanes), e.offset(target, i, dtype), mask)


def _combine(
    e: Emitter,
    op: Scatter,
    source: Register,
    target: Register,
    dtype: str,
    i: Register,
    lanes: int,
    mask: Register | None,
) -> None:
    place = e.offset(target, i, dtype)
    x = e.load(e.offset(source, i, dtype), dtype, lanes, mask)
    e.store(op.combine().emit(e, e.load(place, dtype, lanes, mask), x), place, mask)


@lowers(ScatterAdd, ScatterMax, ScatterMin, ScatterMul)
def lower_scatter(lowering: Lowering, node: Node) -> None:
    """What changes nothing, combined with the slices in the order of their indices.

    A unit of work is what lies at one place of the axes before, so that each element is combined
    by one thread, in order.
    """
    op: Scatter = node.op
    indices = lowering.dense_view(node.inputs[0])
    y = lowering.dense_view(node.inputs[1])
    x = lowering.allocate(node.output)
    fill(lowering, x, op.start(x.dtype))
    before, behind = _split(x.shape, op.axis, 1)
    count = product(indices.shape)
    with lowering.kernel("scatter", [indices, y], [x], before, before * count * behind) as k:
        e, frame = k.e, k.frame
        size, row, counted = frame.dim(x.shape[op.axis]), frame.dim(behind), frame.dim(count)
        with e.loop(k.begin, k.end) as outer, e.loop(0, counted) as number:
            position = _position(k, indices, number, size)
            with e.if_(e.compare("ge", position, 0)):
                place = e.mul(e.add(e.mul(outer, size), position), row)
                target = e.offset(frame.pointer(x), place, x.dtype)
                slice_ = e.mul(e.add(e.mul(outer, counted), number), row)
                source = e.offset(frame.pointer(y), slice_, x.dtype)
                _row(e, row, x.dtype, partial(_combine, e, op, source, target, x.dtype))


def _row(
    e: Emitter,
    size: Register,
    dtype: str,
    body: Callable[[Register, int, Register | None], None],
) -> None:
    """Runs over a row: ``body(index, lanes, mask)`` for a vector at a time."""
    lanes = e.target.lanes(dtype)
    e.in_vectors(size, lanes, lambda place, mask: body(place, lanes, mask))
