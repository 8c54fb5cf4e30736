"""The forms in which data comes, and what is said about data that does not fit."""

import re

import numpy as np
import pytest

from graphc import keras
from graphc.errors import DTypeError, ShapeError
from tests.keras.training import CLASSES, ONE_HOT, WEIGHTS, X, Y, assert_close


def linear(units=1, activation=None, inputs=4, loss="mse", **options):
    """A compiled model with weights of 0.1."""
    model = keras.Sequential(
        [
            keras.Input((inputs,), name="features"),
            keras.layers.Dense(units, activation, kernel_initializer="ones", name="out"),
        ]
    )
    model.set_weights([0.1 * weight for weight in model.get_weights()])
    model.compile("sgd", loss, **options)
    return model


def pair():
    one, two = keras.Input((2,), name="one"), keras.Input((2,), name="two")
    sums = keras.layers.Concatenate()([one, two])
    outputs = [keras.layers.Dense(1, name="main")(sums), keras.layers.Dense(2, name="aux")(one)]
    model = keras.Model([one, two], outputs)
    model.compile("sgd", "mse")
    return model


def trained(x, y=None, **options):
    """The losses and weights after two epochs."""
    model = linear()
    options = {"batch_size": 16, "epochs": 2, "shuffle": False, "verbose": 0} | options
    history = model.fit(x, y, **options)
    return [*history.history["loss"], *model.get_weights()[0][:, 0]]


def batches(size=16):
    for begin in range(0, len(X), size):
        yield X[begin : begin + size], Y[begin : begin + size]


def endless(size=16):
    while True:
        yield from batches(size)


class Batches(keras.utils.PyDataset):
    ended = 0

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return X[16 * index : 16 * index + 16], Y[16 * index : 16 * index + 16]

    def on_epoch_end(self):
        self.ended += 1


class Frame:
    """Anything that NumPy can read, a data frame for instance."""

    def __init__(self, array):
        self._array = array

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self._array, dtype)


FORMS = {
    "lists": lambda: (X.tolist(), Y.tolist()),
    "targets of rank 1": lambda: (X, Y[:, 0]),
    "float64": lambda: (X.astype("float64"), Y.astype("float64")),
    "Fortran order": lambda: (np.asfortranarray(X), Y),
    "views": lambda: (np.repeat(X, 2, axis=0)[::2], Y[::-1][::-1]),
    "frames": lambda: (Frame(X), Frame(Y[:, 0])),
    "a list with one array": lambda: ([X], [Y]),
    "dicts": lambda: ({"features": X}, {"out": Y}),
    "data set": lambda: (Batches(),),
    "data set with threads": lambda: (Batches(workers=2),),
    "tuples in a list-like": lambda: (Collected(),),
}


class Collected:
    """An iterable that can be iterated again and again."""

    def __iter__(self):
        return batches()


@pytest.mark.parametrize("name", FORMS)
def test_data_comes_in_many_forms(name):
    assert_close(trained(*FORMS[name]()), trained(X, Y), rtol=1e-6)


def test_generators():
    expected = trained(X, Y)
    assert_close(trained(endless(), steps_per_epoch=4), expected, rtol=1e-6)
    model = linear()
    with pytest.warns(UserWarning, match="ran out of data"):
        history = model.fit(batches(), epochs=5, verbose=0)
    assert history.epoch == [0]
    assert history.history["loss"] == pytest.approx(expected[:1])
    with pytest.raises(ValueError, match="there are no batches in the data"):
        model.fit(iter(()), verbose=0)


def test_validation_on_batches():
    model = linear()
    history = model.fit(X, Y, epochs=3, verbose=0, validation_data=Batches()).history
    assert history["val_loss"][-1] == pytest.approx(model.evaluate(X, Y, verbose=0), rel=1e-5)
    history = model.fit(X, Y, verbose=0, validation_data=endless(50), validation_steps=1).history
    assert history["val_loss"][-1] == pytest.approx(model.evaluate(X, Y, verbose=0), rel=1e-5)


