import numpy as np
import pytest

from graphc import keras
from tests.keras.layers.helper import run_layer_test


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda k: k.layers.Rescaling(1 / 255), (2, 3)),
        (lambda k: k.layers.Rescaling(0.5, offset=-1), (2, 3, 4)),
        (lambda k: k.layers.Rescaling([1.0, 2.0, 3.0], [0.0, 1.0, 2.0]), (2, 3)),
        (lambda k: k.layers.Normalization(mean=2.0, variance=4.0), (2, 3)),
        (lambda k: k.layers.Normalization(mean=[1, 2, 3], variance=[1, 4, 9]), (2, 3)),
        (lambda k: k.layers.Normalization(axis=1, mean=[1, 2], variance=[1, 4]), (3, 2, 4)),
        (lambda k: k.layers.Normalization(axis=None, mean=1, variance=0, invert=True), (3, 2)),
    ],
)
def test_layer(real_keras, make, shape):
    run_layer_test(real_keras, make, shape)


def test_bytes_are_scaled_as_floats():
    y = keras.layers.Rescaling(1 / 255)(np.array([[0, 255]], "uint8"))
    assert y.dtype == "float32"
    np.testing.assert_allclose(np.asarray(y), [[0, 1]])


@pytest.mark.parametrize(
    ("axis", "reduced"), [(-1, (0, 1)), (None, (0, 1, 2)), (1, (0, 2)), ((1, 2), (0,))]
)
@pytest.mark.parametrize("invert", [False, True])
def test_adapt(axis, reduced, invert):
    """Keras's own `adapt` needs TensorFlow, so the oracle is NumPy."""
    data = np.random.default_rng(0).normal(3, 5, size=(20, 4, 3)).astype("float32")
    data[:, 0, 0] = 2  # no variance
    layer = keras.layers.Normalization(axis=axis, invert=invert)
    layer.adapt(data)
    mean, variance = data.mean(reduced, keepdims=True), data.var(reduced, keepdims=True)
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    expected = mean + data * deviation if invert else (data - mean) / deviation
    np.testing.assert_allclose(np.asarray(layer(data)), expected, rtol=1e-4, atol=1e-4)
    in_batches = keras.layers.Normalization(axis=axis, invert=invert)
    in_batches.adapt(part for part in (data[:8], data[8:11], data[11:]))
    for mine, whole in zip(in_batches.get_weights(), layer.get_weights(), strict=True):
        np.testing.assert_allclose(mine, whole, rtol=1e-5, atol=1e-6)


def test_normalization_errors():
    with pytest.raises(ValueError, match="both `mean` and `variance`"):
        keras.layers.Normalization(mean=1)
    with pytest.raises(ValueError, match="same shape"):
        keras.layers.Normalization(mean=[1], variance=[1, 2])
    with pytest.raises(ValueError, match="empty"):
        keras.layers.Normalization().adapt([])
    layer = keras.layers.Normalization()
    layer.adapt(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="the data has 4 features"):
        layer.adapt(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="nothing to adapt"):
        keras.layers.Normalization(mean=1, variance=2).adapt(np.zeros((2, 3)))
