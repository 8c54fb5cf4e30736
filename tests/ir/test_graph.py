"""Graphs, values, literals and types."""

from __future__ import annotations

import numpy as np
import pytest

import graphc.ops  # noqa: F401  (fills the registry)
from graphc.errors import DimensionMismatchError, DTypeError, GraphError, ShapeError
from graphc.ir import (
    DTYPES,
    Graph,
    Literal,
    Location,
    TensorType,
    as_text,
    dtype_size,
    filled,
    is_float,
    is_integer,
    numpy_dtype,
    parse,
    symbol,
    type_of,
)
from graphc.ops.elementwise import Add, Exp, Neg
from graphc.ops.movement import Slice
from graphc.reference import evaluate

VECTOR = TensorType((3,), "float32")


def test_operators() -> None:
    graph = Graph("g")
    x, y = graph.input("x", VECTOR), graph.input("y", VECTOR)
    results = {
        "add": x + y,
        "radd": 1 + x,
        "sub": x - y,
        "rsub": 1 - x,
        "mul": x * 2,
        "rmul": 2 * x,
        "div": x / y,
        "rdiv": 1 / x,
        "pow": x**2,
        "neg": -x,
        "lt": x < y,
        "le": x <= 2,
        "gt": x > y,
        "ge": 2 >= x,  # noqa: SIM300
    }
    graph.outputs = results
    a, b = np.array([1, 2, 4], np.float32), np.array([2, 2, 3], np.float32)
    expected = {
        "add": a + b,
        "radd": 1 + a,
        "sub": a - b,
        "rsub": 1 - a,
        "mul": a * 2,
        "rmul": 2 * a,
        "div": a / b,
        "rdiv": 1 / a,
        "pow": a**2,
        "neg": -a,
        "lt": a < b,
        "le": a <= 2,
        "gt": a > b,
        "ge": a <= 2,
    }
    for name, array in evaluate(graph, {"x": a, "y": b}).items():
        assert array.dtype == expected[name].dtype
        np.testing.assert_allclose(array, expected[name], rtol=1e-6)


def test_values_are_keys() -> None:
    graph = Graph("g")
    x, y = graph.input("x", VECTOR), graph.input("y", VECTOR)
    assert x != y
    assert {x: 1, y: 2}[y] == 2


def test_input_names_are_unique() -> None:
    graph = Graph("g")
    graph.input("x", VECTOR)
    with pytest.raises(GraphError, match='graph "g" already has an input "x"'):
        graph.input("x", VECTOR)


def test_sizes_are_natural_numbers() -> None:
    graph = Graph("g")
    with pytest.raises(ShapeError, match='input "x" cannot be float32\\[-3\\]'):
        graph.input("x", TensorType((-3,), "float32"))
    x = graph.input("x", TensorType((symbol("n"),), "float32"))
    with pytest.raises(ShapeError, match="Slice: the result would be float32\\[-2\\]"):
        Slice((3,), (1,), (1,))(x)
    assert graph.nodes == []


def test_operands_of_another_graph() -> None:
    x = Graph("one").input("x", VECTOR)
    y = Graph("two").input("y", VECTOR)
    with pytest.raises(GraphError, match='Add: <%y : .*> is not a value of graph "one"'):
        Add()(x, y)


def test_errors_say_where_and_what_was_received() -> None:
    graph = Graph("g")
    x = graph.input("x", VECTOR)
    y = graph.input("y", TensorType((4,), "float32"))
    z = graph.input("z", TensorType((3,), "int32"))
    b = graph.input("b", TensorType((symbol("b"),), "float32"))
    c = graph.input("c", TensorType((symbol("c"),), "float32"))
    with graph.at(Location("hidden1", "train.py", 12)):
        with pytest.raises(ShapeError) as shapes:
            Add()(x, y)
        with pytest.raises(DTypeError) as dtypes:
            Add()(x, z)
        with pytest.raises(DimensionMismatchError) as symbols:
            Add()(b, c)
    assert str(shapes.value) == (
        "Add: sizes 3 and 4 do not fit together; received float32[3], float32[4] "
        '(layer "hidden1", train.py:12)'
    )
    assert 'received float32[3], int32[3] (layer "hidden1", train.py:12)' in str(dtypes.value)
    assert (symbols.value.first, symbols.value.second) == (symbol("b"), symbol("c"))
    assert graph.nodes == []


def test_locations_nest() -> None:
    graph = Graph("g")
    x = graph.input("x", VECTOR)
    with graph.at(Location("outer")):
        with graph.at(Location("inner")):
            x = Neg()(x)
        x = Neg()(x)
    Neg()(x)
    assert [node.location.layer for node in graph.nodes] == ["inner", "outer", ""]


