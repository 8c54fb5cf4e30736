"""Tiles that go on where a short line of an image ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graphc.runtime.cpu.contraction import Axis, Contraction, Position
from graphc.runtime.cpu.contraction_plan import Fold, Size, folded
from graphc.runtime.cpu.emitter import Emitter, Register
from graphc.runtime.cpu.target import Target
from tests.cpu.test_contraction import HOST, TARGETS, Compiled, numpy_dtype, store_cast
from tests.cpu.test_packing import at_the_end_of_memory, planned

UNITS = 20


def convolution(
    batch: Size,
    lines: int,
    width: int,
    channels: int,
    stride: int = 1,
    units: int = UNITS,
    gap: int = 0,
) -> Contraction:
    """A 3x3 convolution with a residual, whose lines may be further apart than the result's."""
    across = stride * (width - 1) + 3
    down = stride * (lines - 1) + 3
    image, line = lines * width * units, width * units
    return Contraction(
        rows=(
            Axis(batch, a=down * across * channels, c=image, extra=(lines * (line + gap),)),
            Axis(lines, a=stride * across * channels, c=line, extra=(line + gap,)),
            Axis(width, a=stride * channels, c=units, extra=(units,)),
        ),
        columns=(Axis(units, b=1, c=1, extra=(1,)),),
        reduction=(
            Axis(3, a=across * channels, b=3 * channels * units, extra=(0,)),
            Axis(3 * channels, a=1, b=units, extra=(0,)),
        ),
    )


def add_residual(e: Emitter, sums: Register, position: Position) -> None:
    position.store(e, e.add(sums, position.load(e, 1, "float32")))


def with_folds(contraction: Contraction, target: Target, rows: int) -> Contraction:
    """The contraction with tiles of so many rows across lines, whatever pays."""
    plan = replace(contraction, reduction=(Axis(1, extra=(0,)),)).plan(target)
    assert plan.fold is None  # a single step is not worth it
    *lines, line = plan.lines
    whole = folded(line, plan.row)
    assert whole is not None
    plan = contraction.plan(target)
    row, fold = whole
    return planned(
        contraction,
        target,
        lines=tuple(lines),
        row=row,
        fold=fold,
        tile_rows=rows,
        tiles_per_chunk=2,
        lines_per_chunk=None,
    )


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
@pytest.mark.parametrize("rows", [1, 3, 6, 8])
@pytest.mark.parametrize("stride", [1, 2])
def test_lines_of_every_length(target: Target, rows: int, stride: int) -> None:
    random = np.random.default_rng(rows)
    for lines, width in [(2, 2), (5, 2), (3, 3), (2, 5), (7, 7), (4, 6), (2, 13)]:
        contraction = convolution("n", lines, width, 2, stride)
        compiled = Compiled(with_folds(contraction, target, rows), target, add_residual)
        assert compiled.native.plan.fold is not None
        for n in (0, 1, 3):
            shape = (n, stride * (lines - 1) + 3, stride * (width - 1) + 3, 2)
            # Small whole numbers, so that every sum is exact.
            x = random.integers(-4, 5, shape).astype("float32")
            w = random.integers(-4, 5, (3, 3, 2, UNITS)).astype("float32")
            residual = random.integers(-4, 5, (n, lines, width, UNITS)).astype("float32")
            y = np.full_like(residual, np.nan)
            compiled(x, w, [y, residual], {"n": n}, split=1)
            windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))
            windows = windows[:, ::stride, ::stride]
            expected = np.einsum("nyxcij,ijco->nyxo", windows, w) + residual
            np.testing.assert_array_equal(y, expected, err_msg=f"{lines}x{width}, n={n}")


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_no_bit_depends_on_folds(target: Target) -> None:
    contraction = convolution(2, 7, 7, 9)
    random = np.random.default_rng(0)
    x = random.normal(size=(2, 9, 9, 9)).astype("float32")
    w = random.normal(size=(3, 3, 9, UNITS)).astype("float32")
    residual = random.normal(size=(2, 7, 7, UNITS)).astype("float32")
    results = []
    for rows in (1, 3, 6):
        results.append(np.full_like(residual, np.nan))
        folds = with_folds(contraction, target, rows)
        Compiled(folds, target, add_residual)(x, w, [results[-1], residual])
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def exchanged(contraction: Contraction) -> Contraction:
    """The same with the factors in the other order."""
    rows, columns, reduction = (
        tuple(replace(axis, a=axis.b, b=axis.a) for axis in axes)
        for axes in (contraction.columns, contraction.rows, contraction.reduction)
    )
    return replace(contraction, rows=rows, columns=columns, reduction=reduction)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int32"])
