"""Loop nests: the plan of how a `Fused` body becomes loops over vectors.

The loops of a body (see `graphc.passes.space`) become, from the outside in:

* *outer* loops: kept loops, which a range of work units runs over; a value that depends on them
  alone is a scalar, computed once for each unit;
* the *vector* loop, whose neighbours lie next to each other in memory: one of the kept or of the
  reduced loops;
* *reduced* loops, run once for each pass; sums stay in registers.

Neighbouring loops that every operand walks through as one are merged first. A value's *level* says
where it is computed: 0 in the outer loops, 1 in the vector loop of a kept axis, 2 in the reduced
loops. In which pass it can be computed is its *depth*: one more than what it is reduced from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from graphc.ir import Graph, Node, Value, dims
from graphc.ir.dims import Dim, ceil_divide, product
from graphc.ops.movement import Iota
from graphc.passes.space import Space, analyse
from graphc.runtime.cpu.contraction_plan import TYPICAL_SIZE
from graphc.runtime.cpu.frame import View
from graphc.runtime.cpu.registers import HALVES
from graphc.runtime.cpu.target import ITEM_SIZES, Target

#: Elements of a vector loop that form a unit of work where nothing else is looped over.
BLOCK = 4096
#: Sizes of at most so many vectors are unrolled.
UNROLLED = 4
#: Instructions of ops that take many, roughly, divisions counted as their time.
COSTS = {
    **dict.fromkeys(("Exp", "Expm1", "Log", "Log1p", "Tanh", "Sigmoid", "Erf"), 20),
    **dict.fromkeys(("Sin", "Cos", "Pow", "Mod", "Threefry"), 40),
    **dict.fromkeys(("Div", "Sqrt", "Reciprocal"), 4),
}


@dataclass
class Access:
    """How a nest walks through a tensor.

    Attributes:
        view: The tensor.
        strides: Its distance along each loop, in elements; 0 where it does not depend on it.
    """

    view: View
    strides: list[Dim]


@dataclass
class Parts:
    """A reduced loop that is split into parts of which each is a unit of work.

    Attributes:
        loop: The loop.
        size: How many of its steps a part has.
        count: How many parts there are.
        strides: What is written once for each part, and how far apart, in elements.
    """

    loop: int
    size: int
    count: Dim
    strides: list[tuple[Access, Dim]]


@dataclass
class LoopPlan:
    """The loops of a body, merged and ordered, and what happens in which.

    Attributes:
        sizes: The size of each loop.
        reduced: Which loops are reduced.
        loops: For each value the loops on which it depends.
        depth: For each value the pass in which it can be computed first.
        reductions: For each reducing node its loops.
        inputs: How each operand is read.
        outputs: How each result is written, in the body's order.
        counters: How each `Iota` counts.
        vector: The loop whose steps are lanes; None if there is no loop.
        lanes: How many.
        outer: The loops that units of work run over.
        parts: Into what a reduced loop is split; None if it is whole.
    """

    sizes: list[Dim]
    reduced: frozenset[int]
    loops: dict[Value, frozenset[int]]
    depth: dict[Value, int]
    reductions: dict[Node, frozenset[int]]
    inputs: dict[Value, Access]
    outputs: list[tuple[Value, Access]]
    counters: dict[Value, list[Dim]]
    vector: int | None = None
    lanes: int = 1
    outer: list[int] = field(default_factory=list)
    parts: Parts | None = None

    @property
    def vector_is_reduced(self) -> bool:
        """Whether the lanes are summed up."""
        return self.vector in self.reduced

    @property
    def units(self) -> Dim:
        """How many units of work there are; each may run on any thread."""
        return self.units_of_part * (1 if self.parts is None else self.parts.count)

    @property
    def units_of_part(self) -> Dim:
        """How many units each part has, or the whole if it is not split."""
        if self.outer:
            return product(self.sizes[loop] for loop in self.outer)
        if self.vector is None or self.vector_is_reduced:
            return 1
        return ceil_divide(self.sizes[self.vector], self.block)

    @property
    def block(self) -> int:
        """How much of the vector loop is a unit of work, where there is no outer loop."""
        # What is reduced is a lot of work for each vector.
        return self.lanes if self.reduced else BLOCK

    @property
    def elements(self) -> Dim:
        """How many points the nest has."""
        return product(self.sizes)

    def level(self, value: Value) -> int:
        """Where a value is computed: 0 outer loops, 1 vector loop, 2 reduced loops."""
        loops = self.loops[value]
        if loops & self.reduced:
            return 2
        return 1 if self.vector in loops else 0

    def width(self, value: Value) -> int:
        """The lanes of a value's registers."""
        return self.lanes if self.vector in self.loops[value] else 1


def plan_loops(
    body: Graph, operands: Sequence[View], results: Sequence[View], target: Target
) -> LoopPlan:
    """Merge, order and classify the loops of a body.

    Args:
        body: The body of a `Fused` node.
        operands: Where its inputs are.
        results: Where its outputs go.
        target: For the number of lanes.
    """
    space = analyse(body.nodes, [*body.inputs, *body.outputs.values()])
    count = len(space.dims)
    plan = LoopPlan(
        sizes=list(space.dims),
        reduced=space.reduced,
        loops={value: space.loops(value) for value in space.axes},
        depth=_depths(body, space),
        reductions=dict(space.reductions),
        inputs={
            value: Access(view, _strides(space, value, view.strides))
            for value, view in zip(body.inputs, operands, strict=True)
        },
        outputs=[
            (value, Access(view, _strides(space, value, view.strides)))
            for value, view in zip(body.outputs.values(), results, strict=True)
        ],
        counters={
            node.output: [
                1 if loop == space.axes[node.output][node.op.axis] else 0 for loop in range(count)
            ]
            for node in body.nodes
            if isinstance(node.op, Iota)
        },
    )
    _merge(plan)
    _choose_vector(plan, body, target)
    return plan


