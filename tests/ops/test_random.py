"""Random numbers: published vectors, distributions, and what they depend on."""

import math

import numpy as np
import pytest

from graphc import reference, runtime
from graphc.config import config
from graphc.errors import DTypeError, ShapeError
from graphc.ir import Graph, TensorType, Value, symbol
from graphc.ops.random import (
    Threefry,
    bernoulli,
    fold_in,
    normal,
    random_bits,
    row_major_index,
    truncated_normal,
    uniform,
)
from graphc.program import Program

KEY = np.array([0x13198A2E, 0x03707344], np.uint32)


def draw(function, *arguments, key=KEY):
    """The result of a function of a key."""
    graph = Graph("draw")
    results = function(graph.input("key", TensorType((2,), "uint32")), *arguments)
    results = results if isinstance(results, tuple) else (results,)
    graph.outputs = {str(i): value for i, value in enumerate(results)}
    values = tuple(reference.evaluate(graph, {"key": key}).values())
    return values if len(values) > 1 else values[0]


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ],
)
@pytest.mark.parametrize("run", [reference.apply, reference.evaluate_decomposition])
def test_known_answers_of_random123(run, counter, key, words):
    # The bits of the index are the counter, also where they make it negative.
    index = np.array(counter[0] | counter[1] << 32, np.uint64).astype(np.int64)
    arrays = index, *(np.array(word, np.uint32) for word in key)
    assert [int(run(Threefry(word), *arrays)[0]) for word in (0, 1)] == list(words)


def test_positions_are_the_same_whichever_sizes_are_symbolic():
    for shape in ((4, 3, 5), (symbol("b"), 3, 5), (symbol("b"), symbol("t"), 5)):
        graph = Graph("positions")
        graph.input("x", TensorType(shape, "float32"))
        graph.outputs = {"index": row_major_index(graph, shape)}
        values = reference.evaluate(graph, {"x": np.zeros((4, 3, 5), np.float32)})
        np.testing.assert_array_equal(values["index"], np.arange(60).reshape(4, 3, 5))


def test_positions_beyond_32_bits():
    """The index of a huge tensor, computed for a few of its elements."""
    graph = Graph("huge")
    index = row_major_index(graph, (2**20, 2**20, 3))
    assert index.dtype == "int64"
    assert row_major_index(graph, (2**20, 2**11)).dtype == "int64"
    assert row_major_index(graph, (2**20, 2**10)).dtype == "int32"
    a, b, c = 2**20 - 1, 2**20 - 7, 2
    counts = {0: a, 1: b, 2: c}

    def at(value: Value) -> int:
        """The value of the index's arithmetic at one position."""
        operands = [at(x) for x in value.node.inputs]
        if value.op.name == "Iota":
            return counts[value.op.axis]
        if value.op.name == "Constant":
            return int(value.constant)
        return {"Add": sum, "Mul": math.prod}[value.op.name](operands)

    position = (a * 2**20 + b) * 3 + c
    assert at(index) == position > 2**40
    far = np.array([position, position % 2**32], np.int64)
    bits = Threefry(0).evaluate(far, KEY[0], KEY[1])
    assert bits[0] != bits[1]


def test_an_empty_and_a_scalar_shape():
    assert draw(uniform, ()).shape == ()
    assert draw(uniform, (0, 3)).shape == (0, 3)
    assert draw(uniform, ()) == draw(uniform, (7,))[0]


def test_another_key_gives_other_bits():
    keys = [draw(fold_in, 1), draw(fold_in, 2), draw(fold_in, 1, 2), draw(fold_in, 2, 1), KEY]
    drawn = {draw(random_bits, (4,), key=key)[0].tobytes() for key in keys}
    assert len(drawn) == len(keys)
    # Neither is a folded key a piece of what is drawn with the key itself.
    bits = np.concatenate(draw(random_bits, (64,)))
    assert not np.isin(np.concatenate(keys[:-1]), bits).any()


def test_a_key_folds_in_values_of_the_graph():
    graph = Graph("fold")
    key = graph.input("key", TensorType((2,), "uint32"))
    step = graph.input("step", TensorType((), "int32"))
    graph.outputs = {"key": fold_in(key, step, 5)}
    folded = reference.evaluate(graph, {"key": KEY, "step": np.array(3, np.int32)})["key"]
    np.testing.assert_array_equal(folded, draw(fold_in, 3, 5))


@pytest.mark.parametrize(
    ("dtype", "bits"), [("float16", 11), ("bfloat16", 8), ("float32", 24), ("float64", 53)]
)
def test_uniform_numbers_are_exact_multiples_below_one(dtype, bits):
    numbers = draw(uniform, (100, 300), dtype)
    assert numbers.dtype.name == dtype
    wide = numbers.astype(np.float64)
    assert wide.min() >= 0
    assert wide.max() < 1
    scaled = wide * 2.0**bits
    np.testing.assert_array_equal(scaled, np.floor(scaled))
    # The last bit is used, and each tenth of the range has its share.
    assert np.any(scaled % 2 == 1)
    counts, _ = np.histogram(wide, 10 if bits > 8 else 8, (0, 1))
    assert chi_square(counts) < 30


