"""Packing: panels of every length and width, and one transposing function for a whole module."""

from __future__ import annotations

import ctypes
import mmap
import re
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from graphc.runtime.cpu.contraction import Axis, Contraction, generate
from graphc.runtime.cpu.contraction_plan import Plan
from graphc.runtime.cpu.emitter import Module
from graphc.runtime.cpu.target import Caches, Target
from tests.cpu.test_contraction import HOST, TARGETS, Compiled

#: y = x w' with everything known at run time: both factors are contiguous along the reduction.
TRANSPOSED = Contraction(
    rows=(Axis("m", a="k", c="n"),),
    columns=(Axis("n", b="k", c=1),),
    reduction=(Axis("k", a=1, b=1),),
)


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_runs_of_every_length_and_columns_of_every_number(target: Target) -> None:
    assert TRANSPOSED.plan(target).pack
    compiled = Compiled(TRANSPOSED, target)
    random = np.random.default_rng(0)
    m = 3
    for k in (*range(36), 64, 95):
        for n in (1, 2, 7, 15, 16, 17, 33, 50):
            # Small whole numbers, so that every sum is exact.
            x, w = (random.integers(-4, 5, (size, k)).astype("float32") for size in (m, n))
            y = np.full((m, n), np.nan, np.float32)
            compiled(x, w, [y], {"k": k, "m": m, "n": n})
            np.testing.assert_array_equal(y, x @ w.T, err_msg=f"k={k}, n={n}")


@pytest.mark.parametrize("k", [1, 3, 15, 16, 17, 40])
def test_runs_of_known_length_over_two_axes(k: int) -> None:
    contraction = Contraction(
        rows=(Axis(4, a=6 * k, c=35),),
        columns=(Axis(35, b=6 * k, c=1),),
        reduction=(Axis(3, a=2 * k, b=2 * k), Axis(k, a=1, b=1)),
    )
    random = np.random.default_rng(1)
    x, w = (random.integers(-4, 5, (size, 3, 2, k)).astype("float32") for size in (4, 35))
    y = np.full((4, 35), np.nan, np.float32)
    Compiled(contraction)(x, w, [y])
    np.testing.assert_array_equal(y, np.einsum("mck,nck->mn", x[:, :, 0], w[:, :, 0]))


#: The gradient of a convolution's kernel: windows of three among five lines, summed over two axes.
WEIGHT = Contraction(
    rows=(Axis(3, a="s", c="n*r"), Axis("r", a=1, c="n")),
    columns=(Axis("n", b=1, c=1),),
    reduction=(Axis("k", a="5*s", b="3*n"), Axis(3, a="s", b="n")),
)
#: The same with one axis to sum over.
PLAIN = Contraction(
    rows=(Axis("r", a=1, c="n"),),
    columns=(Axis("n", b=1, c=1),),
    reduction=(Axis("k", a="s", b="n"),),
)


def planned(contraction: Contraction, target: Target, **choices: Any) -> Contraction:
    """The contraction by its plan with some choices made otherwise."""
    chosen = replace(contraction.plan(target), **choices)

    class Planned(Contraction):
        def plan(self, target: Target) -> Plan:
            return chosen

    return Planned(contraction.rows, contraction.columns, contraction.reduction)


