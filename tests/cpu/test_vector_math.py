"""Mathematical functions against NumPy and mpmath: errors in ULP, and every special value."""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Callable
from functools import cache

import mpmath
import numpy as np
import pytest

from graphc.runtime.cpu import jit
from graphc.runtime.cpu.emitter import Module
from graphc.runtime.cpu.target import ITEM_SIZES, Target
from graphc.runtime.cpu.vector_math import FUNCTIONS

HOST = Target.host()
TARGETS = [HOST, Target.x86_64_v3(), Target.x86_64_baseline()]
ON_X86_64 = HOST.triple.startswith("x86_64")
BINARY = ("atan2", "pow")
UNARY = tuple(name for name in FUNCTIONS if name not in BINARY)

# The largest error in ULP that is allowed, float32 and float64.
BOUNDS = {
    "acos": (0.51, 1.1),
    "acosh": (0.51, 2.1),
    "asin": (0.51, 1.4),
    "asinh": (0.51, 1.8),
    "atan": (0.51, 1.1),
    "atan2": (0.51, 1.7),
    "atanh": (0.51, 2.0),
    "cos": (0.51, 0.9),
    "cosh": (0.51, 1.3),
    "erf": (1.0, 1.0),
    "exp": (1.0, 1.0),
    "exp2": (1.0, 1.0),
    "expm1": (1.6, 1.6),
    "log": (1.0, 1.0),
    "log10": (0.51, 0.8),
    "log1p": (1.5, 1.0),
    "log2": (0.51, 0.8),
    "pow": (0.51, 1.0),
    "rsqrt": (1.6, 1.6),
    "sigmoid": (1.7, 1.7),
    "sin": (0.51, 0.9),
    "sinh": (0.51, 2.0),
    "tan": (0.51, 1.1),
    "tanh": (1.0, 1.0),
}


def emit(module: Module, name: str, dtype: str, lanes: int) -> None:
    """`apply`: inputs, output, and a count, which is cut into vectors with a mask at the end."""
    inputs = ["x", "y"] if name in BINARY else ["x"]
    parameters = [(word, "pointer") for word in (*inputs, "out")]
    with module.function("apply", [*parameters, ("count", "index")]) as e:
        *sources, out, count = e.arguments
        with e.loop(0, count, lanes) as i:
            mask = None if lanes == 1 else e.tail_mask(e.sub(count, i), lanes)
            loaded = [e.load(e.offset(x, i, dtype), dtype, lanes, mask) for x in sources]
            e.store(e.math(name, *loaded), e.offset(out, i, dtype), mask)


@cache
def compiled(name: str, dtype: str, lanes: int, target: Target) -> Callable[..., None]:
    module = Module(target, FUNCTIONS)
    emit(module, name, dtype, lanes)
    count = 3 if name in BINARY else 2
    library = jit.load_object(jit.emit_object(module.text(), target))
    return library.function("apply", [ctypes.c_void_p] * count + [ctypes.c_int64])


def call(name: str, *xs: np.ndarray, lanes: int | None = None, target: Target = HOST) -> np.ndarray:
    dtype = str(xs[0].dtype)
    lanes = target.lanes(dtype) if lanes is None else lanes
    xs = tuple(np.ascontiguousarray(x) for x in xs)
    out = np.empty_like(xs[0])
    function = compiled(name, dtype, lanes, target)
    function(*(x.ctypes.data for x in xs), out.ctypes.data, len(out))
    return out


def sigmoid(x: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), np.where(x < 0, small / (1 + small), x))


#: NumPy's functions; of float64 they are exact enough to measure float32 by.
NUMPY: dict[str, Callable[..., np.ndarray]] = {
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "atanh": np.arctanh,
    "erf": np.vectorize(math.erf, otypes=[np.float64]),
    "pow": np.power,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": sigmoid,
}
MPMATH: dict[str, Callable] = {
    "exp2": lambda x: mpmath.mpf(2) ** x,
    "log2": lambda x: mpmath.log(x, 2),
    "pow": lambda x, y: mpmath.mpf(x) ** y,
    "rsqrt": lambda x: 1 / mpmath.sqrt(x),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
}


