"""Go on with training that was interrupted."""

import json
import os
from pathlib import Path
from typing import Any

from graphc.errors import FileFormatError
from graphc.keras.callbacks.callback import Callback, Logs, needed_if
from graphc.keras.callbacks.frequency import BatchCounter

_STATE_FILE = "training_metadata.json"
_PREVIOUS_FILE = "training_metadata.json.bkp"
_WEIGHTS_PATTERN = "*.weights.h5"


def _saves_between_epochs(callback: "BackupAndRestore") -> bool:
    return callback.save_freq != "epoch" and bool(callback.save_freq)


class BackupAndRestore(Callback):
    """Back training up after each epoch, and take it up again where it was interrupted.

    When ``fit`` is called and there is a backup, the model gets its weights and its optimizer's
    state, and training begins with the first epoch that was not finished. When training ends in
    the usual way, the backup is deleted.

    A backup is one file of weights and a small file that names it. The small file is replaced
    last and in one step, so that an interruption at any moment leaves a whole backup.

    Args:
        backup_dir: folder of the backup, for this use alone.
        save_freq: ``"epoch"``, or the number of batches from one backup to the next (an epoch
            that was interrupted begins anew with those weights), or ``False`` for no backups.
        double_checkpoint: keep the backup before the latest as well, in case the latest cannot
            be read.
        delete_checkpoint: delete the backup when training has ended.

    Raises:
        ValueError: an argument makes no sense, or the model is not built yet when ``fit`` begins.
        FileFormatError: the backup cannot be read.

    Example:
        >>> backup = keras.callbacks.BackupAndRestore("run/backup")
        >>> model.fit(x, y, epochs=100, callbacks=[backup])  # doctest: +SKIP
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not backup_dir:
            raise ValueError("Empty `backup_dir` argument passed")
        if save_freq != "epoch" and not (isinstance(save_freq, int) and save_freq >= 0):
            raise ValueError(
                "Invalid value for argument `save_freq`. "
                f"Received: save_freq={save_freq}. "
                "Expected either 'epoch' or an integer value."
            )
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self._folder = Path(self.backup_dir)
        self._batches = BatchCounter(save_freq) if isinstance(save_freq, int) else None
        self._epoch = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Restore the backup, if there is one."""
        if not self.model.built:
            raise ValueError(
                "To use the BackupAndRestore callback, your model must be built before you call "
                f"`fit()`. Model {self.model} is unbuilt. You can build it beforehand by calling "
                "it on a batch of data."
            )
        states = [self._folder / name for name in (_STATE_FILE, _PREVIOUS_FILE)]
        states = [path for path in states if path.exists()]
        for path in states:
            try:
                self._restore(path)
                return
            except (OSError, ValueError, KeyError, TypeError) as error:
                if path == states[-1]:
                    raise FileFormatError(
                        f"The backup {path} cannot be restored: {error}. Delete the folder "
                        f"{self._folder} to train from the start."
                    ) from error

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch, for backups between epochs."""
        self._epoch = epoch

    @needed_if(_saves_between_epochs)
    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Back up, if it is time to."""
        if self._batches is not None and self.save_freq and self._batches.is_due(batch):
            self._back_up(self._epoch, batch)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Back up, unless backups go by batches."""
        if self.save_freq == "epoch":
            self._back_up(epoch + 1, 0)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Delete the backup; the folder too, if nothing else is in it."""
        if not self.delete_checkpoint or not self._folder.is_dir():
            return
        for path in (self._folder / _STATE_FILE, self._folder / _PREVIOUS_FILE):
            path.unlink(missing_ok=True)
        self._delete_weights(keep=())
        if not any(self._folder.iterdir()):
            self._folder.rmdir()

    def _restore(self, path: Path) -> None:
        state = json.loads(path.read_text(encoding="utf-8"))
        weights = self._folder / os.path.basename(state["weights"])
        epoch = int(state["epoch"])
        optimizer = self.model.optimizer
        if optimizer is not None and not optimizer.built:
            # Its state can be loaded only into something that is there.
            optimizer.build(self.model.trainable_variables)
        self.model.load_weights(str(weights))
        self.model._initial_epoch = epoch

    def _back_up(self, epoch: int, batch: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path, previous = self._folder / _STATE_FILE, self._folder / _PREVIOUS_FILE
        name = self._new_name()
        self.model.save_weights(str(self._folder / name), overwrite=True)
        if self.double_checkpoint and path.exists():
            _replace(previous, path.read_text(encoding="utf-8"))
        _replace(path, json.dumps({"epoch": epoch, "batch": batch, "weights": name}))
        self._delete_weights(keep=(path, previous))

    def _new_name(self) -> str:
        taken = {file.name for file in self._folder.glob(_WEIGHTS_PATTERN)}
        number = 0
        while f"latest-{number}.weights.h5" in taken:
            number += 1
        return f"latest-{number}.weights.h5"

    def _delete_weights(self, keep: tuple[Path, ...]) -> None:
        """Delete the files of weights that no state file in ``keep`` names."""
        named = {_weights_named_in(path) for path in keep if path.exists()}
        for file in self._folder.glob(_WEIGHTS_PATTERN):
            if file.name.startswith("latest-") and file.name not in named:
                file.unlink()


def _weights_named_in(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))["weights"]
    except (ValueError, KeyError, TypeError):
        return None


def _replace(path: Path, text: str) -> None:
    """Write a file so that at any moment either the old or the new one is there, whole."""
    part = path.with_name(f"{path.name}.part")
    with open(part, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
