"""Helpers for sequences of different lengths."""

from collections.abc import Sequence
from typing import Any

import numpy as np

_ENDS = ("pre", "post")


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float | str = 0.0,
) -> np.ndarray:
    """Make one array of sequences of different lengths, padding the short and cutting the long.

    Args:
        sequences: the sequences; their elements may be arrays, all of one shape.
        maxlen: the common length; that of the longest sequence if not given.
        dtype: dtype of the result; ``object`` for strings of any length.
        padding: ``"pre"`` or ``"post"``: at which end short sequences are padded.
        truncating: ``"pre"`` or ``"post"``: from which end long sequences lose elements.
        value: what to pad with.

    Returns:
        An array of shape ``(len(sequences), maxlen, ...)``.

    Raises:
        ValueError: an argument makes no sense, or elements differ in shape.

    Example:
        >>> keras.utils.pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2)
        array([[0, 1],
               [2, 3],
               [5, 6]], dtype=int32)
    """
    if not hasattr(sequences, "__len__"):
        raise ValueError(
            f"`sequences` must be iterable. Received: {sequences!r} (of type {type(sequences)})"
        )
    if padding not in _ENDS:
        raise ValueError(f'Padding type "{padding}" not understood; use "pre" or "post".')
    if truncating not in _ENDS:
        raise ValueError(f'Truncating type "{truncating}" not understood; use "pre" or "post".')
    _check_value(value, dtype)
    lengths = [_length(sequence) for sequence in sequences]
    if maxlen is None:
        maxlen = max(lengths, default=0)
    first = next((s for s, length in zip(sequences, lengths, strict=True) if length), ())
    element_shape = np.asarray(first).shape[1:]
    result = np.full((len(sequences), maxlen, *element_shape), value, dtype=dtype)
    for index, (sequence, length) in enumerate(zip(sequences, lengths, strict=True)):
        kept = min(length, maxlen)
        if kept == 0:
            continue
        cut = sequence[length - kept :] if truncating == "pre" else sequence[:kept]
        row = np.asarray(cut, dtype=dtype)
        if row.shape[1:] != element_shape:
            raise ValueError(
                f"Shape of sample {row.shape[1:]} of sequence at position {index} is different "
                f"from expected shape {element_shape}"
            )
        start = maxlen - kept if padding == "pre" else 0
        result[index, start : start + kept] = row
    return result


def _length(sequence: Any) -> int:
    try:
        return len(sequence)
    except TypeError:
        raise ValueError(
            f"`sequences` must be a list of iterables. Found non-iterable: {sequence}"
        ) from None


def _check_value(value: float | str, dtype: Any) -> None:
    holds_text = np.issubdtype(dtype, np.str_) or np.issubdtype(dtype, np.bytes_)
    if isinstance(value, str) and np.dtype(dtype) != np.dtype(object) and not holds_text:
        raise ValueError(
            f"`dtype` {dtype} is not compatible with `value`'s type: {type(value)}\n"
            "You should set `dtype=object` for variable length strings."
        )
