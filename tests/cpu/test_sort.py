"""The kernels of sorting and of running sums on rows of every length, type and place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphc import reference, runtime
from graphc.ir import FLOATS, INTEGERS, Graph, TensorType, numpy_dtype
from graphc.ir.dims import symbol
from graphc.ops.cumulative import CumMax, CumProd, CumSum
from graphc.ops.sort import Sort
from graphc.program import Program

RNG = np.random.default_rng(3)


def run(op, arrays, shape=None, threads=None):
    """The op's results as native code; ``shape`` may hold symbols."""
    graph = Graph("kernel")
    x = graph.input("x", TensorType(shape or arrays.shape, arrays.dtype.name))
    results = graph.apply(op, x)
    results = results if isinstance(results, tuple) else (results,)
    graph.outputs = {f"y{i}": value for i, value in enumerate(results)}
    outputs = runtime.compile(Program(graph), "cpu", threads).run({"x": arrays}, {})
    return list(outputs.values())


def numbers(shape, dtype):
    """Few different numbers, so that many are equal, and all that is special about a type."""
    if dtype == "bool":
        return RNG.random(shape) > 0.5
    if dtype in FLOATS:
        pool = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -1.5, 2.0, -3.0, 60000.0])
    else:
        limits = np.iinfo(dtype)
        pool = np.array([limits.min, limits.max, 0, 1, 3, 7, limits.max - 1], dtype)
    return RNG.choice(pool, shape).astype(numpy_dtype(dtype))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS, "bool"])
def test_rows_of_every_length(dtype, descending):
    """Around the lengths of the network, of its merges, and beyond; a symbol is the length."""
    length = symbol("length")
    graph = Graph("kernel")
    x = graph.input("x", TensorType((3, length), dtype))
    op = Sort(1, descending)
    values, order = graph.apply(op, x)
    graph.outputs = {"values": values, "order": order}
    executable = runtime.compile(Program(graph), "cpu")
    for size in (*range(19), 31, 32, 33, 63, 65, 127, 200, 1000):
        array = numbers((3, size), dtype)
        received = executable.run({"x": array}, {})
        expected = reference.apply(op, array)
        np.testing.assert_array_equal(received["order"], expected[1])
        assert received["values"].tobytes() == expected[0].tobytes()


@pytest.mark.parametrize("count", [1, 2, 5, 16, 17])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int32", "uint8", "float64"])
def test_the_first_few(dtype, count):
    array = numbers((4, 300), dtype)
    for descending in (False, True):
        op = Sort(1, descending, count)
        for mine, theirs in zip(run(op, array), reference.apply(op, array), strict=True):
            np.testing.assert_array_equal(mine, theirs)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=4),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from(["float32", "int64", "uint8"]),
)
def test_any_axis_of_any_shape(shape, axis, descending, dtype):
    op = Sort(axis % len(shape), descending)
    array = numbers(tuple(shape), dtype)
    for mine, theirs in zip(run(op, array), reference.apply(op, array), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("kind", [CumSum, CumProd, CumMax])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_running_results_along_an_axis_whose_size_is_not_known(kind, axis):
    array = RNG.integers(-1, 2, (5, 37, 3)).astype("float32")
    for op in (kind(axis), kind(axis, exclusive=True), kind(axis, reverse=True)):
        (received,) = run(op, array, (symbol("a"), symbol("b"), 3))
        np.testing.assert_array_equal(received, reference.apply(op, array)[0])


@pytest.mark.parametrize("op", [Sort(1), Sort(0, descending=True), CumSum(1), CumSum(0)])
def test_the_same_bits_at_any_number_of_threads(op):
    array = RNG.normal(size=(600, 700)).astype("float32")
    for one, many in zip(run(op, array, threads=1), run(op, array, threads=3), strict=True):
        assert one.tobytes() == many.tobytes()
