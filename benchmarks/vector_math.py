"""Speed and accuracy of mathematical functions: `python benchmarks/vector_math.py [names ...]`.

One thread, numbers in the first-level cache, the best of many calls; NumPy in the same run. Errors
are the largest in ULP of 100 000 numbers, measured by NumPy's functions of the next wider format.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable

import numpy as np

from graphc.runtime.cpu import jit
from graphc.runtime.cpu.emitter import Module
from graphc.runtime.cpu.target import Target
from graphc.runtime.cpu.vector_math import FUNCTIONS

COUNT = 2048
NUMPY_NAMES = {
    "acos": "arccos",
    "acosh": "arccosh",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atan2": "arctan2",
    "atanh": "arctanh",
    "pow": "power",
}
#: Functions that NumPy lacks but that its others are enough to measure.
COMPOSED: dict[str, Callable[..., np.ndarray]] = {
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}
RANGES = {"acosh": (1, 10), "asin": (-1, 1), "acos": (-1, 1), "atanh": (-1, 1), "log1p": (-1, 5)}
POSITIVE = ("log", "log2", "log10", "rsqrt", "pow")
WIDER = {"float32": np.float64, "float64": np.longdouble}


def inputs(name: str, dtype: str, count: int) -> list[np.ndarray]:
    """Random numbers that the function is defined for, 64-byte aligned."""
    low, high = RANGES.get(name, (0, 8) if name in POSITIVE else (-8, 8))
    random = np.random.default_rng(0)
    arrays = []
    for _ in range(2 if name in ("atan2", "pow") else 1):
        arrays.append(aligned(count, dtype))
        arrays[-1][:] = random.uniform(low, high, count)
    return arrays


def aligned(count: int, dtype: str) -> np.ndarray:
    """An array that starts a cache line."""
    size = np.dtype(dtype).itemsize
    memory = np.empty(count * size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + count * size].view(dtype)


def compiled(name: str, dtype: str, target: Target, count: int) -> Callable[..., None]:
    """A native `(*inputs, output, count)`, whose count is a multiple of the lanes."""
    lanes = target.lanes(dtype)
    module = Module(target, FUNCTIONS)
    parameters = [*((f"x{i}", "pointer") for i in range(count)), ("out", "pointer")]
    with module.function("apply", [*parameters, ("count", "index")]) as e:
        *sources, out, total = e.arguments
        with e.loop(0, total, lanes) as i:
            loaded = [e.load(e.offset(x, i, dtype), dtype, lanes) for x in sources]
            e.store(e.math(name, *loaded), e.offset(out, i, dtype))
    library = jit.load_object(jit.emit_object(module.text(), target))
    return library.function("apply", [ctypes.c_void_p] * (count + 1) + [ctypes.c_int64])


def nanoseconds(function: Callable[..., object], *arguments: object, **named: object) -> float:
    """The shortest of many calls, per element."""
    best = float("inf")
    for _ in range(300):
        begin = time.perf_counter()
        function(*arguments, **named)
        best = min(best, time.perf_counter() - begin)
    return best / COUNT * 1e9


def largest_error(got: np.ndarray, exact: np.ndarray) -> float:
    """In ULP, where both are finite."""
    finite = np.isfinite(exact) & np.isfinite(got)
    got, exact = got[finite], exact[finite]
    unit = np.spacing(np.abs(exact.astype(got.dtype)))
    return float((np.abs(got.astype(exact.dtype) - exact) / unit).max())


def row(name: str, dtype: str, target: Target) -> str:
    """One line of the table."""
    xs = inputs(name, dtype, COUNT)
    out = aligned(COUNT, dtype)
    function = compiled(name, dtype, target, len(xs))
    addresses = [x.ctypes.data for x in xs]
    ours = nanoseconds(function, *addresses, out.ctypes.data, COUNT)
    numpys = getattr(np, NUMPY_NAMES.get(name, name), None)
    theirs = f"{nanoseconds(numpys, *xs, out=out):>8.2f}" if numpys else f"{'-':>8}"
    reference = numpys or COMPOSED.get(name)
    if reference is None or np.finfo(WIDER[dtype]).eps == np.finfo(dtype).eps:
        return f"{name:<8} {dtype:<8} {ours:>8.2f} {theirs} {'-':>8} {'-':>8}"
    many = inputs(name, dtype, 102_400)
    out = aligned(102_400, dtype)
    function(*(x.ctypes.data for x in many), out.ctypes.data, len(out))
    exact = reference(*(x.astype(WIDER[dtype]) for x in many))
    error = largest_error(out, exact)
    other = f"{largest_error(numpys(*many), exact):>8.2f}" if numpys else f"{'-':>8}"
    return f"{name:<8} {dtype:<8} {ours:>8.2f} {theirs} {error:>8.2f} {other}"


def main() -> None:
    """Prints the table of all functions or those on the command line."""
    target = Target.host()
    print(f"{target.cpu}, {target.vector_bits}-bit vectors; ns per element, largest error in ULP")
    print(f"{'':<17} {'graphc':>8} {'NumPy':>8} {'ULP':>8} {'NumPy':>8}")
    with np.errstate(all="ignore"):
        for name in sys.argv[1:] or FUNCTIONS:
            for dtype in ("float32", "float64"):
                print(row(name, dtype, target))


if __name__ == "__main__":
    main()
