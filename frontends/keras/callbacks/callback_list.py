"""All callbacks of a run behind one face."""

from collections.abc import Iterator, Mapping
from typing import Any

from graphc.keras.callbacks.callback import Callback, Logs, is_hook_needed
from graphc.keras.callbacks.history import History
from graphc.keras.callbacks.progbar_logger import ProgbarLogger

_BATCH_HOOKS = {
    "train": ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end"),
    "test": ("on_test_batch_begin", "on_test_batch_end"),
    "predict": ("on_predict_batch_begin", "on_predict_batch_end"),
}


class CallbackList(Callback):
    """Call a list of callbacks in order.

    Args:
        callbacks: a callback, or a list of them (lists and dicts inside it are flattened).
        add_history: add a ``History`` unless there is one.
        add_progbar: add a ``ProgbarLogger`` unless there is one.
        model: the model they are used with.
        **params: parameters of the run, for every callback's ``set_params``.

    Raises:
        TypeError: something in the list is no callback.

    Example:
        >>> callbacks = keras.callbacks.CallbackList([keras.callbacks.TerminateOnNaN()])
        >>> callbacks.on_train_begin()
        >>> callbacks.needs_train_batches, callbacks.watches_loss
        (False, True)
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        super().__init__()
        self.callbacks = list(_flatten(callbacks)) if callbacks else []
        self._history = self._find(History)
        self._progbar = self._find(ProgbarLogger)
        if self._history is None and add_history:
            self._history = History()
            self.callbacks.append(self._history)
        if self._progbar is None and add_progbar:
            self._progbar = ProgbarLogger()
            self.callbacks.append(self._progbar)
        self.set_model(model)
        self.set_params(params)

    def _find(self, kind: type) -> Any:
        found = [callback for callback in self.callbacks if isinstance(callback, kind)]
        return found[-1] if found else None

    def append(self, callback: Callback) -> None:
        """Add a callback at the end, and tell it the model and the parameters."""
        added = list(_flatten(callback))
        self.callbacks.extend(added)
        for each in added:
            if self.model is not None:
                each.set_model(self.model)
            if self.params:
                each.set_params(self.params)

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Tell every callback the run's parameters, if there are any."""
        self.params = params
        if params:
            for callback in self.callbacks:
                callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Tell every callback the model; the history becomes the model's ``history``."""
        if model is None:
            return
        super().set_model(model)
        if self._history is not None:
            model.history = self._history
        for callback in self.callbacks:
            callback.set_model(model)

    @property
    def needs_train_batches(self) -> bool:
        """Whether some callback has to be called at every batch of training."""
        return self._needs_batches("train")

    @property
    def needs_test_batches(self) -> bool:
        """Whether some callback has to be called at every batch of an evaluation."""
        return self._needs_batches("test")

    @property
    def needs_predict_batches(self) -> bool:
        """Whether some callback has to be called at every batch of a prediction."""
        return self._needs_batches("predict")

    def _needs_batches(self, phase: str) -> bool:
        return any(
            is_hook_needed(callback, name)
            for callback in self.callbacks
            for name in _BATCH_HOOKS[phase]
        )

    @property
    def watches_loss(self) -> bool:
        """Whether some callback has to hear of the first batch whose loss is NaN or infinite."""
        return any(getattr(callback, "watches_loss", False) for callback in self.callbacks)

    def notice_invalid_loss(self, batch: int, logs: Logs | None = None) -> None:
        """Tell the callbacks that watch the loss of a batch whose loss is NaN or infinite.

        For a trainer that runs many batches at once, in place of the batch hooks.

        Args:
            batch: the batch's number in the epoch.
            logs: the results so far.
        """
        for callback in self.callbacks:
            if getattr(callback, "watches_loss", False):
                callback.on_batch_end(batch, python_logs(logs))

    @property
    def shows_progress(self) -> bool:
        """Whether calling ``progress`` now and then makes something move on the screen."""
        return self._progbar is not None and self._progbar.verbose == 1

    def progress(self, step: int, logs: Logs | None = None) -> None:
        """Move the progress bar, where there is one; no other callback hears of it.

        For a trainer that runs many batches at once, in place of the batch hooks.

        Args:
            step: the number of batches done.
            logs: the results so far; none during a prediction.
        """
        if self._progbar is not None:
            self._progbar.progress(step, python_logs(logs))

    def _call(self, name: str, *arguments: Any, logs: Logs | None) -> None:
        # One dict for all: what a callback adds to the logs, those after it see. It is passed by
        # position, so that a user's hook may call its arguments what it likes.
        logs = python_logs(logs)
        for callback in self.callbacks:
            getattr(callback, name)(*arguments, logs)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Call this hook of every callback."""
        self._call("on_train_begin", logs=logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Call this hook of every callback."""
        self._call("on_train_end", logs=logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Call this hook of every callback."""
        self._call("on_test_begin", logs=logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Call this hook of every callback."""
        self._call("on_test_end", logs=logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Call this hook of every callback."""
        self._call("on_predict_begin", logs=logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Call this hook of every callback."""
        self._call("on_predict_end", logs=logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Call this hook of every callback."""
        self._call("on_epoch_begin", epoch, logs=logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Call this hook of every callback."""
        self._call("on_epoch_end", epoch, logs=logs)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Call this hook of every callback."""
        self._call("on_batch_begin", batch, logs=logs)

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Call this hook of every callback."""
        self._call("on_batch_end", batch, logs=logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Call this hook of every callback."""
        self._call("on_train_batch_begin", batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Call this hook of every callback."""
        self._call("on_train_batch_end", batch, logs=logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Call this hook of every callback."""
        self._call("on_test_batch_begin", batch, logs=logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Call this hook of every callback."""
        self._call("on_test_batch_end", batch, logs=logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Call this hook of every callback."""
        self._call("on_predict_batch_begin", batch, logs=logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Call this hook of every callback."""
        self._call("on_predict_batch_end", batch, logs=logs)


def python_logs(logs: Mapping[str, Any] | None) -> Logs:
    """Results in the form that callbacks get: sorted by name, and Python floats.

    Args:
        logs: results by name; a dict inside is taken apart.

    Returns:
        A new dict. Values that are no single number stay as they are.
    """
    result: Logs = {}
    for name, value in sorted((logs or {}).items()):
        if isinstance(value, dict):
            result.update(python_logs(value))
            continue
        try:
            result[name] = value if getattr(value, "ndim", 0) else float(value)
        except (TypeError, ValueError):
            result[name] = value
    return result


def _flatten(callbacks: Any) -> Iterator[Any]:
    if isinstance(callbacks, (list, tuple)):
        for item in callbacks:
            yield from _flatten(item)
    elif isinstance(callbacks, dict):
        for key in sorted(callbacks):
            yield from _flatten(callbacks[key])
    elif isinstance(callbacks, type):
        raise TypeError(
            f"`callbacks` holds the class {callbacks.__name__}, and needs an instance of it: "
            f"{callbacks.__name__}(...), with parentheses."
        )
    elif not (hasattr(callbacks, "set_model") and hasattr(callbacks, "set_params")):
        raise TypeError(
            f"`callbacks` must be instances of keras.callbacks.Callback. "
            f"Received: {callbacks!r} (of type {type(callbacks).__name__}). For a plain function "
            f"use keras.callbacks.LambdaCallback(on_epoch_end=function)."
        )
    else:
        yield callbacks
