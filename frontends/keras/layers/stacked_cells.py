"""Any cells: what a recurrent layer demands of them, and cells one above the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.keras import ops
from graphc.keras.engine.layer import Layer
from graphc.keras.layers.builtin import BuiltinLayer
from graphc.keras.saving.registry import (
    deserialize_keras_object,
    public,
    serialize_keras_object,
)


@public("keras.layers")
class StackedRNNCells(BuiltinLayer):
    """Cells one above the other, as one cell.

    Args:
        cells: The cells, lowest first.
        **kwargs: For `Layer`.

    Raises:
        ValueError: One of them is no cell.

    Example:
        >>> keras.layers.RNN(keras.layers.StackedRNNCells([keras.layers.LSTMCell(8)] ))
    """

    def __init__(self, cells: Sequence[Any], **kwargs: Any):
        super().__init__(**kwargs)
        self.input_spec = None
        for cell in cells:
            check_cell(cell)
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        """The sizes of the cells' states."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int:
        """The size of the highest cell's output."""
        return output_size_of(self.cells[-1])

    def build(self, input_shape: Any) -> None:
        """Build the cells."""
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
            input_shape = (input_shape[0], output_size_of(cell))

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """The initial states of the cells."""
        return [initial_state_of(cell, batch_size, self.compute_dtype) for cell in self.cells]

    def call(self, inputs: Any, states: Any, training: Any = False) -> Any:
        """One step of all cells."""
        after = []
        for cell, before in zip(self.cells, states, strict=True):
            inputs, new = call_cell(cell, inputs, before)
            after.append(new)
        return inputs, after

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        cells = [serialize_keras_object(cell) for cell in self.cells]
        return {**super().get_config(), "cells": cells}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A layer from what `get_config` gave."""
        settings = dict(config)
        return cls(deserialize_keras_object(settings.pop("cells")), **settings)


def check_cell(cell: Any) -> None:
    """Refuse what is no cell.

    Raises:
        ValueError: It has no `call` method, or no `state_size`.
    """
    for attribute in ("call", "state_size"):
        if not hasattr(cell, attribute):
            what = "a `call` method" if attribute == "call" else "an attribute `state_size`"
            raise ValueError(f"a cell of a recurrent layer needs {what}. Received: {cell!r}")


def output_size_of(cell: Any) -> int:
    """The size of a cell's output: by default that of its first state."""
    size = getattr(cell, "output_size", None)
    if size is None:
        size = cell.state_size
    return size[0] if isinstance(size, (list, tuple)) else size


def initial_state_of(cell: Any, batch: Any, dtype: str) -> list[Any]:
    """The states that a cell starts from: zeros unless it says otherwise."""
    if hasattr(cell, "get_initial_state"):
        states = cell.get_initial_state(batch_size=batch)
        return list(states) if isinstance(states, (list, tuple)) else [states]
    sizes = cell.state_size if isinstance(cell.state_size, (list, tuple)) else [cell.state_size]
    return [ops.zeros((batch, size), dtype=dtype) for size in sizes]


def call_cell(cell: Any, inputs: Any, states: list[Any]) -> tuple[Any, list[Any]]:
    """One step of any cell; the states after it as a list."""
    call = cell if isinstance(cell, Layer) else cell.call
    output, after = call(inputs, states)
    return output, list(after) if isinstance(after, (list, tuple)) else [after]
