"""Finding the line of the user's program that led here."""

from __future__ import annotations

import os
import sys
from functools import cache
from types import FrameType

import graphc

# Found from this file's place, since the front-ends live beside the compiler, not inside it.
_OWN_FOLDERS = tuple(
    os.path.join(os.path.abspath(folder), "")
    for folder in (
        graphc.__path__[0],
        os.path.dirname(os.path.dirname(__file__)),
        os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), "runtime"),
    )
)
#: The `graphc` command: what called it is its start-up script, not a user's program.
_COMMAND = os.path.join(os.path.abspath(graphc.__path__[0]), "cli", "")


@cache
def _is_command(file: str) -> bool:
    return os.path.abspath(file).startswith(_COMMAND)


@cache
def _is_own(file: str) -> bool:
    return os.path.abspath(file).startswith(_OWN_FOLDERS) or file.startswith("<frozen")


@cache
def _display(file: str) -> str:
    """A short path: relative to the working folder if it lies inside it."""
    relative = os.path.relpath(file) if os.path.isabs(file) else file
    return file if relative.startswith(os.pardir) else relative


def user_line() -> tuple[str, int]:
    """File and line of the innermost frame that is not graphc's own; ``("", 0)`` if none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not _is_own(file):
            return _display(file), frame.f_lineno
        if _is_command(file):
            break
        frame = frame.f_back
    return "", 0


def user_line_text() -> str:
    """`user_line` as ``"train.py:12"``; empty if there is none."""
    file, line = user_line()
    return f"{file}:{line}" if file else ""
