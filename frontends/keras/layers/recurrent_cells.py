"""One step of a recurrent layer: SimpleRNNCell, GRUCell, LSTMCell, and cells stacked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from graphc.eager import Tensor
from graphc.eager.variable import Variable
from graphc.ir.dims import Dim
from graphc.keras import activations, initializers, ops, random, tree
from graphc.keras.layers.builtin import BuiltinLayer, positive, rate_of, whole_activation
from graphc.keras.saving.registry import (
    public,
)
from graphc.ops import recurrent as graph_ops


class Cell(BuiltinLayer):
    """A cell of `units` with a kernel for inputs and one for its own state.

    Args:
        units: The size of the output and of each state.
        activation: Of the candidate.
        use_bias: Whether there is a bias.
        kernel: Initializer, regularizer and constraint of the kernel.
        recurrent: Those of the recurrent kernel.
        bias: Those of the bias.
        dropout: The share of inputs that are dropped in training, the same in all steps.
        recurrent_dropout: The share of the previous output that is dropped, for each gate.
        seed: Where the random numbers start.
        **kwargs: For `Layer`.
    """

    ignored = ("implementation", "use_cudnn")
    #: How many parts the kernels have, side by side.
    gates: ClassVar[int]
    #: How many states there are.
    state_count: ClassVar[int] = 1

    def __init__(
        self,
        units: int,
        activation: Any,
        use_bias: bool,
        kernel: Sequence[Any],
        recurrent: Sequence[Any],
        bias: Sequence[Any],
        dropout: float,
        recurrent_dropout: float,
        seed: Any,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.input_spec = None
        self.units = positive(units, "units", self)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.describe_weight("kernel", *kernel)
        self.describe_weight("recurrent", *recurrent)
        self.describe_weight("bias", *bias)
        self.dropout = rate_of(dropout, self, "dropout")
        self.recurrent_dropout = rate_of(recurrent_dropout, self, "recurrent_dropout")
        self.seed = seed
        active = self.dropout > 0 or self.recurrent_dropout > 0
        self.seed_generator = random.SeedGenerator(seed) if active else None
        self._masks: tuple[Tensor | None, Tensor | None] | None = None

    @property
    def state_size(self) -> Any:
        """The size of the state, or a list of them."""
        return self.units if self.state_count == 1 else [self.units] * self.state_count

    @property
    def output_size(self) -> int:
        """The size of the output."""
        return self.units

    @property
    def bias_shape(self) -> tuple[int, ...]:
        """The shape of the bias."""
        return (self.gates * self.units,)

    def build(self, input_shape: Any) -> None:
        """Create the kernels and the bias."""
        width = self.gates * self.units
        self.kernel = self.add_described_weight("kernel", (input_shape[-1], width))
        self.recurrent_kernel = self.add_described_weight(
            "recurrent", (self.units, width), as_name="recurrent_kernel"
        )
        self.bias = self.add_bias() if self.use_bias else None

    def add_bias(self) -> Variable:
        """Create the bias."""
        return self.add_described_weight("bias", self.bias_shape)

    def get_initial_state(self, batch_size: Any = None) -> list[Tensor]:
        """Zeros for each state."""
        shape = (batch_size, self.units)
        return [ops.zeros(shape, dtype=self.compute_dtype) for _ in range(self.state_count)]

    # -------------------------------------------------------------------------------- dropout

    def draw_masks(self, batch: Dim) -> tuple[Tensor | None, Tensor | None]:
        """What inputs and previous outputs are multiplied with in training.

        Returns:
            A mask [batch, features] and one [gates, batch, units]; None where nothing is dropped.
        """
        shapes = ((batch, self.kernel.shape[0]), (self.gates, batch, self.units))
        masks: list[Tensor | None] = []
        for rate, shape in zip((self.dropout, self.recurrent_dropout), shapes, strict=True):
            if 0 < rate < 1:
                ones = ops.ones(shape, dtype=self.compute_dtype)
                masks.append(random.dropout(ones, rate, seed=self.seed_generator))
            else:
                masks.append(None)
        return masks[0], masks[1]

    @contextmanager
    def holding_masks(self, batch: Dim, training: Any) -> Iterator[None]:
        """Within the block all steps see the same masks; without training there are none."""
        self._masks = self.draw_masks(batch) if training else (None, None)
        try:
            yield
        finally:
            self._masks = None

    # ----------------------------------------------------------------------------------- a step

    def call(self, inputs: Any, states: Any, training: Any = False) -> Any:
        """One step.

        Args:
            inputs: ``(batch, features)``.
            states: The states after the step before.
            training: Whether to drop inputs.

        Returns:
            The output, and the new states.
        """
        states = list(states) if tree.is_nested(states) else [states]
        masks = self._masks
        if masks is None:
            masks = self.draw_masks(inputs.dims[0]) if training else (None, None)
        x = inputs if masks[0] is None else inputs * masks[0]
        after = self.step(ops.matmul(x, self.read(self.kernel)), states, masks[1])
        return after[0], after

    def step(self, x: Any, states: list[Any], dropout: Tensor | None) -> list[Any]:
        """The new states, from the input times the kernel, and the states before."""
        raise NotImplementedError

    def recur(self, h: Any, dropout: Tensor | None, first: int = 0, last: int | None = None) -> Any:
        """A state times some gates' parts of the recurrent kernel."""
        end = self.gates if last is None else last
        kernel = self.read(self.recurrent_kernel)[:, first * self.units : end * self.units]
        if dropout is None:
            return ops.matmul(h, kernel)
        parts = ops.split(kernel, end - first, axis=1)
        dropped = [h * dropout[gate] for gate in range(first, end)]
        products = [ops.matmul(x, part) for x, part in zip(dropped, parts, strict=True)]
        return ops.concatenate(products, axis=-1)

    def whole(self, **attributes: Any) -> graph_ops.Recurrent | None:
        """The op for a whole sequence; None if an activation is none that ops know.

        Args:
            **attributes: Further attributes of the op.
        """
        raise NotImplementedError


