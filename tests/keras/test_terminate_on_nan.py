"""`TerminateOnNaN`: native runs of steps, and training that ends where it ends in Keras."""

import numpy as np
import pytest

from graphc import keras
from graphc.keras.engine import watching
from graphc.keras.engine.programs import CompiledProgram

X = np.random.default_rng(8).normal(size=(100, 3)).astype("float32")
Y = X @ np.array([[1.0], [-2.0], [0.5]], "float32")


def targets(bad, value):
    """Targets of which one is invalid."""
    y = Y.copy()
    if bad is not None:
        y[bad] = value
    return y


def trained(library, y, callbacks, batches=None, **fit):
    """Weights, history, epochs begun and what was printed before the last epoch's end."""
    library.utils.set_random_seed(1)
    model = library.Sequential([library.Input((3,)), library.layers.Dense(1)])
    model.set_weights([np.full((3, 1), 0.25, "float32"), np.zeros(1, "float32")])
    # The gradient of a mean absolute error is finite where the loss is infinite.
    loss = "mse" if np.any(np.isnan(y)) else "mae"
    model.compile(library.optimizers.SGD(0.05, momentum=0.5), loss, metrics=["mse"])
    data = (X, y) if batches is None else (batches(),)
    fit = {"epochs": 3, "shuffle": False, "verbose": 0, **fit}
    if batches is None:
        fit["batch_size"] = 10
    history = model.fit(*data, callbacks=callbacks, **fit)
    return model.get_weights(), history.history, model


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("bad", [0, 57, 99, None])
def test_ends_where_keras_ends(bad, value, real_keras, capsys):
    y = targets(bad, value)
    fit = {"validation_data": (X, Y)}
    theirs = trained(real_keras, y, [real_keras.callbacks.TerminateOnNaN()], **fit)
    printed = capsys.readouterr().out
    mine = trained(keras, y, [keras.callbacks.TerminateOnNaN()], **fit)
    assert capsys.readouterr().out == printed
    assert (f"Batch {bad // 10}:" in printed) if bad is not None else printed == ""
    for a, b in zip(mine[0], theirs[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert mine[1].keys() == theirs[1].keys()
    for name in mine[1]:
        np.testing.assert_allclose(mine[1][name], theirs[1][name], rtol=1e-5)


def test_the_same_bits_as_batch_by_batch(monkeypatch):
    calls = []
    run_steps = CompiledProgram.run_steps

    def counted(self, data, batch_size, steps, *rest):
        calls.append(steps)
        return run_steps(self, data, batch_size, steps, *rest)

    monkeypatch.setattr(CompiledProgram, "run_steps", counted)
    y = targets(42, np.inf)

    def run(*callbacks):
        calls.clear()
        keras.utils.set_random_seed(3)
        stack = [keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.4), keras.layers.Dense(1)]
        model = keras.Sequential([keras.Input((3,)), *stack])
        model.compile("adam", "mae")
        # With the first epoch its speed is known, so runs are long in those that follow.
        model.fit(X, Y, batch_size=2, epochs=2, verbose=0)
        history = model.fit(X, y, batch_size=2, epochs=2, verbose=0, callbacks=list(callbacks))
        state = [*model.get_weights(), *[v.numpy() for v in model.optimizer.variables]]
        return state, history.history["loss"], list(calls)

    class Watched(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            pass

    state, loss, by_runs = run(keras.callbacks.TerminateOnNaN())
    expected, expected_loss, by_batch = run(keras.callbacks.TerminateOnNaN(), Watched())
    for a, b in zip(state, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert loss == expected_loss == [np.inf]
    assert max(by_runs) > 1 and sum(by_batch) < 150


def test_runs_are_not_done_again_without_need(monkeypatch):
    found = []
    plain = watching.is_invalid
    monkeypatch.setattr(watching, "is_invalid", lambda v: found.append(v["loss"]) or plain(v))
    trained(keras, Y, [keras.callbacks.TerminateOnNaN()], epochs=20)
    assert len(found) < 60  # there are 200 batches


def test_batches_from_python(capsys):
    y = targets(57, np.nan)

    def batches():
        for begin in range(0, 100, 10):
            yield X[begin : begin + 10], y[begin : begin + 10]

    trained(keras, y, [keras.callbacks.TerminateOnNaN()], batches, epochs=1)
    assert capsys.readouterr().out == "Batch 5: Invalid loss, terminating training\n"


def test_an_error_on_demand():
    with pytest.raises(RuntimeError, match="at batch 5. Loss value: inf"):
        trained(keras, targets(57, np.inf), [keras.callbacks.TerminateOnNaN(raise_error=True)])


def test_steps_of_ones_own_are_watched_batch_by_batch(capsys):
    class LastLoss(keras.Sequential):
        def train_step(self, data):
            super().train_step(data)
            x, y = data
            return {"loss": keras.ops.mean(keras.ops.abs(y - self(x)))}  # no mean over the epoch

    model = LastLoss([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mae")
    fit = {"batch_size": 10, "shuffle": False, "verbose": 0}
    model.fit(X, Y, epochs=5, **fit)
    model.fit(X, targets(57, np.inf), callbacks=[keras.callbacks.TerminateOnNaN()], **fit)
    assert capsys.readouterr().out == "Batch 5: Invalid loss, terminating training\n"
    model.compile("sgd", "mae", run_eagerly=True)
    model.fit(X, targets(31, np.inf), callbacks=[keras.callbacks.TerminateOnNaN()], **fit)
    assert capsys.readouterr().out == "Batch 3: Invalid loss, terminating training\n"
