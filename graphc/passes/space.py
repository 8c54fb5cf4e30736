"""Iteration spaces: which loops a set of nodes runs in, and which axis of a value is which loop.

Elementwise ops, broadcasts, reductions and contractions are all points of one nest of loops. Every
axis of every value (but those of size 1) belongs to one loop; `analyse` finds out which, or says
why the nodes do not fit into one nest.

A loop is *reduced* if some node sums (multiplies, ...) along it, else it is *kept*. A value is
*outer* if it has kept loops only, and *inner* if it has reduced ones too. Softmax over ``[batch,
classes]`` keeps ``batch`` and reduces ``classes``; the maximum and the sum are outer values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from graphc.ir import Node, Value
from graphc.ir.dims import Dim, product
from graphc.ops.linalg import Einsum
from graphc.ops.movement import Expand, Iota, Reshape
from graphc.ops.reduce import ReduceMax, ReduceMin, ReduceProd, ReduceSum, Reduction

#: Reductions that a loop nest computes by itself.
REDUCTIONS = (ReduceSum, ReduceProd, ReduceMax, ReduceMin)
#: A row that a nest walks through several times is at most so long: it has to stay in the cache.
LONGEST_ROW = 16384

Axes = tuple[int | None, ...]


class NoSpaceError(Exception):
    """The nodes do not share a nest of loops; the text says why."""


@dataclass
class Space:
    """A nest of loops.

    Attributes:
        dims: the size of each loop, outermost first.
        axes: for each value and each of its axes the loop it is; None for size 1.
        reductions: for each node that reduces the loops that it reduces (none where all are of
            size 1: then it only passes its operand on).
    """

    dims: list[Dim]
    axes: dict[Value, Axes]
    reductions: dict[Node, frozenset[int]]

    @cached_property
    def reduced(self) -> frozenset[int]:
        """The loops that some node reduces."""
        return frozenset().union(*self.reductions.values())

    @cached_property
    def kept(self) -> frozenset[int]:
        """The loops that are not reduced."""
        return frozenset(range(len(self.dims))) - self.reduced

    def loops(self, value: Value) -> frozenset[int]:
        """The loops on which a value depends."""
        return frozenset(axis for axis in self.axes[value] if axis is not None)

    def is_outer(self, value: Value) -> bool:
        """Whether a value depends on kept loops only."""
        return self.reduced.isdisjoint(self.axes[value])


def is_squeeze(node: Node) -> bool:
    """Whether a node only adds or removes axes of size 1."""
    if not isinstance(node.op, Reshape):
        return False
    before, after = node.inputs[0].shape, node.outputs[0].shape
    return [d for d in before if d != 1] == [d for d in after if d != 1]


def is_loop_node(node: Node) -> bool:
    """Whether a loop nest can compute a node."""
    op = node.op
    if op.elementwise:
        return op.has_rule("emit")
    return isinstance(op, (Expand, Einsum, *REDUCTIONS)) or is_squeeze(node)


def is_source(node: Node) -> bool:
    """Whether a node makes its values from nothing, at no cost: it is repeated where needed."""
    op = node.op
    if op.name == "Constant":
        return node.output.type.size == 1
    return isinstance(op, Iota) or op.name == "SizeOf"


def analyse(
    nodes: Sequence[Node], values: Iterable[Value] = (), shared_factors: bool = False
) -> Space:
    """The loops of nodes in topological order, and of further values.

    Args:
        nodes: What runs in the loops.
        values: Further values whose loops are wanted.
        shared_factors: Whether a factor of a contraction may be used in another way too. Then the
            space says nothing of factors: a tensor may be one factor by rows, another by columns,
            and an operand of the epilogue.

    Raises:
        NoSpaceError: The nodes are not one nest.
    """
    classes = _Classes(shared_factors)
    for value in values:
        classes.axes_of(value)
    for node in nodes:
        _unify(classes, node)
    return _space(classes, nodes)


def check(nodes: Sequence[Node], sources: frozenset[Node]) -> Space:
    """The loops of nodes, if one kernel can run them.

    Args:
        nodes: In topological order, with the sources that they need.
        sources: Those of them that are sources: they may have any loops.

    Raises:
        NoSpaceError: One kernel cannot, or should not, run them; the text says why.
    """
    space = analyse(nodes, shared_factors=True)
    work = [node for node in nodes if node not in sources]
    for node in work:
        _check_loops(space, node)
    contractions = [node for node in work if isinstance(node.op, Einsum)]
    passes = _passes(space, work)
    if contractions:
        if len(contractions) > 1:
            raise NoSpaceError("a kernel has one contraction")
        inside = {value for node in work for value in node.outputs}
        inner = any(not space.is_outer(value) for value in inside)
        if inner or not inside.isdisjoint(contractions[0].inputs):
            raise NoSpaceError("a contraction reads its operands from memory")
        if passes > 1:
            raise NoSpaceError("a contraction is summed once")
    if passes > 1:
        _check_rows(space)
    return space


def _check_loops(space: Space, node: Node) -> None:
    """Every value is computed once for each point of the kept loops."""
    for value in node.outputs:
        if not space.kept.issubset(space.axes[value]):
            raise NoSpaceError(f"{node.op.name} has fewer elements than the loops around it")
        if space.reductions.get(node) and not space.is_outer(value):
            raise NoSpaceError("what one of them reduces is an axis of what the other one gives")


def _passes(space: Space, work: Sequence[Node]) -> int:
    """How many times the reduced loops are run one after the other."""
    if not space.reduced:
        return 1
    depth: dict[Value, int] = {}
    passes = 1
    for node in work:
        level = max((depth.get(value, 0) for value in node.inputs), default=0)
        inner = any(not space.is_outer(value) for value in node.outputs)
        reduces = bool(space.reductions.get(node))
        if inner or reduces:
            passes = max(passes, level + 1)
        for value in node.outputs:
            depth[value] = level + 1 if reduces else level
    return passes


def _check_rows(space: Space) -> None:
    kept = [axis for axis in range(len(space.dims)) if axis not in space.reduced]
    length = product(space.dims[axis] for axis in space.reduced)
    if not kept:
        raise NoSpaceError("a result of everything is needed before the next pass over everything")
    if not isinstance(length, int) or length > LONGEST_ROW:
        raise NoSpaceError(f"rows of {length} elements do not stay in the cache from pass to pass")
    if max(kept) > min(space.reduced):
        raise NoSpaceError("the reduced axes are not the last ones")


class _Classes:
    """Union-find over the axes of values."""

    def __init__(self, shared_factors: bool) -> None:
        self.shared_factors = shared_factors
        self.parents: list[int] = []
        self.sizes: list[Dim] = []
        self.axes: dict[Value, list[int | None]] = {}
        self.reductions: dict[Node, list[int]] = {}

    def axes_of(self, value: Value) -> list[int | None]:
        known = self.axes.get(value)
        if known is None:
            known = self.axes[value] = self.new_axes(value)
        return known

    def axes_like(
        self, value: Value, others: Sequence[Value], axes: Sequence[list[int | None]]
    ) -> list[int | None]:
        """`axes_of` a value; if it is new, those of another one of its shape."""
        if value not in self.axes:
            for other, known in zip(others, axes, strict=False):
                if other.shape == value.shape:
                    self.axes[value] = known
                    return known
        return self.axes_of(value)

    def new_axes(self, value: Value) -> list[int | None]:
        """Loops of their own for the axes of a value."""
        return [None if dim == 1 else self.fresh(dim) for dim in value.type.shape]

    def fresh(self, dim: Dim) -> int:
        self.parents.append(len(self.parents))
        self.sizes.append(dim)
        return len(self.parents) - 1

    def find(self, axis: int) -> int:
        while self.parents[axis] != axis:
            self.parents[axis] = self.parents[self.parents[axis]]
            axis = self.parents[axis]
        return axis

    def join(self, a: int | None, b: int | None) -> None:
        if a is not None and b is not None:
            self.parents[self.find(b)] = self.find(a)


def _unify(classes: _Classes, node: Node) -> None:
    op = node.op
    own = classes.shared_factors and isinstance(op, Einsum)
    of = classes.new_axes if own else classes.axes_of
    operands = [] if op.reads_types_only else [of(value) for value in node.inputs]
    if isinstance(op, Einsum):
        letters: dict[str, int | None] = {}
        results = classes.axes_of(node.output)
        for term, axes in zip(op.terms, (*operands, results), strict=True):
            for letter, axis in zip(term, axes, strict=True):
                classes.join(letters.setdefault(letter, axis), axis)
        classes.reductions[node] = [
            axis
            for letter, axis in letters.items()
            if axis is not None and letter not in op.terms[2]
        ]
    elif isinstance(op, Reduction):
        (axes,) = operands
        result: list[int | None] = []
        for axis, loop in enumerate(axes):
            if axis not in op.axes:
                result.append(loop)
            elif op.keep:
                result.append(None)
        classes.reductions[node] = [
            loop for i, loop in enumerate(axes) if i in op.axes and loop is not None
        ]
        classes.axes[node.output] = result
    elif isinstance(op, Reshape):
        (axes,) = operands
        loops = iter([axis for axis in axes if axis is not None])
        classes.axes[node.output] = [
            None if dim == 1 else next(loops) for dim in node.output.type.shape
        ]
    else:
        for value in node.outputs:
            results = classes.axes_like(value, node.inputs, operands)
            for axes in operands:
                if axes is not results:
                    for a, b in zip(reversed(results), reversed(axes), strict=False):
                        classes.join(a, b)


def _space(classes: _Classes, nodes: Sequence[Node]) -> Space:
    roots: dict[Value, list[int | None]] = {
        value: [None if axis is None else classes.find(axis) for axis in axes]
        for value, axes in classes.axes.items()
    }
    for value, axes in roots.items():
        present = [axis for axis in axes if axis is not None]
        if len(set(present)) != len(present):
            raise NoSpaceError(f"two axes of {value.type} are the same loop")
    # Loops in the order of the values that have most of them; contractions name theirs in the
    # order result, then sum.
    order: dict[int, int] = {}
    for axes in sorted(roots.values(), key=lambda axes: -sum(axis is not None for axis in axes)):
        for axis in axes:
            if axis is not None:
                order.setdefault(axis, len(order))
    for loops in classes.reductions.values():
        for loop in loops:
            order.setdefault(classes.find(loop), len(order))
    dims = [classes.sizes[axis] for axis in order]
    mapped = {
        value: tuple(None if axis is None else order[axis] for axis in axes)
        for value, axes in roots.items()
    }
    reductions = {
        node: frozenset(order[classes.find(axis)] for axis in axes)
        for node, axes in classes.reductions.items()
    }
    return Space(dims, mapped, reductions)
