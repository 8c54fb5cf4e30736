"""What records: the trace that is under way, and the tapes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from graphc.eager.trace import Trace


class Recorder(Protocol):
    """What is told of computations: a tape."""

    def record(self, plan: Any, operands: Any, results: Any, /) -> None:
        """Take in that a plan computed results from operands."""

    def read(self, variable: Any, value: Any, /) -> None:
        """Take in that a variable was read."""

    def tracks(self, tensor: Any, /) -> bool:
        """Whether a tensor that has elements needs a value of its own in a traced graph."""

    def embedding(self, tensor: Any, graph: Any, /) -> Any:
        """The value that stands for a tracked tensor in a traced graph, if there is one yet."""

    def embed(self, tensor: Any, value: Any, /) -> None:
        """Take in which value stands for a tracked tensor in a traced graph."""


Tapes: TypeAlias = "tuple[Recorder, ...]"

# Python code that is traced does not pass the trace along, so the innermost one is ambient.
_current: ContextVar[Trace | None] = ContextVar("graphc_trace", default=None)
_tapes: ContextVar[Tapes] = ContextVar("graphc_tapes", default=())

#: The trace that is being recorded; None where code computes at once.
current_trace = _current.get

#: The tapes that record what is computed, the outermost first.
current_tapes = _tapes.get

#: What `leave` needs.
Entry: TypeAlias = "tuple[Token[Trace | None], Token[Tapes]]"


def enter(trace: Trace | None) -> Entry:
    """Make a trace the current one; gives what `leave` needs.

    Tapes that were opened before do not see what happens in it: they live in the world around it.
    """
    return _current.set(trace), _tapes.set(())


def leave(entry: Entry) -> None:
    """Go back to the trace that was current before."""
    _current.reset(entry[0])
    _tapes.reset(entry[1])


@contextmanager
def computing_at_once() -> Iterator[None]:
    """Inside the block code computes at once, also within a trace (to make initial values)."""
    entry = enter(None)
    try:
        yield
    finally:
        leave(entry)


def add_tape(tape: Recorder) -> None:
    """Let a tape record from here on."""
    _tapes.set((*_tapes.get(), tape))


def remove_tape(tape: Recorder) -> None:
    """Let a tape record no longer."""
    _tapes.set(tuple(other for other in _tapes.get() if other is not tape))


@contextmanager
def unrecorded() -> Iterator[None]:
    """Inside the block no tape records."""
    token = _tapes.set(())
    try:
        yield
    finally:
        _tapes.reset(token)
