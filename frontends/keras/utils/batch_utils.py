"""What a batch is made of, for steps that a model overrides."""

from __future__ import annotations

from typing import Any


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """The parts of a batch as `Model.train_step` is given them.

    Args:
        x: Inputs.
        y: Targets.
        sample_weight: Weights of the samples.

    Returns:
        ``(x, y, sample_weight)`` without what is not there; ``x`` alone as it is, if it is no list
        or tuple.
    """
    if sample_weight is not None:
        return x, y, sample_weight
    if y is not None:
        return x, y
    return (x,) if isinstance(x, (tuple, list)) else x


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """The parts of a batch that a step is given, None for what is not there.

    Args:
        data: ``x``, ``(x,)``, ``(x, y)`` or ``(x, y, sample_weight)``.

    Raises:
        ValueError: A tuple of another length.

    Example:
        >>> x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    """
    data = tuple(data) if isinstance(data, list) else data
    if not isinstance(data, tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            "data has to come as x, (x,), (x, y) or (x, y, sample_weight); "
            f"received {len(data)} parts"
        )
    missing: tuple[Any, ...] = (None, None)
    x, y, sample_weight = (*data, *missing)[:3]
    return x, y, sample_weight
