"""Where the batches of an epoch come from: rows of arrays, or a user's generator or data set."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.keras.engine.data import Rows, make_rows, unpack
from graphc.keras.random_seed import next_seed
from graphc.shuffle import Shuffle, random_order

DEFAULT_BATCH_SIZE = 32


@dataclass
class Run:
    """Consecutive steps over some arrays.

    Args:
        rows: The arrays.
        batch_size: Rows per step.
        begin: How many steps over these arrays came before.
        steps: How many steps there are to do.
        order: The row numbers in the order in which they are used: an array, or a `Shuffle`; None
            for 0, 1, 2, ...
    """

    rows: Rows
    batch_size: int
    begin: int
    steps: int
    order: np.ndarray | Shuffle | None = None


class RowsFeed:
    """Batches cut from arrays.

    Args:
        rows: The arrays.
        batch_size: Rows per step; 32 by default, or what gives ``steps`` steps.
        steps: Steps per epoch; all by default. The next epoch goes on behind the last one.
        shuffle: Whether the rows come in a new random order in each pass over them; with
            ``"batch"`` whole batches are shuffled.
    """

    def __init__(
        self, rows: Rows, batch_size: Any = None, steps: int | None = None, shuffle: Any = False
    ):
        if batch_size is None:
            batch_size = -(-rows.count // steps) if steps else DEFAULT_BATCH_SIZE
        if isinstance(batch_size, bool) or not hasattr(batch_size, "__index__") or batch_size < 1:
            raise ValueError(
                f"batch_size has to be a whole number of at least 1, not {batch_size!r}"
            )
        self.rows = rows
        self.first = rows
        self.batch_size = int(batch_size)
        self.steps = steps or -(-rows.count // self.batch_size)
        self.all_steps = -(-rows.count // self.batch_size)
        self._shuffle = shuffle
        self._generator = np.random.Generator(np.random.Philox(next_seed())) if shuffle else None
        self._begin = 0
        self._order: np.ndarray | Shuffle | None = None

    def epoch(self) -> Iterator[Run]:
        """The steps of an epoch."""
        if self._begin == 0:
            self._order = self._new_order()
        steps = min(self.steps, self.all_steps - self._begin)
        if steps < self.steps:
            _warn_out_of_data()
        yield Run(self.rows, self.batch_size, self._begin, steps, self._order)
        self._begin = (self._begin + steps) % self.all_steps

    def restart(self) -> None:
        """Begin with the first rows again."""
        self._begin = 0

    def _new_order(self) -> np.ndarray | Shuffle | None:
        if self._generator is None:
            return None
        count = self.rows.count
        if self._shuffle != "batch":
            return random_order(count, self._generator)
        numbers = np.arange(count)
        whole = count // self.batch_size * self.batch_size
        self._generator.shuffle(numbers[:whole].reshape(-1, self.batch_size))
        return numbers


class BatchFeed:
    """Batches made by Python code: a generator, an iterable, or a `keras.utils.PyDataset`.

    Args:
        source: Gives x, (x, y) or (x, y, sample_weight) for each batch.
        steps: Steps per epoch; as many as the source gives by default. The next epoch goes on
            behind the last one.
        class_weight: As in `make_rows`.
        shuffle: Whether the batches of a source with a length come in a random order.
    """

    def __init__(
        self,
        source: Any,
        steps: int | None = None,
        class_weight: Any = None,
        shuffle: Any = False,
    ):
        self._source = source
        self._class_weight = class_weight
        self._length = _length_of(source)
        self._limit = steps
        self.steps = steps or self._length
        shuffled = shuffle and self._length is not None and hasattr(source, "__getitem__")
        self._generator = np.random.Generator(np.random.Philox(next_seed())) if shuffled else None
        self._batches: Iterator[Rows] | None = None

    @property
    def first(self) -> Rows:
        """The batch that comes next.

        Raises:
            ValueError: There is none.
        """
        batches = self._next_batches()
        batch = next(batches, None)
        if batch is None:
            raise ValueError(
                "there are no batches in the data; is it a generator that was used up before?"
            )
        self._batches = itertools.chain([batch], batches)
        return batch

    def epoch(self) -> Iterator[Run]:
        """The steps of an epoch, one batch each."""
        _call_if_there(self._source, "on_epoch_begin")
        batches, step = self._next_batches(), 0
        while self._limit is None or step < self._limit:
            batch = next(batches, None)
            if batch is None:
                self._batches = None
                break
            yield Run(batch, batch.count, 0, 1)
            step += 1
        if step < (self._limit or 1):
            _warn_out_of_data()
        _call_if_there(self._source, "on_epoch_end")

    def restart(self) -> None:
        """Begin with the first batch again, if the source can; a generator goes on."""
        if not hasattr(self._source, "__next__"):
            self._batches = None

    def _next_batches(self) -> Iterator[Rows]:
        if self._batches is None:
            self._batches = (
                make_rows(*unpack(batch), class_weight=self._class_weight)
                for batch in self._new_pass()
            )
        return self._batches

    def _new_pass(self) -> Iterator[Any]:
        if not hasattr(self._source, "__getitem__"):
            return iter(self._source)
        numbers: Iterable[int] = itertools.count()
        if self._length is not None:
            numbers = range(self._length)
            if self._generator is not None:
                numbers = map(int, self._generator.permutation(self._length))
        workers = getattr(self._source, "workers", 1)
        if workers > 1:
            return _prefetched(self._source, iter(numbers), workers)
        return (self._source[number] for number in numbers)


def is_batches(x: Any) -> bool:
    """Whether ``x`` gives batches (a generator or a data set) rather than rows."""
    if isinstance(x, (np.ndarray, list, tuple, Mapping, str)) or hasattr(x, "__array__"):
        return False
    return hasattr(x, "__next__") or hasattr(x, "__getitem__") or isinstance(x, Iterable)


def _length_of(source: Any) -> int | None:
    """The number of batches; None if the source does not know, or never ends."""
    if hasattr(source, "num_batches"):
        return source.num_batches
    return len(source) if hasattr(source, "__len__") else None


def _prefetched(source: Any, numbers: Iterator[int], workers: int) -> Iterator[Any]:
    """The items of a source in order, made by threads ahead of their use."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(workers) as pool:
        ahead = max(getattr(source, "max_queue_size", 10), workers)
        waiting = [pool.submit(source.__getitem__, n) for n in itertools.islice(numbers, ahead)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(source.__getitem__, n) for n in itertools.islice(numbers, 1)]


def _call_if_there(source: Any, name: str) -> None:
    method = getattr(source, name, None)
    if method is not None:
        method()


def _warn_out_of_data() -> None:
    warnings.warn(
        "Your input ran out of data; interrupting training. The data has to give at least "
        "`steps_per_epoch * epochs` batches: give fewer steps, or a generator that does not end.",
        stacklevel=2,
    )
