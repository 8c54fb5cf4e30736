import numpy as np
import pytest

from graphc import keras
from graphc.errors import UnsupportedError
from tests.keras.layers.helper import run_layer_test

FIRST = {"data_format": "channels_first"}

CONVOLUTIONS = [
    (lambda k: k.layers.Conv1D(3, 2), (2, 5, 4)),
    (lambda k: k.layers.Conv1D(1, 1), (1, 1, 1)),
    (lambda k: k.layers.Conv1D(2, 3, padding="causal", dilation_rate=2), (2, 7, 3)),
    (lambda k: k.layers.Conv1D(2, 3, padding="causal", strides=2), (2, 7, 3)),
    (lambda k: k.layers.Conv1D(4, 3, strides=2, padding="same", groups=2), (2, 6, 4)),
    (lambda k: k.layers.Conv2D(3, 3, activation="relu"), (2, 5, 6, 2)),
    (lambda k: k.layers.Conv2D(3, (2, 3), padding="SAME", use_bias=False), (1, 5, 4, 2)),
    (lambda k: k.layers.Conv2D(2, 2, strides=(2, 3), padding="same"), (2, 5, 7, 1)),
    (lambda k: k.layers.Conv2D(2, 2, dilation_rate=(2, 1)), (2, 5, 4, 1)),
    (lambda k: k.layers.Conv2D(4, 3, strides=2, groups=2), (0, 7, 7, 4)),
    (lambda k: k.layers.Conv3D(2, (1, 2, 2), strides=(1, 2, 1)), (1, 3, 4, 3, 2)),
    (lambda k: k.layers.DepthwiseConv1D(3, depth_multiplier=2), (2, 6, 3)),
    (lambda k: k.layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), (2, 5, 4, 3)),
    (lambda k: k.layers.DepthwiseConv2D((2, 1), strides=2, activation="tanh"), (2, 5, 5, 2)),
    (lambda k: k.layers.SeparableConv1D(4, 3, depth_multiplier=2), (2, 6, 3)),
    (lambda k: k.layers.SeparableConv2D(4, 3, padding="same"), (2, 5, 4, 3)),
    (lambda k: k.layers.SeparableConv2D(2, 2, strides=2, use_bias=False), (2, 5, 5, 2)),
]


@pytest.mark.parametrize(("make", "shape"), CONVOLUTIONS)
def test_layer(real_keras, make, shape):
    run_layer_test(real_keras, make, shape, gradients=0 not in shape, atol=2e-5)


TRANSPOSED = [
    (lambda k: k.layers.Conv1DTranspose(3, 3), (2, 4, 2)),
    (lambda k: k.layers.Conv1DTranspose(2, 2, strides=3), (2, 4, 2)),
    (lambda k: k.layers.Conv1DTranspose(2, 4, strides=2, padding="same"), (1, 3, 1)),
    (lambda k: k.layers.Conv1DTranspose(2, 1, strides=3, padding="same"), (1, 3, 1)),
    (lambda k: k.layers.Conv2DTranspose(3, 3, strides=2, padding="same"), (2, 3, 4, 2)),
    (lambda k: k.layers.Conv2DTranspose(3, (2, 5), strides=(3, 2)), (1, 2, 3, 2)),
    (lambda k: k.layers.Conv2DTranspose(2, 3, strides=2, output_padding=1), (1, 2, 3, 2)),
    (
        lambda k: k.layers.Conv2DTranspose(2, 3, strides=2, padding="same", output_padding=1),
        (1, 2, 3, 2),
    ),
    (
        lambda k: k.layers.Conv2DTranspose(2, 4, strides=3, padding="same", output_padding=(0, 2)),
        (1, 2, 3, 2),
    ),
    (lambda k: k.layers.Conv2DTranspose(2, 3, dilation_rate=2, use_bias=False), (1, 4, 3, 2)),
    (lambda k: k.layers.Conv3DTranspose(1, 2, strides=2, padding="same"), (1, 2, 1, 2, 2)),
]


