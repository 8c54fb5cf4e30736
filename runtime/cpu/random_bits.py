"""Threefry over whole arrays, in native code: the random bits of tensors that compute at once."""

from __future__ import annotations

from graphc.ops.random import Threefry
from graphc.runtime.cpu.emitter import Module, Register
from graphc.runtime.cpu.target import Target

#: Vectors that are computed side by side, since each instruction waits for the one before.
_SIDE_BY_SIDE = 4


def random_bits_module(target: Target, word: int, dtype: str) -> Module:
    """A module with ``random_bits(index, bits, count, first, second)``.

    It sets ``bits`` (uint32) for each ``index`` with the words of a key, as
    `graphc.ops.random.Threefry` says.

    Args:
        target: The processor.
        word: Which of the generator's two output words.
        dtype: The type of the indices: int32 or int64.
    """
    module = Module(target)
    pointers = [("index", "pointer"), ("bits", "pointer")]
    numbers = [(name, "index") for name in ("count", "first", "second")]
    with module.function("random_bits", pointers + numbers) as e:
        index, bits, count, *words = e.arguments
        key = [e.cast(part, "uint32") for part in words]

        def write(place: Register, lanes: int) -> None:
            counter = e.load(e.offset(index, place, dtype), dtype, lanes)
            parts = [e.broadcast(part, lanes) for part in key]
            e.store(Threefry(word).emit(e, counter, *parts), e.offset(bits, place, "uint32"))

        lanes = e.target.lanes("uint32") * _SIDE_BY_SIDE
        whole = e.mul(e.div(count, lanes), lanes)
        with e.loop(0, whole, lanes) as place:
            write(place, lanes)
        with e.loop(whole, count) as place:
            write(place, 1)
        e.ret()
    return module
