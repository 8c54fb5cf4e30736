"""The data that models are run on: arrays of known length, or batches from Python."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphc.config import config
from graphc.eager.arrays import native
from graphc.errors import DTypeError, ShapeError
from graphc.ir import numpy_dtype
from graphc.keras import tree
from graphc.keras.engine.programs import input_names


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
    _arrays: dict[str, np.ndarray] | None = field(default=None, init=False, repr=False)
    _signature: tuple[Any, ...] | None = field(default=None, init=False, repr=False)

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(next(iter(self.arrays.values())))

    def parts(self) -> dict[str, Any]:
        """What there is, by the names of the arguments of a step."""
        named = {"x": self.x, "y": self.y, "sample_weight": self.sample_weight}
        return {name: value for name, value in named.items() if value is not None}

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays by their places, such as ``x`` or ``y/main``."""
        if self._arrays is None:
            self._arrays = self._by_place()
        return self._arrays

    def _by_place(self) -> dict[str, np.ndarray]:
        if self.y is None and self.sample_weight is None and self.x.__class__ is np.ndarray:
            return {"x": self.x}  # a model that answers: every microsecond counts
        parts = self.parts()
        if all(part.__class__ is np.ndarray for part in parts.values()):
            return {name: parts[name] for name in sorted(parts)}
        return dict(zip(input_names(parts), tree.flatten(parts), strict=True))

    @property
    def signature(self) -> tuple[Any, ...]:
        """What a program depends on: names, element types, and sizes but for the batch's."""
        if self._signature is None:
            self._signature = tuple((n, a.dtype, a.shape[1:]) for n, a in self.arrays.items())
        return self._signature

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
    if rows.x.__class__ is not np.ndarray and not tree.flatten(rows.x):
        raise ShapeError("x holds no arrays")
    _check_counts(rows)
    if class_weight is not None:
        rows.sample_weight = _with_class_weight(rows, class_weight)
    return rows


def _arrays(structure: Any, what: str) -> Any:
    if structure.__class__ is np.ndarray:  # as nearly always
        return to_array(structure, what)
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
    """A C-contiguous array of numbers; float64 becomes `floatx`, and complex128 as narrow as that.

    Raises:
        DTypeError: The elements are no numbers.
        ShapeError: A single number instead of rows, or rows of different lengths.
    """
    if value.__class__ is np.ndarray and value.dtype == np.float32:  # as nearly always
        if value.ndim and value.flags.c_contiguous:
            return value
    try:
        array = np.asarray(value)
    except ValueError:
        raise ShapeError(
            f"{what} is a list of rows of different lengths; pad them to one length, for example "
            "with keras.utils.pad_sequences"
        ) from None
    if array.dtype.kind not in "biufc" and array.dtype.name != "bfloat16":
        raise _no_numbers(value, array, what)
    if array.ndim == 0:
        raise ShapeError(
            f"{what} is the single number {array}; the first axis has to count samples"
        )
    array = native(array)
    if array.dtype == np.float64:
        array = array.astype(numpy_dtype(config.floatx))
    if array.dtype == np.complex128 and config.floatx != "float64":
        array = array.astype(np.complex64)
    return np.ascontiguousarray(array)


def _no_numbers(value: Any, array: np.ndarray, what: str) -> DTypeError:
    kind, hint = f"elements of type {array.dtype}", ""
    if array.dtype.kind in "USTO" and _holds_text(array):
        kind, hint = "text", " (class names to numbers, for example)"
    elif hasattr(value, "toarray"):
        kind, hint = "a sparse matrix", ": pass x.toarray()"
    elif array.dtype.kind == "M":
        kind = "dates"
    elif array.dtype == object:
        hint = "; are there rows of different lengths, None, or columns of text in it?"
    return DTypeError(f"{what} holds {kind}, but models compute with numbers; convert it{hint}")


def _holds_text(array: np.ndarray) -> bool:
    return array.dtype.kind in "US" or any(isinstance(item, str) for item in array.flat[:8])


def _check_counts(rows: Rows) -> None:
    if rows.y is None and rows.sample_weight is None and rows.x.__class__ is np.ndarray:
        counts = {"x": len(rows.x)}
    else:
        counts = _counts(rows)
    if len(set(counts.values())) > 1:
        listing = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise ShapeError(f"all data needs the same number of samples (rows), but {listing}")
    if not any(counts.values()):
        raise ShapeError("the data is empty: it has 0 samples")


def _counts(rows: Rows) -> dict[str, int]:
    """How many rows each array has."""
    counts: dict[str, int] = {}
    for part, structure in rows.parts().items():
        leaves = [structure] if structure.__class__ is np.ndarray else tree.flatten(structure)
        for index, array in enumerate(leaves):
            counts[part if len(leaves) == 1 else f"{part}[{index}]"] = array.shape[0]
    return counts


def _with_class_weight(rows: Rows, class_weight: Any) -> np.ndarray:
    """The sample weights, multiplied by the weight of each sample's class."""
    _check_class_weight(rows, class_weight)
    labels = tree.flatten(rows.y)[0]
    if labels.ndim > 1:
        labels = labels.argmax(-1) if labels.shape[-1] > 1 else labels[..., 0]
    labels = np.round(labels)
    weights = np.ones(labels.shape, numpy_dtype(config.floatx))
    for label, weight in class_weight.items():
        weights[labels == label] = weight
    if rows.sample_weight is None:
        return weights
    given = tree.flatten(rows.sample_weight)[0]
    rank = max(weights.ndim, given.ndim)
    first, second = (a.reshape(a.shape + (1,) * (rank - a.ndim)) for a in (weights, given))
    return (first * second).astype(weights.dtype)


def _check_class_weight(rows: Rows, class_weight: Any) -> None:
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            "class_weight has to be a dict from class number to weight, such as {0: 1.0, 1: 5.0}; "
            f"received {type(class_weight).__name__}"
        )
    leaves = tree.flatten(rows.y)
    if not leaves:
        raise ValueError("class_weight needs targets: give y as well")
    if len(leaves) != 1:
        raise ValueError(
            f"class_weight works for models with one output, and y has {len(leaves)} parts; give "
            "sample_weight instead"
        )
    columns = leaves[0].shape[-1] if leaves[0].ndim > 1 else 1
    for label, weight in class_weight.items():
        if isinstance(label, bool) or not hasattr(label, "__index__"):
            raise TypeError(f"the keys of class_weight have to be class numbers, not {label!r}")
        if not isinstance(weight, (int, float, np.number)):
            raise TypeError(f"class_weight[{label}] has to be a number, not {weight!r}")
        if columns > 1 and not 0 <= label < columns:
            raise ValueError(
                f"class_weight names class {label}, but the one-hot targets have {columns} "
                f"classes, 0 to {columns - 1}"
            )


def split_validation(rows: Rows, fraction: float) -> tuple[Rows, Rows]:
    """The first rows for training, the last ``fraction`` of them for validation.

    Raises:
        ValueError: The fraction is not between 0 and 1, or leaves one part without rows.
    """
    if not 0 < fraction < 1:
        raise ValueError(
            "validation_split is the part of the samples to validate on, between 0 and 1; "
            f"received {fraction}"
        )
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
    return (*data, *(None,) * (3 - len(data)))
