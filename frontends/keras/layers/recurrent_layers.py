"""The recurrent layers that people use: SimpleRNN, GRU and LSTM."""

from __future__ import annotations

from typing import Any, ClassVar

from graphc.keras.engine.input_spec import InputSpec
from graphc.keras.layers.builtin import BuiltinLayer, serialized
from graphc.keras.layers.recurrent import RNN
from graphc.keras.layers.recurrent_cells import Cell, GRUCell, LSTMCell, SimpleRNNCell
from graphc.keras.saving.registry import public


class _CellLayer(RNN):
    """An `RNN` with a cell of its own, whose arguments are the layer's too."""

    cell_class: ClassVar[type[Cell]]

    def __init__(self, cell: Cell, activity_regularizer: Any, **kwargs: Any):
        super().__init__(cell, activity_regularizer=activity_regularizer, **kwargs)
        self.input_spec = InputSpec(ndim=3)

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        """Build the cell; the layer is fixed to the number of features."""
        super().build(sequences_shape, initial_state_shape)
        self.input_spec = InputSpec(ndim=3, axes={-1: sequences_shape[-1]})

    def __getattr__(self, name: str) -> Any:
        cell = self.__dict__.get("cell")
        if cell is not None and name in type(self).cell_class.arguments:
            return getattr(cell, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        settings = {
            name: serialized(name, getattr(self.cell, name)) for name in self.cell_class.arguments
        }
        return {**BuiltinLayer.get_config(self), **settings}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A layer from what `get_config` gave."""
        return cls(**config)


@public("keras.layers")
class SimpleRNN(_CellLayer):
    """A fully connected recurrent layer: ``h = activation(x W + b + h R)``.

    Args:
        units: The size of the output.
        activation: A name or a function.
        use_bias: Whether there is a bias.
        kernel_initializer: How the kernel starts.
        recurrent_initializer: How the recurrent kernel starts.
        bias_initializer: How the bias starts.
        kernel_regularizer: Penalty on the kernel.
        recurrent_regularizer: Penalty on the recurrent kernel.
        bias_regularizer: Penalty on the bias.
        activity_regularizer: Penalty on the output.
        kernel_constraint: Applied to the kernel after each update.
        recurrent_constraint: Applied to the recurrent kernel after each update.
        bias_constraint: Applied to the bias after each update.
        dropout: The share of inputs that are dropped in training, the same in all steps.
        recurrent_dropout: The share of the previous output that is dropped, for each gate.
        seed: Where the random numbers start.
        return_sequences: Whether to return the output of every step instead of the last one's.
        return_state: Whether to return the states after the last step as well.
        go_backwards: Whether to begin at the end; outputs come in the order they were computed.
        stateful: Whether a batch begins with the states that the one before ended with.
        unroll: Accepted for compatibility: programs are compiled either way.
        **kwargs: For `Layer`.

    Input shape:
        ``(batch, time, features)``.

    Output shape:
        ``(batch, units)``, or ``(batch, time, units)`` with ``return_sequences``; with
        ``return_state`` a tuple of that and the states.

    Example:
        >>> keras.layers.SimpleRNN(16, return_sequences=True)
    """

    cell_class = SimpleRNNCell

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: Any = None,
        **kwargs: Any,
    ):
        cell = SimpleRNNCell(
            units=units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            name="simple_rnn_cell",
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
        )
        super().__init__(
            cell,
            activity_regularizer,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            **kwargs,
        )


@public("keras.layers")
class GRU(_CellLayer):
    """Gated recurrent units (Cho et al., 2014).

    Args:
        units: The size of the output.
        activation: Of the candidate.
        recurrent_activation: Of the gates.
        use_bias: Whether there is a bias.
        kernel_initializer: How the kernel starts.
        recurrent_initializer: How the recurrent kernel starts.
        bias_initializer: How the bias starts.
        kernel_regularizer: Penalty on the kernel.
        recurrent_regularizer: Penalty on the recurrent kernel.
        bias_regularizer: Penalty on the bias.
        activity_regularizer: Penalty on the output.
        kernel_constraint: Applied to the kernel after each update.
        recurrent_constraint: Applied to the recurrent kernel after each update.
        bias_constraint: Applied to the bias after each update.
        dropout: The share of inputs that are dropped in training, the same in all steps.
        recurrent_dropout: The share of the previous output that is dropped, for each gate.
        seed: Where the random numbers start.
        return_sequences: Whether to return the output of every step instead of the last one's.
        return_state: Whether to return the states after the last step as well.
        go_backwards: Whether to begin at the end; outputs come in the order they were computed.
        stateful: Whether a batch begins with the states that the one before ended with.
        unroll: Accepted for compatibility: programs are compiled either way.
        reset_after: Whether the reset gate comes after the recurrent product.
        **kwargs: For `Layer`.

    Input shape:
        ``(batch, time, features)``.

    Output shape:
        ``(batch, units)``, or ``(batch, time, units)`` with ``return_sequences``; with
        ``return_state`` a tuple of that and the states.

    Example:
        >>> keras.layers.GRU(16)
    """

    cell_class = GRUCell

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: Any = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        **kwargs: Any,
    ):
        cell = GRUCell(
            units=units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            reset_after=reset_after,
            seed=seed,
            name="gru_cell",
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
        )
        super().__init__(
            cell,
            activity_regularizer,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            **kwargs,
        )


@public("keras.layers")
class LSTM(_CellLayer):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997).

    Args:
        units: The size of the output.
        activation: Of the candidate and of the output.
        recurrent_activation: Of the gates.
        use_bias: Whether there is a bias.
        kernel_initializer: How the kernel starts.
        recurrent_initializer: How the recurrent kernel starts.
        bias_initializer: How the bias starts.
        unit_forget_bias: Whether the forget gate's part of the bias starts with ones.
        kernel_regularizer: Penalty on the kernel.
        recurrent_regularizer: Penalty on the recurrent kernel.
        bias_regularizer: Penalty on the bias.
        activity_regularizer: Penalty on the output.
        kernel_constraint: Applied to the kernel after each update.
        recurrent_constraint: Applied to the recurrent kernel after each update.
        bias_constraint: Applied to the bias after each update.
        dropout: The share of inputs that are dropped in training, the same in all steps.
        recurrent_dropout: The share of the previous output that is dropped, for each gate.
        seed: Where the random numbers start.
        return_sequences: Whether to return the output of every step instead of the last one's.
        return_state: Whether to return the states after the last step as well.
        go_backwards: Whether to begin at the end; outputs come in the order they were computed.
        stateful: Whether a batch begins with the states that the one before ended with.
        unroll: Accepted for compatibility: programs are compiled either way.
        **kwargs: For `Layer`.

    Input shape:
        ``(batch, time, features)``.

    Output shape:
        ``(batch, units)``, or ``(batch, time, units)`` with ``return_sequences``; with
        ``return_state`` a tuple of that and the states.

    Example:
        >>> keras.layers.LSTM(16, return_state=True)
    """

    cell_class = LSTMCell

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: Any = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        **kwargs: Any,
    ):
        cell = LSTMCell(
            units=units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            name="lstm_cell",
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
        )
        super().__init__(
            cell,
            activity_regularizer,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            **kwargs,
        )