def test_location_is_restored_after_an_error() -> None:
    graph = Graph("g")
    with pytest.raises(RuntimeError), graph.at(Location("layer")):
        raise RuntimeError
    assert graph.location == Location()


def test_constants_are_shared() -> None:
    graph = Graph("g")
    assert graph.constant(1, "float32") is graph.constant(np.float32(1))
    assert graph.constant(1, "float32") is not graph.constant(1, "float64")
    assert graph.constant(0.0) is not graph.constant(-0.0)
    assert graph.constant(np.nan) is graph.constant(np.nan)
    assert graph.constant([1, 2]) is not graph.constant([[1, 2]])


def test_users() -> None:
    graph = Graph("g")
    x = graph.input("x", VECTOR)
    y = Add()(x, x)
    z = Exp()(x)
    users = graph.users()
    assert [node.op for node in users[x]] == [Add(), Add(), Exp()]
    assert users[y] == users[z] == []


def test_symbols_in_order_of_appearance() -> None:
    graph = Graph("g")
    graph.input("x", TensorType((symbol("time"), symbol("batch") * 2), "float32"))
    graph.input("y", TensorType((symbol("batch"), symbol("a")), "float32"))
    assert graph.symbols() == ["time", "batch", "a"]


INNER = parse(
    """graph "inner" {
      input %a : float32[3]
      input %b : float32[3]
      %0 = Sub(%a, %b) : float32[3]  @ "minus"
      %1 = Constant() {value=float32[](2.0)} : float32[]
      %2 = Mul(%0, %1) : float32[3]
      output twice = %2
      output a = %a
    }"""
)


@pytest.mark.parametrize("by_name", [True, False])
def test_inline(by_name: bool) -> None:
    graph = Graph("outer")
    x, y = graph.input("x", VECTOR), graph.input("y", VECTOR)
    two = graph.constant(2.0, "float32")
    results = graph.inline(INNER, {"b": x, "a": y} if by_name else [y, x])
    assert results["a"] is y
    graph.outputs["z"] = results["twice"]
    assert results["twice"].node.inputs[1] is two
    assert graph.nodes[1].location.layer == "minus"
    arrays = {"x": np.ones(3, np.float32), "y": np.zeros(3, np.float32)}
    np.testing.assert_array_equal(evaluate(graph, arrays)["z"], [-2, -2, -2])


def test_structural_equality() -> None:
    text = as_text(INNER)
    assert parse(text) == INNER
    assert hash(parse(text)) == hash(INNER)
    assert parse(as_text(INNER, locations=False)) == INNER
    assert parse(text.replace("Sub(%a, %b)", "Sub(%b, %a)")) != INNER
    assert parse(text.replace("2.0", "3.0")) != INNER
    assert parse(text.replace("output twice", "output double")) != INNER


def test_filled() -> None:
    graph = Graph("g")
    graph.input("x", TensorType((symbol("batch"),), "float32"))
    ones = filled(graph, TensorType((symbol("batch"), 2), "int32"), 1)
    assert ones.type == TensorType((symbol("batch"), 2), "int32")
    assert filled(graph, TensorType((), "bool"), 1).constant == np.array(True)


def test_literals_are_frozen_copies() -> None:
    array = np.zeros((2, 2))
    literal = Literal(array.T)
    array[0, 1] = 5
    assert literal == Literal(np.zeros((2, 2)))
    assert literal.array.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        literal.array[0, 0] = 1


def test_literals_compare_bit_by_bit() -> None:
    assert Literal(np.array(np.nan)) == Literal(np.array(np.nan))
    assert Literal(np.array(0.0)) != Literal(np.array(-0.0))
    assert Literal(np.zeros((0, 3))) != Literal(np.zeros((3, 0)))
    assert Literal(np.zeros(3)) != Literal(np.zeros(3, np.float32))
    assert hash(Literal(np.arange(3))) == hash(Literal(np.arange(3)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype: str) -> None:
    array = np.zeros((2, 0), numpy_dtype(dtype))
    assert type_of(array) == TensorType((2, 0), dtype)
    assert dtype_size(dtype) == array.itemsize
    assert is_float(dtype) == ("float" in dtype)
    assert is_integer(dtype) == ("int" in dtype)


def test_unknown_dtype() -> None:
    with pytest.raises(DTypeError, match="unknown dtype 'float31'; known are float16, bfloat16"):
        numpy_dtype("float31")


def test_types() -> None:
    type = TensorType((symbol("batch"), 784), "float32")
    assert str(type) == "float32[batch, 784]"
    assert type.rank == 2
    assert type.size == symbol("batch") * 784
    assert type.substitute({"batch": 2}) == TensorType((2, 784), "float32")
    assert type.with_dtype("bool").with_shape([]) == TensorType((), "bool")
