"""Results of each epoch in a table."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from graphc.keras.callbacks.callback import Callback, Logs

if TYPE_CHECKING:
    import csv


class CSVLogger(Callback):
    """Write the results of each epoch as a row of a CSV file.

    Args:
        filename: the file.
        separator: what stands between the values.
        append: add to an existing file rather than replace it.

    Example:
        >>> model.fit(x, y, callbacks=[keras.callbacks.CSVLogger("run.csv")])  # doctest: +SKIP
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        super().__init__()
        self.filename = os.fspath(filename)
        self.sep = separator
        self.append = append
        self.append_header = True
        self.keys: list[str] | None = None
        self.csv_file: IO[str] | None = None
        self.writer: csv.DictWriter | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file."""
        if self.append and os.path.exists(self.filename):
            self.append_header = os.path.getsize(self.filename) == 0
        self._close()
        self.csv_file = open(self.filename, "a" if self.append else "w", newline="")  # noqa: SIM115
        self.keys = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write a row; before the first, a row of the results' names."""
        logs = logs or {}
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):
                # Validation may take place in later epochs only: keep its columns ready.
                self.keys += [f"val_{key}" for key in self.keys]
        if self.writer is None:
            import csv

            assert self.csv_file is not None, "on_train_begin opens the file"
            self.writer = csv.DictWriter(
                self.csv_file, fieldnames=["epoch", *self.keys], delimiter=self.sep
            )
            if self.append_header:
                self.writer.writeheader()
        row = {key: _cell(logs.get(key, "NA")) for key in self.keys}
        self.writer.writerow({"epoch": epoch, **row})
        if self.csv_file is not None:
            self.csv_file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the file."""
        self._close()

    def _close(self) -> None:
        if self.csv_file is not None and not self.csv_file.closed:
            self.csv_file.close()
        self.writer = None


def _cell(value: Any) -> Any:
    is_scalar_array = isinstance(value, np.ndarray) and value.ndim == 0
    if isinstance(value, str) or is_scalar_array or not isinstance(value, Iterable):
        return value
    return f'"[{", ".join(map(str, value))}]"'
