"""Helpers for arrays of labels and features."""

from typing import Any

import numpy as np


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Turn class numbers into rows with a one in the place of the class.

    Args:
        x: class numbers from 0 to ``num_classes - 1``, in any shape; a last dimension of size 1
            is dropped.
        num_classes: how many classes there are; the largest number in ``x`` plus one if not given.

    Returns:
        A float64 array with the shape of ``x`` and the classes as a new last axis.

    Raises:
        ValueError: a number is not whole, or outside the classes, or there is none to count the
            classes from.

    Example:
        >>> keras.utils.to_categorical([0, 2, 1])
        array([[1., 0., 0.],
               [0., 0., 1.],
               [0., 1., 0.]])
    """
    classes = _as_class_numbers(x)
    shape = classes.shape
    if len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    flat = classes.reshape(-1)
    if not num_classes:
        if flat.size == 0:
            raise ValueError(
                "to_categorical: `x` is empty, so the number of classes cannot be counted. "
                "Pass `num_classes`."
            )
        num_classes = int(flat.max()) + 1
    outside = (flat < 0) | (flat >= num_classes)
    if outside.any():
        where = int(np.argmax(outside))
        raise ValueError(
            f"to_categorical: class numbers must be from 0 to {num_classes - 1} "
            f"(num_classes={num_classes}). Received: {flat[where]}, the first of "
            f"{np.count_nonzero(outside)} outside, at position {where} of the flattened `x`."
        )
    rows = np.zeros((flat.size, num_classes))
    rows[np.arange(flat.size), flat] = 1
    return rows.reshape(*shape, num_classes)


def _as_class_numbers(x: Any) -> np.ndarray:
    values = np.asarray(x)
    if values.dtype.kind == "f":
        fractional = values[~(np.isfinite(values) & (values == np.trunc(values)))]
        if fractional.size:
            raise ValueError(
                f"to_categorical: class numbers must be whole. Received: {fractional[0]}"
            )
    return values.astype("int64")


def normalize(x: Any, axis: int | None = -1, order: float = 2) -> np.ndarray:
    """Divide an array by its norm along an axis; parts whose norm is zero stay as they are.

    Args:
        x: the array.
        axis: the axis along which the norm is taken; ``None`` takes one norm of the whole array.
        order: which norm, as in ``np.linalg.norm``: 2 is the Euclidean one.

    Returns:
        A new array of the shape of ``x``; for a NumPy vector a table of one row, as in Keras.

    Example:
        >>> keras.utils.normalize(np.array([[3.0, 4.0], [0.0, 0.0]]))
        array([[0.6, 0.8],
               [0. , 0. ]])
    """
    values = np.asarray(x)
    norm = np.linalg.norm(values, order, axis, keepdims=True)
    norm[norm == 0] = 1
    if isinstance(x, np.ndarray) and x.ndim == 1:
        norm = norm[np.newaxis]  # scripts written for Keras index that row
    return values / norm
