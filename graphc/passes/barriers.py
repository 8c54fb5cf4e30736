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
from graphc.passes.dead import copy_node
from graphc.passes.report import Report


def drop_barriers(graph: Graph, report: Report | None = None) -> Graph:
    """The graph without `After`.

    Args:
        graph: Any graph; it stays as it is.
        report: Told what was dropped.
    """
    result = Graph(graph.name)
    values = {value: result.input(value.name, value.type) for value in graph.inputs}
    for node in graph.nodes:
        if node.op.name == "After":
            values[node.output] = values[node.inputs[0]]
            if report is not None:
                report.apply("drop After", node.location)
            continue
        result.location = node.location
        copy_node(
            result, node.op.map_bodies(lambda body: drop_barriers(body, report)), node, values
        )
    result.outputs = {name: values[value] for name, value in graph.outputs.items()}
    return result