def by_numpy(name: str, *xs: np.ndarray) -> np.ndarray:
    """The function in float64."""
    function = NUMPY.get(name) or getattr(np, name)
    with np.errstate(all="ignore"):
        return function(*(x.astype(np.float64) for x in xs))


def ulp_float32(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Errors in ULP; infinite where one is special, or rounds to infinity, and the other not."""
    limit = 2.0**128 * (1 - 2.0**-25)
    exact = np.where(np.abs(exact) >= limit, np.copysign(np.inf, exact), exact)
    with np.errstate(all="ignore"):
        exponent = np.maximum(np.frexp(exact)[1], -125)
        errors = np.abs(got - exact) / np.ldexp(1.0, exponent - 24)
        errors[got == exact] = 0
        errors[np.isnan(got) & np.isnan(exact)] = 0
    errors[np.isnan(errors)] = np.inf
    return errors


def ulp_float64(got: float, exact: mpmath.mpf) -> float:
    if abs(exact) >= mpmath.mpf(2) ** 1024 * (1 - mpmath.mpf(2) ** -54):
        return 0.0 if got == math.copysign(math.inf, exact) else math.inf
    if not math.isfinite(got):
        return math.inf
    exponent = int(mpmath.frexp(exact)[1]) if exact else -5000
    return float(abs(got - exact) / mpmath.ldexp(1, max(exponent - 53, -1074)))


def domain(name: str, x: np.ndarray) -> np.ndarray:
    """The numbers of which the function has a value."""
    if name in ("log", "log2", "log10", "rsqrt"):
        return np.abs(x[x != 0])
    if name == "log1p":
        return x[x > -1]
    if name == "acosh":
        return np.abs(x[np.abs(x) >= 1])
    if name in ("acos", "asin", "atanh"):
        return x[np.abs(x) < 1]
    return x


def all_exponents(dtype: str, count: int, seed: int = 0) -> np.ndarray:
    """Finite numbers of random bits: every size, subnormal ones included."""
    integer = "uint32" if dtype == "float32" else "uint64"
    top = np.iinfo(integer).max
    bits = np.random.default_rng(seed).integers(0, top, count, integer, endpoint=True)
    x = bits.view(dtype)
    return x[np.isfinite(x)]


def ordinary(dtype: str, count: int, seed: int = 1) -> np.ndarray:
    """Numbers where functions are neither flat nor at their limits."""
    random = np.random.default_rng(seed)
    widest = 100.0 if dtype == "float32" else 740.0
    ranges = ((-1, 1), (-4, 4), (-20, 20), (-widest, widest), (0.7, 1.4), (-1e5, 1e5))
    return np.concatenate([random.uniform(a, b, count) for a, b in ranges]).astype(dtype)


@pytest.mark.skipif(not ON_X86_64, reason="runs x86-64 code")
@pytest.mark.parametrize("target", TARGETS, ids=["host", "avx2", "sse2"])
@pytest.mark.parametrize("name", UNARY)
def test_float32_errors(name: str, target: Target) -> None:
    count = 400_000 if target is HOST else 40_000
    x = np.concatenate([all_exponents("float32", count), ordinary("float32", count // 6)])
    x = domain(name, x)
    errors = ulp_float32(call(name, x, target=target), by_numpy(name, x))
    worst = int(np.argmax(errors))
    assert errors[worst] <= BOUNDS[name][0], f"{name}({x[worst]!r}): {errors[worst]} ULP"


@pytest.mark.skipif(not ON_X86_64, reason="runs x86-64 code")
@pytest.mark.parametrize("target", TARGETS, ids=["host", "avx2", "sse2"])
@pytest.mark.parametrize("name", UNARY)
def test_float64_errors(name: str, target: Target) -> None:
    count = 1200 if target is HOST else 150
    x = np.concatenate([all_exponents("float64", count), ordinary("float64", count // 2)])
    x = domain(name, x)
    function = MPMATH.get(name) or getattr(mpmath, name)
    got = call(name, x, target=target)
    # So many digits that a large angle still has a fraction, and 1 + 1e-300 is not 1.
    with mpmath.workdps(700 if name in ("expm1", "log1p", "sin", "cos", "tan") else 350):
        # Beyond this the exponential functions are 0 or infinity, which mpmath computes at length.
        limit = 2000 if name in ("exp", "exp2", "expm1", "sigmoid", "sinh", "cosh") else math.inf
        exact = [function(mpmath.mpf(float(np.clip(v, -limit, limit)))) for v in x]
        errors = [ulp_float64(float(v), w) for v, w in zip(got, exact, strict=True)]
    worst = int(np.argmax(errors))
    assert errors[worst] <= BOUNDS[name][1], f"{name}({x[worst]!r}): {errors[worst]} ULP"


def special_values(dtype: str) -> np.ndarray:
    """Limits of the format and of the functions, zeros, infinities, NaN; each with both signs."""
    info = np.finfo(dtype)
    numbers = [0.0, np.inf, np.nan, 0.5, 1.0, 2.0, 2.5, 3.0, 10.0, 1000.0, 1e5, 1e20]
    numbers += [float(info.max), float(info.tiny), float(info.tiny) * 0.75]
    numbers += [float(info.smallest_subnormal), float(info.eps), 1 + float(info.eps)]
    numbers += [1 - float(info.epsneg), 2**24 - 1, 2**24 + 2, 2.0**52 + 1, 2.0**53 - 1, 2.0**53]
    # The last with a finite exp, sinh or 2**x, and the first without.
    numbers += [88.72283, 88.72284, 89.41598, 89.41599, 709.782712893384, 709.7827128933841]
    numbers += [710.4758600739439, 710.475860073944, 127.99999, 128, 1023.9999999999999, 1024]
    # The last whose exp or 2**x is not 0, and the first.
    numbers += [103.97207, 103.97209, 745.1332191019411, 745.1332191019412, 149, 150, 1074, 1075]
    numbers += [math.pi / 2, math.pi, 16.64, 36.8, 87.4, 708.5]
    x = np.array(numbers, dtype)
    return np.concatenate([x, -x])


def assert_same_values(name: str, got: np.ndarray, *xs: np.ndarray) -> None:
    """NumPy's values, up to the bound for finite ones; zeros with their sign."""
    if xs[0].dtype == np.float64:
        tolerance = 2 + math.ceil(BOUNDS[name][1])
    else:
        tolerance = 1 + math.ceil(BOUNDS[name][0])
    with np.errstate(all="ignore"):
        expected = by_numpy(name, *xs).astype(xs[0].dtype)
        same = (got == expected) & (np.signbit(got) == np.signbit(expected))
        same |= np.isnan(got) & np.isnan(expected)
        near = np.abs(got - expected) <= tolerance * np.spacing(np.abs(expected))
        same |= np.isfinite(expected) & (expected != 0) & near
    for i in np.flatnonzero(~same):
        pytest.fail(f"{name}{tuple(x[i] for x in xs)} is {got[i]!r}, expected {expected[i]!r}")


@pytest.mark.skipif(not ON_X86_64, reason="runs x86-64 code")
@pytest.mark.parametrize("target", TARGETS, ids=["host", "avx2", "sse2"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values(name: str, dtype: str, target: Target) -> None:
    values = special_values(dtype)
    xs = [values]
    if name in BINARY:
        xs = [grid.ravel() for grid in np.meshgrid(values, values)]
    assert_same_values(name, call(name, *xs, target=target), *xs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_lanes_do_not_change_bits(name: str, dtype: str) -> None:
    x = np.concatenate([special_values(dtype), all_exponents(dtype, 500), ordinary(dtype, 100)])
    xs = (x, x[::-1]) if name in BINARY else (x,)
    results = {call(name, *xs, lanes=lanes).tobytes() for lanes in (1, 2, 5, 16)}
    assert len(results) == 1


@pytest.mark.parametrize("near_one", [False, True])
def test_power_errors(near_one: bool) -> None:
    random = np.random.default_rng(4)
    for dtype, top in (("float32", 87.0), ("float64", 708.0)):
        x = random.uniform(0.99, 1.01, 1500) if near_one else np.exp(random.uniform(-80, 80, 1500))
        y = random.uniform(-top, top, 1500) / np.log(x)
        x, y = x.astype(dtype), y.astype(dtype)
        got = call("pow", x, y)
        if dtype == "float32":
            errors = ulp_float32(got, by_numpy("pow", x, y)).max()
        else:
            with mpmath.workdps(50):
                exact = [
                    mpmath.mpf(float(a)) ** mpmath.mpf(float(b)) for a, b in zip(x, y, strict=True)
                ]
                errors = max(ulp_float64(float(v), w) for v, w in zip(got, exact, strict=True))
        assert errors <= BOUNDS["pow"][dtype == "float64"]


def test_atan2_errors() -> None:
    random = np.random.default_rng(6)
    y = random.normal(size=2000) * np.exp(random.uniform(-3, 3, 2000))
    x = random.normal(size=2000) * np.exp(random.uniform(-3, 3, 2000))
    single = ulp_float32(
        call("atan2", y.astype("float32"), x.astype("float32")),
        by_numpy("atan2", y.astype("float32"), x.astype("float32")),
    )
    assert single.max() <= BOUNDS["atan2"][0]
    with mpmath.workdps(50):
        exact = [mpmath.atan2(float(a), float(b)) for a, b in zip(y, x, strict=True)]
        got = call("atan2", y, x)
        errors = [ulp_float64(float(v), w) for v, w in zip(got, exact, strict=True)]
    assert max(errors) <= BOUNDS["atan2"][1]


@pytest.mark.parametrize("name", UNARY)
def test_half_precision_goes_through_float32(name: str) -> None:
    with np.errstate(over="ignore"):
        x = all_exponents("float32", 3000).astype("float16")
        x = domain(name, x[np.isfinite(x)])
        got = call(name, x)
        expected = call(name, x.astype("float32")).astype("float16")
    np.testing.assert_array_equal(got, expected)


def test_powers_of_two_and_ten_are_exact() -> None:
    two = np.arange(-1074, 1024, dtype=np.float64)
    assert call("exp2", two).tolist() == np.ldexp(1.0, two.astype(int)).tolist()
    assert call("log2", np.ldexp(1.0, two.astype(int))).tolist() == two.tolist()
    ten = np.arange(23, dtype=np.float64)
    assert call("log10", 10.0**ten).tolist() == ten.tolist()


@pytest.mark.parametrize("name", ["exp", "tanh", "sigmoid", "erf", "expm1", "atan"])
def test_monotonic_across_the_joints(name: str) -> None:
    """No step down where one formula takes over from another."""
    for joint in (1.0, 0.5, math.sqrt(2) - 1, math.sqrt(2) + 1, math.log(2) / 2, -86.0, -44.361):
        start = np.float32(joint).view(np.int32)
        x = np.arange(start - 500, start + 500, dtype=np.int32).view(np.float32)
        y = call(name, np.sort(x)).astype(np.float64)
        # One unit of the last place down is rounding, more would be a joint.
        assert (np.diff(y) >= -np.spacing(np.abs(y[1:]).astype(np.float32))).all()


ELSEWHERE = [
    Target.of("aarch64-unknown-linux-gnu", "", "+neon"),
    Target.of("wasm32-unknown-unknown", "", "+simd128"),
    Target.x86_64_baseline(),
    Target.x86_64_v3(),
]


@pytest.mark.parametrize("target", ELSEWHERE, ids=["neon", "wasm", "sse2", "avx2"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_library_is_called(dtype: str, target: Target) -> None:
    for name in FUNCTIONS:
        module = Module(target, FUNCTIONS)
        emit(module, name, dtype, 16 // ITEM_SIZES[dtype])
        assembly = jit.emit_assembly(module.text(), target)
        called = re.findall(r"^\s+(?:callq?|bl|b|jmp)\s+([a-z_]\w*)", assembly, re.MULTILINE)
        assert set(called) <= {"graphc_reduce_angle"}, name
