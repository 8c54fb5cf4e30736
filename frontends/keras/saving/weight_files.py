"""Files of weights alone."""

from __future__ import annotations

import os
from typing import Any

from graphc.errors import FileFormatError
from graphc.keras.saving import legacy_h5
from graphc.keras.saving.compiling import build_optimizer
from graphc.keras.saving.keras_archive import weights_in_archive
from graphc.keras.saving.model_files import check_may_write
from graphc.keras.saving.weights import Assignments, assign, read_weights, write_weights
from graphc.serialize.errors import check_is_file, reading
from graphc.serialize.files import write_atomically
from graphc.serialize.hdf5 import open_hdf5, starts_as_hdf5


def save_weights(model: Any, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write the weights of a model to a file; the same as `Model.save_weights`.

    Args:
        model: The model.
        filepath: ``.weights.h5`` for the layout of Keras 3; another ``.h5`` or ``.hdf5`` for that
            of Keras 2.
        overwrite: Whether a file that is there already may be replaced.
    """
    path = os.fspath(filepath)
    if not path.endswith((".h5", ".hdf5")):
        raise ValueError(f'the file "{path}" should end in .weights.h5, .h5 or .hdf5')
    if not model.built:
        raise ValueError(
            "the model has no weights yet: call it once, or give it an input shape, before "
            "save_weights()"
        )
    check_may_write(path, overwrite)
    content = write_weights if path.endswith(".weights.h5") else legacy_h5.weights_file_of
    write_atomically(path, content(model))


def load_weights(
    model: Any,
    filepath: str | os.PathLike[str],
    by_name: bool = False,
    skip_mismatch: bool = False,
) -> None:
    """Read the weights of a model from a file; the same as `Model.load_weights`.

    Args:
        model: The model.
        filepath: A file of weights, or a whole model.
        by_name: Whether layers are found by their names. Files of Keras 2 only.
        skip_mismatch: Whether weights that do not fit stay as they are, with a warning.
    """
    if not model.built:
        raise ValueError(
            "the model has no weights yet: call it once, or give it an input shape, before "
            "load_weights()"
        )
    assign(_read_weights_file(model, filepath, by_name, skip_mismatch))


def _read_weights_file(
    model: Any, filepath: str | os.PathLike[str], by_name: bool, skip_mismatch: bool
) -> Assignments:
    """What a file says about the weights of a model."""
    path = check_is_file(filepath)
    if model.compiled:
        build_optimizer(model)  # so that its state, if there is any, finds its place
    if not starts_as_hdf5(path):
        if by_name:
            raise ValueError("by_name=True works for files of Keras 2 (.h5) only")
        return weights_in_archive(filepath, model, skip_mismatch)
    with reading(filepath, "a file of weights"), open_hdf5(path) as file:
        if legacy_h5.has_weights(file):
            return legacy_h5.read_group(file, model, by_name, skip_mismatch)
        if by_name:
            raise FileFormatError("by_name=True works for files of Keras 2 only")
        return read_weights(file, model, skip_mismatch)
