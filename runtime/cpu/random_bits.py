"""Threefry over whole arrays, in native code: the random bits of tensors that compute at once.

Each module holds one function for all sizes, keys and probabilities, so that it is compiled once
and then comes from the object cache.
"""

from __future__ import annotations

from collections.abc import Callable

from graphc.ops.random import Threefry
from graphc.runtime.cpu.emitter import Emitter, Module, Register
from graphc.runtime.cpu.target import Target

#: Vectors that are computed side by side, since each instruction waits for the one before.
_SIDE_BY_SIDE = 4

_BITS_OF = {"float32": "uint32", "float64": "uint64"}


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

        _each(e, count, write)
    return module


def dropout_module(target: Target, dtype: str) -> Module:
    """A module with ``dropout(x, y, count, first, second, greatest, keep)``.

    It computes `graphc.ops.random.Dropout` with the words of a key.

    Args:
        target: The processor.
        dtype: The type of ``x`` and ``y``: float32 or float64. ``greatest`` is the greatest word
            of an element that is kept, ``keep`` the bits of the probability in that type.
    """
    module = Module(target)
    pointers = [("x", "pointer"), ("y", "pointer")]
    names = ("count", "first", "second", "greatest", "keep")
    with module.function("dropout", pointers + [(name, "index") for name in names]) as e:
        x, y, count, *words, keep = e.arguments
        first, second, greatest = (e.cast(word, "uint32") for word in words)
        keep = e.bitcast(e.cast(keep, _BITS_OF[dtype]), dtype)

        def drop(place: Register, lanes: int) -> None:
            counter = e.add(e.broadcast(place, lanes), e.iota("index", lanes))
            key = [e.broadcast(part, lanes) for part in (first, second)]
            bits = Threefry(0).emit(e, e.cast(counter, "int64"), *key)
            kept = e.compare("le", bits, e.broadcast(greatest, lanes))
            larger = e.div(e.load(e.offset(x, place, dtype), dtype, lanes), keep)
            e.store(e.select(kept, larger, 0.0), e.offset(y, place, dtype))

        _each(e, count, drop)
    return module


def _each(e: Emitter, count: Register, write: Callable[[Register, int], None]) -> None:
    """Let a function write all elements: so many at a place, the last ones alone."""
    lanes = e.target.lanes("uint32") * _SIDE_BY_SIDE
    whole = e.mul(e.div(count, lanes), lanes)
    with e.loop(0, whole, lanes) as place:
        write(place, lanes)
    with e.loop(whole, count) as place:
        write(place, 1)
    e.ret()
