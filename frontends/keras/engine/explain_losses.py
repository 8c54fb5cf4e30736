"""What is wrong with targets that a loss cannot take: shapes, and labels that are no classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.eager.tensor import Tensor
from graphc.keras.losses import functions

Shape = tuple[int | None, ...]


def explain_shapes(name: str, output: str, target: Shape, prediction: Shape) -> str:
    """Why targets of a shape do not fit predictions of another, and what to do.

    Args:
        name: The loss's name.
        output: The output's name; empty if there is only one.
        target: The shape of the targets.
        prediction: The shape of the predictions.
    """
    whose = f' for the output "{output}"' if output else ""
    return (
        f'loss "{name}"{whose}: targets of shape {target} do not fit predictions of shape '
        f"{prediction}{_advice(name, target, prediction)}"
    )


def _advice(name: str, target: Shape, prediction: Shape) -> str:
    sparse = name.startswith("sparse_")
    if target[-1:] == (1,) and prediction[-1:] != (1,):
        target = target[:-1]
    if len(prediction) > len(target) + 1 or (len(prediction) > len(target) > 1 and not sparse):
        return (
            f": the model keeps {len(prediction)} axes; is a Flatten() missing, a pooling layer, "
            "or return_sequences=False?"
        )
    if sparse and len(target) == len(prediction):
        return (
            ': it takes class numbers, and these look one-hot; use "categorical_crossentropy", or '
            "give y.argmax(axis=-1)"
        )
    if name == "categorical_crossentropy" and len(target) == len(prediction) - 1:
        return (
            ': it takes one-hot targets; for class numbers use "sparse_categorical_crossentropy", '
            "or give keras.utils.to_categorical(y)"
        )
    if name == "binary_crossentropy" and len(target) == len(prediction) - 1:
        return (
            ': for yes or no end the model with Dense(1, activation="sigmoid"); for one of several '
            'classes use softmax and "sparse_categorical_crossentropy"'
        )
    if target and prediction and None not in (target[-1], prediction[-1]):
        return f": the last layer gives {prediction[-1]} values, the targets have {target[-1]}"
    return ""


def class_count(loss: Any, prediction: Tensor) -> int | None:
    """How many classes labels may name; None for losses that take other targets."""
    if getattr(loss, "fn", None) is not functions.sparse_categorical_crossentropy:
        return None
    options = loss.fn_kwargs
    if options.get("ignore_class") is not None or options.get("axis", -1) not in (-1, None):
        return None
    return prediction.shape[-1]


def check_labels(labels: Sequence[Any], counts: Sequence[int | None]) -> None:
    """Refuse labels that are no class, which would quietly train on something else.

    Args:
        labels: An array per output, or None.
        counts: The number of classes of each output; None where labels are no classes.

    Raises:
        ValueError: A label is negative or too large.
    """
    for array, count in zip(labels, counts, strict=True):
        if array is None or count is None or not array.size:
            continue
        lowest, highest = np.min(array), np.max(array)
        if lowest < 0 or highest >= count:
            wrong = lowest if lowest < 0 else highest
            raise ValueError(
                f"y holds the label {wrong:g}, but the model has {count} outputs, for the classes "
                f"0 to {count - 1}: number the classes from 0, and give the last layer one unit "
                "for each"
            )
