"""The emitter against NumPy: every instruction, every dtype, scalar and vector, edge values."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest

from graphc.runtime.cpu import jit
from graphc.runtime.cpu.emitter import Emitter, Module, Parameter, Register
from graphc.runtime.cpu.target import Target

FLOATS = ("float16", "bfloat16", "float32", "float64")
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGERS = SIGNED + UNSIGNED
NUMBERS = FLOATS + INTEGERS
ALL = (*NUMBERS, "bool")
TARGETS = [Target.host(), Target.x86_64_v3(), Target.x86_64_baseline()]
ON_X86_64 = TARGETS[0].triple.startswith("x86_64")


def numpy_dtype(dtype: str) -> np.dtype:
    return np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)


def edge_values(dtype: str) -> np.ndarray:
    """Values where mistakes live, then ordinary ones; the count is no multiple of any lanes."""
    kind = numpy_dtype(dtype)
    random = np.random.default_rng(3)
    if dtype == "bool":
        return np.array([False, True, True, False, True])
    if dtype in FLOATS:
        limits = ml_dtypes.finfo(kind)
        special = [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -0.5, -2.5, 3.0, -7.0, 0.1, 255.0]
        special += [np.inf, -np.inf, np.nan, float(limits.smallest_subnormal)]
        edges = np.array([limits.max, limits.min, limits.tiny, limits.eps], kind)
        ordinary = random.normal(size=20) * 10
        return np.concatenate([np.array(special, kind), edges, ordinary.astype(kind)])
    limits = np.iinfo(dtype)
    special = [0, 1, 2, 3, 7, 8, limits.max, limits.max - 1, limits.min, limits.min + 1]
    if limits.min < 0:
        special += [-1, -2, -7]
    ordinary = random.integers(limits.min, limits.max, 20, kind, endpoint=True)
    return np.concatenate([np.array(special, kind), ordinary])


def pairs(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    values = edge_values(dtype)
    x, y = np.meshgrid(values, values)
    return x.ravel().copy(), y.ravel().copy()


def compile_elementwise(
    body: Callable[..., Register], dtypes: tuple[str, ...], lanes: int, target: Target
) -> tuple[Callable[..., None], str]:
    """A native function `(inputs..., output, count)` that applies an emitter's code."""
    module = Module(target)
    names = [(f"x{i}", "pointer") for i in range(len(dtypes))]
    result = ""
    with module.function("apply", [*names, ("out", "pointer"), ("count", "index")]) as e:
        *inputs, out, count = e.arguments
        with e.loop(0, count, lanes) as i:
            mask = None if lanes == 1 else e.tail_mask(e.sub(count, i), lanes)
            loaded = [
                e.load(e.offset(x, i, dtype), dtype, lanes, mask)
                for x, dtype in zip(inputs, dtypes, strict=True)
            ]
            value = body(e, *loaded)
            result = value.dtype
            e.store(value, e.offset(out, i, result), mask)
    types = [ctypes.c_void_p] * (len(dtypes) + 1) + [ctypes.c_int64]
    library = jit.load_object(jit.emit_object(module.text(), target))
    return library.function("apply", types), result


def apply(
    body: Callable[..., Register],
    *arrays: np.ndarray,
    dtypes: tuple[str, ...] = (),
    lanes: int = 1,
    target: Target = TARGETS[0],
) -> np.ndarray:
    dtypes = dtypes or tuple(str(x.dtype) for x in arrays)
    function, result = compile_elementwise(body, dtypes, lanes, target)
    guard = 64
    out = np.zeros(len(arrays[0]) + guard, numpy_dtype(result))
    function(*(x.ctypes.data for x in arrays), out.ctypes.data, len(arrays[0]))
    assert not out[len(arrays[0]) :].view(np.uint8).any(), "wrote behind the end"
    return out[: len(arrays[0])]


def check(expected: np.ndarray, got: np.ndarray, *inputs: np.ndarray) -> None:
    """Equal, NaN to NaN; zeros of either sign are equal."""
    expected = np.asarray(expected)
    assert got.dtype == expected.dtype
    same = (got == expected) | ((got != got) & (expected != expected))
    if not same.all():
        where = int(np.argmin(same))
        values = [x[where] for x in inputs]
        pytest.fail(f"{values} -> {got[where]!r}, expected {expected[where]!r}")


