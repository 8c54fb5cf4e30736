"""Names: ``dense``, ``dense_1``, ..., counted over the process as Keras counts them, and paths."""

from __future__ import annotations

import re
from collections import Counter
from contextvars import ContextVar

_counts: Counter[str] = Counter()

# The names of the layers that are being built or called, the outermost first.
_path: ContextVar[str] = ContextVar("graphc_path", default="")

#: The path of the layer that is being built or called; empty outside of all.
current_path = _path.get


class path_entered:  # noqa: N801 (used like a function, as `contextlib.closing` is)
    """Inside the block this is the current path.

    A class, since a generator takes three times as long, and every call of a layer enters it.
    """

    __slots__ = ("_path", "_token")

    def __init__(self, path: str):
        self._path = path

    def __enter__(self) -> None:
        self._token = _path.set(self._path)

    def __exit__(self, *error: object) -> None:
        _path.reset(self._token)


def to_snake_case(name: str) -> str:
    """``BatchNormalization`` as ``batch_normalization``, ``Conv2D`` as ``conv2d``."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def unique_name(prefix: str) -> str:
    """``prefix``, or ``prefix_1`` and so on when it was given out before."""
    count = _counts[prefix]
    _counts[prefix] += 1
    return f"{prefix}_{count}" if count else prefix


def automatic_name(kind: type) -> str:
    """A name for a new object of a class."""
    return unique_name(to_snake_case(kind.__name__))


def clear_session() -> None:
    """Start counting names anew (`keras.utils.clear_session`, `keras.backend.clear_session`)."""
    _counts.clear()


def get_uid(prefix: str = "") -> int:
    """A number that rises with each call for the same prefix (`keras.backend.get_uid`)."""
    _counts[prefix] += 1
    return _counts[prefix]
