"""Gather and scatter against JAX, their edges, and one-hot vectors."""

import numpy as np
import pytest

from graphc import reference
from graphc.autodiff import gradients
from graphc.errors import DTypeError, ShapeError
from graphc.ir import Graph, TensorType, symbol
from graphc.ops.gather import Gather, ScatterAdd, one_hot

INDICES = [0, 4, -1, -5, 5, -6, 100, 2, 2]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int32", "int8", "uint8", "bool"])
@pytest.mark.parametrize("axis", [0, 1])
def test_gather_is_that_of_jax_also_out_of_range(jax, dtype, axis):
    x = np.random.default_rng(1).normal(size=(5, 5, 2)).astype(dtype)
    indices = np.array(INDICES, np.int32).reshape(3, 3)
    expected = np.asarray(jax.numpy.take(x, indices, axis=axis))
    (actual,) = reference.apply(Gather(axis), x, indices)
    np.testing.assert_array_equal(actual, expected)
    assert actual.dtype == expected.dtype


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_gradients_are_those_of_jax(jax, axis):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(5, 5, 5)).astype("float32")
    indices = np.array(INDICES, np.int32)
    expected, pullback = jax.vjp(lambda x: jax.numpy.take(x, indices, axis=axis), x)
    weights = rng.normal(size=expected.shape).astype("float32")
    graph = Graph("gather")
    x_value = graph.input("x", TensorType(x.shape, "float32"))
    y = Gather(axis)(x_value, graph.constant(indices))
    (dx,) = gradients({y: graph.constant(weights)}, [x_value])
    graph.outputs = {"dx": dx}
    actual = reference.evaluate(graph, {"x": x})["dx"]
    np.testing.assert_allclose(actual, pullback(weights)[0], rtol=1e-6, atol=1e-6)


def test_slices_for_the_same_place_are_added_and_others_left_out():
    indices = np.array([1, -1, 1, 7, -4], np.int64)
    y = np.array([1.0, 10.0, 100.0, 1000.0, 10000.0], np.float32)
    (total,) = reference.apply(ScatterAdd(0, 3), indices, y)
    np.testing.assert_array_equal(total, [0, 101, 10])


def test_unsigned_indices_of_a_large_axis():
    x = np.arange(300, dtype=np.float32)
    (y,) = reference.apply(Gather(0), x, np.array([255, 0], np.uint8))
    np.testing.assert_array_equal(y, [255, 0])
    (y,) = reference.apply(Gather(0), x, np.array([2**64 - 1, 7], np.uint64))
    np.testing.assert_array_equal(y, [np.nan, 7])


def test_symbolic_sizes():
    graph = Graph("symbolic")
    batch, words = symbol("batch"), symbol("words")
    table = graph.input("table", TensorType((words, 8), "float32"))
    indices = graph.input("indices", TensorType((batch, 3), "int32"))
    y = Gather(0)(table, indices)
    assert y.shape == (batch, 3, 8)
    (dtable,) = gradients({y: y}, [table])
    assert dtable.type == table.type


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_one_hot_is_that_of_keras(keras, axis):
    indices = np.array([[0, 2, 1], [-1, 3, 5]], np.int32)
    graph = Graph("one_hot")
    value = graph.input("indices", TensorType(indices.shape, "int32"))
    graph.outputs = {"y": one_hot(value, 4, axis=axis)}
    actual = reference.evaluate(graph, {"indices": indices})["y"]
    np.testing.assert_array_equal(actual, keras.ops.one_hot(indices, 4, axis=axis))


def test_one_hot_of_a_small_type_with_many_classes():
    graph = Graph("one_hot")
    value = graph.input("indices", TensorType((2,), "uint8"))
    graph.outputs = {"y": one_hot(value, 300, "bool")}
    actual = reference.evaluate(graph, {"indices": np.array([3, 255], np.uint8)})["y"]
    assert np.argwhere(actual).tolist() == [[0, 3], [1, 255]]


@pytest.mark.parametrize(
    ("op", "types", "error", "message"),
    [
        (Gather(0), [((3, 2), "float32"), ((2,), "float32")], DTypeError, "not float32"),
        (Gather(2), [((3, 2), "float32"), ((2,), "int32")], ShapeError, "axis 2"),
        (ScatterAdd(0, 3), [((2,), "bool"), ((2,), "float32")], DTypeError, "not bool"),
        (ScatterAdd(0, 3), [((2,), "int32"), ((2,), "bool")], DTypeError, "not bool"),
        (ScatterAdd(1, 3), [((2,), "int32"), ((2, 3), "float32")], ShapeError, "at axis 1"),
    ],
)
def test_what_does_not_fit_is_refused(op, types, error, message):
    with pytest.raises(error, match=message):
        op.infer(*[TensorType(*type) for type in types])
