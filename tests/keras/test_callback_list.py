"""Hooks are called as Keras calls them, and only where they are needed; progress is printed."""

import numpy as np
import pytest

from graphc.keras import callbacks as ours
from graphc.keras.callbacks.callback import HOOKS
from tests.keras.training_double import FakeModel, assert_same, drive, losses

NAN = float("nan")
BATCHES = [{"loss": 0.5, "acc": 0.25}]


def recorder(library, record):
    """A callback that notes every hook, its arguments and what is known at that moment."""

    class Recorder(library.Callback):
        pass

    def make(name):
        def hook(self, *arguments, **keywords):
            # As text, so that the types of values and the order of keys are compared as well.
            values = [*arguments, *keywords.values()]
            record.append((name, repr(values), self.params, self.model is not None))

        return hook

    for name in HOOKS:
        setattr(Recorder, name, make(name))
    return Recorder()


def run_every_hook(callbacks):
    for kind in ("train", "test", "predict"):
        getattr(callbacks, f"on_{kind}_begin")()
        if kind == "train":
            callbacks.on_epoch_begin(0)
        for batch in range(2):
            getattr(callbacks, f"on_{kind}_batch_begin")(batch)
            getattr(callbacks, f"on_{kind}_batch_end")(batch, {"loss": np.float32(0.5)})
        if kind == "train":
            callbacks.on_epoch_end(0, {"b": 1, "a": {"d": np.float64(2), "c": "text"}})
        getattr(callbacks, f"on_{kind}_end")({"loss": 1})


def test_every_hook_gets_what_it_gets_in_keras(real_keras):
    records = []
    for library in (real_keras.callbacks, ours):
        record = []
        run_every_hook(
            library.CallbackList([recorder(library, record)], model=FakeModel(), epochs=1)
        )
        records.append(record)
    assert records[0] == records[1]
    # The recorder overrides the newer batch hooks, so nothing calls the older ones.
    assert {entry[0] for entry in records[1]} == set(HOOKS) - {"on_batch_begin", "on_batch_end"}


def test_hooks_are_those_of_keras(real_keras):
    theirs = {name for name in dir(real_keras.callbacks.Callback) if name.startswith("on_")}
    assert set(HOOKS) == theirs


def test_older_batch_hooks_are_called():
    record = []

    class Old(ours.Callback):
        def on_batch_begin(self, batch, logs=None):
            record.append(("begin", batch))

        def on_batch_end(self, batch, logs=None):
            record.append(("end", batch, logs))

    drive(ours, lambda k: Old(), losses(0.5), BATCHES[:1])
    assert record == [("begin", 0), ("end", 0, {"acc": 0.25, "loss": 0.5})]


def test_hooks_may_name_their_arguments_freely():
    record = []

    class Named(ours.Callback):
        def on_epoch_end(self, number, results):
            record.append(results["loss"])

        def on_train_batch_end(self, number, results):
            record.append(results["loss"])

    drive(ours, lambda k: Named(), [{"loss": 2.0}], [{"loss": 1.0}])
    assert record == [1.0, 2.0]


def test_lambda_callback(real_keras):
    records = []
    for library in (real_keras.callbacks, ours):
        record = []
        functions = {
            name: (lambda *args, name=name, record=record, **kw: record.append((name, args, kw)))
            for name in HOOKS
            if "batch" not in name
        }
        callbacks = library.CallbackList([library.LambdaCallback(**functions)], model=FakeModel())
        run_every_hook(callbacks)
        records.append(record)
    assert records[0] == records[1]
    assert len(records[1]) == len(HOOKS) - 8


def test_lambda_callback_refuses_unknown_hooks():
    with pytest.raises(TypeError, match="on_epoch_ends is no hook"):
        ours.LambdaCallback(on_epoch_ends=print)


def test_history(real_keras, capsys):
    epochs = [{"loss": 1, "acc": np.float32(0.5)}, {"loss": 0.5, "acc": 0.75, "val_loss": NAN}]
    seen = assert_same(real_keras, capsys, lambda k: k.Callback(), epochs)
    assert seen["history"] == "{'acc': [0.5, 0.75], 'loss': [1.0, 0.5], 'val_loss': [nan]}"


def test_history_params_and_epochs():
    model = FakeModel()
    history = ours.History()
    drive(ours, lambda k: [history], losses(1.0, 2.0), model=model)
    assert model.history is history
    assert history.params == {"verbose": 0, "epochs": 2, "steps": 0}
    assert history.epoch == [0, 1]
    drive(ours, lambda k: [history], losses(3.0), model=model)
    assert history.epoch == [0]
    assert history.history == {"val_loss": [1.0, 2.0, 3.0]}