def test_evaluate_and_predict_take_batches():
    model = linear()
    assert model.evaluate(Batches(), verbose=0) == pytest.approx(
        model.evaluate(X, Y, batch_size=16, verbose=0)
    )
    assert_close(model.predict(Batches(), verbose=0), model.predict(X, verbose=0))
    assert model.predict(endless(), steps=2, verbose=0).shape == (32, 1)
    assert model.predict(X, batch_size=16, steps=2, verbose=0).shape == (32, 1)


def test_a_data_set_hears_of_epochs_and_is_shuffled():
    keras.utils.set_random_seed(1)
    data = Batches()
    taken = []
    data_type = type("Noted", (Batches,), {"__getitem__": lambda s, i: taken.append(i) or data[i]})
    noted = data_type()
    linear().fit(noted, epochs=3, verbose=0)
    assert noted.ended == 3
    epochs = [taken[i : i + 4] for i in range(0, 12, 4)]
    assert all(sorted(epoch) == [0, 1, 2, 3] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_weights_come_with_batches_and_by_class():
    def weighted():
        while True:
            yield X, CLASSES, WEIGHTS

    options = {"units": 3, "activation": "softmax", "loss": "ce"}
    one, two, three = linear(**options), linear(**options), linear(**options)
    by_class = {0: 2.0, 2: 0.5}
    one.fit(weighted(), steps_per_epoch=1, class_weight=by_class, verbose=0)
    product = WEIGHTS * np.choose(CLASSES, [2.0, 1.0, 0.5])
    two.fit(X, CLASSES, 50, sample_weight=product.astype("float32"), verbose=0, shuffle=False)
    three.fit(
        X, CLASSES, 50, sample_weight=WEIGHTS, class_weight=by_class, verbose=0, shuffle=False
    )
    assert_close(one.get_weights()[0], two.get_weights()[0])
    assert_close(three.get_weights()[0], two.get_weights()[0])


def test_integers_bytes_and_flags_are_inputs():
    for dtype in ("uint8", "int64", "bool", "float16"):
        model = linear()
        x = (X > 0).astype(dtype)
        model.fit(x, Y, verbose=0)
        assert_close(
            model.predict(x, verbose=0), x.astype("float32") @ model.get_weights()[0]
            + model.get_weights()[1]
        )  # fmt: skip


def test_nan_is_a_value():
    x = X.copy()
    x[3, 1] = np.nan
    history = linear().fit(x, Y, epochs=1, verbose=0).history
    assert np.isnan(history["loss"]).all()
    prediction = linear().predict(x, verbose=0)
    assert np.isnan(prediction[3]).all() and np.isfinite(np.delete(prediction, 3)).all()


def test_inputs_and_outputs_by_name_and_by_place():
    model = pair()
    x, y = (X[:, :2], X[:, 2:]), (Y, X[:, :2])
    expected = model.evaluate(x, y, verbose=0)
    named = {"two": x[1], "one": x[0]}, {"aux": y[1], "main": y[0]}
    assert model.evaluate(*named, verbose=0) == expected
    assert model.evaluate(list(x), list(y), verbose=0) == expected
    by_place, by_name = model.predict(x, verbose=0), model.predict(named[0], verbose=0)
    for one, other in zip(by_place, by_name, strict=True):
        assert_close(one, other)


def test_no_program_is_compiled_for_another_batch_size():
    model = linear()
    model.predict(X, verbose=0)
    program = model.lower("predict")
    for rows in (1, 7, 49):
        assert model.predict(X[:rows], batch_size=5, verbose=0).shape == (rows, 1)
        assert model.predict_on_batch(X[:rows]).shape == (rows, 1)
    model.evaluate(X, Y, verbose=0)
    evaluation = model.lower("evaluate")
    model.evaluate(X, Y, batch_size=9, verbose=0)
    assert model.lower("predict") is program and model.lower("evaluate") is evaluation


# --------------------------------------------------------------------------------- what is wrong


def fit(model, *data, **options):
    return lambda: model().fit(*data, verbose=0, **options)


def uncompiled():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])


def generator():
    return batches()


