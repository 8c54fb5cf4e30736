"""Pooling against Keras on JAX, ties included, and its errors."""

import numpy as np
import pytest

from graphc.errors import DTypeError, ShapeError
from graphc.ir import Graph, TensorType, symbol
from graphc.ops.pool import (
    AveragePool,
    AveragePoolGradient,
    MaxPool,
    MaxPoolGradient,
    MaxPoolPick,
)
from graphc.ops.window import same_padding
from tests.ops.test_conv import FORMATS, image_shape, run

# spatial shape, window, strides
TABLE = [
    ((7,), (2,), (2,)),
    ((7,), (3,), (1,)),
    ((9,), (2,), (4,)),
    ((6, 8), (2, 2), (2, 2)),
    ((7, 7), (2, 2), (2, 2)),
    ((7, 8), (3, 2), (1, 3)),
    ((7, 8), (3, 3), (2, 2)),
    ((1, 1), (1, 1), (1, 1)),
    ((4, 5, 6), (2, 3, 2), (2, 1, 2)),
]
KINDS = {"max": MaxPool, "average": AveragePool}


@pytest.mark.parametrize("layout", ["last", "first"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize("case", TABLE, ids=str)
def test_pool_is_that_of_keras(keras, jax, case, kind, padding, layout):
    spatial, window, strides = case
    rng = np.random.default_rng(1)
    # Few different elements: most windows have several maxima.
    x = rng.integers(0, 3, image_shape(spatial, 3, layout)).astype("float32")
    pool = keras.ops.max_pool if kind == "max" else keras.ops.average_pool

    def pooled(x):
        return pool(x, window, strides, padding, data_format=FORMATS[layout])

    expected, pullback = jax.vjp(pooled, x)
    weights = rng.normal(size=expected.shape).astype("float32")
    ones, zeros = (1,) * len(spatial), ((0, 0),) * len(spatial)
    pads = same_padding(spatial, window, strides, ones) if padding == "same" else zeros
    y, dx = run(
        KINDS[kind](window=window, strides=strides, padding=pads, layout=layout),
        x,
        weights=weights,
    )
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(dx, pullback(weights)[0], rtol=1e-5, atol=1e-5)


def test_the_first_of_equal_maxima_takes_the_gradient():
    x = np.array([[[1.0], [5.0], [5.0], [np.nan], [5.0], [-np.inf]]])
    op = MaxPool(window=(3,), strides=(3,), padding=((0, 0),))
    y, dx = run(op, x, weights=np.array([[[2.0], [7.0]]]))
    np.testing.assert_array_equal(y.ravel(), [5, np.nan])
    np.testing.assert_array_equal(dx.ravel(), [0, 2, 0, 7, 0, 0])


def test_padding_never_takes_a_gradient():
    x = np.full((1, 2, 1), -np.inf)
    op = MaxPool(window=(2,), strides=(1,), padding=((1, 1),))
    y, dx = run(op, x, weights=np.array([[[1.0], [10.0], [100.0]]]))
    np.testing.assert_array_equal(y.ravel(), [-np.inf] * 3)
    np.testing.assert_array_equal(dx.ravel(), [11, 100])


def test_symbolic_sizes():
    graph = Graph("symbolic")
    batch, height = symbol("batch"), symbol("height")
    x = graph.input("x", TensorType((batch, height, 8, 3), "float32"))
    y = AveragePool(window=(2, 2), strides=(2, 2), padding=((0, 0), (0, 0)))(x)
    assert y.shape == (batch, height // 2, 4, 3)


F = "float32"
POOL = {"window": (2,), "strides": (2,), "padding": ((0, 0),)}


@pytest.mark.parametrize(
    ("op", "types", "error", "message"),
    [
        (MaxPool(**POOL), [((2, 1, 3), F)], ShapeError, "is larger than"),
        (MaxPool(**POOL), [((2, 4), F)], ShapeError, "image of rank 3, not 2"),
        (MaxPool(**POOL), [((2, 4, 3), "int32")], DTypeError, "not int32"),
        (MaxPool(**{**POOL, "window": (2, 2)}), [((2, 4, 3), F)], ShapeError, "no window"),
        (AveragePool(**{**POOL, "padding": ((2, 0),)}), [((2, 4, 3), F)], ShapeError, "hides"),
        (MaxPoolGradient(**POOL), [((2, 4, 3), F), ((2, 3, 3), F), ((2, 3, 3), F)], ShapeError,
         "pooling gives float32"),
        (MaxPoolGradient(**POOL), [((2, 4, 3), F), ((2, 2, 3), F), ((2, 2, 3), "float64")],
         DTypeError, "common"),
        (MaxPoolPick(**POOL), [((2, 4, 3), F), ((2, 2, 3), F), ((2, 2, 3), F)], ShapeError,
         "need the type"),
        (AveragePoolGradient(**POOL, spatial=(4,)), [((2, 3, 3), F)], ShapeError, "gives"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(op, types, error, message):
    with pytest.raises(error, match=message):
        op.infer(*[TensorType(*type) for type in types])
