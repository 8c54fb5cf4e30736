"""Writing files so that nobody ever finds half of one."""

from __future__ import annotations

import os
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
    # Made in the ordinary way, so that it has the ordinary permissions.
    part = target.with_name(f".{target.name[:100]}.{os.urandom(8).hex()}")
    try:
        with open(part, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
