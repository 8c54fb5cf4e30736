"""Random bits in native code: those of the op's own rule, on every kind of processor."""

import numpy as np
import pytest

from graphc import reference
from graphc.ops.random import Dropout, Threefry, greatest_word
from graphc.runtime.cpu.native import load_dropout, load_random_bits
from graphc.runtime.cpu.target import Target

KEY = (0x13198A2E, 0xFFFFFFFF)


TARGETS = pytest.mark.parametrize(
    "target", [Target.host(), Target.x86_64_v3(), Target.x86_64_baseline()], ids=lambda x: x.cpu
)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("word", [0, 1])
@TARGETS
def test_bits_are_those_of_the_op(target, word, dtype):
    write = load_random_bits(target, word, dtype)
    key = [np.array(part, np.uint32) for part in KEY]
    for count in (0, 1, 3, 15, 16, 63, 64, 65, 1000):
        index = (np.arange(count) * (2**40 + 7 if dtype == "int64" else 2**20)).astype(dtype)
        index &= np.iinfo(dtype).max  # indices are not negative
        bits = np.full(count + 1, 7, np.uint32)
        write(index.ctypes.data, bits.ctypes.data, count, *KEY)
        np.testing.assert_array_equal(bits[:-1], Threefry(word).evaluate(index, *key))
        assert bits[-1] == 7  # nothing is written behind the end


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@TARGETS
def test_dropout_is_that_of_the_op(target, dtype):
    drop = load_dropout(target, dtype)
    keep = np.array(0.7, dtype)
    words = int(keep.view(f"u{keep.itemsize}"))
    for count in (0, 1, 3, 15, 16, 63, 64, 65, 1000):
        x = np.linspace(-3, 3, count).astype(dtype)
        y = np.full(count + 1, 7, dtype)
        drop(x.ctypes.data, y.ctypes.data, count, *KEY, greatest_word(0.7), words)
        (expected,) = reference.apply(Dropout(0.7), x, np.array(KEY, np.uint32))
        np.testing.assert_array_equal(y[:-1], expected)
        assert y[-1] == 7
