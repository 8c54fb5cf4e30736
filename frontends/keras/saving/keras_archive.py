"""``.keras`` files: a zip archive of ``config.json``, ``metadata.json`` and the weights.

The layout is that of Keras 3, which reads the files written here
(https://keras.io/api/saving/model_saving_and_loading/).
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from typing import Any

from graphc.errors import FileFormatError
from graphc.keras.saving.compiling import build_optimizer
from graphc.keras.saving.configs import KERAS_VERSION, model_from_dict, model_to_dict
from graphc.keras.saving.weights import Assignments, assign, read_weights, write_weights
from graphc.serialize.archive import read_archive, write_archive
from graphc.serialize.errors import check_is_file, reading
from graphc.serialize.hdf5 import open_hdf5
from graphc.serialize.text import read_json

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_KIND = "a .keras file"


def archive_of(model: Any, include_optimizer: bool = True) -> bytes:
    """The content of a ``.keras`` file with a model.

    Args:
        model: The model.
        include_optimizer: Whether the arguments of `compile` and the optimizer's state belong in.
    """
    now = datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    config = model_to_dict(model)
    if not include_optimizer:
        config.pop("compile_config", None)
    metadata = {"keras_version": KERAS_VERSION, "date_saved": now}
    return write_archive(
        {
            _METADATA: json.dumps(metadata).encode(),
            _CONFIG: json.dumps(config).encode(),
            _WEIGHTS: write_weights(model, include_optimizer),
        }
    )


def load_archive(
    path: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
) -> Any:
    """The model in a ``.keras`` file.

    Args:
        path: The file.
        custom_objects: Classes and functions by the names that the file uses.
        compile: Whether to compile the model as it was when it was saved.

    Raises:
        FileFormatError: The file is damaged, or its weights do not fit its configuration.
    """
    found = check_is_file(path)
    with reading(path, _KIND):
        members = read_archive(found)
        config = read_json(_member(members, _CONFIG), _CONFIG)
        weights = _member(members, _WEIGHTS)
        if not compile:
            config.pop("compile_config", None)
        model = model_from_dict(config, custom_objects)
        if model.compiled:
            build_optimizer(model)
        with open_hdf5(weights) as file:
            assign(read_weights(file, model))
        return model


def weights_in_archive(
    path: str | os.PathLike[str], model: Any, skip_mismatch: bool = False
) -> Assignments:
    """What a ``.keras`` file says about the weights of a model that exists already.

    Args:
        path: The file.
        model: The model.
        skip_mismatch: Whether parts that do not fit are left as they are.

    Raises:
        FileFormatError: The file is damaged, or does not fit.
    """
    found = check_is_file(path)
    with reading(path, _KIND), open_hdf5(_member(read_archive(found), _WEIGHTS)) as file:
        return read_weights(file, model, skip_mismatch)


def _member(members: Mapping[str, bytes], name: str) -> bytes:
    if name not in members:
        names = ", ".join(members) or "nothing"
        raise FileFormatError(f'the archive has no "{name}"; it holds {names}')
    return members[name]
