import numpy as np
import pytest

from graphc import keras
from graphc.eager import Trace
from graphc.ir import TensorType
from graphc.ir.dims import symbol
from tests.keras.layers.helper import assert_close, random_inputs, run_layer_test

KINDS = ["SimpleRNN", "GRU", "LSTM"]
SHAPE = (2, 4, 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"return_sequences": True},
        {"return_state": True},
        {"return_sequences": True, "return_state": True, "go_backwards": True},
        {"use_bias": False, "activation": "relu", "unroll": True},
        {"activation": "softmax", "return_sequences": True},
    ],
)
def test_layer(real_keras, kind, arguments):
    run_layer_test(real_keras, lambda k: getattr(k.layers, kind)(3, **arguments), SHAPE)


@pytest.mark.parametrize(
    "make",
    [
        lambda k: k.layers.GRU(2, reset_after=False),
        lambda k: k.layers.GRU(2, reset_after=False, use_bias=False, return_sequences=True),
        lambda k: k.layers.GRU(2, recurrent_activation="hard_sigmoid"),
        lambda k: k.layers.LSTM(2, recurrent_activation="hard_sigmoid", unit_forget_bias=False),
        lambda k: k.layers.LSTM(
            1,
            kernel_regularizer="l2",
            recurrent_constraint="non_neg",
            bias_initializer="ones",
            recurrent_initializer="glorot_uniform",
        ),
        lambda k: k.layers.RNN(k.layers.SimpleRNNCell(3), return_sequences=True),
        lambda k: k.layers.RNN([k.layers.LSTMCell(3), k.layers.GRUCell(2)], return_sequences=True),
        lambda k: k.layers.RNN(
            k.layers.StackedRNNCells([k.layers.GRUCell(3), k.layers.GRUCell(2)]),
            go_backwards=True,
        ),
    ],
)
def test_variants(real_keras, make):
    run_layer_test(real_keras, make, SHAPE)