def test_callback_list_finds_and_adds():
    logger, history = ours.ProgbarLogger(), ours.History()
    callbacks = ours.CallbackList(
        [[logger], {"b": history, "a": ours.TerminateOnNaN()}], add_history=True, add_progbar=True
    )
    assert [type(c).__name__ for c in callbacks.callbacks] == [
        "ProgbarLogger",
        "TerminateOnNaN",
        "History",
    ]
    added = ours.CallbackList(None, add_history=True, add_progbar=True)
    assert [type(c).__name__ for c in added.callbacks] == ["History", "ProgbarLogger"]
    assert ours.CallbackList(ours.TerminateOnNaN()).callbacks
    assert ours.CallbackList().callbacks == []


def test_callback_list_append():
    model = FakeModel()
    callbacks = ours.CallbackList([], model=model, epochs=3)
    callback = ours.Callback()
    callbacks.append(callback)
    assert callback.model is model
    assert callback.params == {"epochs": 3}


@pytest.mark.parametrize(
    ("callbacks", "text"),
    [
        ([ours.TerminateOnNaN], r"the class TerminateOnNaN, and needs an instance"),
        ([print], "LambdaCallback"),
        ([None], "Received: None"),
        ("checkpoint", "Received: 'checkpoint'"),
    ],
)
def test_callback_list_refuses(callbacks, text):
    with pytest.raises(TypeError, match=text):
        ours.CallbackList(callbacks)


