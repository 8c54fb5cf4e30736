"""The reverse sweep: paths, broadcasts, shared operands, several outputs, second derivatives."""

import numpy as np
import pytest

from graphc import reference
from graphc.autodiff import gradients
from graphc.errors import GraphError
from graphc.ir import Graph, Location, Op, TensorType, symbol
from graphc.ops.choice import Where
from graphc.ops.elementwise import Cast, Exp, Floor, Tanh
from graphc.ops.linalg import matmul
from graphc.ops.movement import Concat, Split
from graphc.ops.reduce import ReduceMax, ReduceMean, ReduceSum


class Case:
    """A graph under construction, with arrays for its inputs."""

    def __init__(self):
        self.graph = Graph("test")
        self.arrays = {}

    def input(self, name, array):
        array = np.asarray(array)
        self.arrays[name] = array
        return self.graph.input(name, TensorType(array.shape, array.dtype.name))

    def values(self, *values):
        self.graph.outputs = {str(i): value for i, value in enumerate(values)}
        return list(reference.evaluate(self.graph, self.arrays).values())


@pytest.fixture
def case():
    return Case()


class _Product(Op):
    """A composite op without a gradient of its own."""

    def infer(self, x, y):
        return x

    def decompose(self, x, y):
        return x * y


def total(x):
    return ReduceSum(tuple(range(x.rank)))(x)


@pytest.mark.parametrize(
    ("x_shape", "y_shape"),
    [((2, 3), (3,)), ((3,), (2, 3)), ((2, 1), (1, 3)), ((), (2, 3)), ((1, 1, 3), (2, 1)), ((), ())],
)
def test_gradients_are_summed_over_broadcast_axes(case, x_shape, y_shape):
    rng = np.random.default_rng(1)
    x_array, y_array = rng.normal(size=x_shape), rng.normal(size=y_shape)
    x, y = case.input("x", x_array), case.input("y", y_array)
    dx, dy = gradients(total(x * y), [x, y])
    assert (dx.type, dy.type) == (x.type, y.type)
    shape = np.broadcast_shapes(x_shape, y_shape)

    def summed(array, to):
        array = np.broadcast_to(array, shape)
        array = array.sum(axis=tuple(range(len(shape) - len(to))))
        kept = tuple(i for i, size in enumerate(to) if size == 1)
        return array.sum(axis=kept, keepdims=True)

    for actual, expected in zip(
        case.values(dx, dy), (summed(y_array, x_shape), summed(x_array, y_shape)), strict=True
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-12)


def test_a_symbolic_axis_is_summed_for_a_bias():
    graph = Graph("test")
    x = graph.input("x", TensorType((symbol("batch"), 3), "float32"))
    bias = graph.input("bias", TensorType((3,), "float32"))
    (dbias,) = gradients(total(x + bias), [bias])
    graph.outputs = {"dbias": dbias}
    for batch in (0, 1, 5):
        arrays = {"x": np.ones((batch, 3), np.float32), "bias": np.ones(3, np.float32)}
        np.testing.assert_array_equal(reference.evaluate(graph, arrays)["dbias"], [batch] * 3)


def test_an_operand_used_twice_gets_both_parts(case):
    x = case.input("x", np.array([2.0, 3.0]))
    (dx,) = gradients(total(x * x + x), [x])
    np.testing.assert_allclose(case.values(dx)[0], [5.0, 7.0])


def test_an_operand_that_a_composite_op_takes_twice(case):
    """Its gradient is found through its decomposition, where both operands are one value."""
    x = case.input("x", np.array([2.0, 3.0]))
    (dx,) = gradients(total(_Product()(x, x)), [x])
    np.testing.assert_allclose(case.values(dx)[0], [4.0, 6.0])
    y = case.input("y", np.array([5.0, 7.0]))
    dx, dy = gradients(total(_Product()(x, y)), [x, y])
    np.testing.assert_allclose(case.values(dx, dy), [[5.0, 7.0], [2.0, 3.0]])


def test_no_path_no_gradient(case):
    x, y, z = (case.input(name, np.array([1.5, 2.5])) for name in "xyz")
    whole = Cast("float64")(Cast("int32")(z))  # integers stop it
    steps = Floor()(y)  # a derivative that is zero everywhere
    dx, dy, dz = gradients(total(x * steps * whole), [x, y, z])
    assert dx is not None
    assert dy is None
    assert dz is None


