"""Packing: panels of every length and width, and one transposing function for a whole module."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from graphc.runtime.cpu.contraction import Axis, Contraction, generate
from graphc.runtime.cpu.emitter import Module
from graphc.runtime.cpu.target import Target
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


def test_the_contractions_of_a_module_share_the_transposing_function() -> None:
    module = Module(HOST)
    others = replace(TRANSPOSED, columns=(Axis(300, b="k", c=1),))
    for name, contraction in (("f", TRANSPOSED), ("g", others)):
        generate(module, name, contraction)
    definitions = re.findall(r"define [^@]*@(\S*turned\S*)\(", module.text())
    assert definitions == ["pack.turned.float32"]
