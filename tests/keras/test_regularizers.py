"""keras.regularizers against Keras on JAX."""

import numpy as np
import pytest

from graphc.keras import regularizers
from tests.keras.computing import assert_same, at_once, gradients, traced

X = np.random.default_rng(1).normal(size=(3, 4)).astype("float32")

CASES = [
    ("L1", {}),
    ("L1", {"l1": 0.5}),
    ("L2", {"l2": 0.3}),
    ("L1L2", {}),
    ("L1L2", {"l1": 0.1, "l2": 0.2}),
    ("L1L2", {"l2": 1}),
    ("OrthogonalRegularizer", {"factor": 0.7}),
    ("OrthogonalRegularizer", {"mode": "columns"}),
]


@pytest.mark.parametrize("name, options", CASES)
def test_values_gradients_and_configs(real_keras, name, options):
    jax = pytest.importorskip("jax")
    theirs = getattr(real_keras.regularizers, name)(**options)
    mine = getattr(regularizers, name)(**options)
    expected = [np.asarray(theirs(real_keras.ops.convert_to_tensor(X)))]
    assert_same(at_once(mine, X), expected)
    assert_same(traced(mine, X), expected)
    slope = jax.grad(lambda x: theirs(x))(real_keras.ops.convert_to_tensor(X))
    assert_same(gradients(mine, X), [np.asarray(slope)], rtol=1e-4)
    config = real_keras.regularizers.serialize(theirs)
    assert regularizers.serialize(mine) == config
    assert regularizers.deserialize(config).get_config() == theirs.get_config()


@pytest.mark.parametrize("name", ["l1", "l2", "l1l2", "L1L2", "orthogonal_regularizer", "l1_l2"])
def test_get(name):
    assert isinstance(regularizers.get(name), regularizers.Regularizer)
    assert regularizers.get(None) is None


@pytest.mark.parametrize("value", [-1, np.nan, np.inf, "a"])
def test_factors_that_are_none(value):
    with pytest.raises(ValueError, match="expected a non-negative float. Received: l2"):
        regularizers.L2(value)


def test_errors():
    with pytest.raises(ValueError, match="must have rank 2. Received: inputs.shape=\\(3,\\)"):
        regularizers.OrthogonalRegularizer()(X[:, 0])
    with pytest.raises(ValueError, match="mode=diagonal"):
        regularizers.OrthogonalRegularizer(mode="diagonal")
    with pytest.raises(ValueError, match="Could not interpret regularizer identifier: 'l3'"):
        regularizers.get("l3")
