"""Graphs of graphc as the nodes that TensorBoard's dashboard of graphs draws.

Nodes are named after the layers they come from, ``encoder/dense_1/MatMul``, so that the dashboard
folds each layer into a box. Bodies of loops and branches are boxes inside of their node's.
"""

from __future__ import annotations

import re
from typing import Any

from graphc.ir import Graph, Node, Op, TensorType, Value
from graphc.program import Program

NodeTexts = dict[str, Any]


def graph_nodes(source: Any) -> list[NodeTexts]:
    """The nodes of a graph.

    Args:
        source: A `Graph`, a `Program`, or something that has one: a concrete function.

    Returns:
        For each node a dict: ``name``, ``op``, ``inputs`` (names of nodes), ``attributes`` (texts),
        and ``shapes`` of its outputs, -1 for sizes that are not known.

    Raises:
        TypeError: It is nothing of the kind.
    """
    program = getattr(source, "program", source)
    if isinstance(program, Graph):
        program = Program(program)
    if not isinstance(program, Program):
        raise TypeError(
            "a summary of a graph needs a graph, a program or a concrete function; received "
            f"{type(source).__name__}"
        )
    graph = program.graph
    variables = {v.name: v.update for v in program.variables}
    scopes = _variable_scopes(graph, set(variables))
    boxes = {update: scopes[name] for name, update in variables.items() if update is not None}
    drawing = _Drawing(_homes(graph, boxes) if boxes else {})
    drawing.draw(graph, "", scopes)
    return drawing.nodes


def _variable_scopes(graph: Graph, variables: set[str]) -> dict[str, str]:
    """For each variable the box it belongs to: that of the layer that reads it, if there is one."""
    scopes = {name: name.rpartition("/")[0] for name in variables}
    for node in graph.nodes:
        for value in node.inputs:
            scope, layer = scopes.get(value.name, ""), node.location.layer
            if value.node is None and scope and layer.endswith(f"/{scope}"):
                scopes[value.name] = layer
    return scopes


def _homes(graph: Graph, boxes: dict[str, str]) -> dict[Node, str]:
    """Boxes for the nodes of a program that come from no layer.

    What only one box needs (a metric, the update of a layer's weights) is part of it; what the loss
    and others need is the loss; what else several need are gradients.

    Args:
        graph: The program's graph.
        boxes: For the outputs that are new values of variables, the box of the variable.
    """
    needed: dict[Value, set[str]] = {}
    for name, value in graph.outputs.items():
        needed.setdefault(value, set()).add(boxes.get(name, name.partition("/")[0]))
    homes: dict[Node, str] = {}
    for node in reversed(graph.nodes):
        users = set().union(*(needed.get(output, set()) for output in node.outputs))
        for value in node.inputs:
            needed.setdefault(value, set()).update(users)
        if not node.location.layer:
            many = "loss" if "loss" in users else "gradients"
            homes[node] = min(users) if len(users) == 1 else many
    return homes


class _Drawing:
    """The nodes so far, and which of them gives a value.

    Args:
        homes: Boxes for nodes that come from no layer.
    """

    def __init__(self, homes: dict[Node, str]) -> None:
        self.nodes: list[NodeTexts] = []
        self._homes = homes
        self._names: dict[Value, str] = {}
        self._taken: dict[str, int] = {}

    def draw(self, graph: Graph, scope: str, variables: dict[str, str]) -> None:
        """Add the nodes of a graph, all names inside a scope.

        Args:
            graph: The graph.
            scope: Its nodes' names begin with it.
            variables: The box of each input that is a variable.
        """
        for value in graph.inputs:
            kind, name = "Placeholder", scope + value.name
            if value.name in variables:
                box = variables[value.name]
                kind, name = "Variable", f"{box}/{value.name.rpartition('/')[2]}".lstrip("/")
            self._names[value] = self._add(name, kind, [], {}, [value.type])
        for node in graph.nodes:
            self._draw_node(node, scope)
        for name, value in graph.outputs.items():
            self._add(f"{scope}outputs/{name}", "Identity", [self._names[value]], {}, [value.type])

    def _draw_node(self, node: Node, scope: str) -> None:
        op: Op = node.op
        box = node.location.layer or self._homes.get(node, "")
        layer = f"{box}/" if box else ""
        inputs = [self._names[value] for value in node.inputs]
        attributes = _attributes(node)
        types = [output.type for output in node.outputs]
        name = self._add(f"{scope}{layer}{op.name}", op.name, inputs, attributes, types)
        for output in node.outputs:
            suffix = f":{output.index}" if output.index else ""
            self._names[output] = name + suffix
        for field, body in zip(op.body_fields, op.bodies, strict=True):
            self.draw(body, f"{name}_{field}/", {})

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
