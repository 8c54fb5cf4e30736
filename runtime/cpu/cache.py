"""Compiled objects on disk, so that a second process starts without compiling.

An entry is one file: a line with the checksum of the rest, then the object code. Whatever goes
wrong with a file (missing, torn, unreadable, not writable) costs a compilation and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import graphc
from graphc import __version__
from graphc.config import config
from graphc.serialize.files import write_atomically

if TYPE_CHECKING:
    from graphc.runtime.cpu.target import Target

_DEFAULT_LIMIT = 512 * 1024 * 1024
_SUFFIX = ".graphc-object"
_DIGEST_LENGTH = 64


class ObjectCache:
    """A folder of compiled objects, bounded in size: the longest unused entries go first.

    Args:
        folder: where the entries are kept; None keeps nothing.
        limit: how many bytes the folder may hold.
    """

    def __init__(self, folder: Path | None, limit: int = _DEFAULT_LIMIT) -> None:
        """Opens the cache; the folder is made when the first entry is."""
        self.folder = folder
        self.limit = limit

    @staticmethod
    def default() -> ObjectCache:
        """The cache in the folder that the configuration names."""
        return ObjectCache(config.cache_folder)

    def get(self, key: str, target: Target | None, build: Callable[[], bytes]) -> bytes:
        """The object of a key, from disk or built and kept.

        Args:
            key: a digest of everything the code depends on but the processor and versions.
            target: the processor the code is for; None for what is no code.
            build: compiles the object.
        """
        if self.folder is None:
            return build()
        path = self.folder / (entry_name(key, target) + _SUFFIX)
        content = _read(path)
        if content is None:
            content = build()
            if _write(path, content):
                self._evict(path)
        return content

    def usage(self) -> tuple[int, int]:
        """How many entries there are, and their bytes."""
        entries = [] if self.folder is None else _entries(self.folder)
        return len(entries), sum(size for _, size, _ in entries)

    def _evict(self, newest: Path) -> None:
        """Deletes the longest unused entries until the folder is within its limit."""
        entries = _entries(newest.parent)
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self.limit:
                return
            if path != newest:
                _delete(path)
                total -= size


def _entries(folder: Path) -> list[tuple[float, int, Path]]:
    """The time of the last use, the size and the path of each entry."""
    entries = []
    for path in folder.glob("*" + _SUFFIX):
        try:
            status = path.stat()
        except OSError:
            continue  # another process deleted it
        entries.append((status.st_mtime, status.st_size, path))
    return entries


def entry_name(key: str, target: Target | None) -> str:
    """A digest of the key, the processor and what made the code."""
    parts = (key, repr(target), __version__, _llvm_version(), _compiler_state())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@lru_cache(maxsize=1)
def _compiler_state() -> str:
    """Which compiler this is, to the file: one that was edited must not find its old results."""
    root = Path(graphc.__file__).parent
    folders = (root, root / "ir", root / "ops", root / "passes", Path(__file__).parent)
    entries = []
    for folder in folders:
        with os.scandir(folder) as files:
            for file in sorted(files, key=lambda file: file.name):
                if file.name.endswith(".py"):
                    status = file.stat()
                    entries.append(f"{file.name} {status.st_size} {status.st_mtime_ns}")
    return "\n".join(entries)


def _llvm_version() -> str:
    """Which llvmlite this is, without the time that importing it or reading its version takes."""
    found = find_spec("llvmlite")
    if found is None or found.origin is None:
        return "unknown"
    try:
        return Path(found.origin).with_name("_version.py").read_text()
    except OSError:
        return f"{found.origin} {Path(found.origin).stat().st_mtime_ns}"


def _read(path: Path) -> bytes | None:
    """An entry's object code, or None if there is no sound entry."""
    try:
        with path.open("rb") as file:
            if not _is_ours(os.fstat(file.fileno())):
                return None
            content = file.read()
        digest, code = content[:_DIGEST_LENGTH], content[_DIGEST_LENGTH + 1 :]
        if digest != hashlib.sha256(code).hexdigest().encode():
            _delete(path)
            return None
    except OSError:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # it was used: the last to be evicted
    return code


def _is_ours(status: os.stat_result) -> bool:
    """Whether nobody but this user and the system can have written a file, whose code is run."""
    if not hasattr(os, "geteuid"):
        return True
    return status.st_uid in (os.geteuid(), 0) and not status.st_mode & stat.S_IWOTH


def _write(path: Path, code: bytes) -> bool:
    """Keeps an entry; whether that worked."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, hashlib.sha256(code).hexdigest().encode() + b"\n" + code)
    except OSError:
        return False
    return True


def _delete(path: Path) -> None:
    with contextlib.suppress(OSError):  # not ours to delete: it will be read or replaced again
        path.unlink(missing_ok=True)