def packed(contraction: Contraction, target: Target, block: int | None, panels: int) -> Contraction:
    """The contraction by a plan that packs the first factor."""
    return planned(
        contraction,
        target,
        pack_first=True,
        pack=True,
        pack_tail=True,
        block=block,
        tile_rows=6,  # then 3, and twice 1: heights of which a vector is longer
        tile_vectors=2,
        tiles_per_chunk=2,
        panels_per_chunk=panels,
        panels_last=False,
        prefetch=False,
    )


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
@pytest.mark.parametrize("block", [None, 2, 5])
@pytest.mark.parametrize("panels", [1, 3])
def test_packed_rows_of_the_first_factor(target: Target, block: int | None, panels: int) -> None:
    random = np.random.default_rng(2)
    one, two = (Compiled(packed(x, target, block, panels), target) for x in (PLAIN, WEIGHT))
    for k in (0, 1, 2, 4, 5, 11):
        for n in (1, 8, 17, 70):
            for r in (1, 5, 6, 13, 40):
                sizes = {"k": k, "n": n, "r": r, "s": r + 1}
                x = random.integers(-4, 5, (k, 5, r + 1)).astype("float32")
                y = random.integers(-4, 5, (k, 3, n)).astype("float32")
                z = np.full((3, r, n), np.nan, np.float32)
                two(x, y, [z], sizes, split=1)
                windows = np.stack([x[:, i : i + 3, :r] for i in range(3)])
                expected = np.einsum("ikjr,kjn->irn", windows, y)
                np.testing.assert_array_equal(z, expected, err_msg=f"k={k}, n={n}, r={r}")
                x, y = x[:, 0].copy(), y[:, 0].copy()
                z = np.full((r, n), np.nan, np.float32)
                one(x, y, [z], sizes, split=1)
                np.testing.assert_array_equal(z, x[:, :r].T @ y, err_msg=f"k={k}, n={n}, r={r}")


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
@pytest.mark.parametrize("block", [2, 5, 40])
@pytest.mark.parametrize("panels", [1, 2, 3, 9])
@pytest.mark.parametrize("columns", [7, 16, 32, 70])
def test_panels_that_are_packed_together(
    target: Target, block: int, panels: int, columns: int
) -> None:
    """A convolution of images of 6x5 pixels and 4 channels, windows of 2x3 pixels."""
    n = columns
    contraction = Contraction(
        rows=(Axis("b", a=6 * 5 * 4, c=5 * 3 * n), Axis(5, a=5 * 4, c=3 * n), Axis(3, a=4, c=n)),
        columns=(Axis(n, b=1, c=1),),
        reduction=(Axis(2, a=5 * 4, b=12 * n), Axis(3, a=4, b=4 * n), Axis(4, a=1, b=n)),
    )
    usual = contraction.plan(target)
    if usual.swapped:
        pytest.skip("so few columns are the lanes of no vector")
    together = planned(
        contraction,
        target,
        pack=True,
        pack_tail=True,
        pack_together=panels > 1,
        around=usual.reduction[:-1],
        reduction=usual.reduction[-1:],
        block=block,
        tile_vectors=min(2, usual.tile_vectors),
        panels_per_chunk=panels,
        panels_last=False,
        prefetch=False,
    )
    compiled, usually = Compiled(together, target), Compiled(contraction, target)
    random = np.random.default_rng(3)
    for b in (0, 1, 4):
        x = random.normal(size=(b, 6, 5, 4)).astype("float32")
        w = random.normal(size=(2, 3, 4, n)).astype("float32")
        y, expected = np.full((2, b, 5, 3, n), np.nan, np.float32)
        compiled(x, w, [y], {"b": b}, split=1)
        usually(x, w, [expected], {"b": b})
        np.testing.assert_array_equal(y, expected)
        windows = np.lib.stride_tricks.sliding_window_view(x, (2, 3), axis=(1, 2))
        exact = np.einsum("bpqckl,klcf->bpqf", windows.astype("float64"), w)
        np.testing.assert_allclose(y, exact, rtol=1e-4, atol=1e-4)


def test_far_weights_of_an_image_are_packed_together() -> None:
    """The last stage of a ResNet-50: 49 places of the image, and weights that come from memory."""
    far = Contraction(
        rows=(
            Axis("batch", a=81 * 512, c=49 * 512),
            Axis(7, a=9 * 512, c=7 * 512),
            Axis(7, a=512, c=512),
        ),
        columns=(Axis(512, b=1, c=1),),
        reduction=(Axis(3, a=9 * 512, b=3 * 512 * 512), Axis(3 * 512, a=1, b=512)),
        is_cold=True,
        batch=1,
    )
    plan = far.plan(Target.x86_64_v3())
    assert plan.pack_together
    assert [axis.size for axis in plan.around] == [3]
    assert not replace(far, batch=32).plan(Target.x86_64_v3()).pack_together
    in_parts = replace(far, parts=3, part_stride=49 * 512).plan(Target.x86_64_v3())
    assert not in_parts.pack_together and not in_parts.around  # parts are of the first axis


def at_the_end_of_memory(count: int) -> np.ndarray:
    """Floats of which the last one is the last of a page, behind which there is no memory."""
    size = mmap.PAGESIZE
    pages = np.frombuffer(mmap.mmap(-1, 2 * size), np.uint8)
    behind = ctypes.c_void_p(pages.ctypes.data + size)
    forbidden = 0
    assert ctypes.CDLL(None).mprotect(behind, ctypes.c_size_t(size), forbidden) == 0
    return pages[:size].view(np.float32)[-count:]