MISTAKES = {
    "not compiled": (
        lambda: uncompiled().fit(X, Y),
        RuntimeError,
        r'has to be compiled before fit\(\): call for example model.compile\(optimizer="adam"',
    ),
    "evaluate, not compiled": (
        lambda: uncompiled().evaluate(X, Y), RuntimeError, r"compiled before evaluate\(\)"
    ),
    "no x": (fit(linear), ValueError, "x is None"),
    "no targets": (fit(linear, X), ValueError, "no target: give y"),
    "no targets for accuracy": (
        fit(lambda: linear(metrics=["accuracy"]), X), ValueError, "need targets: give y"
    ),
    "cardinality": (
        fit(linear, X, Y[:40]), ShapeError, "same number of samples .* x has 50, y has 40"
    ),
    "cardinality of weights": (
        fit(linear, X, Y, sample_weight=WEIGHTS[:7]), ShapeError, "sample_weight has 7"
    ),
    "cardinality of one input": (
        fit(pair, [X[:, :2], X[:9, 2:]], [Y, Y]), ShapeError, r"x\[0\] has 50, x\[1\] has 9"
    ),
    "features": (
        fit(linear, X[:, :3], Y), ShapeError, r'input "features" has size 3 .* has to be 4'
    ),
    "features of a data set": (
        lambda: linear(inputs=3).fit(Batches(), verbose=0), ShapeError, 'input "features"'
    ),
    "images for a dense model": (fit(linear, X[:, None, None, :], Y), ShapeError, "features"),
    "number of inputs": (
        fit(pair, X, [Y, Y]), ValueError, r"has 2 input\(s\) \(one, two\), received 1"
    ),
    "unknown input": (
        fit(pair, {"one": X, "tow": X}, [Y, Y]), ValueError, 'needs an input "two"'
    ),
    "number of targets": (fit(pair, [X[:, :2], X[:, 2:]], Y), ValueError, "model has 2 outputs"),
    "unknown target": (
        fit(pair, [X[:, :2], X[:, 2:]], {"main": Y, "axu": Y}),
        ValueError,
        'y names "axu", which is no output .* Did you mean "aux"',
    ),
    "shape of targets": (
        fit(lambda: linear(3), X, np.ones((50, 2))), ValueError, r"\b3\b.*\b2\b|\b2\b.*\b3\b"
    ),
    "text": (fit(linear, X, ["yes"] * 50), DTypeError, r"y holds text.*class names to numbers"),
    "text as x": (fit(linear, "data.csv", Y), DTypeError, "x holds text"),
    "objects": (
        fit(linear, np.array([[1, 2, 3, None]] * 50, object), Y), DTypeError, "None, or columns"
    ),
    "ragged": (fit(linear, [[1.0, 2.0], [3.0]], Y[:2]), ShapeError, "rows of different lengths"),
    "empty": (fit(linear, X[:0], Y[:0]), ShapeError, "the data is empty"),
    "empty prediction": (lambda: linear().predict(X[:0]), ShapeError, "the data is empty"),
    "a single number": (fit(linear, 3.0, Y), ShapeError, "single number"),
    "batch_size 0": (fit(linear, X, Y, batch_size=0), ValueError, "batch_size .* not 0"),
    "batch_size 3.5": (fit(linear, X, Y, batch_size=3.5), ValueError, "batch_size .* not 3.5"),
    "epochs": (fit(linear, X, Y, epochs=2.5), ValueError, "epochs has to be a whole number"),
    "steps": (
        fit(linear, X, Y, steps_per_epoch=50 / 16), ValueError, "steps_per_epoch .* not 3.125"
    ),
    "verbose": (lambda: linear().fit(X, Y, verbose=3), ValueError, 'verbose has to be .* not 3'),
    "validation_split 1": (
        fit(linear, X, Y, validation_split=1.0), ValueError, "between 0 and 1; received 1"
    ),
    "validation_split 20": (
        fit(linear, X, Y, validation_split=20), ValueError, "between 0 and 1; received 20"
    ),
    "validation_split of few": (
        fit(linear, X[:1], Y[:1], validation_split=0.5), ValueError, "leaves no samples"
    ),
    "validation_split of batches": (
        lambda: linear().fit(generator(), validation_split=0.1), ValueError, "needs arrays"
    ),
    "validation_freq": (
        fit(linear, X, Y, validation_data=(X, Y), validation_freq="2"),
        ValueError,
        "validation_freq has to be",
    ),
    "validation_data of 4": (
        fit(linear, X, Y, validation_data=(X, Y, Y, Y)), ValueError, "a tuple of 4"
    ),
    "features of validation_data": (
        fit(linear, X, Y, validation_data=(X[:, :2], Y)), ShapeError, 'input "features"'
    ),
    "y with batches": (
        lambda: linear().fit(generator(), Y), ValueError, "y must not be given when x is a gen"
    ),
    "class_weight as a list": (
        fit(linear, X, Y, class_weight=[1, 2]), TypeError, "has to be a dict .* received list"
    ),
    "class_weight of no class": (
        fit(lambda: linear(3), X, ONE_HOT, class_weight={5: 1.0}),
        ValueError,
        "names class 5, but the one-hot targets have 3 classes",
    ),
    "class_weight by name": (
        fit(linear, X, Y, class_weight={"cat": 1.0}), TypeError, "class numbers, not 'cat'"
    ),
    "class_weight of two outputs": (
        fit(pair, [X[:, :2], X[:, 2:]], [Y, X[:, :2]], class_weight={0: 1.0}),
        ValueError,
        "models with one output",
    ),
    "unknown loss": (
        lambda: linear(loss="mean_square_error"), ValueError, "mean_squared_error"
    ),
    "unknown metric": (lambda: linear(metrics=["acuracy"]), ValueError, "acuracy.*accuracy"),
    "unknown optimizer": (
        lambda: uncompiled().compile("adamm", "mse"), ValueError, "adamm.*adam"
    ),
    "unknown backend": (
        lambda: uncompiled().compile("sgd", "mse", backend="gpu"), ValueError, "there are cpu"
    ),
    "a metric's class": (
        lambda: linear(metrics=[keras.metrics.BinaryAccuracy]), TypeError, r"BinaryAccuracy\(\)"
    ),
    "loss for no output": (
        lambda: linear(loss={"outt": "mse"}).fit(X, {"out": Y}), ValueError, "outt"
    ),
    "losses for too many": (fit(lambda: linear(loss=["mse"] * 2), X, Y), ValueError, "2 entries"),
    "no loss": (fit(lambda: linear(loss=None), X, Y), ValueError, "no loss to minimize"),
    "a callback's class": (
        fit(linear, X, Y, callbacks=[keras.callbacks.EarlyStopping]), TypeError, "parentheses"
    ),
    "nothing to train": (
        lambda: frozen().fit(X, Y, verbose=0), ValueError, "nothing to train"
    ),
    "loss per sample": (
        fit(lambda: linear(loss=keras.losses.MeanSquaredError(reduction="none")), X, Y),
        ValueError,
        'do not use reduction="none"',
    ),
}  # fmt: skip


