import numpy as np
import pytest

from graphc import keras
from tests.keras.layers.helper import run_layer_test


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda k: k.layers.Dense(3), (2, 5)),
        (lambda k: k.layers.Dense(1, activation="relu", use_bias=False), (1, 1)),
        (lambda k: k.layers.Dense(4, "softmax"), (3, 7, 2)),
        (lambda k: k.layers.Dense(4, "tanh"), (0, 6)),
        (
            lambda k: k.layers.Dense(
                2,
                activation=k.activations.elu,
                kernel_initializer=k.initializers.HeNormal(seed=3),
                kernel_regularizer=k.regularizers.L2(0.1),
                bias_regularizer="l1",
                kernel_constraint=k.constraints.MaxNorm(2),
                bias_constraint="non_neg",
            ),
            (2, 3, 4, 5),
        ),
        (lambda k: k.layers.Activation("gelu"), (2, 3)),
        (lambda k: k.layers.Activation(k.activations.softsign), (2, 3)),
        (lambda k: k.layers.Identity(), (2, 3)),
        (lambda k: k.layers.Masking(), (2, 3, 4)),
    ],
)
def test_layer(real_keras, make, shape):
    run_layer_test(real_keras, make, shape)


@pytest.mark.parametrize("shape", [(2, 4), (1, 1), (3, 2, 2), (0, 3)])
@pytest.mark.parametrize("dtype", ["int32", "uint8", "float32"])
def test_embedding(real_keras, shape, dtype):
    inputs = np.random.default_rng(0).integers(0, 5, shape).astype(dtype)
    run_layer_test(real_keras, lambda k: k.layers.Embedding(5, 3, mask_zero=True), inputs=[inputs])


def test_embedding_keras2_spellings():
    table = np.arange(6.0).reshape(3, 2)
    with pytest.warns(UserWarning, match="input_length"):
        layer = keras.layers.Embedding(3, 2, input_length=4, weights=[table])
    np.testing.assert_array_equal(layer.get_weights()[0], table)
    with pytest.warns(UserWarning, match="input_length"):
        model = keras.Sequential([keras.layers.Embedding(3, 2, input_length=4)])
    assert model.output_shape == (None, 4, 2)


def test_masking_hides_steps_from_layers_behind(real_keras):
    x = np.ones((2, 3, 2), "float32")
    x[0, 1] = 0
    x[1, 2] = [0, 1]

    def masked_mean(k):
        inputs = k.Input((3, 2))
        y = k.layers.GlobalAveragePooling1D()(k.layers.Masking()(inputs))
        return k.Model(inputs, y)

    np.testing.assert_allclose(masked_mean(keras)(x), np.asarray(masked_mean(real_keras)(x)))


def double(x):
    return x * 2 + 1


def test_lambda(real_keras):
    keras.saving.register_keras_serializable("tests")(double)
    real_keras.saving.register_keras_serializable("tests")(double)
    run_layer_test(real_keras, lambda k: k.layers.Lambda(double), (2, 3))


def test_lambda_with_arguments_training_and_mask():
    seen = {}

    def function(x, mask=None, training=None, factor=1):
        seen.update(mask=mask, training=training)
        return x * factor

    layer = keras.layers.Lambda(function, arguments={"factor": 3}, mask=lambda x, mask: mask)
    x = keras.ops.ones((1, 2, 2))
    x.mask = keras.ops.convert_to_tensor([[True, False]])
    y = layer(x, training=True)
    assert np.asarray(y).tolist() == [[[3, 3], [3, 3]]]
    assert seen["training"] is True
    assert np.asarray(seen["mask"]).tolist() == [[True, False]]
    assert np.asarray(y.mask).tolist() == [[True, False]]
    with pytest.raises(TypeError, match="lambda"):
        keras.layers.Lambda(lambda x: x).get_config()


@pytest.mark.parametrize("units", [0, -3, 2.5, "10", None, True])
def test_units_have_to_be_a_positive_integer(units):
    with pytest.raises(ValueError, match="`units` should be a positive integer"):
        keras.layers.Dense(units)


def test_dense_refuses_another_number_of_features():
    layer = keras.layers.Dense(3, name="hidden")
    layer(np.zeros((2, 4), "float32"))
    with pytest.raises(ValueError, match='Dense "hidden".*5 features.*built for 4'):
        layer(np.zeros((2, 5), "float32"))
    with pytest.raises(ValueError, match="at least 2 axes"):
        keras.layers.Dense(3)(np.zeros(4, "float32"))
    with pytest.raises(ValueError, match="every size has to be known"):
        keras.layers.Dense(3)(keras.Input((None,)))


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ValueError, match="relu"):
        keras.layers.Dense(3, activation="rellu")
    with pytest.raises(ValueError, match="he_normal"):
        keras.layers.Dense(3, kernel_initializer="he_norml")
    with pytest.raises(TypeError, match="unknown argument.*activaton"):
        keras.layers.Dense(3, activaton="relu")


def test_dense_in_other_types(real_keras):
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    for dtype in ("float64", "float16", "mixed_bfloat16"):
        layer = keras.layers.Dense(2, dtype=dtype)
        y = layer(x)
        assert y.dtype == dtype.removeprefix("mixed_")
        assert layer.kernel.dtype == ("float32" if dtype.startswith("mixed") else dtype)


def test_weights_argument_and_legacy_input_shape():
    kernel, bias = np.ones((2, 3)), np.arange(3.0)
    layer = keras.layers.Dense(3, input_dim=2, weights=[kernel, bias])
    model = keras.Sequential([layer])
    np.testing.assert_array_equal(model(np.ones((1, 2), "float32")), [[2, 3, 4]])
