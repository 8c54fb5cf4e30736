"""HDF5 files, read with distrust: only what is stored in the file itself is looked at."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from graphc.errors import FileFormatError
from graphc.ir import numpy_dtype
from graphc.serialize.hdf5_heaps import check_heaps

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# HDF5 cannot keep longer attributes in an object's header, so lists of names are cut in pieces.
_LONGEST_ATTRIBUTE = 64512
# No compression of HDF5's shrinks more than this (deflate: 1032).
_MOST_EXPANSION = 1100


@contextmanager
def open_hdf5(source: Path | bytes) -> Iterator[Any]:
    """An HDF5 file for reading, from the disk or from memory.

    Args:
        source: The path or the content.

    Raises:
        FileFormatError: It does not start as HDF5 files do.
    """
    import h5py

    if not starts_as_hdf5(source):
        raise FileFormatError("it does not start with the signature of HDF5")
    check_heaps(source)
    with h5py.File(io.BytesIO(source) if isinstance(source, bytes) else source, "r") as file:
        yield file


def starts_as_hdf5(source: Path | bytes) -> bool:
    """Whether a file, or its content, has the signature of HDF5."""
    if isinstance(source, bytes):
        return source.startswith(_SIGNATURE)
    with source.open("rb") as file:
        return file.read(len(_SIGNATURE)) == _SIGNATURE


@contextmanager
def create_hdf5(buffer: io.BytesIO) -> Iterator[Any]:
    """An HDF5 file for writing, in memory.

    Args:
        buffer: Holds the content after the block.
    """
    import h5py

    with h5py.File(buffer, "w") as file:
        yield file


def write_array(group: Any, name: str, array: np.ndarray) -> None:
    """Store an array as a dataset.

    What HDF5 lacks gets a mark: bfloat16 as in Keras, complex numbers as pairs along a last axis.
    """
    if array.dtype.kind == "c":
        pairs = np.stack([array.real, array.imag], -1)
        group.create_dataset(name, data=pairs).attrs["dtype"] = array.dtype.name
        return
    if array.dtype.name == "bfloat16":
        dataset = group.create_dataset(name, data=array.view("V2"))
        dataset.attrs["dtype"] = "bfloat16"
        return
    group.create_dataset(name, data=array)


def write_names(group: Any, name: str, names: Sequence[str]) -> None:
    """Store a list of names as an attribute, or as several where it is too long for one.

    Raises:
        ValueError: One name alone is too long.
    """
    encoded = [text.encode() for text in names]
    longest = max(map(len, encoded), default=1)
    if longest > _LONGEST_ATTRIBUTE:
        raise ValueError(f"a name of {longest} bytes is too long for an HDF5 file")
    per_piece = max(1, _LONGEST_ATTRIBUTE // max(1, longest))
    if len(encoded) <= per_piece:
        group.attrs[name] = np.array(encoded, dtype=f"S{max(1, longest)}")
        return
    for piece, start in enumerate(range(0, len(encoded), per_piece)):
        part = encoded[start : start + per_piece]
        group.attrs[f"{name}{piece}"] = np.array(part, dtype=f"S{longest}")


def read_names(group: Any, name: str) -> list[str]:
    """A list of names that `write_names` or Keras stored.

    Raises:
        FileFormatError: There is none.
    """
    if name in group.attrs:
        return [_text(item, name) for item in _items(group.attrs[name], name)]
    names: list[str] = []
    piece = 0
    while f"{name}{piece}" in group.attrs:
        names += [_text(item, name) for item in _items(group.attrs[f"{name}{piece}"], name)]
        piece += 1
    if not piece:
        raise FileFormatError(f'the group "{group.name}" has no attribute "{name}"')
    return names


def has_names(group: Any, name: str) -> bool:
    """Whether there is a list of names for `read_names`."""
    return name in group.attrs or f"{name}0" in group.attrs


def read_text(group: Any, name: str) -> str | None:
    """A text attribute; None if there is none.

    Raises:
        FileFormatError: It is no text.
    """
    return _text(group.attrs[name], name) if name in group.attrs else None


def _items(value: Any, name: str) -> Any:
    if not isinstance(value, np.ndarray) or value.ndim != 1:
        raise FileFormatError(f'the attribute "{name}" is no list')
    return value


def _text(value: Any, name: str) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if not isinstance(value, str):
        raise FileFormatError(f'the attribute "{name}" holds a {type(value).__name__}, not text')
    return str(value)


def find(group: Any, path: str) -> Any:
    """A group or dataset inside a group; None if there is none.

    Raises:
        FileFormatError: A link on the way leads elsewhere: to another file, or by a soft link.
    """
    import h5py

    for name in path.split("/"):
        link = group.get(name, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise FileFormatError(
                f'"{name}" in "{group.name}" is a {type(link).__name__}, which is not followed'
            )
        group = group[name]
    return group


def find_group(group: Any, path: str) -> Any:
    """A group inside a group; None if there is none.

    Raises:
        FileFormatError: It is something else.
    """
    import h5py

    found = find(group, path)
    if found is not None and not isinstance(found, h5py.Group):
        raise FileFormatError(f'"{found.name}" should be a group')
    return found


def read_array(group: Any, path: str) -> np.ndarray:
    """The elements of a dataset.

    Raises:
        FileFormatError: It is missing, no array of numbers, stored outside of the file, or
            declared to be much larger than what is stored.
    """
    import h5py

    dataset = find(group, path)
    if not isinstance(dataset, h5py.Dataset):
        raise FileFormatError(f'there is no array "{path}" in the group "{group.name}"')
    if dataset.external or dataset.is_virtual:
        raise FileFormatError(f'the elements of "{dataset.name}" are stored in another file')
    is_bfloat16 = dataset.dtype.kind == "V" and dataset.attrs.get("dtype") == "bfloat16"
    if dataset.dtype.kind not in "fiub" and not is_bfloat16:
        raise FileFormatError(f'"{dataset.name}" holds {dataset.dtype}, not numbers')
    stored = dataset.id.get_storage_size()
    if dataset.nbytes > _MOST_EXPANSION * stored:
        raise FileFormatError(
            f'"{dataset.name}" declares {dataset.nbytes} bytes but stores {stored}'
        )
    array = np.asarray(dataset[()])
    if is_bfloat16:
        return array.view(numpy_dtype("bfloat16"))
    if array.dtype.kind == "f" and array.shape[-1:] == (2,):
        kind = {"complex64": "float32", "complex128": "float64"}.get(dataset.attrs.get("dtype"))
        if kind == array.dtype.name:
            return (array[..., 0] + 1j * array[..., 1]).astype(f"complex{16 * array.itemsize}")
    return array
