"""Writing files so that nobody ever finds half of one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file: beside its place first, and there only when it is complete and on the disk.

    Args:
        path: Its place; an older file there is replaced.
        content: What it holds.

    Raises:
        FileNotFoundError: The folder does not exist.
        OSError: The file cannot be written; an older one is still as it was.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f'there is no folder "{target.parent}" to write {target.name} into')
    descriptor, part = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(part, _usual_mode())
        os.replace(part, target)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def _usual_mode() -> int:
    """The permissions that a file gets which is made in the ordinary way."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
