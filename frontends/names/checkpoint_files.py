"""The files that checkpoints are: objects, the names by which they hold each other, and values.

A file is HDF5: the objects as JSON, and an array for each variable, by the number of its object.
The first object is the one that was saved. Reading runs no code, and looks at nothing but the file.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphc.errors import FileFormatError, NotFoundError
from graphc.serialize import hdf5
from graphc.serialize.errors import check_is_file, reading
from graphc.serialize.files import write_atomically

#: What is appended to the name of a checkpoint for that of its file.
SUFFIX = ".h5"
_OBJECTS, _VALUES, _VERSION = "objects", "values", 1


@dataclass(frozen=True)
class Node:
    """An object.

    Attributes:
        children: The numbers of the objects that it holds, by name.
        value: The value, if it is a variable.
    """

    children: dict[str, int]
    value: np.ndarray | None = None


def file_of(path: str | os.PathLike[str]) -> Path:
    """The file of a checkpoint: its name with the suffix, which may stand there already."""
    text = os.fspath(path)
    return Path(text if text.endswith(SUFFIX) else text + SUFFIX)


def write_nodes(path: str | os.PathLike[str], nodes: Sequence[Node]) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        path: Its name.
        nodes: The objects.
    """
    objects = {"version": _VERSION, "objects": [node.children for node in nodes]}
    text = json.dumps(objects, ensure_ascii=False).encode()
    buffer = io.BytesIO()
    with hdf5.create_hdf5(buffer) as file:
        hdf5.write_array(file, _OBJECTS, np.frombuffer(text, np.uint8))
        values = file.create_group(_VALUES)
        for number, node in enumerate(nodes):
            if node.value is not None:
                hdf5.write_array(values, str(number), node.value)
    write_atomically(file_of(path), buffer.getvalue())


def read_nodes(path: str | os.PathLike[str]) -> list[Node]:
    """The objects of a checkpoint.

    Raises:
        NotFoundError: There is no such file.
        FileFormatError: It is damaged, or something else.
    """
    place = file_of(path)
    if not place.exists():
        raise NotFoundError(f'there is no checkpoint "{os.fspath(path)}" (no file "{place}")')
    with reading(place, "a checkpoint"), hdf5.open_hdf5(check_is_file(place)) as file:
        objects = json.loads(bytes(hdf5.read_array(file, _OBJECTS).astype(np.uint8)))
        values = hdf5.find_group(file, _VALUES)
        if values is None:
            raise FileFormatError("it has no values")
        return [
            Node(children, hdf5.read_array(values, str(number)) if str(number) in values else None)
            for number, children in enumerate(_checked(objects))
        ]


def _checked(objects: Any) -> list[dict[str, int]]:
    if not isinstance(objects, dict) or objects.get("version") != _VERSION:
        raise FileFormatError(f"its objects are not of version {_VERSION}")
    found = objects["objects"]
    if not isinstance(found, list) or not found:
        raise FileFormatError("it has no objects")
    for children in found:
        numbers = children.values() if isinstance(children, dict) else [None]
        if not all(type(number) is int and 0 <= number < len(found) for number in numbers):
            raise FileFormatError("one of its objects does not say what it holds")
    return found


def names_of(nodes: Sequence[Node]) -> dict[int, str]:
    """For each object the shortest way to it: names with slashes in between."""
    names = {0: ""}
    queue = [0]
    for number in queue:
        for name, child in nodes[number].children.items():
            if child not in names:
                names[child] = f"{names[number]}/{name}" if names[number] else name
                queue.append(child)
    return names
