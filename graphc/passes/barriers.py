"""Dropping barriers, once nothing is shared or moved any more.

Before::

    graph "g" {
      input %x : float32[3]
      input %dy : float32[3]
      %0 = After(%x, %dy) : float32[3]
      %1 = Exp(%0) : float32[3]
      %2 = Mul(%1, %dy) : float32[3]
      output dx = %2
    }

After::

    graph "g" {
      input %x : float32[3]
      input %dy : float32[3]
      %0 = Exp(%x) : float32[3]
      %1 = Mul(%0, %dy) : float32[3]
      output dx = %1
    }

What is computed anew stays in its place: nodes keep their order.
"""

from __future__ import annotations

from graphc.ir import Graph
from graphc.passes.report import Report
from graphc.passes.successor import Successor


def drop_barriers(graph: Graph, report: Report | None = None) -> Graph:
    """The graph without `After`.

    Args:
        graph: Any graph; it stays as it is.
        report: Told what was dropped.
    """
    result = Successor(graph)
    for node in graph.nodes:
        if node.op.name == "After":
            result.put(node, result.of(node.inputs[:1]))
            if report is not None:
                report.apply("drop After", node.location)
            continue
        result.repeat(node, node.op.map_bodies(lambda body: drop_barriers(body, report)))
    return result.finish()
