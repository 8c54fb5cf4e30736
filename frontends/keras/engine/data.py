"""The data that models are run on: arrays of known length, or batches from Python."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.config import config
from graphc.errors import DTypeError, ShapeError
from graphc.ir import numpy_dtype
from graphc.keras import tree

DEFAULT_BATCH_SIZE = 32


@dataclass
class Rows:
    """Arrays that all have the same number of rows.

    Args:
        x: Inputs: an array or a structure of arrays.
        y: Targets, the same; None without.
        sample_weight: Weights, the same; None without.
    """

    x: Any
    y: Any = None
    sample_weight: Any = None

    @property
    def count(self) -> int:
        """The number of rows."""
        return int(tree.flatten(self.x)[0].shape[0])

    def parts(self) -> dict[str, Any]:
        """What there is, by the names of the arguments of a step."""
        named = {"x": self.x, "y": self.y, "sample_weight": self.sample_weight}
        return {name: value for name, value in named.items() if value is not None}

    def slice(self, begin: int, end: int) -> Rows:
        """The rows from ``begin`` to before ``end``; views, not copies."""

        def cut(array: np.ndarray) -> np.ndarray:
            return array[begin:end]

        return Rows(*(tree.map_structure(cut, v) for v in (self.x, self.y, self.sample_weight)))


def make_rows(x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None) -> Rows:
    """Check and convert what a user gave as data.

    Args:
        x: Inputs.
        y: Targets.
        sample_weight: A weight per sample (or per step of a sequence).
        class_weight: A dict from class to weight; multiplied into the sample weights.

    Raises:
        ShapeError: Numbers of rows differ, or there are none.
        DTypeError: Elements that are no numbers.
    """
    rows = Rows(
        _arrays(x, "x"),
        None if y is None else _arrays(y, "y"),
        None if sample_weight is None else _arrays(sample_weight, "sample_weight"),
    )
    if not tree.flatten(rows.x):
        raise ShapeError("x holds no arrays")
    _check_counts(rows)
    if class_weight is not None:
        rows.sample_weight = _with_class_weight(rows, class_weight)
    return rows


def _arrays(structure: Any, what: str) -> Any:
    if isinstance(structure, Mapping):
        return {key: _arrays(item, f'{what}["{key}"]') for key, item in structure.items()}
    if isinstance(structure, (list, tuple)) and not _is_numbers(structure):
        parts = [_arrays(item, f"{what}[{i}]") for i, item in enumerate(structure)]
        return tuple(parts) if isinstance(structure, tuple) else parts
    if structure is None:
        return None
    return to_array(structure, what)


def _is_numbers(structure: Any) -> bool:
    """Whether a list is one array spelled out, rather than a list of arrays."""
    leaves = itertools.islice(_leaves(structure), 64)
    return all(isinstance(leaf, (int, float, bool, np.number, str)) for leaf in leaves)


def _leaves(structure: Any) -> Iterator[Any]:
    if isinstance(structure, (list, tuple)):
        for item in structure:
            yield from _leaves(item)
    else:
        yield structure


def to_array(value: Any, what: str) -> np.ndarray:
    """A C-contiguous array of numbers; float64 becomes `floatx`.

    Raises:
        DTypeError: The elements are no numbers.
        ShapeError: A single number instead of rows, or rows of different lengths.
    """
    try:
        array = np.asarray(value)
    except ValueError:
        raise ShapeError(
            f"{what} is a list of rows of different lengths; pad them to one length, for example "
            "with keras.utils.pad_sequences"
        ) from None
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        kind = "text" if array.dtype.kind in "USTO" and _holds_text(array) else str(array.dtype)
        raise DTypeError(
            f"{what} holds {kind}, but a model computes with numbers; convert it first"
            + (" (rows of different lengths?)" if kind == "object" else "")
        )
    if array.ndim == 0:
        raise ShapeError(
            f"{what} is the single number {array}; the first axis has to count samples"
        )
    if array.dtype == np.float64 or array.dtype.name == "float128":
        array = array.astype(numpy_dtype(config.floatx))
    return np.ascontiguousarray(array)


def _holds_text(array: np.ndarray) -> bool:
    return array.dtype.kind in "US" or any(isinstance(item, str) for item in array.flat[:8])


def _check_counts(rows: Rows) -> None:
    counts: dict[str, int] = {}
    for part, structure in rows.parts().items():
        leaves = tree.flatten(structure)
        for index, array in enumerate(leaves):
            counts[part if len(leaves) == 1 else f"{part}[{index}]"] = array.shape[0]
    if len(set(counts.values())) > 1:
        listing = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise ShapeError(f"all data needs the same number of samples (rows), but {listing}")
    if not any(counts.values()):
        raise ShapeError("the data is empty: it has 0 samples")


def _with_class_weight(rows: Rows, class_weight: Any) -> np.ndarray:
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            "class_weight has to be a dict from class number to weight, such as {0: 1.0, 1: 5.0}; "
            f"received {type(class_weight).__name__}"
        )
    leaves = tree.flatten(rows.y)
    if len(leaves) != 1:
        raise ValueError(
            "class_weight works for models with one output; give sample_weight for several"
        )
    labels = leaves[0]
    if labels.ndim > 1:
        labels = labels.argmax(-1) if labels.shape[-1] > 1 else labels[..., 0]
    weights = np.ones(labels.shape, numpy_dtype(config.floatx))
    for label, weight in class_weight.items():
        weights[labels == label] = weight
    if rows.sample_weight is None:
        return weights
    given = tree.flatten(rows.sample_weight)[0]
    return (weights * given.reshape(given.shape + (1,) * (weights.ndim - given.ndim))).astype(
        weights.dtype
    )


def split_validation(rows: Rows, fraction: float) -> tuple[Rows, Rows]:
    """The first rows for training, the last ``fraction`` of them for validation.

    Raises:
        ValueError: The fraction is not between 0 and 1, or leaves one part without rows.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"validation_split has to be between 0 and 1, not {fraction}")
    begin = int(np.floor(rows.count * (1.0 - fraction)))
    if begin in (0, rows.count):
        raise ValueError(
            f"validation_split={fraction} of {rows.count} samples leaves no samples for "
            + ("training" if begin == 0 else "validation")
        )
    return rows.slice(0, begin), rows.slice(begin, rows.count)


