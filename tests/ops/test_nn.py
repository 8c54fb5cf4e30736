"""Activations, softmax and normalizations against Keras on JAX, extreme values included."""

import numpy as np
import pytest

from graphc import reference
from graphc.autodiff import gradients
from graphc.errors import DTypeError, ShapeError
from graphc.ir import Graph, TensorType, type_of
from graphc.ops.activation import ACTIVATIONS, Celu, Elu, Gelu, LeakyRelu, Relu6, Softplus
from graphc.ops.nn import BatchNormalization, LayerNormalization, LogSoftmax, Softmax

FINITE = np.concatenate([np.linspace(-8, 8, 41), [-1e4, -1000, -90, 90, 1000, 1e4, 1e-30, -1e-30]])
KINKS = {
    # JAX gives half of the slope where two branches of a minimum or a maximum are equal.
    "hard_sigmoid": (-3, 3),
    "hard_silu": (-3, 3),
    "hard_swish": (-3, 3),
    "relu6": (0, 6),
    "sparse_sigmoid": (-1, 1),
}


def run(function, *arrays, weights=None):
    """The result and, for given cotangents, the gradients of the operands."""
    graph = Graph("test")
    operands = [graph.input(f"x{i}", type_of(array)) for i, array in enumerate(arrays)]
    result = function(*operands)
    graph.outputs = {"y": result}
    if weights is not None:
        dxs = gradients({result: graph.constant(weights)}, operands)
        graph.outputs.update({f"d{i}": dx for i, dx in enumerate(dxs)})
    return tuple(reference.evaluate(graph, {f"x{i}": a for i, a in enumerate(arrays)}).values())


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_those_of_keras(keras, jax, name):
    function = getattr(keras.activations, name, None) or getattr(keras.ops, name)
    points = [x for x in FINITE if x not in KINKS.get(name, ())]
    x = np.array(points, "float32")
    y, dx = run(ACTIVATIONS[name], x, weights=np.ones_like(x))
    np.testing.assert_allclose(y, function(x), 2e-6, 1e-6)
    expected = jax.grad(lambda x: function(x).sum())(x)
    finite = np.isfinite(expected)  # Keras's derivative of exponential(1000) is infinite, rightly
    np.testing.assert_allclose(dx[finite], expected[finite], 2e-5, 2e-6)
    np.testing.assert_array_equal(dx[~finite], expected[~finite])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_at_infinity_and_nan_are_those_of_keras(keras, name):
    function = getattr(keras.activations, name, None) or getattr(keras.ops, name)
    x = np.array([np.inf, -np.inf, np.nan, -0.0, 0.0], "float32")
    np.testing.assert_array_equal(run(ACTIVATIONS[name], x)[0], function(x))


@pytest.mark.parametrize(
    ("op", "keras_name", "arguments"),
    [
        (Elu(0.4), "elu", {"alpha": 0.4}),
        (Celu(0.4), "celu", {"alpha": 0.4}),
        (LeakyRelu(0.01), "leaky_relu", {"negative_slope": 0.01}),
        (Gelu(approximate=True), "gelu", {"approximate": True}),
    ],
    ids=str,
)
def test_parameters_of_activations(keras, jax, op, keras_name, arguments):
    function = getattr(keras.ops, keras_name)
    x = FINITE[:41].astype("float32")
    y, dx = run(op, x, weights=np.ones_like(x))
    np.testing.assert_allclose(y, function(x, **arguments), 2e-6, 1e-6)
    # In double precision: in single XLA's derivative of the approximate gelu may be off by 9e-6.
    with jax.enable_x64(True):
        exact = jax.grad(lambda x: function(x, **arguments).sum())(FINITE[:41].astype("float64"))
    np.testing.assert_allclose(dx, exact, 2e-5, 2e-6)


def test_extreme_values_stay_finite():
    x = np.array([-1000.0, -90, 0, 90, 1000], "float32")
    y, dx = run(Softplus(), x, weights=np.ones_like(x))
    np.testing.assert_allclose(y, [0, 8.194013e-40, np.log(2), 90, 1000], 1e-4)
    np.testing.assert_allclose(dx, [0, 8.194013e-40, 0.5, 1, 1], 1e-4)
    y, dx = run(Elu(), x, weights=np.ones_like(x))
    assert y.tolist() == [-1, -1, 0, 90, 1000]
    assert dx.tolist() == [0, 0, 1, 1, 1]


def test_slopes_at_the_kinks_of_relu6_are_zero():
    x = np.array([-1, 0, 1, 6, 7], "float32")
    assert run(Relu6(), x, weights=np.ones_like(x))[1].tolist() == [0, 0, 1, 0, 0]


