"""Graphs of graphc as the nodes that TensorBoard's dashboard of graphs draws.

Nodes are named after the layers they come from, ``encoder/dense_1/MatMul``, so that the dashboard
folds each layer into a box. Bodies of loops and branches are boxes inside of their node's.
"""

from __future__ import annotations

import re
from typing import Any

from graphc.ir import Graph, Node, Op, TensorType, Value

NodeTexts = dict[str, Any]


def graph_nodes(source: Any) -> list[NodeTexts]:
    """The nodes of a graph.

    Args:
        source: A `Graph`, or something with an attribute ``graph``: a program, a concrete function.

    Returns:
        For each node a dict: ``name``, ``op``, ``inputs`` (names of nodes), ``attributes`` (texts),
        and ``shapes`` of its outputs, -1 for sizes that are not known.

    Raises:
        TypeError: It is nothing of the kind.
    """
    variables = {v.name for v in getattr(source, "variables", ()) if hasattr(v, "update")}
    program = getattr(source, "program", None)
    if program is not None:
        variables = {v.name for v in program.variables}
    graph = source if isinstance(source, Graph) else getattr(source, "graph", None)
    if not isinstance(graph, Graph):
        raise TypeError(
            "a summary of a graph needs a graph, a program or a concrete function; received "
            f"{type(source).__name__}"
        )
    drawing = _Drawing()
    drawing.draw(graph, "", variables)
    return drawing.nodes


class _Drawing:
    """The nodes so far, and which of them gives a value."""

    def __init__(self) -> None:
        self.nodes: list[NodeTexts] = []
        self._names: dict[Value, str] = {}
        self._taken: dict[str, int] = {}

    def draw(self, graph: Graph, scope: str, variables: set[str]) -> None:
        """Add the nodes of a graph, all names inside a scope."""
        for value in graph.inputs:
            kind = "Variable" if value.name in variables else "Placeholder"
            self._names[value] = self._add(scope + value.name, kind, [], {}, [value.type])
        for node in graph.nodes:
            self._draw_node(node, scope)
        for name, value in graph.outputs.items():
            self._add(f"{scope}outputs/{name}", "Identity", [self._names[value]], {}, [value.type])

    def _draw_node(self, node: Node, scope: str) -> None:
        op: Op = node.op
        layer = f"{node.location.layer}/" if node.location.layer else ""
        inputs = [self._names[value] for value in node.inputs]
        attributes = _attributes(node)
        types = [output.type for output in node.outputs]
        name = self._add(f"{scope}{layer}{op.name}", op.name, inputs, attributes, types)
        for output in node.outputs:
            suffix = f":{output.index}" if output.index else ""
            self._names[output] = name + suffix
        for field, body in zip(op.body_fields, op.bodies, strict=True):
            self.draw(body, f"{name}_{field}/", set())

    def _add(
        self,
        name: str,
        op: str,
        inputs: list[str],
        attributes: dict[str, str],
        types: list[TensorType],
    ) -> str:
        free = self._free(re.sub(r"[^A-Za-z0-9_./\-]", "_", name).lstrip("_/-") or op)
        shapes = [[d if isinstance(d, int) else -1 for d in type.shape] for type in types]
        texts = (
            {"dtype": types[0].dtype, "type": str(types[0]), **attributes} if types else attributes
        )
        self.nodes.append(
            {"name": free, "op": op, "inputs": inputs, "attributes": texts, "shapes": shapes}
        )
        return free

    def _free(self, name: str) -> str:
        count = self._taken.get(name, 0)
        self._taken[name] = count + 1
        return self._free(f"{name}_{count}") if count else name


def _attributes(node: Node) -> dict[str, str]:
    """What the dashboard shows about a node besides its shapes."""
    op = node.op
    texts = {key: str(value) for key, value in op.attributes.items() if key not in op.body_fields}
    if op.name == "Constant":
        array = op.value.array
        texts["value"] = str(array) if array.size <= 16 else f"{array.size} elements"
    place = str(node.location)
    return {**texts, "location": place} if place else texts
