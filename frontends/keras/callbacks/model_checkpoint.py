"""Save a model while it trains."""

import os
import warnings
from typing import Any

from graphc.keras.callbacks.callback import Logs, needed_if
from graphc.keras.callbacks.frequency import BatchCounter
from graphc.keras.callbacks.monitor import MonitorCallback
from graphc.keras.utils.io_utils import print_msg

_MODEL_ENDINGS = (".keras", ".h5", ".hdf5")
_WEIGHTS_ENDINGS = (".weights.h5", ".h5", ".hdf5")


def _saves_between_epochs(callback: "ModelCheckpoint") -> bool:
    return callback.save_freq != "epoch"


class ModelCheckpoint(MonitorCallback):
    """Save the model, or its weights, after each epoch or every so many batches.

    Args:
        filepath: the file to write. It may hold ``{epoch}``, ``{batch}`` and the names of results
            in the logs, with formats: ``"model-{epoch:02d}-{val_loss:.2f}.keras"``. It ends in
            ``.keras``, ``.h5`` or ``.hdf5`` for a whole model; in ``.weights.h5``, ``.h5`` or
            ``.hdf5`` for weights.
        monitor: the result that tells the best model.
        verbose: 1 prints what is saved and why; 0 prints nothing.
        save_best_only: save only where ``monitor`` is better than ever before.
        save_weights_only: save weights alone rather than the whole model.
        mode: ``"min"``, ``"max"`` or ``"auto"``: which values of ``monitor`` are better.
        save_freq: ``"epoch"``, or the number of batches from one save to the next. Between epochs
            results are those of the epoch so far.
        initial_value_threshold: what ``monitor`` has to improve on first, with
            ``save_best_only``.
        period: the number of epochs from one save to the next, the older way to say it.

    Raises:
        ValueError: an argument makes no sense.
        KeyError: while training: ``filepath`` names a result that is not in the logs.

    Example:
        >>> checkpoint = keras.callbacks.ModelCheckpoint("best.keras", save_best_only=True)
        >>> model.fit(x, y, validation_split=0.1, callbacks=[checkpoint])  # doctest: +SKIP
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        period: int = 1,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        self.verbose = verbose
        self.filepath = os.fspath(filepath)
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self.period = period
        self._epochs_since_save = 0
        self._epoch = 0
        if save_freq != "epoch" and not (isinstance(save_freq, int) and save_freq > 0):
            raise ValueError(
                f"Unrecognized save_freq: {save_freq}. "
                "Expected save_freq are 'epoch' or integer values"
            )
        if not isinstance(period, int) or period < 1:
            raise ValueError(f"`period` must be a number of epochs, 1 or above. Received: {period}")
        self._batches = BatchCounter(save_freq) if isinstance(save_freq, int) else None
        self._check_ending()

    def _check_ending(self) -> None:
        if self.save_weights_only:
            if not self.filepath.endswith(_WEIGHTS_ENDINGS):
                raise ValueError(
                    "When using `save_weights_only=True` in `ModelCheckpoint`, the filepath "
                    "provided must end in `.weights.h5` (Keras weights format), or in `.h5` or "
                    f"`.hdf5`. Received: filepath={self.filepath}"
                )
        elif not self.filepath.endswith(_MODEL_ENDINGS):
            raise ValueError(
                "The filepath provided must end in `.keras` (Keras model format), or in `.h5` or "
                f"`.hdf5`. Received: filepath={self.filepath}"
            )

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch, for saves between epochs."""
        self._epoch = epoch

    @needed_if(_saves_between_epochs)
    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save, if it is time to."""
        if self._batches is not None and self._batches.is_due(batch):
            self._save(self._epoch, batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save, unless saves go by batches or the period is not over."""
        if self.save_best_only:
            self._direction()  # an unknown direction is an error after the first epoch already
        if self.save_freq != "epoch":
            return
        self._epochs_since_save += 1
        if self._epochs_since_save >= self.period:
            self._epochs_since_save = 0
            self._save(epoch, None, logs or {})

    def _save(self, epoch: int, batch: int | None, logs: Logs) -> None:
        path = self._path(epoch, batch, logs)
        if self.save_best_only and not self._is_best(epoch, path, logs):
            return
        if self.verbose > 0 and not self.save_best_only:
            print_msg(f"\nEpoch {epoch + 1}: saving model to {path}")
        if os.path.isdir(path):
            raise IsADirectoryError(
                "Please specify a non-directory filepath for ModelCheckpoint. Filepath used is an "
                f"existing directory: {path}"
            )
        folder = os.path.dirname(path)
        if folder:
            os.makedirs(folder, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)
        if self.verbose > 0:
            print_msg(f"\nEpoch {epoch + 1}: finished saving model to {path}")

    def _is_best(self, epoch: int, path: str, logs: Logs) -> bool:
        """Whether to save, with the reason printed; a result that cannot be compared is saved."""
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(f"Can save best model only with {self.monitor} available.", stacklevel=2)
            return True
        if getattr(current, "ndim", 0) > 0:
            warnings.warn(
                "Can save best model only when `monitor` is a scalar value. "
                f"Received: {current}. Falling back to `save_best_only=False`.",
                stacklevel=2,
            )
            return True
        best = "None" if self.best is None else f"{self.best:.5f}"
        if not self._is_improvement(current, self.best):
            if self.verbose > 0:
                print_msg(f"\nEpoch {epoch + 1}: {self.monitor} did not improve from {best}")
            return False
        if self.verbose > 0:
            print_msg(
                f"\nEpoch {epoch + 1}: {self.monitor} improved from {best} to {current:.5f}, "
                f"saving model to {path}"
            )
        self.best = current
        return True

    def _path(self, epoch: int, batch: int | None, logs: Logs) -> str:
        fields: dict[str, Any] = {"epoch": epoch + 1}
        if batch is not None:
            fields["batch"] = batch + 1
        try:
            return self.filepath.format(**{**fields, **logs})
        except KeyError as error:
            raise KeyError(
                f'Failed to format this callback filepath: "{self.filepath}". Reason: {error}. '
                f"Known here are: {', '.join({**fields, **logs})}"
            ) from None
