"""The arrays of variables, and when they last changed.

What follows from weights alone, such as a copy of them in the order in which a kernel reads them,
need not be computed again as long as they are the same. Looking whether they are would take longer
than that, so everything in graphc that changes a variable says so: `Variable.assign`, and each
backend when a program that learns has run.
"""

from __future__ import annotations

import numpy as np

_latest: object = object()


class State(dict[str, np.ndarray]):
    """Arrays by the names of variables, of which the owner promises to `note_change`.

    A backend takes any mapping as state; but of this one alone it may keep what it computed from
    the arrays.

    Example:
        >>> state = State(kernel=np.zeros((3, 4), np.float32))
        >>> state["kernel"][0] = 1
        >>> note_change()
    """


def note_change() -> None:
    """Say that a variable's array holds something else now; to be called after it was written."""
    global _latest
    _latest = object()  # assigned at once, so threads need no lock, and equal to no earlier one


def latest_change() -> object:
    """What stands for the latest change of any variable: the same object until the next one."""
    return _latest
