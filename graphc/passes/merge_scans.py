"""Merging scans that take the same steps: one scan gives the step outputs of all of them.

Before, with bodies that compute the same carry ``h``::

    %0, %1 = Scan(%h, %x, %kernel) {... h, y = body(h, x, kernel)}
    %2, %3, %4 = Scan(%h, %x, %kernel) {... h, y, z = body(h, x, kernel)}

After::

    %0, %1, %2 = Scan(%h, %x, %kernel) {... h, y, z = body(h, x, kernel)}

The gradient of a scan repeats it with more step outputs, those that the way back needs; this pass
makes one of the two. Scans are merged if they have the same operands and direction and if their
carries follow from each other by the same nodes. It wants common subexpressions merged before, so
that equal operands are one value, and leaves new ones where merged results had users of their own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from graphc.ir import Graph, Node, Value, extract
from graphc.ops.control import Scan
from graphc.passes.report import Report
from graphc.passes.successor import Successor, copy_node


def merge_scans(graph: Graph, report: Report | None = None) -> Graph:
    """The graph with scans that take the same steps merged.

    Args:
        graph: Any graph; it stays as it is.
        report: Told which scans were merged.
    """
    ops = {node: node.op.map_bodies(lambda body: merge_scans(body, report)) for node in graph.nodes}
    families = _families(graph, ops)
    result = Successor(graph)
    for node in graph.nodes:
        family = families.get(node)
        if family is None or len(family.members) == 1:
            result.repeat(node, ops[node])
            continue
        if node is family.first:
            with result.graph.at(node.location):
                merged = family.merged()
                family.results = result.graph.apply(merged, *result.of(node.inputs))
        elif report is not None:
            report.apply("merge scans", node.location)
        result.put(node, [family.results[place] for place in family.members[node]])
    return result.finish()


class _Family:
    """Scans that become one.

    Attributes:
        first: The first of them, in whose place the merged one is put.
        members: For each scan, which results of the merged one its results are.
        results: The results of the merged one, once it has been added.
    """

    def __init__(self, node: Node, op: Scan):
        self.first = node
        self.op = op
        self.members: dict[Node, list[int]] = {}
        self.results: Sequence[Value] = ()
        self._graph = Graph(op.body.name)
        self._inputs = [self._graph.input(value.name, value.type) for value in op.body.inputs]
        self._known: dict[Any, tuple[Value, ...]] = {}
        self._outputs = self._intern(op.body)[: op.carries]
        self.join(node, op)

    def join(self, node: Node, op: Scan) -> bool:
        """Take a scan in, unless its carries go another way."""
        outputs = self._intern(op.body)
        carries = op.carries
        if outputs[:carries] != self._outputs[:carries]:
            return False
        places = list(range(carries))
        for value in outputs[carries:]:
            stacked = self._outputs[carries:]
            if value not in stacked:
                self._outputs.append(value)
                stacked.append(value)
            places.append(carries + stacked.index(value))
        self.members[node] = places
        return True

    def merged(self) -> Scan:
        """The scan with the step outputs of all members."""
        inputs = {value.name: value for value in self._inputs}
        outputs = {f"y{i}": value for i, value in enumerate(self._outputs)}
        body = extract(self._graph, self.op.body.name, inputs, outputs)
        return dataclasses.replace(self.op, body=body)

    def _intern(self, body: Graph) -> list[Value]:
        """The outputs of a body in the common graph, where equal nodes are one."""
        copies = dict(zip(body.inputs, self._inputs, strict=True))
        for node in body.nodes:
            key = (node.op, *[copies[value] for value in node.inputs])
            if key not in self._known:
                copy_node(self._graph, node.op, node, copies)
                self._known[key] = tuple(copies[value] for value in node.outputs)
            copies.update(zip(node.outputs, self._known[key], strict=True))
        return [copies[value] for value in body.outputs.values()]


def _families(graph: Graph, ops: dict[Node, Any]) -> dict[Node, _Family]:
    """For each scan the family it belongs to."""
    same: dict[Value, tuple[_Family, int]] = {}
    by_operands: dict[Any, list[_Family]] = {}
    families: dict[Node, _Family] = {}
    for node in graph.nodes:
        op = ops[node]
        if not isinstance(op, Scan):
            continue
        # A result of a family stands for the equal results of all its members.
        operands = tuple(same.get(value, value) for value in node.inputs)
        key = (operands, op.carries, op.sequences, op.reverse, op.steps)
        candidates = by_operands.setdefault(key, [])
        family = next((known for known in candidates if known.join(node, op)), None)
        if family is None:
            family = _Family(node, op)
            candidates.append(family)
        families[node] = family
        places = family.members[node]
        same.update((value, (family, i)) for value, i in zip(node.outputs, places, strict=True))
    return families
