"""`compile(run_eagerly=True)`: the Python code of a step runs for every batch."""

import logging

import numpy as np
import pytest

import graphc
from graphc import keras
from graphc.errors import DataDependentControlFlowError, ShapeError
from graphc.keras import layers, ops

X = np.random.default_rng(3).normal(size=(70, 4)).astype("float32")
Y = X @ np.array([[1.0], [-2.0], [0.5], [0.0]], "float32") + 0.25


class Net(keras.Model):
    """Has all that a step may change: weights, running means, random numbers, added losses."""

    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(8, "tanh", kernel_regularizer="l2", activity_regularizer="l1")
        self.norm = layers.BatchNormalization()
        self.dropout = layers.Dropout(0.3)
        self.out = layers.Dense(1)

    def call(self, x, training=None):
        y = self.dropout(self.norm(self.hidden(x)), training=training)
        self.add_loss(1e-3 * ops.mean(ops.square(y)))
        return self.out(y)


def sequential():
    return keras.Sequential(
        [layers.Dense(8, "tanh"), layers.BatchNormalization(), layers.Dropout(0.3), layers.Dense(1)]
    )


def functional():
    x, more = keras.Input((4,), name="x"), keras.Input((4,), name="more")
    y = layers.Dense(3, "relu")(layers.concatenate([x, more]))
    return keras.Model({"x": x, "more": more}, [layers.Dense(1)(y), layers.Dense(1)(y)])


def results(make, eagerly, x, y):
    keras.utils.set_random_seed(5)
    model = make()
    schedule = keras.optimizers.schedules.ExponentialDecay(0.02, 10, 0.9)
    metrics = ["mae"] if not isinstance(y, list) else [["mae"], ["mse"]]
    model.compile(keras.optimizers.Adam(schedule), "mse", metrics=metrics, run_eagerly=eagerly)
    assert model.run_eagerly == eagerly
    history = model.fit(x, y, batch_size=16, epochs=2, validation_split=0.2, verbose=0)
    few = keras.tree.map_structure(lambda a: a[:5], (x, y))
    return [
        *history.history.values(),
        model.evaluate(x, y, verbose=0),
        *keras.tree.flatten(model.predict(x, verbose=0)),
        *keras.tree.flatten(model.predict_on_batch(few[0])),
        model.train_on_batch(*few),
        model.test_on_batch(*few),
        *model.get_weights(),
        *[v.numpy() for v in model.optimizer.variables],
    ]


@pytest.mark.parametrize(
    "make, x, y",
    [(Net, X, Y), (sequential, X, Y), (functional, {"x": X, "more": X**2}, [Y, -Y])],
    ids=["subclass", "sequential", "functional"],
)
def test_computes_what_compiled_steps_do(make, x, y):
    for mine, compiled in zip(results(make, True, x, y), results(make, False, x, y), strict=True):
        np.testing.assert_allclose(mine, compiled, rtol=2e-5, atol=2e-6)


def test_python_runs_for_every_batch():
    seen = []

    class Watched(Net):
        def train_step(self, data):
            x, y = data
            seen.append(("train_step", x.numpy().shape, float(y[0, 0]) == y.numpy()[0, 0]))
            return super().train_step(data)

        def call(self, x, training=None):
            seen.append(("call", np.asarray(x).shape, training))
            return super().call(x, training)

    def loss(y, predicted):
        seen.append(("loss", y.numpy().shape))
        return ops.convert_to_tensor(np.float32(0.5)) * ops.mean((y - predicted) ** 2)

    def metric(y, predicted):
        return float(np.mean(np.abs(y.numpy() - predicted.numpy())))

    model = Watched()
    model.compile("sgd", loss, metrics=[metric], run_eagerly=True)
    assert not model.built
    model.fit(X, Y, batch_size=32, epochs=2, verbose=0, shuffle=False)
    batch = [("train_step", (32, 4), True), ("call", (32, 4), True), ("loss", (32, 1))]
    last = [("train_step", (6, 4), True), ("call", (6, 4), True), ("loss", (6, 1))]
    assert seen == 2 * (2 * batch + last)
    assert model.built and len(model.trainable_variables) == 6
    seen.clear()
    scores = model.evaluate(X, Y, batch_size=70, verbose=0)
    outputs = model.predict(X, batch_size=40, verbose=0)
    assert [item[:2] for item in seen if item[0] == "call"] == [
        ("call", (70, 4)),
        ("call", (40, 4)),
        ("call", (30, 4)),
    ]
    np.testing.assert_allclose(scores[1], np.mean(np.abs(outputs - Y)), rtol=1e-5)
    model.compile("sgd", "mse")
    with pytest.raises(DataDependentControlFlowError):
        model.fit(X, Y, verbose=0)


def test_models_called_on_data_run_once():
    calls = []

    class Doubled(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, x):
            calls.append(x.numpy().sum())
            return self.dense(x)

    model = Doubled()
    assert model(X).shape == (70, 2) and len(calls) == 1
    assert model.built and len(model.variables) == 2

    class Failing(Doubled):
        def call(self, x):
            raise RuntimeError("no")

    model = Failing()
    with pytest.raises(RuntimeError):
        model(X)
    assert not model.built


def test_steps_over_batches_and_with_callbacks():
    batches = [(X[i : i + 10], Y[i : i + 10]) for i in range(0, 70, 10)]
    model = sequential()
    model.compile("sgd", "mse", run_eagerly=True)
    ends = []
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=lambda b, logs: ends.append(b))
    history = model.fit(iter(batches), epochs=2, steps_per_epoch=3, verbose=0, callbacks=[callback])
    assert ends == [0, 1, 2] * 2 and len(history.history["loss"]) == 2
    assert model.predict(iter([x for x, _ in batches]), verbose=0).shape == (70, 1)
    program = model.lower("train", batches[0])
    assert program.name == "train"


def test_the_flag_in_files_and_for_all_functions(tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    assert not model.run_eagerly
    model.compile("sgd", "mse", run_eagerly=True)
    for name in ("model.keras", "model.h5"):
        model.save(tmp_path / name)
        assert keras.models.load_model(tmp_path / name).run_eagerly
    model.run_eagerly = False
    assert not model.run_eagerly
    graphc.config.run_functions_eagerly(True)
    try:
        assert model.run_eagerly and graphc.config.functions_run_eagerly()
    finally:
        graphc.config.run_functions_eagerly(False)
    assert not model.run_eagerly


def test_freezing_before_the_first_batch():
    model = Net()
    model.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(ShapeError):
        model.fit(X, np.zeros((70, 3, 5), "float32"), verbose=0)
    model.fit(X, Y, verbose=0)
    assert len(model.trained_variables) == 6


def test_outputs_need_rows():
    class Total(keras.Model):
        def call(self, x):
            return ops.sum(x)

    model = Total()
    model.run_eagerly = True
    with pytest.raises(ShapeError, match="a row for each of the 32 samples"):
        model.predict(X)


def test_messages_go_to_the_log(capsys, caplog):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    assert keras.config.is_interactive_logging_enabled()
    keras.utils.disable_interactive_logging()
    try:
        assert not keras.utils.is_interactive_logging_enabled()
        with caplog.at_level(logging.INFO, logger="graphc"):
            model.fit(X, Y, epochs=2, verbose=2)
            model.summary()
    finally:
        keras.config.enable_interactive_logging()
    assert capsys.readouterr().out == ""
    assert "Epoch 2/2" in caplog.text and "Trainable params: 5" in caplog.text
    model.fit(X, Y, verbose=2)
    assert "loss" in capsys.readouterr().out
