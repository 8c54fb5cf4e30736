"""Change the learning rate from one epoch to the next."""

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.keras.callbacks.callback import Callback, Logs
from graphc.keras.callbacks.monitor import MonitorCallback
from graphc.keras.utils.io_utils import print_msg


class LearningRateScheduler(Callback):
    """Set the learning rate at the beginning of each epoch to what a function says.

    The rate is also added to the epoch's logs, as ``"learning_rate"``.

    Args:
        schedule: takes the epoch, counted from 0, and the learning rate so far (or the epoch
            alone), and returns the new learning rate, a float.
        verbose: 1 prints each rate; 0 prints nothing.

    Example:
        >>> scheduler = keras.callbacks.LearningRateScheduler(lambda epoch, lr: lr * 0.9)
        >>> model.fit(x, y, epochs=5, callbacks=[scheduler])  # doctest: +SKIP
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Ask the function and set the rate."""
        optimizer = self.model.optimizer
        if not hasattr(optimizer, "learning_rate"):
            raise ValueError('Optimizer must have a "learning_rate" attribute.')
        if _takes_two_arguments(self.schedule):
            rate = self.schedule(epoch, float(optimizer.learning_rate))
        else:
            rate = self.schedule(epoch)
        if getattr(rate, "shape", None) == ():
            rate = float(rate)
        if not isinstance(rate, (float, np.floating)):
            raise ValueError(
                f"The output of the `schedule` function should be a float. Got: {rate}"
            )
        optimizer.learning_rate = rate
        if self.verbose > 0:
            print_msg(
                f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}."
            )

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add the rate to the logs."""
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def _takes_two_arguments(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # a built-in that tells nothing of its arguments
        return True
    return True


class ReduceLROnPlateau(MonitorCallback):
    """Reduce the learning rate when a result has stopped improving.

    The rate is also added to the epoch's logs, as ``"learning_rate"``.

    Args:
        monitor: the result to watch.
        factor: what the rate is multiplied with, below 1.
        patience: how many epochs in a row may pass without improvement.
        verbose: 1 prints each change; 0 prints nothing.
        mode: ``"min"``, ``"max"`` or ``"auto"``: which values of ``monitor`` are better.
        min_delta: the smallest change that counts as an improvement.
        cooldown: how many epochs to wait after a change before counting again.
        min_lr: the rate never gets below this.
        epsilon: older name of ``min_delta``.

    Raises:
        ValueError: ``factor`` is 1 or above.

    Example:
        >>> reduce = keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=5)
        >>> model.fit(x, y, validation_split=0.1, callbacks=[reduce])  # doctest: +SKIP
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        epsilon: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta if epsilon is None else epsilon)
        if factor >= 1.0:
            raise ValueError(
                f"ReduceLROnPlateau does not support a factor >= 1.0. Received factor={factor}"
            )
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.cooldown_counter = 0
        self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew, so that one callback serves several runs."""
        self.best = None
        self.cooldown_counter = 0
        self.wait = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at the result, and reduce the rate if it has not improved for long enough."""
        self._direction()
        logs = {} if logs is None else logs
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(
                f"Learning rate reduction is conditioned on metric `{self.monitor}` which is not "
                f"available. Available metrics are: {','.join(logs)}.",
                stacklevel=2,
            )
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def in_cooldown(self) -> bool:
        """Whether the rate was reduced only just now."""
        return self.cooldown_counter > 0

    def _reduce(self, epoch: int) -> None:
        optimizer = self.model.optimizer
        old_rate = float(optimizer.learning_rate)
        # The optimizer holds a float32: compare with what the bound is there.
        if old_rate <= np.float32(self.min_lr):
            return
        new_rate = max(old_rate * self.factor, self.min_lr)
        optimizer.learning_rate = new_rate
        if self.verbose > 0:
            print_msg(
                f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {new_rate}."
            )
        self.cooldown_counter = self.cooldown
        self.wait = 0
