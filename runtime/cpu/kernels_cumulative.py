"""Running sums, products and extremes: as many lines side by side as fit a vector."""

from __future__ import annotations

from graphc.ir import Node
from graphc.ir.dims import product
from graphc.ops.cumulative import CumMax, CumProd, CumSum, Cumulative, wide_dtype
from graphc.runtime.cpu.lower import Lowering, lowers


@lowers(CumSum, CumProd, CumMax)
def lower_cumulative(lowering: Lowering, node: Node) -> None:
    """A unit of work is a vector of lines that lie side by side (a line, if it is the last axis).

    Each line is combined from one end to the other, so the order is always the same.
    """
    op: Cumulative = node.op
    x = lowering.dense_view(node.inputs[0])
    y = lowering.allocate(node.output)
    wide = wide_dtype(x.dtype)
    before, behind = product(x.shape[: op.axis]), product(x.shape[op.axis + 1 :])
    lanes = 1 if behind == 1 else lowering.module.target.lanes(wide)
    blocks = (behind + lanes - 1) // lanes
    with lowering.kernel("cumulative", [x], [y], before * blocks, product(x.shape)) as k:
        e, frame = k.e, k.frame
        size, row, per_row = (frame.dim(dim) for dim in (x.shape[op.axis], behind, blocks))
        start = e.constant(op.start(wide), wide, lanes)
        with e.loop(k.begin, k.end) as unit:
            outer = e.emit(f"udiv i64 {unit.text}, {per_row.text}", "index")
            column = e.mul(e.sub(unit, e.mul(outer, per_row)), lanes)
            whole = isinstance(behind, int) and behind % lanes == 0
            mask = None if whole else e.tail_mask(e.sub(row, column), lanes)
            first = e.add(e.mul(e.mul(outer, size), row), column)
            with e.carry(0, size, 1, [start]) as loop:
                step = e.sub(e.sub(size, loop.index), 1) if op.reverse else loop.index
                place = e.add(first, e.mul(step, row))
                source = e.offset(frame.pointer(x), place, x.dtype)
                element = e.cast(e.load(source, x.dtype, lanes, mask), wide)
                combined = op.combine().emit(e, loop.values[0], element)
                result = loop.values[0] if op.exclusive else combined
                target = e.offset(frame.pointer(y), place, y.dtype)
                e.store(e.cast(result, y.dtype), target, mask)
                loop.values[0] = combined
