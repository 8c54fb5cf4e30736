"""Where the data sets are, and how their files are opened."""

import zipfile
from pathlib import Path

import numpy as np

from graphc.errors import FileFormatError

BASE_ADDRESS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"

Split = tuple[np.ndarray, np.ndarray]
Splits = tuple[Split, Split]
"""``(x_train, y_train), (x_test, y_test)``."""


def read_arrays(path: str | Path, *names: str) -> list[np.ndarray]:
    """Read arrays of numbers from an ``.npz`` file.

    Args:
        path: the file.
        *names: names of the arrays.

    Returns:
        The arrays, in the order of ``names``.

    Raises:
        FileFormatError: the file is no ``.npz`` file, is damaged, or lacks one of the arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return [archive[name] for name in names]
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise FileFormatError(
            f"{path} should be an .npz file with the arrays {', '.join(names)}: {error}"
        ) from error


def array_of_lists(rows: list[list]) -> np.ndarray:
    """Put each list into one element, also where NumPy would make a table of equally long ones."""
    array = np.empty(len(rows), dtype=object)
    for index, row in enumerate(rows):
        array[index] = row
    return array