def _weights(
    initializer: Any, regularizer: Any = None, constraint: Any = None
) -> tuple[Any, Any, Any]:
    return initializer, regularizer, constraint


@public("keras.layers")
class SimpleRNNCell(Cell):
    """``h = activation(x kernel + h recurrent_kernel + bias)``; see `SimpleRNN`.

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
        kernel_constraint: Applied to the kernel after each update.
        recurrent_constraint: Applied to the recurrent kernel after each update.
        bias_constraint: Applied to the bias after each update.
        dropout: The share of inputs that are dropped in training.
        recurrent_dropout: The share of the previous output that is dropped.
        seed: Where the random numbers start.
        **kwargs: For `Layer`.
    """

    arguments = (
        "units",
        "activation",
        "use_bias",
        "kernel_initializer",
        "recurrent_initializer",
        "bias_initializer",
        "kernel_regularizer",
        "recurrent_regularizer",
        "bias_regularizer",
        "kernel_constraint",
        "recurrent_constraint",
        "bias_constraint",
        "dropout",
        "recurrent_dropout",
        "seed",
    )
    gates = 1

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
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: Any = None,
        **kwargs: Any,
    ):
        super().__init__(
            units,
            activation,
            use_bias,
            _weights(kernel_initializer, kernel_regularizer, kernel_constraint),
            _weights(recurrent_initializer, recurrent_regularizer, recurrent_constraint),
            _weights(bias_initializer, bias_regularizer, bias_constraint),
            dropout,
            recurrent_dropout,
            seed,
            **kwargs,
        )

    def step(self, x: Any, states: list[Any], dropout: Tensor | None) -> list[Any]:
        x = x + self.recur(states[0], dropout)
        return [self.activation(x if self.bias is None else x + self.read(self.bias))]

    def whole(self, **attributes: Any) -> graph_ops.Recurrent | None:
        name = whole_activation(self.activation)
        return None if name is None else graph_ops.SimpleRNN(activation=name, **attributes)


class _GatedCell(Cell):
    """A cell whose gates have an activation of their own."""

    def __init__(
        self, units: int, activation: Any, recurrent_activation: Any, *args: Any, **kwargs: Any
    ):
        super().__init__(units, activation, *args, **kwargs)
        self.recurrent_activation = activations.get(recurrent_activation)

    def activation_names(self) -> dict[str, Any] | None:
        """The activations as attributes of an op; None if ops do not know them."""
        names = {
            "activation": whole_activation(self.activation),
            "recurrent_activation": whole_activation(self.recurrent_activation),
        }
        known = {key: name for key, name in names.items() if name is not None}
        return known if len(known) == len(names) else None


