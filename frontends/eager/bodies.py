"""Tracing the Python functions that control flow is given, with everything they close over.

A body is traced inside the graph around it, so it may use any tensor and variable it sees. Then its
nodes are taken out and made a graph of their own; what they used from outside are its captures.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graphc.eager.current import current_trace
from graphc.eager.tensor import Tensor
from graphc.eager.variable import Variable
from graphc.errors import GraphError
from graphc.ir import Graph, Node, TensorType, Value


@dataclass(frozen=True)
class Body:
    """A function that was traced.

    Args:
        name: Name of its graph.
        arguments: What it was called with.
        nodes: What it computed.
        results: What it returned.
        writes: The variables that it assigned to, with the values that it gave them.
    """

    name: str
    arguments: tuple[Value, ...]
    nodes: tuple[Node, ...]
    results: tuple[Tensor, ...]
    writes: tuple[tuple[Variable, Tensor], ...] = ()

    def with_results(self, more: Sequence[Tensor]) -> Body:
        """The body with further results."""
        return dataclasses.replace(self, results=(*self.results, *more))

    def captures(self) -> list[Value]:
        """The values from outside that it uses, constants excepted."""
        own = {value for node in self.nodes for value in node.outputs}
        own.update(self.arguments)
        used = [value for node in self.nodes for value in node.inputs]
        used += [tensor.value for tensor in self.results if tensor.is_symbolic]
        return [v for v in dict.fromkeys(used) if v not in own and v.constant is None]

    def graph(self, captures: Sequence[Value], hand_through: bool = False) -> Graph:
        """The body as a graph of its own.

        Args:
            captures: Values from outside; they become inputs after the arguments.
            hand_through: Whether the captures are further results, as they are of a loop.
        """
        graph = Graph(self.name)
        copies: dict[Value, Value] = {}
        for i, value in enumerate((*self.arguments, *captures)):
            copies[value] = graph.input(f"x{i}", value.type)

        def copy(value: Value) -> Value:
            constant = value.constant
            return copies[value] if constant is None else graph.constant(constant)

        for node in self.nodes:
            with graph.at(node.location):
                made = graph.apply(node.op, *[copy(value) for value in node.inputs])
            copies.update(
                zip(node.outputs, made if isinstance(made, tuple) else (made,), strict=True)
            )
        results = [
            copy(tensor.value) if tensor.is_symbolic else graph.constant(tensor.numpy())
            for tensor in self.results
        ]
        if hand_through:
            results += [copies[value] for value in captures]
        graph.outputs = {f"y{i}": value for i, value in enumerate(results)}
        return graph


def trace_body(
    graph: Graph,
    name: str,
    function: Callable[..., Sequence[Tensor]],
    types: Sequence[TensorType],
    may_assign: bool = False,
) -> Body:
    """Call a function on symbolic tensors and take what it computed out of the graph.

    Args:
        graph: The graph around it.
        name: What the body is called in dumps and errors.
        function: Takes and returns tensors.
        types: The types of its arguments.
        may_assign: Whether it may assign to variables. That is undone: the caller makes the new
            values results of the body, and assigns them outside.

    Raises:
        GraphError: The function assigned to a variable and must not.
    """
    trace = current_trace()
    before = trace.assignments() if trace else {}
    after = before
    first = len(graph.nodes)
    arguments = tuple(Value(graph, type, None, i, f"x{i}") for i, type in enumerate(types))
    try:
        results = tuple(function(*map(Tensor, arguments)))
        after = trace.assignments() if trace else {}
    finally:
        if trace:
            trace.restore(before)
        traced = graph.nodes[first:]
        # The graph hands out a constant it has made once again, so constants stay in it.
        graph.nodes[first:] = [node for node in traced if node.op.name == "Constant"]
    nodes = tuple(node for node in traced if node.op.name != "Constant")
    writes = tuple(pair for key, pair in after.items() if before.get(key) is not pair)
    if writes and not may_assign:
        raise GraphError(
            f'the {name} of an operation assigned to the variable "{writes[0][0].path}"; make its '
            "new value a result, and assign that outside (random numbers: draw them, or their "
            "seeds, outside)"
        )
    return Body(name, arguments, nodes, results, writes)


def with_state(
    function: Callable[..., Sequence[Tensor]], variables: Sequence[Variable]
) -> Callable[..., list[Tensor]]:
    """A function to which the values of variables are handed first, and which gives the new ones.

    Args:
        function: Takes and returns tensors; reads and assigns the variables.
        variables: The variables.
    """
    count = len(variables)

    def call(*tensors: Tensor) -> list[Tensor]:
        trace = current_trace()
        assert trace is not None, "bodies are traced"
        for variable, value in zip(variables, tensors[:count], strict=True):
            trace.write(variable, value)
        results = function(*tensors[count:])
        return [*[trace.read(variable) for variable in variables], *results]

    return call


def joined_captures(*bodies: Body) -> list[Value]:
    """The captures of several bodies, each once."""
    return list(dict.fromkeys(value for body in bodies for value in body.captures()))
