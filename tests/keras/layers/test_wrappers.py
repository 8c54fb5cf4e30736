import numpy as np
import pytest

from graphc import keras
from tests.keras.layers.helper import random_inputs, run_layer_test


@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_bidirectional(real_keras, merge_mode, return_sequences):
    run_layer_test(
        real_keras,
        lambda k: k.layers.Bidirectional(
            k.layers.LSTM(3, return_sequences=return_sequences), merge_mode=merge_mode
        ),
        (2, 4, 3),
    )


def test_bidirectional_states(real_keras):
    run_layer_test(
        real_keras,
        lambda k: k.layers.Bidirectional(
            k.layers.GRU(2, return_state=True, return_sequences=True),
            backward_layer=k.layers.GRU(
                2, go_backwards=True, return_state=True, return_sequences=True
            ),
        ),
        (2, 4, 3),
        (2, 2),
        (2, 2),
        call=lambda layer, tensors, k: layer(tensors[0], initial_state=tensors[1:]),
    )


def test_bidirectional_mask(real_keras):
    x = random_inputs([(3, 4, 2)])[0]
    mask = np.array([[1, 1, 0, 0], [0, 1, 0, 1], [1, 1, 1, 1]], bool)
    for sequences in (False, True):
        run_layer_test(
            real_keras,
            lambda k: k.layers.Bidirectional(
                k.layers.LSTM(3, return_sequences=sequences)  # noqa: B023
            ),
            inputs=[x, mask],
            call=lambda layer, tensors, k: layer(tensors[0], mask=tensors[1]),
        )


def test_bidirectional_names_and_errors():
    layer = keras.layers.Bidirectional(keras.layers.LSTM(3, name="memory"))
    assert layer.forward_layer.name == "forward_memory"
    assert layer.backward_layer.name == "backward_memory"
    assert layer.backward_layer.go_backwards
    with pytest.raises(ValueError, match="should be a layer instance"):
        keras.layers.Bidirectional(keras.layers.LSTM)
    with pytest.raises(ValueError, match="`merge_mode` should be one of"):
        keras.layers.Bidirectional(keras.layers.LSTM(3), merge_mode="max")
    with pytest.raises(ValueError, match="different `go_backwards`"):
        keras.layers.Bidirectional(keras.layers.LSTM(3), backward_layer=keras.layers.LSTM(3))


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda k: k.layers.Dense(3, "relu"), (2, 4, 5)),
        (lambda k: k.layers.Conv1D(2, 2), (2, 3, 5, 4)),
        (lambda k: k.layers.Flatten(), (2, 3, 2, 2)),
        (lambda k: k.layers.LSTM(3), (1, 2, 3, 2)),
        (lambda k: k.layers.BatchNormalization(), (2, 3, 4)),
    ],
)
def test_time_distributed(real_keras, make, shape):
    run_layer_test(real_keras, lambda k: k.layers.TimeDistributed(make(k)), shape)


def test_time_distributed_model_and_unknown_time():
    inner = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 3), keras.layers.Flatten()]
    )
    y = keras.layers.TimeDistributed(inner)(keras.Input((None, 4, 4, 1)))
    assert y.shape == (None, None, 8)
    with pytest.raises(ValueError, match="at least 3 axes"):
        keras.layers.TimeDistributed(keras.layers.Dense(3))(keras.Input((3,)))
