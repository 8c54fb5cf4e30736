"""Models that the tests of saving build twice, with Keras and with graphc."""

from __future__ import annotations

from typing import Any

import numpy as np


def sequential(k: Any) -> Any:
    """Recurrent layers, wrappers, cells in a list, normalization."""
    layers = k.layers
    return k.Sequential(
        [
            layers.Input((6, 4)),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
            layers.Dropout(0.5),
            layers.TimeDistributed(layers.Dense(2)),
            layers.RNN([layers.GRUCell(2), layers.LSTMCell(3)]),
            layers.Dense(3, activation="relu", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.Dense(2, use_bias=False, kernel_constraint="max_norm"),
        ]
    )


def convolutions(k: Any) -> Any:
    """Layers on images."""
    layers = k.layers
    return k.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.DepthwiseConv2D(3),
            layers.SeparableConv2D(3, 2),
            layers.LayerNormalization(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def embedding(k: Any) -> Any:
    """A mask that goes from layer to layer."""
    layers = k.layers
    words = layers.Input((5,), dtype="int32")
    states = layers.GRU(4)(layers.Embedding(10, 3, mask_zero=True)(words))
    return k.Model(words, layers.Dense(2)(states))


def shared(k: Any) -> Any:
    """A shared layer, two inputs, two outputs."""
    layers = k.layers
    a, b = layers.Input((4,), name="a"), layers.Input((3,), name="b")
    both = layers.Dense(5, activation="tanh")
    x, y = both(a), both(layers.Dense(4)(b))
    one = layers.Dense(1, name="one")(layers.Concatenate()([x, y]))
    return k.Model([a, b], [one, layers.Dense(2, name="two")(layers.Add()([x, y]))])


def named(k: Any) -> Any:
    """Inputs and outputs in dictionaries."""
    layers = k.layers
    a, b = layers.Input((4,), name="a"), layers.Input((3,), name="b")
    joined = layers.Concatenate()([a, b])
    outputs = {"s": layers.Dense(2, name="s")(joined), "t": layers.Dense(1, name="t")(a)}
    return k.Model({"a": a, "b": b}, outputs)


def nested(k: Any) -> Any:
    """Models in models, called twice."""
    layers = k.layers
    inner = k.Sequential([layers.Input((3,)), layers.Dense(3)], name="inner")
    x = layers.Input((3,))
    middle = k.Model(x, inner(inner(x)), name="middle")
    x = layers.Input((3,))
    return k.Model(x, layers.Dense(2)(middle(middle(x))))


def functions(k: Any) -> Any:
    """Operators and functions of `keras.ops`."""
    x = k.layers.Input((5, 4))
    y = k.ops.mean(x * 2.0 + 1, axis=1)[:, :3]
    y = k.ops.reshape(k.ops.concatenate([y, k.ops.relu(-y)], axis=-1), (-1, 2, 3))
    return k.Model(x, k.ops.softmax(k.layers.Dense(3)(y)) / 2)


_rng = np.random.default_rng(0)

#: The models, and data for them.
MODELS: dict[str, tuple[Any, Any]] = {
    "sequential": (sequential, _rng.random((5, 6, 4), "float32")),
    "convolutions": (convolutions, _rng.random((5, 8, 8, 3), "float32")),
    "embedding": (embedding, _rng.integers(0, 10, (5, 5)).astype("int32")),
    "shared": (shared, [_rng.random((5, 4), "float32"), _rng.random((5, 3), "float32")]),
    "named": (named, {"a": _rng.random((5, 4), "float32"), "b": _rng.random((5, 3), "float32")}),
    "nested": (nested, _rng.random((5, 3), "float32")),
    "functions": (functions, _rng.random((5, 5, 4), "float32")),
}


def randomize(model: Any) -> None:
    """Give all weights values that no initializer gives."""
    rng = np.random.default_rng(1)
    values = [rng.uniform(0.1, 0.6, weight.shape) for weight in model.weights]
    model.set_weights([v.astype("float32") for v in values])


def outputs(model: Any, x: Any) -> list[np.ndarray]:
    """What a model of either kind predicts, as a list of arrays."""
    y = model(x)
    if isinstance(y, dict):
        return [np.asarray(y[key]) for key in sorted(y)]
    return [np.asarray(item) for item in (y if isinstance(y, (list, tuple)) else [y])]


def assert_same(ours: Any, theirs: Any, x: Any, exact: bool = False) -> None:
    """Two models predict the same."""
    for a, b in zip(outputs(ours, x), outputs(theirs, x), strict=True):
        if exact:
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