class OverridesTrain(ours.Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass


class OverridesOld(ours.Callback):
    def on_batch_begin(self, batch, logs=None):
        pass


class OverridesTest(ours.Callback):
    def on_test_batch_begin(self, batch, logs=None):
        pass


class OverridesPredict(ours.Callback):
    def on_predict_batch_end(self, batch, logs=None):
        pass


class OwnCheckpoint(ours.ModelCheckpoint):
    def on_train_batch_end(self, batch, logs=None):
        pass


class OwnLogger(ours.ProgbarLogger):
    pass


class Stranger:
    """No subclass of Callback, but it has what one needs."""

    set_model = set_params = on_train_batch_end = lambda self, *arguments: None


class OwnTerminate(ours.TerminateOnNaN):
    pass


NEEDS = {
    "nothing": (None, ""),
    "history and bar": ([ours.History(), ours.ProgbarLogger()], ""),
    "base": (ours.Callback(), ""),
    "early stopping": (ours.EarlyStopping(), ""),
    "scheduler": (ours.LearningRateScheduler(float), ""),
    "plateau": (ours.ReduceLROnPlateau(), ""),
    "csv": (ours.CSVLogger("x.csv"), ""),
    "checkpoint by epoch": (ours.ModelCheckpoint("m.keras"), ""),
    "checkpoint by period": (ours.ModelCheckpoint("m.keras", period=2), ""),
    "checkpoint by batch": (ours.ModelCheckpoint("m.keras", save_freq=5), "train"),
    "backup by epoch": (ours.BackupAndRestore("x"), ""),
    "backup by batch": (ours.BackupAndRestore("x", save_freq=3), "train"),
    "backup off": (ours.BackupAndRestore("x", save_freq=False), ""),
    "own checkpoint": (OwnCheckpoint("m.keras"), "train"),
    "nan": (ours.TerminateOnNaN(), ""),
    "own nan": (OwnTerminate(), "train"),
    "lambda epoch": (ours.LambdaCallback(on_epoch_end=print), ""),
    "lambda batch": (ours.LambdaCallback(on_train_batch_end=print), "train"),
    "lambda old": (ours.LambdaCallback(on_batch_begin=print), "train"),
    "lambda test": (ours.LambdaCallback(on_test_batch_end=print), "test"),
    "train": (OverridesTrain(), "train"),
    "old": (OverridesOld(), "train"),
    "test": (OverridesTest(), "test"),
    "predict": (OverridesPredict(), "predict"),
    "own logger": (OwnLogger(), "train test predict"),
    "stranger": (Stranger(), "train"),
    "mixed": ([ours.History(), OverridesTest(), OverridesPredict()], "test predict"),
}


@pytest.mark.parametrize("case", NEEDS)
def test_which_batch_hooks_are_needed(case):
    callbacks, expected = NEEDS[case]
    listed = ours.CallbackList(callbacks, add_progbar=True, add_history=True)
    needed = {
        "train": listed.needs_train_batches,
        "test": listed.needs_test_batches,
        "predict": listed.needs_predict_batches,
    }
    assert [phase for phase, is_needed in needed.items() if is_needed] == expected.split()


def test_logs_are_shared_from_one_callback_to_the_next():
    seen = drive(
        ours,
        lambda k: [k.LearningRateScheduler(lambda epoch: 0.5), k.CSVLogger("/dev/null")],
        losses(1.0),
    )
    assert seen["history"] == "{'val_loss': [1.0], 'learning_rate': [0.5]}"


# What is printed


def play(library, clock, verbose, epochs, steps, kind="fit", known_steps=True):
    """Call the hooks of a logger as a trainer does."""
    logger = library.ProgbarLogger()
    logger.set_params(
        {"verbose": verbose, "epochs": epochs, "steps": steps if known_steps else None}
    )
    if kind in ("evaluate", "predict"):
        name = "test" if kind == "evaluate" else "predict"
        getattr(logger, f"on_{name}_begin")()
        for batch in range(steps):
            clock.advance(0.03)
            getattr(logger, f"on_{name}_batch_end")(batch, {"loss": 1.0 / (batch + 1)})
        getattr(logger, f"on_{name}_end")({"loss": 1e-5} if kind == "evaluate" else None)
        return
    logger.on_train_begin()
    for epoch in range(epochs):
        logger.on_epoch_begin(epoch)
        for batch in range(steps):
            clock.advance(0.03)
            logs = {"accuracy": 0.5, "loss": 1.0 / (batch + 1)}
            logger.on_train_batch_end(batch, logs)
        logger.on_test_begin()
        logger.on_test_batch_end(0, {"loss": 3.0})
        logger.on_test_end({"loss": 3.0})
        logger.on_epoch_end(epoch, {"accuracy": 0.75, "loss": 0.0001, "val_loss": -2.0})


@pytest.mark.parametrize("known_steps", [True, False])
@pytest.mark.parametrize("kind", ["fit", "evaluate", "predict"])
@pytest.mark.parametrize(("epochs", "steps"), [(1, 1), (3, 12), (2, 1500)])
@pytest.mark.parametrize("verbose", [0, 1, 2, "auto"])
def test_printed_text(
    verbose, epochs, steps, kind, known_steps, real_keras, clock, capsys, monkeypatch
):
    printed = []
    for library in (real_keras.callbacks, ours):
        clock.now = 5000.0
        play(library, clock, verbose, epochs, steps, kind, known_steps)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert bool(printed[1]) == (verbose != 0)


def test_progress_moves_the_bar_as_batches_do(clock, capsys):
    texts = []
    for use_progress in (False, True):
        clock.now = 5000.0
        callbacks = ours.CallbackList(
            [], add_progbar=True, model=FakeModel(), verbose=1, epochs=2, steps=10
        )
        callbacks.on_train_begin()
        callbacks.on_epoch_begin(0)
        for batch in (2, 5, 9):
            clock.advance(0.1)
            if use_progress:
                callbacks.progress(batch + 1, {"loss": np.float32(0.5)})
            else:
                callbacks.on_train_batch_end(batch, {"loss": np.float32(0.5)})
        callbacks.on_epoch_end(0, {"loss": 0.25})
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert "6/10" in texts[1]
    assert "Epoch 1/2" in texts[1]


def test_progress_is_silent_where_the_bar_is(clock, capsys):
    def logger(verbose):
        return ours.CallbackList(
            [], add_progbar=bool(verbose), model=FakeModel(), verbose=verbose, epochs=1, steps=4
        )

    for verbose in (0, 2):
        callbacks = logger(verbose)
        assert not callbacks.shows_progress
        callbacks.on_train_begin()
        callbacks.on_epoch_begin(0)
        callbacks.progress(2, {"loss": 1.0})
    callbacks = logger(1)
    assert callbacks.shows_progress
    callbacks.on_train_begin()
    callbacks.on_test_begin()
    callbacks.progress(2, {"loss": 1.0})
    callbacks.on_test_end({"loss": 1.0})
    assert capsys.readouterr().out == ""
    clock.advance(1)
    callbacks.on_predict_begin()
    callbacks.progress(2)
    assert "2/4" in capsys.readouterr().out
