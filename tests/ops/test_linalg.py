"""Contractions: matmul against NumPy, and the errors of Einsum."""

import numpy as np
import pytest

from graphc import reference
from graphc.autodiff import gradients
from graphc.errors import DimensionMismatchError, DTypeError, ShapeError
from graphc.ir import Graph, TensorType, symbol
from graphc.ops.linalg import Einsum, matmul


@pytest.mark.parametrize(
    ("x_shape", "y_shape"),
    [
        ((3,), (3,)),
        ((3,), (3, 4)),
        ((2, 3), (3,)),
        ((2, 3), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 2, 3), (5, 3, 4)),
        ((1, 2, 3), (5, 3, 4)),
        ((5, 2, 3), (1, 3, 4)),
        ((6, 1, 2, 3), (5, 3, 4)),
        ((6, 1, 2, 3), (1, 5, 3, 1)),
        ((1, 1, 2, 3), (1, 1, 3, 4)),
        ((3,), (5, 3, 4)),
        ((5, 2, 3), (3,)),
        ((2, 0), (0, 4)),
        ((0, 2, 3), (3, 4)),
    ],
)
def test_matmul_is_that_of_numpy(x_shape, y_shape):
    rng = np.random.default_rng(1)
    arrays = {"x": rng.normal(size=x_shape), "y": rng.normal(size=y_shape)}
    graph = Graph("matmul")
    x, y = (graph.input(name, TensorType(a.shape, "float64")) for name, a in arrays.items())
    z = matmul(x, y)
    dx, dy = gradients({z: z}, [x, y])
    assert (dx.type, dy.type) == (x.type, y.type)
    graph.outputs = {"z": z, "dx": dx}
    values = reference.evaluate(graph, arrays)
    expected = np.matmul(*arrays.values())
    assert values["z"].shape == expected.shape
    np.testing.assert_allclose(values["z"], expected, rtol=1e-12, atol=1e-12)


def test_matmul_of_symbolic_batches():
    graph = Graph("matmul")
    batch = symbol("batch")
    x = graph.input("x", TensorType((batch, 2, 3), "float32"))
    y = graph.input("y", TensorType((3, 4), "float32"))
    assert matmul(x, y).shape == (batch, 2, 4)


@pytest.mark.parametrize(
    ("equation", "x", "y", "error", "message"),
    [
        ("bi,io->bo", ((2, 3), "float32"), ((4, 5), "float32"), ShapeError, "sizes 3 and 4"),
        ("bi,io->bo", ((2, 3), "float32"), ((3,), "float32"), ShapeError, "names 2 axes"),
        ("bi,io->bo", ((2, 3), "float32"), ((3, 5), "float64"), DTypeError, "one common"),
        ("bi,io->bo", ((2, 3), "bool"), ((3, 5), "bool"), DTypeError, "number type"),
        ("bb,io->bo", ((2, 2), "float32"), ((3, 5), "float32"), ShapeError, "repeats"),
        ("bi,io->bx", ((2, 3), "float32"), ((3, 5), "float32"), ShapeError, "makes up"),
        ("bi,io->bo", ((2, symbol("a")), "float32"), ((symbol("b"), 5), "float32"),
         DimensionMismatchError, "sizes a and b"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(equation, x, y, error, message):
    with pytest.raises(error, match=message):
        Einsum(equation).infer(TensorType(*x), TensorType(*y))


@pytest.mark.parametrize("equation", ["bi->bo", "bi,io,ox->bx", "bi,io", "b i,io->bo", "bi,io->bb"])
def test_what_is_no_equation_of_two_operands_is_refused(equation):
    types = TensorType((2, 3), "float32"), TensorType((3, 5), "float32")
    with pytest.raises(ShapeError, match="equation"):
        Einsum(equation).infer(*types)
