"""Callbacks do, print and save what Keras's do, given the same results."""

import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from graphc.keras import callbacks as ours
from graphc.keras.callbacks.callback import HOOKS

NAN, INF = float("nan"), float("inf")


class FakeModel:
    """Notes what callbacks do to it."""

    def __init__(self, learning_rate=0.1):
        self.calls = []
        self.optimizer = SimpleNamespace(learning_rate=learning_rate)
        self.stop_training = False
        self.metrics = []
        self.version = 0  # stands for the weights

    def get_weights(self):
        self.calls.append("get_weights")
        return [self.version]

    def set_weights(self, weights):
        self.calls.append(("set_weights", weights))

    def save(self, path, overwrite=False):
        self.calls.append(("save", path, overwrite))

    def save_weights(self, path, overwrite=False):
        self.calls.append(("save_weights", path, overwrite))


def drive(library, make, epochs, batches=(), model=None):
    """Run a training loop over given results, and tell all that could be observed."""
    model = model or FakeModel()
    seen = {"rates": [], "error": None}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            made = make(library)
            callbacks = library.CallbackList(
                made if isinstance(made, list) else [made],
                add_history=True,
                model=model,
                verbose=0,
                epochs=len(epochs),
                steps=len(batches),
            )
            callbacks.on_train_begin()
            for epoch, logs in enumerate(epochs):
                model.version = epoch
                callbacks.on_epoch_begin(epoch)
                for batch, batch_logs in enumerate(batches):
                    callbacks.on_train_batch_begin(batch)
                    callbacks.on_train_batch_end(batch, dict(batch_logs))
                    if model.stop_training:
                        break
                callbacks.on_epoch_end(epoch, dict(logs))
                seen["rates"].append(float(model.optimizer.learning_rate))
                if model.stop_training:
                    break
            callbacks.on_train_end(dict(logs))
        except Exception as error:
            seen["error"] = (type(error).__name__, str(error))
    seen["history"] = repr(model.history.history) if hasattr(model, "history") else None
    seen["calls"] = model.calls
    seen["stopped"] = model.stop_training
    seen["warnings"] = [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
    return seen


def assert_same(real_keras, capsys, make, epochs, batches=()):
    """Compare what our callback does with what Keras's does; return what it was."""
    capsys.readouterr()
    expected = drive(real_keras.callbacks, make, epochs, batches)
    expected["printed"] = capsys.readouterr().out
    received = drive(ours, make, epochs, batches)
    received["printed"] = capsys.readouterr().out
    assert received == expected
    return received


def losses(*values, name="val_loss"):
    return [{name: value} for value in values]


BUMPY = losses(0.9, 0.7, 0.71, 0.65, 0.66, 0.67, 0.68, 0.5, 0.51, 0.52, 0.53)

EARLY_STOPPING = {
    "defaults": ({}, BUMPY),
    "patience": ({"patience": 2, "verbose": 1}, BUMPY),
    "restore": ({"patience": 2, "restore_best_weights": True, "verbose": 1}, BUMPY),
    "restore without stop": ({"patience": 99, "restore_best_weights": True, "verbose": 1}, BUMPY),
    "min_delta": ({"patience": 1, "min_delta": 0.1}, BUMPY),
    "negative min_delta": ({"patience": 1, "min_delta": -0.1}, BUMPY),
    "min_delta within rounding": ({"min_delta": 1e-4}, losses(0.5, 0.4999, 0.4998, 0.4997)),
    "baseline never reached": (
        {"patience": 3, "baseline": 0.1, "restore_best_weights": True, "verbose": 1},
        BUMPY,
    ),
    "baseline reached": ({"patience": 2, "baseline": 0.8}, BUMPY),
    "start_from_epoch": ({"start_from_epoch": 4, "patience": 1, "verbose": 1}, BUMPY),
    "max": ({"mode": "max", "patience": 1}, BUMPY),
    "min": ({"mode": "min", "patience": 1}, BUMPY),
    "unknown mode": ({"mode": "best", "patience": 1}, BUMPY),
    "missing": ({"monitor": "val_loss"}, [{"loss": 1.0, "mae": 2.0}] * 3),
    "direction unknown": ({"monitor": "val_speed"}, losses(1.0, 2.0, name="val_speed")),
    "nan first": (
        {"patience": 1, "restore_best_weights": True, "verbose": 1},
        losses(NAN, NAN, NAN, 0.5),
    ),
    "nan later": ({"patience": 2, "restore_best_weights": True}, losses(0.5, NAN, NAN, 0.4)),
    "inf": ({"patience": 1}, losses(INF, INF, 0.5, -INF, -INF, -INF)),
    "ties": ({"patience": 2}, losses(0.5, 0.5, 0.5, 0.5)),
    "equal as float32": ({"patience": 1}, losses(0.5, 0.5 - 1e-12, 0.5 - 2e-12)),
    "beyond float32": ({"patience": 1}, losses(1e300, 1e200, 1e100, 1.0, 2.0, 3.0)),
    "one epoch": ({"patience": 0}, losses(0.5)),
    "zero patience at epoch 0": ({"patience": 0, "baseline": 0.1}, losses(0.5, 0.6)),
}


@pytest.mark.parametrize("case", EARLY_STOPPING)
def test_early_stopping(case, real_keras, capsys):
    arguments, epochs = EARLY_STOPPING[case]
    assert_same(real_keras, capsys, lambda k: k.EarlyStopping(**arguments), epochs)


def test_early_stopping_serves_two_runs():
    callback = ours.EarlyStopping(patience=1, restore_best_weights=True)
    drive(ours, lambda k: callback, losses(0.1, 0.2, 0.3))
    assert callback.stopped_epoch == 2 - 1
    second = drive(ours, lambda k: callback, losses(0.9, 0.8, 0.7))
    assert not second["stopped"]
    assert second["calls"][-1] == ("set_weights", [2])


REDUCE = {
    "defaults": ({}, BUMPY),
    "patience 0": ({"patience": 0, "verbose": 1}, BUMPY),
    "patience": ({"patience": 2, "verbose": 1}, BUMPY),
    "factor": ({"patience": 1, "factor": 0.5, "verbose": 1}, BUMPY),
    "cooldown": ({"patience": 1, "cooldown": 2, "factor": 0.5, "verbose": 1}, BUMPY),
    "min_lr": ({"patience": 0, "min_lr": 0.03, "factor": 0.5, "verbose": 1}, BUMPY),
    "min_delta": ({"patience": 1, "min_delta": 0.1, "verbose": 1}, BUMPY),
    "max": ({"patience": 1, "mode": "max", "verbose": 1}, BUMPY),
    "missing": ({"monitor": "val_mae", "mode": "min"}, [{"loss": 1.0}] * 2),
    "factor too large": ({"factor": 1.0}, BUMPY),
    "nan": ({"patience": 1, "verbose": 1}, losses(NAN, NAN, NAN, NAN)),
}


@pytest.mark.parametrize("case", REDUCE)
def test_reduce_lr_on_plateau(case, real_keras, capsys):
    arguments, epochs = REDUCE[case]
    assert_same(real_keras, capsys, lambda k: k.ReduceLROnPlateau(**arguments), epochs)


def test_reduce_lr_takes_the_older_name_of_min_delta():
    assert ours.ReduceLROnPlateau(epsilon=0.25).min_delta == 0.25


SCHEDULES = {
    "two arguments": lambda epoch, lr: lr * 0.5,
    "one argument": lambda epoch: 0.1 / (epoch + 1),
    "default argument": lambda epoch, lr=1.0: lr * 0.25,
    "numpy float32": lambda epoch: np.float32(0.1),
    "numpy float64": lambda epoch, lr: np.float64(0.1) * (epoch + 1),
    "not a float": lambda epoch, lr: "fast",
    "an integer": lambda epoch, lr: 1,
    "nothing": lambda epoch: None,
}


@pytest.mark.parametrize("verbose", [0, 1])
@pytest.mark.parametrize("case", SCHEDULES)
def test_learning_rate_scheduler(case, verbose, real_keras, capsys):
    schedule = SCHEDULES[case]
    assert_same(
        real_keras,
        capsys,
        lambda k: k.LearningRateScheduler(schedule, verbose=verbose),
        losses(0.5, 0.4, 0.3),
    )


def test_learning_rate_scheduler_takes_objects_and_scalar_arrays():
    class Decay:
        def __call__(self, step):
            return np.array(0.5 ** (step + 1))

    seen = drive(ours, lambda k: k.LearningRateScheduler(Decay()), losses(1.0, 1.0))
    assert seen["rates"] == [0.5, 0.25]
    assert seen["error"] is None


def test_learning_rate_scheduler_shows_the_error_of_the_schedule_itself():
    def schedule(epoch, lr):
        return lr + "x"

    seen = drive(ours, lambda k: k.LearningRateScheduler(schedule), losses(1.0))
    assert "unsupported operand" in seen["error"][1]


def test_learning_rate_is_an_optimizer_attribute(real_keras, capsys):
    for library in (real_keras.callbacks, ours):
        model = FakeModel()
        del model.optimizer.learning_rate
        seen = drive(library, lambda k: k.LearningRateScheduler(float), losses(1.0), model=model)
        assert seen["error"] == ("ValueError", 'Optimizer must have a "learning_rate" attribute.')


BATCHES = [{"loss": 0.5, "acc": 0.25}] * 5
CHECKPOINTS = {
    "every epoch": ({"filepath": "m.keras"}, BUMPY, ()),
    "verbose": ({"filepath": "m.keras", "verbose": 1}, BUMPY, ()),
    "template": ({"filepath": "m-{epoch:02d}-{val_loss:.2f}.keras", "verbose": 1}, BUMPY, ()),
    "h5": ({"filepath": "m.{epoch}.h5"}, BUMPY, ()),
    "path": ({"filepath": Path("m.keras")}, BUMPY, ()),
    "weights": ({"filepath": "m.weights.h5", "save_weights_only": True, "verbose": 1}, BUMPY, ()),
    "best": ({"filepath": "m.keras", "save_best_only": True, "verbose": 1}, BUMPY, ()),
    "best weights": (
        {"filepath": "{val_loss}.weights.h5", "save_best_only": True, "save_weights_only": True},
        BUMPY,
        (),
    ),
    "best max": (
        {"filepath": "m.keras", "save_best_only": True, "mode": "max", "verbose": 1},
        BUMPY,
        (),
    ),
    "threshold": (
        {
            "filepath": "m.keras",
            "save_best_only": True,
            "initial_value_threshold": 0.6,
            "verbose": 1,
        },
        BUMPY,
        (),
    ),
    "best missing": ({"filepath": "m.keras", "save_best_only": True}, [{"loss": 1.0}] * 2, ()),
    "best nan": (
        {"filepath": "m.keras", "save_best_only": True, "verbose": 1},
        losses(NAN, 0.5, NAN),
        (),
    ),
    "best of arrays": (
        {"filepath": "m.keras", "save_best_only": True},
        losses(np.array([1.0, 2.0])),
        (),
    ),
    "every 2 batches": ({"filepath": "m-{epoch}-{batch}.keras", "save_freq": 2}, BUMPY, BATCHES),
    "every 7 batches": (
        {"filepath": "m-{epoch}-{batch}-{acc:.2f}.keras", "save_freq": 7, "verbose": 1},
        BUMPY,
        BATCHES,
    ),
    "epochs of one batch": (
        {"filepath": "m-{epoch}-{batch}.keras", "save_freq": 2},
        BUMPY,
        BATCHES[:1],
    ),
    "mode unknown": ({"filepath": "m.keras", "mode": "big"}, BUMPY, ()),
    "no direction": (
        {"filepath": "m.keras", "monitor": "val_speed", "save_best_only": True},
        losses(1.0, name="val_speed"),
        (),
    ),
    "save_freq unknown": ({"filepath": "m.keras", "save_freq": "batch"}, BUMPY, ()),
}


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_model_checkpoint(case, real_keras, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, epochs, batches = CHECKPOINTS[case]
    assert_same(real_keras, capsys, lambda k: k.ModelCheckpoint(**arguments), epochs, batches)


@pytest.mark.parametrize(("weights_only", "method"), [(False, "save"), (True, "save_weights")])
def test_model_checkpoint_accepts_the_names_of_older_books(weights_only, method):
    template = "weights.{epoch:02d}-{val_loss:.2f}.hdf5"
    seen = drive(
        ours,
        lambda k: k.ModelCheckpoint(template, save_weights_only=weights_only),
        losses(0.5, 0.25),
    )
    assert seen["calls"] == [
        (method, "weights.01-0.50.hdf5", True),
        (method, "weights.02-0.25.hdf5", True),
    ]
    assert ours.ModelCheckpoint("w.h5", save_weights_only=True).filepath == "w.h5"


def test_model_checkpoint_period():
    seen = drive(ours, lambda k: k.ModelCheckpoint("{epoch}.keras", period=3), losses(*[0.5] * 8))
    assert [call[1] for call in seen["calls"]] == ["3.keras", "6.keras"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"filepath": "model"}, "must end in `.keras`"),
        ({"filepath": "cp.ckpt", "save_weights_only": True}, "must end in `.weights.h5`"),
        ({"filepath": "m.keras", "save_weights_only": True}, "must end in `.weights.h5`"),
        ({"filepath": "m.keras", "period": 0}, "`period` must be"),
        ({"filepath": "m.keras", "save_freq": 0}, "Unrecognized save_freq: 0"),
    ],
)
def test_model_checkpoint_refuses(arguments, text):
    with pytest.raises(ValueError, match="Received|save_freq") as caught:
        ours.ModelCheckpoint(**arguments)
    assert text in str(caught.value)


