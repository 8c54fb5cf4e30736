"""Data sets that make one batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class PyDataset:
    """Base of data sets that `fit`, `evaluate` and `predict` take batch by batch.

    Subclasses define ``__len__`` (the number of batches; or the property `num_batches`, which may
    be None for a data set that never ends) and ``__getitem__``, which returns ``x``, ``(x, y)`` or
    ``(x, y, sample_weight)``. `keras.utils.Sequence` is the older name of the same class.

    Args:
        workers: How many threads make batches ahead of their use.
        use_multiprocessing: Accepted for compatibility; workers are threads.
        max_queue_size: How many batches may wait.

    Example:
        >>> class Squares(keras.utils.PyDataset):
        ...     def __len__(self):
        ...         return 10
        ...     def __getitem__(self, index):
        ...         x = np.arange(index * 32, index * 32 + 32, dtype="float32")[:, None]
        ...         return x, x**2
    """

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has to define __getitem__(self, index)")

    def __len__(self) -> int:
        raise NotImplementedError(
            f"{type(self).__name__} has to define __len__(self), the number of batches"
        )

    @property
    def num_batches(self) -> int | None:
        """The number of batches; None for a data set that never ends."""
        return len(self)

    def __iter__(self) -> Iterator[Any]:
        for index in range(len(self)):
            yield self[index]

    def on_epoch_begin(self) -> None:
        """Called before each epoch."""

    def on_epoch_end(self) -> None:
        """Called after each epoch."""


Sequence = PyDataset
