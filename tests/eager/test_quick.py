"""What plans compute in place of the ops' own rules: the same bits, in arrays of the same type."""

import numpy as np
import pytest

from graphc import reference
from graphc.eager.contraction import contraction
from graphc.eager.kind import kind_of
from graphc.eager.plan import Plan, silence
from graphc.eager.quick import numpy_function
from graphc.ir import Graph, TensorType, numpy_dtype, type_of
from graphc.ops.elementwise import Sigmoid
from graphc.ops.gather import Gather, Pick
from graphc.ops.linalg import Einsum
from graphc.ops.random import Dropout, Threefry
from graphc.ops.reduce import ReduceMax, ReduceMean, ReduceSum
from tests.ops.harness import OPS, samples

FLOATS = ("float16", "bfloat16", "float32", "float64")
#: Ops whose samples are sums: their rules leave the order of them to NumPy, and round at the end.
SUMS = (Einsum,)


def graph_of(op, *arrays):
    graph = Graph("plan")
    inputs = [graph.input(f"x{i}", type_of(array)) for i, array in enumerate(arrays)]
    results = graph.apply(op, *inputs)
    results = results if isinstance(results, tuple) else (results,)
    graph.outputs = {f"y{i}": value for i, value in enumerate(results)}
    return graph


def assert_same_bits(actual, expected):
    assert type(actual) is np.ndarray
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    nan = np.isnan(expected) if expected.dtype.kind in "fcV" else np.zeros(expected.shape, bool)
    np.testing.assert_array_equal(nan, np.isnan(actual) if nan.any() else nan)
    assert actual[~nan].tobytes() == expected[~nan].tobytes()


def check(op, *arrays):
    """A plan of one op against the op's own rule, or that of what it decomposes into."""
    (node,) = graph_of(op, *arrays).nodes
    with np.errstate(all="ignore"):
        quick, (slow,) = numpy_function(node)(*arrays), reference.apply(op, *arrays)
    assert_same_bits(np.asarray(quick), np.asarray(slow))


@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.__name__)
def test_bits_are_those_of_the_op(cls):
    for sample in samples(cls):
        op = sample.op
        (node,) = graph_of(op, *sample.inputs).nodes
        if op.bodies or len(node.outputs) > 1 or numpy_function(node) is None:
            continue
        if isinstance(op, SUMS):
            continue
        check(op, *map(np.asarray, sample.inputs))


@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.__name__)
def test_results_have_the_kind_that_the_plan_says(cls):
    for sample in samples(cls):
        plan = Plan(graph_of(sample.op, *sample.inputs), False)
        arrays = silence.run(plan.prepare(), *map(np.asarray, sample.inputs))
        for array, value in zip(arrays, plan.graph.outputs.values(), strict=True):
            single = Graph("one")
            single.outputs = {"y": single.input("x", value.type)}
            assert kind_of(array) is Plan(single, True).kind


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (7, 300), (3, 0, 2), (300, 7)])
def test_sums_means_and_extremes(dtype, shape):
    x = (np.random.default_rng(0).normal(size=shape) * 1e3).astype(numpy_dtype(dtype))
    for keep in (False, True):
        axes = [tuple(range(len(shape))), (), tuple(range(len(shape)))[:1]]
        for op in {kind(a, keep) for kind in (ReduceSum, ReduceMean) for a in axes}:
            check(op, x)
        if x.size:
            check(ReduceMax(axes[0], keep), x)


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_sigmoid(dtype):
    line = np.r_[np.linspace(-120, 120, 4001), np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-30]
    check(Sigmoid(), line.astype(numpy_dtype(dtype)))


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "uint64"])
def test_gathers_in_and_out_of_range(dtype):
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    for places in ([0, 3, 1], [[2], [0]], [], 3, [0, 4, 100]):
        check(Gather(0), x, np.asarray(places, dtype))
    if dtype.startswith("int"):
        check(Gather(1), x, np.asarray([-1, -3, 2], dtype))
        check(Gather(1), x, np.asarray([-4, 0], dtype))
    check(Gather(0), x[:0], np.asarray([0, 1], dtype))


def test_random_words():
    key = [np.array(word, np.uint32) for word in (0x13198A2E, 0xFFFFFFFF)]
    index = np.arange(1000, dtype=np.int64) * 2**31
    for word in (0, 1):
        check(Threefry(word), index, *key)
        check(Threefry(word), index[:1], *key)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("keep", [1e-9, 0.3, 0.5, 1 - 2**-40, 1.0])
def test_dropout(keep, dtype):
    key = np.array([0x13198A2E, 0xFFFFFFFF], np.uint32)
    x = np.random.default_rng(0).normal(size=(37, 40)).astype(dtype)
    x[0, :3] = np.inf, np.nan, -0.0
    for view in (x, x[::2, 1::3], x.T, x[:0], x[:1, :1], np.asarray(x[3, 3])):
        check(Dropout(keep), view, key)
    x.setflags(write=False)
    check(Dropout(keep), x, key)


def test_picks_in_and_out_of_range():
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    for places in ([[0, 1, 2], [3, 2, 1]], [[-1, 4, 2], [-(2**31), 2**31 - 1, 0]]):
        check(Pick(2), x, np.asarray(places, np.int32))
        check(Pick(2), x[::-1, ::-1, ::-1], np.asarray(places, np.int32)[:, ::-1])
    check(Pick(0), x[0, 0], np.asarray(3, np.int32))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32"])
@pytest.mark.parametrize(
    "sizes", [(8, 8, 8), (2, 300, 3), (1, 5, 4), (4, 1, 3), (3, 7, 1), (2, 0, 2)]
)
def test_products_of_matrices_are_numpys_product_in_double_precision(dtype, sizes):
    rows, shared, columns = sizes
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(rows, shared)) * 9).astype(dtype)
    y = (rng.normal(size=(shared, columns)) * 9).astype(dtype)
    multiply = contraction("ij,jk->ik", *[TensorType(a.shape, dtype) for a in (x, y)])
    wide = np.float64 if x.dtype.kind == "f" else x.dtype
    # Operands that are views are laid out in another way.
    for a, b in ((x, y), (np.asfortranarray(x), y), (x, np.asfortranarray(y))):
        expected = np.matmul(a.astype(wide), b.astype(wide)).astype(dtype)
        assert_same_bits(multiply(a, b), expected)
