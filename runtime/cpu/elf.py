"""Loading object files without LLVM: sections into memory, addresses into code.

LLVM writes what it compiles for Linux as relocatable ELF objects. What our own code generator makes
it write is simple: a few sections, absolute and relative references between them, and calls of some
C functions. So an object from the cache is running within a millisecond, where importing llvmlite
alone takes a tenth of a second. Whatever is not expected here is refused, and left to LLVM's loader
(`graphc.runtime.cpu.jit`).

The format is that of the System V ABI, with its supplement for x86-64: https://gitlab.com/x86-psABIs
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import sys
from dataclasses import dataclass

import numpy as np

from graphc.runtime.cpu import archive
from graphc.runtime.cpu.library import Library

_HEADER = np.dtype(
    [
        ("magic", "S4"),
        ("class", "u1"),
        ("order", "u1"),
        ("", "V10"),
        ("type", "<u2"),
        ("machine", "<u2"),
        ("", "V20"),
        ("sections", "<u8"),
        ("", "V10"),
        ("section_size", "<u2"),
        ("section_count", "<u2"),
        ("", "V2"),
    ]
)
_SECTION = np.dtype(
    [
        ("name", "<u4"),
        ("type", "<u4"),
        ("flags", "<u8"),
        ("address", "<u8"),
        ("offset", "<u8"),
        ("size", "<u8"),
        ("link", "<u4"),
        ("info", "<u4"),
        ("alignment", "<u8"),
        ("entry_size", "<u8"),
    ]
)
_SYMBOL = np.dtype(
    [
        ("name", "<u4"),
        ("info", "u1"),
        ("other", "u1"),
        ("section", "<u2"),
        ("value", "<u8"),
        ("size", "<u8"),
    ]
)
_RELOCATION = np.dtype([("offset", "<u8"), ("type", "<u4"), ("symbol", "<u4"), ("addend", "<i8")])
_RELOCATABLE, _X86_64 = 1, 62
_SYMBOLS, _RELOCATIONS, _NO_BITS = 2, 4, 8
_WRITABLE, _ALLOCATED, _EXECUTABLE, _THREAD_LOCAL = 1, 2, 4, 0x400
_UNDEFINED, _FIRST_SPECIAL = 0, 0xFF00
_LOCAL = 0
_ABSOLUTE_64, _RELATIVE_32, _CALL_32, _RELATIVE_64 = 1, 2, 4, 24


class UnsupportedObjectError(Exception):
    """An object holds something that only LLVM's loader knows."""


def is_supported() -> bool:
    """Whether this process can run what `ElfLibrary` loads."""
    return sys.platform == "linux" and platform.machine() == "x86_64" and sys.maxsize > 2**32


@dataclass
class _Object:
    """An object file, taken apart."""

    content: np.ndarray
    sections: np.ndarray
    symbols: np.ndarray
    names: bytes

    def name(self, symbol: int) -> str:
        """The name of a symbol."""
        start = int(self.symbols["name"][symbol])
        return self.names[start : self.names.index(b"\0", start)].decode()

    def table(self, section: np.void, dtype: np.dtype) -> np.ndarray:
        """The entries of a section that is a table."""
        start, size = int(section["offset"]), int(section["size"])
        content = self.content[start : start + size]
        if len(content) != size or size % dtype.itemsize:
            raise UnsupportedObjectError("a table reaches beyond the end of the object")
        return content.view(dtype)


