"""Python's operators on the bits of integers, against NumPy."""

import operator

import numpy as np
import pytest

import graphc as tf
from graphc import keras
from graphc.errors import DTypeError

SHIFTS = [operator.lshift, operator.rshift]
BITS = [operator.and_, operator.or_, operator.xor]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("function", [*SHIFTS, *BITS], ids=lambda f: f.__name__)
def test_as_numpy(function, dtype):
    limits = np.iinfo(dtype)
    x = np.array([[0, 1, 6, 100, limits.max, limits.min]], dtype).T
    y = np.array([0, 1, 3, limits.bits - 1, limits.bits, 2 * limits.bits - 1], dtype)
    expected = function(x, y)
    for found in (
        function(tf.constant(x), tf.constant(y)),
        function(tf.Variable(x), y),
        function(x, tf.constant(y)),
        tf.function(function)(tf.constant(x), tf.constant(y)),
    ):
        assert found.dtype == dtype
        np.testing.assert_array_equal(np.asarray(found), expected)


@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
def test_inverted(dtype):
    x = np.array([[0, 1, 100]]).astype(dtype)
    for found in (~tf.constant(x), tf.function(operator.invert)(tf.constant(x))):
        assert found.dtype == dtype
        np.testing.assert_array_equal(np.asarray(found), ~x)


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 1, 3)], ids=str)
def test_shapes(shape):
    x = np.ones(shape, "int32")
    for function in SHIFTS:
        np.testing.assert_array_equal(np.asarray(function(tf.constant(x), 2)), function(x, 2))
        np.testing.assert_array_equal(np.asarray(function(100, tf.constant(x))), function(100, x))


def test_bools_are_numbers_when_shifted():
    found = tf.constant([True, False]) << tf.constant([True, True])
    assert found.dtype == "int32"
    assert found.numpy().tolist() == [2, 0]


@pytest.mark.parametrize("function", [*SHIFTS, operator.invert], ids=lambda f: f.__name__)
def test_floats_have_no_bits(function):
    operands = [tf.constant(1.5)] if function is operator.invert else [tf.constant(1.5), 1]
    with pytest.raises(DTypeError, match="float32"):
        function(*operands)
    if function is not operator.invert:
        with pytest.raises(DTypeError, match="float"):
            function(tf.constant(1), 1.5)


def test_in_a_functional_model(tmp_path):
    inputs = keras.Input((3,), dtype="int32")
    model = keras.Model(inputs, [inputs << 2, 1 << inputs, inputs >> 1])
    data = np.array([[4, 5, 0], [1, 2, 3]], "int32")
    expected = [data << 2, 1 << data, data >> 1]
    model.save(tmp_path / "model.keras")
    for built in (model, keras.models.load_model(tmp_path / "model.keras")):
        for ours, wanted in zip(built.predict(data, verbose=0), expected, strict=True):
            np.testing.assert_array_equal(ours, wanted)
