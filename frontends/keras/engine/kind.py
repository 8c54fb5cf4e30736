"""What kind of classification a target and a prediction are about."""

from __future__ import annotations

from typing import Any


def resolve_kind(target: Any, prediction: Any) -> str:
    """``"binary"``, ``"categorical"`` or ``"sparse_categorical"``, told by shapes as in Keras.

    Args:
        target: Labels; an object with a shape.
        prediction: Probabilities or logits; an object with a shape.

    Raises:
        ValueError: There is no target.
    """
    if target is None:
        raise ValueError('"accuracy" and "crossentropy" need targets: give y as well')
    if prediction.shape[-1:] == (1,):
        return "binary"
    fewer_axes = len(target.shape) < len(prediction.shape)
    one_label = target.shape[-1:] == (1,) and (prediction.shape[-1] or 0) > 1
    return "sparse_categorical" if fewer_axes or one_label else "categorical"
