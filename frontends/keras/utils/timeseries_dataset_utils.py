"""Windows over a time series, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from graphc.keras.utils.py_dataset import PyDataset


class _Windows(PyDataset):
    """Windows that begin at given places.

    Args:
        data: The series.
        targets: A target for each place; None for none.
        offsets: Where the elements of a window lie, counted from its beginning.
        starts: Where windows begin.
        batch_size: How many windows are handed out together; None for one without an axis.
        generator: Puts windows in another order after each pass; None to leave them.
    """

    def __init__(
        self,
        data: np.ndarray,
        targets: np.ndarray | None,
        offsets: np.ndarray,
        starts: np.ndarray,
        batch_size: int | None,
        generator: np.random.RandomState | None,
    ) -> None:
        super().__init__()
        self._data = data
        self._targets = targets
        self._offsets = offsets
        self._starts = starts
        self._batch_size = batch_size
        self._generator = generator

    def __len__(self) -> int:
        return -(-len(self._starts) // (self._batch_size or 1))

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} batches, none with the number {index}")
        size = self._batch_size or 1
        starts = self._starts[index * size : (index + 1) * size]
        windows = self._data[starts[:, None] + self._offsets]
        if self._batch_size is None:
            windows, starts = windows[0], starts[0]
        return windows if self._targets is None else (windows, self._targets[starts])

    def __iter__(self) -> Iterator[Any]:
        yield from super().__iter__()
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        """Another order for the next pass, if the windows are shuffled."""
        if self._generator is not None:
            self._generator.shuffle(self._starts)


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> PyDataset:
    """Windows over a time series, with a target for each.

    Args:
        data: The series, time along the first axis.
        targets: ``targets[i]`` belongs to the window that begins at ``i``; None for no targets.
        sequence_length: How many elements a window has.
        sequence_stride: Steps between the beginnings of windows.
        sampling_rate: Steps between the elements of a window.
        batch_size: How many windows make a batch; None for single windows.
        shuffle: Whether windows come in random order.
        seed: Where that order starts; None for one drawn by ``np.random``.
        start_index: Data before it are not used.
        end_index: Data from it on are not used.
        format: Accepted as in Keras; what comes is a `PyDataset` of arrays.

    Returns:
        A data set for `fit`, `evaluate` and `predict`; iterating over it gives its batches.

    Raises:
        ValueError: A number that makes no sense for so many data.

    Example:
        >>> dataset = keras.utils.timeseries_dataset_from_array(
        ...     data[:-10], targets=data[10:], sequence_length=10
        ... )
    """
    series = np.asarray(data)
    count = len(series)
    begin = 0 if start_index is None else start_index
    end = count if end_index is None else end_index
    bounds = (("start_index", start_index, 0), ("end_index", end_index, 1))
    for name, value, least in bounds:
        if value is not None and not least <= value < count:
            raise ValueError(
                f"`{name}` must be at least {least} and lower than the length of the data. "
                f"Received: {name}={value}, for data of length {count}"
            )
    if end <= begin and count:
        raise ValueError(
            "`end_index` must be higher than `start_index`. Received: "
            f"start_index={start_index}, and end_index={end_index}"
        )
    for name, value in (("sampling_rate", sampling_rate), ("sequence_stride", sequence_stride)):
        if not 0 < value < count:
            raise ValueError(
                f"`{name}` must be higher than 0 and lower than the length of the data. "
                f"Received: {name}={value}, for data of length {count}"
            )
    if format not in ("tf", "grain"):
        raise ValueError(f'`format` should be either "tf" or "grain". Received: format={format}')
    windows = end - begin - (sequence_length - 1) * sampling_rate
    truth = None
    if targets is not None:
        truth = np.asarray(targets)
        windows = min(windows, len(truth))
        truth = truth[begin:end]
    starts = np.arange(0, max(windows, 0), sequence_stride)
    generator = None
    if shuffle:
        generator = np.random.RandomState(np.random.randint(10**6) if seed is None else seed)
        generator.shuffle(starts)
    offsets = np.arange(sequence_length) * sampling_rate
    return _Windows(series[begin:end], truth, offsets, starts, batch_size, generator)
