"""Kernels against the reference: each kind alone and fused, at odd sizes, of every dtype."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from graphc.autodiff import gradients
from graphc.errors import UnsupportedError
from graphc.ir import (
    DTYPES,
    FLOATS,
    INTEGERS,
    Graph,
    Op,
    TensorType,
    Value,
    as_text,
    symbol,
    type_of,
)
from graphc.ops.control import cond, scan, while_loop
from graphc.ops.conv import Conv, ConvKernelGradient, ConvTranspose
from graphc.ops.elementwise import Cast, Exp, Max, Relu, Tanh, Where
from graphc.ops.gather import Gather, ScatterAdd
from graphc.ops.linalg import Einsum
from graphc.ops.movement import (
    Concat,
    Expand,
    Iota,
    Pad,
    Reshape,
    Reverse,
    Size,
    Slice,
    Transpose,
)
from graphc.ops.nn import LayerNormalization, Softmax
from graphc.ops.pool import AveragePool, MaxPool
from graphc.ops.reduce import ArgMax, ReduceMax, ReduceMean, ReduceMin, ReduceProd, ReduceSum
from graphc.program import Program
from graphc.reference import evaluate
from graphc.runtime.cpu.program import CpuExecutable
from tests.cpu.programs import BATCH, assert_equal, check_program
from tests.passes.graphs import graphs, inputs_of

TIME = symbol("time")
#: Around the widths of vectors, and nothing at all.
SIZES = (0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 65)


def program_of(build: Callable[..., Value | Sequence[Value]], *types: TensorType) -> Program:
    """A program whose results are what a function makes of inputs of these types."""
    graph = Graph("test")
    results = build(*[graph.input(f"x{i}", type) for i, type in enumerate(types)])
    results = [results] if isinstance(results, Value) else results
    graph.outputs = {f"y{i}": value for i, value in enumerate(results)}
    return Program(graph)


def f32(*shape: object) -> TensorType:
    return TensorType(shape, "float32")  # type: ignore[arg-type]


def batches(*sizes: int) -> list[dict[str, int]]:
    return [{"batch": size} for size in sizes]


# ----------------------------------------------------------------------------------- elementwise


@pytest.mark.parametrize("dtype", FLOATS)
def test_chain_of_any_length(dtype: str) -> None:
    type = TensorType((BATCH,), dtype)
    program = program_of(lambda x, y: Tanh()(x * y + x) * 0.5 - y, type, type)
    check_program(program, batches(*SIZES, 4096, 4097, 9000))


@pytest.mark.parametrize("columns", SIZES)
def test_rows_with_a_bias(columns: int) -> None:
    program = program_of(
        lambda x, b, r: (Relu()(x + b), x * r, Max()(b, r)),
        f32(BATCH, columns),
        f32(columns),
        f32(BATCH, 1),
    )
    check_program(program, batches(0, 1, 5))


def test_scalars_and_ones_in_every_place() -> None:
    program = program_of(
        lambda x, s, a, b, c: (x + s, x * a, x - b, x * c, a * b + c),
        f32(2, BATCH, 3),
        f32(),
        f32(2, 1, 3),
        f32(1, BATCH, 1),
        f32(2, 1, 1),
    )
    check_program(program, batches(0, 1, 4, 19))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers(dtype: str) -> None:
    type = TensorType((BATCH, 5), dtype)
    program = program_of(
        lambda x, y: (x + y * x, Max()(x, y) - x, Where()(x > y, x, y), ReduceSum((1,))(x)),
        type,
        type,
    )
    check_program(program, batches(0, 1, 13))


@pytest.mark.parametrize("source", DTYPES)
def test_casts_between_all_dtypes(source: str) -> None:
    program = program_of(
        lambda x: [Cast(target)(x) for target in DTYPES], TensorType((BATCH,), source)
    )
    check_program(program, batches(0, 1, 37))


def test_special_numbers_go_through_untouched() -> None:
    numbers = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, 3e38, 1.0], np.float32)
    x, y = (np.ascontiguousarray(a) for a in np.meshgrid(numbers, numbers))
    program = program_of(
        lambda x, y: (x + y, x * y, Max()(x, y), Relu()(x), Where()(x > y, x, y), -x),
        type_of(x),
        type_of(y),
    )
    data = {"x0": x, "x1": y}
    actual = CpuExecutable(program, 1).run(data, {})
    expected = evaluate(program.graph, data)
    for name, wanted in expected.items():
        np.testing.assert_array_equal(actual[name], wanted)
        numbers_only = ~np.isnan(wanted)
        signs = np.signbit(actual[name])[numbers_only], np.signbit(wanted)[numbers_only]
        if name != "y2" and name != "y3":  # which zero is the larger one is anybody's choice
            np.testing.assert_array_equal(*signs)


# ------------------------------------------------------------------------------------------ views


def test_operands_are_read_through_views() -> None:
    def build(x: Value, y: Value) -> list[Value]:
        turned = Transpose((1, 0))(x)
        part = Slice((1, 0), (6, 7), (2, 3))(x)
        back = Reverse((0, 1))(x)
        wide = Expand((4, 6, 9))(Reshape((1, 6, 9))(x))
        return [turned * 2.0, part + 1.0, back - x, wide * y, Reshape((54,))(turned), back]

    check_program(program_of(build, f32(6, 9), f32(4, 1, 9)), [{}])


def test_views_of_symbolic_sizes() -> None:
    def build(x: Value) -> list[Value]:
        tail = Slice((1, 0), (BATCH, 5), (1, 2))(x)
        return [Exp()(tail), ReduceSum((1,))(Transpose((1, 0))(x)), Reverse((0,))(x) * 2.0]

    check_program(program_of(build, f32(BATCH, 5)), batches(1, 2, 20))


@pytest.mark.parametrize("dtype", ("float32", "int8", "bool", "float64"))
def test_movement(dtype: str) -> None:
    def build(x: Value, y: Value) -> list[Value]:
        joined = Concat(1)([x, y][0], y)
        padded = Pad((1, 0), (0, 2), (0, 1))(x) if dtype != "bool" else Reverse((1,))(x)
        return [joined, padded, Transpose((1, 0))(joined), Reshape((BATCH * 3,))(x)]

    program = program_of(build, TensorType((BATCH, 3), dtype), TensorType((BATCH, 18), dtype))
    check_program(program, batches(0, 1, 17))


def test_one_value_as_several_outputs() -> None:
    program = program_of(lambda x: [x, x, x + 1.0, Transpose((0,))(x)], f32(BATCH))
    check_program(program, batches(0, 3))


# ------------------------------------------------------------------------------------- reductions


@pytest.mark.parametrize("axes", [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
def test_reductions_over_any_axes(axes: tuple[int, ...]) -> None:
    program = program_of(
        lambda x: [
            ReduceSum(axes)(x * x),
            ReduceMax(axes, keep=True)(x),
            ReduceMin(axes)(-x),
            ReduceProd(axes)(x),
            ReduceMean(axes)(x),
        ],
        f32(BATCH, 3, TIME),
    )
    sizes = [{"batch": b, "time": t} for b, t in ((1, 1), (2, 17), (19, 5), (4, 70))]
    check_program(program, sizes, tolerance=1e-4)


@pytest.mark.parametrize("columns", (1, 5, 16, 17, 64, 65, 200, 1000))
def test_row_groups(columns: int) -> None:
    def build(x: Value, gamma: Value, beta: Value, dy: Value) -> list[Value]:
        soft = Softmax(1)(x)
        slope = soft * (dy - ReduceSum((1,), keep=True)(dy * soft))
        normal = LayerNormalization((1,))(x, gamma, beta)
        return [soft, slope, normal, ArgMax(1)(x)]

    types = f32(BATCH, columns), f32(columns), f32(columns), f32(BATCH, columns)
    check_program(program_of(build, *types), batches(0, 1, 7), tolerance=5e-5)


def test_column_groups() -> None:
    def build(x: Value, w: Value) -> list[Value]:
        mean = ReduceMean((0,))(x)
        variance = ReduceMean((0,))((x - mean) * (x - mean))
        return [mean, variance, w - ReduceSum((0,))(x) * 0.1]

    check_program(program_of(build, f32(BATCH, 37), f32(37)), batches(1, 2, 100))


def test_sums_of_many_numbers_are_exact_enough() -> None:
    x = np.full((200_000,), 0.1, np.float32)
    program = program_of(lambda x: ReduceSum((0,))(x), f32(BATCH))
    (total,) = CpuExecutable(program, 1).run({"x0": x}, {}).values()
    assert abs(total - 200_000 * np.float64(np.float32(0.1))) < 0.1


def test_counting_axes_and_sizes() -> None:
    def build(x: Value) -> list[Value]:
        rows = x.graph.apply(Iota((BATCH, 5), 0, "float32"))
        columns = x.graph.apply(Iota((BATCH, 5), 1, "int64"))
        return [x * rows, Cast("float32")(columns) + x, columns, Size((0, 1))(x) + x]

    check_program(program_of(build, f32(BATCH, 5)), batches(0, 1, 18))


# ----------------------------------------------------------------------------------- contractions


EQUATIONS = (
    ("bi,io->bo", (BATCH, 37), (37, 50)),
    ("bi,io->bo", (BATCH, 1), (1, 1)),
    ("bi,io->bo", (BATCH, 0), (0, 4)),
    ("bi,oi->bo", (BATCH, 64), (48, 64)),
    ("bi,bo->io", (BATCH, 40), (BATCH, 33)),
    ("bti,io->tbo", (BATCH, 5, 20), (20, 31)),
    ("bhqd,bhkd->bhqk", (BATCH, 3, 9, 16), (BATCH, 3, 18, 16)),
    ("bqhd,bkhd->bhqk", (BATCH, 9, 3, 16), (BATCH, 18, 3, 16)),
    ("ij,ij->j", (200, 30), (200, 30)),
    ("ij,k->ik", (60, 40), (50,)),
    ("i,i->", (BATCH,), (BATCH,)),
    ("i,j->ij", (BATCH,), (70,)),
)


@pytest.mark.parametrize(("equation", "x", "y"), EQUATIONS)
def test_contractions_with_epilogues(equation: str, x: tuple, y: tuple) -> None:
    def build(x: Value, y: Value) -> list[Value]:
        z = Einsum(equation)(x, y)
        bias = z.graph.apply(Iota((z.shape[-1] if z.rank else 1,), 0, "float32"))
        shifted = z + bias * 0.01 if z.rank else z + 1.0
        return [Relu()(shifted), shifted * 2.0 + z]

    check_program(program_of(build, f32(*x), f32(*y)), batches(0, 1, 2, 33, 70), tolerance=1e-4)


@pytest.mark.parametrize("dtype", (*FLOATS, "int32", "uint8", "int64"))
@pytest.mark.parametrize("columns", (3, 70))
def test_contractions_of_every_dtype(dtype: str, columns: int) -> None:
    types = TensorType((BATCH, 40), dtype), TensorType((40, columns), dtype)
    program = program_of(
        lambda x, y: Einsum("bi,io->bo")(x, y) * x.graph.constant(2, dtype), *types
    )
    check_program(program, batches(0, 1, 19))


def test_contraction_of_views() -> None:
    def build(x: Value, y: Value) -> list[Value]:
        part = Slice((0, 3), (BATCH, 40), (1, 1))(x)
        wide = Expand((37, 50))(Reshape((1, 50))(y))
        return [Einsum("bi,io->bo")(part, wide), Einsum("bi,bo->io")(Reverse((1,))(part), part)]

    check_program(program_of(build, f32(BATCH, 41), f32(50)), batches(0, 1, 40), tolerance=1e-4)


def test_infinities_stay_in_their_row() -> None:
    x = np.ones((20, 40), np.float32)
    x[3, 5], x[7, 1] = np.inf, np.nan
    program = program_of(lambda x, y: Einsum("bi,io->bo")(x, y), f32(BATCH, 40), f32(40, 33))
    data = {"x0": x, "x1": np.ones((40, 33), np.float32)}
    (y,) = CpuExecutable(program, 1).run(data, {}).values()
    expected = np.full((20, 33), 40.0, np.float32)
    expected[3], expected[7] = np.inf, np.nan
    np.testing.assert_array_equal(y, expected)


# ---------------------------------------------------------------------------------------- windows


@pytest.mark.parametrize("layout", ("last", "first"))
@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"),
    [(1, 0, 1, 1), (1, 1, 1, 1), (2, 1, 1, 1), (1, 2, 2, 1), (3, 0, 1, 1), (1, 1, 1, 4)],
)
def test_convolutions_and_their_gradients(
    layout: str, stride: int, padding: int, dilation: int, groups: int
) -> None:
    attributes = {
        "strides": (stride, stride),
        "padding": ((padding, padding), (padding, 0)),
        "dilations": (dilation, dilation),
        "groups": groups,
        "layout": layout,
    }
    op = Conv(**attributes)
    image = op.image(BATCH, (13, 12), 8, "float32")
    kernel = f32(3, 3, 8 // groups, 20)
    y = op.infer(image, kernel)

    def build(x: Value, kernel: Value, dy: Value) -> list[Value]:
        back = ConvTranspose(spatial=(13, 12), **attributes)
        slope = ConvKernelGradient(window=(3, 3), **attributes)
        return [Relu()(op(x, kernel)), back(dy, kernel), slope(x, dy)]

    check_program(program_of(build, image, kernel, y), batches(0, 1, 5), tolerance=1e-4)


@pytest.mark.parametrize("stride", (1, 2, 3))
@pytest.mark.parametrize("padding", ((0, 0), (2, 3)))
def test_gradients_over_symbolic_time(stride: int, padding: tuple[int, int]) -> None:
    conv = Conv(strides=(stride,), padding=(padding,), dilations=(1,))
    pool = AveragePool(window=(2,), strides=(stride,), padding=((0, 1),))

    def build(x: Value, kernel: Value) -> list[Value]:
        loss = ReduceSum((0, 1, 2))(Tanh()(pool(conv(x, kernel))))
        return [loss, *gradients(loss, [x, kernel])]  # type: ignore[list-item]

    program = program_of(build, f32(BATCH, TIME, 5), f32(3, 5, 7))
    check_program(program, [{"batch": b, "time": t} for b, t in ((1, 5), (3, 9), (2, 20))], 1e-4)


def test_pool_of_symbolic_image() -> None:
    pool = MaxPool(window=(3,), strides=(2,), padding=((1, 1),))
    program = program_of(lambda x: Relu()(pool(x)), f32(BATCH, TIME, 5))
    check_program(program, [{"batch": b, "time": t} for b, t in ((1, 2), (3, 9), (0, 5))])


# ------------------------------------------------------------------------------------ rows by index


@pytest.mark.parametrize("number", [0.0, -np.inf])
@pytest.mark.parametrize(
    ("before", "after"), [((1, 1), (1, 1)), ((0, 2), (1, 0)), ((0, 0), (0, 3))]
)
def test_what_is_padded_is_computed_in_its_place(
    before: tuple[int, int], after: tuple[int, int], number: float
) -> None:
    def build(x: Value, y: Value) -> Sequence[Value]:
        image = Exp()(x) * y
        around = ((0, *before, 0), (0, *after, 0), (0, 0, 0, 0))
        padded = Pad(*around, number)(image)
        again = Pad((0, 0, 1, 0), (0, 0, 0, 0), (0, 0, 0, 0), 7.0)(image)
        seen = [Exp()(padded), Exp()(again), Relu()(Transpose((0, 2, 1, 3))(image))]
        rows = Einsum("bpqc,bpqd->cd")(image, image)
        return [*seen, rows, ReduceSum((0, 1, 2))(image)]

    program = program_of(build, f32(BATCH, 5, 6, 3), f32(BATCH, 5, 6, 3))
    check_program(program, batches(0, 1, 4))
    copies = [name for name in CpuExecutable(program).manifest.kernels if "copy" in name]
    assert len(copies) == 1  # one value has one place


def test_results_are_not_in_the_middle_of_something() -> None:
    def build(x: Value) -> Sequence[Value]:
        image = Relu()(x) + x
        return image, Pad((0, 1), (0, 2), (0, 0), 0.0)(image), Pad((1, 1), (0, 0), (0, 0), 1.0)(x)

    check_program(program_of(build, f32(BATCH, 9)), batches(0, 1, 5))


def test_gathered_rows_never_leave_the_table() -> None:
    indices = np.array([0, 4, -1, -5, 5, -6, 2**31 - 1, -(2**31)], np.int32)
    table = np.arange(15, dtype=np.float32).reshape(5, 3)
    program = program_of(
        lambda x, i, y: (Gather(0)(x, i), ScatterAdd(0, 5)(i, y)),
        type_of(table),
        type_of(indices),
        f32(8, 3),
    )
    data = {"x0": table, "x1": indices, "x2": np.ones((8, 3), np.float32)}
    assert_equal(CpuExecutable(program, 1).run(data, {}), evaluate(program.graph, data))


# ------------------------------------------------------------------------------------ control flow


def test_loop_inside_a_loop() -> None:
    def double(x: Value, count: Value) -> list[Value]:
        inner = while_loop(lambda y, n: n < 2.0, lambda y, n: [y * 2.0, n + 1.0], x, count * 0.0)
        return [inner[0], count + 1.0]

    program = program_of(
        lambda x, c: while_loop(lambda y, n: n < 3.0, double, x, c), f32(BATCH), f32()
    )
    executable = CpuExecutable(program, 1)
    for start in (0.0, 2.0, 9.0):
        data = {"x0": np.ones(5, np.float32), "x1": np.array(start, np.float32)}
        assert_equal(executable.run(data, {}), evaluate(program.graph, data))


def test_bodies_hand_operands_on() -> None:
    def build(x: Value, choice: Value) -> list[Value]:
        y = Exp()(x)
        picked = cond(choice, lambda a, b: [a, b], lambda a, b: [b, a * 2.0], y, x)
        finals, stacks = scan(lambda c, s, k: ([k[0]], [k[0], c[0]]), [x], [], [y], steps=3)
        return [*picked, *finals, *stacks, y + 1.0]

    program = program_of(build, f32(BATCH), TensorType((), "bool"))
    executable = CpuExecutable(program, 1)
    for choice in (True, False):
        data = {"x0": np.linspace(-1, 1, 20, dtype=np.float32), "x1": np.array(choice)}
        assert_equal(executable.run(data, {}), evaluate(program.graph, data))


# ------------------------------------------------------------------------------------- everything


def test_unknown_ops_are_named_with_their_place() -> None:
    class Mystery(Relu):
        """An op that only NumPy knows."""

        elementwise = False

    try:
        program = program_of(lambda x: Mystery()(x), f32(BATCH))
        with pytest.raises(UnsupportedError, match=r"no code for Mystery of float32\[batch\]"):
            CpuExecutable(program, 1)
    finally:
        del Op.registry["Mystery"]


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # The same graphs each time: where an infinity meets a rounded number, any answer may be right.
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
)
@given(graphs(most=18), st.integers(0, 2**32 - 1))
def test_random_graphs(graph: Graph, seed: int) -> None:
    note(as_text(graph))
    executable = CpuExecutable(Program(graph), 1)
    for offset in range(2):
        data = inputs_of(graph, seed + offset)
        expected = evaluate(graph, data)
        actual = executable.run(data, {})
        for name, wanted in expected.items():
            assert actual[name].shape == wanted.shape
            if wanted.dtype.kind != "f":
                np.testing.assert_array_equal(actual[name], wanted)
                continue
            # How a sum is ordered decides whether it overflows, and what becomes of infinities.
            bounded = np.abs(np.nan_to_num(wanted, posinf=1e30)) < 1e30
            finite = np.isfinite(wanted)
            np.testing.assert_array_equal(np.isfinite(actual[name])[bounded], finite[bounded])
            bounded &= finite
            tolerance = 1e-4 if any(v.dtype == "float32" for v in graph.values()) else 1e-10
            np.testing.assert_allclose(
                np.where(bounded, actual[name], 0),
                np.where(bounded, wanted, 0),
                tolerance,
                tolerance,
            )
