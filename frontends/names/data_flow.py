"""What makes data sets of data sets: windows, groups, interleaving, choices.

See https://www.tensorflow.org/api_docs/python/tf/data/Dataset.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.eager import Tensor, as_tensor
from graphc.errors import OutOfRangeError, ShapeError
from graphc.keras import tree
from graphc.keras.random_seed import next_seed
from graphc.names.dtypes import name_of

if TYPE_CHECKING:
    from graphc.names.data import Dataset

#: How many data sets `interleave` reads in turn if nobody says.
_CYCLE = 10


def arrays_of(structure: Any) -> Any:
    """A structure of array-likes with NumPy arrays in it; lists are array-likes, too."""
    if isinstance(structure, dict):
        return {key: arrays_of(value) for key, value in structure.items()}
    if isinstance(structure, tuple):
        return tuple(arrays_of(value) for value in structure)
    return structure if isinstance(structure, Flow) else as_tensor(structure).numpy()


def tensors_of(element: Any) -> Any:
    """An element with tensors in it; a data set among its parts stays one."""

    def tensor(part: Any) -> Any:
        return part if isinstance(part, Flow) else Tensor(np.asarray(part))

    return tree.map_structure(tensor, element)


def call(function: Callable[..., Any], element: Any) -> Any:
    """A function of an element: the parts of a tuple are its arguments."""
    given = tensors_of(element)
    return function(*given) if isinstance(given, tuple) else function(given)


class Flow:
    """The methods of `graphc.data.Dataset` that make data sets of data sets.

    Args:
        source: Makes a new iterator over elements: structures of NumPy arrays.
        count: How many there are; -1 if there is no end, None if that is not known.
    """

    def __init__(self, source: Callable[[], Iterator[Any]], count: int | None):
        self._source = source
        self._count = count

    def _made(self, source: Callable[[], Iterator[Any]], count: int | None = None) -> Dataset:
        return type(self)(source, count)  # type: ignore[return-value]

    # ------------------------------------------------------------------------------ sources

    @classmethod
    def counter(cls, start: int = 0, step: int = 1, dtype: Any = "int64") -> Dataset:
        """``start``, ``start + step`` and so on without end."""
        kind = np.dtype(name_of(dtype))
        return cls(lambda: (kind.type(n) for n in itertools.count(start, step)), -1)  # type: ignore

    @classmethod
    def random(cls, seed: int | None = None, name: Any = None) -> Dataset:
        """Random integers from 0 to 2**32 - 1 (int64) without end.

        Args:
            seed: An integer that makes them the same in every run.
            name: Accepted, and ignored.
        """
        first = next_seed() if seed is None else int(seed)

        def numbers() -> Iterator[Any]:
            generator = np.random.Generator(np.random.Philox([first, 0]))
            while True:
                yield generator.integers(2**32, dtype=np.int64)

        return cls(numbers, -1)  # type: ignore[return-value]

    @classmethod
    def choose_from_datasets(
        cls,
        datasets: Sequence[Dataset],
        choice_dataset: Dataset,
        stop_on_empty_dataset: bool = True,
    ) -> Dataset:
        """Elements of several data sets, from which another one chooses.

        Args:
            datasets: The data sets.
            choice_dataset: The number of the one to take the next element from, again and again.
            stop_on_empty_dataset: Whether to stop where the chosen one has no more; otherwise the
                choice is passed over.
        """

        def elements() -> Iterator[Any]:
            sources = [dataset._source() for dataset in datasets]
            for choice in choice_dataset._source():
                try:
                    yield next(sources[int(choice)])
                except StopIteration:
                    if stop_on_empty_dataset:
                        return

        return cls(elements, None)  # type: ignore[return-value]

    @classmethod
    def sample_from_datasets(
        cls,
        datasets: Sequence[Dataset],
        weights: Any = None,
        seed: int | None = None,
        stop_on_empty_dataset: bool = False,
        rerandomize_each_iteration: bool | None = None,
    ) -> Dataset:
        """Elements of several data sets in random turns.

        Args:
            datasets: The data sets.
            weights: How often each has its turn; equally often by default.
            seed: An integer that makes the turns the same in every run.
            stop_on_empty_dataset: Whether to stop where one has no more.
            rerandomize_each_iteration: Whether each iteration has other turns.

        Raises:
            ShapeError: There is not one weight for each.
        """
        shares = np.ones(len(datasets)) if weights is None else as_tensor(weights).numpy()
        if shares.shape != (len(datasets),):
            raise ShapeError(
                f"sample_from_datasets: {len(datasets)} data sets need as many weights; received "
                f"{shares.tolist()}"
            )
        first = next_seed() if seed is None else int(seed)
        iterations = itertools.count()

        def elements() -> Iterator[Any]:
            number = next(iterations) if rerandomize_each_iteration else 0
            generator = np.random.Generator(np.random.Philox([first, number]))
            left = np.array(shares, "float64")
            sources = [dataset._source() for dataset in datasets]
            while left.sum() > 0:
                choice = int(generator.choice(len(sources), p=left / left.sum()))
                try:
                    yield next(sources[choice])
                except StopIteration:
                    if stop_on_empty_dataset:
                        return
                    left[choice] = 0

        return cls(elements, None)  # type: ignore[return-value]

    # ------------------------------------------------------------------------------ windows

    def window(
        self,
        size: int,
        shift: int | None = None,
        stride: int = 1,
        drop_remainder: bool = False,
        name: Any = None,
    ) -> Dataset:
        """Pieces of the data set, each a data set; of tuples and dicts, one for each part.

        Args:
            size: How many elements a window has.
            shift: The distance from the beginning of one to that of the next; its size by default.
            stride: The distance of neighbours inside.
            drop_remainder: Whether windows that the end cuts off are left out.
            name: Accepted, and ignored.

        Example:
            >>> windows = graphc.data.Dataset.range(10).window(5, shift=1, drop_remainder=True)
            >>> for numbers in windows.flat_map(lambda window: window.batch(5)):
            ...     print(numbers)
        """
        size, step, stride = int(size), int(size if shift is None else shift), int(stride)
        if min(size, step, stride) < 1:
            raise ValueError(
                f"window: size, shift and stride are positive. Received: {size}, {step}, {stride}"
            )
        reach = (size - 1) * stride + 1

        def windows() -> Iterator[Any]:
            elements = self._source()
            ahead = deque(itertools.islice(elements, reach))
            while ahead and not (drop_remainder and len(ahead) < reach):
                yield self._parted(list(itertools.islice(ahead, 0, None, stride)))
                for _ in range(min(step, len(ahead))):
                    ahead.popleft()
                for _ in itertools.islice(elements, max(0, step - reach)):
                    pass
                ahead.extend(itertools.islice(elements, reach - len(ahead)))

        return self._made(windows, self._window_count(reach, step, drop_remainder))

    def _window_count(self, reach: int, step: int, whole: bool) -> int | None:
        count = self._count
        if count is None or count < 0:
            return count
        return max(0, (count - reach) // step + 1) if whole else -(-count // step)

    def _parted(self, rows: list[Any]) -> Any:
        """Elements as a data set for each of their parts."""
        if not isinstance(rows[0], (tuple, dict)):
            return self._made(lambda: iter(rows), len(rows))
        keys = list(rows[0]) if isinstance(rows[0], dict) else list(range(len(rows[0])))
        parts = {key: self._parted([row[key] for row in rows]) for key in keys}
        return parts if isinstance(rows[0], dict) else tuple(parts.values())

    def group_by_window(
        self,
        key_func: Callable[..., Any],
        reduce_func: Callable[[Any, Dataset], Dataset],
        window_size: int | None = None,
        window_size_func: Callable[[Any], Any] | None = None,
        name: Any = None,
    ) -> Dataset:
        """The data sets that a function makes of elements with a common key, one after the other.

        Args:
            key_func: Gives the key of an element, an integer.
            reduce_func: Takes a key and a data set of elements that have it.
            window_size: How many elements are handed over at once.
            window_size_func: Gives that number for a key.
            name: Accepted, and ignored.

        Raises:
            ValueError: Both or none of the sizes are given.
        """
        if (window_size is None) == (window_size_func is None):
            raise ValueError("group_by_window: give either `window_size` or `window_size_func`")

        def reduced(key: int, rows: list[Any]) -> Iterator[Any]:
            window = self._made(lambda: iter(rows), len(rows))
            return reduce_func(as_tensor(np.int64(key)), window)._source()

        def elements() -> Iterator[Any]:
            groups: dict[int, list[Any]] = {}
            for element in self._source():
                key = int(call(key_func, element))
                group = groups.setdefault(key, [])
                group.append(element)
                most = window_size_func(as_tensor(np.int64(key))) if window_size_func else None
                if len(group) == int(window_size if most is None else most):  # type: ignore
                    yield from reduced(key, groups.pop(key))
            for key in sorted(groups):
                yield from reduced(key, groups[key])

        return self._made(elements)

    def rebatch(self, batch_size: int, drop_remainder: bool = False, name: Any = None) -> Dataset:
        """Batches of another size.

        Args:
            batch_size: The size.
            drop_remainder: Whether a last batch that is smaller is left out.
            name: Accepted, and ignored.
        """
        return self.unbatch().batch(batch_size, drop_remainder)  # type: ignore[attr-defined]

    # --------------------------------------------------------------------------- one by one

    def interleave(
        self,
        map_func: Callable[..., Dataset],
        cycle_length: int | None = None,
        block_length: int = 1,
        num_parallel_calls: Any = None,
        deterministic: bool | None = None,
        name: Any = None,
    ) -> Dataset:
        """The elements of data sets that a function makes of the elements, in turns.

        Args:
            map_func: Makes a data set of an element.
            cycle_length: From how many data sets at a time elements are taken; 10 by default.
            block_length: How many elements are taken from one before it is the next one's turn.
            num_parallel_calls: Accepted, and ignored.
            deterministic: Accepted, and ignored: the order is always the same.
            name: Accepted, and ignored.
        """
        slots = _CYCLE if cycle_length is None or cycle_length < 1 else int(cycle_length)

        def elements() -> Iterator[Any]:
            inputs = self._source()
            current: list[Iterator[Any] | None] = [None] * slots
            more = True
            while more or any(source is not None for source in current):
                for place in range(slots):
                    source = current[place]
                    if source is None:
                        following = next(inputs, None) if more else None
                        more = more and following is not None
                        if following is None:
                            continue
                        source = current[place] = call(map_func, following)._source()
                    block = list(itertools.islice(source, block_length))
                    yield from block
                    if len(block) < block_length:
                        current[place] = None

        return self._made(elements)

    def scan(
        self, initial_state: Any, scan_func: Callable[..., tuple[Any, Any]], name: Any = None
    ) -> Dataset:
        """What a function makes of a state and the next element, which also gives the next state.

        Args:
            initial_state: The first state: a tensor, or a structure of them.
            scan_func: Takes a state and an element; returns a state and a new element.
            name: Accepted, and ignored.
        """

        def elements() -> Iterator[Any]:
            state = tree.map_structure(as_tensor, initial_state)
            for element in self._source():
                state, result = scan_func(state, tensors_of(element))
                yield arrays_of(result)

        return self._made(elements, self._count)

    def take_while(self, predicate: Callable[..., Any], name: Any = None) -> Dataset:
        """The elements up to the first for which a function is false."""
        return self._made(
            lambda: itertools.takewhile(lambda x: bool(call(predicate, x)), self._source())
        )

    def unique(self, name: Any = None) -> Dataset:
        """Each element once, where it comes first."""

        def elements() -> Iterator[Any]:
            seen = set()
            for element in self._source():
                leaves = [np.asarray(leaf) for leaf in tree.flatten(element)]
                key = tuple((leaf.dtype.name, leaf.shape, leaf.tobytes()) for leaf in leaves)
                if key not in seen:
                    seen.add(key)
                    yield element

        return self._made(elements)

    def get_single_element(self, name: Any = None) -> Any:
        """The only element.

        Raises:
            OutOfRangeError: There is none, or there are several.
        """
        first = list(itertools.islice(self._source(), 2))
        if len(first) != 1:
            raise OutOfRangeError(
                f"get_single_element: the data set has {'no' if not first else 'more than one'} "
                "element"
            )
        return tensors_of(first[0])

    def with_options(self, options: Any, name: Any = None) -> Dataset:
        """The data set itself: options are about how TensorFlow runs."""
        return self  # type: ignore[return-value]


class Options:
    """Options of how TensorFlow runs data sets: anything may be set, and nothing has an effect."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        inside = self.__dict__[name] = Options()
        return inside
