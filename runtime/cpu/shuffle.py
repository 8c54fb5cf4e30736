"""The order of rows in an epoch, in native code; `graphc.shuffle` says what it is."""

from __future__ import annotations

from graphc.runtime.cpu.emitter import Emitter, Module, Register
from graphc.runtime.cpu.target import Target
from graphc.shuffle import ROUNDS


def shuffle_module(target: Target) -> Module:
    """A module with ``shuffle(key, numbers, count)``.

    ``numbers`` has room for one int64 more than there are rows.
    """
    module = Module(target)
    parameters = [("key", "pointer"), ("numbers", "pointer"), ("count", "index")]
    with module.function("shuffle", parameters) as e:
        key, numbers, count = e.arguments
        lanes = e.target.lanes("uint32")
        words = [e.load(e.offset(key, i, "uint32"), "uint32") for i in range(2 + 2 * ROUNDS)]
        key_vectors = [e.broadcast(word, lanes) for word in words]
        values = e.stack("uint32", lanes)
        end = e.add(e.cast(words[0], "index"), 1)
        with e.carry(0, end, lanes, [e.index(0)]) as loop:
            place = e.add(e.iota("uint32", lanes), e.cast(loop.index, "uint32"))
            e.store(_mixed(e, place, key_vectors), values)
            # A number that is no row is written over by the next one.
            written = loop.values[0]
            for lane in range(lanes):
                number = e.cast(e.load(e.offset(values, lane, "uint32"), "uint32"), "index")
                e.store(number, e.offset(numbers, written, "index"))
                is_row = e.compare("lt", number, count)
                written = e.add(written, e.select(is_row, e.index(1), e.index(0)))
            loop.values = [written]
        e.ret()
    return module


def _mixed(e: Emitter, x: Register, key: list[Register]) -> Register:
    mask, distance, *rounds = key
    for factor, summand in zip(rounds[::2], rounds[1::2], strict=True):
        x = e.bitwise_and(e.add(e.mul(x, factor), summand), mask)
        x = e.bitwise_xor(x, e.shift_right(x, distance))
    return x
