"""Training that goes on from a file, with the same bits as without the file."""

import numpy as np
import pytest

from graphc import keras
from graphc.keras import layers
from graphc.keras.models import load_model, model_from_json

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*HDF5.*"),
    pytest.mark.filterwarnings("ignore:.*__array__.*"),
]

RNG = np.random.default_rng(0)
X = RNG.random((12, 4), "float32")
Y = np.eye(3, dtype="float32")[RNG.integers(0, 3, 12)]


def build(k):
    """A model whose gradients are all clearly different from 0."""
    inputs = k.layers.Input((4,), name="a")
    hidden = k.layers.Dense(5, activation="tanh", name="h")(inputs)
    return k.Model(inputs, k.layers.Dense(3, activation="softmax", name="o")(hidden))


def optimizers(k):
    """Every optimizer, with options that add state."""
    o = k.optimizers
    return {
        "SGD": o.SGD(0.1),
        "momentum": o.SGD(0.1, momentum=0.9, nesterov=True),
        "RMSprop": o.RMSprop(),
        "centered": o.RMSprop(momentum=0.5, centered=True),
        "Adam": o.Adam(),
        "amsgrad": o.Adam(amsgrad=True),
        "AdamW": o.AdamW(),
        "Adagrad": o.Adagrad(),
        "Adadelta": o.Adadelta(),
        "Adamax": o.Adamax(),
        "Nadam": o.Nadam(),
        "Ftrl": o.Ftrl(),
        "Lion": o.Lion(),
        "schedule": o.Adam(o.schedules.ExponentialDecay(0.01, 3, 0.9), clipnorm=1.0),
    }


def fit(model, epochs=2):
    model.fit(X, Y, epochs=epochs, batch_size=4, shuffle=False, verbose=0)


def variables(optimizer):
    return [np.asarray(variable) for variable in optimizer.variables]


def assert_equal(ours, theirs, **tolerance):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, **(tolerance or {"rtol": 0, "atol": 0}))


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("name", optimizers(keras))
def test_training_goes_on_with_the_same_bits(name, ending, tmp_path):
    model = build(keras)
    model.compile(optimizers(keras)[name], "categorical_crossentropy", metrics=["accuracy"])
    fit(model)
    model.save(tmp_path / f"m{ending}")
    loaded = load_model(tmp_path / f"m{ending}")
    assert_equal(variables(loaded.optimizer), variables(model.optimizer))
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    fit(model)
    fit(loaded)
    assert_equal(loaded.get_weights(), model.get_weights())
    assert_equal(variables(loaded.optimizer), variables(model.optimizer))
    assert loaded.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_random_masks_go_on(ending, tmp_path):
    model = keras.Sequential(
        [layers.Input((4,)), layers.Dropout(0.5), layers.GaussianNoise(0.1), layers.Dense(3)]
    )
    model.compile("sgd", "mse")
    fit(model)
    model.save(tmp_path / f"m{ending}")
    loaded = load_model(tmp_path / f"m{ending}")
    fit(model)
    fit(loaded)
    assert_equal(loaded.get_weights(), model.get_weights())


@pytest.mark.parametrize("name", optimizers(keras))
def test_state_is_exchanged_with_keras(name, tmp_path, real_keras):
    for source, target in ((real_keras, keras), (keras, real_keras)):
        model = build(source)
        model.compile(optimizers(source)[name], "categorical_crossentropy", metrics=["accuracy"])
        fit(model)
        model.save(str(tmp_path / "m.keras"))
        loaded = target.models.load_model(str(tmp_path / "m.keras"))
        assert_equal(variables(loaded.optimizer), variables(model.optimizer))
        if name in ("momentum", "Adam", "schedule"):
            fit(model, 1)
            fit(loaded, 1)
            assert_equal(loaded.get_weights(), model.get_weights(), rtol=1e-4, atol=1e-5)


COMPILED = {
    "names": {"loss": "mse", "metrics": ["accuracy"]},
    "loss object": {"loss": lambda k: k.losses.CategoricalCrossentropy(label_smoothing=0.1)},
    "metric object": {
        "loss": "categorical_crossentropy",
        "metrics": lambda k: [k.metrics.CategoricalAccuracy(name="ca")],
    },
    "weighted": {"loss": "mae", "weighted_metrics": ["accuracy"]},
    "function": {"loss": lambda k: k.losses.mean_squared_error},
}


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_losses_and_metrics_are_exchanged_with_keras(name, ending, tmp_path, real_keras):
    def compile(model, kind):
        arguments = {
            key: value(kind) if callable(value) else value for key, value in COMPILED[name].items()
        }
        model.compile("sgd", **arguments)

    path = str(tmp_path / f"m{ending}")
    for source, target in ((real_keras, keras), (keras, real_keras), (keras, keras)):
        model = build(source)
        compile(model, source)
        fit(model)
        expected = model.evaluate(X, Y, verbose=0, return_dict=True)
        model.save(path)
        loaded = target.models.load_model(path)
        assert loaded.evaluate(X, Y, verbose=0, return_dict=True) == pytest.approx(
            expected, rel=1e-5
        )


def test_without_the_optimizer(tmp_path):
    model = build(keras)
    model.compile("adam", "mse")
    fit(model)
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name, include_optimizer=False)
        assert not load_model(tmp_path / name).compiled
        model.save(tmp_path / name)
        assert not load_model(tmp_path / name, compile=False).compiled
        assert load_model(tmp_path / name).compiled


@pytest.mark.filterwarnings("error:the state of the optimizer")
def test_an_optimizer_that_has_not_run_yet(tmp_path, real_keras):
    model = build(keras)
    model.compile(keras.optimizers.Adam(0.25), "mse")
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        loaded = load_model(tmp_path / name)
        assert float(loaded.optimizer.learning_rate) == 0.25
        fit(loaded)
    theirs = build(real_keras)
    theirs.compile("adam", "mse")
    theirs.save(str(tmp_path / "k.keras"))
    assert int(load_model(tmp_path / "k.keras").optimizer.iterations) == 0


def test_json_says_how_the_model_is_compiled():
    model = build(keras)
    model.compile(keras.optimizers.SGD(0.5), "mse", metrics=["accuracy"])
    again = model_from_json(model.to_json())
    assert again.compiled
    assert float(again.optimizer.learning_rate) == 0.5
    fit(again)


def test_a_frozen_layer_stays_frozen(tmp_path):
    model = build(keras)
    model.layers[1].trainable = False
    model.compile("adam", "mse")
    fit(model)
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        loaded = load_model(tmp_path / name)
        assert_equal(variables(loaded.optimizer), variables(model.optimizer))
        before = loaded.layers[1].get_weights()
        fit(loaded)
        assert_equal(loaded.layers[1].get_weights(), before)
