"""``graphc.data``: sources of examples and batches, as custom training loops and `fit` take them.

See https://www.tensorflow.org/api_docs/python/tf/data/Dataset. A data set is a Python iterable over
arrays in memory or whatever a generator gives; its functions run in Python, one element at a time,
so there is nothing to prefetch, and what takes long is better done once, on whole arrays.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from graphc.eager import Tensor, as_tensor
from graphc.eager.spec import TensorSpec
from graphc.errors import ShapeError
from graphc.keras import tree
from graphc.keras.random_seed import next_seed
from graphc.names.adapt import missing_name, public_names, published
from graphc.names.data_flow import Flow, Options, arrays_of, call, tensors_of

AUTOTUNE = -1
INFINITE_CARDINALITY = -1
UNKNOWN_CARDINALITY = -2

published(Options)


def _row(arrays: Any, number: int) -> Any:
    return tree.map_structure(lambda array: np.asarray(array[number]), arrays)


def _conforming(specification: Any, element: Any) -> Any:
    """An element as arrays of the types that a structure of `TensorSpec`s says."""
    if isinstance(specification, dict):
        return {key: _conforming(spec, element[key]) for key, spec in specification.items()}
    if isinstance(specification, tuple):
        return tuple(map(_conforming, specification, element))
    return specification.checked(element, "element").numpy()


@published
class Dataset(Flow):
    """Elements, one after the other; each iteration begins anew.

    Data sets are made by `from_tensor_slices` and its kind, and from each other by methods.

    Example:
        >>> data = graphc.data.Dataset.from_tensor_slices((x, y)).shuffle(1000).batch(32)
        >>> for images, labels in data.take(2):
        ...     print(images.shape)
        >>> model.fit(data, epochs=3)
    """

    # ------------------------------------------------------------------------------ sources

    @staticmethod
    def from_tensor_slices(tensors: Any, name: Any = None) -> Dataset:
        """The slices of tensors along their first axis.

        Args:
            tensors: A tensor, or a tuple or dict of tensors.
            name: Accepted, and ignored.

        Raises:
            ShapeError: The first axes differ, or there is none.
        """
        arrays = arrays_of(tensors)
        leaves = tree.flatten(arrays)
        sizes = {array.shape[0] if array.ndim else None for array in leaves}
        if len(sizes) != 1 or None in sizes:
            raise ShapeError(
                "from_tensor_slices: the tensors need one common size of the first axis; received "
                f"shapes {[array.shape for array in leaves]}"
            )
        count = len(leaves[0])
        return Dataset(lambda: (_row(arrays, number) for number in range(count)), count)

    @staticmethod
    def from_tensors(tensors: Any, name: Any = None) -> Dataset:
        """One element."""
        element = arrays_of(tensors)
        return Dataset(lambda: iter([element]), 1)

    @staticmethod
    def from_generator(
        generator: Callable[..., Iterable[Any]],
        output_types: Any = None,
        output_shapes: Any = None,
        args: Any = (),
        output_signature: Any = None,
        name: Any = None,
    ) -> Dataset:
        """What a generator gives.

        Args:
            generator: A function that returns an iterable; called for each iteration.
            output_types: Accepted; types are those of the elements.
            output_shapes: Accepted, and ignored.
            args: Arguments for the function.
            output_signature: A `TensorSpec` for each part of an element, to which it is converted.
            name: Accepted, and ignored.
        """

        def elements() -> Iterator[Any]:
            for element in generator(*args):
                if output_signature is None:
                    yield arrays_of(element)
                else:
                    yield _conforming(output_signature, element)

        return Dataset(elements, None)

    @staticmethod
    def range(*args: int, output_type: Any = "int64", name: Any = None) -> Dataset:
        """Numbers, as Python's ``range`` counts them."""
        numbers = range(*args)
        dtype = str(output_type)
        return Dataset(lambda: (np.asarray(n, dtype) for n in numbers), len(numbers))

    @staticmethod
    def zip(*datasets: Any, name: Any = None) -> Dataset:
        """Tuples of an element of each, as long as all have one; ``datasets`` may be one tuple."""
        sources = datasets[0] if len(datasets) == 1 and isinstance(datasets[0], tuple) else datasets
        counts = [data._count for data in sources if data._count != INFINITE_CARDINALITY]
        count = min(counts) if counts and None not in counts else None
        return Dataset(lambda: zip(*(data._source() for data in sources), strict=False), count)

    # -------------------------------------------------------------------------- one by one

    def map(
        self,
        map_func: Callable[..., Any],
        num_parallel_calls: Any = None,
        deterministic: Any = None,
        name: Any = None,
    ) -> Dataset:
        """A function of each element; the parts of a tuple are its arguments.

        Args:
            map_func: Takes tensors, returns a tensor or a structure of tensors.
            num_parallel_calls: Accepted, and ignored.
            deterministic: Accepted; the order is always kept.
            name: Accepted, and ignored.
        """
        return Dataset(
            lambda: (arrays_of(call(map_func, element)) for element in self._source()), self._count
        )

    def filter(self, predicate: Callable[..., Any], name: Any = None) -> Dataset:
        """The elements for which a function is true."""
        return Dataset(
            lambda: (element for element in self._source() if bool(call(predicate, element))),
            None,
        )

    def flat_map(self, map_func: Callable[..., Dataset], name: Any = None) -> Dataset:
        """The elements of the data sets that a function makes of the elements."""
        return Dataset(
            lambda: itertools.chain.from_iterable(
                call(map_func, element)._source() for element in self._source()
            ),
            None,
        )

    def enumerate(self, start: int = 0, name: Any = None) -> Dataset:
        """Pairs of a number (int64) and an element."""
        return Dataset(
            lambda: ((np.asarray(n), e) for n, e in enumerate(self._source(), start)), self._count
        )

    def apply(self, transformation_func: Callable[[Dataset], Dataset]) -> Dataset:
        """What a function makes of the data set."""
        return transformation_func(self)

    # ------------------------------------------------------------------- which, how often

    def shuffle(
        self,
        buffer_size: int,
        seed: int | None = None,
        reshuffle_each_iteration: bool = True,
        name: Any = None,
    ) -> Dataset:
        """The elements in random order.

        Args:
            buffer_size: From so many next elements each is drawn: from all, if there are no more.
            seed: An integer that makes the order the same in every run.
            reshuffle_each_iteration: Whether each iteration has another order.
            name: Accepted, and ignored.
        """
        if buffer_size < 1:
            raise ValueError(f"shuffle: buffer_size has to be above 0, not {buffer_size}")
        first = next_seed() if seed is None else int(seed)
        iterations = itertools.count()

        def shuffled() -> Iterator[Any]:
            number = next(iterations) if reshuffle_each_iteration else 0
            generator = np.random.Generator(np.random.Philox([first, number]))
            elements = self._source()
            buffer = list(itertools.islice(elements, buffer_size))
            for element in elements:
                place = int(generator.integers(len(buffer)))
                yield buffer[place]
                buffer[place] = element
            for place in generator.permutation(len(buffer)):
                yield buffer[place]

        return Dataset(shuffled, self._count)

    def repeat(self, count: int | None = None, name: Any = None) -> Dataset:
        """The elements so many times over; without end by default."""
        if count is None or count < 0:
            endless = itertools.repeat(None)
            return Dataset(
                lambda: itertools.chain.from_iterable(self._source() for _ in endless),
                INFINITE_CARDINALITY,
            )
        return Dataset(
            lambda: itertools.chain.from_iterable(self._source() for _ in range(count)),
            None if self._count is None else self._count * count,
        )

    def take(self, count: int, name: Any = None) -> Dataset:
        """The first elements; all for -1."""
        if count < 0:
            return self
        if self._count is None:
            known = None
        else:
            known = count if self._count < 0 else min(count, self._count)
        return Dataset(lambda: itertools.islice(self._source(), count), known)

    def skip(self, count: int, name: Any = None) -> Dataset:
        """All but the first elements."""
        known = self._count if self._count in (None, -1) else max(0, (self._count or 0) - count)
        return Dataset(lambda: itertools.islice(self._source(), count, None), known)

    def shard(self, num_shards: int, index: int, name: Any = None) -> Dataset:
        """Every ``num_shards``-th element, from number ``index`` on."""
        known = self._count
        if known is not None and known >= 0:
            known = len(range(index, known, num_shards))
        return Dataset(lambda: itertools.islice(self._source(), index, None, num_shards), known)

    def concatenate(self, dataset: Dataset, name: Any = None) -> Dataset:
        """These elements and then those."""
        counts = (self._count, dataset._count)
        if INFINITE_CARDINALITY in counts:
            total: int | None = INFINITE_CARDINALITY
        else:
            total = None if None in counts else sum(c for c in counts if c is not None)
        return Dataset(lambda: itertools.chain(self._source(), dataset._source()), total)

    def cache(self, filename: str = "", name: Any = None) -> Dataset:
        """The same elements, kept in memory once they were all computed.

        Raises:
            ValueError: A file is named: there are no caches on disk.
        """
        if filename:
            raise ValueError("cache: elements are kept in memory only; give no file name")
        kept: list[Any] = []
        whole: list[bool] = []

        def elements() -> Iterator[Any]:
            if whole:
                yield from kept
                return
            fresh = []
            for element in self._source():
                fresh.append(element)
                yield element
            kept[:] = fresh
            whole[:] = [True]

        return Dataset(elements, self._count)

    def prefetch(self, buffer_size: Any = AUTOTUNE, name: Any = None) -> Dataset:
        """The same data set: elements are in memory, or are computed when they are needed."""
        return self

    # ---------------------------------------------------------------------------- batches

    def batch(
        self,
        batch_size: int,
        drop_remainder: bool = False,
        num_parallel_calls: Any = None,
        deterministic: Any = None,
        name: Any = None,
    ) -> Dataset:
        """So many elements stacked along a new first axis.

        Args:
            batch_size: How many.
            drop_remainder: Whether a last batch that is smaller is left out.
            num_parallel_calls: Accepted, and ignored.
            deterministic: Accepted, and ignored.
            name: Accepted, and ignored.
        """
        return self._batched(batch_size, drop_remainder, lambda arrays, _: np.stack(arrays))

    def padded_batch(
        self,
        batch_size: int,
        padded_shapes: Any = None,
        padding_values: Any = None,
        drop_remainder: bool = False,
        name: Any = None,
    ) -> Dataset:
        """`batch` of elements of different sizes, which are filled up behind.

        Args:
            batch_size: How many.
            padded_shapes: For each part of an element the sizes, None (or -1) for the largest in
                the batch; by default all None.
            padding_values: For each part what it is filled up with; 0 by default. One number is
                for all.
            drop_remainder: Whether a last batch that is smaller is left out.
            name: Accepted, and ignored.
        """

        def stack(arrays: list[np.ndarray], part: int) -> np.ndarray:
            sizes = [max(sizes) for sizes in zip(*(a.shape for a in arrays), strict=True)]
            wanted = _part(padded_shapes, part, ())
            for axis, size in enumerate(wanted):
                sizes[axis] = sizes[axis] if size in (None, -1) else int(size)
            fill = _part(padding_values, part, 0)
            result = np.full((len(arrays), *sizes), fill, arrays[0].dtype)
            for row, array in zip(result, arrays, strict=True):
                row[tuple(slice(0, size) for size in array.shape)] = array
            return result

        return self._batched(batch_size, drop_remainder, stack)

    def _batched(
        self, size: int, drop: bool, stack: Callable[[list[np.ndarray], int], np.ndarray]
    ) -> Dataset:
        size = int(size)
        if size < 1:
            raise ValueError(f"batch: batch_size has to be above 0, not {size}")

        def batches() -> Iterator[Any]:
            elements = self._source()
            while rows := list(itertools.islice(elements, size)):
                if drop and len(rows) < size:
                    return
                columns = zip(*(tree.flatten(row) for row in rows), strict=True)
                stacked = [stack(list(column), part) for part, column in enumerate(columns)]
                yield tree.pack_sequence_as(rows[0], stacked)

        count = self._count
        if count is not None and count >= 0:
            count = count // size if drop else -(-count // size)
        return Dataset(batches, count)

    def unbatch(self, name: Any = None) -> Dataset:
        """The slices of the elements along their first axis."""

        def slices() -> Iterator[Any]:
            for element in self._source():
                for number in range(len(tree.flatten(element)[0])):
                    yield _row(element, number)

        return Dataset(slices, None)

    # ----------------------------------------------------------------------------- looking

    def reduce(self, initial_state: Any, reduce_func: Callable[..., Any], name: Any = None) -> Any:
        """The last of the states that a function makes of a state and the next element."""
        state = tree.map_structure(as_tensor, initial_state)
        for element in self:
            state = reduce_func(state, element)
        return state

    def __iter__(self) -> Iterator[Any]:
        return map(tensors_of, self._source())

    def as_numpy_iterator(self) -> Iterator[Any]:
        """The elements as NumPy arrays."""
        return self._source()

    @property
    def num_batches(self) -> int | None:
        """The number of elements; None if it is not known or there is no end."""
        return None if self._count == INFINITE_CARDINALITY else self._count

    def cardinality(self) -> Tensor:
        """The number of elements: -1 if there is no end, -2 if it is not known."""
        return as_tensor(
            np.asarray(UNKNOWN_CARDINALITY if self._count is None else self._count, np.int64)
        )

    def __len__(self) -> int:
        if self._count is None or self._count < 0:
            raise TypeError("the number of elements of this data set is not known, or has no end")
        return self._count

    def __bool__(self) -> bool:
        return True

    @property
    def element_spec(self) -> Any:
        """What the first element looks like: a `TensorSpec` for each of its tensors."""
        return tree.map_structure(TensorSpec.from_tensor, next(iter(self)))

    def __repr__(self) -> str:
        count = "?" if self._count is None else "endless" if self._count < 0 else self._count
        return f"<graphc.data.Dataset of {count} elements>"


def _part(structure: Any, number: int, default: Any) -> Any:
    """What is given for one part of an element; what is given alone is for all."""
    if structure is None:
        return default
    if isinstance(structure, tuple) and structure and isinstance(structure[0], (tuple, list)):
        return structure[number]
    if isinstance(structure, tuple) and isinstance(default, (int, float)):
        return structure[number]
    return structure


__all__ = [*public_names(globals()), "AUTOTUNE", "INFINITE_CARDINALITY", "UNKNOWN_CARDINALITY"]


def __getattr__(name: str) -> Any:
    raise missing_name("graphc.data", name, __all__)
