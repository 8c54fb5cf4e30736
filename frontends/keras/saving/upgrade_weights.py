"""Arrays of older Keras versions, put into the form of today."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.eager.variable import Variable

#: What Keras 2 called its slots.
_SLOTS = frozenset(
    [
        "accum_grad",
        "accum_var",
        "accumulator",
        "linear",
        "m",
        "mg",
        "momentum",
        "rms",
        "v",
        "velocity",
        "vhat",
    ]
)


def upgrade_weights(
    layer: Any, weights: Sequence[Variable], arrays: list[np.ndarray]
) -> list[np.ndarray]:
    """The arrays of a layer as its weights want them.

    Weights of ``CuDNNLSTM`` and ``CuDNNGRU`` have two biases, and each gate's matrices turned.

    Args:
        layer: The layer.
        weights: Its weights.
        arrays: What the file holds.
    """
    gates = {"LSTM": 4, "GRU": 3}.get(type(layer).__name__)
    if gates is None or len(arrays) != 3 or len(weights) != 3:
        return arrays
    kernel, recurrent, bias = arrays
    units = recurrent.shape[0]
    if bias.shape != (2 * gates * units,):
        return arrays

    def turned(matrix: np.ndarray, order: Any) -> np.ndarray:
        parts = np.split(matrix, gates, axis=1)
        return np.hstack([part.T.reshape(part.shape, order=order) for part in parts])

    biases = bias.reshape(2, -1)
    return [
        turned(kernel, "F"),
        np.hstack([part.T for part in np.split(recurrent, gates, axis=1)]),
        biases if weights[2].ndim == 2 else biases.sum(axis=0),
    ]


def upgrade_optimizer_weights(
    optimizer: Any, names: Sequence[str], arrays: Sequence[np.ndarray]
) -> list[np.ndarray] | None:
    """The variables of an optimizer in today's order: step, learning rate, slots by variable.

    Keras 2 kept no learning rate, and put all slots of one kind together.

    Args:
        optimizer: The optimizer, built.
        names: The names that the file gives to the arrays.
        arrays: What the file holds.

    Returns:
        The arrays; None if they do not belong to such an optimizer.
    """
    variables = optimizer.variables
    if [array.shape for array in arrays] == [variable.shape for variable in variables]:
        return list(arrays)
    head: dict[str, np.ndarray] = {}
    slots: list[tuple[str | None, np.ndarray]] = []
    for name, array in zip(names, arrays, strict=True):
        is_step = "iter" in name.split("/")[-1] and not array.ndim
        if is_step or "learning_rate" in name.split("/")[-1]:
            head["iteration" if is_step else "learning_rate"] = array
        else:
            slots.append((_slot(name), array))
    fresh = {v.name: v.numpy() for v in variables if v.name in ("iteration", "learning_rate")}
    start = [{**fresh, **head}[name] for name in fresh]
    if not slots:  # saved before the first step
        return start
    wanted = [v for v in variables if v.name not in ("iteration", "learning_rate")]
    ordered = _by_variable(slots, wanted)
    return None if ordered is None else [*start, *ordered]


def _slot(name: str) -> str | None:
    """Which kind of slot ``Adam/dense/kernel/m:0`` or ``Adam/m/dense/kernel:0`` is, if any."""
    parts = name.removesuffix(":0").split("/")
    return next((part for part in (parts[-1], *parts[1:2]) if part in _SLOTS), None)


def _by_variable(
    slots: list[tuple[str | None, np.ndarray]], wanted: Sequence[Variable]
) -> list[np.ndarray] | None:
    """Arrays in the order of the wanted variables; None if none of the usual orders fits."""
    shapes = [variable.shape for variable in wanted]
    # Multi-backend Keras 2 kept an empty place for each maximum that Adam does not take.
    if len(slots) > len(wanted):
        slots = [slot for slot in slots if slot[1].shape != (1,) or (1,) in shapes]
    if len(slots) != len(wanted):
        return None
    kinds = [kind for kind, _ in slots]
    arrays = [array for _, array in slots]
    orders = [
        [arrays[kind * length + i] for i in range(length) for kind in range(count)]
        for count in (2, 3)
        if not len(arrays) % count and (length := len(arrays) // count)
    ]
    if None not in kinds and len(set(kinds[:2])) == 2:
        orders.insert(0, arrays)  # the names say that slots of one variable stand together
    else:
        orders.append(arrays)
    for order in orders:
        if [array.shape for array in order] == shapes:
            return order
    return None
