import numpy as np
import pytest

from graphc import keras
from tests.keras.layers.helper import run_layer_test


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda k: k.layers.Flatten(), (2, 3, 4)),
        (lambda k: k.layers.Flatten(), (2, 3)),
        (lambda k: k.layers.Flatten(), (1, 1)),
        (lambda k: k.layers.Flatten(data_format="channels_first"), (2, 3, 4, 5)),
        (lambda k: k.layers.Reshape((4, 3)), (2, 3, 4)),
        (lambda k: k.layers.Reshape((2, -1)), (2, 3, 4)),
        (lambda k: k.layers.Reshape((-1,)), (3, 2, 2)),
        (lambda k: k.layers.Permute((2, 1)), (2, 3, 4)),
        (lambda k: k.layers.Permute((3, 1, 2)), (2, 3, 4, 5)),
        (lambda k: k.layers.RepeatVector(3), (2, 4)),
        (lambda k: k.layers.RepeatVector(1), (1, 1)),
    ],
)
def test_layer(real_keras, make, shape):
    run_layer_test(real_keras, make, shape)


def test_empty_batch():
    x = np.zeros((0, 3, 4), "float32")
    assert keras.layers.Flatten()(x).shape == (0, 12)
    assert keras.layers.Reshape((2, 6))(x).shape == (0, 2, 6)
    assert keras.layers.Permute((2, 1))(x).shape == (0, 4, 3)


def test_flatten_of_a_batch_of_numbers():
    assert keras.layers.Flatten()(np.zeros(5, "float32")).shape == (5, 1)


def test_unknown_sizes():
    x = keras.Input((None, 4))
    assert keras.layers.Flatten()(x).shape == (None, None)
    assert keras.layers.Reshape((-1, 2))(x).shape == (None, None, 2)
    assert keras.layers.Permute((2, 1))(x).shape == (None, 4, None)


def test_errors():
    with pytest.raises(ValueError, match="12 elements per sample"):
        keras.layers.Reshape((5, 2))(keras.Input((3, 4)))
    with pytest.raises(ValueError, match="multiple of 5"):
        keras.layers.Reshape((5, -1))(keras.Input((3, 4)))
    with pytest.raises(ValueError, match="start from 1"):
        keras.layers.Permute((0, 1))
    with pytest.raises(ValueError, match="needs 3 axes"):
        keras.layers.Permute((2, 1))(keras.Input((3, 4, 5)))
    with pytest.raises(TypeError, match="integer value for `n`"):
        keras.layers.RepeatVector(2.0)
    with pytest.raises(ValueError, match="needs 2 axes"):
        keras.layers.RepeatVector(2)(keras.Input((3, 4)))
    with pytest.raises(ValueError, match=r"takes 1 input\(s\), received 2"):
        keras.layers.Flatten()([keras.Input((3,)), keras.Input((3,))])
