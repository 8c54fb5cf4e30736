"""Splitting long sums of few results into parts, so that threads can share them.

Before: one kernel, in which each unit of work runs through all rows::

    %0 = Mul(%x, %x)
    %1 = ReduceSum(%0) {axes=[0]} : float32[16]      # of float32[65536, 16]
    y = Sqrt(%1)

After: a kernel with a unit for each part of the rows, which writes a row of partial sums, and one
that adds those up and does the rest::

    partial = ReduceSum(Mul(x, x))                   # float32[32, 16]
    y = Sqrt(ReduceSum(partial))

Contractions that sum long are cut in the same way, in `kernels_contraction`: gradients of the
kernels of convolutions.

How many rows a part has is fixed when the program is compiled. So the sums are the same bits
whoever computes them, and at any number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphc.ir import Graph, Node, TensorType, Value
from graphc.ir.dims import Dim, ceil_divide
from graphc.ir.graph import extract
from graphc.ops.reduce import ReduceSum, Reduction
from graphc.runtime.cpu.frame import Buffer, View
from graphc.runtime.cpu.loops import LoopPlan, plan_loops, typical
from graphc.runtime.cpu.registers import HALVES
from graphc.runtime.cpu.slots import CHUNKS
from graphc.runtime.cpu.target import Target

#: Points of the nest that a part has, roughly: enough work to be worth handing out.
PART_SIZE = 1 << 15


@dataclass(frozen=True)
class Split:
    """A body as two.

    Attributes:
        first: Computes partial results; its outputs are what the body stores at every point, and
            then these.
        second: Puts them together; its inputs are they, and what it reads besides.
        stored: Which outputs of the body the first one computes.
        rest: Which outputs the second one computes.
        partial: The types of the partial results.
        loop: The loop of the first one's plan that is split.
        size: How many of its steps a part has.
        count: How many parts there are.
    """

    first: Graph
    second: Graph
    stored: tuple[str, ...]
    rest: tuple[str, ...]
    partial: tuple[TensorType, ...]
    loop: int
    size: int
    count: Dim


def split(
    body: Graph, plan: LoopPlan, operands: Sequence[View], results: Sequence[View], target: Target
) -> Split | None:
    """The two bodies that a long reduction becomes; None if it is none, or has units enough.

    Args:
        body: The body of a kernel.
        plan: Its loops.
        operands: Where its inputs are.
        results: Where its outputs go.
        target: For the number of lanes.
    """
    if not _is_worth_it(plan) or not _is_one_pass(body, plan):
        return None
    sums = list(plan.reductions)
    stored = {name: value for name, value in body.outputs.items() if plan.level(value) == 2}
    rest = {name: value for name, value in body.outputs.items() if name not in stored}
    outputs = stored | {f"partial{i}": node.output for i, node in enumerate(sums)}
    first = extract(body, f"{body.name}.parts", _inputs(body, list(outputs.values())), outputs)
    # Without the rest of the body the loops may be others.
    views = dict(zip(body.inputs, operands, strict=True))
    reads = [view for value, view in views.items() if value.name in {x.name for x in first.inputs}]
    places = dict(zip(body.outputs, results, strict=True))
    heads = [View.whole(Buffer(-1, node.output.type, "stack")) for node in sums]
    plan = plan_loops(first, reads, [*(places[name] for name in stored), *heads], target)
    if not _is_worth_it(plan):
        return None
    loop = max(plan.reduced, key=lambda loop: (typical(plan.sizes[loop]), -loop))
    points = max(1, typical(plan.elements) // max(1, typical(plan.sizes[loop])))
    size = max(plan.lanes, PART_SIZE // points // plan.lanes * plan.lanes)
    if typical(plan.sizes[loop]) < 2 * size:
        return None
    count = ceil_divide(plan.sizes[loop], size)
    partial = [TensorType((count, *node.output.shape), node.output.dtype) for node in sums]
    return Split(
        first=first,
        second=put_together(body, sums, partial, rest),
        stored=tuple(stored),
        rest=tuple(rest),
        partial=tuple(partial),
        loop=loop,
        size=size,
        count=count,
    )


def _is_worth_it(plan: LoopPlan) -> bool:
    """Whether there is much to do, and little of it that threads can share as it is."""
    return typical(plan.units) * 2 <= CHUNKS and typical(plan.elements) >= 2 * PART_SIZE


def _is_one_pass(body: Graph, plan: LoopPlan) -> bool:
    """Whether one walk through all points computes every sum, and all that is stored at points."""
    if not plan.reductions:
        return False
    for node, loops in plan.reductions.items():
        # 16-bit partial results would lose what sums in float32 have.
        if loops != plan.reduced or plan.depth[node.output] != 1 or node.output.dtype in HALVES:
            return False
    values = [value for node in body.nodes for value in node.outputs]
    return all(plan.depth[value] == 0 for value in values if plan.level(value) == 2)


def _inputs(body: Graph, outputs: Sequence[Value], given: Sequence[Value] = ()) -> dict[str, Value]:
    """Those inputs of a body that some values depend on, but for what comes through others."""
    needed: set[Value] = set()
    stack = [value for value in outputs if value not in given]
    while stack:
        value = stack.pop()
        if value not in needed and value not in given:
            needed.add(value)
            stack.extend(value.operands)
    return {value.name: value for value in body.inputs if value in needed}


def put_together(
    body: Graph, sums: Sequence[Node], partial: Sequence[TensorType], rest: Mapping[str, Value]
) -> Graph:
    """The body that puts partial results together and computes what depends on them.

    Args:
        body: The whole.
        sums: The reductions in it whose results come in parts.
        partial: The types of the parts, along axis 0.
        rest: The outputs to compute.
    """
    given = [node.output for node in sums]
    inputs = _inputs(body, list(rest.values()), given)
    totals = {f"total{i}": value for i, value in enumerate(given)}
    tail = extract(body, body.name, {**totals, **inputs}, rest)
    result = Graph(body.name)
    values = {}
    for i, (node, type) in enumerate(zip(sums, partial, strict=True)):
        op = _reduction(node)((0,))
        values[f"total{i}"] = op(result.input(f"partial{i}", type))
    for name, value in inputs.items():
        values[name] = result.input(name, value.type)
    result.outputs = result.inline(tail, values)
    return result


def _reduction(node: Node) -> type[Reduction]:
    """The reduction that puts partial results of a node together."""
    return type(node.op) if isinstance(node.op, Reduction) else ReduceSum
