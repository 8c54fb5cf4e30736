"""Fusion: nodes that can share a nest of loops become one `Fused` node, which is one kernel.

Before::

    %0 = Einsum(%x, %w) {equation="bi,io->bo"} : float32[batch, 300]
    %1 = Add(%0, %b) : float32[batch, 300]
    %2 = Relu(%1) : float32[batch, 300]

after: one ``Fused`` node with the three in its body and ``%x, %w, %b`` as operands.

A body holds elementwise ops, broadcasts and the sources that they need (constants, `Iota`), with

* reductions, whose elementwise producers are computed on the fly; what depends on the result is
  computed once for each row, or in a further pass over the row while it is in the cache; or
* one contraction, whose elementwise consumers are its epilogue: bias, activation, the gradient of
  the activation, or the whole update of the weight whose gradient it is.

Groups grow along the edges of the graph. First what has one operand and one user joins its user.
Then each contraction takes in its consumers; then every
edge between two groups is tried, in order. What `check` (in `graphc.passes.space`) refuses, or what
would make a kernel need its own result, stays apart. In the end `graphc.passes.recompute` lets
kernels compute again what is cheap. The report says what was decided, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from graphc.errors import ShapeError
from graphc.ir import Graph, Node, Op, TensorType, Value
from graphc.ir.dims import Dim, product
from graphc.ops.linalg import Einsum
from graphc.passes.dead import drop_dead
from graphc.passes.order import GroupOrder
from graphc.passes.recompute import recompute
from graphc.passes.report import Report
from graphc.passes.sources import separate_sources, source_closure
from graphc.passes.space import NoSpaceError, check, is_loop_node
from graphc.passes.successor import Successor

#: Nodes in one body at most: beyond it registers spill and compile time grows.
LARGEST_GROUP = 120


class SizeOf(Op):
    """A size that is known when the program runs, as a scalar.

    Args:
        dim: The size.
        dtype: A number type.
    """

    dim: Dim
    dtype: str
    differentiable: ClassVar[bool] = False

    def infer(self) -> TensorType:
        return TensorType((), self.dtype)

    def evaluate(self) -> np.ndarray:
        return np.array(self.dim, self.dtype)


class Fused(Op):
    """The nodes of a body, computed by one kernel.

    Args:
        body: Its inputs are the operands, its outputs the results.
    """

    body: Graph
    differentiable: ClassVar[bool] = False
    body_fields: ClassVar[tuple[str, ...]] = ("body",)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expected = tuple(value.type for value in self.body.inputs)
        if types != expected:
            raise ShapeError(f"the body takes {expected}")
        return tuple(value.type for value in self.body.outputs.values())

    def evaluate(
        self, *arrays: np.ndarray, run: Callable[..., tuple[np.ndarray, ...]]
    ) -> tuple[np.ndarray, ...]:
        return run(self.body, arrays)


def fuse(graph: Graph, report: Report | None = None) -> Graph:
    """The graph with what can share a nest of loops put together.

    Args:
        graph: Without composite ops; those that are left stay nodes of their own.
        report: Told for each pair of neighbours whether they were fused, and why not.
    """
    graph = separate_sources(_with_plain_sizes(drop_dead(graph)))
    groups = Groups(graph, report or Report())
    for node in graph.nodes:
        groups.join_only_user(node)
    for node in graph.nodes:
        if isinstance(node.op, Einsum):
            groups.absorb_consumers(node)
    for node in graph.nodes:
        for value in node.inputs:
            groups.try_merge(value.node, node)
    recompute(groups)
    return _rebuild(graph, groups)


def _with_plain_sizes(graph: Graph) -> Graph:
    """`Size` nodes replaced by sources that do not keep the tensor alive."""
    if not any(node.op.reads_types_only for node in graph.nodes):
        return graph
    result = Successor(graph)
    for node in graph.nodes:
        if node.op.name != "Size":
            result.repeat(node)
            continue
        (x,) = node.inputs
        size = product(x.shape[axis] for axis in node.op.axes)
        with result.graph.at(node.location):
            if isinstance(size, int):
                result.put(node, result.graph.constant(size, node.op.dtype))
            else:
                result.put(node, result.graph.apply(SizeOf(size, node.op.dtype)))
    return result.finish()


class Groups:
    """Sets of nodes, each of which will be a kernel, with the order between them.

    They are disjoint but for what is computed again in another group: `group` says where a node's
    values are stored from. Sets of groups are bits of integers: bit i stands for the group of the
    i-th node.
    """

    def __init__(self, graph: Graph, report: Report):
        self.report = report
        self.order = {node: i for i, node in enumerate(graph.nodes)}
        self.users = graph.users()
        self.outputs = set(graph.outputs.values())
        self.sources = source_closure(graph)
        self.loops = {node for node in graph.nodes if is_loop_node(node)} - set(self.sources)
        self.group = {node: i for node, i in self.order.items() if node not in self.sources}
        self.members: dict[int, list[Node]] = {i: [node] for node, i in self.group.items()}
        self.before = GroupOrder(len(graph.nodes))
        for node, i in self.group.items():
            producers = (value.node for value in node.inputs if value.node in self.group)
            self.before.add(i, [self.order[producer] for producer in producers])
        self.refused: set[tuple[int, int, int]] = set()
        #: Further groups that compute a node.
        self.repeated: dict[Node, list[int]] = {}

    def join_only_user(self, node: Node) -> None:
        """Compute what one tensor gives where it is used, if that is one place.

        Otherwise the kernel that makes the tensor would store both: ``y`` and ``y > 0``.
        """
        if not node.op.elementwise or any(value in self.outputs for value in node.outputs):
            return
        tensors = {value for value in node.inputs if value.node not in self.sources}
        users = {user for value in node.outputs for user in self.users[value]}
        if len(tensors) == 1 and len(users) == 1:
            (user,) = users
            if user.op.elementwise:
                self.try_merge(node, user)

    def absorb_consumers(self, root: Node) -> None:
        """Merge into a node's group what uses its results, as long as something can be."""
        if root not in self.loops:
            return
        changed = True
        while changed:
            changed = False
            for node in list(self.members[self.group[root]]):
                for value in node.outputs:
                    for user in self.users[value]:
                        changed |= self.try_merge(node, user)

    def try_merge(self, producer: Node | None, consumer: Node) -> bool:
        """Merge the groups of two neighbours if that is possible; whether it was."""
        if producer not in self.loops or consumer not in self.loops:
            return False
        a, b = self.group[producer], self.group[consumer]
        if a == b:
            return False
        key = (a, b, len(self.members[a]) * 1000 + len(self.members[b]))
        if key in self.refused:
            return False
        reason = self._obstacle(a, b)
        what = f"fusion of {producer.op.name} into {consumer.op.name} {consumer.outputs[0].type}"
        if reason:
            self.report.refuse(what, reason, consumer.location)
            self.refused.add(key)
            return False
        self.report.apply(what, consumer.location)
        self._merge(a, b)
        return True

    def _obstacle(self, a: int, b: int) -> str:
        for node in self.members[b]:
            for value in node.inputs:
                other = self.group.get(value.node)  # type: ignore[arg-type]
                if other not in (None, a, b) and self.before.is_before(a, other):
                    return "something between them needs the result first"
        if len(self.members[a]) + len(self.members[b]) > LARGEST_GROUP:
            return "the kernel would grow too large"
        nodes = self.with_sources([*self.members[a], *self.members[b]])
        try:
            check(nodes, self.source_set)
        except NoSpaceError as reason:
            return str(reason)
        return ""

    def readers(self, value: Value) -> list[int]:
        """The groups that need a value and do not compute it: for them it is stored."""
        found: dict[int, None] = {}
        for user in self.users[value]:
            for group in self._homes(user):
                if value.node not in self.member_sets[group]:
                    found[group] = None
        return list(found)

    def _homes(self, node: Node) -> list[int]:
        """The groups that compute a node."""
        here = [self.group[node]] if node in self.group else []
        return here + self.repeated.get(node, [])

    def is_stored(self, value: Value) -> bool:
        """Whether a value is in memory."""
        return value.node is None or value in self.outputs or bool(self.readers(value))

    def knows(self, group: int, value: Value) -> bool:
        """Whether a group reads or computes a value."""
        members = self.member_sets[group]
        return value.node in members or any(user in members for user in self.users[value])

    def repeat(self, nodes: Iterable[Node], group: int) -> None:
        """Let a group compute nodes of another one."""
        for node in nodes:
            if node not in self.member_sets[group]:
                self.repeated.setdefault(node, []).append(group)
                self.members[group].append(node)
                self.member_sets[group].add(node)
        self.members[group].sort(key=self.order.__getitem__)

    def drop_unread(self, node: Node) -> None:
        """Take a node out of its group if nothing needs it there, and what it alone needed."""
        group = self.group.get(node)
        if group is None or any(self.is_stored(value) for value in node.outputs):
            return
        members = self.member_sets[group]
        if any(user in members for value in node.outputs for user in self.users[value]):
            return
        del self.group[node]
        members.remove(node)
        self.members[group].remove(node)
        if not members:
            del self.members[group]
            del self.member_sets[group]
        for value in node.inputs:
            if value.node is not None and self.group.get(value.node) == group:
                self.drop_unread(value.node)

    @cached_property
    def member_sets(self) -> dict[int, set[Node]]:
        """The members of each group, once groups no longer grow."""
        return {group: set(members) for group, members in self.members.items()}

    @property
    def source_set(self) -> frozenset[Node]:
        """The nodes that are repeated wherever they are needed."""
        return frozenset(self.sources)

    def with_sources(self, nodes: Iterable[Node]) -> list[Node]:
        """Nodes and the sources that they need, in topological order."""
        found = set(nodes)
        stack = list(found)
        while stack:
            node = stack.pop()
            if isinstance(node.op, Einsum):
                continue  # it reads its factors from memory
            for value in node.inputs:
                if value.node in self.sources and value.node not in found:
                    found.add(value.node)
                    stack.append(value.node)
        return sorted(found, key=self.order.__getitem__)

    def _merge(self, a: int, b: int) -> None:
        for node in self.members[b]:
            self.group[node] = a
        self.members[a] = sorted(
            [*self.members[a], *self.members.pop(b)], key=self.order.__getitem__
        )
        self.before.merge(a, b)