BINARY: dict[str, tuple[Callable[..., Register], Callable[..., np.ndarray], tuple[str, ...]]] = {
    "add": (lambda e, x, y: e.add(x, y), np.add, ALL),
    "sub": (lambda e, x, y: e.sub(x, y), np.subtract, NUMBERS),
    "mul": (lambda e, x, y: e.mul(x, y), np.multiply, ALL),
    "div": (lambda e, x, y: e.div(x, y), np.divide, FLOATS),
    "integer div": (lambda e, x, y: e.div(x, y), np.floor_divide, INTEGERS),
    "floor_divide": (lambda e, x, y: e.floor_divide(x, y), np.floor_divide, ("float32", "float64")),
    "remainder": (lambda e, x, y: e.remainder(x, y), np.remainder, ("float32", *INTEGERS)),
    "remainder 64": (lambda e, x, y: e.remainder(x, y), np.remainder, ("float64", "float16")),
    "fmod": (lambda e, x, y: e.truncated_remainder(x, y), np.fmod, ("float32", *INTEGERS)),
    "minimum": (lambda e, x, y: e.minimum(x, y), np.minimum, ALL),
    "maximum": (lambda e, x, y: e.maximum(x, y), np.maximum, ALL),
    "copy_sign": (lambda e, x, y: e.copy_sign(x, y), np.copysign, ("float16", "float32")),
    "lt": (lambda e, x, y: e.compare("lt", x, y), np.less, ALL),
    "le": (lambda e, x, y: e.compare("le", x, y), np.less_equal, ALL),
    "gt": (lambda e, x, y: e.compare("gt", x, y), np.greater, ALL),
    "ge": (lambda e, x, y: e.compare("ge", x, y), np.greater_equal, ALL),
    "eq": (lambda e, x, y: e.compare("eq", x, y), np.equal, ALL),
    "ne": (lambda e, x, y: e.compare("ne", x, y), np.not_equal, ALL),
    "select": (
        lambda e, x, y: e.select(e.compare("lt", x, y), x, y),
        lambda x, y: np.where(x < y, x, y),
        ALL,
    ),
    "logical_and": (lambda e, x, y: e.logical_and(x, y), np.logical_and, ALL),
    "logical_or": (lambda e, x, y: e.logical_or(x, y), np.logical_or, ALL),
    "logical_xor": (lambda e, x, y: e.logical_xor(x, y), np.logical_xor, ALL),
    "bitwise_and": (lambda e, x, y: e.bitwise_and(x, y), np.bitwise_and, (*INTEGERS, "bool")),
    "bitwise_or": (lambda e, x, y: e.bitwise_or(x, y), np.bitwise_or, (*INTEGERS, "bool")),
    "bitwise_xor": (lambda e, x, y: e.bitwise_xor(x, y), np.bitwise_xor, (*INTEGERS, "bool")),
    "shift_left": (lambda e, x, y: e.shift_left(x, y), np.left_shift, INTEGERS),
    "shift_right": (lambda e, x, y: e.shift_right(x, y), np.right_shift, INTEGERS),
}
UNARY: dict[str, tuple[Callable[..., Register], Callable[..., np.ndarray], tuple[str, ...]]] = {
    "negate": (lambda e, x: e.negate(x), np.negative, NUMBERS),
    "absolute": (lambda e, x: e.absolute(x), np.abs, NUMBERS),
    "sqrt": (lambda e, x: e.sqrt(x), np.sqrt, FLOATS),
    "floor": (lambda e, x: e.floor(x), np.floor, FLOATS),
    "ceil": (lambda e, x: e.ceil(x), np.ceil, FLOATS),
    "round": (lambda e, x: e.round(x), np.rint, FLOATS),
    "trunc": (lambda e, x: e.trunc(x), np.trunc, FLOATS),
    "is_nan": (lambda e, x: e.is_nan(x), np.isnan, FLOATS),
    "logical_not": (lambda e, x: e.logical_not(x), np.logical_not, ALL),
    "bitwise_not": (lambda e, x: e.bitwise_not(x), np.invert, (*INTEGERS, "bool")),
    "add a number": (lambda e, x: e.add(x, 3), lambda x: x + x.dtype.type(3), NUMBERS),
    "number minus": (lambda e, x: e.sub(3, x), lambda x: x.dtype.type(3) - x, NUMBERS),
    "relu": (lambda e, x: e.maximum(x, 0), lambda x: np.maximum(x, x.dtype.type(0)), NUMBERS),
    "min 6": (lambda e, x: e.minimum(6, x), lambda x: np.minimum(x, x.dtype.type(6)), NUMBERS),
    "div by 7": (lambda e, x: e.div(x, 7), lambda x: x // x.dtype.type(7), INTEGERS),
    "mod by 7": (lambda e, x: e.remainder(x, 7), lambda x: x % x.dtype.type(7), INTEGERS),
}
CASES = [
    pytest.param(body, oracle, dtype, id=f"{name}-{dtype}")
    for table in (BINARY, UNARY)
    for name, (body, oracle, dtypes) in table.items()
    for dtype in dtypes
]


@pytest.mark.skipif(not ON_X86_64, reason="runs code for x86-64")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("body", "oracle", "dtype"), CASES)
def test_elementwise(body: Callable, oracle: Callable, dtype: str) -> None:
    arity = body.__code__.co_argcount - 1
    inputs = pairs(dtype) if arity == 2 else (edge_values(dtype),)
    expected = np.asarray(oracle(*inputs))
    for target, lanes in zip(TARGETS, (16, 1, 4), strict=True):
        got = apply(body, *inputs, dtypes=(dtype,) * arity, lanes=lanes, target=target)
        check(expected, got, *inputs)