def frozen():
    model = linear()
    model.trainable = False
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_explained(name, monkeypatch):
    call, error, message = MISTAKES[name]

    def ran(*_, **__):
        raise AssertionError("data flowed before the mistake was found")

    monkeypatch.setattr("graphc.runtime.cpu.program.CpuExecutable.run_steps", ran)
    with pytest.raises(error, match="(?s)" + message) as caught:
        call()
    text = str(caught.value)
    assert not re.search(r"\bNone\b.*NoneType|KeyError", text)
    assert len(text) < 500


def test_a_fixed_batch_size_is_kept():
    inputs = keras.Input(batch_shape=(2, None, 3))
    states = keras.layers.GRU(4, return_sequences=True, stateful=True)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(states))
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
    whole = model.predict(x, verbose=0)
    model.reset_states()
    halves = [model.predict(part, verbose=0) for part in (x[:, :3], x[:, 3:])]
    assert_close(np.concatenate(halves, axis=1), whole)
    many = np.concatenate([x] * 4)
    assert len(model.fit(many, many[..., :1], epochs=2, verbose=0).history["loss"]) == 2
    for call in (
        lambda: model.predict(many[:3], verbose=0),
        lambda: model.fit(many, many[..., :1], batch_size=4, verbose=0),
    ):
        with pytest.raises(ShapeError, match="was made for batches of 2"):
            call()
    with pytest.raises(ShapeError, match="2"):
        model.train_on_batch(many, many[..., :1])