def _rebuild(graph: Graph, groups: Groups) -> Graph:
    """The graph with every group of loop nodes as one `Fused` node."""
    successor = Successor(graph)
    result, copies = successor.graph, successor.values
    for first in _group_order(groups):
        members = groups.members[first]
        location = members[-1].location
        if members[0] not in groups.loops or _is_view(members, groups):
            (node,) = members
            with result.at(location):
                _materialise(result, node.inputs, groups, copies)
            successor.repeat(node)
            continue
        nodes = groups.with_sources(members)
        for node in members:
            if isinstance(node.op, Einsum):
                _materialise(result, node.inputs, groups, copies)
        kept = [
            value
            for node in members
            if groups.group.get(node) == first
            for value in node.outputs
            if groups.is_stored(value)
        ]
        with result.at(location):
            _apply_body(result, f"fused{first}", nodes, kept, copies)
    _materialise(result, list(graph.outputs.values()), groups, copies)
    return successor.finish()


def _is_view(members: Sequence[Node], groups: Groups) -> bool:
    """Whether a group is a lone broadcast or reshape that its users can read through."""
    if len(members) > 1 or members[0].op.name not in ("Expand", "Reshape"):
        return False
    return members[0].output not in groups.outputs


def _group_order(groups: Groups) -> list[int]:
    """The groups, each after those that it needs."""
    order: list[int] = []
    done: set[int] = set()
    for first in sorted(groups.members):
        stack = [first]
        while stack:
            group = stack[-1]
            if group in done:
                stack.pop()
                continue
            waiting = sorted(
                {
                    groups.group[value.node]
                    for node in groups.members[group]
                    for value in node.inputs
                    if value.node in groups.group and value.node not in groups.member_sets[group]
                }
                - done
                - {group}
            )
            if waiting:
                stack.extend(waiting)
            else:
                stack.pop()
                done.add(group)
                order.append(group)
    return order


