"""Turning whatever a damaged file causes into one kind of error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graphc.errors import FileFormatError


@contextmanager
def reading(path: str | os.PathLike[str] | None, kind: str) -> Iterator[None]:
    """Within the block every error is a `FileFormatError` that names the file.

    Libraries for file formats raise all kinds of exceptions on damaged files (`KeyError`,
    `OSError`, `OverflowError`, `RecursionError`, ...): here they become one.

    Args:
        path: The file; None for text that was handed over.
        kind: What the file should be: ``"a Keras archive"``.

    Raises:
        FileFormatError: Anything went wrong.
    """
    place = f'cannot read "{os.fspath(path)}" as {kind}: ' if path is not None else ""
    try:
        yield
    except FileFormatError as error:
        if place and str(error).startswith(place):
            raise
        raise FileFormatError(f"{place}{error}") from error
    except KeyError as error:
        raise FileFormatError(f"{place}{error} is missing in it") from error
    except Exception as error:
        what = str(error) or "it is damaged"
        raise FileFormatError(f"{place}{what} ({type(error).__name__})") from error


def check_is_file(path: str | os.PathLike[str]) -> Path:
    """The path of a file that exists and is not empty.

    Raises:
        FileNotFoundError: Nothing is there.
        FileFormatError: It is a directory, or empty.
    """
    found = Path(path)
    if not found.exists():
        raise FileNotFoundError(f'there is no file "{path}"')
    if not found.is_file():
        raise FileFormatError(f'"{path}" is a directory, not a file')
    if not found.stat().st_size:
        raise FileFormatError(f'"{path}" is empty (0 bytes)')
    return found
