"""Callbacks do, print and save what Keras's do, given the same results."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from graphc.keras import callbacks as ours
from tests.keras.training_double import FakeModel, assert_same, drive, losses

NAN, INF = float("nan"), float("inf")
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
