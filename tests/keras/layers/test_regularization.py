import numpy as np
import pytest

from graphc import keras, runtime
from graphc.eager import Trace
from graphc.ir import TensorType
from graphc.ir.dims import symbol
from tests.keras.layers.helper import run_layer_test


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda k: k.layers.Dropout(0.5), (2, 3)),
        (lambda k: k.layers.Dropout(0, seed=3), (2, 3)),
        (lambda k: k.layers.Dropout(0.5, noise_shape=(None, 1)), (2, 3)),
        (lambda k: k.layers.SpatialDropout1D(0.5), (2, 3, 4)),
        (lambda k: k.layers.SpatialDropout2D(0.5, data_format="channels_first"), (2, 3, 4, 2)),
        (lambda k: k.layers.SpatialDropout3D(0.5), (2, 3, 4, 2, 2)),
        (lambda k: k.layers.GaussianNoise(0.5), (2, 3)),
        (lambda k: k.layers.GaussianDropout(0.5), (2, 3)),
        (lambda k: k.layers.AlphaDropout(0.5), (2, 3)),
        (lambda k: k.layers.ActivityRegularization(0.1, 0.2), (2, 3)),
    ],
)
def test_inference(real_keras, make, shape):
    run_layer_test(real_keras, make, shape)


def train(layer, x):
    return np.asarray(layer(x, training=True))


def test_dropout_in_training():
    x = np.ones((200, 100), "float32")
    y = train(keras.layers.Dropout(0.25, seed=1), x)
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    assert abs(np.mean(y == 0) - 0.25) < 0.01
    assert not np.any(train(keras.layers.Dropout(1.0), x))


def test_seeds():
    x = np.ones((4, 50), "float32")
    first, second, other = (keras.layers.Dropout(0.5, seed=s) for s in (1, 1, 2))
    a, b = train(first, x), train(first, x)
    assert np.any(a != b)
    np.testing.assert_array_equal(train(second, x), a)
    assert np.any(train(other, x) != a)
    keras.utils.set_random_seed(3)
    c = train(keras.layers.Dropout(0.5), x)
    keras.utils.set_random_seed(3)
    np.testing.assert_array_equal(train(keras.layers.Dropout(0.5), x), c)


def test_dropout_shares_noise_along_axes():
    x = np.ones((20, 7, 30), "float32")
    for layer in (
        keras.layers.Dropout(0.5, noise_shape=(None, 1, None)),
        keras.layers.SpatialDropout1D(0.5),
    ):
        y = train(layer, x)
        assert np.all(y == y[:, :1])
        assert 0.3 < np.mean(y == 0) < 0.7
    y = train(keras.layers.SpatialDropout2D(0.5), np.ones((5, 3, 4, 30), "float32"))
    assert np.all(y == y[:, :1, :1])
    first = keras.layers.SpatialDropout2D(0.5, data_format="channels_first")
    y = train(first, np.ones((5, 30, 4, 3), "float32"))
    assert np.all(y == y[:, :, :1, :1])


def test_noise_in_training():
    x = np.full((300, 100), 2, "float32")
    y = train(keras.layers.GaussianNoise(0.5, seed=1), x)
    assert abs(y.mean() - 2) < 0.02
    assert abs(y.std() - 0.5) < 0.02
    y = train(keras.layers.GaussianDropout(0.2, seed=1), x)
    assert abs(y.mean() - 2) < 0.02
    assert abs(y.std() - 1) < 0.02
    x = np.random.default_rng(0).normal(size=x.shape).astype("float32")
    y = train(keras.layers.AlphaDropout(0.3, seed=1), x)
    assert abs(y.mean()) < 0.03
    assert abs(y.std() - 1) < 0.03


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Dropout(0.5, seed=1),
        keras.layers.GaussianNoise(1.0, seed=1),
        keras.layers.AlphaDropout(0.5, seed=1),
    ],
)
def test_a_program_draws_what_eager_code_draws(layer):
    x = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")
    copies = [type(layer).from_config(layer.get_config()) for _ in range(2)]
    expected = [train(copies[0], x) for _ in range(2)]
    with Trace("train") as trace:
        inputs = trace.input("x", TensorType((symbol("batch"), 5), "float32"))
        program, variables = trace.program({"y": copies[1](inputs, training=True)})
    state = {name: variable.array for name, variable in variables.items()}
    executable = runtime.compile(program, "reference")
    for wanted in expected:
        np.testing.assert_allclose(executable.run({"x": x}, state)["y"], wanted, rtol=1e-6)


def test_seeds_are_no_weights():
    layer = keras.layers.Dropout(0.5)
    layer(np.ones((1, 2), "float32"))
    assert layer.weights == []
    assert len(layer.variables) == 1


def test_errors():
    for rate in (-0.1, 1.5, "half", None):
        with pytest.raises(ValueError, match="`rate`.*between 0 and 1"):
            keras.layers.Dropout(rate)
    with pytest.raises(ValueError, match="at least 0"):
        keras.layers.GaussianNoise(-1)
    with pytest.raises(ValueError, match="noise_shape.*should have 2 sizes"):
        train(keras.layers.Dropout(0.5, noise_shape=(1,)), np.ones((2, 3), "float32"))
    with pytest.raises(ValueError, match="needs 3 axes"):
        keras.layers.SpatialDropout1D(0.5)(keras.Input((3,)))
