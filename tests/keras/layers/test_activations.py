import numpy as np
import pytest

from graphc import keras
from tests.keras.layers.helper import run_layer_test


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda k: k.layers.ReLU(), (2, 3)),
        (lambda k: k.layers.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.2), (4, 5)),
        (lambda k: k.layers.ReLU(threshold=0.3), (4, 5)),
        (lambda k: k.layers.ReLU(6), (4, 5)),
        (lambda k: k.layers.LeakyReLU(), (4, 5)),
        (lambda k: k.layers.LeakyReLU(negative_slope=0.1), (4, 5)),
        (lambda k: k.layers.ELU(0.5), (4, 5)),
        (lambda k: k.layers.PReLU(), (2, 3, 4)),
        (lambda k: k.layers.PReLU(shared_axes=[1, 2]), (2, 3, 4, 5)),
        (lambda k: k.layers.PReLU("ones", "l2", "non_neg", shared_axes=1), (2, 3, 4)),
        (lambda k: k.layers.Softmax(), (2, 3, 4)),
        (lambda k: k.layers.Softmax(axis=1), (2, 3, 4)),
        (lambda k: k.layers.Softmax(axis=(1, 2)), (2, 3, 4)),
    ],
)
def test_layer(real_keras, make, shape):
    run_layer_test(real_keras, make, shape)


def test_masked_softmax(real_keras):
    x = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")
    mask = np.array([[True, False, True], [True, True, True]])
    run_layer_test(
        real_keras,
        lambda k: k.layers.Softmax(),
        inputs=[x, mask],
        call=lambda layer, tensors, k: layer(tensors[0], mask=tensors[1]),
    )


def test_thresholded_relu():
    layer = keras.layers.ThresholdedReLU(theta=0.5)
    assert np.asarray(layer(np.array([[-1, 0.4, 0.5, 2]], "float32"))).tolist() == [[0, 0, 0, 2]]
    assert type(layer).from_config(layer.get_config()).theta == 0.5


def test_keras2_spelling():
    assert keras.layers.LeakyReLU(alpha=0.2).negative_slope == 0.2


def test_errors():
    with pytest.raises(ValueError, match="`negative_slope` should be a number of at least 0"):
        keras.layers.ReLU(negative_slope=-1)
    with pytest.raises(ValueError, match="`negative_slope`"):
        keras.layers.LeakyReLU(None)
    with pytest.raises(ValueError, match="names no axis"):
        keras.layers.PReLU(shared_axes=[3])(keras.Input((2, 3)))
