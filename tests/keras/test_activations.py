"""keras.activations against Keras on JAX."""

import numpy as np
import pytest

from graphc.eager import Tensor
from graphc.keras import activations
from graphc.keras.saving.registry import custom_object_scope, deserialize_keras_object
from tests.keras.computing import assert_same, at_once, gradients, traced

NAMES = (
    "celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh "
    "leaky_relu linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink "
    "softmax softplus softsign sparse_plus sparse_sigmoid squareplus swish tanh tanh_shrink"
).split()  # noqa: SIM905

X = np.random.default_rng(1).normal(size=(3, 6)).astype("float32") * 2
EDGES = np.array([[0.0, -0.0, 100, -100, np.inf, -np.inf, 1e-30, 3, -3, 6]], "float32")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("x", [X, EDGES, X[:0]], ids=["values", "edges", "empty"])
def test_values(real_keras, name, x):
    expected = [np.asarray(real_keras.activations.get(name)(x))]
    function = activations.get(name)
    assert_same(at_once(function, x), expected)
    assert_same(traced(function, x, batch=True), expected)


@pytest.mark.parametrize("name", NAMES)
def test_gradients(real_keras, name):
    jax = pytest.importorskip("jax")
    kinks = name in ("relu6", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh")
    x = X if kinks else np.concatenate([X, np.zeros((1, 6), "float32")])
    weights = np.random.default_rng(2).normal(size=(4, 6)).astype("float32")[: len(x)]
    weights = weights[:, :3] if name == "glu" else weights

    def theirs(x):
        return (real_keras.activations.get(name)(x) * weights).sum()

    (mine,) = gradients(lambda x: activations.get(name)(x) * weights, x)
    np.testing.assert_allclose(mine, jax.grad(theirs)(x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"negative_slope": 0.3},
        {"max_value": 6},
        {"max_value": 1.5},
        {"threshold": 0.5},
        {"negative_slope": 0.1, "max_value": 2, "threshold": 0.7},
        {"negative_slope": 0.1, "max_value": 6},
    ],
)
def test_relu_with_kinks(real_keras, options):
    expected = [np.asarray(real_keras.activations.relu(X, **options))]
    assert_same(at_once(lambda x: activations.relu(x, **options), X), expected)


def test_get(real_keras):
    assert activations.get(None) is activations.linear
    assert activations.get("swish") is activations.silu
    assert activations.get(activations.relu) is activations.relu
    config = {"class_name": "function", "config": "relu", "module": "builtins"}
    assert activations.get(config) is activations.relu
    assert deserialize_keras_object(config) is activations.relu
    with pytest.raises(ValueError, match="'rleu'. Did you mean 'relu'"):
        activations.get("rleu")
    with pytest.raises(ValueError, match="identifier: 3"):
        activations.get(3)


def test_serialize(real_keras):
    def mine(x):
        return x

    for name in NAMES:
        theirs = real_keras.activations.serialize(real_keras.activations.get(name))
        assert activations.serialize(activations.get(name)) == theirs
    assert activations.serialize(mine) == real_keras.activations.serialize(mine)
    with pytest.raises(TypeError, match="Cannot serialize a lambda"):
        activations.serialize(lambda x: x)
    with custom_object_scope({"mine": mine}):
        assert activations.deserialize(activations.serialize(mine)) is mine
        assert activations.get("mine") is mine


def test_integers_become_floats():
    assert activations.mish(Tensor(np.array([1, 2], "int32"))).dtype == "float32"