@pytest.mark.skipif(not ON_X86_64, reason="out-of-range results are those of x86-64")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("target", TARGETS, ids=["host", "avx2", "sse2"])
@pytest.mark.parametrize("old", ALL)
def test_cast(old: str, target: Target) -> None:
    for new in ALL:
        values = edge_values(old)
        if old in FLOATS and new in INTEGERS:
            limits = np.iinfo(new)
            wide = values.astype(np.float64)
            inside = (wide > max(limits.min, -(2.0**62))) & (wide < min(limits.max, 2**62))
            values = values[inside]
        for lanes in (1, 8):
            got = apply(
                lambda e, x, new=new: e.cast(x, new),
                values,
                dtypes=(old,),
                lanes=lanes,
                target=target,
            )
            check(values.astype(numpy_dtype(new)), got, values)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("lanes", [1, 16])
def test_every_half_precision_number_converts(lanes: int) -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)
    for dtype in ("float16", "bfloat16"):
        halves = bits.view(numpy_dtype(dtype))
        for target in TARGETS if ON_X86_64 else TARGETS[:1]:
            wide = apply(
                lambda e, x: e.cast(x, "float32"),
                halves,
                dtypes=(dtype,),
                lanes=lanes,
                target=target,
            )
            check(halves.astype(np.float32), wide, halves)
            back = apply(
                lambda e, x, dtype=dtype: e.cast(x, dtype), wide, lanes=lanes, target=target
            )
            check(halves, back, wide)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_rounding_to_half_precision_is_to_nearest_even(dtype: str) -> None:
    kind = numpy_dtype(dtype)
    halves = np.arange(0, 0x7C00 if dtype == "float16" else 0x7F80, dtype=np.uint16).view(kind)
    exact = halves.astype(np.float64)
    ties = (exact[:-1] + exact[1:]) / 2
    nudge = np.concatenate([ties, np.nextafter(ties, 0), np.nextafter(ties, np.inf), -ties])
    low, high = np.concatenate([exact[:-1]] * 3), np.concatenate([exact[1:]] * 3)
    even_low = (halves.view(np.uint16)[:-1] & 1) == 0
    count = len(ties)
    expected = np.where(np.concatenate([even_low, even_low | True, even_low & False]), low, high)
    expected = np.concatenate([expected, -expected[:count]])
    for target in TARGETS if ON_X86_64 else TARGETS[:1]:
        got = apply(lambda e, x: e.cast(x, dtype), nudge, lanes=8, target=target)
        check(expected, got.astype(np.float64), nudge)


