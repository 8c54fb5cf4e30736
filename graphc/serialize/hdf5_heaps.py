"""A check of the part of HDF5 files in which the HDF5 library can be caught in an endless loop.

Texts of variable length lie in global heap collections: a header and objects one after the other,
the last of which (number 0) is what is free. The library follows the sizes of the objects without
a look at where they lead. The layout is that of the HDF5 File Format Specification, version 3.0,
section III.E, "Global Heap" (https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html).
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from graphc.errors import FileFormatError

_COLLECTION = struct.Struct("<4sB3xQ")  # signature, version, size of the whole collection
_OBJECT = struct.Struct("<H2x4xQ")  # number, (references), size of what follows


def check_heaps(source: Path | bytes) -> None:
    """Check all global heap collections of an HDF5 file.

    Args:
        source: The path or the content.

    Raises:
        FileFormatError: The objects of a collection do not fill it.
    """
    if isinstance(source, bytes):
        _check(source)
        return
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        _check(view)


def _check(content: bytes | mmap.mmap) -> None:
    place = content.find(b"GCOL")
    while place >= 0:
        if place + _COLLECTION.size <= len(content):
            _, version, size = _COLLECTION.unpack_from(content, place)
            # Elements of an array can look like a signature, but hardly like a version as well.
            if version == 1 and place % 8 == 0:
                _check_collection(content, place, size)
        place = content.find(b"GCOL", place + 4)


def _check_collection(content: bytes | mmap.mmap, place: int, size: int) -> None:
    end = place + size
    position = place + _COLLECTION.size
    numbers: set[int] = set()
    is_whole = end <= len(content)
    while is_whole and end - position >= _OBJECT.size:
        number, length = _OBJECT.unpack_from(content, position)
        if number == 0:
            is_whole = position + length == end
            break
        is_whole = number not in numbers
        numbers.add(number)
        position += _OBJECT.size + -(-length // 8) * 8
        is_whole = is_whole and position <= end
    if not is_whole:
        raise FileFormatError(f"the heap of texts at byte {place} is damaged")
