"""The reference interpreter: binding of sizes, and what it refuses."""

import numpy as np
import pytest

from graphc import reference
from graphc.errors import DTypeError, GraphError, ShapeError
from graphc.ir import Graph, TensorType, symbol
from graphc.ops.elementwise import Div
from graphc.ops.movement import Concat, Split

BATCH, TIME = symbol("batch"), symbol("time")


def graph_with_inputs(**types):
    graph = Graph("test")
    for name, (shape, dtype) in types.items():
        graph.input(name, TensorType(shape, dtype))
    return graph


def test_sizes_come_from_the_inputs_whatever_their_order():
    graph = graph_with_inputs(
        pairs=((BATCH, 2 * TIME + 1), "float32"), x=((TIME, BATCH), "float32")
    )
    arrays = {"pairs": np.zeros((3, 9), np.float32), "x": np.zeros((4, 3), np.float32)}
    assert reference.bind(graph, arrays) == {"batch": 3, "time": 4}


def test_a_symbol_may_be_zero_or_one():
    graph = graph_with_inputs(x=((BATCH, TIME), "float32"))
    assert reference.bind(graph, {"x": np.zeros((0, 1), np.float32)}) == {"batch": 0, "time": 1}


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (np.zeros((3, 4)), DTypeError, r'input "x" needs dtype float32, received float64'),
        (np.zeros(3, np.float32), ShapeError, r'"x" needs shape \[batch, 4\], received \[3\]'),
        (np.zeros((3, 5), np.float32), ShapeError, r"axis 1 needs size 4 .* received 5"),
    ],
)
def test_an_input_that_does_not_fit_is_named(array, error, message):
    graph = graph_with_inputs(x=((BATCH, 4), "float32"))
    graph.outputs = {"y": graph.inputs[0]}
    with pytest.raises(error, match=message):
        reference.evaluate(graph, {"x": array})


def test_inputs_that_are_missing_are_named():
    graph = graph_with_inputs(x=((2,), "float32"), y=((3,), "float32"), z=((), "float32"))
    for ask in (reference.evaluate, reference.bind):
        with pytest.raises(GraphError, match="there is no array for x, z$"):
            ask(graph, {"y": np.zeros(3, np.float32)})


def test_two_inputs_that_disagree_are_refused():
    graph = graph_with_inputs(x=((BATCH,), "float32"), y=((BATCH * 2,), "float32"))
    arrays = {"x": np.zeros(3, np.float32), "y": np.zeros(7, np.float32)}
    with pytest.raises(ShapeError, match=r'input "y": axis 0 needs size 2\*batch \(= 6\), .* 7'):
        reference.bind(graph, arrays)


def test_attributes_are_bound_and_several_outputs_are_kept_apart():
    graph = graph_with_inputs(x=((2 * BATCH, 3), "float32"))
    first, second = Split(0, 2)(graph.inputs[0])
    graph.outputs = {"swapped": Concat(0)(second, first), "first": first}
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    # The size of `x` determines the symbol only if an input has it alone.
    graph.input("half", TensorType((BATCH,), "float32"))
    values = reference.evaluate(graph, {"x": x, "half": np.zeros(2, np.float32)})
    np.testing.assert_array_equal(values["swapped"], np.concatenate([x[2:], x[:2]]))
    np.testing.assert_array_equal(values["first"], x[:2])


def test_infinities_and_nan_are_values_and_no_warnings(recwarn):
    (y,) = reference.apply(Div(), np.array([1.0, 0.0, -1.0]), np.zeros(3))
    np.testing.assert_array_equal(y, [np.inf, np.nan, -np.inf])
    assert not recwarn.list


def test_the_inputs_stay_as_they_are():
    graph = graph_with_inputs(x=((2,), "float32"))
    graph.outputs = {"y": graph.inputs[0] * 2.0}
    x = np.ones(2, np.float32)
    reference.evaluate(graph, {"x": x})
    np.testing.assert_array_equal(x, 1)