@pytest.mark.parametrize(("make", "shape"), TRANSPOSED)
def test_transposed(real_keras, make, shape):
    run_layer_test(real_keras, make, shape, atol=2e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda k, **f: k.layers.Conv2D(4, 3, groups=2, padding="same", activation="relu", **f),
        lambda k, **f: k.layers.DepthwiseConv2D(2, strides=2, **f),
        lambda k, **f: k.layers.SeparableConv2D(3, 2, **f),
        lambda k, **f: k.layers.Conv2DTranspose(3, 3, strides=2, padding="same", **f),
        lambda k, **f: k.layers.MaxPooling2D(2, padding="same", **f),
        lambda k, **f: k.layers.AveragePooling2D((2, 1), **f),
        lambda k, **f: k.layers.GlobalAveragePooling2D(**f),
        lambda k, **f: k.layers.GlobalMaxPooling2D(**f),
    ],
)
def test_channels_first(make):
    """Keras on JAX has it for some layers only: it has to be channels_last, moved."""
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 6)).astype("float32")
    first, last = make(keras, **FIRST), make(keras)
    expected = last(np.moveaxis(x, 1, -1))
    first(x)
    first.set_weights(last.get_weights())
    y = np.asarray(first(x))
    if y.ndim == 4:
        y = np.moveaxis(y, 1, -1)
    np.testing.assert_allclose(y, np.asarray(last(np.moveaxis(x, 1, -1))), rtol=1e-5, atol=1e-6)
    assert first.compute_output_shape((None, 4, 5, 6))[1] == expected.shape[-1]
    outputs = first(keras.Input((4, 5, 6)))
    assert outputs.shape == first.compute_output_shape((None, 4, 5, 6))


@pytest.mark.parametrize(("make", "shape"), CONVOLUTIONS + TRANSPOSED)
def test_output_shape_is_known_before_the_weights(real_keras, make, shape):
    ours, theirs = make(keras), make(real_keras)
    for batch in (None, 3):
        given = (batch, *shape[1:])
        assert ours.compute_output_shape(given) == tuple(theirs.compute_output_shape(given))
    assert not ours.built


def test_unknown_sizes(real_keras):
    for make in (
        lambda k: k.layers.Conv2D(4, 3),
        lambda k: k.layers.Conv2D(4, 3, padding="same"),
        lambda k: k.layers.Conv2D(4, 3, strides=2),
        lambda k: k.layers.Conv2DTranspose(4, 3, strides=2),
        lambda k: k.layers.MaxPooling2D(),
    ):
        ours = make(keras)(keras.Input((None, 9, 3)))
        assert ours.shape == tuple(make(real_keras)(real_keras.Input((None, 9, 3))).shape)
    with pytest.raises(UnsupportedError, match="fix the size of the input"):
        keras.layers.Conv2D(4, 3, strides=2, padding="same")(keras.Input((None, 9, 3)))


def test_errors():
    x = keras.Input((4, 4, 3))
    with pytest.raises(ValueError, match=r"needs 4 axes, \(batch, height, width, channels\)"):
        keras.layers.Conv2D(3, 3)(keras.Input((28, 28)))
    with pytest.raises(ValueError, match='Conv2D "small": the input is too small.*axis 1.*needs 5'):
        keras.layers.Conv2D(3, 5, name="small")(x)
    with pytest.raises(ValueError, match='MaxPooling2D.*input is too small.*padding="same"'):
        keras.layers.MaxPooling2D(5)(x)
    with pytest.raises(ValueError, match="3 features, the weights were built for 2|3.*2"):
        layer = keras.layers.Conv2D(3, 3)
        layer(keras.Input((4, 4, 2)))
        layer(x)
    with pytest.raises(ValueError, match="do not make 2 groups"):
        keras.layers.Conv2D(4, 3, groups=2)(x)
    with pytest.raises(ValueError, match="evenly divisible"):
        keras.layers.Conv2D(3, 3, groups=2)
    with pytest.raises(ValueError, match="number of channels"):
        keras.layers.Conv2D(3, 3)(keras.Input((4, 4, None)))
    with pytest.raises(ValueError, match="`filters` should be a positive integer"):
        keras.layers.Conv2D(0, 3)
    with pytest.raises(ValueError, match="`kernel_size` should be"):
        keras.layers.Conv2D(3, (3, 3, 3))
    with pytest.raises(ValueError, match="`kernel_size` should be"):
        keras.layers.Conv2D(3, 0)
    with pytest.raises(ValueError, match="`padding` should be one of"):
        keras.layers.Conv2D(3, 3, padding="causal")
    with pytest.raises(ValueError, match="strides > 1"):
        keras.layers.Conv2D(3, 3, strides=2, dilation_rate=2)
    with pytest.raises(ValueError, match="less than `strides`"):
        keras.layers.Conv2DTranspose(3, 3, strides=2, output_padding=2)
