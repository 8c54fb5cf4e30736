"""The order of rows in an epoch, in native code; `graphc.shuffle` says what it is."""

from __future__ import annotations

from graphc.runtime.cpu.emitter import Emitter, Module, Register
from graphc.runtime.cpu.target import Target
from graphc.runtime.cpu.vector_math_core import any_lane
from graphc.shuffle import ROUNDS

#: Vectors that are mixed side by side: each step waits for the one before, other vectors do not.
_VECTORS = 4


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
        last = e.broadcast(e.cast(e.sub(count, 1), "uint32"), lanes)
        end = e.add(e.cast(words[0], "index"), 1)
        # There are more than a thousand numbers, a power of two.
        with e.carry(0, end, lanes * _VECTORS, [e.index(0)]) as loop:
            first = e.add(e.iota("uint32", lanes), e.cast(loop.index, "uint32"))
            places = [e.add(first, lanes * i) for i in range(_VECTORS)]
            written = loop.values[0]
            for vector in _mixed(e, places, key_vectors):
                written = _write_rows(e, vector, last, values, numbers, written)
            loop.values = [written]
        e.ret()
    return module


def _mixed(e: Emitter, vectors: list[Register], key: list[Register]) -> list[Register]:
    mask, distance, *rounds = key
    for factor, summand in zip(rounds[::2], rounds[1::2], strict=True):
        vectors = [e.bitwise_and(e.add(e.mul(x, factor), summand), mask) for x in vectors]
        vectors = [e.bitwise_xor(x, e.shift_right(x, distance)) for x in vectors]
    return vectors


def _write_rows(
    e: Emitter,
    vector: Register,
    last: Register,
    values: Register,
    numbers: Register,
    written: Register,
) -> Register:
    """Append those numbers of a vector that are rows; gives how many there are then."""

    def some() -> list[Register]:
        # A number that is no row is written over by the next one.
        count = written
        e.store(vector, values)
        limit = e.extract(last, 0)
        for lane in range(vector.lanes):
            number = e.load(e.offset(values, lane, "uint32"), "uint32")
            e.store(e.cast(number, "index"), e.offset(numbers, count, "index"))
            is_row = e.compare("le", number, limit)
            count = e.add(count, e.select(is_row, e.index(1), e.index(0)))
        return [count]

    def all_of_them() -> list[Register]:
        e.store(e.cast(vector, "index"), e.offset(numbers, written, "index"))
        return [e.add(written, vector.lanes)]

    return e.choose(any_lane(e, e.compare("gt", vector, last)), some, all_of_them)[0]
