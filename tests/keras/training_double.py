"""A double of a model, and of the loop that trains it, for the tests of callbacks."""

import warnings
from types import SimpleNamespace

from graphc.keras import callbacks as ours


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
