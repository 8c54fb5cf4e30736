"""Which trace is being recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphc.eager.trace import Trace

# Python code that is traced does not pass the trace along, so the innermost one is ambient.
_current: ContextVar[Trace | None] = ContextVar("graphc_trace", default=None)


def current_trace() -> Trace | None:
    """The trace that is being recorded; None where code computes at once."""
    return _current.get()


def enter(trace: Trace | None) -> Token[Trace | None]:
    """Make a trace the current one; gives what `leave` needs."""
    return _current.set(trace)


def leave(token: Token[Trace | None]) -> None:
    """Go back to the trace that was current before."""
    _current.reset(token)


@contextmanager
def computing_at_once() -> Iterator[None]:
    """Inside the block code computes at once, also within a trace (to make initial values)."""
    token = enter(None)
    try:
        yield
    finally:
        leave(token)