def test_model_checkpoint_errors_while_training(tmp_path):
    seen = drive(ours, lambda k: k.ModelCheckpoint("{val_acc}.keras"), losses(0.5))
    assert seen["error"][0] == "KeyError"
    assert "val_acc" in seen["error"][1]
    assert "epoch, val_loss" in seen["error"][1]
    folder = tmp_path / "taken.keras"
    folder.mkdir()
    seen = drive(ours, lambda k: k.ModelCheckpoint(folder), losses(0.5))
    assert seen["error"][0] == "IsADirectoryError"
    assert "non-directory" in seen["error"][1]


def test_model_checkpoint_makes_folders(tmp_path):
    path = tmp_path / "a" / "b" / "m.keras"
    drive(ours, lambda k: k.ModelCheckpoint(path), losses(0.5))
    assert path.parent.is_dir()


def test_direction_comes_from_the_metric_of_that_name():
    accuracy = SimpleNamespace(name="accuracy", _direction="up")
    error = SimpleNamespace(name="mae", _direction="down")
    container = SimpleNamespace(name="compile_metrics", metrics=[accuracy, error])
    for monitor, values, best in (
        ("val_accuracy", (0.1, 0.9, 0.5), 0.9),
        ("val_mae", (3.0, 1.0, 2.0), 1.0),
        ("val_out_loss", (3.0, 1.0, 2.0), 1.0),
    ):
        model = FakeModel()
        model.metrics = [container]
        callback = ours.EarlyStopping(monitor=monitor, patience=9)
        drive(ours, lambda k, c=callback: c, losses(*values, name=monitor), model=model)
        assert callback.best == best


