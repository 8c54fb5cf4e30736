"""Checking that a graph keeps every invariant of the intermediate representation.

`Graph.apply` cannot build a broken graph; a pass that puts one together by hand can. A graph is
sound if

* its inputs and values belong to it, and each knows its own place in it,
* every operand is an input or comes from an earlier node, and no value is computed twice,
* every op is a known one, and each result has the type that the op infers,
* sizes are not negative and element types are known,
* input names are unique, and output names stand for its values,
* the sub-graphs of its ops are sound.
"""

from __future__ import annotations

from typing import Any

from graphc.errors import GraphcError, GraphError
from graphc.ir.dims import SymbolicDim
from graphc.ir.graph import Graph, Node, Value
from graphc.ir.op import Op
from graphc.ir.text import node_text, value_names
from graphc.ir.types import ALL_DTYPES, TensorType

#: How many nodes before and after a broken one are shown.
NEIGHBOURS = 3


def verify(graph: Graph) -> None:
    """Check a graph.

    Args:
        graph: The graph.

    Raises:
        GraphError: It breaks an invariant. The message says which, and shows the nodes around.

    Example:
        >>> verify(graph)
    """
    _Verification(graph).run()


class _Verification:
    def __init__(self, graph: Graph):
        self.graph = graph
        self.known: set[Value] = set()
        self.place = -1  # of the node that is looked at

    def run(self) -> None:
        self._inputs()
        for place, node in enumerate(self.graph.nodes):
            self.place = place
            self._node(node)
        self.place = len(self.graph.nodes)
        self._outputs()

    def _inputs(self) -> None:
        names = set()
        for place, value in enumerate(self.graph.inputs):
            if not isinstance(value, Value):
                self._fail(f"input {place} is no value but {value!r}")
            if value.name in names:
                self._fail(f'two inputs are called "{value.name}"')
            names.add(value.name)
            if value.node is not None:
                self._fail(f'input "{value.name}" is computed by a node')
            self._value(value, place, f'input "{value.name}"')

    def _node(self, node: Node) -> None:
        op = node.op
        if not isinstance(op, Op) or Op.registry.get(op.name) is not type(op):
            self._fail(f"{op!r} is no op of the registry")
        for place, value in enumerate(node.inputs):
            if value not in self.known:
                self._fail(f"operand {place} of {op.name} {self._stranger(value)}")
        for place, value in enumerate(node.outputs):
            if value.node is not node:
                self._fail(f"result {place} of {op.name} names another node as its own")
            self._value(value, place, f"result {place} of {op.name}")
        self._types(node)
        for field, body in zip(op.body_fields, op.bodies, strict=True):
            try:
                verify(body)
            except GraphError as error:
                self._fail(f"{field} of {op.name} is broken: {error}")

    def _value(self, value: Value, place: int, what: str) -> None:
        if value in self.known:
            self._fail(f"{what} is in the graph already")
        if value.graph is not self.graph:
            self._fail(f"{what} belongs to another graph")
        if value.index != place:
            self._fail(f"{what} says that its place is {value.index}, but it is {place}")
        type = value.type
        if not isinstance(type, TensorType) or type.dtype not in ALL_DTYPES:
            self._fail(f"{what} has no type that is known: {type}")
        for dim in type.shape:
            if not isinstance(dim, SymbolicDim) and (not isinstance(dim, int) or dim < 0):
                self._fail(f"{what} has {dim!r} as a size in {type}")
        self.known.add(value)

    def _types(self, node: Node) -> None:
        try:
            inferred = node.op.infer(*[value.type for value in node.inputs])
        except GraphcError as error:
            self._fail(f"{node.op.name} does not take its operands: {error}")
        types = inferred if isinstance(inferred, tuple) else (inferred,)
        if types != tuple(value.type for value in node.outputs):
            self._fail(f"{node.op.name} infers {', '.join(map(str, types)) or 'no result'}")

    def _outputs(self) -> None:
        for name, value in self.graph.outputs.items():
            if not isinstance(name, str):
                self._fail(f"the name of an output is {name!r}, not text")
            if value not in self.known:
                self._fail(f'output "{name}" {self._stranger(value)}')

    def _stranger(self, value: Any) -> str:
        """Why a value cannot be used here."""
        if not isinstance(value, Value):
            return f"is no value but {value!r}"
        if value.graph is not self.graph:
            return f'belongs to graph "{value.graph.name}"'
        if any(value in node.outputs for node in self.graph.nodes[max(self.place, 0) :]):
            return "is computed only by a later node"
        return "is computed by no node of the graph"

    def _fail(self, problem: str) -> None:
        sound = all(isinstance(value, Value) for value in self.graph.inputs)
        names = value_names(self.graph) if sound else {}
        nodes = self.graph.nodes
        lines = []
        for place in range(max(self.place - NEIGHBOURS, 0), self.place + NEIGHBOURS + 1):
            if place < len(nodes):
                mark = "->" if place == self.place else "  "
                lines.append(f"\n  {mark} {_shown(nodes[place], names)}")
        raise GraphError(f'graph "{self.graph.name}": {problem}{"".join(lines)}')


def _shown(node: Node, names: dict[Value, str]) -> str:
    """The text of a node that may be broken in any way."""
    try:
        return node_text(node, names)
    except Exception as error:  # the message about what is broken must come out in any case
        return f"{node.op!r} (cannot be printed: {error})"
