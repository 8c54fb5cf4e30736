"""The contraction generator against einsum in double precision."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphc.runtime.cpu import jit
from graphc.runtime.cpu.contraction import Axis, Contraction, Native, Position, generate
from graphc.runtime.cpu.contraction_kernel import Epilogue
from graphc.runtime.cpu.contraction_pack import transpose
from graphc.runtime.cpu.contraction_plan import Size, evaluate, merge, row_tiles, times
from graphc.runtime.cpu.emitter import Emitter, Module, Parameter, Register
from graphc.runtime.cpu.target import Target

HOST = Target.host()
TARGETS = {"host": HOST}
if HOST.triple.startswith("x86_64"):
    TARGETS |= {"avx2": Target.x86_64_v3(), "sse2": Target.x86_64_baseline()}
GUARD = 64


def numpy_dtype(dtype: str) -> np.dtype:
    return np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)


def store_cast(dtype: str) -> Epilogue:
    return lambda e, sums, position: position.store(e, e.cast(sums, dtype))


class Compiled:
    """A contraction as a Python function of arrays."""

    def __init__(
        self, contraction: Contraction, target: Target = HOST, epilogue: Epilogue | None = None
    ) -> None:
        module = Module(target)
        chosen = epilogue or store_cast(contraction.dtype)
        self.native: Native = generate(module, "f", contraction, chosen)
        with module.function("counts", [("out", "pointer"), ("n", "index")]) as e:
            sizes = dict.fromkeys(self.native.sizes, e.arguments[1])
            e.store(self.native.emit_chunks(e, sizes), e.arguments[0])
            bytes_needed = self.native.emit_scratch_bytes(e, sizes)
            e.store(bytes_needed, e.offset(e.arguments[0], 1, "index"))
        self.library = jit.load_object(jit.emit_object(module.text(), target))
        self.contraction = contraction

    def __call__(
        self,
        a: np.ndarray,
        b: np.ndarray,
        operands: Sequence[np.ndarray],
        sizes: Mapping[str, int] | None = None,
        parameters: Sequence[object] = (),
        split: int = 0,
    ) -> None:
        """Runs all chunks; `split` of them per call, last ones first, if that is not 0."""
        known = sizes or {}
        chunks = self.native.chunks(known)
        needed = self.native.scratch_bytes(known)
        scratch = np.full(needed + GUARD, 0x7F, np.uint8)
        kinds = [ctypes.c_void_p] * (2 + len(operands))
        kinds += [ctypes.c_float] * len(parameters)
        kinds += [ctypes.c_int64] * len(known) + [ctypes.c_void_p] + [ctypes.c_int64] * 2
        function = self.library.function("f", kinds)
        ranges = [(0, chunks)]
        if split:
            ranges = [(i, min(i + split, chunks)) for i in range(0, chunks, split)][::-1]
        for begin, end in ranges:
            function(
                *(x.ctypes.data for x in (a, b, *operands)),
                *parameters,
                *(known[name] for name in self.native.sizes),
                scratch.ctypes.data,
                begin,
                end,
            )
        assert (scratch[needed:] == 0x7F).all(), "wrote behind the scratch memory"

    def emitted_counts(self, n: int) -> tuple[int, int]:
        out = np.zeros(2, np.int64)
        function = self.library.function("counts", [ctypes.c_void_p, ctypes.c_int64])
        function(out.ctypes.data, n)
        return int(out[0]), int(out[1])


def random_array(shape: Sequence[int], dtype: str, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    if dtype.startswith(("int", "uint")):
        return random.integers(0, 50, shape).astype(dtype)
    return random.normal(size=shape).astype(numpy_dtype(dtype))


def laid_out(shape: Sequence[int], order: Sequence[int], gap: int, dtype: str, seed: int):
    """A random array whose axes lie in memory in some order, with unused columns between rows."""
    stored = [shape[axis] for axis in order]
    if stored:
        stored[-1] += gap
    base = random_array(stored, dtype, seed)
    view = base[..., : base.shape[-1] - gap] if gap else base
    return np.transpose(view, np.argsort(order)) if order else view


def element_strides(x: np.ndarray) -> list[int]:
    return [stride // x.itemsize for stride in x.strides]


def check_einsum(
    text: str,
    sizes: Mapping[str, int],
    *,
    dtype: str = "float32",
    orders: tuple[Sequence[int], Sequence[int], Sequence[int]] | None = None,
    gaps: tuple[int, int, int] = (0, 0, 0),
    run_time: bool = False,
    target: Target = HOST,
    **options: object,
) -> Compiled:
    """Compiles an einsum of two operands and compares it with NumPy's, in double precision.

    With `run_time`, every size that comes first in the row, column or reduction group is given
    at run time (its strides stay known).
    """
    inputs, result = text.split("->")
    names = (*inputs.split(","), result)
    orders = orders or tuple(range(len(x)) for x in names)
    arrays = [
        laid_out([sizes[i] for i in x], order, gap, dtype, seed)
        for seed, (x, order, gap) in enumerate(zip(names, orders, gaps, strict=True))
    ]
    a, b, c = arrays
    groups: dict[str, list[Axis]] = {"outer": [], "rows": [], "columns": [], "reduction": []}
    known: dict[str, int] = {}
    for index in dict.fromkeys("".join((result, names[0], names[1]))):
        strides = [
            element_strides(x)[letters.index(index)] if index in letters else 0
            for x, letters in zip(arrays, names, strict=True)
        ]
        in_a, in_b, in_c = (index in letters for letters in names)
        group = (
            {(1, 1): "outer", (1, 0): "rows", (0, 1): "columns"}[in_a, in_b]
            if in_c
            else ("reduction")
        )
        size: Size = sizes[index]
        if run_time and not groups[group] and group != "outer":
            size, known[index] = index, sizes[index]
        groups[group].append(Axis(size, *strides))
    contraction = Contraction(
        **{name: tuple(axes) for name, axes in groups.items()}, dtype=dtype, **options
    )
    compiled = Compiled(contraction, target)
    expected = np.einsum(text, a.astype(np.float64), b.astype(np.float64))
    if dtype.startswith(("int", "uint")):
        expected = np.einsum(text, a.astype(np.int64), b.astype(np.int64)).astype(dtype)
    results = []
    for split in (0, 1, 3):
        c[...] = 77
        before = (c.base if c.base is not None else c).copy()
        compiled(a, b, [c], known, split=split)
        results.append(c.copy())
        c[...] = 77
        untouched = c.base if c.base is not None else c
        np.testing.assert_array_equal(untouched.astype(np.float64), before.astype(np.float64))
    for other in results[1:]:
        assert results[0].tobytes() == other.tobytes(), "the split changed bits"
    if dtype.startswith(("int", "uint")):
        np.testing.assert_array_equal(results[0], expected)
    else:
        kind = numpy_dtype(dtype)
        scale = np.einsum(text, abs(a.astype(np.float64)), abs(b.astype(np.float64)))
        terms = sum(np.prod([sizes[i]]) for i in sizes) + 4
        working = np.finfo(np.float32).eps if kind.itemsize == 2 else np.finfo(kind).eps
        rounding = float(ml_dtypes.finfo(kind).eps) if kind.itemsize == 2 else 0.0
        error = abs(results[0].astype(np.float64) - expected)
        assert (error <= terms * working * scale + rounding * abs(expected) + 1e-30).all()
    return compiled


MATRIX_TEXTS = ["mk,kn->mn", "mk,nk->mn", "km,kn->mn", "km,nk->mn", "mk,kn->nm", "mk,nk->nm"]
SIZES = [
    (1, 1, 1), (0, 3, 4), (3, 0, 4), (3, 4, 0), (1, 17, 1), (1, 1, 33), (33, 1, 1), (2, 3, 5),
    (8, 16, 48), (9, 32, 64), (13, 31, 37), (32, 100, 10), (10, 32, 100), (65, 7, 129), (7, 300, 3),
]  # fmt: skip


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("text", MATRIX_TEXTS)
def test_matrix_products(text: str, name: str) -> None:
    for m, k, n in SIZES if name == "host" else SIZES[::3]:
        for run_time in (False, True):
            check_einsum(text, {"m": m, "k": k, "n": n}, run_time=run_time, target=TARGETS[name])


@pytest.mark.parametrize(
    "dtype",
    ["float64", "float16", "bfloat16", "int8", "uint8", "int32", "uint32", "int64", "int16"],
)
def test_dtypes(dtype: str) -> None:
    for text, target in (("mk,kn->mn", HOST), ("mk,nk->mn", list(TARGETS.values())[-1])):
        check_einsum(text, {"m": 13, "k": 21, "n": 37}, dtype=dtype, target=target)
        check_einsum(text, {"m": 13, "k": 21, "n": 37}, dtype=dtype, run_time=True)


@pytest.mark.parametrize(
    "text",
    [
        "bmk,bkn->bmn",  # batched
        "bmhk,bnhk->bhmn",  # attention scores
        "bhmn,bnhd->bmhd",  # attention output
        "abmk,kn->abmn",  # dense over many axes
        "mkl,kln->mn",  # two reductions
        "mkl,nlk->mn",  # that do not merge
        "mkl,lkn->mn",
        "m,n->mn",  # no reduction
        "k,k->",  # nothing else
        "mk,k->m",
        "k,kn->n",
        "b,b->b",
        "mk,nk->mn",
        "mpk,kqn->pmqn",
        "abmk,nk->abmn",  # a packed panel that serves many lines
        "apbmkl,nlk->apbmn",
        "mkg,kg->mg",  # depthwise
        "abmlkg,lkg->abmg",
        "gmk,gk->gm",
        "nmg,nmkg->kg",  # the gradient of its kernel
    ],
)
def test_any_einsum(text: str) -> None:
    sizes = dict(zip("abdghklmnpq", (2, 3, 5, 21, 3, 19, 4, 11, 18, 2, 3), strict=True))
    used = {index: size for index, size in sizes.items() if index in text}
    for run_time in (False, True):
        check_einsum(text, used, run_time=run_time)
        check_einsum(text, used, run_time=run_time, staged=True, noalias=True)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_strides_and_sizes(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([*MATRIX_TEXTS, "bmk,bkn->bmn", "mkl,kln->mn", "bmk,nk->bmn"]))
    size = st.sampled_from([0, 1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 47, 48, 49, 67, 97])
    sizes = {index: data.draw(size) for index in sorted(set(text) - set(",->"))}
    parts = text.replace("->", ",").split(",")
    orders = tuple(tuple(data.draw(st.permutations(range(len(x))))) for x in parts)
    gaps = tuple(data.draw(st.integers(0, 3)) for _ in parts)
    check_einsum(
        text,
        sizes,
        orders=orders,
        gaps=gaps,
        dtype=data.draw(st.sampled_from(["float32", "float64"])),
        run_time=data.draw(st.booleans()),
        target=TARGETS[data.draw(st.sampled_from(sorted(TARGETS)))],
        staged=data.draw(st.booleans()),
    )


def dense(batch: Size, inputs: int, units: int, **options: object) -> Contraction:
    return Contraction(
        rows=(Axis(batch, a=inputs, c=units, extra=(0, units)),),
        columns=(Axis(units, b=1, c=1, extra=(1, 1)),),
        reduction=(Axis(inputs, a=1, b=units, extra=(0, 0)),),
        **options,
    )


@pytest.mark.parametrize("staged", [False, True])
@pytest.mark.parametrize("batch", [1, 7, 32])
def test_epilogue_with_bias_residual_and_parameter(batch: int, staged: bool) -> None:
    def epilogue(e: Emitter, sums: Register, position: Position) -> None:
        bias = position.load(e, 1, "float32")
        residual = position.load(e, 2, "float32")
        rate = position.parameters["rate"]
        position.store(e, e.fma(e.maximum(e.add(sums, bias), 0), rate, residual))

    contraction = dense("batch", 20, 37, staged=staged, parameters=(Parameter("rate", "float32"),))
    x, w = random_array((batch, 20), "float32"), random_array((20, 37), "float32", 1)
    bias, residual = random_array((37,), "float32", 2), random_array((batch, 37), "float32", 3)
    y = np.full((batch, 37), np.nan, np.float32)
    Compiled(contraction, epilogue=epilogue)(x, w, [y, bias, residual], {"batch": batch}, [0.5])
    expected = np.maximum(x.astype(np.float64) @ w + bias, 0) * 0.5 + residual
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_weight_update_in_the_epilogue_never_stores_the_gradient() -> None:
    def update(e: Emitter, sums: Register, position: Position) -> None:
        weight = position.load(e, 0, "float32")
        position.store(e, e.sub(weight, e.mul(sums, position.parameters["rate"])))

    contraction = Contraction(
        rows=(Axis(30, a=1, c=21),),
        columns=(Axis(21, b=1, c=1),),
        reduction=(Axis("batch", a=30, b=21),),
        parameters=(Parameter("rate", "float32"),),
    )
    compiled = Compiled(contraction, epilogue=update)
    for batch in (0, 1, 32):
        x, dy = random_array((batch, 30), "float32"), random_array((batch, 21), "float32", 1)
        w = random_array((30, 21), "float32", 2)
        expected = w - 0.1 * (x.T.astype(np.float64) @ dy)
        compiled(x, dy, [w], {"batch": batch}, [0.1], split=1)
        np.testing.assert_allclose(w, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (0, 2, 3), (5, 70, 33), (40, 19, 50)])
def test_strides_that_are_known_at_run_time(m: int, k: int, n: int, target: Target) -> None:
    sizes = {"m": m, "k": k, "n": n}
    for a_text, b_text, c_text in itertools.product(("mk", "km"), ("kn", "nk"), ("mn", "nm")):

        def stride(text: str, index: str) -> Size:
            return (1 if text[1] == index else text[1]) if index in text else 0

        contraction = Contraction(
            **{
                group: (Axis(i, *(stride(text, i) for text in (a_text, b_text, c_text))),)
                for group, i in (("rows", "m"), ("columns", "n"), ("reduction", "k"))
            }
        )
        a, b, c = (
            random_array([sizes[i] for i in text], "float32", seed)
            for seed, text in enumerate((a_text, b_text, c_text))
        )
        expected = np.einsum(f"{a_text},{b_text}->{c_text}", a.astype(np.float64), b)
        Compiled(contraction, target)(a, b, [c], sizes, split=1)
        np.testing.assert_allclose(c, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_and_its_kernel_gradient(stride: int) -> None:
    n, h, w, ci, kh, kw, co = 2, 9, 10, 3, 3, 2, 20
    oh, ow = (h - kh) // stride + 1, (w - kw) // stride + 1
    x, kernel = random_array((n, h, w, ci), "float32"), random_array((kh, kw, ci, co), "float32", 1)
    windows = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), (1, 2))[:, ::stride, ::stride]
    y = np.empty((n, oh, ow, co), np.float32)
    forward = Contraction(
        rows=(
            Axis("batch", a=h * w * ci, c=oh * ow * co),
            Axis(oh, a=stride * w * ci, c=ow * co),
            Axis(ow, a=stride * ci, c=co),
        ),
        columns=(Axis(co, b=1, c=1),),
        reduction=(
            Axis(kh, a=w * ci, b=kw * ci * co),
            Axis(kw, a=ci, b=ci * co),
            Axis(ci, a=1, b=co),
        ),
    )
    compiled = Compiled(forward)
    assert len(compiled.native.plan.reduction) == 2
    compiled(x, kernel, [y], {"batch": n}, split=1)
    expected = np.einsum("nyxcij,ijco->nyxo", windows.astype(np.float64), kernel)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)

    dy, dk = random_array(y.shape, "float32", 2), np.empty_like(kernel)
    backward = Contraction(
        rows=(
            Axis(kh, a=w * ci, c=kw * ci * co),
            Axis(kw, a=ci, c=ci * co),
            Axis(ci, a=1, c=co),
        ),
        columns=(Axis(co, b=1, c=1),),
        reduction=(
            Axis("batch", a=h * w * ci, b=oh * ow * co),
            Axis(oh, a=stride * w * ci, b=ow * co),
            Axis(ow, a=stride * ci, b=co),
        ),
    )
    Compiled(backward)(x, dy, [dk], {"batch": n}, split=1)
    expected = np.einsum("nyxcij,nyxo->ijco", windows.astype(np.float64), dy)
    np.testing.assert_allclose(dk, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "text", ["mkl,kln->mn", "mkl,nlk->mn", "klm,kln->mn", "mkl,kln->nm", "mkl,lkn->mn"]
)
@pytest.mark.parametrize("run_time", [False, True])
@pytest.mark.parametrize("staged", [False, True])
def test_long_reductions_go_in_blocks(text: str, run_time: bool, staged: bool) -> None:
    sizes = {"m": 33, "k": 11, "l": 900, "n": 52}
    compiled = check_einsum(text, sizes, run_time=run_time, staged=staged)
    plan = compiled.native.plan
    assert plan.block is not None
    assert plan.block < evaluate(plan.reduction[0].size, sizes)


def test_columns_beyond_a_panel_are_counted_at_run_time() -> None:
    # A panel of columns once was taken for all of them.
    for columns in (160, 192, 256, 1000):
        check_einsum("kn,km->nm", {"k": 64, "n": columns, "m": 10}, run_time=True, staged=True)
        check_einsum("km,kn->mn", {"k": 64, "n": columns, "m": 10}, run_time=True, staged=True)


def test_rows_a_page_apart_do_not_fill_a_set_of_the_cache() -> None:
    plan = check_einsum("mk,kn->mn", {"m": 40, "k": 1024, "n": 100}).native.plan
    assert plan.tile_rows <= 6
    assert not plan.pack


@pytest.mark.parametrize("run_time", [False, True])
@pytest.mark.parametrize("staged", [False, True])
def test_rows_that_push_each_other_out_of_the_cache(run_time: bool, staged: bool) -> None:
    # Rows 4096 bytes apart: many rows of the first factor pay for a copy, few go in short blocks.
    many = check_einsum(
        "mk,kn->mn", {"m": 200, "k": 700, "n": 1024}, run_time=run_time, staged=staged
    )
    few = check_einsum(
        "mk,kn->mn", {"m": 15, "k": 700, "n": 1024}, run_time=run_time, staged=staged
    )
    if not run_time:
        assert many.native.plan.pack
        assert not few.native.plan.pack
        assert few.native.plan.block is not None
        near = check_einsum("mk,kn->mn", {"m": 200, "k": 700, "n": 1008}).native.plan
        assert not near.pack
        assert near.block is None


def test_rows_that_begin_within_a_line_of_the_cache() -> None:
    # Vectors that lie in two lines are slow to load: many rows of the first factor pay for a copy.
    sizes = {"m": 200, "k": 70, "n": 300}
    assert check_einsum("mk,kn->mn", sizes).native.plan.pack
    assert not check_einsum("mk,kn->mn", sizes | {"m": 30}).native.plan.pack


def test_large_factors_are_asked_for_in_time() -> None:
    for sizes in ({"m": 30, "k": 700, "n": 300}, {"m": 20, "k": 4500, "n": 200}):
        for run_time in (False, True):
            compiled = check_einsum("mk,kn->mn", sizes, run_time=run_time)
            assert compiled.native.plan.prefetch or run_time
    check_einsum("km,kn->mn", {"m": 300, "k": 700, "n": 300}, run_time=True)


def test_a_panel_is_packed_once_for_all_lines() -> None:
    contraction = Contraction(
        rows=(Axis("batch", a=9 * 70, c=8 * 20), Axis(8, a=70, c=20)),
        columns=(Axis(20, b=70, c=1),),
        reduction=(Axis(70, a=1, b=1),),
    )
    plan = contraction.plan(HOST)
    assert plan.pack
    assert not plan.outer
    assert [axis.size for axis in plan.lines] == ["batch"]


def test_lanes_run_along_what_both_factors_have_if_nothing_else_is_there() -> None:
    compiled = check_einsum("pqkg,kg->pqg", {"p": 5, "q": 7, "k": 9, "g": 40})
    assert compiled.native.plan.column.size == 40
    assert compiled.native.plan.column.a == compiled.native.plan.column.b == 1


def test_results_do_not_depend_on_the_batch_that_a_row_is_in() -> None:
    compiled = Compiled(dense("batch", 300, 37))
    x, w = random_array((50, 300), "float32"), random_array((300, 37), "float32", 1)
    unused = np.zeros((50, 37), np.float32)
    whole = np.empty((50, 37), np.float32)
    compiled(x, w, [whole, unused, unused], {"batch": 50})
    for batch, start in itertools.product((1, 2, 7, 31), (0, 11)):
        part = np.empty((batch, 37), np.float32)
        rows = x[start : start + batch].copy()
        compiled(rows, w, [part, unused, unused], {"batch": batch})
        np.testing.assert_array_equal(part, whole[start : start + batch])


def test_nan_and_infinity_stay_in_their_rows_and_columns() -> None:
    m, k, n = 11, 9, 21
    a, b = random_array((m, k), "float32"), random_array((n, k), "float32", 1)
    a[3, 2], a[5, 1], b[20, 4] = np.nan, np.inf, np.nan
    c = np.empty((m, n), np.float32)
    contraction = Contraction(
        rows=(Axis(m, a=k, c=n),), columns=(Axis(n, b=k, c=1),), reduction=(Axis(k, a=1, b=1),)
    )
    Compiled(contraction)(a, b, [c])
    with np.errstate(invalid="ignore"):
        expected = np.einsum("mk,nk->mn", a, b)
    np.testing.assert_array_equal(np.isnan(c), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(c), np.isinf(expected))


@pytest.mark.parametrize("batch", [0, 1, 5, 31, 64, 1000])
def test_emitted_counts_agree_with_those_in_python(batch: int) -> None:
    contractions = [
        dense("batch", 784, 300),
        dense("batch", 7, 5),
        Contraction(
            outer=(Axis("batch", 12, 12, 9), Axis(3, 4, 4, 3)),
            rows=(Axis(100, a=70, c=50),),
            columns=(Axis("batch", b=8000, c=1),),
            reduction=(Axis("batch", a=1, b=1),),
        ),
        Contraction(
            rows=(Axis("batch", a=1, c="batch"),),
            columns=(Axis("batch", b="batch", c=1),),
            reduction=(Axis("batch", a="batch", b=1), Axis(5, "2*batch", 3)),
        ),
    ]
    for contraction in contractions:
        compiled = Compiled(contraction)
        native = compiled.native
        sizes = dict.fromkeys(native.sizes, batch)
        expected = native.chunks(sizes), native.scratch_bytes(sizes)
        assert compiled.emitted_counts(batch) == expected


@pytest.mark.parametrize(("rows", "lanes"), [(1, 4), (2, 16), (3, 8), (8, 16), (16, 16), (13, 4)])
def test_transpose_in_registers(rows: int, lanes: int) -> None:
    module = Module(HOST)
    with module.function("f", [("x", "pointer"), ("y", "pointer")]) as e:
        x, y = e.arguments
        block = [e.load(e.offset(x, r * lanes, "float32"), "float32", lanes) for r in range(rows)]
        for i, vector in enumerate(transpose(e, block)):
            e.store(vector, e.offset(y, i * lanes, "float32"))
    library = jit.load_object(jit.emit_object(module.text(), HOST))
    padded = 1 << (rows - 1).bit_length()
    source, result = random_array((rows, lanes), "float32"), np.empty((lanes, padded), np.float32)
    function = library.function("f", [ctypes.c_void_p] * 2)
    function(source.ctypes.data, result.ctypes.data)
    np.testing.assert_array_equal(result[:, :rows], source.T)


def test_sizes_multiply_to_one_spelling() -> None:
    assert times("batch", times(3, "2*time")) == times("time", times("batch", 6)) == "6*batch*time"
    assert times(0, "batch") == 0
    assert times(1, "batch") == "batch"
    assert evaluate("6*batch*time", {"batch": 2, "time": 5}) == 60


def test_merging_keeps_what_is_not_contiguous() -> None:
    axes = [Axis("batch", 784, 0, 10), Axis(28, 28, 0, 0), Axis(28, 1, 0, 0)]
    assert merge(axes) == [axes[0], Axis(784, 1, 0, 0)]
    assert merge([Axis(4, "6*n"), Axis("n", 6), Axis(6, 1)]) == [Axis("24*n", 1)]
    assert merge([Axis(1, 5), Axis(1, 3)]) == []


def test_rows_are_spread_evenly_over_tiles() -> None:
    for rows in range(60):
        for height in range(1, 15):
            tiles, larger = row_tiles(rows, height)
            sizes = [rows // tiles + (i < larger) for i in range(tiles)] if tiles else []
            assert sum(sizes) == rows
            assert max(sizes, default=0) <= height


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="stride for every operand"):
        Contraction(rows=(Axis(3, 1, 0, 1),), columns=(Axis(3, 0, 1, 3, (1,)),))
    with pytest.raises(ValueError, match="got bool"):
        replace(dense(1, 2, 3), dtype="bool")