def test_fma_rounds_once_where_the_target_can() -> None:
    x = np.array([1 + 2.0**-12], np.float32)
    y = np.array([-(1 + 2.0**-11)], np.float32)
    got = apply(lambda e, a, c: e.fma(a, a, c), x, y)
    exact = np.float32(2.0**-24) if TARGETS[0].has_fma else np.float32(x[0] * x[0] + y[0])
    assert got[0] == exact


def test_constants_are_rounded_and_wrapped_as_numpy_does() -> None:
    for dtype in ALL:
        numbers = edge_values(dtype)
        for number in numbers.tolist():
            got = apply(
                lambda e, x, n=number: e.constant(n, x.dtype, x.lanes),
                numbers[:3].copy(),
                dtypes=(dtype,),
                lanes=4,
            )
            check(np.array([number] * 3, numpy_dtype(dtype)), got)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "bool", "float16"])
def test_gather_and_scatter(dtype: str) -> None:
    random = np.random.default_rng(0)
    table = random.integers(0, 2 if dtype == "bool" else 100, 50).astype(dtype)
    picks = random.permutation(50)[:21].astype(np.int64)
    module = Module(TARGETS[0])
    names = [("table", "pointer"), ("picks", "pointer"), ("out", "pointer"), ("count", "index")]
    for lanes in (1, 8):
        with module.function(f"move{lanes}", names) as e:
            source, where, out, count = e.arguments
            with e.loop(0, count, lanes) as i:
                mask = e.tail_mask(e.sub(count, i), lanes)
                indices = e.load(e.offset(where, i, "int64"), "int64", lanes, mask)
                e.scatter(e.gather(source, indices, dtype, mask), out, indices, mask)
    library = jit.load_object(jit.emit_object(module.text(), module.target))
    for lanes in (1, 8):
        out = np.zeros_like(table)
        types = [ctypes.c_void_p] * 3 + [ctypes.c_int64]
        move = library.function(f"move{lanes}", types)
        move(table.ctypes.data, picks.ctypes.data, out.ctypes.data, len(picks))
        expected = np.zeros_like(table)
        expected[picks] = table[picks]
        check(expected, out)


@pytest.mark.parametrize("lanes", [1, 2, 16])
def test_reductions_follow_a_fixed_tree(lanes: int) -> None:
    x = np.random.default_rng(1).normal(size=lanes).astype(np.float32)

    def tree(values: np.ndarray, combine: Callable) -> np.float32:
        while len(values) > 1:
            half = len(values) // 2
            values = combine(values[:half], values[half:])
        return values[0]

    for name, combine in (
        ("reduce_add", np.add),
        ("reduce_mul", np.multiply),
        ("reduce_min", np.minimum),
        ("reduce_max", np.maximum),
    ):
        got = apply(
            lambda e, v, name=name: e.broadcast(getattr(e, name)(v), v.lanes), x, lanes=lanes
        )
        assert got[0] == tree(x, combine)
    x[-1] = np.nan
    assert np.isnan(apply(lambda e, v: e.broadcast(e.reduce_max(v), lanes), x, lanes=lanes)[0])


def run_scalar(build: Callable[[Emitter, Register], Register], argument: int) -> int:
    module = Module(TARGETS[0])
    with module.function("f", [("n", "index")], "index") as e:
        e.ret(build(e, e.arguments[0]))
    library = jit.load_object(jit.emit_object(module.text(), module.target))
    return library.function("f", [ctypes.c_int64], ctypes.c_int64)(argument)


@pytest.mark.parametrize("n", [-3, 0, 1, 2, 7])
def test_nested_loops_carry_values(n: int) -> None:
    def build(e: Emitter, count: Register) -> Register:
        with e.carry(0, count, 1, [e.index(100)]) as outer:
            with e.carry(outer.index, count, 2, outer.values) as inner:
                with e.if_(e.compare("eq", inner.index, 1)):
                    e.spin_hint()
                inner.values[0] = e.add(inner.values[0], inner.index)
            outer.values = inner.results
        return outer.results[0]

    expected = 100 + sum(i for start in range(n) for i in range(start, n, 2))
    assert run_scalar(build, n) == expected


