"""Where summaries go: writers of event files, the one that is current, and the step."""

from __future__ import annotations

import itertools
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from graphc.summary import library

# Code that writes summaries does not pass the writer along, so there is a current one.
_writer: ContextVar[SummaryWriter | None] = ContextVar("graphc_summary_writer", default=None)
_step: ContextVar[Any] = ContextVar("graphc_summary_step", default=None)
_condition: ContextVar[Any] = ContextVar("graphc_summary_condition", default=True)

_numbers = itertools.count()


class SummaryWriter:
    """Writes events into one file of a folder; made by `create_file_writer`.

    Args:
        logdir: The folder; None for a writer that writes nothing.
        max_queue: How many events are kept in memory at most before they are written.
        flush_millis: How long, in milliseconds, they are kept at most.
        filename_suffix: The end of the file's name.
    """

    def __init__(
        self,
        logdir: str | os.PathLike[str] | None,
        max_queue: int = 10,
        flush_millis: int = 120_000,
        filename_suffix: str = ".v2",
    ):
        self._limit = max_queue
        self._seconds = flush_millis / 1000
        self._pending: list[Any] = []
        self._flushed = time.monotonic()
        self._records: Any = None
        self.closed = False
        self.path: Path | None = None
        if logdir is None:
            return
        folder = Path(logdir)
        first = library.version_event()  # TensorBoard is missing? Then before there is a folder.
        folder.mkdir(parents=True, exist_ok=True)
        # The process and a number keep apart what is made within one second.
        name = f"{int(time.time()):010d}.{platform.node()}.{os.getpid()}.{next(_numbers)}"
        self.path = folder / f"events.out.tfevents.{name}{filename_suffix}"
        self._records = library.record_writer(self.path.open("xb"))
        self.add(first)
        self.flush()

    def add(self, event: Any) -> None:
        """Write an event, now or soon.

        Args:
            event: A message.

        Raises:
            RuntimeError: The writer is closed.
        """
        if self.closed:
            raise RuntimeError(f"the summary writer of {self.path} is closed")
        if self._records is None:
            return
        self._pending.append(event.SerializeToString())
        waited = time.monotonic() - self._flushed
        if len(self._pending) > self._limit or waited > self._seconds:
            self.flush()

    def flush(self) -> None:
        """Write everything that is kept in memory to the file."""
        if self._records is None or self.closed:
            return
        for data in self._pending:
            self._records.write(data)
        self._pending.clear()
        self._records.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Write what is kept in memory, and close the file; closing again does nothing."""
        if self.closed:
            return
        self.flush()
        if self._records is not None:
            self._records.close()
        self.closed = True

    @contextmanager
    def as_default(self, step: Any = None) -> Iterator[SummaryWriter]:
        """Inside the block summaries go to this writer, which is flushed at its end.

        Args:
            step: The step for summaries in the block that name none.

        Example:
            >>> writer = graphc.summary.create_file_writer("logs")
            >>> with writer.as_default():
            ...     graphc.summary.scalar("loss", 0.25, step=1)
        """
        if self.closed:
            raise RuntimeError(f"the summary writer of {self.path} is closed")
        writer = _writer.set(self)
        token = _step.set(step) if step is not None else None
        try:
            yield self
        finally:
            self.flush()
            if token is not None:
                _step.reset(token)
            _writer.reset(writer)

    def set_as_default(self, step: Any = None) -> None:
        """From here on summaries go to this writer.

        Args:
            step: The step for summaries that name none.
        """
        _writer.set(self)
        if step is not None:
            _step.set(step)

    def init(self) -> None:
        """Nothing: a writer is ready when it is made."""

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def create_file_writer(
    logdir: str | os.PathLike[str],
    max_queue: int | None = None,
    flush_millis: int | None = None,
    filename_suffix: str | None = None,
    name: str | None = None,
) -> SummaryWriter:
    """A writer of summaries into a new file of a folder, which ``tensorboard --logdir`` shows.

    Args:
        logdir: The folder; made if it is not there.
        max_queue: How many summaries are kept in memory at most; 10 by default.
        flush_millis: How long they are kept at most; two minutes by default.
        filename_suffix: The end of the file's name; ``".v2"`` by default.
        name: Accepted as in TensorFlow.

    Raises:
        UnsupportedError: TensorBoard's package is not installed.
    """
    return SummaryWriter(
        logdir,
        10 if max_queue is None else int(max_queue),
        120_000 if flush_millis is None else int(flush_millis),
        ".v2" if filename_suffix is None else filename_suffix,
    )


def create_noop_writer() -> SummaryWriter:
    """A writer that writes nothing."""
    return SummaryWriter(None)


def current_writer() -> SummaryWriter | None:
    """The writer that summaries go to; None where there is none, or they are not recorded now."""
    writer = _writer.get()
    if writer is None or writer.closed or not should_record_summaries():
        return None
    return writer


def flush(writer: SummaryWriter | None = None, name: str | None = None) -> None:
    """Write what a writer, the current one by default, keeps in memory.

    Args:
        writer: A writer.
        name: Accepted as in TensorFlow.
    """
    chosen = writer or _writer.get()
    if chosen is not None:
        chosen.flush()


def should_record_summaries() -> bool:
    """Whether summaries are recorded now: there is a writer, and `record_if` allows it."""
    if _writer.get() is None:
        return False
    condition = _condition.get()
    return bool(condition() if callable(condition) else condition)


@contextmanager
def record_if(condition: bool | Callable[[], Any]) -> Iterator[None]:
    """Inside the block summaries are recorded only if a condition holds.

    Args:
        condition: True, False, or a function that is asked at each summary.

    Example:
        >>> with graphc.summary.record_if(lambda: step % 100 == 0):
        ...     graphc.summary.scalar("loss", loss, step=step)
    """
    token = _condition.set(condition)
    try:
        yield
    finally:
        _condition.reset(token)


def set_step(step: Any) -> None:
    """Set the step for summaries that name none.

    Args:
        step: A number, a variable whose value then counts, or None.
    """
    _step.set(step)


def get_step() -> Any:
    """What `set_step` set last."""
    return _step.get()


def step_of(step: Any) -> int:
    """The step of a summary as a number.

    Raises:
        ValueError: None was given, and none is set.
    """
    chosen = _step.get() if step is None else step
    if chosen is None:
        raise ValueError(
            "a summary needs a step: give step=, or set one with "
            "graphc.summary.experimental.set_step or writer.as_default(step)"
        )
    return int(chosen)