@pytest.mark.skipif(sys.platform != "linux", reason="pages are guarded as Linux does it")
@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_nothing_is_read_behind_the_factors(target: Target) -> None:
    # Which of the two is the first one is the planner's choice.
    compiled = Compiled(packed(PLAIN, target, None, 3), target)
    for size in range(1, 32):
        x, y = (at_the_end_of_memory(3 * size).reshape(3, size) for _ in range(2))
        x[...] = np.arange(x.size).reshape(x.shape) % 5
        y[...] = np.arange(y.size).reshape(y.shape) % 7
        z = np.full((size, size), np.nan, np.float32)
        compiled(x, y, [z], {"k": 3, "n": size, "r": size, "s": size})
        np.testing.assert_array_equal(z, x.T @ y)


@pytest.mark.skipif(sys.platform != "linux", reason="pages are guarded as Linux does it")
@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
@pytest.mark.parametrize("columns", [32, 50, 96, 100])
def test_nothing_is_read_behind_panels_that_are_packed_together(
    target: Target, columns: int
) -> None:
    contraction = Contraction(
        rows=(Axis("m", a=6, c=columns),),
        columns=(Axis(columns, b=1, c=1),),
        reduction=(Axis(6, a=1, b=columns),),
    )
    choices = {"pack": True, "pack_tail": True, "pack_together": True, "panels_last": False}
    together = planned(
        contraction, target, **choices, tile_vectors=1, panels_per_chunk=9, prefetch=False
    )
    assert not contraction.plan(target).swapped
    x = (np.arange(5 * 6, dtype=np.float32) % 5).reshape(5, 6)
    w = at_the_end_of_memory(6 * columns).reshape(6, columns)
    w[...] = np.arange(w.size).reshape(w.shape) % 7
    y = np.full((5, columns), np.nan, np.float32)
    Compiled(together, target)(x, w, [y], {"m": 5})
    np.testing.assert_array_equal(y, x @ w)


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_the_sizes_of_caches_change_no_bit(target: Target) -> None:
    plans, results = [], []
    x = np.random.default_rng(0).normal(size=(300, 200)).astype("float32")
    y = np.random.default_rng(1).normal(size=(300, 170)).astype("float32")
    contraction = replace(
        PLAIN,
        rows=(Axis(200, a=1, c=170),),
        columns=(Axis(170, b=1, c=1),),
        reduction=(Axis(300, a=200, b=170),),
    )
    for caches in (Caches(), Caches(4096, 16 * 1024, 4), Caches(1 << 17, 1 << 22, 16)):
        compiled = Compiled(contraction, replace(target, caches=caches))
        plans.append(compiled.native.plan)
        results.append(np.full((200, 170), np.nan, np.float32))
        compiled(x, y, [results[-1]])
    assert plans[0] != plans[1] != plans[2]
    for result in results:
        np.testing.assert_array_equal(result, results[0])


def test_narrow_tiles_of_a_large_gradient_are_packed() -> None:
    large = replace(
        PLAIN,
        rows=(Axis(784, a=1, c=784),),
        columns=(Axis(784, b=1, c=1),),
        reduction=(Axis(256, a=784, b=784),),
    )
    assert large.plan(Target.x86_64_v3()).pack_first
    assert not PLAIN.plan(Target.x86_64_v3()).pack_first  # 32 of each, as far as one knows


def test_the_contractions_of_a_module_share_the_transposing_function() -> None:
    module = Module(HOST)
    others = replace(TRANSPOSED, columns=(Axis(300, b="k", c=1),))
    for name, contraction in (("f", TRANSPOSED), ("g", others)):
        generate(module, name, contraction)
    definitions = re.findall(r"define [^@]*@(\S*turned\S*)\(", module.text())
    assert definitions == ["pack.turned.float32"]


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_whole_panels_store_without_masks_where_those_are_slow(target: Target) -> None:
    """However many columns there are at run time: a batch is most often whole panels."""
    module = Module(target)
    assert TRANSPOSED.plan(target).pack
    generate(module, "f", TRANSPOSED)
    masked = [
        "masked.store" in code
        for code in module.text().split("\ndefine ")
        if re.match(r"[^@]*@f\.\d+x", code)
    ]
    assert any(masked)
    assert all(masked) == (target.vector_bits == 512)
