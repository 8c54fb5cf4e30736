import numpy as np
import pytest

from graphc import keras
from graphc.errors import UnsupportedError
from tests.keras.layers.helper import run_layer_test


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda k: k.layers.BatchNormalization(), (4, 3)),
        (lambda k: k.layers.BatchNormalization(axis=1, momentum=0.5), (3, 2, 4, 5)),
        (lambda k: k.layers.BatchNormalization(epsilon=0.1), (2, 3, 4, 2)),
        (lambda k: k.layers.BatchNormalization(center=False, scale=False), (4, 3)),
        (lambda k: k.layers.BatchNormalization(scale=False, beta_regularizer="l2"), (4, 3)),
        (lambda k: k.layers.BatchNormalization(trainable=False), (4, 3)),
        (lambda k: k.layers.BatchNormalization(), (1, 1)),
        (lambda k: k.layers.BatchNormalization(), (1, 5)),
    ],
)
def test_batch_normalization(real_keras, make, shape, training):
    # With one sample the variance is 0, and Keras's and our rounding differ in what is left of it.
    run_layer_test(real_keras, make, shape, training=training, atol=2e-5)


def test_batch_normalization_with_a_mask(real_keras):
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    mask = np.array([[True, False, True], [True, True, False]])
    x[0, 1] = np.nan  # what is masked is not looked at

    def call(layer, tensors, k):
        y = layer(tensors[0], mask=tensors[1], training=True)
        return k.ops.where(k.ops.expand_dims(tensors[1], -1), y, 0)

    run_layer_test(
        real_keras,
        lambda k: k.layers.BatchNormalization(),
        inputs=[x, mask],
        call=call,
        gradients=False,
    )


def test_batch_normalization_follows_the_models_training_flag():
    layer = keras.layers.BatchNormalization()
    model = keras.Sequential([keras.Input((3,)), layer])
    x = np.random.default_rng(0).normal(5, 2, size=(8, 3)).astype("float32")
    model(x)
    assert not np.any(layer.moving_mean.numpy())
    model(x, training=True)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.01 * x.mean(0), rtol=1e-4)
    layer.trainable = False
    before = layer.moving_mean.numpy()
    model(x, training=True)
    np.testing.assert_array_equal(layer.moving_mean.numpy(), before)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda k: k.layers.LayerNormalization(), (4, 3)),
        (lambda k: k.layers.LayerNormalization(axis=[1, 2]), (2, 3, 4, 5)),
        (lambda k: k.layers.LayerNormalization(axis=1, epsilon=0.1), (2, 3, 4)),
        (lambda k: k.layers.LayerNormalization(center=False, scale=False), (4, 3)),
        (lambda k: k.layers.LayerNormalization(gamma_initializer="he_normal"), (2, 3, 4)),
        (lambda k: k.layers.GroupNormalization(2), (2, 5, 4)),
        (lambda k: k.layers.GroupNormalization(-1, axis=1, scale=False), (2, 3, 4, 2)),
        (lambda k: k.layers.GroupNormalization(3, axis=1), (2, 6, 4, 2)),
        (lambda k: k.layers.GroupNormalization(1, epsilon=0.1), (2, 6)),
        (lambda k: k.layers.RMSNormalization(), (2, 3, 4)),
        (lambda k: k.layers.RMSNormalization(epsilon=0.1), (2, 3)),
        (lambda k: k.layers.UnitNormalization(), (2, 3, 4)),
        (lambda k: k.layers.UnitNormalization(axis=[1, 2]), (2, 3, 4)),
    ],
)
def test_layer(real_keras, make, shape):
    run_layer_test(real_keras, make, shape, atol=1e-5)


def test_half_precision(real_keras):
    x = (np.random.default_rng(0).normal(size=(8, 3)) * 1e4).astype("float16")
    for make in (
        lambda k: k.layers.BatchNormalization(dtype="float16"),
        lambda k: k.layers.LayerNormalization(dtype="float16"),
    ):
        ours, theirs = (
            make(keras)(x, training=True)
            if make(keras).name.startswith("batch")
            else make(keras)(x),
            make(real_keras),
        )
        expected = theirs(x, training=True) if theirs.name.startswith("batch") else theirs(x)
        assert ours.dtype == "float16"
        np.testing.assert_allclose(np.asarray(ours), np.asarray(expected), rtol=2e-2, atol=2e-2)


def test_errors():
    with pytest.raises(ValueError, match="axis 4 is outside"):
        keras.layers.BatchNormalization(axis=4)(keras.Input((3,)))
    with pytest.raises(UnsupportedError, match="renorm=True is not supported"):
        keras.layers.BatchNormalization(renorm=True)
    with pytest.raises(TypeError, match="axis"):
        keras.layers.LayerNormalization(axis=1.5)
    with pytest.raises(ValueError, match="5 channels do not make 2 groups"):
        keras.layers.GroupNormalization(2)(keras.Input((3, 5)))
    with pytest.raises(ValueError, match="every size has to be known"):
        keras.layers.LayerNormalization()(keras.Input((None,)))
    layer = keras.layers.BatchNormalization(name="norm")
    layer(keras.Input((3,)))
    with pytest.raises(ValueError, match='"norm": input has 4 features'):
        layer(keras.Input((4,)))