CSV = {
    "plain": ({}, [{"loss": 0.5, "acc": 0.25}, {"loss": 0.25, "acc": 0.5}]),
    "separator": ({"separator": ";"}, [{"loss": 0.5, "acc": 0.25}]),
    "validation": ({}, [{"loss": 0.5, "val_loss": 0.6}, {"loss": 0.5}]),
    "validation later": ({}, [{"loss": 0.5}, {"loss": 0.5, "val_loss": 0.75}]),
    "new result": ({}, [{"loss": 0.5}, {"loss": 0.5, "other": 1.0}]),
    "odd values": (
        {},
        [{"loss": NAN, "a": INF, "text": "a,b", "row": np.array([1, 2]), "zero": np.array(3.0)}],
    ),
    "nothing": ({}, [{}, {}]),
    "append": ({"append": True}, [{"loss": 0.5}]),
}


@pytest.mark.parametrize("case", CSV)
def test_csv_logger(case, real_keras, capsys, tmp_path):
    arguments, epochs = CSV[case]
    files = []
    for library in (real_keras.callbacks, ours):
        path = tmp_path / f"{library.__name__}.csv"
        for _ in range(2):  # the second run replaces the file, or adds to it
            seen = drive(library, lambda k, p=path: k.CSVLogger(p, **arguments), epochs)
            assert seen["error"] is None
        files.append(path.read_bytes())
    assert files[0] == files[1]
    assert files[0]