def _materialise(
    result: Graph, values: Sequence[Value], groups: Groups, copies: dict[Value, Value]
) -> None:
    """Compute sources that are needed as tensors."""
    for value in values:
        node = value.node
        if value in copies or node not in groups.sources:
            continue
        if node.op.name == "Constant":
            copies[value] = result.constant(node.op.value)
        else:
            nodes = groups.with_sources([node])
            with result.at(node.location):
                _apply_body(result, f"fused{groups.order[node]}", nodes, [value], copies)


def _apply_body(
    result: Graph, name: str, nodes: Sequence[Node], kept: list[Value], copies: dict[Value, Value]
) -> None:
    """Add a `Fused` node; ``copies`` learns where the values that are kept went."""
    body = Graph(name)
    inner: dict[Value, Value] = {}
    operands: list[Value] = []
    for node in nodes:
        if node.op.name == "Constant":
            inner[node.output] = body.constant(node.op.value)
            continue
        # Factors of a contraction are operands of their own: they are walked through in another
        # way than an epilogue walks through the same tensor.
        contracts = isinstance(node.op, Einsum)
        arguments = []
        for value in node.inputs:
            if contracts or value not in inner:
                arguments.append(body.input(f"x{len(operands)}", value.type))
                operands.append(copies[value])
                if not contracts:
                    inner[value] = arguments[-1]
            else:
                arguments.append(inner[value])
        made = body.apply(node.op, *arguments)
        inner.update(zip(node.outputs, made if isinstance(made, tuple) else (made,), strict=True))
    body.outputs = {f"y{i}": inner[value] for i, value in enumerate(kept)}
    results: Any = result.apply(Fused(body), *operands)
    copies.update(zip(kept, results, strict=True))
