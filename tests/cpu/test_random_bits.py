"""Random bits in native code: those of the op's own rule, on every kind of processor."""

import numpy as np
import pytest

from graphc.ops.random import Threefry
from graphc.runtime.cpu.native import load_random_bits
from graphc.runtime.cpu.target import Target

KEY = (0x13198A2E, 0xFFFFFFFF)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("word", [0, 1])
@pytest.mark.parametrize(
    "target", [Target.host(), Target.x86_64_v3(), Target.x86_64_baseline()], ids=lambda x: x.cpu
)
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