@pytest.mark.parametrize("raise_error", [False, True])
@pytest.mark.parametrize("value", [NAN, INF, -INF, 0.5, None])
def test_terminate_on_nan(value, raise_error, real_keras, capsys):
    batches = [{"loss": 0.5}, {} if value is None else {"loss": value}, {"loss": 0.5}]
    assert_same(
        real_keras,
        capsys,
        lambda k: k.TerminateOnNaN(raise_error=raise_error),
        losses(0.5, 0.4),
        batches,
    )


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
    "nan": (ours.TerminateOnNaN(), "train"),
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


# Backup


class SavedModel(FakeModel):
    """Keeps its version in a file, as a model keeps its weights."""

    built = True

    def __init__(self):
        super().__init__()
        self.optimizer.built = True
        self._initial_epoch = 0

    def save_weights(self, path, overwrite=False):
        Path(path).write_text(str(self.version))

    def load_weights(self, path):
        self.version = int(Path(path).read_text())


class Interrupted(Exception):
    pass


def train(model, folder, epochs, stop=None, batches=3, **arguments):
    """Train until an epoch and batch at which a crash happens; return the epochs begun."""
    callbacks = ours.CallbackList(ours.BackupAndRestore(folder, **arguments), model=model)
    model._initial_epoch = 0
    callbacks.on_train_begin()
    begun = []
    for epoch in range(model._initial_epoch, epochs):
        begun.append(epoch)
        callbacks.on_epoch_begin(epoch)
        for batch in range(batches):
            if stop == (epoch, batch):
                return begun
            model.version += 1
            callbacks.on_train_batch_end(batch, {})
        callbacks.on_epoch_end(epoch, {})
    callbacks.on_train_end({})
    return begun