@pytest.mark.parametrize("n", [0, 1, 13])
def test_while_stack_and_choose(n: int) -> None:
    """The number of turns of the Collatz sequence, kept on the stack."""

    def build(e: Emitter, start: Register) -> Register:
        number, turns = e.stack("int64"), e.stack("index")
        e.store(e.cast(start, "int64"), number)
        e.store(e.index(0), turns)
        with e.while_(lambda: e.compare("gt", e.load(number, "int64"), 1)):
            x = e.load(number, "int64")
            odd = e.compare("eq", e.bitwise_and(x, 1), 1)
            (following,) = e.choose(
                odd, lambda: [e.add(e.mul(x, 3), 1)], lambda: [e.shift_right(x, 1)]
            )
            e.store(following, number)
            e.store(e.add(e.load(turns, "index"), 1), turns)
        return e.load(turns, "index")

    x, turns = n, 0
    while x > 1:
        x, turns = (3 * x + 1 if x & 1 else x >> 1), turns + 1
    assert run_scalar(build, n) == turns


def test_atomics() -> None:
    def build(e: Emitter, start: Register) -> Register:
        slot = e.stack("index")
        e.atomic_store(start, slot)
        before = e.fetch_add(slot, e.index(5))
        e.fence()
        held, swapped = e.compare_exchange(slot, e.index(15), e.index(40))
        _, refused = e.compare_exchange(slot, e.index(1), e.index(2))
        total = e.add(e.add(before, held), e.atomic_load(slot, "index"))
        flags = e.add(e.cast(swapped, "index"), e.mul(e.cast(refused, "index"), 1000))
        return e.add(total, flags)

    assert run_scalar(build, 10) == 10 + 15 + 40 + 1


def test_calls_globals_and_function_pointers() -> None:
    module = Module(TARGETS[0])
    content = module.data("table", np.array([3, 4, 5], np.int32).tobytes())
    counter = module.variable("counter", "index")
    with module.function("twice", [("x", "index")], "index", internal=True, noinline=True) as e:
        e.store(e.add(e.load(counter, "index"), 1), counter)
        e.ret(e.add(e.arguments[0], e.arguments[0]))
    with module.function("flag", [Parameter("x", "bool")], "bool") as e:
        e.ret(e.logical_not(e.arguments[0]))
    with module.function("main", [("n", "index")], "index") as e:
        third = e.cast(e.load(e.offset(content, 2, "int32"), "int32"), "index")
        direct = e.call("twice", "index", third)
        behind = e.call(module.address_of("twice"), "index", e.arguments[0])
        flag = e.call("flag", "bool", e.compare("gt", e.arguments[0], 0))
        count = e.load(counter, "index")
        e.ret(e.add(e.add(e.add(direct, behind), e.mul(count, 1000)), e.cast(flag, "index")))
    library = jit.load_object(jit.emit_object(module.text(), module.target))
    main = library.function("main", [ctypes.c_int64], ctypes.c_int64)
    assert main(7) == 10 + 14 + 1000 * 2
    assert main(0) == 10 + 0 + 1000 * 4 + 1


def test_vectors_and_bools_pass_through_functions() -> None:
    module = Module(TARGETS[0])
    lanes = 16
    parameters = [Parameter("x", "float32", lanes), Parameter("up", "bool")]
    with module.function(
        "shift", parameters, "float32", result_lanes=lanes, internal=True, noinline=True
    ) as e:
        x, up = e.arguments
        e.ret(e.select(up, e.add(x, 1), e.sub(x, 1)))
    with module.function("f", [("x", "pointer")]) as e:
        x = e.load(e.arguments[0], "float32", lanes)
        first = e.compare("gt", e.extract(x, 1), 0.5)
        up = e.call("shift", "float32", x, first, lanes=lanes)
        e.store(e.call("shift", "float32", up, first, lanes=lanes), e.arguments[0])
    library = jit.load_object(jit.emit_object(module.text(), module.target))
    for x in (np.arange(lanes, dtype=np.float32), np.zeros(lanes, np.float32)):
        expected = x + (2 if x[1] else -2)
        library.function("f", [ctypes.c_void_p])(x.ctypes.data)
        check(expected, x)


def test_math_functions_come_from_the_table() -> None:
    module = Module(TARGETS[0], {"cube": lambda e, x: e.mul(e.mul(x, x), x)})
    with module.function("f", [("x", "float64")], "float64") as e:
        half = e.math("cube", e.cast(e.arguments[0], "float16"))
        assert half.dtype == "float16"
        e.ret(e.add(e.math("cube", e.arguments[0]), e.cast(half, "float64")))
        with pytest.raises(NotImplementedError, match="'exp'; known: cube"):
            e.math("exp", e.arguments[0])
    library = jit.load_object(jit.emit_object(module.text(), module.target))
    assert library.function("f", [ctypes.c_double], ctypes.c_double)(2.0) == 16.0