def chi_square(counts):
    expected = counts.sum() / len(counts)
    return ((counts - expected) ** 2 / expected).sum()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_numbers_follow_the_normal_distribution(dtype):
    numbers = draw(normal, (400, 500), dtype).astype(np.float64).ravel()
    count = numbers.size
    assert abs(numbers.mean()) < 4 / math.sqrt(count)
    assert abs(numbers.std() - 1) < 4 / math.sqrt(2 * count)
    # Compared with the distribution function everywhere (Kolmogorov and Smirnov).
    expected = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in np.sort(numbers)])
    assert np.abs(expected - (np.arange(count) + 0.5) / count).max() < 1.95 / math.sqrt(count)
    assert 4 < np.abs(numbers).max() < 6.8


def test_truncated_normal_numbers():
    numbers = draw(truncated_normal, (400, 500)).astype(np.float64).ravel()
    count = numbers.size
    assert np.abs(numbers).max() <= 2
    inside = math.erf(math.sqrt(2))
    expected = np.array([math.erf(x / math.sqrt(2)) / inside for x in np.sort(numbers)]) / 2 + 0.5
    assert np.abs(expected - (np.arange(count) + 0.5) / count).max() < 1.95 / math.sqrt(count)
    # The inversion itself, to seven digits.
    uniforms = np.sort(draw(uniform, (400, 500)).astype(np.float64).ravel()) + 2.0**-25
    np.testing.assert_allclose(expected, uniforms, atol=3e-7)


def test_truth_values_come_with_their_probability():
    values = draw(bernoulli, 0.3, (400, 500))
    assert values.dtype == bool
    assert abs(values.mean() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / values.size)
    assert not draw(bernoulli, 0.0, (100, 100)).any()
    assert draw(bernoulli, 1.0, (100, 100)).all()
    assert draw(bernoulli, math.inf, (100,)).all() and draw(bernoulli, 2.0, (100,)).all()
    assert not draw(bernoulli, math.nan, (100,)).any() and not draw(bernoulli, -1.0, (100,)).any()


def test_truth_values_are_decided_by_all_bits():
    """Also where the probability is exactly what some element's bits stand for."""
    graph = Graph("bits")
    key = graph.constant(np.array(KEY, np.uint32))
    graph.outputs["bits"] = random_bits(key, (1000,))[0]
    shares = reference.evaluate(graph, {})["bits"] / 2.0**32
    for share in np.sort(shares)[[0, 1, 500, 999]]:
        for probability in (share, np.nextafter(share, 1), share + 2.0**-32):
            mask = draw(bernoulli, float(probability), (1000,))
            np.testing.assert_array_equal(mask, shares < probability)


def test_compiled_bits_are_those_of_the_reference(monkeypatch):
    """At any batch size, in one compiled program."""
    monkeypatch.setattr(config, "cache_folder", None)
    graph = Graph("compiled")
    key = graph.input("key", TensorType((2,), "uint32"))
    shape = graph.input("x", TensorType((symbol("batch"), 7, 5), "float32")).shape
    graph.outputs = {
        "float32": uniform(key, shape),
        "float64": uniform(key, shape, "float64"),
        "truth": bernoulli(key, 0.4, shape),
        "key": fold_in(key, 7),
        "normal": normal(key, shape),
        "truncated": truncated_normal(key, shape),
    }
    executable = runtime.compile(Program(graph), backend="cpu")
    for batch in (0, 1, 33):
        arrays = {"key": KEY, "x": np.zeros((batch, 7, 5), np.float32)}
        actual, expected = executable.run(arrays, {}), reference.evaluate(graph, arrays)
        for name in ("float32", "float64", "truth", "key"):
            np.testing.assert_array_equal(actual[name], expected[name])
        for name in ("normal", "truncated"):
            np.testing.assert_allclose(actual[name], expected[name], rtol=1e-5, atol=1e-6)


def test_what_is_no_key_or_no_float_is_refused():
    graph = Graph("refused")
    key = graph.input("key", TensorType((2,), "uint32"))
    with pytest.raises(ShapeError, match="uint32 vector of two elements"):
        uniform(graph.input("x", TensorType((2,), "int32")), (3,))
    for function in (uniform, normal, truncated_normal):
        with pytest.raises(DTypeError, match="not int32"):
            function(key, (3,), "int32")
    with pytest.raises(DTypeError, match="has to be int32 or int64"):
        Threefry().infer(*[TensorType((), dtype) for dtype in ("uint32", "uint32", "uint32")])
    with pytest.raises(ShapeError, match="word 2"):
        Threefry(2).infer(*[TensorType((), dtype) for dtype in ("int32", "uint32", "uint32")])