@pytest.mark.parametrize(("op", "name"), [(Softmax, "softmax"), (LogSoftmax, "log_softmax")])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_softmax_is_that_of_keras(keras, jax, op, name, axis):
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(2, 3, 4, 5)).astype("float32") * 3
    function = getattr(keras.ops, name)
    y, dx = run(op(axis), x, weights=weights)
    np.testing.assert_allclose(y, function(x, axis), 1e-5, 1e-7)
    expected = jax.grad(lambda x: (function(x, axis) * weights).sum())(x)
    np.testing.assert_allclose(dx, expected, 1e-4, 1e-5)


def test_softmax_of_large_and_infinite_values():
    x = np.array([[1e4, 1e4, -1e4], [-np.inf, 0, 0], [3e38, 0, -3e38]], "float32")
    (y,) = run(Softmax(1), x)
    assert y.tolist() == [[0.5, 0.5, 0], [0, 0.5, 0.5], [1, 0, 0]]
    (y,) = run(LogSoftmax(1), x[:2])
    np.testing.assert_allclose(y[0], [-np.log(2), -np.log(2), -2e4 - np.log(2)], 1e-6)
    assert y[1, 0] == -np.inf
    with pytest.raises(ShapeError, match="empty axis"):
        Softmax(0).infer(TensorType((0, 3), "float32"))
    with pytest.raises(DTypeError, match="not int32"):
        Softmax(0).infer(TensorType((2,), "int32"))


@pytest.mark.parametrize("axis", [1, 3])
def test_batch_normalization_is_that_of_keras(keras, jax, axis):
    rng = np.random.default_rng(1)
    shape = (2, 3, 4, 3)
    x, weights = rng.normal(size=(2, *shape)).astype("float32")
    gamma, beta, mean = rng.normal(size=(3, 3)).astype("float32")
    variance = np.array([0.0, 1e-6, 2.0], "float32")

    def normalize(x, gamma, beta, mean, variance):
        return keras.ops.batch_normalization(x, mean, variance, axis, beta, gamma, 1e-3)

    arrays = (x, gamma, beta, mean, variance)
    y, *found = run(BatchNormalization(axis), *arrays, weights=weights)
    np.testing.assert_allclose(y, normalize(*arrays), 1e-5, 1e-5)
    expected = jax.grad(lambda *a: (normalize(*a) * weights).sum(), tuple(range(5)))(*arrays)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, 1e-4, 1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("axes", [(2,), (1, 2), (1,)])
def test_layer_normalization_is_that_of_keras(keras, jax, axes):
    rng = np.random.default_rng(2)
    x, weights = rng.normal(size=(2, 3, 4, 5)).astype("float32")
    gamma, beta = rng.normal(size=(2, *(x.shape[a] for a in axes))).astype("float32")
    layer = keras.layers.LayerNormalization(axis=axes)
    layer.build(x.shape)

    def normalize(x, gamma, beta):
        return layer.stateless_call([gamma, beta], [], x)[0]

    y, *found = run(LayerNormalization(axes), x, gamma, beta, weights=weights)
    np.testing.assert_allclose(y, normalize(x, gamma, beta), 1e-5, 1e-5)
    expected = jax.grad(lambda *a: (normalize(*a) * weights).sum(), (0, 1, 2))(x, gamma, beta)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, 1e-4, 2e-5)


def test_layer_normalization_of_far_away_values_keeps_its_digits():
    x = (1e4 + np.arange(8).reshape(1, 8)).astype("float32")
    (y,) = run(LayerNormalization((1,), 0.0), x, np.ones(8, "float32"), np.zeros(8, "float32"))
    exact = (np.arange(8) - 3.5) / np.arange(8).std()
    np.testing.assert_allclose(y[0], exact, 1e-6)


def test_operands_of_a_composite_op_may_depend_on_each_other():
    """Each path is counted once: that through ``gamma`` belongs to the sweep outside of the op."""

    def function(x):
        return LayerNormalization((0,))(x, x * x, x)

    x, weights = np.random.default_rng(3).normal(size=(2, 5))
    _, dx = run(function, x, weights=weights)
    for i in range(5):
        h = np.zeros(5)
        h[i] = 1e-6
        difference = (run(function, x + h)[0] - run(function, x - h)[0]) @ weights
        np.testing.assert_allclose(dx[i], difference / 2e-6, 1e-6)


def test_errors_of_normalizations():
    x, five = TensorType((2, 3), "float32"), TensorType((5,), "float32")
    three = TensorType((3,), "float32")
    with pytest.raises(ShapeError, match=r"mean needs shape \[3\]"):
        BatchNormalization(1).infer(x, three, three, five, three)
    with pytest.raises(ShapeError, match="axis 2 is none of the 2 axes"):
        BatchNormalization(2).infer(x, three, three, three, three)
    with pytest.raises(DTypeError, match="beta needs the dtype of x, float32"):
        LayerNormalization((1,)).infer(x, three, three.with_dtype("float64"))
    with pytest.raises(ShapeError, match=r"axes \(\) are not all axes"):
        LayerNormalization(()).infer(x, three, three)