def test_mistakes_are_named() -> None:
    module = Module(TARGETS[0])
    e = module.function("f", [("x", "float32"), ("n", "int32")])
    with pytest.raises(TypeError, match="float32 and int32"):
        e.add(*e.arguments)
    with pytest.raises(ValueError, match="power of two"):
        e.reduce_add(e.broadcast(e.arguments[0], 3))
    with pytest.raises(ValueError, match="keeps the size"):
        e.bitcast(e.arguments[0], "float64")
    with pytest.raises(RuntimeError, match="not ended: f"):
        module.text()
    with pytest.raises(ValueError, match="already has a function 'f'"):
        module.function("f")
    with pytest.raises(RuntimeError, match="must end in ret"), module.function("g", [], "index"):
        pass


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int8", "bool", "bfloat16"])
def test_tails_of_known_length(dtype: str, target: Target) -> None:
    lanes = target.lanes(dtype)
    module = Module(target)
    for count in range(lanes + 2):
        with module.function(f"copy{count}", [("x", "pointer"), ("y", "pointer")]) as e:
            x, y = e.arguments
            mask = e.tail_mask(count, lanes)
            value = e.load(x, dtype, lanes, mask)
            e.store(value, y, mask)
            # What the mask leaves out reads as zero.
            e.store(value, e.offset(y, 2 * lanes, dtype))
    library = jit.load_object(jit.emit_object(module.text(), target))
    for count in range(lanes + 2):
        source = np.arange(1, lanes + 1).astype(numpy_dtype(dtype))
        result = np.zeros(3 * lanes, source.dtype)
        result[:lanes] = source[::-1]
        kept = result.copy()
        function = library.function(f"copy{count}", [ctypes.c_void_p, ctypes.c_void_p])
        function(source.ctypes.data, result.ctypes.data)
        held = min(count, lanes)
        kept[:held] = source[:held]
        kept[2 * lanes : 2 * lanes + held] = source[:held]
        np.testing.assert_array_equal(result, kept)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("lanes", [1, 4, 8])
def test_vectors_of_a_row(known: bool, lanes: int) -> None:
    module = Module(TARGETS[0])
    for size in range(20):
        with module.function(f"f{size}", [("x", "pointer"), ("n", "index")]) as e:
            x, n = e.arguments

            def increment(
                place: Register, mask: Register | None, e: Emitter = e, x: Register = x
            ) -> None:
                where = e.offset(x, place, "float32")
                e.store(e.add(e.load(where, "float32", lanes, mask), 1.0), where, mask)

            e.in_vectors(size if known else n, lanes, increment)
    library = jit.load_object(jit.emit_object(module.text(), TARGETS[0]))
    for size in range(20):
        x = np.zeros(32, np.float32)
        library.function(f"f{size}", [ctypes.c_void_p, ctypes.c_int64])(x.ctypes.data, size)
        np.testing.assert_array_equal(x, np.arange(32) < size)


@pytest.mark.parametrize(
    "target",
    [
        Target.of("aarch64-unknown-linux-gnu", "", "+neon"),
        Target.of("wasm32-unknown-unknown", "", "+simd128"),
    ],
    ids=["aarch64", "wasm32"],
)
def test_other_targets_take_the_same_code(target: Target) -> None:
    module = Module(target)
    lanes = target.lanes("float32")
    with module.function("f", [("x", "pointer"), ("n", "index")]) as e:
        x, n = e.arguments
        with e.loop(0, n, lanes) as i:
            mask = e.tail_mask(e.sub(n, i), lanes)
            value = e.load(e.offset(x, i, "float32"), "float32", lanes, mask)
            value = e.cast(e.cast(e.fma(value, value, e.floor(value)), "bfloat16"), "float32")
            e.store(e.maximum(value, e.sqrt(value)), e.offset(x, i, "float32"), mask)
        e.spin_hint()
    assert len(jit.emit_object(module.text(), target)) > 200
