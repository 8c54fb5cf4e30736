"""Recurrent layers: a cell, step by step over a sequence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar

from graphc.eager import Tensor, Variable, apply, cast
from graphc.errors import ShapeError
from graphc.keras import ops, tree
from graphc.keras.engine.layer import Layer
from graphc.keras.layers.builtin import BuiltinLayer
from graphc.keras.layers.recurrent_cells import Cell, GRUCell, LSTMCell, SimpleRNNCell
from graphc.keras.layers.stacked_cells import (
    StackedRNNCells,
    call_cell,
    check_cell,
    initial_state_of,
    output_size_of,
)
from graphc.keras.saving.registry import (
    deserialize_keras_object,
    public,
    serialize_keras_object,
)


class _Kept:
    """The states of a stateful layer; hidden from the layer's weights, as Keras hides them."""

    def __init__(self, states: Any):
        self.states = states


@public("keras.layers")
class RNN(BuiltinLayer):
    """A cell, applied to each step of a sequence (https://keras.io/api/layers/recurrent_layers/rnn/).

    Args:
        cell: A layer with a method ``call(inputs, states)`` that returns the output and the new
            states, and an attribute ``state_size``; or a list of cells, to be stacked.
        return_sequences: Whether to return the output of every step instead of the last one's.
        return_state: Whether to return the states after the last step as well.
        go_backwards: Whether to begin at the end; outputs come in the order they were computed.
        stateful: Whether a batch begins with the states that the one before ended with.
        unroll: Accepted for compatibility: programs are compiled either way.
        zero_output_for_mask: Whether the output of a masked step is 0 and not the one before.
        **kwargs: For `Layer`.

    Call arguments:
        sequences: ``(batch, time, features)``.
        initial_state: A list of the cell's first states; zeros if left out.
        mask: ``(batch, time)``; False for steps to be skipped.
        training: Whether dropout acts.

    Raises:
        ValueError: ``cell`` is no cell.
    """

    arguments = (
        "return_sequences",
        "return_state",
        "go_backwards",
        "stateful",
        "unroll",
        "zero_output_for_mask",
    )
    unsupported: ClassVar[dict[str, Any]] = {"time_major": False}
    ignored = ("implementation", "use_cudnn", "input_length")

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ):
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell)
        check_cell(cell)
        super().__init__(**kwargs)
        self.input_spec = None
        self.cell = cell
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.zero_output_for_mask = zero_output_for_mask
        self.supports_masking = True
        self._kept = _Kept(None)

    # ----------------------------------------------------------------------------------- states

    @property
    def state_size(self) -> list[Any]:
        """The sizes of the states."""
        size = self.cell.state_size
        return list(size) if isinstance(size, (list, tuple)) else [size]

    @property
    def states(self) -> Any:
        """The states that a stateful layer keeps; None for others."""
        return self._kept.states

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        """Build the cell; make room for states that are kept."""
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build((sequences_shape[0], *sequences_shape[2:]))
            self.cell.built = True
        if not self.stateful:
            return
        if sequences_shape[0] is None:
            raise ShapeError(
                f'{type(self).__name__} "{self.name}": stateful=True needs a fixed batch size: '
                "keras.Input(batch_shape=(32, None, 8)), or batch_input_shape=... of the first "
                f"layer. Received shape {sequences_shape}"
            )
        self._kept.states = tree.map_structure(
            lambda zeros: Variable(zeros, trainable=False, name=f"{self.name}/rnn_state"),
            self.get_initial_state(sequences_shape[0]),
        )

    def get_initial_state(self, batch_size: Any) -> list[Any]:
        """The states that a sequence begins with if nothing else is said."""
        return initial_state_of(self.cell, batch_size, self.compute_dtype)

    def reset_state(self) -> None:
        """Set the kept states of a stateful layer back to zeros."""
        for variable in tree.flatten(self.states):
            variable.assign(ops.zeros(variable.shape, dtype=variable.dtype))

    reset_states = reset_state

    # ------------------------------------------------------------------------------------- call

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: Any = False
    ) -> Any:
        """The outputs of the cell; see the class."""
        states = self._first_states(sequences, initial_state)
        if mask is not None:
            mask = self._checked_mask(mask, sequences)
        with self._masks_held(sequences.dims[0], training):
            cells = self._whole_cells()
            if cells is None:
                outputs, last, states = self._run_steps(sequences, states, mask)
            else:
                outputs, last, states = self._run_whole(cells, sequences, states, mask)
        if self.stateful:
            for variable, value in zip(
                tree.flatten(self.states), tree.flatten(states), strict=True
            ):
                variable.assign(value)
        result = outputs if self.return_sequences else last
        return (result, *states) if self.return_state else result

    def _first_states(self, sequences: Tensor, given: Any) -> list[Any]:
        batch = sequences.dims[0]
        if given is None and self.stateful:
            size = tree.flatten(self.states)[0].shape[0]
            if batch != size:
                raise ShapeError(
                    f'{type(self).__name__} "{self.name}" keeps states for a batch of {size}, '
                    f"received one of {batch}"
                )
            given = tree.map_structure(lambda variable: variable.as_tensor(), self.states)
        states = self.get_initial_state(batch) if given is None else given
        states = list(states) if isinstance(states, (list, tuple)) else [states]
        if len(states) != len(self.state_size):
            raise ShapeError(
                f'{type(self).__name__} "{self.name}" has {len(self.state_size)} state(s), '
                f"received {len(states)} in `initial_state`"
            )
        return tree.map_structure(
            lambda x: ops.broadcast_to(cast(x, self.compute_dtype), (batch, *x.dims[1:])), states
        )

    def _checked_mask(self, mask: Any, sequences: Tensor) -> Tensor:
        mask = cast(mask, "bool")
        if mask.ndim == 3:
            mask = ops.squeeze(mask, -1)
        return ops.broadcast_to(mask, sequences.dims[:2])

    @contextmanager
    def _masks_held(self, batch: Any, training: Any) -> Iterator[None]:
        """Within the block the cells drop the same inputs in each step."""
        with ExitStack() as stack:
            for cell in _cells_of(self.cell):
                if isinstance(cell, Cell):
                    stack.enter_context(cell.holding_masks(batch, training))
            yield

    # ---------------------------------------------------------------- the whole sequence at once

    def _whole_cells(self) -> list[Cell] | None:
        """The cells, lowest first, if each of them is an op over whole sequences."""
        cells = _cells_of(self.cell)
        known = (SimpleRNNCell, GRUCell, LSTMCell)
        is_whole = all(type(cell) in known and cell.whole() is not None for cell in cells)
        return cells if is_whole else None

    def _run_whole(
        self, cells: list[Cell], x: Tensor, states: list[Any], mask: Tensor | None
    ) -> tuple[Any, Any, list[Any]]:
        stacked = isinstance(self.cell, StackedRNNCells)
        finals = []
        last: Any = None
        for number, cell in enumerate(cells):
            # The lower layers' outputs are in the order of the steps already.
            go_backwards = self.go_backwards and number == 0
            zeros = self.zero_output_for_mask and number == len(cells) - 1
            first = states[number] if stacked else states
            if self.go_backwards and number == 1 and mask is not None:
                mask = ops.flip(mask, 1)
            x, *after = self._run_op(cell, x, first, mask, go_backwards, zeros)
            last = x[:, -1] if zeros and mask is not None else after[0]
            finals.append(after)
        return x, last, finals if stacked else finals[0]

    def _run_op(
        self,
        cell: Cell,
        x: Tensor,
        states: Any,
        mask: Tensor | None,
        go_backwards: bool,
        zero_output: bool,
    ) -> tuple[Any, ...]:
        input_dropout, dropout = cell._masks or (None, None)
        if input_dropout is not None:
            x = x * ops.expand_dims(input_dropout, 1)
        op = cell.whole(
            go_backwards=go_backwards,
            bias=cell.use_bias,
            mask=mask is not None,
            dropout=dropout is not None,
            zero_output_for_mask=zero_output,
        )
        assert op is not None
        operands = [cast(x, cell.compute_dtype)]
        weights = [cell.kernel, cell.recurrent_kernel, cell.bias]
        operands += [cell.read(weight) for weight in weights if weight is not None]
        operands += list(states) if isinstance(states, (list, tuple)) else [states]
        operands += [tensor for tensor in (mask, dropout) if tensor is not None]
        return apply(op, *operands)

    # ------------------------------------------------------------------------- any other cell

    def _run_steps(
        self, x: Tensor, states: list[Any], mask: Tensor | None
    ) -> tuple[Any, Any, list[Any]]:
        sequence = ops.swapaxes(x, 0, 1)
        steps = [sequence] if mask is None else [sequence, ops.swapaxes(mask, 0, 1)]
        if self.go_backwards:
            steps = [ops.flip(tensor, 0) for tensor in steps]
        width = output_size_of(self.cell)
        before = ops.zeros((x.dims[0], width), dtype=self.compute_dtype)

        def step(carry: Any, slices: Any) -> tuple[Any, Any]:
            states, last = carry
            output, after = call_cell(self.cell, slices[0], states)
            output = cast(output, self.compute_dtype)
            if len(slices) > 1:
                keep = slices[1]
                other = ops.zeros_like(output) if self.zero_output_for_mask else last
                after = tree.map_structure(lambda new, old: _choose(keep, new, old), after, states)
                output = _choose(keep, output, other)
            return (after, output), output

        (states, last), outputs = ops.scan(step, (states, before), steps)
        return ops.swapaxes(outputs, 0, 1), last, states

    # ------------------------------------------------------------------------------------- shapes

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the input for outputs of every step, none for states."""
        masks = tree.flatten(previous_mask)
        mask = masks[0] if masks and self.return_sequences else None
        return [mask, *[None] * len(self.state_size)] if self.return_state else mask

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        """The output's shape (and the states') for an input shape."""
        batch, time = sequences_shape[:2]
        width = output_size_of(self.cell)
        output = (batch, time, width) if self.return_sequences else (batch, width)
        if not self.return_state:
            return output
        states = tree.map_structure(lambda size: _Shape((batch, size)), self.state_size)
        return (output, *tree.map_structure(tuple, states))

    # -------------------------------------------------------------------------------------- saving

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "cell": serialize_keras_object(self.cell)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A layer from what `get_config` gave."""
        settings = dict(config)
        return cls(deserialize_keras_object(settings.pop("cell")), **settings)


class _Shape:
    """A shape that structures take as one leaf."""

    def __init__(self, sizes: tuple[Any, ...]):
        self.sizes = sizes

    def __iter__(self) -> Iterator[Any]:
        return iter(self.sizes)


def _cells_of(cell: Any) -> list[Any]:
    return list(cell.cells) if isinstance(cell, StackedRNNCells) else [cell]


def _choose(keep: Tensor, new: Any, old: Any) -> Any:
    """``new`` in the rows that are kept, ``old`` in the others."""
    return ops.where(ops.reshape(keep, (*keep.dims, *(1,) * (new.ndim - 1))), new, old)
