"""A graph that takes another one's place: what passes make, node by node."""

from __future__ import annotations

from collections.abc import Iterable

from graphc.ir import Graph, Node, Op, Value


class Successor:
    """A graph with the inputs of another one, to which a pass adds what it makes of its nodes.

    Args:
        old: The other graph; it stays as it is.
        new: The graph to fill, if it is not a plain one.

    Attributes:
        old: The other graph.
        graph: The new one.
        values: What the values of the old graph are in the new one.

    Example:
        >>> copy = Successor(graph)
        >>> for node in graph.nodes:
        ...     copy.repeat(node)
        >>> assert copy.finish() is graph
    """

    def __init__(self, old: Graph, new: Graph | None = None):
        self.old = old
        self.graph = Graph(old.name) if new is None else new
        self.values = {value: self.graph.input(value.name, value.type) for value in old.inputs}

    def of(self, values: Iterable[Value]) -> list[Value]:
        """What some values of the old graph are in the new one."""
        return [self.values[value] for value in values]

    def repeat(self, node: Node, op: Op | None = None) -> None:
        """Add a node of the old graph.

        Args:
            node: The node.
            op: What takes the place of its op, if that is another one.
        """
        with self.graph.at(node.location):
            copy_node(self.graph, node.op if op is None else op, node, self.values)

    def put(self, node: Node, outputs: Value | Iterable[Value]) -> None:
        """Say what takes the place of a node: a value of the new graph for each of its results."""
        found = (outputs,) if isinstance(outputs, Value) else outputs
        self.values.update(zip(node.outputs, found, strict=True))

    def finish(self) -> Graph:
        """The new graph; the old one if there is no difference, so that others see that, too."""
        self.graph.outputs = {name: self.values[x] for name, x in self.old.outputs.items()}
        is_plain = self.old.__class__ is Graph
        return self.old if is_plain and self._is_the_same() else self.graph

    def _is_the_same(self) -> bool:
        olds, news = self.old.nodes, self.graph.nodes
        if len(olds) != len(news):
            return False
        for old, new in zip(olds, news, strict=True):
            if old.op is not new.op or old.location is not new.location:
                return False
            mine, others = (*old.inputs, *old.outputs), (*new.inputs, *new.outputs)
            if len(mine) != len(others):
                return False
            if any(self.values.get(x) is not y for x, y in zip(mine, others, strict=True)):
                return False
        return True


def copy_node(result: Graph, op: Op, node: Node, values: dict[Value, Value]) -> None:
    """Apply an op in another graph in the place of a node.

    Args:
        result: The graph to add to.
        op: The node's op, or one that replaces it.
        node: The node of the old graph.
        values: Old values to new ones; the node's results are added.
    """
    if op.name == "Constant":
        values[node.output] = result.shared(op)
        return
    outputs = result.repeat(node, op, tuple([values[value] for value in node.inputs]))
    if isinstance(outputs, tuple):
        values.update(zip(node.outputs, outputs, strict=True))
    else:
        values[node.output] = outputs
