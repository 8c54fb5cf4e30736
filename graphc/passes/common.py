"""Sharing common subexpressions: what is computed twice from the same operands is computed once.

Before::

    graph "g" {
      input %x : float32[3]
      input %z : float32[3]
      %0 = Add(%x, %z) : float32[3]
      %1 = Add(%z, %x) : float32[3]
      %2 = Mul(%0, %1) : float32[3]
      output y = %2
    }

After::

    graph "g" {
      input %x : float32[3]
      input %z : float32[3]
      %0 = Add(%x, %z) : float32[3]
      %1 = Mul(%0, %0) : float32[3]
      output y = %1
    }

Ops have no effects and random numbers are keyed by explicit counters, so equal ops of the same
operands give equal results.
"""

from __future__ import annotations

import math
from typing import Any

from graphc.ir import Graph, Op, Value
from graphc.passes.dead import drop_dead
from graphc.passes.report import Report
from graphc.passes.rules_arithmetic import COMMUTATIVE
from graphc.passes.successor import Successor


def share_common(graph: Graph, report: Report | None = None) -> Graph:
    """The graph with each computation done once, sub-graphs for themselves.

    Args:
        graph: Any graph; it stays as it is.
        report: Told what was shared.
    """
    result = Successor(graph)
    values = result.values
    order = {value: number for number, value in enumerate(values.values())}
    known: dict[Any, tuple[Value, ...]] = {}
    for node in graph.nodes:
        op = node.op.map_bodies(lambda body: share_common(body, report))
        operands = [order[values[value]] for value in node.inputs]
        if op.name in COMMUTATIVE:
            operands.sort()
        key = (op, _zero_signs(op), *operands)
        found = known.get(key)
        if found is not None:
            result.put(node, found)
            if report is not None:
                report.apply(f"share {op.name}", node.location)
            continue
        result.repeat(node, op)
        known[key] = tuple(values[value] for value in node.outputs)
        for value in known[key]:
            order[value] = len(order)
    return drop_dead(result.finish(), inside=False)


def _zero_signs(op: Op) -> tuple[float, ...]:
    """The signs of floating-point attributes: 0.0 equals -0.0 but is not the same."""
    numbers = [value for value in op.attributes.values() if isinstance(value, float)]
    return tuple(math.copysign(1, number) for number in numbers)