class ElfLibrary(Library):
    """Object files for x86-64 Linux, in memory.

    Args:
        object_code: The content of a file, or an archive of files that refer to each other.

    Raises:
        UnsupportedObjectError: It is no such file, or holds what this loader does not know; or this
            process may not make memory executable.
    """

    def __init__(self, object_code: bytes):
        if not is_supported():
            raise UnsupportedObjectError("made for Linux on x86-64")
        try:
            self._load([_parse(part) for part in archive.split(object_code)])
        except (IndexError, ValueError) as error:  # numbers in it that lead nowhere
            raise UnsupportedObjectError(f"the object is damaged: {error}") from error

    def _load(self, objects: list[_Object]) -> None:
        places, parts = _layout(objects)
        self._memory = mmap.mmap(-1, parts[-1][1], flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        # The mapping lasts as long as this view of it.
        self._image = np.frombuffer(self._memory, np.uint8)
        base = int(self._image.__array_interface__["data"][0])
        for parsed, here in zip(objects, places, strict=True):
            for index, place in here.items():
                section = parsed.sections[index]
                if section["type"] != _NO_BITS:
                    content = parsed.table(section, np.dtype(np.uint8))
                    self._image[place : place + len(content)] = content
        tables = [_own_addresses(x, here, base) for x, here in zip(objects, places, strict=True)]
        self._addresses = _exports(objects, tables)
        for parsed, here, addresses in zip(objects, places, tables, strict=True):
            _import(parsed, addresses, self._addresses)
            for section in parsed.sections[parsed.sections["type"] == _RELOCATIONS]:
                if int(section["info"]) in here:
                    entries = parsed.table(section, _RELOCATION)
                    _relocate(self._image, base, here[int(section["info"])], entries, addresses)
        _protect(base, parts)

    def address(self, name: str) -> int:
        if name not in self._addresses:
            raise KeyError(f"the object code has no usable symbol {name!r}")
        return self._addresses[name]


def _parse(object_code: bytes) -> _Object:
    content = np.frombuffer(object_code, np.uint8)
    if len(content) < _HEADER.itemsize:
        raise UnsupportedObjectError("too short for an object file")
    header = content[: _HEADER.itemsize].view(_HEADER)[0]
    kind = tuple(header[x].item() for x in ("magic", "class", "order", "type", "machine"))
    if kind != (b"\x7fELF", 2, 1, _RELOCATABLE, _X86_64):
        raise UnsupportedObjectError("no object file for x86-64 Linux")
    start, count = int(header["sections"]), int(header["section_count"])
    table = content[start : start + count * _SECTION.itemsize]
    if header["section_size"] != _SECTION.itemsize or len(table) != count * _SECTION.itemsize:
        raise UnsupportedObjectError("no sound table of sections")
    sections = table.view(_SECTION)
    tables = np.flatnonzero(sections["type"] == _SYMBOLS)
    if len(tables) != 1:
        raise UnsupportedObjectError(f"{len(tables)} symbol tables")
    symbols = sections[tables[0]]
    parsed = _Object(content, sections, sections[:0], b"")
    parsed.symbols = parsed.table(symbols, _SYMBOL)
    parsed.names = parsed.table(sections[int(symbols["link"])], np.dtype(np.uint8)).tobytes()
    return parsed


def _layout(objects: list[_Object]) -> tuple[list[dict[int, int]], list[tuple[int, int, int]]]:
    """Where each object's sections go, and the parts of the memory: begin, end, protection."""
    places: list[dict[int, int]] = [{} for _ in objects]
    parts = []
    end = 0
    for wanted, protection in (
        (_EXECUTABLE, mmap.PROT_READ | mmap.PROT_EXEC),
        (0, mmap.PROT_READ),
        (_WRITABLE, mmap.PROT_READ | mmap.PROT_WRITE),
    ):
        begin = end
        for parsed, here in zip(objects, places, strict=True):
            flags = parsed.sections["flags"]
            chosen = (flags & _ALLOCATED != 0) & (flags & (_EXECUTABLE | _WRITABLE) == wanted)
            for index in np.flatnonzero(chosen):
                section = parsed.sections[index]
                end = _aligned(end, int(section["alignment"]))
                here[int(index)] = end
                end += int(section["size"])
        end = _aligned(end, mmap.PAGESIZE)
        if end > begin:
            parts.append((begin, end, protection))
    for parsed, here in zip(objects, places, strict=True):
        flags = parsed.sections["flags"]
        if np.any(flags & _THREAD_LOCAL):
            raise UnsupportedObjectError("thread-local data")
        if len(here) != np.count_nonzero(flags & _ALLOCATED) or not here:
            raise UnsupportedObjectError("no sections, or one that is both written and run")
    return places, parts


def _aligned(place: int, alignment: int) -> int:
    if alignment > mmap.PAGESIZE:
        raise UnsupportedObjectError(f"alignment {alignment}")
    return -(-place // max(alignment, 1)) * max(alignment, 1)


def _own_addresses(parsed: _Object, places: dict[int, int], base: int) -> np.ndarray:
    """The address of each symbol of an object, but of those that it imports."""
    numbers = parsed.symbols["section"]
    if np.any(numbers >= _FIRST_SPECIAL):
        # Names of source files are among them, but are never referred to.
        special = np.flatnonzero((numbers >= _FIRST_SPECIAL) & (parsed.symbols["info"] & 15 != 4))
        if len(special):
            raise UnsupportedObjectError(f"symbol {parsed.name(int(special[0]))!r} of no section")
    starts = np.zeros(0x10000, np.uint64)
    for index, place in places.items():
        starts[index] = base + place
    return starts[numbers] + parsed.symbols["value"]


def _exports(objects: list[_Object], tables: list[np.ndarray]) -> dict[str, int]:
    """The addresses of what objects define for each other and for us."""
    exports: dict[str, int] = {}
    for parsed, addresses in zip(objects, tables, strict=True):
        visible = (parsed.symbols["info"] >> 4) != _LOCAL
        for index in np.flatnonzero(visible & (parsed.symbols["section"] != _UNDEFINED)):
            name = parsed.name(int(index))
            if name in exports:
                raise UnsupportedObjectError(f"two objects define {name!r}")
            exports[name] = int(addresses[index])
    return exports


def _import(parsed: _Object, addresses: np.ndarray, exports: dict[str, int]) -> None:
    """Fill in the addresses of what an object imports: from other objects, or the process."""
    process = ctypes.CDLL(None)
    for index in np.flatnonzero(parsed.symbols["section"] == _UNDEFINED)[1:]:
        name = parsed.name(int(index))
        try:
            found = exports.get(name) or ctypes.cast(process[name], ctypes.c_void_p).value
        except AttributeError:
            raise UnsupportedObjectError(f"the process has no {name!r}") from None
        addresses[index] = found or 0


def _relocate(
    image: np.ndarray, base: int, place: int, entries: np.ndarray, addresses: np.ndarray
) -> None:
    """Write addresses into a section that begins at ``place``."""
    kinds = entries["type"]
    values = addresses[entries["symbol"]].astype(np.int64) + entries["addend"]
    positions = entries["offset"].astype(np.int64) + place
    values[kinds != _ABSOLUTE_64] -= positions[kinds != _ABSOLUTE_64] + base
    short = (kinds == _RELATIVE_32) | (kinds == _CALL_32)
    long = (kinds == _ABSOLUTE_64) | (kinds == _RELATIVE_64)
    if not np.all(short | long):
        unknown = sorted({int(kind) for kind in kinds[~(short | long)]})
        raise UnsupportedObjectError(f"relocations of types {unknown}")
    distances = values[short].astype(np.int32)
    if np.any(values[short] != distances):
        raise UnsupportedObjectError("a reference further than 32 bits reach")
    for where, numbers, size in (
        (positions[long], values[long], 8),
        (positions[short], distances, 4),
    ):
        if len(where):
            image[where[:, None] + np.arange(size)] = numbers.view(np.uint8).reshape(-1, size)


def _protect(base: int, parts: list[tuple[int, int, int]]) -> None:
    """Let code be run and constants be read only; nothing is ever both written and run."""
    process = ctypes.CDLL(None, use_errno=True)
    protect = process.mprotect
    protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for begin, end, protection in parts:
        if protect(base + begin, end - begin, protection):
            raise UnsupportedObjectError(f"memory cannot be made executable: {ctypes.get_errno()}")
