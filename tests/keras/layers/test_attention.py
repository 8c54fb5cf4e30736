import numpy as np
import pytest

from graphc import keras
from tests.keras.layers.helper import run_layer_test


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda k: k.layers.EinsumDense("ab,bc->ac", 3, bias_axes="c"), (2, 4)),
        (lambda k: k.layers.EinsumDense("abc,cd->abd", (3, 3), "relu", "d"), (2, 3, 4)),
        (lambda k: k.layers.EinsumDense("...x,xy->...y", 3, bias_axes="y"), (2, 3, 4)),
        (lambda k: k.layers.EinsumDense("abc,cde->abde", (3, 2, 3), None, "de"), (2, 3, 4)),
        (lambda k: k.layers.EinsumDense("abc,bd->adc", (5, 4)), (2, 3, 4)),
    ],
)
def test_einsum_dense(real_keras, make, shape):
    run_layer_test(real_keras, make, shape)


@pytest.mark.parametrize(
    "make",
    [
        lambda k: k.layers.Attention(),
        lambda k: k.layers.Attention(use_scale=True),
        lambda k: k.layers.Attention(use_scale=True, score_mode="concat"),
        lambda k: k.layers.AdditiveAttention(),
        lambda k: k.layers.AdditiveAttention(use_scale=False),
    ],
)
def test_attention(real_keras, make):
    run_layer_test(real_keras, make, (2, 3, 4), (2, 5, 4))
    run_layer_test(
        real_keras,
        make,
        (2, 3, 4),
        (2, 3, 4),
        (2, 3, 4),
        call=lambda layer, tensors, k: layer(
            tensors, use_causal_mask=True, return_attention_scores=True
        ),
        gradients=False,
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda k: k.layers.MultiHeadAttention(2, 3),
        lambda k: k.layers.MultiHeadAttention(1, 2, use_bias=False),
        lambda k: k.layers.MultiHeadAttention(3, 2, output_shape=(5,), kernel_regularizer="l2"),
    ],
)
def test_multi_head_attention(real_keras, make):
    run_layer_test(
        real_keras,
        make,
        (2, 3, 4),
        (2, 5, 6),
        call=lambda layer, tensors, k: layer(*tensors),
    )
    run_layer_test(
        real_keras,
        make,
        (2, 3, 4),
        call=lambda layer, tensors, k: layer(
            tensors[0], tensors[0], use_causal_mask=True, return_attention_scores=True
        ),
        gradients=False,
    )


def test_values_of_another_size(real_keras):
    run_layer_test(
        real_keras,
        lambda k: k.layers.MultiHeadAttention(2, 3, value_dim=5),
        (2, 3, 4),
        (2, 5, 6),
        (2, 5, 2),
        call=lambda layer, tensors, k: layer(*tensors, return_attention_scores=True)[0],
    )


def test_attention_mask(real_keras):
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    mask = np.array([[[1, 0, 1], [1, 1, 0], [0, 0, 1]]] * 2, bool)
    run_layer_test(
        real_keras,
        lambda k: k.layers.MultiHeadAttention(2, 3),
        inputs=[x, mask],
        call=lambda layer, tensors, k: layer(tensors[0], tensors[0], attention_mask=tensors[1]),
    )


def test_errors():
    with pytest.raises(ValueError, match=r"\[query, value\]"):
        keras.layers.Attention()(np.zeros((2, 3, 4), "float32"))
    with pytest.raises(ValueError, match="`num_heads`"):
        keras.layers.MultiHeadAttention(0, 3)
    with pytest.raises(ValueError, match="query needs 3 axes"):
        x = np.zeros((2, 3), "float32")
        keras.layers.MultiHeadAttention(1, 3)(x, x)
    with pytest.raises(ValueError, match="equation"):
        keras.layers.EinsumDense("ab->a", 3)(np.zeros((2, 3), "float32"))
