"""Contractions against NumPy and against the processor's own peak, one thread, in one run.

Run it as `python benchmarks/contraction.py [part of a case's name ...]`. Every figure is the best
of several batches of calls: the machine's noise only ever adds time.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # read when NumPy is imported

import numpy as np  # noqa: E402

from graphc.runtime.cpu import jit  # noqa: E402
from graphc.runtime.cpu.contraction import Axis, Contraction, Position, generate  # noqa: E402
from graphc.runtime.cpu.contraction import store as store_sums  # noqa: E402
from graphc.runtime.cpu.emitter import Emitter, Module, Parameter, Register  # noqa: E402
from graphc.runtime.cpu.peak import best_time, peak  # noqa: E402
from graphc.runtime.cpu.target import Target  # noqa: E402

TARGET = Target.host()
SECONDS_PER_CASE = 0.6


@dataclass(frozen=True)
class Case:
    """A contraction, the arrays it works on and the same thing in NumPy."""

    name: str
    contraction: Contraction
    shapes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    multiplications: int
    numpy: Callable[[np.ndarray, np.ndarray, np.ndarray], object]
    update: bool = False


def forward(m: int, k: int, n: int) -> Case:
    contraction = Contraction(
        rows=(Axis(m, a=k, c=n),),
        columns=(Axis(n, b=1, c=1),),
        reduction=(Axis(k, a=1, b=n),),
        noalias=True,
    )
    shapes = ((m, k), (k, n), (m, n))
    return Case(
        f"y = x w, {m}x{k}x{n}", contraction, shapes, m * k * n, lambda a, b, c: np.dot(a, b, out=c)
    )


def weight_gradient(m: int, k: int, n: int, update: bool = False) -> Case:
    contraction = Contraction(
        rows=(Axis(k, a=1, c=n),),
        columns=(Axis(n, b=1, c=1),),
        reduction=(Axis(m, a=k, b=n),),
        parameters=(Parameter("rate", "float32"),) if update else (),
        noalias=True,
    )

    def numpy_update(x: np.ndarray, dy: np.ndarray, w: np.ndarray) -> None:
        gradient = x.T @ dy
        gradient *= np.float32(1e-6)
        w -= gradient

    def numpy_gradient(x: np.ndarray, dy: np.ndarray, dw: np.ndarray) -> None:
        np.dot(x.T, dy, out=dw)

    text = "w -= lr x' dy" if update else "dw = x' dy"
    shapes = ((m, k), (m, n), (k, n))
    numpy = numpy_update if update else numpy_gradient
    return Case(f"{text}, {k}x{m}x{n}", contraction, shapes, m * k * n, numpy, update)


def input_gradient(m: int, k: int, n: int) -> Case:
    contraction = Contraction(
        rows=(Axis(m, a=n, c=k),),
        columns=(Axis(k, b=n, c=1),),
        reduction=(Axis(n, a=1, b=1),),
        noalias=True,
    )
    shapes = ((m, n), (k, n), (m, k))
    return Case(
        f"dx = dy w', {m}x{n}x{k}",
        contraction,
        shapes,
        m * k * n,
        lambda a, b, c: np.dot(a, b.T, out=c),
    )


def convolution(n: int, size: int, kernel: int, inputs: int, units: int) -> Case:
    """Over a padded input; NumPy gets a ready matrix of windows, which costs it nothing here."""
    out = size - kernel + 1
    contraction = Contraction(
        rows=(
            Axis(n, a=size * size * inputs, c=out * out * units),
            Axis(out, a=size * inputs, c=out * units),
            Axis(out, a=inputs, c=units),
        ),
        columns=(Axis(units, b=1, c=1),),
        reduction=(
            Axis(kernel, a=size * inputs, b=kernel * inputs * units),
            Axis(kernel * inputs, a=1, b=units),
        ),
        noalias=True,
    )
    rows, depth = n * out * out, kernel * kernel * inputs
    windows = np.ones((rows, depth), np.float32)
    shapes = ((n, size, size, inputs), (depth, units), (rows, units))
    return Case(
        f"conv {kernel}x{kernel}, {n}x{size}x{size}x{inputs} to {units}",
        contraction,
        shapes,
        rows * depth * units,
        lambda a, b, c: np.dot(windows, b, out=c),
    )


CASES = [
    forward(32, 784, 300),
    forward(32, 300, 100),
    forward(32, 100, 10),
    input_gradient(32, 784, 300),
    input_gradient(32, 300, 100),
    input_gradient(32, 100, 10),
    weight_gradient(32, 784, 300),
    weight_gradient(32, 300, 100),
    weight_gradient(32, 100, 10),
    weight_gradient(32, 784, 300, update=True),
    forward(32, 64, 256),
    input_gradient(32, 64, 256),
    weight_gradient(32, 64, 256),
    forward(1, 784, 300),
    forward(256, 784, 784),
    input_gradient(256, 784, 784),
    weight_gradient(256, 784, 784),
    forward(64, 1152, 128),
    convolution(32, 14, 3, 32, 64),
    convolution(32, 28, 3, 1, 32),
    forward(1024, 1024, 1024),
]


def update_weight(e: Emitter, sums: Register, position: Position) -> None:
    """Gradient descent: the gradient itself is stored nowhere."""
    weight = position.load(e, 0, "float32")
    position.store(e, e.sub(weight, e.mul(sums, position.parameters["rate"])))


def native_call(case: Case, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> Callable[[int], None]:
    module = Module(TARGET)
    epilogue = update_weight if case.update else store_sums
    native = generate(module, "f", case.contraction, epilogue)
    # Many calls in one: a call from Python costs as much as a small contraction.
    kinds = [("a", "pointer"), ("b", "pointer"), ("c", "pointer"), ("scratch", "pointer")]
    with module.function("repeat", [*kinds, ("count", "index")]) as e:
        *operands, scratch, count = e.arguments
        rate = [e.constant(1e-6, "float32")] if case.update else []
        with e.loop(0, count):
            chunks = e.index(native.chunks())
            e.call("f", None, *operands, *rate, scratch, e.index(0), chunks)
    library = jit.load_object(jit.emit_object(module.text(), TARGET))
    function = library.function("repeat", [ctypes.c_void_p] * 4 + [ctypes.c_int64])
    scratch = np.empty(native.scratch_bytes() + 64, np.uint8)

    def run(count: int) -> None:
        function(*(x.ctypes.data for x in (a, b, c, scratch)), count)

    return run


def aligned(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Random numbers at an address that is a multiple of 64, as a memory plan gives."""
    count = int(np.prod(shape))
    base = np.empty(count + 16, np.float32)
    start = -base.ctypes.data % 64 // 4
    array = base[start : start + count].reshape(shape)
    array[...] = np.random.default_rng(seed).normal(size=shape)
    return array


