"""Gradients of TensorFlow's names, and gradients of those, against finite differences in float64.

The others are thin functions over `keras.ops`, whose gradients are tested there.
"""

import numpy as np
import pytest

import graphc as tf

_rng = np.random.default_rng(5)


def _values(*shape, low=0.3, high=3.0):
    return _rng.uniform(low, high, shape)


#: Functions, and where.
CASES = {
    "lgamma": (tf.math.lgamma, _values(2, 7, low=0.4, high=12)),
    "lgamma of negative numbers": (tf.math.lgamma, np.array([-0.4, -1.4, -3.7])),
    "digamma": (tf.math.digamma, _values(2, 7, low=0.4, high=12)),
    "polygamma": (lambda x: tf.math.polygamma(3, x), _values(5)),
    "dct": (lambda x: tf.signal.dct(x, norm="ortho"), _values(2, 5)),
    "dct of the third type": (lambda x: tf.signal.dct(x, 3, n=7), _values(2, 5)),
    "mdct": (lambda x: tf.signal.mdct(x, 8), _values(20)),
    "inverse_mdct": (tf.signal.inverse_mdct, _values(3, 4)),
    "rfft2d": (tf.signal.rfft2d, _values(3, 4)),
    "inverse_stft": (
        lambda x: tf.signal.inverse_stft(tf.signal.stft(x, 8, 4) ** 2, 8, 4),
        _values(20),
    ),
    "weighted_moments": (
        lambda x: tf.nn.weighted_moments(x, [0], [[1.0], [3.0]])[1],
        _values(2, 3),
    ),
    "tensor_scatter_nd_max": (
        lambda x: tf.tensor_scatter_nd_max(x, [[0], [2]], x[:2] * 1.1),
        _values(4),
    ),
    "lbeta": (tf.math.lbeta, _values(2, 4)),
    "zeta by the start": (lambda x: tf.math.zeta(tf.constant(2.5, "float64"), x), _values(4)),
    "zeta by the exponent": (lambda x: tf.math.zeta(x, 1.5), _values(4, low=1.5)),
}


def weighted(result):
    """The sum of a result's elements, each with a weight of its own."""
    weights = np.sin(np.arange(1.0, 1.0 + result.size)).reshape(result.shape)
    return tf.reduce_sum(tf.abs(result) ** 2 if "complex" in result.dtype else result * weights)


def measured(function, x, direction):
    """A derivative by central differences, whose errors of low order cancel each other."""
    estimates = []
    for h in (4e-2, 2e-2, 1e-2, 5e-3):
        ahead, behind = (float(function(x + step * direction)) for step in (h, -h))
        estimates.append((ahead - behind) / (2 * h))
    for order in (4, 16, 64):
        pairs = zip(estimates, estimates[1:], strict=False)
        estimates = [(order * finer - coarser) / (order - 1) for coarser, finer in pairs]
    return estimates[0]


@pytest.mark.parametrize("compiled", [False, True], ids=["at once", "compiled"])
@pytest.mark.parametrize("name", CASES)
def test_as_finite_differences(name, compiled):
    function, x = CASES[name]
    direction = np.cos(np.arange(x.size)).reshape(x.shape)

    def total(x):
        return weighted(function(tf.convert_to_tensor(x)))

    def slope(x):
        return tf.reduce_sum(tf.grad(total)(tf.convert_to_tensor(x)) * direction)

    for derived, of in ((slope, total), (lambda x: tf.reduce_sum(tf.grad(slope)(x)), slope)):
        along = direction if of is total else np.ones_like(x)
        found = float((tf.function(derived) if compiled else derived)(tf.constant(x)))
        expected = measured(of, x, along)
        assert found == pytest.approx(expected, rel=1e-8 if of is slope else 1e-9, abs=1e-9)


def test_the_gradient_of_a_crop():
    # What is computed is linear in the image, and always float32.
    boxes = [[0.1, 0.2, 0.8, 0.9], [0.9, -0.5, 0.0, 0.7]]

    def total(x):
        return weighted(tf.image.crop_and_resize(x, boxes, [0, 1], (3, 2)))

    x = tf.constant(_values(2, 4, 5, 2).astype("float32"))
    slope = tf.grad(total)(tf.zeros_like(x))
    assert tf.reduce_sum(slope * x).item() == pytest.approx(total(x).item(), rel=1e-5)
