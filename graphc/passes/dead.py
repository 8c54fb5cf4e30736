"""Dropping dead code: nodes that no output depends on.

Before::

    graph "g" {
      input %x : float32[3]
      %0 = Exp(%x) : float32[3]
      %1 = Neg(%x) : float32[3]
      output y = %1
    }

After::

    graph "g" {
      input %x : float32[3]
      %0 = Neg(%x) : float32[3]
      output y = %0
    }

Inputs stay, used or not: they are what a caller hands in.
"""

from __future__ import annotations

from graphc.ir import Graph, Node
from graphc.passes.report import Report
from graphc.passes.successor import Successor


def drop_dead(graph: Graph, report: Report | None = None, inside: bool = True) -> Graph:
    """The graph without nodes that no output depends on.

    Args:
        graph: Any graph; it stays as it is.
        report: Told how many nodes went.
        inside: Whether to look into the graphs in its ops, too. A pass that has made those has
            looked already: to do it again at each level takes the longer the deeper they are.
    """
    live = live_nodes(graph)
    if report is not None and len(live) < len(graph.nodes):
        report.apply(f"drop {len(graph.nodes) - len(live)} dead nodes")
    ops = [node.op for node in live]
    if inside:
        ops = [op.map_bodies(lambda body: drop_dead(body, report)) for op in ops]
    complete = len(live) == len(graph.nodes) and graph.__class__ is Graph
    if complete and all(node.op is op for node, op in zip(live, ops, strict=True)):
        return graph
    result = Successor(graph)
    for node, op in zip(live, ops, strict=True):
        result.repeat(node, op)
    return result.finish()


def live_nodes(graph: Graph) -> list[Node]:
    """The nodes that an output depends on, in order."""
    needed = set(graph.outputs.values())
    live = []
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(node.outputs):
            needed.update(node.inputs)
            live.append(node)
    return live[::-1]