def _strides(space: Space, value: Value, strides: Sequence[Dim]) -> list[Dim]:
    along: list[Dim] = [0] * len(space.dims)
    for loop, stride in zip(space.axes[value], strides, strict=True):
        if loop is not None:
            along[loop] = stride
    return along


def _depths(body: Graph, space: Space) -> dict[Value, int]:
    depth = dict.fromkeys(body.inputs, 0)
    for node in body.nodes:
        level = max((depth[value] for value in node.inputs), default=0)
        if space.reductions.get(node):
            level += 1
        depth.update(dict.fromkeys(node.outputs, level))
    return depth


def _merge(plan: LoopPlan) -> None:
    """Join loops that follow each other in memory for every operand."""
    walks = [access.strides for access in plan.inputs.values()]
    walks += [access.strides for _, access in plan.outputs]
    walks += list(plan.counters.values())
    groups: list[list[int]] = []
    for loop in range(len(plan.sizes)):
        if groups and _joined(plan, walks, groups[-1][-1], loop):
            groups[-1].append(loop)
        else:
            groups.append([loop])
    if len(groups) == len(plan.sizes):
        return
    number = {loop: i for i, group in enumerate(groups) for loop in group}
    for strides in walks:
        strides[:] = [strides[group[-1]] for group in groups]
    plan.sizes = [product(plan.sizes[loop] for loop in group) for group in groups]
    plan.reduced = frozenset(number[loop] for loop in plan.reduced)
    plan.loops = {
        value: frozenset(number[loop] for loop in loops) for value, loops in plan.loops.items()
    }
    plan.reductions = {
        node: frozenset(number[loop] for loop in loops) for node, loops in plan.reductions.items()
    }


def _joined(plan: LoopPlan, walks: Sequence[Sequence[Dim]], far: int, near: int) -> bool:
    if (far in plan.reduced) != (near in plan.reduced):
        return False
    if any((far in loops) != (near in loops) for loops in plan.loops.values()):
        return False
    size = plan.sizes[near]
    return all(strides[far] == strides[near] * size for strides in walks)


def _choose_vector(plan: LoopPlan, body: Graph, target: Target) -> None:
    """The vector loop is the one along which most of the traffic is contiguous.

    Unless along another one it takes less than half the instructions: lanes along a short sum
    leave all that is done with the sum to scalars.
    """
    if not plan.sizes:
        return
    scores = [0] * len(plan.sizes)
    accesses = [(access, 2) for access in plan.inputs.values()]
    accesses += [(access, 3) for _, access in plan.outputs]
    for access, weight in accesses:
        walked = [loop for loop, stride in enumerate(access.strides) if stride != 0]
        # What is read or written at every point weighs more than what is once a row.
        weight *= 16 if plan.reduced <= set(walked) else 1
        for loop in walked:
            scores[loop] += weight * (2 if access.strides[loop] == 1 else -1)
    # Of equals the last: there the loops end.
    contiguous = max(range(len(scores)), key=lambda loop: (scores[loop], loop))
    costs = [_instructions(plan, body, loop, target) for loop in range(len(scores))]
    cheapest = min(range(len(costs)), key=lambda loop: costs[loop])
    plan.vector = cheapest if 2 * costs[cheapest] < costs[contiguous] else contiguous
    plan.lanes = _lanes(plan, plan.vector, target)
    plan.outer = [
        loop for loop in range(len(plan.sizes)) if loop not in plan.reduced and loop != plan.vector
    ]


def _instructions(plan: LoopPlan, body: Graph, vector: int, target: Target) -> float:
    """How many instructions the nest takes, roughly, with the lanes along one of its loops."""
    lanes = _lanes(plan, vector, target)
    outer = frozenset(range(len(plan.sizes))) - plan.reduced - {vector}

    def times(loops: frozenset[int]) -> int:
        sizes = {loop: typical(plan.sizes[loop]) for loop in outer | loops}
        return math.prod(-(-n // lanes) if loop == vector else n for loop, n in sizes.items())

    total = 0.0
    for node in body.nodes:
        if node.op.elementwise:
            total += COSTS.get(node.op.name, 1) * times(plan.loops[node.output])
        elif node in plan.reductions:
            total += times(frozenset().union(*(plan.loops[value] for value in node.inputs)))
            if vector in plan.reductions[node]:  # then the lanes are added up
                total += 2 * lanes.bit_length() * times(plan.loops[node.output])
    accesses = [(value, access, 2) for value, access in plan.inputs.items()]
    accesses += [(value, access, 4) for value, access in plan.outputs]
    for value, access, scattered in accesses:
        strided = vector in plan.loops[value] and access.strides[vector] != 1
        total += times(plan.loops[value]) * (scattered * lanes if strided else 1)
    return total


def typical(dim: Dim) -> int:
    """A size as a number, where only a decision depends on it."""
    if isinstance(dim, int):
        return dim
    return dims.evaluate(dim, dict.fromkeys(dims.symbols(dim), TYPICAL_SIZE))


def _lanes(plan: LoopPlan, vector: int, target: Target) -> int:
    dtypes = {value.dtype for value, loops in plan.loops.items() if vector in loops}
    # 16-bit floats are computed as float32.
    width = max((4 if x in HALVES else ITEM_SIZES[x] for x in dtypes), default=4)
    lanes = target.vector_bits // 8 // width
    size = plan.sizes[vector]
    if isinstance(size, int):
        while lanes > 1 and lanes // 2 >= size:
            lanes //= 2
    return lanes