def unpack(data: Any) -> tuple[Any, Any, Any]:
    """``x``, ``y`` and ``sample_weight`` of a batch: a tuple of up to three, or x alone.

    Raises:
        ValueError: A tuple of another length.
    """
    if not isinstance(data, tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            "data has to come as x, (x,), (x, y) or (x, y, sample_weight); "
            f"received a tuple of {len(data)}"
        )
    return (*data, *(None,) * (3 - len(data)))  # type: ignore[return-value]


def is_batches(x: Any) -> bool:
    """Whether ``x`` gives batches (a generator or a data set) rather than rows."""
    if isinstance(x, (np.ndarray, list, tuple, Mapping)) or hasattr(x, "__array__"):
        return False
    return hasattr(x, "__next__") or hasattr(x, "__getitem__") or isinstance(x, Iterable)


class Batches:
    """Batches made by Python code: a generator, an iterable, or a `keras.utils.PyDataset`.

    Args:
        source: Gives x, (x, y) or (x, y, sample_weight) for each batch.
        class_weight: As in `make_rows`.

    Attributes:
        steps: The number of batches in a pass; None if only the source knows.
    """

    def __init__(self, source: Any, class_weight: Any = None):
        self.source = source
        self.class_weight = class_weight
        self.indexable = hasattr(source, "__getitem__") and hasattr(source, "__len__")
        length = getattr(source, "num_batches", None) if self.indexable else None
        self.steps: int | None = length if isinstance(length, int) else None
        if self.steps is None and hasattr(source, "__len__"):
            self.steps = len(source)
        self._iterator: Iterator[Any] | None = None

    def epoch(self, steps: int | None) -> Iterator[Rows]:
        """The batches of one epoch.

        Args:
            steps: How many; None for as many as the source has. A generator goes on where the
                epoch before left it.
        """
        if self.indexable:
            iterator = (self.source[i] for i in range(len(self.source)))
        else:
            if self._iterator is None:
                self._iterator = iter(self.source)
            iterator = self._iterator
        for data in itertools.islice(iterator, steps):
            yield make_rows(*unpack(data), class_weight=self.class_weight)
        if steps is None:
            self._iterator = None

    def end_epoch(self) -> None:
        """Tell the source that an epoch is over."""
        if hasattr(self.source, "on_epoch_end"):
            self.source.on_epoch_end()
