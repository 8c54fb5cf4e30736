"""Weights of Keras 3: the content of ``.weights.h5`` files, also inside ``.keras`` files."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from graphc.eager.variable import Variable
from graphc.errors import FileFormatError
from graphc.keras.saving.layout import Part, parts_of
from graphc.serialize import hdf5

#: Arrays that are to be assigned once it is known that all of them fit.
Assignments = list[tuple[Variable, np.ndarray]]


def write_weights(model: Any, include_optimizer: bool = True) -> bytes:
    """An HDF5 file with all variables of a model.

    Args:
        model: The model.
        include_optimizer: Whether the optimizer's state belongs to them.
    """
    buffer = io.BytesIO()
    with hdf5.create_hdf5(buffer) as file:
        for part in parts_of(model):
            if _is_optimizer(part) and not include_optimizer:
                continue
            group = file.require_group(f"{part.paths[0]}/vars")
            group.attrs["name"] = part.name
            for index, variable in enumerate(part.variables):
                hdf5.write_array(group, str(index), variable.numpy())
    return buffer.getvalue()


def read_weights(file: Any, model: Any, skip_mismatch: bool = False) -> Assignments:
    """What an HDF5 file says about a model's variables; nothing is assigned yet.

    Args:
        file: The open file.
        model: The model, built.
        skip_mismatch: Whether parts that do not fit are left as they are, with a warning.

    Raises:
        FileFormatError: Arrays are missing or have other shapes.
    """
    assignments: Assignments = []
    for part in parts_of(model):
        try:
            assignments += _read_part(file, part)
        except FileFormatError as error:
            if not skip_mismatch:
                raise
            warnings.warn(f"skipped: {error}", stacklevel=4)
    return assignments


def _read_part(file: Any, part: Part) -> Assignments:
    if not part.variables:
        return []
    arrays = None
    for path in part.paths:
        arrays = _stored(file, path)
        if arrays:
            break
    if _is_optimizer(part):
        return _read_optimizer(part, arrays)
    if not arrays:
        if hasattr(part.owner, "_graphc_variables") or hasattr(part.owner, "update_state"):
            return []  # Keras does not keep the state of random generators
        raise FileFormatError(
            f'there are no weights for "{part.name}" (looked for "{part.paths[0]}/vars")'
        )
    if len(arrays) != len(part.variables):
        raise FileFormatError(
            f'"{part.name}" has {len(part.variables)} weights, the file holds {len(arrays)} '
            f'in "{part.paths[0]}"'
        )
    return fit(part.variables, arrays, part.name)


def _read_optimizer(part: Part, arrays: list[np.ndarray] | None) -> Assignments:
    if arrays is None:
        return []
    if len(arrays) != len(part.variables):
        if len(arrays) > 2:
            warnings.warn(
                f'the state of the optimizer "{part.name}" was not loaded: it has '
                f"{len(part.variables)} variables, the file holds {len(arrays)}",
                stacklevel=5,
            )
            return []
        return fit(part.variables[: len(arrays)], arrays, part.name)
    return fit(part.variables, arrays, part.name)


def _stored(file: Any, path: str) -> list[np.ndarray] | None:
    """The arrays of a part; None if the file does not know it."""
    group = hdf5.find_group(file, f"{path}/vars" if path else "vars")
    if group is None and path.startswith("layers/"):  # the first files of Keras 3
        older = path.replace("layers/", "_layer_checkpoint_dependencies/")
        group = hdf5.find_group(file, f"{older}/vars")
    if group is None:
        return None
    return [hdf5.read_array(group, str(index)) for index in range(len(group))]


def fit(variables: Iterable[Variable], arrays: Iterable[np.ndarray], owner: str) -> Assignments:
    """Pair variables with arrays.

    Raises:
        FileFormatError: A shape differs.
    """
    assignments: Assignments = []
    for variable, array in zip(variables, arrays, strict=True):
        if variable.shape != array.shape:
            raise FileFormatError(
                f'the weight "{variable.name}" of "{owner}" has shape {variable.shape}, '
                f"the file holds {array.shape}"
            )
        assignments.append((variable, array))
    return assignments


def assign(assignments: Assignments) -> None:
    """Give the variables their new values."""
    for variable, array in assignments:
        variable.assign(array.astype(variable.dtype, copy=False))


def _is_optimizer(part: Part) -> bool:
    return hasattr(part.owner, "apply_gradients")
