"""``graphc.train.CheckpointManager``: which checkpoints of a folder there are, and which to keep.

A small JSON file, called ``checkpoint`` as TensorFlow's is, says which is the latest.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphc.errors import FileFormatError
from graphc.names.checkpoint_files import file_of
from graphc.serialize.errors import check_is_file, reading
from graphc.serialize.files import write_atomically

if TYPE_CHECKING:
    from graphc.names.checkpoint import Checkpoint

_STATE = "checkpoint"


def latest_checkpoint(
    checkpoint_dir: str | os.PathLike[str], latest_filename: str | None = None
) -> str | None:
    """The name of the checkpoint that was saved last.

    Args:
        checkpoint_dir: The folder.
        latest_filename: The name of the file that says so.

    Returns:
        What `graphc.train.Checkpoint.restore` takes; None if there is none, or it is gone.

    Raises:
        FileFormatError: The file that says so is damaged, or TensorFlow's.
    """
    paths = read_state(checkpoint_dir, latest_filename).get("paths", [])
    return paths[-1] if paths and file_of(paths[-1]).exists() else None


def write_state(
    folder: str | os.PathLike[str],
    paths: Sequence[str],
    times: Sequence[float] = (),
    preserved: float | None = None,
) -> None:
    """Say which checkpoints of a folder there are, the latest last.

    Args:
        folder: The folder.
        paths: Their names; those in the folder are written without it, so that it can be moved.
        times: When they were saved.
        preserved: When the last one was saved that is kept for good.
    """
    inside = [os.path.relpath(path, folder) for path in paths]
    state = {"paths": inside, "times": list(times), "preserved": preserved}
    write_atomically(Path(folder) / _STATE, json.dumps(state, indent=1).encode())


def read_state(folder: str | os.PathLike[str], filename: str | None = None) -> dict[str, Any]:
    """What `write_state` wrote; empty if there is no such file.

    Raises:
        FileFormatError: It is something else.
    """
    place = Path(folder) / (filename or _STATE)
    if not place.exists():
        return {}
    with reading(place, "the list of checkpoints of graphc"):
        state = json.loads(check_is_file(place).read_text("utf-8"))
        if not isinstance(state, dict) or not all(
            isinstance(path, str) for path in state.get("paths", [None])
        ):
            raise FileFormatError("it does not say which checkpoints there are")
        times = [float(moment) for moment in state.get("times", [])]
        paths = [os.path.normpath(os.path.join(folder, path)) for path in state["paths"]]
        preserved = state.get("preserved")
        return {
            "paths": paths,
            "times": times if len(times) == len(paths) else [time.time()] * len(paths),
            "preserved": None if preserved is None else float(preserved),
        }


class CheckpointManager:
    """Saves one checkpoint after another, and deletes those that are too old.

    See https://www.tensorflow.org/api_docs/python/tf/train/CheckpointManager.

    Args:
        checkpoint: What to save.
        directory: The folder.
        max_to_keep: How many checkpoints to keep; None for all.
        keep_checkpoint_every_n_hours: How far apart the checkpoints are that are kept for good.
        checkpoint_name: What their names begin with.
        step_counter: A variable that counts steps.
        checkpoint_interval: How many steps have to pass before another one is saved.
        init_fn: Called by `restore_or_initialize` where there is nothing to restore.

    Raises:
        ValueError: ``max_to_keep`` is not positive, or there is an interval without a counter.

    Example:
        >>> manager = graphc.train.CheckpointManager(checkpoint, "training", max_to_keep=3)
        >>> checkpoint.restore(manager.latest_checkpoint)
        >>> manager.save()
        'training/ckpt-1'
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        directory: str | os.PathLike[str],
        max_to_keep: int | None,
        keep_checkpoint_every_n_hours: float | None = None,
        checkpoint_name: str = "ckpt",
        step_counter: Any = None,
        checkpoint_interval: int | None = None,
        init_fn: Callable[[], Any] | None = None,
    ):
        if max_to_keep is not None and max_to_keep <= 0:
            raise ValueError(
                f"CheckpointManager: `max_to_keep` is a positive number or None. Received: "
                f"{max_to_keep}"
            )
        if checkpoint_interval is not None and step_counter is None:
            raise ValueError("CheckpointManager: `checkpoint_interval` needs a `step_counter`")
        self._checkpoint = checkpoint
        self._directory = os.fspath(directory)
        self._most = max_to_keep
        self._hours = keep_checkpoint_every_n_hours
        self._name = checkpoint_name
        self._counter = step_counter
        self._interval = checkpoint_interval
        self._saved_at: int | None = None
        self._initialize = init_fn
        state = read_state(self._directory)
        pairs = zip(state.get("paths", []), state.get("times", []), strict=True)
        #: The checkpoints that there are, oldest first, and when they were saved.
        self._kept = {path: moment for path, moment in pairs if file_of(path).exists()}
        self._preserved = state.get("preserved") or time.time()

    @property
    def directory(self) -> str:
        """The folder."""
        return self._directory

    @property
    def checkpoint(self) -> Checkpoint:
        """What is saved."""
        return self._checkpoint

    @property
    def checkpoint_interval(self) -> int | None:
        """How many steps have to pass before another one is saved."""
        return self._interval

    @property
    def checkpoints(self) -> list[str]:
        """The names of those that there are, oldest first; without those that are kept for good."""
        return list(self._kept)

    @property
    def latest_checkpoint(self) -> str | None:
        """The name of the latest; None if there is none."""
        return next(reversed(self._kept), None)

    def save(
        self, checkpoint_number: Any = None, check_interval: bool = True, options: Any = None
    ) -> str | None:
        """Save a checkpoint, and delete what is too old.

        Args:
            checkpoint_number: What stands behind its name; the checkpoint's count by default.
            check_interval: Whether to do nothing before the interval has passed.
            options: Accepted, and ignored.

        Returns:
            Its name; None if nothing was done.
        """
        if check_interval and self._interval is not None:
            step = int(self._counter)
            if self._saved_at is not None and step < self._saved_at + self._interval:
                return None
            self._saved_at = step
        os.makedirs(self._directory, exist_ok=True)
        if checkpoint_number is None:
            self._checkpoint.save_counter.assign_add(1)
            checkpoint_number = self._checkpoint.save_counter
        name = os.path.join(self._directory, f"{self._name}-{int(checkpoint_number)}")
        path = self._checkpoint.write(name)
        self._kept.pop(path, None)
        self._kept[path] = time.time()
        old = self._outdated()
        write_state(self._directory, list(self._kept), list(self._kept.values()), self._preserved)
        for gone in old:  # no longer listed, should it end here
            file_of(gone).unlink(missing_ok=True)
        return path

    def _outdated(self) -> list[str]:
        """The checkpoints to delete, which are taken off the list."""
        old = []
        while self._most is not None and len(self._kept) > self._most:
            path, moment = next(iter(self._kept.items()))
            del self._kept[path]
            if self._hours is not None and moment >= self._preserved + self._hours * 3600:
                self._preserved = moment
            else:
                old.append(path)
        return old

    def restore_or_initialize(self) -> str | None:
        """Restore the latest checkpoint; without one, call ``init_fn``.

        Returns:
            The name of what was restored; None if nothing was.
        """
        latest = self.latest_checkpoint
        if latest is not None:
            self._checkpoint.restore(latest)
            if self._counter is not None:
                self._saved_at = int(self._counter)
            return latest
        if self._initialize is not None:
            self._initialize()
        return None