def test_a_condition_has_no_gradient(case):
    x, y = case.input("x", np.array([-1.0, 2.0])), case.input("y", np.array([5.0, 7.0]))
    dx, dy = gradients(total(Where()(x > 0.0, x * 3.0, y)), [x, y])
    values = case.values(dx, dy)
    np.testing.assert_array_equal(values[0], [0, 3])
    np.testing.assert_array_equal(values[1], [1, 0])


def test_one_of_several_outputs_is_enough(case):
    x = case.input("x", np.array([1.0, 2.0, 3.0, 4.0]))
    first, second = Split(0, 2)(x)
    (dx,) = gradients(total(second * second), [x])
    np.testing.assert_array_equal(case.values(dx)[0], [0, 0, 6, 8])
    (dx,) = gradients({first: first, second: second * 10.0}, [x])
    np.testing.assert_array_equal(case.values(dx)[0], [1, 2, 30, 40])


def test_intermediate_values_and_the_result_itself(case):
    x = case.input("x", np.array(2.0))
    y = x * 3.0
    z = y * y
    dz, dy, dx = gradients(z, [z, y, x])
    assert [float(value) for value in case.values(dz, dy, dx)] == [1, 12, 36]


def test_weights_of_several_results_add_up(case):
    x = case.input("x", np.array([1.0, 2.0]))
    y = x * 2.0
    weights = case.graph.constant(np.array([1.0, 10.0]))
    (dx,) = gradients({y: weights, y * x: weights}, [x])
    np.testing.assert_array_equal(case.values(dx)[0], [2 + 4, 20 + 80])


def test_gradients_of_gradients(case):
    x_array = np.array(0.7)
    x = case.input("x", x_array)
    derivatives = [Exp()(x * 2.0)]
    for _ in range(4):
        derivatives += gradients(derivatives[-1], [x])
    expected = [2.0**n * np.exp(1.4) for n in range(5)]
    np.testing.assert_allclose(case.values(*derivatives), expected, rtol=1e-12)


def test_a_hessian_is_symmetric_and_that_of_jax():
    jax = pytest.importorskip("jax")
    rng = np.random.default_rng(2)
    arrays = rng.normal(size=(5, 3)), rng.normal(size=(3, 4)), rng.normal(size=4)

    def jax_loss(kernel):
        h = jax.numpy.tanh(arrays[0] @ kernel)
        return (jax.numpy.max(h, axis=1) * jax.numpy.exp(h @ arrays[2])).mean()

    case = Case()
    x, kernel, weights = (case.input(name, a) for name, a in zip("xkw", arrays, strict=True))
    h = Tanh()(matmul(x, kernel))
    loss = ReduceMean((0,))(ReduceMax((1,))(h) * Exp()(matmul(h, weights)))
    (dkernel,) = gradients(loss, [kernel])
    rows = [
        gradients({dkernel: case.graph.constant(unit.reshape(3, 4))}, [kernel])[0]
        for unit in np.eye(12)
    ]
    first, *rows = case.values(dkernel, *rows)
    hessian = np.stack([row.ravel() for row in rows])
    with jax.enable_x64(True):
        expected = jax.grad(jax_loss)(arrays[1]), jax.hessian(jax_loss)(arrays[1])
    np.testing.assert_allclose(first, expected[0], rtol=1e-10)
    np.testing.assert_allclose(hessian, np.reshape(expected[1], (12, 12)), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-9, atol=1e-12)


def test_gradient_nodes_keep_the_place_of_what_they_differentiate(case):
    x = case.input("x", np.array([1.0, 2.0]))
    with case.graph.at(Location("hidden1", "train.py", 12)):
        y = Tanh()(x)
    count = len(case.graph.nodes)
    gradients({y: y}, [x])
    added = case.graph.nodes[count:]
    assert added
    assert {node.location.layer for node in added} == {"hidden1"}


def test_the_sweep_leaves_the_forward_part_alone(case):
    x = case.input("x", np.array([1.0, 2.0]))
    loss = total(Concat(0)(x, x * x))
    before = list(case.graph.nodes)
    gradients(loss, [x])
    assert case.graph.nodes[: len(before)] == before


def test_only_a_scalar_has_a_gradient_by_itself(case):
    x = case.input("x", np.array([1.0, 2.0]))
    with pytest.raises(GraphError, match=r"not float64\[2\]"):
        gradients(x * x, [x])
    with pytest.raises(GraphError, match="not int32"):
        gradients(case.graph.constant(3, "int32"), [x])
    assert gradients(total(x), []) == []
