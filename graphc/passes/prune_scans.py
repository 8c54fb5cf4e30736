"""Pruning scans: what no one reads is neither carried, nor computed, nor stacked.

Before, where nobody reads ``%1``::

    %0, %1 = Scan(%h, %x, %kernel) {... h, y = body(h, x, kernel)}
    output y = %0

After::

    %0 = Scan(%h, %x, %kernel) {... h = body(h, x, kernel)}
    output y = %0

A carry is needed if its final value is read, or if something that is needed reads it in a step.
Dead nodes go at the same time, as they may read what is pruned.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from graphc.ir import Graph, Node, Value, ancestors, extract
from graphc.ops.control import Scan
from graphc.passes.report import Report
from graphc.passes.successor import Successor


@dataclass(frozen=True)
class _Pruned:
    """A scan with less.

    Args:
        op: The scan that is left.
        inputs: The positions of the operands that it keeps.
        outputs: The positions of the results that it keeps.
    """

    op: Scan
    inputs: list[int]
    outputs: list[int]

    def is_all_of(self, node: Node) -> bool:
        """Whether nothing was pruned."""
        return len(self.inputs) == len(node.inputs) and len(self.outputs) == len(node.outputs)


def prune_scans(graph: Graph, report: Report | None = None) -> Graph:
    """The graph without carries, sequences, constants and results of scans that nobody reads.

    Args:
        graph: Any graph; it stays as it is.
        report: Told which scans became smaller.
    """
    live = set(graph.outputs.values())
    kept: list[Node] = []
    pruned: dict[Node, _Pruned] = {}
    for node in reversed(graph.nodes):
        if live.isdisjoint(node.outputs):
            continue
        kept.append(node)
        operands = node.inputs
        if isinstance(node.op, Scan):
            pruned[node] = _prune(node, live)
            operands = tuple(operands[i] for i in pruned[node].inputs)
        live.update(operands)
    result = Successor(graph)
    for node in reversed(kept):
        smaller = pruned.get(node)
        if smaller is None or smaller.is_all_of(node):
            result.repeat(node, node.op.map_bodies(lambda body: prune_scans(body, report)))
            continue
        op = smaller.op.map_bodies(lambda body: prune_scans(body, report))
        with result.graph.at(node.location):
            read = result.of(node.inputs[i] for i in smaller.inputs)
            results = result.graph.apply(op, *read)
        outputs = [node.outputs[i] for i in smaller.outputs]
        result.values.update(zip(outputs, results, strict=True))
        if report is not None and len(smaller.outputs) < len(node.outputs):
            report.apply("prune a scan", node.location)
    return result.finish()


def _prune(node: Node, live: set[Value]) -> _Pruned:
    op: Scan = node.op
    results = list(op.body.outputs.values())
    needed = {i for i, value in enumerate(node.outputs) if value in live}
    while True:
        read = ancestors(results[i] for i in needed)
        carried = {i for i in range(op.carries) if op.body.inputs[i] in read}
        if carried <= needed:
            break
        needed |= carried
    outputs = sorted(needed)
    carries = sum(i < op.carries for i in outputs)
    inputs = outputs[:carries]
    inputs += [i for i in range(op.carries, len(node.inputs)) if op.body.inputs[i] in read]
    last = op.carries + op.sequences
    sequences = sum(op.carries <= i < last for i in inputs)
    steps = None if sequences else op.step_count([value.type for value in node.inputs])
    body = extract(
        op.body,
        op.body.name,
        {op.body.inputs[i].name: op.body.inputs[i] for i in inputs},
        {f"y{i}": results[i] for i in outputs},
    )
    smaller = dataclasses.replace(op, body=body, carries=carries, sequences=sequences, steps=steps)
    return _Pruned(smaller, inputs, outputs)
