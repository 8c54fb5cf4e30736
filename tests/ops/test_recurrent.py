"""Recurrent ops against Keras on JAX: every option, values and gradients; errors; one Scan."""

import itertools

import numpy as np
import pytest

from graphc import reference
from graphc.autodiff import gradients
from graphc.errors import DTypeError, ShapeError
from graphc.ir import Graph, TensorType, symbol, type_of
from graphc.ops.recurrent import GRU, LSTM, SimpleRNN

BATCH, TIME, FEATURES, UNITS = 3, 5, 4, 2

MASKS = {
    "ends": np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], bool),
    "holes": np.array([[0, 1, 0, 1, 0], [1, 0, 0, 0, 1], [1, 1, 1, 1, 0]], bool),
}

OPTIONS = [
    (SimpleRNN, {}),
    (SimpleRNN, {"activation": "relu", "bias": False}),
    (GRU, {}),
    (GRU, {"reset_after": False}),
    (GRU, {"bias": False}),
    (GRU, {"reset_after": False, "bias": False, "recurrent_activation": "hard_sigmoid"}),
    (LSTM, {}),
    (LSTM, {"bias": False, "activation": "elu", "recurrent_activation": "hard_sigmoid"}),
]


def label(value):
    return value.__name__ if isinstance(value, type) else str(value)


def run(op, arrays, weights):
    """Results, and the gradients of the floating-point operands under a weighted sum of them."""
    graph = Graph("test")
    operands = [graph.input(f"x{i}", type_of(array)) for i, array in enumerate(arrays)]
    results = op(*operands)
    seeds = {y: graph.constant(w) for y, w in zip(results, weights, strict=True)}
    wrt = [value for value in operands if value.dtype == "float32"]
    graph.outputs = {f"y{i}": value for i, value in enumerate(results)}
    graph.outputs |= {f"d{i}": value for i, value in enumerate(gradients(seeds, wrt))}
    values = list(reference.evaluate(graph, {f"x{i}": a for i, a in enumerate(arrays)}).values())
    return values[: len(results)], values[len(results) :]


def of_keras(keras, jax, op, arrays, weights):
    """The same by Keras's layer."""
    arguments = {
        key: value
        for key, value in op.attributes.items()
        if key not in ("bias", "mask", "dropout", "zero_output_for_mask")
    }
    layer = getattr(keras.layers, op.name)(
        UNITS, use_bias=op.bias, return_sequences=True, return_state=True, **arguments
    )
    layer.zero_output_for_mask = op.zero_output_for_mask
    layer.build((BATCH, TIME, FEATURES))
    mask = arrays[-1] if op.mask else None
    floats = arrays[:-1] if op.mask else arrays
    count = 2 + op.bias

    def call(x, *rest):
        parameters, states = rest[:count], list(rest[count:])
        results, _ = layer.stateless_call(
            parameters, layer.non_trainable_variables, x, initial_state=states, mask=mask
        )
        return results

    def loss(*floats):
        results = call(*floats)
        return sum((y * w).sum() for y, w in zip(results, weights, strict=True)), results

    derivatives = jax.jit(jax.grad(loss, tuple(range(len(floats))), has_aux=True))
    found, results = derivatives(*floats)
    return results, found


# Mask, go_backwards, zero_output_for_mask.
ORDERS = [
    (None, False, False),
    (None, True, False),
    ("holes", False, False),
    ("ends", True, True),
]


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize(("cls", "options"), OPTIONS, ids=label)
def test_values_and_gradients_are_those_of_keras(keras, jax, cls, options, order):
    mask, backwards, zero_output = order
    op = cls(
        **options,
        go_backwards=backwards,
        mask=mask is not None,
        zero_output_for_mask=zero_output,
    )
    arrays = list(op.draw((BATCH, TIME, FEATURES, UNITS), "float32"))
    if mask is not None:
        arrays[-1] = MASKS[mask]
    rng = np.random.default_rng(3)
    shapes = [(BATCH, TIME, UNITS)] + [(BATCH, UNITS)] * op.states
    weights = [rng.normal(size=shape).astype("float32") for shape in shapes]
    ours, theirs = run(op, arrays, weights), of_keras(keras, jax, op, arrays, weights)
    for expected, received in zip((*theirs[0], *theirs[1]), (*ours[0], *ours[1]), strict=True):
        np.testing.assert_allclose(received, expected, 2e-5, 2e-5)


