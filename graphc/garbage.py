"""Python's garbage collector, kept from looking again and again at what is being built.

A graph is one large cycle of objects, of which none is garbage while it is made. The collector
looks at all new objects whenever 700 have come, and at all old ones now and then: more than a third
of the time in which a large graph is transformed and lowered.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])

#: So many new objects take some ten megabytes.
_NEW_OBJECTS = 50_000


class _RarelyCollecting:
    """Inside, in any thread, the collector waits for `_NEW_OBJECTS`, or as long as it did anyway.

    Blocks may be nested, and overlap in several threads: the last one to end puts back what was
    there when the first one began. A forked child, which has none of its parent's other threads,
    puts it back at once.
    """

    def __init__(self) -> None:
        self._usual = gc.get_threshold()
        self._start()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def _start(self) -> None:
        self._lock = RLock()  # what the collector calls may itself compile
        self._blocks = 0

    def _forked(self) -> None:
        if self._blocks:
            gc.set_threshold(*self._usual)
        self._start()

    def __enter__(self) -> None:
        with self._lock:
            self._blocks += 1
            if self._blocks > 1:
                return
            self._usual = gc.get_threshold()
            first, *others = self._usual
            if first:  # 0 keeps it from collecting at all
                gc.set_threshold(max(first, _NEW_OBJECTS), *others)

    def __exit__(self, *error: Any) -> None:
        with self._lock:
            self._blocks = max(self._blocks - 1, 0)
            if not self._blocks:
                gc.set_threshold(*self._usual)

    def __call__(self, function: Function) -> Function:
        """The function, with such a block around its calls."""

        # Not what contextlib has for that: errors would name its line as the user's.
        @wraps(function)
        def inside(*arguments: Any, **keywords: Any) -> Any:
            with self:
                return function(*arguments, **keywords)

        return cast(Function, inside)


#: For ``with`` blocks, or above functions.
rarely_collecting = _RarelyCollecting()
