"""The same seed gives the same bits: in any process, with any threads, in any chunks."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from graphc import keras
from graphc.config import config
from graphc.keras.engine import running

SCRIPT = """
from tests.keras.test_determinism import fingerprint, train
print(fingerprint(*train()))
"""


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 20)).astype("float32")
    return x, (x[:, :5].sum(1) > 0).astype("int64")


def network():
    return keras.Sequential(
        [
            keras.Input((20,)),
            keras.layers.Dense(33, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.GaussianNoise(0.1),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )


def train(epochs=3, seed=11, **options):
    """A model trained from a seed, and its history."""
    keras.utils.set_random_seed(seed)
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = data()
    history = model.fit(x, y, epochs=epochs, verbose=0, validation_split=0.2, **options)
    return model, history.history


def fingerprint(model, history):
    """Every bit of the weights and of the logs."""
    arrays = [*model.get_weights(), *model.optimizer.get_weights()]
    digest = hashlib.sha256()
    for array in [*arrays, *(np.float64(values) for values in history.values())]:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def in_another_process(**environment):
    command = [sys.executable, "-c", SCRIPT]
    folder = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    search = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), folder])
    result = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": search, **environment},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split()[-1]


@pytest.fixture
def settings(monkeypatch):
    """The configuration, which is put back afterwards."""
    monkeypatch.setattr(config, "threads", config.threads)
    return config


def test_two_runs_are_equal_and_another_seed_is_not():
    expected = fingerprint(*train())
    assert fingerprint(*train()) == expected
    assert fingerprint(*train(seed=12)) != expected


def test_the_number_of_threads_makes_no_difference(settings):
    found = set()
    for threads in (1, 2, 4):
        settings.threads = threads
        found.add(fingerprint(*train()))
    assert len(found) == 1


def test_another_process_with_and_without_the_object_cache(tmp_path):
    expected = fingerprint(*train())
    cache = str(tmp_path / "objects")
    assert in_another_process(GRAPHC_CACHE="") == expected
    assert in_another_process(GRAPHC_CACHE=cache) == expected  # fills it
    assert os.listdir(cache)
    assert in_another_process(GRAPHC_CACHE=cache) == expected  # reads it


def test_chunks_of_steps_make_no_difference(monkeypatch, capsys):
    expected = fingerprint(*train())
    every_batch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    assert fingerprint(*train(callbacks=[every_batch])) == expected
    monkeypatch.setattr(running, "_CALL_SECONDS", 0.0)
    assert fingerprint(*train()) == expected
    monkeypatch.undo()
    keras.utils.set_random_seed(11)
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(*data(), epochs=3, verbose=1, validation_split=0.2).history
    assert fingerprint(model, history) == expected


def test_training_goes_on_from_weights_that_were_taken_out():
    x, y = data()
    options = {"shuffle": False, "verbose": 0, "initial_epoch": 2, "epochs": 4}
    model, _ = train(epochs=2, shuffle=False)
    state = [v.numpy() for v in model.variables], model.optimizer.get_weights()
    history = model.fit(x, y, **options).history
    expected = fingerprint(model, history)

    keras.utils.set_random_seed(99)
    copy = network()
    copy.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    copy.optimizer.build(copy.trainable_variables)
    for variable, array in zip(copy.variables, state[0], strict=True):
        variable.assign(array)
    copy.optimizer.set_weights(state[1])
    assert fingerprint(copy, copy.fit(x, y, **options).history) == expected


def test_training_goes_on_after_saving_and_after_a_crash(tmp_path):
    x, y = data()
    options = {"shuffle": False, "verbose": 0, "epochs": 4}
    model, history = train(epochs=4, shuffle=False)
    expected = [array.tobytes() for array in model.get_weights()]

    saved, _ = train(epochs=2, shuffle=False)
    saved.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    tail = loaded.fit(x, y, initial_epoch=2, validation_split=0.2, **options).history
    assert tail == {name: values[2:] for name, values in history.items()}
    assert [array.tobytes() for array in loaded.get_weights()] == expected

    class Crash(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                raise KeyboardInterrupt

    backup = str(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        callbacks = [keras.callbacks.BackupAndRestore(backup), Crash()]
        train(epochs=4, shuffle=False, callbacks=callbacks)
    callbacks = [keras.callbacks.BackupAndRestore(backup)]
    restored, tail = train(epochs=4, shuffle=False, callbacks=callbacks)
    assert tail == {name: values[3:] for name, values in history.items()}
    assert [array.tobytes() for array in restored.get_weights()] == expected


def test_dropout_changes_from_step_to_step():
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((100,)), keras.layers.Dropout(0.5)])
    x = np.ones((1, 100), "float32")
    assert (model.predict(x, verbose=0) == 1).all()
    masks = {np.asarray(model(x, training=True)).tobytes() for _ in range(5)}
    assert len(masks) == 5
