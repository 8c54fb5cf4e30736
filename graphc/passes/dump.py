"""Dumps: numbered files in the folder that ``config.dump_folder`` (``GRAPHC_DUMP``) names."""

from __future__ import annotations

from pathlib import Path

from graphc.config import config

_LONGEST_NAME = 100


def dump(name: str, content: str, suffix: str = "txt") -> None:
    """Write the next file of the folder of dumps, if there is one.

    Args:
        name: What it shows; the file is called by its number and this name.
        content: Its text.
        suffix: The end of the file's name.

    Raises:
        OSError: The folder cannot be written into; the message names the knob.
    """
    if config.dump_folder is None:
        return
    try:
        _write(Path(config.dump_folder), name, content, suffix)
    except OSError as error:
        raise type(error)(
            error.errno,
            f"{error.strerror}; dumps go there because of config.dump_folder (GRAPHC_DUMP)",
            error.filename,
        ) from None


def _write(folder: Path, name: str, content: str, suffix: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    safe = "".join(c if c.isalnum() else "-" for c in name)[:_LONGEST_NAME]
    number = len(list(folder.iterdir()))
    while True:
        try:
            # Others may be writing into the same folder: a number is taken by creating it.
            with open(folder / f"{number:04}-{safe}.{suffix}", "x", encoding="utf-8") as file:
                file.write(content)
            return
        except FileExistsError:
            number += 1
