"""The base of all callbacks, and how the trainer learns which hooks matter.

Calling Python after every batch costs more than a small batch itself. So each hook can say whether
it has anything to do: those of ``Callback`` have nothing, an overriding method always has, and a
method decorated with ``needed_if`` answers for itself. A trainer that finds no batch hook needed
runs many batches in one native call.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

Logs = dict[str, Any]
Method = TypeVar("Method", bound=Callable[..., Any])

_CONDITION = "_graphc_needed_if"


def needed_if(condition: Callable[[Any], bool]) -> Callable[[Method], Method]:
    """Mark a hook as having something to do only under a condition.

    Args:
        condition: takes the callback, and says whether the hook has to be called.
    """

    def mark(method: Method) -> Method:
        setattr(method, _CONDITION, condition)
        return method

    return mark


def is_hook_needed(callback: Any, name: str) -> bool:
    """Whether a callback has something to do in a hook.

    Args:
        callback: a ``Callback``, or any object with such hooks.
        name: the hook's name, such as ``"on_train_batch_end"``.
    """
    hook = getattr(callback, name, None)
    if hook is None:
        return False
    condition = getattr(hook, _CONDITION, None)
    return condition is None or condition(callback)


def _never(callback: Any) -> bool:
    return False


class Callback:
    """Base of objects that act at certain moments of training, evaluation and prediction.

    Override the hooks of the moments you need, and pass an instance in ``callbacks=[...]`` to
    ``fit``, ``evaluate`` or ``predict``.

    Attributes:
        params: dict of the run's parameters: ``"verbose"``, ``"epochs"``, ``"steps"``.
        model: the model that is run. ``model.stop_training = True`` ends training after the
            current batch.

    In every hook ``logs`` is a dict of results so far, as Python floats; ``None`` or empty where
    there are none yet.

    Example:
        >>> class PrintLoss(keras.callbacks.Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         print(epoch, logs["loss"])
    """

    params: Mapping[str, Any] | None = None
    model: Any = None

    def __init__(self) -> None:
        self.params = None
        self.model = None

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Take the parameters of the run that is about to begin."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Take the model of the run that is about to begin."""
        self.model = model

    @needed_if(_never)
    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called once before the first epoch."""

    @needed_if(_never)
    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called once after the last epoch, with its logs."""

    @needed_if(_never)
    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Called before an evaluation, validation during training included."""

    @needed_if(_never)
    def on_test_end(self, logs: Logs | None = None) -> None:
        """Called after an evaluation, validation during training included, with its results."""

    @needed_if(_never)
    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Called before a prediction."""

    @needed_if(_never)
    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Called after a prediction."""

    @needed_if(_never)
    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before each epoch of training; epochs count from 0."""

    @needed_if(_never)
    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after each epoch of training, with its results; those of validation as ``val_``"""

    @needed_if(_never)
    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Older name of ``on_train_batch_begin``, which calls it."""

    @needed_if(_never)
    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Older name of ``on_train_batch_end``, which calls it."""

    @needed_if(_never)
    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before each batch of training; batches count from 0 in each epoch."""
        self.on_batch_begin(batch, logs)

    @needed_if(_never)
    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after each batch of training, with the running means of the epoch."""
        self.on_batch_end(batch, logs)

    @needed_if(_never)
    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before each batch of an evaluation, validation included."""

    @needed_if(_never)
    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after each batch of an evaluation, with the running means so far."""

    @needed_if(_never)
    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before each batch of a prediction."""

    @needed_if(_never)
    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after each batch of a prediction, with its outputs in ``logs["outputs"]``."""


HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))
