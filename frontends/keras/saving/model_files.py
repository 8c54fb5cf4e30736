"""`save_model` and `load_model`: which format a file has, and the rest is in its module."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from typing import Any

from graphc.errors import FileFormatError
from graphc.keras.saving import keras_archive, legacy_h5
from graphc.serialize.errors import check_is_file
from graphc.serialize.files import write_atomically
from graphc.serialize.hdf5 import starts_as_hdf5

_H5_ENDINGS = (".h5", ".hdf5")


def save_model(
    model: Any,
    filepath: str | os.PathLike[str],
    overwrite: bool = True,
    zipped: bool | None = None,
    include_optimizer: bool = True,
    save_format: str | None = None,
) -> None:
    """Write a model to a file; the same as `Model.save`.

    Args:
        model: The model.
        filepath: ``.keras`` for the format of Keras 3, ``.h5`` or ``.hdf5`` for that of Keras 2.
        overwrite: Whether a file that is there already may be replaced.
        zipped: Accepted as in Keras; only True.
        include_optimizer: Whether the arguments of `compile` and the optimizer's state belong in.
        save_format: ``"keras"`` or ``"h5"``, where the ending does not tell (Keras 2).

    Raises:
        ValueError: An unknown ending.
        FileExistsError: The file is there already, and ``overwrite`` is False.
    """
    path = os.fspath(filepath)
    if zipped is False:
        raise ValueError("a model is saved as one file: `zipped` can only be True")
    is_h5 = path.endswith(_H5_ENDINGS) or save_format in ("h5", "hdf5")
    if not is_h5 and not path.endswith(".keras") and save_format != "keras":
        raise ValueError(
            f'cannot tell the format of "{path}" by its ending: use .keras, .h5 or .hdf5 '
            "(model.export() writes ONNX)"
        )
    check_may_write(path, overwrite)
    content = legacy_h5.file_of if is_h5 else keras_archive.archive_of
    write_atomically(path, content(model, include_optimizer))


def check_may_write(path: str, overwrite: bool) -> None:
    """Refuse directories, and files that must not be replaced."""
    if os.path.isdir(path):
        raise IsADirectoryError(f'"{path}" is a directory')
    if not overwrite and os.path.exists(path):
        raise FileExistsError(f'"{path}" is there already; overwrite=True replaces it')


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """Read a model from a file. No code in a file is ever run.

    Args:
        filepath: A ``.keras`` file, or an HDF5 file of Keras 1, 2 or 3; the content tells which.
        custom_objects: Your own classes and functions by the names that the file uses.
        compile: Whether to compile the model as it was when it was saved, with the state of the
            optimizer.
        safe_mode: Accepted as in Keras; loading is safe with either value.

    Returns:
        The model.

    Raises:
        FileNotFoundError: There is no such file.
        FileFormatError: The file is damaged or incomplete, or needs something that is unknown.

    Example:
        >>> model = keras.models.load_model("mnist.keras")
    """
    path = check_is_file(filepath)
    if starts_as_hdf5(path):
        return legacy_h5.load_file(path, custom_objects, compile)
    if zipfile.is_zipfile(path) or str(path).endswith(".keras"):
        return keras_archive.load_archive(path, custom_objects, compile)
    raise FileFormatError(
        f'"{filepath}" is no model of Keras: it starts neither as a .keras file (a zip archive) '
        "nor as an HDF5 file does"
    )
