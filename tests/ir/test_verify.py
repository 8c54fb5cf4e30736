"""Each kind of broken graph is found, named and shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest

from graphc.errors import GraphError
from graphc.ir import NOWHERE, Graph, Location, Node, Op, TensorType, Value, symbol
from graphc.ir.verify import verify
from graphc.ops.elementwise import Add, Exp, Neg, Tanh

VECTOR = TensorType((3,), "float32")


def sound() -> Graph:
    graph = Graph("sound")
    x = graph.input("x", VECTOR)
    y = graph.input("y", TensorType((symbol("batch"), 3), "float32"))
    with graph.at(Location("hidden", "train.py", 3)):
        z = Exp()(Add()(x, y))
    graph.outputs["z"] = Tanh()(Neg()(z))
    return graph


def shared_name(graph: Graph) -> None:
    graph.inputs[1].name = "x"


def input_of_another_graph(graph: Graph) -> None:
    graph.inputs[0] = sound().inputs[0]


def input_that_is_computed(graph: Graph) -> None:
    graph.inputs[0].node = graph.nodes[0]


def input_twice(graph: Graph) -> None:
    graph.inputs.append(graph.inputs[0])
    graph.inputs[0].name, graph.inputs[2] = "x", graph.inputs[0]


def input_in_the_wrong_place(graph: Graph) -> None:
    graph.inputs.reverse()


def no_value_as_input(graph: Graph) -> None:
    graph.inputs.append("x")  # type: ignore[arg-type]


def wrong_order(graph: Graph) -> None:
    graph.nodes[0], graph.nodes[1] = graph.nodes[1], graph.nodes[0]


def missing_node(graph: Graph) -> None:
    del graph.nodes[1]


def operand_of_another_graph(graph: Graph) -> None:
    graph.nodes[1].inputs = (sound().inputs[0],)


def no_value_as_operand(graph: Graph) -> None:
    graph.nodes[1].inputs = (None,)  # type: ignore[assignment]


def node_twice(graph: Graph) -> None:
    graph.nodes.insert(2, graph.nodes[1])


def result_of_another_node(graph: Graph) -> None:
    node = Node(Neg(), graph.nodes[1].inputs, NOWHERE)
    node.outputs = graph.nodes[1].outputs
    graph.nodes[1] = node


def result_of_another_graph(graph: Graph) -> None:
    node = graph.nodes[1]
    node.outputs = (Value(sound(), node.output.type, node, 0, ""),)


def result_in_the_wrong_place(graph: Graph) -> None:
    graph.nodes[1].output.index = 1


def wrong_type(graph: Graph) -> None:
    graph.nodes[1].output.type = TensorType((3,), "float64")


def wrong_operands(graph: Graph) -> None:
    graph.nodes[0].inputs = (graph.inputs[0],)


def too_many_results(graph: Graph) -> None:
    node = graph.nodes[1]
    node.outputs = (node.output, Value(graph, node.output.type, node, 1, ""))


def unknown_dtype(graph: Graph) -> None:
    graph.inputs[0].type = TensorType((3,), "float31")


def negative_size(graph: Graph) -> None:
    graph.inputs[0].type = TensorType((-1,), "float32")


def size_that_is_no_integer(graph: Graph) -> None:
    graph.inputs[0].type = TensorType((2.5,), "float32")  # type: ignore[arg-type]


def no_op(graph: Graph) -> None:
    graph.nodes[1].op = "Exp"


def op_outside_the_registry(graph: Graph) -> None:
    class _Secret(Op):
        pass

    graph.nodes[1].op = _Secret()


def output_that_is_not_computed(graph: Graph) -> None:
    graph.nodes.pop()


def output_of_another_graph(graph: Graph) -> None:
    graph.outputs["z"] = sound().outputs["z"]


def name_that_is_no_text(graph: Graph) -> None:
    graph.outputs[1] = graph.inputs[0]  # type: ignore[index]


CASES: list[tuple[Callable[[Graph], None], str]] = [
    (shared_name, 'two inputs are called "x"'),
    (input_of_another_graph, 'input "x" belongs to another graph'),
    (input_that_is_computed, 'input "x" is computed by a node'),
    (input_twice, 'two inputs are called "x"'),
    (input_in_the_wrong_place, 'input "y" says that its place is 1, but it is 0'),
    (no_value_as_input, "input 2 is no value but 'x'"),
    (wrong_order, "operand 0 of Exp is computed only by a later node"),
    (missing_node, "operand 0 of Neg is computed by no node"),
    (operand_of_another_graph, 'operand 0 of Exp belongs to graph "sound"'),
    (no_value_as_operand, "operand 0 of Exp is no value but None"),
    (node_twice, "result 0 of Exp is in the graph already"),
    (result_of_another_node, "result 0 of Neg names another node as its own"),
    (result_of_another_graph, "result 0 of Exp belongs to another graph"),
    (result_in_the_wrong_place, "result 0 of Exp says that its place is 1"),
    (wrong_type, "Exp infers float32[batch, 3]"),
    (wrong_operands, "Add does not take its operands: takes 2 operands, not 1"),
    (too_many_results, "Exp infers float32[batch, 3]"),
    (unknown_dtype, 'input "x" has no type that is known: float31[3]'),
    (negative_size, 'input "x" has -1 as a size'),
    (size_that_is_no_integer, 'input "x" has 2.5 as a size'),
    (no_op, "'Exp' is no op of the registry"),
    (
        op_outside_the_registry,
        "op_outside_the_registry.<locals>._Secret() is no op of the registry",
    ),
    (output_that_is_not_computed, 'output "z" is computed by no node'),
    (output_of_another_graph, 'output "z" belongs to graph "sound"'),
    (name_that_is_no_text, "the name of an output is 1, not text"),
]


def test_sound_graph() -> None:
    verify(sound())
    verify(Graph("empty"))


@pytest.mark.parametrize(
    ("break_it", "message"), CASES, ids=lambda case: getattr(case, "__name__", "")
)
def test_broken_graph(break_it: Callable[[Graph], None], message: str) -> None:
    graph = sound()
    break_it(graph)
    with pytest.raises(GraphError) as caught:
        verify(graph)
    assert f'graph "sound": {message}' in str(caught.value)


def test_neighbourhood_is_shown() -> None:
    graph = sound()
    wrong_type(graph)
    with pytest.raises(GraphError) as caught:
        verify(graph)
    assert str(caught.value) == (
        'graph "sound": Exp infers float32[batch, 3]\n'
        '     %0 = Add(%x, %y) : float32[batch, 3]  @ "hidden" train.py:3\n'
        '  -> %1 = Exp(%0) : float64[3]  @ "hidden" train.py:3\n'
        "     %2 = Neg(%1) : float32[batch, 3]\n"
        "     %3 = Tanh(%2) : float32[batch, 3]"
    )


def test_broken_subgraph() -> None:
    class Both(Op):
        body: Graph
        other: Graph
        body_fields: ClassVar[tuple[str, ...]] = ("body", "other")

        def infer(self, *types: TensorType) -> TensorType:
            return types[0]

    try:
        broken = sound()
        wrong_type(broken)
        for op in (Both(broken, sound()), Both(sound(), broken)):
            graph = Graph("outer")
            op(graph.input("x", VECTOR))
            with pytest.raises(GraphError, match='of Both is broken: graph "sound": Exp infers'):
                verify(graph)
    finally:
        del Op.registry["Both"]


def test_names_of_ops_are_taken_once() -> None:
    with pytest.raises(TypeError, match='an op "Exp" is there already, in graphc.ops.elementwise'):
        type("Exp", (Op,), {"__module__": __name__})
    assert Op.registry["Exp"].__module__ == "graphc.ops.elementwise"