@pytest.mark.parametrize("cls", [SimpleRNN, GRU, LSTM], ids=label)
def test_recurrent_dropout_multiplies_what_each_gate_sees(cls):
    plain, dropped = cls(), cls(dropout=True)
    *arrays, mask = dropped.draw((BATCH, TIME, FEATURES, UNITS), "float64")
    reached = reference.apply(dropped, *arrays, np.ones_like(mask))
    for expected, received in zip(reference.apply(plain, *arrays), reached, strict=True):
        np.testing.assert_allclose(received, expected, 1e-12, 1e-12)
    # A gate that sees nothing is one whose part of the recurrent kernel is zero.
    for gate in range(cls.gates):
        mask = np.ones_like(mask)
        mask[gate] = 0
        kernel = arrays[2].copy()
        kernel[:, gate * UNITS : (gate + 1) * UNITS] = 0
        without = reference.apply(plain, *arrays[:2], kernel, *arrays[3:])
        reached = reference.apply(dropped, *arrays, mask)
        for expected, received in zip(without, reached, strict=True):
            np.testing.assert_allclose(received, expected, 1e-12, 1e-12)


@pytest.mark.parametrize("cls", [SimpleRNN, GRU, LSTM], ids=label)
def test_batch_and_time_stay_symbolic(cls):
    batch, time = symbol("batch"), symbol("time")
    graph = Graph("test")
    op = cls()
    shapes = [(batch, time, 3), (3, 4 * op.gates), (4, 4 * op.gates), op.bias_shape(4)]
    shapes += [(batch, 4)] * op.states
    operands = [graph.input(f"x{i}", TensorType(s, "float32")) for i, s in enumerate(shapes)]
    outputs, *states = op(*operands)
    assert outputs.shape == (batch, time, 4)
    assert all(state.shape == (batch, 4) for state in states)
    found = gradients({states[0]: states[0]}, operands)
    assert [dx.shape for dx in found] == [tuple(shape) for shape in shapes]


@pytest.mark.parametrize("cls", [SimpleRNN, GRU, LSTM], ids=label)
def test_the_input_is_projected_once_for_all_steps(cls):
    types = [type_of(array) for array in cls().draw((2, 3, 4, 5), "float32")]
    nodes = reference.decomposition(cls(), types).nodes
    (projection,) = [node for node in nodes if node.op.name == "Einsum"]
    assert projection.op.equation == "bti,io->tbo"
    (loop,) = [node for node in nodes if node.op.name == "Scan"]
    inside = [node.op for node in loop.op.body.nodes if node.op.name == "Einsum"]
    assert len(inside) == 1


def test_no_steps_leave_the_states_as_they_are():
    for op in (SimpleRNN(), GRU(), LSTM(go_backwards=True)):
        arrays = op.draw((2, 0, 3, 4), "float32")
        outputs, *states = reference.apply(op, *arrays)
        assert outputs.shape == (2, 0, 4)
        for state, start in zip(states, arrays[-op.states :], strict=True):
            np.testing.assert_array_equal(state, start)


WRONG = [
    (LSTM(), 0, TensorType((3, 5), "float32"), ShapeError, r"\[batch, time, features\]"),
    (LSTM(), 1, TensorType((7, 8), "float32"), ShapeError, r"kernel needs shape \[4, 8\]"),
    (LSTM(), 2, TensorType((2, 6), "float32"), ShapeError, r"recurrent_kernel needs shape \[2, 8"),
    (GRU(), 3, TensorType((6,), "float32"), ShapeError, r"bias needs shape \[2, 6\]"),
    (GRU(), 4, TensorType((3, 5), "float32"), ShapeError, r"initial state needs shape \[3, 2\]"),
    (GRU(), 4, TensorType((3, 2), "float64"), DTypeError, "initial state needs dtype float32"),
    (SimpleRNN(mask=True), 5, TensorType((3, 5), "float32"), DTypeError, "mask needs dtype bool"),
    (
        SimpleRNN(activation="tahn"),
        0,
        TensorType((3, 5, 4), "float32"),
        DTypeError,
        '"tahn" is non',
    ),
]


@pytest.mark.parametrize(("op", "place", "type", "error", "message"), WRONG)
def test_errors_name_the_operand(op, place, type, error, message):
    types = [type_of(array) for array in op.draw((BATCH, TIME, FEATURES, UNITS), "float32")]
    types[place] = type
    with pytest.raises(error, match=message):
        op.infer(*types)


def test_errors_count_operands():
    types = [type_of(array) for array in LSTM().draw((1, 1, 1, 1), "float32")]
    for wrong in itertools.chain([types[:-1]], [[*types, types[-1]]]):
        with pytest.raises(ShapeError, match=f"needs 6 operands, not {len(wrong)}"):
            LSTM().infer(*wrong)
