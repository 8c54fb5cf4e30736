import pytest

from graphc import keras
from graphc.errors import UnsupportedError
from tests.keras.layers.helper import run_layer_test

FIRST = {"data_format": "channels_first"}


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda k: k.layers.UpSampling1D(3), (2, 3, 2)),
        (lambda k: k.layers.UpSampling2D(), (2, 3, 1, 2)),
        (lambda k: k.layers.UpSampling2D((1, 3), **FIRST), (2, 3, 4, 2)),
        (lambda k: k.layers.UpSampling2D((2, 3), interpolation="bilinear"), (2, 3, 4, 2)),
        (lambda k: k.layers.UpSampling2D(4, interpolation="bilinear", **FIRST), (1, 2, 1, 3)),
        (lambda k: k.layers.UpSampling3D((1, 2, 3)), (1, 2, 3, 2, 2)),
        (lambda k: k.layers.ZeroPadding1D(), (2, 3, 2)),
        (lambda k: k.layers.ZeroPadding1D((0, 2)), (2, 1, 2)),
        (lambda k: k.layers.ZeroPadding1D((3, 1), **FIRST), (2, 3, 2)),
        (lambda k: k.layers.ZeroPadding2D(2), (2, 3, 4, 1)),
        (lambda k: k.layers.ZeroPadding2D((1, 0)), (2, 3, 4, 1)),
        (lambda k: k.layers.ZeroPadding2D(((1, 0), (2, 3)), **FIRST), (2, 3, 4, 2)),
        (lambda k: k.layers.ZeroPadding3D((1, 0, 2)), (1, 2, 3, 2, 2)),
        (lambda k: k.layers.Cropping1D(), (2, 3, 2)),
        (lambda k: k.layers.Cropping1D((2, 0)), (2, 3, 2)),
        (lambda k: k.layers.Cropping2D(1), (2, 3, 4, 1)),
        (lambda k: k.layers.Cropping2D(((1, 0), (0, 2)), **FIRST), (2, 1, 4, 5)),
        (lambda k: k.layers.Cropping3D(((1, 0), (0, 1), (0, 0))), (1, 2, 3, 2, 2)),
    ],
)
def test_layer(real_keras, make, shape):
    run_layer_test(real_keras, make, shape)


def test_unknown_sizes():
    x = keras.Input((None, None, 3))
    assert keras.layers.UpSampling2D()(x).shape == (None, None, None, 3)
    assert keras.layers.ZeroPadding2D()(x).shape == (None, None, None, 3)
    assert keras.layers.Cropping2D(1)(x).shape == (None, None, None, 3)


def test_errors():
    with pytest.raises(ValueError, match="leaves nothing of axis 1"):
        keras.layers.Cropping1D((2, 2))(keras.Input((4, 1)))
    with pytest.raises(ValueError, match="`padding` should be"):
        keras.layers.ZeroPadding2D((1, 2, 3))
    with pytest.raises(ValueError, match="of at least 0"):
        keras.layers.ZeroPadding2D((1, -2))
    with pytest.raises(ValueError, match="`interpolation` should be one of"):
        keras.layers.UpSampling2D(interpolation="linear")
    with pytest.raises(UnsupportedError, match="bicubic"):
        keras.layers.UpSampling2D(interpolation="bicubic")
    with pytest.raises(ValueError, match="needs 4 axes"):
        keras.layers.ZeroPadding2D()(keras.Input((3, 4)))
    with pytest.raises(ValueError, match="data_format"):
        keras.layers.ZeroPadding2D(data_format="first")