def main(words: list[str]) -> None:
    rows, limit = [], 0.0
    for case in CASES:
        if words and not any(word in case.name for word in words):
            continue
        # The peak is taken again and again, and its best counts: others may use the machine too.
        limit = max(limit, peak(TARGET))
        a, b, c = (aligned(shape, seed) for seed, shape in enumerate(case.shapes))
        run = native_call(case, a, b, c)
        count = max(1, int(2e-3 * limit / case.multiplications))
        native = best_time(lambda run=run, count=count: run(count), SECONDS_PER_CASE) / count
        numpy = best_time(lambda case=case, a=a, b=b, c=c: case.numpy(a, b, c), SECONDS_PER_CASE)
        rows.append((case, native, numpy))
        print(".", end="", file=sys.stderr, flush=True)
    print(f"\n{TARGET.cpu}, {TARGET.vector_bits}-bit vectors, peak {2 * limit / 1e9:.0f} GFLOP/s")
    print(f"{'case':36} {'tile':>6} {'us':>9} {'% peak':>7} {'NumPy us':>9} {'% peak':>7}  times")
    for case, native, numpy in rows:
        plan = case.contraction.plan(TARGET)
        shares = [100 * case.multiplications / x / limit for x in (native, numpy)]
        print(
            f"{case.name:36} {f'{plan.tile_rows}x{plan.width}':>6} {native * 1e6:9.2f} "
            f"{shares[0]:7.0f} {numpy * 1e6:9.2f} {shares[1]:7.0f} {numpy / native:6.2f}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
