"""Layers that compute their inside again for the gradient."""

import numpy as np
import pytest

from graphc import keras
from graphc.keras import layers

X = np.random.default_rng(0).normal(size=(64, 16)).astype("float32")


class Penalized(layers.Layer):
    """A layer with a loss, a state and random numbers inside."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(16, activation="tanh")
        self.normalization = layers.BatchNormalization()
        self.dropout = layers.Dropout(0.25, seed=3)

    def call(self, inputs, training=False):
        hidden = self.normalization(self.dense(inputs), training=training)
        self.add_loss(0.1 * keras.ops.mean(keras.ops.square(hidden)))
        return self.dropout(hidden, training=training)


def trained(scope):
    keras.utils.set_random_seed(1)
    with scope:
        block = [Penalized(name=f"block{i}") for i in range(2)]
        model = keras.Sequential([keras.Input((16,)), *block, layers.Dense(3, activation="gelu")])
    model.compile("sgd", "mse")
    history = model.fit(X, X[:, :3], epochs=2, verbose=0, shuffle=False).history
    text = model.lower("train").as_text()
    return model.get_weights(), history, text.count("Checkpoint(")


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ({}, 3),
        ({"mode": "activations"}, 3),
        ({"mode": "larger_than", "output_size_threshold": 10}, 2),
        ({"mode": "list_of_layers", "layer_names": ["block1"]}, 1),
        ({"mode": None}, 0),
    ],
)
def test_training_is_the_same(arguments, count):
    weights, history, none = trained(keras.RematScope(mode=None))
    same_weights, same_history, found = trained(keras.RematScope(**arguments))
    assert none == 0 and found >= count and bool(found) == bool(count)
    for name in history:
        np.testing.assert_allclose(same_history[name], history[name], rtol=1e-5)
    for a, b in zip(same_weights, weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_scopes_nest_and_end():
    with keras.RematScope() as outer:
        with keras.RematScope(mode=None) as inner:
            assert layers.Dense(1)._remat_scope is inner
        assert layers.Dense(1)._remat_scope is outer
    assert layers.Dense(1)._remat_scope is None
    with pytest.raises(ValueError, match="Invalid mode 'some'"):
        keras.RematScope(mode="some")


def test_remat_of_a_function():
    dense = layers.Dense(4)
    function = keras.remat(lambda x: dense(x) * 2)
    np.testing.assert_allclose(function(X), np.asarray(dense(X)) * 2, rtol=1e-6)
