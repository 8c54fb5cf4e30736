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

from graphc.ir import Graph, Node, Op, Value
from graphc.passes.report import Report


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
    result = Graph(graph.name)
    values = {value: result.input(value.name, value.type) for value in graph.inputs}
    for node in live:
        op = node.op.map_bodies(lambda body: drop_dead(body, report)) if inside else node.op
        result.location = node.location
        copy_node(result, op, node, values)
    result.outputs = {name: values[value] for name, value in graph.outputs.items()}
    return result


def copy_node(result: Graph, op: Op, node: Node, values: dict[Value, Value]) -> None:
    """Apply an op in another graph in the place of a node.

    Args:
        result: The graph to add to.
        op: The node's op, or one that replaces it.
        node: The node of the old graph.
        values: Old values to new ones; the node's results are added.
    """
    if op.name == "Constant":
        values[node.output] = result.constant(op.value)  # type: ignore[attr-defined]
        return
    outputs = result.repeat(node, op, tuple([values[value] for value in node.inputs]))
    if isinstance(outputs, tuple):
        values.update(zip(node.outputs, outputs, strict=True))
    else:
        values[node.output] = outputs


def live_nodes(graph: Graph) -> list[Node]:
    """The nodes that an output depends on, in order."""
    needed = set(graph.outputs.values())
    live = []
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(node.outputs):
            needed.update(node.inputs)
            live.append(node)
    return live[::-1]