@public("keras.layers")
class GRUCell(_GatedCell):
    """A gated recurrent unit (Cho et al., 2014); see `GRU`.

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
        kernel_constraint: Applied to the kernel after each update.
        recurrent_constraint: Applied to the recurrent kernel after each update.
        bias_constraint: Applied to the bias after each update.
        dropout: The share of inputs that are dropped in training.
        recurrent_dropout: The share of the previous output that is dropped.
        reset_after: Whether the reset gate comes after the recurrent product.
        seed: Where the random numbers start.
        **kwargs: For `Layer`.
    """

    arguments = (
        "units",
        "activation",
        "recurrent_activation",
        *SimpleRNNCell.arguments[2:-1],
        "reset_after",
        "seed",
    )
    gates = 3

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
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: Any = None,
        **kwargs: Any,
    ):
        super().__init__(
            units,
            activation,
            recurrent_activation,
            use_bias,
            _weights(kernel_initializer, kernel_regularizer, kernel_constraint),
            _weights(recurrent_initializer, recurrent_regularizer, recurrent_constraint),
            _weights(bias_initializer, bias_regularizer, bias_constraint),
            dropout,
            recurrent_dropout,
            seed,
            **kwargs,
        )
        self.reset_after = reset_after

    @property
    def bias_shape(self) -> tuple[int, ...]:
        """Two rows if the recurrent product has a bias of its own."""
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def step(self, x: Any, states: list[Any], dropout: Tensor | None) -> list[Any]:
        (h,) = states
        gate, candidate = self.recurrent_activation, self.activation
        bias = None if self.bias is None else self.read(self.bias)
        if self.reset_after:
            x = x if bias is None else x + bias[0]
            product = self.recur(h, dropout)
            product = product if bias is None else product + bias[1]
            (x_z, x_r, x_n), (h_z, h_r, h_n) = (ops.split(y, 3, axis=-1) for y in (x, product))
            z, r = gate(x_z + h_z), gate(x_r + h_r)
            n = candidate(x_n + r * h_n)
        else:
            x_z, x_r, x_n = ops.split(x if bias is None else x + bias, 3, axis=-1)
            h_z, h_r = ops.split(self.recur(h, dropout, 0, 2), 2, axis=-1)
            z, r = gate(x_z + h_z), gate(x_r + h_r)
            n = candidate(x_n + self.recur(r * h, dropout, 2, 3))
        return [z * h + (1 - z) * n]

    def whole(self, **attributes: Any) -> graph_ops.Recurrent | None:
        names = self.activation_names()
        if names is None:
            return None
        return graph_ops.GRU(reset_after=self.reset_after, **names, **attributes)


@public("keras.layers")
class LSTMCell(_GatedCell):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997); see `LSTM`.

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
        kernel_constraint: Applied to the kernel after each update.
        recurrent_constraint: Applied to the recurrent kernel after each update.
        bias_constraint: Applied to the bias after each update.
        dropout: The share of inputs that are dropped in training.
        recurrent_dropout: The share of the previous output that is dropped.
        seed: Where the random numbers start.
        **kwargs: For `Layer`.
    """

    arguments = (
        "units",
        "activation",
        "recurrent_activation",
        "use_bias",
        "unit_forget_bias",
        *SimpleRNNCell.arguments[3:],
    )
    gates = 4
    state_count = 2

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
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: Any = None,
        **kwargs: Any,
    ):
        super().__init__(
            units,
            activation,
            recurrent_activation,
            use_bias,
            _weights(kernel_initializer, kernel_regularizer, kernel_constraint),
            _weights(recurrent_initializer, recurrent_regularizer, recurrent_constraint),
            _weights(bias_initializer, bias_regularizer, bias_constraint),
            dropout,
            recurrent_dropout,
            seed,
            **kwargs,
        )
        self.unit_forget_bias = unit_forget_bias

    def add_bias(self) -> Variable:
        """Create the bias; the part of the forget gate may start with ones."""
        if not self.unit_forget_bias:
            return super().add_bias()

        def initializer(shape: Any, dtype: Any = None) -> Tensor:
            parts = (
                (self.bias_initializer, 1),
                (initializers.Ones(), 1),
                (self.bias_initializer, 2),
            )
            drawn = [start((count * self.units,), dtype=dtype) for start, count in parts]
            return ops.concatenate(drawn)

        return self.add_weight(
            self.bias_shape,
            initializer,
            regularizer=self.bias_regularizer,
            constraint=self.bias_constraint,
            name="bias",
        )

    def step(self, x: Any, states: list[Any], dropout: Tensor | None) -> list[Any]:
        h, c = states
        gate, candidate = self.recurrent_activation, self.activation
        x = x + self.recur(h, dropout)
        i, f, g, o = ops.split(x if self.bias is None else x + self.read(self.bias), 4, axis=-1)
        c = gate(f) * c + gate(i) * candidate(g)
        return [gate(o) * candidate(c), c]

    def whole(self, **attributes: Any) -> graph_ops.Recurrent | None:
        names = self.activation_names()
        return None if names is None else graph_ops.LSTM(**names, **attributes)
