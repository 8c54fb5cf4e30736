"""Stop training in time."""

import warnings
from typing import Any

from graphc.keras.callbacks.callback import Logs
from graphc.keras.callbacks.monitor import MonitorCallback
from graphc.keras.utils.io_utils import print_msg


class EarlyStopping(MonitorCallback):
    """Stop training when a result has stopped improving.

    Args:
        monitor: the result to watch.
        min_delta: the smallest change that counts as an improvement.
        patience: how many epochs in a row may pass without one.
        verbose: 1 prints when training stops; 0 prints nothing.
        mode: ``"min"``, ``"max"`` or ``"auto"``: which values of ``monitor`` are better.
        baseline: a value that ``monitor`` has to get beyond at all.
        restore_best_weights: whether the model gets back its weights of the best epoch, rather
            than keeping those of the last one.
        start_from_epoch: the first epoch to look at, counted from 0.

    Example:
        >>> stop = keras.callbacks.EarlyStopping(patience=10, restore_best_weights=True)
        >>> model.fit(x, y, validation_split=0.1, callbacks=[stop])  # doctest: +SKIP
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.wait = 0
        self.stopped_epoch = 0
        self.best_epoch = 0
        self.best_weights: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew, so that one callback serves several runs."""
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_epoch = 0
        self.best_weights = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at the result, and stop training if it has not improved for long enough."""
        self._direction()
        current = self.get_monitor_value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            # Even where nothing ever improves (NaN), some weights are there to restore.
            self.best_weights = self.model.get_weights()
            self.best_epoch = epoch
        self.wait += 1
        if self._is_improvement(current, self.best):
            self.best = current
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._is_improvement(current, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Say why training stopped, and restore the best weights if asked to."""
        if self.stopped_epoch > 0 and self.verbose > 0:
            print_msg(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                print_msg(
                    "Restoring model weights from the end of the best epoch: "
                    f"{self.best_epoch + 1}."
                )
            self.model.set_weights(self.best_weights)

    def get_monitor_value(self, logs: Logs | None) -> Any:
        """The watched result in the logs; ``None``, with a warning, where there is none."""
        logs = logs or {}
        value = logs.get(self.monitor)
        if value is None:
            warnings.warn(
                f"Early stopping conditioned on metric `{self.monitor}` which is not available. "
                f"Available metrics are: {','.join(logs)}",
                stacklevel=2,
            )
        return value
