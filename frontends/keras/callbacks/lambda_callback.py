"""A callback made of functions."""

from collections.abc import Callable
from typing import Any

from graphc.keras.callbacks.callback import HOOKS, Callback

Hook = Callable[..., Any] | None


class LambdaCallback(Callback):
    """Call functions at certain moments, without a class of one's own.

    Hooks of epochs and batches take the number and the logs; those at the beginning and the end
    of a run take the logs.

    Args:
        on_epoch_begin: called before each epoch.
        on_epoch_end: called after each epoch.
        on_train_begin: called once before the first epoch.
        on_train_end: called once after the last epoch.
        on_train_batch_begin: called before each batch of training.
        on_train_batch_end: called after each batch of training.
        **kwargs: functions for other hooks of ``Callback``, by their names.

    Raises:
        TypeError: a name is no hook of ``Callback``.

    Example:
        >>> show = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print(logs))
    """

    def __init__(
        self,
        on_epoch_begin: Hook = None,
        on_epoch_end: Hook = None,
        on_train_begin: Hook = None,
        on_train_end: Hook = None,
        on_train_batch_begin: Hook = None,
        on_train_batch_end: Hook = None,
        **kwargs: Hook,
    ) -> None:
        super().__init__()
        unknown = sorted(set(kwargs) - set(HOOKS))
        if unknown:
            raise TypeError(
                f"LambdaCallback: {', '.join(unknown)} is no hook of a callback. "
                f"The hooks are: {', '.join(HOOKS)}"
            )
        functions = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }
        for name, function in functions.items():
            if function is not None:
                setattr(self, name, function)
