"""Recurrent layers over whole sequences: SimpleRNN, GRU and LSTM, one op each.

They stay whole for the exporter, which wants one node, and for a backend that has a kernel for
them. Otherwise they are one projection of all steps by the kernel and a `Scan` of what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir import Node, Op, Sample, TensorType, Value, is_float
from graphc.ir.dims import Dim, Shape, shape_text
from graphc.ops.activation import ACTIVATIONS
from graphc.ops.control import scan
from graphc.ops.elementwise import Where
from graphc.ops.family import like
from graphc.ops.linalg import Einsum
from graphc.ops.movement import (
    Expand,
    Reshape,
    Reverse,
    Split,
    Transpose,
    insert_axis,
    narrow,
    reshape_to,
)

#: Activations that ONNX's recurrent nodes know: name, alpha and beta.
ONNX_ACTIVATIONS: dict[str, tuple[str, float | None, float | None]] = {
    "elu": ("Elu", 1.0, None),
    "hard_sigmoid": ("HardSigmoid", 1 / 6, 0.5),
    "leaky_relu": ("LeakyRelu", 0.2, None),
    "linear": ("Affine", 1.0, 0.0),
    "relu": ("Relu", None, None),
    "sigmoid": ("Sigmoid", None, None),
    "softplus": ("Softplus", None, None),
    "softsign": ("Softsign", None, None),
    "tanh": ("Tanh", None, None),
}

T = TypeVar("T")


@dataclass(frozen=True)
class Operands(Generic[T]):
    """The operands of a recurrent op by name; None for those that it does not have."""

    x: T
    kernel: T
    recurrent_kernel: T
    bias: T | None
    states: tuple[T, ...]
    mask: T | None
    dropout: T | None


class Recurrent(Op):
    """A recurrent layer over a batch of sequences.

    Operands, those in brackets only where the attribute says so: ``x`` [batch, time, features],
    ``kernel`` [features, gates * units], ``recurrent_kernel`` [units, gates * units],
    (``bias`` [gates * units]), the initial states [batch, units] each, (``mask`` bool
    [batch, time]), (``dropout`` [gates, batch, units], which multiplies the previous output before
    it meets each gate's part of the recurrent kernel).

    Results: the output of every step [batch, time, units], in the order in which the steps were
    taken, then the states after the last one. Where the mask is false the states stay as they are
    and the output is the previous one.

    Args:
        activation: Of the candidate; a name in `ACTIVATIONS`.
        go_backwards: Whether the last element of a sequence comes first.
        bias: Whether there is a bias.
        mask: Whether there is a mask.
        dropout: Whether there is recurrent dropout.
        zero_output_for_mask: Whether the output is 0 where the mask is false.
    """

    activation: str = "tanh"
    go_backwards: bool = False
    bias: bool = True
    mask: bool = False
    dropout: bool = False
    zero_output_for_mask: bool = False
    #: How many parts the kernels have, side by side.
    gates: ClassVar[int] = 1
    #: How many states there are; the first one is the output.
    states: ClassVar[int] = 1

    def operands(self, values: Sequence[T]) -> Operands[T]:
        """The operands by name.

        Raises:
            ShapeError: There are too many or too few.
        """
        expected = 3 + self.bias + self.states + self.mask + self.dropout
        if len(values) != expected:
            raise ShapeError(f"needs {expected} operands, not {len(values)}")
        rest = list(values[3:])
        bias = rest.pop(0) if self.bias else None
        states = tuple(rest.pop(0) for _ in range(self.states))
        mask = rest.pop(0) if self.mask else None
        dropout = rest.pop(0) if self.dropout else None
        return Operands(values[0], values[1], values[2], bias, states, mask, dropout)

    @property
    def activations(self) -> tuple[str, ...]:
        """The names of the activations, in ONNX's order."""
        return (self.activation,)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        parts = self.operands(types)
        x = parts.x
        for name in self.activations:
            if name not in ACTIVATIONS:
                raise DTypeError(f'"{name}" is none of {", ".join(sorted(ACTIVATIONS))}')
        if x.rank != 3 or not is_float(x.dtype):
            raise ShapeError("x has to be floating-point numbers [batch, time, features]")
        batch, time, features = x.shape
        units = parts.recurrent_kernel.shape[0] if parts.recurrent_kernel.rank else 0
        width = self.gates * units
        self._expect("kernel", parts.kernel, (features, width), x.dtype)
        self._expect("recurrent_kernel", parts.recurrent_kernel, (units, width), x.dtype)
        if parts.bias is not None:
            self._expect("bias", parts.bias, self.bias_shape(units), x.dtype)
        for state in parts.states:
            self._expect("an initial state", state, (batch, units), x.dtype)
        if parts.mask is not None:
            self._expect("mask", parts.mask, (batch, time), "bool")
        if parts.dropout is not None:
            self._expect("dropout", parts.dropout, (self.gates, batch, units), x.dtype)
        return (x.with_shape((batch, time, units)), *parts.states)

    def bias_shape(self, units: Dim) -> Shape:
        """The shape of the bias for a number of units."""
        return (self.gates * units,)

    def _expect(self, name: str, given: TensorType, shape: Shape, dtype: str) -> None:
        if given.dtype != dtype:
            raise DTypeError(f"{name} needs dtype {dtype}, not {given.dtype}")
        if given.shape != shape:
            raise ShapeError(f"{name} needs shape {shape_text(shape)}, not {given}")

    def decompose(self, *values: Value) -> tuple[Value, ...]:
        parts = self.operands(values)
        projected = Einsum("bti,io->tbo")(parts.x, parts.kernel)
        bias = self.input_bias(parts)
        sequences = [projected if bias is None else projected + bias]
        if parts.mask is not None:
            sequences.append(insert_axis(Transpose((1, 0))(parts.mask), 2))

        def step(
            states: list[Value], slices: list[Value], constants: list[Value]
        ) -> tuple[list[Value], list[Value]]:
            after = self.step(slices[0], states, constants)
            if len(slices) == 1:
                return after, after[:1]
            keep = slices[1]
            held = [Where()(keep, new, old) for new, old in zip(after, states, strict=True)]
            if self.zero_output_for_mask:
                return held, [Where()(keep, after[0], like(after[0], 0))]
            return held, held[:1]

        finals, (outputs,) = scan(
            step, parts.states, sequences, self.constants(parts), reverse=self.go_backwards
        )
        if self.go_backwards:
            outputs = Reverse((0,))(outputs)
        return (Transpose((1, 0, 2))(outputs), *finals)

    def input_bias(self, parts: Operands[Value]) -> Value | None:
        """The bias of the projection of the inputs."""
        return parts.bias

    def constants(self, parts: Operands[Value]) -> list[Value]:
        """What each step sees beside its slices: the recurrent kernel, and the dropout."""
        if parts.dropout is None:
            return [parts.recurrent_kernel]
        return [self.by_gate(parts.recurrent_kernel), parts.dropout]

    def by_gate(self, kernel: Value) -> Value:
        """A recurrent kernel as [units, gates, units]."""
        units = kernel.shape[0]
        return reshape_to(kernel, (units, self.gates, units))

    def step(self, x: Value, states: list[Value], constants: list[Value]) -> list[Value]:
        """One step: the states that follow, given the projected input."""
        raise NotImplementedError(f"{self.name} has no step")

    # ------------------------------------------------------------------------------------- ONNX

    #: For each gate of the ONNX node, in order, the gate it is here.
    onnx_gates: ClassVar[tuple[int, ...]] = (0,)
    onnx_name: ClassVar[str] = "RNN"

    def onnx(self, context: Any, node: Node, *names: str) -> Any:
        """One recurrent node where ONNX has it, else a Scan of what the op is made of.

        ONNX knows sequence lengths, but no mask in the middle; its recurrent nodes have no dropout,
        few activations and, in ONNX Runtime, single precision only.
        """
        known = all(name in ONNX_ACTIVATIONS for name in self.activations)
        if self.mask or self.dropout or not known or node.inputs[0].dtype != "float32":
            return context.decomposed(node, *names)
        parts = self.operands(names)
        x = context.node("Transpose", [parts.x], perm=[1, 0, 2])
        units = int(node.outputs[1].shape[1])
        kernels = [
            self._onnx_kernel(context, kernel, units)
            for kernel in (parts.kernel, parts.recurrent_kernel)
        ]
        bias = self._onnx_bias(context, parts.bias, units) if parts.bias else ""
        values = self.operands(node.inputs).states
        states = [
            "" if _is_zero(value) else _unsqueeze(context, state)
            for value, state in zip(values, parts.states, strict=True)
        ]
        outputs, *finals = context.node(
            self.onnx_name,
            [x, *kernels, bias, "", *states],
            outputs=1 + self.states,
            hidden_size=units,
            direction="reverse" if self.go_backwards else "forward",
            **self._onnx_activations(),
            **self.onnx_attributes(),
        )
        outputs = _squeeze(context, outputs, 1)
        if self.go_backwards:  # ONNX puts each output at the place of its input
            ends = (context.constant(np.array([n], np.int64)) for n in (-1, -(2**63), 0, -1))
            outputs = context.node("Slice", [outputs, *ends])
        outputs = context.node("Transpose", [outputs], perm=[1, 0, 2])
        return (outputs, *[_squeeze(context, final, 0) for final in finals])

    def onnx_attributes(self) -> dict[str, Any]:
        """Attributes of the ONNX node that only this op has."""
        return {}

    def _onnx_activations(self) -> dict[str, Any]:
        known = [ONNX_ACTIVATIONS[name] for name in self.activations]
        attributes: dict[str, Any] = {"activations": [name for name, _, _ in known]}
        for key, position in (("activation_alpha", 1), ("activation_beta", 2)):
            numbers = [entry[position] for entry in known if entry[position] is not None]
            if numbers:
                attributes[key] = numbers
        return attributes

    def _onnx_kernel(self, context: Any, kernel: str, units: int) -> str:
        rows = context.node("Transpose", [kernel], perm=[1, 0])
        return _unsqueeze(context, self._onnx_order(context, rows, units))

    def _onnx_order(self, context: Any, rows: str, units: int) -> str:
        if self.onnx_gates == tuple(range(self.gates)):
            return rows
        order = np.concatenate([np.arange(units) + gate * units for gate in self.onnx_gates])
        return context.node("Gather", [rows, context.constant(order)], axis=0)

    def _onnx_bias(self, context: Any, bias: str, units: int) -> str:
        zeros = context.constant(np.zeros(self.gates * units, np.float32))
        both = [self._onnx_order(context, bias, units), zeros]
        return _unsqueeze(context, context.node("Concat", both, axis=0))

    # ---------------------------------------------------------------------------------- samples

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        for op, sizes in (
            (cls(), (2, 3, 2, 3)),
            (cls(), (1, 1, 1, 1)),
            (cls(go_backwards=True, bias=False), (2, 3, 1, 2)),
            (cls(mask=True), (3, 4, 2, 2)),
            (cls(mask=True, zero_output_for_mask=True, go_backwards=True), (3, 3, 2, 1)),
            (cls(dropout=True), (2, 2, 2, 2)),
            (cls(activation="softsign"), (2, 0, 2, 3)),
            (cls(activation="gelu"), (2, 2, 1, 2)),
            *((op, (2, 3, 2, 3)) for op in cls.variants()),
        ):
            for dtype in ("float32", "float64"):
                yield Sample(op, op.draw(sizes, dtype), portable=sizes[1] > 0)

    @classmethod
    def variants(cls) -> Iterable[Recurrent]:
        """More ops for `samples`."""
        return ()

    def draw(self, sizes: tuple[int, int, int, int], dtype: str) -> tuple[np.ndarray, ...]:
        """Random operands for ``batch, time, features, units``."""
        batch, time, features, units = sizes
        rng = np.random.default_rng(11)
        shapes: list[Any] = [(batch, time, features), (features, self.gates * units)]
        shapes.append((units, self.gates * units))
        if self.bias:
            shapes.append(self.bias_shape(units))
        shapes += [(batch, units)] * self.states
        arrays = [rng.normal(size=shape).astype(dtype) for shape in shapes]
        if self.mask:
            arrays.append(rng.random((batch, time)) > 0.4)
        if self.dropout:
            arrays.append(2 * rng.integers(0, 2, (self.gates, batch, units)).astype(dtype))
        return tuple(arrays)


class SimpleRNN(Recurrent):
    """``h = activation(x W + b + h R)``; see `Recurrent`."""

    def step(self, x: Value, states: list[Value], constants: list[Value]) -> list[Value]:
        return [ACTIVATIONS[self.activation](x + _recur(states[0], *constants))]

    @classmethod
    def variants(cls) -> Iterable[Recurrent]:
        return (cls(activation="hard_sigmoid"), cls(activation="linear"), cls(activation="elu"))


class _Gated(Recurrent):
    """A recurrent op whose gates have an activation of their own.

    Args:
        recurrent_activation: Of the gates; a name in `ACTIVATIONS`.
    """

    recurrent_activation: str = "sigmoid"

    @property
    def activations(self) -> tuple[str, ...]:
        return (self.recurrent_activation, self.activation)

    @property
    def functions(self) -> tuple[Callable[[Value], Value], Callable[[Value], Value]]:
        """The gates' activation and the candidate's."""
        return ACTIVATIONS[self.recurrent_activation], ACTIVATIONS[self.activation]


class LSTM(_Gated):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997); see `Recurrent`.

    ``i, f, g, o`` are the parts of ``x W + b + h R``. The states are ``h`` and ``c``:
    ``c = s(f) c + s(i) a(g)`` and ``h = s(o) a(c)`` with the activations ``s`` of the gates and
    ``a`` of the candidate.
    """

    gates: ClassVar[int] = 4
    states: ClassVar[int] = 2
    onnx_gates: ClassVar[tuple[int, ...]] = (0, 3, 1, 2)
    onnx_name: ClassVar[str] = "LSTM"

    @property
    def activations(self) -> tuple[str, ...]:
        return (self.recurrent_activation, self.activation, self.activation)

    def step(self, x: Value, states: list[Value], constants: list[Value]) -> list[Value]:
        h, c = states
        gate, candidate = self.functions
        i, f, g, o = Split(1, 4)(x + _recur(h, *constants))
        c = gate(f) * c + gate(i) * candidate(g)
        return [gate(o) * candidate(c), c]

    @classmethod
    def variants(cls) -> Iterable[Recurrent]:
        return (
            cls(recurrent_activation="hard_sigmoid"),
            cls(activation="softsign", recurrent_activation="softplus"),
        )


class GRU(_Gated):
    """The gated recurrent unit (Cho et al., 2014); see `Recurrent`.

    ``z, r, n`` are the parts of ``x W + b``. With ``reset_after`` the reset gate multiplies the
    recurrent product, which then has a bias of its own (bias [2, 3 * units]); without it multiplies
    the state before. ``h = s(z) h + (1 - s(z)) a(candidate)``.

    Args:
        reset_after: Whether the reset gate comes after the recurrent product.
    """

    reset_after: bool = True
    gates: ClassVar[int] = 3
    onnx_gates: ClassVar[tuple[int, ...]] = (0, 1, 2)
    onnx_name: ClassVar[str] = "GRU"

    def bias_shape(self, units: Dim) -> Shape:
        return (2, 3 * units) if self.reset_after else (3 * units,)

    def input_bias(self, parts: Operands[Value]) -> Value | None:
        if parts.bias is None or not self.reset_after:
            return parts.bias
        return reshape_to(narrow(parts.bias, 0, 0, 1), parts.bias.shape[1:])

    def constants(self, parts: Operands[Value]) -> list[Value]:
        kernel, dropout = parts.recurrent_kernel, parts.dropout
        if self.reset_after:
            shared = super().constants(parts)
            if parts.bias is None:
                return shared
            recurrent_bias = narrow(parts.bias, 0, 1, 2)
            return [reshape_to(recurrent_bias, parts.bias.shape[1:]), *shared]
        if dropout is None:
            units = kernel.shape[0]
            return [narrow(kernel, 1, 0, 2 * units), narrow(kernel, 1, 2 * units, 3 * units)]
        by_gate = self.by_gate(kernel)
        return [
            narrow(by_gate, 1, 0, 2),
            narrow(by_gate, 1, 2, 3),
            narrow(dropout, 0, 0, 2),
            narrow(dropout, 0, 2, 3),
        ]

    def step(self, x: Value, states: list[Value], constants: list[Value]) -> list[Value]:
        (h,) = states
        gate, candidate = self.functions
        x_z, x_r, x_n = Split(1, 3)(x)
        if self.reset_after:
            product = (
                _recur(h, *constants[1:]) + constants[0] if self.bias else _recur(h, *constants)
            )
            h_z, h_r, h_n = Split(1, 3)(product)
            z, r = gate(x_z + h_z), gate(x_r + h_r)
            n = candidate(x_n + r * h_n)
        else:
            of_gates, of_candidate = constants[::2], constants[1::2]
            h_z, h_r = Split(1, 2)(_recur(h, *of_gates))
            z, r = gate(x_z + h_z), gate(x_r + h_r)
            n = candidate(x_n + _recur(r * h, *of_candidate))
        return [z * h + (1.0 - z) * n]

    def onnx_attributes(self) -> dict[str, Any]:
        return {"linear_before_reset": int(self.reset_after)}

    def _onnx_bias(self, context: Any, bias: str, units: int) -> str:
        if not self.reset_after:
            return super()._onnx_bias(context, bias, units)
        shape = context.constant(np.array([1, 6 * units], np.int64))
        return context.node("Reshape", [bias, shape])

    @classmethod
    def variants(cls) -> Iterable[Recurrent]:
        return (
            cls(reset_after=False),
            cls(reset_after=False, dropout=True),
            cls(reset_after=False, bias=False, mask=True),
            cls(recurrent_activation="hard_sigmoid", go_backwards=True),
        )


def _recur(h: Value, kernel: Value, dropout: Value | None = None) -> Value:
    """The product of a state and a recurrent kernel; with dropout the kernel is given by gate."""
    if dropout is None:
        return Einsum("bi,io->bo")(h, kernel)
    batch, units = h.shape
    product = Einsum("gbi,igo->bgo")(dropout * h, kernel)
    return reshape_to(product, (batch, kernel.shape[1] * units))


def _is_zero(value: Value) -> bool:
    """Whether a state is known to be all zeros, as ONNX takes one that is left out."""
    while value.node is not None and isinstance(value.op, (Expand, Reshape)):
        (value,) = value.node.inputs
    return value.constant is not None and not np.any(value.constant)


def _unsqueeze(context: Any, x: str) -> str:
    return context.node("Unsqueeze", [x, context.constant(np.array([0], np.int64))])


def _squeeze(context: Any, x: str, axis: int) -> str:
    return context.node("Squeeze", [x, context.constant(np.array([axis], np.int64))])