def test_backup_goes_on_where_training_stopped(tmp_path):
    folder = tmp_path / "a" / "backup"
    assert train(SavedModel(), folder, 5, stop=(3, 1)) == [0, 1, 2, 3]
    assert len(list(folder.iterdir())) == 2
    model = SavedModel()
    assert train(model, folder, 5) == [3, 4]
    assert model.version == 15
    assert not folder.exists()
    assert train(SavedModel(), folder, 5) == [0, 1, 2, 3, 4]


def test_backup_between_epochs(tmp_path):
    assert train(SavedModel(), tmp_path / "b", 5, stop=(1, 2), save_freq=2) == [0, 1]
    model = SavedModel()
    callbacks = ours.CallbackList(ours.BackupAndRestore(tmp_path / "b"), model=model)
    callbacks.on_train_begin()
    assert (model.version, model._initial_epoch) == (4, 1)


def test_backup_that_is_switched_off(tmp_path):
    train(SavedModel(), tmp_path / "b", 2, stop=(1, 1), save_freq=False)
    assert not (tmp_path / "b").exists()


def test_backup_that_is_kept(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    train(SavedModel(), tmp_path, 2, delete_checkpoint=False)
    assert len(list(tmp_path.iterdir())) == 3
    train(SavedModel(), tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_backup_survives_a_crash_while_it_is_written(tmp_path, monkeypatch):
    train(SavedModel(), tmp_path, 5, stop=(2, 0))
    model = SavedModel()

    def crash(path, overwrite=False):
        Path(path).write_text("half")
        raise Interrupted

    monkeypatch.setattr(model, "save_weights", crash)
    with pytest.raises(Interrupted):
        train(model, tmp_path, 5)
    monkeypatch.undo()
    monkeypatch.setattr("os.replace", crash)
    with pytest.raises(Interrupted):
        train(SavedModel(), tmp_path, 5)
    monkeypatch.undo()
    model = SavedModel()
    assert train(model, tmp_path, 5, stop=(4, 0)) == [2, 3, 4]
    assert model.version == 12


def test_double_checkpoint_falls_back(tmp_path):
    train(SavedModel(), tmp_path, 5, stop=(3, 0), double_checkpoint=True)
    assert len(list(tmp_path.iterdir())) == 4
    (tmp_path / "training_metadata.json").write_text("{")
    assert train(SavedModel(), tmp_path, 5, double_checkpoint=True)[0] == 2
    assert not tmp_path.exists()


def test_broken_backup(tmp_path):
    (tmp_path / "training_metadata.json").write_text("{}")
    with pytest.raises(ValueError, match="cannot be restored.*Delete the folder"):
        train(SavedModel(), tmp_path, 1)


def test_backup_refuses(tmp_path):
    with pytest.raises(ValueError, match="Empty `backup_dir`"):
        ours.BackupAndRestore("")
    with pytest.raises(ValueError, match="save_freq=batch"):
        ours.BackupAndRestore("x", save_freq="batch")
    model = SavedModel()
    model.built = False
    with pytest.raises(ValueError, match="must be built before"):
        train(model, tmp_path, 1)


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