@pytest.mark.parametrize("kind", KINDS)
def test_one_of_everything(real_keras, kind):
    run_layer_test(real_keras, lambda k: getattr(k.layers, kind)(1), (1, 1, 1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("return_sequences", "go_backwards", "activation"),
    [(False, False, "tanh"), (True, True, "tanh"), (True, False, "softmax")],
)
def test_mask(real_keras, kind, return_sequences, go_backwards, activation):
    x = random_inputs([(3, 4, 2)])[0]
    mask = np.array([[1, 1, 0, 0], [0, 1, 0, 1], [1, 1, 1, 1]], bool)
    run_layer_test(
        real_keras,
        lambda k: getattr(k.layers, kind)(
            3,
            return_sequences=return_sequences,
            go_backwards=go_backwards,
            activation=activation,
        ),
        inputs=[x, mask],
        call=lambda layer, tensors, k: layer(tensors[0], mask=tensors[1]),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_zero_output_for_mask(real_keras, kind):
    x = random_inputs([(2, 3, 2)])[0]
    mask = np.array([[1, 0, 1], [1, 1, 0]], bool)
    cells = {"SimpleRNN": "SimpleRNNCell", "GRU": "GRUCell", "LSTM": "LSTMCell"}
    for sequences in (True, False):
        run_layer_test(
            real_keras,
            lambda k: k.layers.RNN(
                getattr(k.layers, cells[kind])(3),
                return_sequences=sequences,  # noqa: B023
                zero_output_for_mask=True,
            ),
            inputs=[x, mask],
            call=lambda layer, tensors, k: layer(tensors[0], mask=tensors[1]),
            gradients=False,
        )


@pytest.mark.parametrize("kind", KINDS)
def test_initial_state(real_keras, kind):
    states = 2 if kind == "LSTM" else 1
    run_layer_test(
        real_keras,
        lambda k: getattr(k.layers, kind)(3, return_state=True),
        (2, 4, 2),
        *[(2, 3)] * states,
        call=lambda layer, tensors, k: layer(tensors[0], initial_state=tensors[1:]),
    )


@pytest.mark.parametrize("kind", ["SimpleRNNCell", "GRUCell", "LSTMCell"])
def test_cell(real_keras, kind):
    states = 2 if kind == "LSTMCell" else 1
    run_layer_test(
        real_keras,
        lambda k: getattr(k.layers, kind)(3),
        (2, 4),
        *[(2, 3)] * states,
        call=lambda layer, tensors, k: layer(tensors[0], tensors[1:]),
    )


def test_whole_layers_are_one_op():
    for layer, name in ((keras.layers.LSTM(3), "LSTM"), (keras.layers.GRU(3), "GRU")):
        with Trace("test") as trace:
            x = trace.input("x", TensorType((symbol("batch"), symbol("time"), 2), "float32"))
            layer(x)
        assert [node.op.name for node in trace.graph.nodes].count(name) == 1
        assert not any(node.op.name == "Scan" for node in trace.graph.nodes)


def make_cell(k):
    class Cell(k.layers.Layer):
        """A cell as the documentation of Keras has it."""

        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.state_size = units

        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
            self.recurrent = self.add_weight(shape=(self.units, self.units), name="recurrent")

        def call(self, inputs, states):
            h = k.ops.matmul(inputs, self.kernel) + k.ops.matmul(states[0], self.recurrent)
            return k.ops.sin(h), [h]

    return Cell


def test_own_cell(real_keras):
    x = random_inputs([(2, 5, 3)])[0]
    mask = np.array([[1, 0, 1, 1, 0], [0, 1, 1, 1, 1]], bool)
    results = []
    outputs = []
    for k in (keras, real_keras):
        layer = k.layers.RNN(make_cell(k)(4), return_sequences=True, return_state=True)
        layer(x)
        layer.set_weights([np.full((3, 4), 0.3), np.linspace(-1, 1, 16).reshape(4, 4)])
        masked, state = layer(x, mask=mask)
        outputs.append(np.asarray(masked))
        results.append([*layer(x), outputs[-1][mask], state])
    assert_close(*results, 1e-5, 1e-6)
    # Where the mask is false the output before stays. (Keras on JAX takes the first state for it.)
    masked = outputs[0]
    np.testing.assert_array_equal(masked[0, 1], masked[0, 0])
    np.testing.assert_array_equal(masked[0, 4], masked[0, 3])
    assert not np.any(masked[1, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_stateful(real_keras, kind):
    batches = random_inputs([(2, 3, 2)] * 3)
    results = []
    weights = None
    for k in (keras, real_keras):
        layer = getattr(k.layers, kind)(4, stateful=True, return_sequences=True)
        model = k.Sequential([k.Input(batch_shape=(2, 3, 2)), layer])
        weights = weights or model.get_weights()
        model.set_weights(weights)
        results.append([np.asarray(model(x)) for x in batches])
        layer.reset_state()
        results[-1].append(np.asarray(model(batches[0])))
    assert_close(*results, 1e-5, 1e-6)
    np.testing.assert_array_equal(results[0][0], results[0][3])
    assert np.any(results[0][0] != np.asarray(model(batches[0])))


def test_stateful_needs_a_batch_size():
    with pytest.raises(ValueError, match="fixed batch size"):
        keras.layers.LSTM(3, stateful=True)(keras.Input((4, 2)))
    layer = keras.layers.LSTM(3, stateful=True)
    layer(np.zeros((2, 4, 2), "float32"))
    with pytest.raises(ValueError, match="batch of 2, received one of 3"):
        layer(np.zeros((3, 4, 2), "float32"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", ["tanh", "softmax"])
def test_dropout(kind, activation):
    x = np.ones((50, 3, 40), "float32")
    layer = getattr(keras.layers, kind)(20, activation, dropout=0.5, recurrent_dropout=0.5, seed=1)
    quiet = np.asarray(layer(x))
    assert np.array_equal(quiet, np.asarray(layer(x)))
    noisy = [np.asarray(layer(x, training=True)) for _ in range(2)]
    assert np.any(noisy[0] != noisy[1])
    assert np.any(noisy[0] != quiet)
    assert np.all(np.isfinite(noisy))


def test_dropped_inputs_are_the_same_in_all_steps():
    layer = keras.layers.SimpleRNN(
        6,
        "linear",
        dropout=0.5,
        seed=1,
        kernel_initializer="identity",
        recurrent_initializer="zeros",
        return_sequences=True,
    )
    y = np.asarray(layer(np.ones((9, 4, 6), "float32"), training=True))
    assert set(np.unique(y)) == {0, 2}
    assert np.all(y == y[:, :1])


def test_arguments_of_the_cell_are_the_layers():
    layer = keras.layers.LSTM(3, activation="relu", dropout=0.25)
    assert layer.units == 3
    assert layer.dropout == 0.25
    assert layer.activation is keras.activations.relu
    with pytest.raises(AttributeError, match="no_such"):
        _ = layer.no_such


def test_unknown_time():
    x = keras.Input((None, 3))
    assert keras.layers.LSTM(4)(x).shape == (None, 4)
    assert keras.layers.LSTM(4, return_sequences=True)(x).shape == (None, None, 4)
    sequence, h, c = keras.layers.LSTM(4, return_sequences=True, return_state=True)(x)
    assert (sequence.shape, h.shape, c.shape) == ((None, None, 4), (None, 4), (None, 4))


def test_errors():
    with pytest.raises(ValueError, match=r"LSTM.*needs 3 axes, \(batch, time, features\)"):
        keras.layers.LSTM(3)(keras.Input((4,)))
    with pytest.raises(ValueError, match="`units` should be a positive integer"):
        keras.layers.GRU(0)
    with pytest.raises(ValueError, match="`call` method"):
        keras.layers.RNN(3)
    with pytest.raises(ValueError, match="`dropout`.*between 0 and 1"):
        keras.layers.LSTM(3, dropout=2)
    with pytest.raises(ValueError, match=r"2 state\(s\), received 1"):
        x = np.zeros((2, 3, 4), "float32")
        keras.layers.LSTM(3)(x, initial_state=[np.zeros((2, 3), "float32")])