@pytest.mark.parametrize("is_exchanged", [False, True])
def test_what_the_planner_folds(dtype: str, is_exchanged: bool) -> None:
    target = Target.x86_64_v3() if HOST.triple.startswith("x86_64") else HOST
    contraction = replace(convolution(2, 7, 7, 8, units=64), dtype=dtype)
    if is_exchanged:
        contraction = exchanged(contraction)
    compiled = Compiled(contraction, target, store_cast(dtype))
    plan = compiled.native.plan
    assert plan.swapped == is_exchanged
    assert plan.fold is not None or target is HOST
    random = np.random.default_rng(1)
    x = random.integers(-2, 3, (2, 9, 9, 8)).astype(numpy_dtype(dtype))
    w = random.integers(-2, 3, (3, 3, 8, 64)).astype(numpy_dtype(dtype))
    y = np.zeros((2, 7, 7, 64), numpy_dtype(dtype))
    factors = (w, x) if is_exchanged else (x, w)
    compiled(*factors, [y, y], split=1)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))
    expected = np.einsum("nyxcij,ijco->nyxo", windows.astype("float64"), w.astype("float64"))
    np.testing.assert_array_equal(y, expected.astype(numpy_dtype(dtype)))


def test_short_lines_are_folded_where_that_fills_tiles() -> None:
    target = Target.x86_64_v3()
    plan = convolution("n", 7, 7, 64, units=64).plan(target)
    assert plan.fold == Fold(7, 2 * 64) and plan.row.size == 49 and plan.tile_rows == 6
    assert convolution("n", 6, 6, 64, units=64).plan(target).fold is None  # a line is a tile
    assert convolution("n", 7, 7, 3, units=64).plan(target).fold is None  # sums of 27
    assert convolution("n", 7, 7, 64, units=64, gap=8).plan(target).fold is None  # lines are apart


@pytest.mark.parametrize("units", [64, 100])
@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_a_weight_gradient_is_folded_or_copied_but_not_both(target: Target, units: int) -> None:
    """That of windows of 2x7 numbers, which lie side by side in lines of 11."""
    windows = 150
    contraction = Contraction(
        rows=(Axis(2, a=11, c=7 * units), Axis(7, a=1, c=units)),
        columns=(Axis(units, b=1, c=1),),
        reduction=(Axis(windows, a=22, b=units),),
    )
    compiled = Compiled(contraction, target, store_cast("float32"))
    plan = compiled.native.plan
    assert not (plan.fold and plan.pack_first)
    random = np.random.default_rng(2)
    x = random.integers(-4, 5, (windows, 2, 11)).astype("float32")
    gradient = random.integers(-4, 5, (windows, units)).astype("float32")
    result = np.full((2, 7, units), np.nan, np.float32)
    compiled(x, gradient, [result], split=1)
    np.testing.assert_array_equal(result, np.einsum("nyx,no->yxo", x[..., :7], gradient))


def test_rows_of_a_folded_tile_have_a_register_each_for_their_address() -> None:
    target = replace(Target.x86_64_v3(), vector_bits=512, vector_registers=32)
    plan = convolution("n", 7, 3, 64, units=16).plan(target)
    assert plan.fold is not None and plan.tile_rows <= 8


def test_only_known_lines_that_all_else_walks_through_are_folded() -> None:
    line, row = Axis(5, a=70, c=40, extra=(40,)), Axis(4, a=10, c=10, extra=(10,))
    assert folded(line, row) == (Axis(20, a=10, c=10, extra=(10,)), Fold(4, 30))
    assert folded(replace(line, c=50), row) is None
    assert folded(replace(line, extra=(50,)), row) is None
    assert folded(replace(line, size="n"), row) is None
    assert folded(replace(line, a="70*n"), row) is None


def test_nothing_is_read_behind_the_last_line() -> None:
    target = Target.host()
    contraction = convolution("n", 3, 3, 2)
    compiled = Compiled(with_folds(contraction, target, 6), target, add_residual)
    x = at_the_end_of_memory(5 * 5 * 2).reshape(1, 5, 5, 2)
    x[...] = np.arange(x.size).reshape(x.shape) % 5
    w = np.ones((3, 3, 2, UNITS), np.float32)
    y, residual = np.full((1, 3, 3, UNITS), np.nan, np.float32), np.zeros((1, 3, 3, UNITS), "f4")
    compiled(x, w, [y, residual], {"n": 1})
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))
    np.testing.assert_array_equal(y[..., 0], windows.sum((3, 4, 5)))
