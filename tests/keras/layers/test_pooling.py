import numpy as np
import pytest

from graphc import keras
from tests.keras.layers.helper import run_layer_test

FIRST = {"data_format": "channels_first"}


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda k: k.layers.MaxPooling1D(), (2, 5, 3)),
        (lambda k: k.layers.MaxPooling1D(3, 1, "same"), (2, 4, 3)),
        (lambda k: k.layers.MaxPooling2D(), (2, 5, 4, 3)),
        (lambda k: k.layers.MaxPool2D((3, 2), strides=2, padding="same"), (2, 5, 5, 1)),
        (lambda k: k.layers.MaxPooling2D(2, **FIRST), (2, 3, 4, 5)),
        (lambda k: k.layers.MaxPooling2D(1), (1, 1, 1, 1)),
        (lambda k: k.layers.MaxPooling3D(), (1, 4, 3, 2, 2)),
        (lambda k: k.layers.AveragePooling1D(2), (2, 5, 3)),
        (lambda k: k.layers.AveragePooling1D(3, 2, "same"), (2, 4, 3)),
        (lambda k: k.layers.AveragePooling2D((2, 3), padding="same"), (2, 5, 4, 3)),
        (lambda k: k.layers.AvgPool2D(2, strides=1), (2, 3, 3, 2)),
        (lambda k: k.layers.AveragePooling3D(2), (1, 4, 3, 2, 2)),
        (lambda k: k.layers.GlobalAveragePooling1D(), (2, 5, 3)),
        (lambda k: k.layers.GlobalAveragePooling1D(keepdims=True, **FIRST), (2, 5, 3)),
        (lambda k: k.layers.GlobalAveragePooling2D(keepdims=True), (2, 5, 4, 3)),
        (lambda k: k.layers.GlobalAveragePooling2D(**FIRST), (2, 5, 4, 3)),
        (lambda k: k.layers.GlobalAveragePooling3D(), (1, 2, 3, 2, 2)),
        (lambda k: k.layers.GlobalMaxPooling1D(), (2, 5, 3)),
        (lambda k: k.layers.GlobalMaxPooling2D(), (2, 5, 4, 3)),
        (lambda k: k.layers.GlobalMaxPooling2D(keepdims=True, **FIRST), (2, 5, 4, 3)),
        (lambda k: k.layers.GlobalMaxPooling3D(), (1, 2, 3, 2, 2)),
    ],
)
def test_layer(real_keras, make, shape):
    run_layer_test(real_keras, make, shape)


@pytest.mark.parametrize("keepdims", [False, True])
def test_masked_mean(real_keras, keepdims):
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    mask = np.array([[True, False, True], [True, True, False]])
    run_layer_test(
        real_keras,
        lambda k: k.layers.GlobalAveragePooling1D(keepdims=keepdims),
        inputs=[x, mask],
        call=lambda layer, tensors, k: layer(tensors[0], mask=tensors[1]),
    )


def test_errors():
    with pytest.raises(ValueError, match="`pool_size` should be"):
        keras.layers.MaxPooling2D((2, 0))
    with pytest.raises(ValueError, match="`strides` should be"):
        keras.layers.MaxPooling2D(2, strides=(1, 2, 3))
    with pytest.raises(ValueError, match="needs 3 axes"):
        keras.layers.MaxPooling1D()(keras.Input((4, 4, 3)))
