"""keras.utils: arrays, sequences, seeds, the progress bar."""

import io
import random
import subprocess
import sys

import numpy as np
import pytest

from graphc.keras import random_seed
from graphc.keras.preprocessing.sequence import pad_sequences as also_pad_sequences
from graphc.keras.utils import (
    Progbar,
    normalize,
    pad_sequences,
    print_msg,
    set_random_seed,
    to_categorical,
)

NAN, INF = float("nan"), float("inf")


def same_array(received, expected):
    np.testing.assert_array_equal(received, expected)
    assert received.dtype == expected.dtype
    assert received.shape == expected.shape


LABELS = {
    "list": ([0, 2, 1], None),
    "more classes": ([0, 2, 1], 5),
    "column": (np.array([[0], [2], [1]]), None),
    "row": (np.array([[0, 2, 1]]), 3),
    "table": (np.array([[0, 2], [1, 1]]), 4),
    "scalar": (2, None),
    "one": ([0], None),
    "column of one": ([[3]], None),
    "floats": (np.array([0.0, 3.0], "float32"), None),
    "bytes": (np.array([1, 0], "uint8"), 2),
    "bool": (np.array([True, False]), 2),
    "text": (["1", "0"], None),
    "empty": ([], 3),
    "no rows": (np.zeros((0, 4), int), 3),
    "zero classes": ([1, 0], 0),
}


@pytest.mark.parametrize("case", LABELS)
def test_to_categorical(case, real_keras):
    x, num_classes = LABELS[case]
    expected = real_keras.utils.to_categorical(x, num_classes)
    same_array(to_categorical(x, num_classes), expected)


@pytest.mark.parametrize(
    ("x", "num_classes", "text"),
    [
        ([0, 5, 1], 3, r"from 0 to 2 \(num_classes=3\)\. Received: 5, the first of 1"),
        ([0, -1], None, "Received: -1"),
        ([7, 3, 9], 3, "Received: 7, the first of 3 outside, at position 0"),
        ([], None, "Pass `num_classes`"),
        ([0.5], None, "must be whole. Received: 0.5"),
        ([NAN], 2, "must be whole"),
        ([INF], 2, "must be whole"),
    ],
)
def test_to_categorical_refuses(x, num_classes, text):
    with pytest.raises(ValueError, match=text):
        to_categorical(x, num_classes)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32"])
@pytest.mark.parametrize("order", [1, 2, np.inf])
@pytest.mark.parametrize(("shape", "axis"), [((3, 4), -1), ((3, 4), 1), ((5,), -1), ((2, 3, 4), 2)])
def test_normalize(shape, axis, order, dtype, real_keras):
    x = (np.random.RandomState(0).randn(*shape) * 9).astype(dtype)
    x.flat[:2] = 0
    same_array(normalize(x, axis, order), real_keras.utils.normalize(x, axis, order))


def test_normalize_along_the_first_axis():
    x = np.array([[3.0, 0.0, 1.0], [4.0, 0.0, 0.0]])
    np.testing.assert_allclose(normalize(x, 0), [[0.6, 0, 1], [0.8, 0, 0]])
    np.testing.assert_allclose(normalize([3, 4]), [0.6, 0.8])
    np.testing.assert_allclose(normalize(np.array([3, 4])), [[0.6, 0.8]])
    assert np.isnan(normalize(np.array([[NAN, 1.0]]))).all()
    assert normalize(np.zeros((0, 3))).shape == (0, 3)


SEQUENCES = {
    "defaults": ([[1], [2, 3], [4, 5, 6]], {}),
    "maxlen": ([[1], [2, 3], [4, 5, 6]], {"maxlen": 2}),
    "post": ([[1], [2, 3], [4, 5, 6]], {"maxlen": 2, "padding": "post", "truncating": "post"}),
    "mixed": ([[1], [2, 3], [4, 5, 6]], {"maxlen": 2, "padding": "post"}),
    "longer": ([[1], [2, 3]], {"maxlen": 5, "value": -1}),
    "floats": ([[1.5], [2.5, 3.5]], {"dtype": "float32", "value": 0.5}),
    "empty row": ([[], [1, 2], []], {}),
    "empty rows": ([[], []], {"maxlen": 3}),
    "vectors": ([[[1, 2]], [[3, 4], [5, 6]]], {"padding": "post"}),
    "arrays": ([np.arange(4), np.arange(2)], {"maxlen": 3}),
    "text": ([["a"], ["bcd", "e"]], {"dtype": object, "value": "pad"}),
    "fixed text": ([["a"], ["bcd", "e"]], {"dtype": "<U5", "value": "pad"}),
    "tuple": (((1,), (2, 3)), {}),
}


@pytest.mark.parametrize("case", SEQUENCES)
def test_pad_sequences(case, real_keras):
    sequences, arguments = SEQUENCES[case]
    expected = real_keras.utils.pad_sequences(sequences, **arguments)
    same_array(pad_sequences(sequences, **arguments), expected)


def test_pad_sequences_at_the_limits():
    assert pad_sequences([]).shape == (0, 0)
    assert pad_sequences([], maxlen=3).shape == (0, 3)
    assert pad_sequences([[1, 2]], maxlen=0).shape == (1, 0)
    assert also_pad_sequences is pad_sequences


@pytest.mark.parametrize(
    ("sequences", "arguments"),
    [
        (5, {}),
        ([1, 2], {}),
        ([[1]], {"padding": "left"}),
        ([[1]], {"truncating": "left"}),
        ([[1]], {"value": "pad"}),
        ([[[1, 2]], [[1, 2, 3]]], {}),
    ],
)
def test_pad_sequences_refuses_what_keras_refuses(sequences, arguments, real_keras):
    errors = []
    for function in (real_keras.utils.pad_sequences, pad_sequences):
        with pytest.raises(ValueError) as caught:
            function(sequences, **arguments)
        errors.append(str(caught.value))
    # The same sentence, and more where there is more to say.
    assert errors[1].startswith(errors[0].rstrip("."))


# Seeds


def draw():
    return [random_seed.next_seed() for _ in range(5)]


def test_set_random_seed_repeats_everything():
    results = []
    for seed in (42, np.int64(42), 43):
        set_random_seed(seed)
        results.append((random.random(), np.random.rand(), draw()))
    assert results[0] == results[1]
    assert results[0][2] != results[2][2]
    assert len(set(results[0][2])) == 5
    assert all(0 <= seed < 2**31 for seed in results[0][2])


def test_python_and_numpy_are_seeded_as_keras_seeds_them(real_keras):
    results = []
    for function in (real_keras.utils.set_random_seed, set_random_seed):
        function(7)
        results.append((random.random(), np.random.rand(3).tolist()))
    assert results[0] == results[1]


def test_seeds_do_not_depend_on_numpy_or_python_use():
    set_random_seed(1)
    first = draw()
    set_random_seed(1)
    random.random()
    np.random.rand()
    assert draw() == first


def test_seeds_differ_from_process_to_process_and_repeat_with_a_seed():
    def in_new_process(code):
        code = f"from graphc.keras.random_seed import *; {code}print(next_seed())"
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout

    assert in_new_process("") != in_new_process("")
    assert in_new_process("set_random_seed(3); ") == in_new_process("set_random_seed(3); ")


@pytest.mark.parametrize("seed", [1.0, "1", None, -1, 2**32])
def test_set_random_seed_refuses(seed):
    random.seed(5)
    state = random.getstate()
    with pytest.raises(ValueError, match="Expected `seed` argument"):
        set_random_seed(seed)
    assert random.getstate() == state


# Printing


def test_print_msg(capsys):
    print_msg("a")
    print_msg(3, line_break=False)
    assert capsys.readouterr().out == "a\n3"


def test_print_msg_on_a_poor_terminal(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    print_msg("━━ é 1")
    assert raw.getvalue() == b"==  1\n"


def replay(make, clock, capsys, moves):
    """Print the same moves with a bar; each is seconds that pass and arguments of a call."""
    clock.now = 100.0
    bar = make()
    for seconds, method, arguments in moves:
        clock.advance(seconds)
        getattr(bar, method)(*arguments)
    return capsys.readouterr().out


BARS = {
    "defaults": ({"target": 5}, [(0.1, "update", (n,)) for n in range(1, 6)]),
    "values": (
        {"target": 5},
        [(0.1, "update", (n, [("loss", 1.0 / n), ("acc", n)])) for n in range(1, 6)],
    ),
    "stateful": (
        {"target": 5, "stateful_metrics": ["acc"]},
        [(0.1, "update", (n, [("loss", 1.0 / n), ("acc", n)])) for n in range(1, 6)],
    ),
    "stateless": (
        {"target": 5, "stateless_metrics": ["acc"]},
        [(0.1, "update", (n, [("loss", 1.0 / n), ("acc", n)])) for n in range(1, 6)],
    ),
    "add": ({"target": 10}, [(0.2, "add", (3, [("x", 2.0)])) for _ in range(4)]),
    "unknown target": (
        {"target": None},
        [(0.1, "update", (n, [("x", -1.0)])) for n in range(1, 4)]
        + [(0.1, "update", (4, [("x", -1.0)], True))],
    ),
    "no target": ({"target": 0}, [(0.1, "update", (0,))]),
    "throttled": ({"target": 50}, [(0.01, "update", (n,)) for n in range(1, 51)]),
    "interval": (
        {"target": 9, "interval": 5},
        [(2, "update", (n,)) for n in range(1, 10)],
    ),
    "hours": ({"target": 100}, [(900.0, "update", (n,)) for n in range(1, 9)]),
    "minutes": ({"target": 100}, [(3.7, "update", (n,)) for n in range(1, 9)]),
    "microseconds": ({"target": 10**6}, [(0.06, "update", (n * 1000,)) for n in range(1, 5)]),
    "width": ({"target": 7, "width": 33}, [(1, "update", (n,)) for n in range(1, 8)]),
    "unit": ({"target": 2, "unit_name": "file"}, [(1, "update", (n,)) for n in (1, 2)]),
    "shrinking": (
        {"target": 3, "stateful_metrics": ["x"]},
        [(1, "update", (1, [("x", 123456.0)])), (1, "update", (2, [("x", 1.0)]))],
    ),
    "beyond": ({"target": 2}, [(1, "update", (n,)) for n in (1, 2, 3)]),
    "standing still": ({"target": 5}, [(1, "update", (2, [("x", 1.0)]))] * 3),
    "odd values": (
        {"target": 2},
        [
            (1, "update", (1, [("nan", NAN), ("inf", INF), ("tiny", 1e-9), ("zero", 0.0)])),
            (1, "update", (2, [("nan", NAN), ("inf", -INF), ("tiny", -1e-9), ("minus", -5.0)])),
        ],
    ),
    "arrays": (
        {"target": 2},
        [(1, "update", (n, [("a", np.array([1.0, 2.0])), ("b", np.float32(0.1))])) for n in (1, 2)],
    ),
    "ends early": ({"target": 9}, [(1, "update", (4, [("x", 1.5)], True))]),
    "first step is last": ({"target": 1}, [(0.5, "update", (1, [("x", 1.5)]))]),
    "no time": ({"target": 2}, [(0, "update", (n,)) for n in (0, 1, 2)]),
}


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("verbose", [0, 1, 2])
@pytest.mark.parametrize("case", BARS)
def test_progbar_prints_what_keras_prints(case, verbose, in_place, real_keras, clock, capsys):
    arguments, moves = BARS[case]

    def theirs():
        bar = real_keras.utils.Progbar(**arguments, verbose=verbose)
        bar._dynamic_display = in_place
        return bar

    def own():
        bar = Progbar(**arguments, verbose=verbose)
        bar._redraws_in_place = in_place
        return bar

    expected = replay(theirs, clock, capsys, moves)
    assert replay(own, clock, capsys, moves) == expected


@pytest.mark.parametrize("seed", range(10))
def test_progbar_on_random_runs(seed, real_keras, clock, capsys):
    generator = np.random.RandomState(seed)
    target = int(generator.choice([1, 3, 10, 99, 1000]))
    moves, done = [], 0
    while done < target:
        done += int(generator.randint(1, max(2, target // 4)))
        scale = 10.0 ** generator.randint(-6, 6)
        values = [(name, float(generator.randn() * scale)) for name in "abc"]
        seconds = float(generator.exponential(10.0 ** generator.randint(-5, 4)))
        moves.append((seconds, "update", (done, values[: generator.randint(4)])))
    texts = [
        replay(lambda m=make: m(target), clock, capsys, moves)
        for make in (real_keras.utils.Progbar, Progbar)
    ]
    assert texts[0] == texts[1]
    assert texts[1]


def test_progbar_asks_the_terminal_as_keras_does(real_keras):
    assert Progbar(1)._redraws_in_place == real_keras.utils.Progbar(1)._dynamic_display


def test_progbar_refuses_both_sets_of_names():
    with pytest.raises(ValueError, match="Only one of"):
        Progbar(1, stateful_metrics=["a"], stateless_metrics=["b"])


def test_light_imports():
    """None of these modules loads anything heavy."""
    code = """
import sys
import graphc.keras.backend, graphc.keras.config, graphc.keras.callbacks
import graphc.keras.datasets, graphc.keras.preprocessing, graphc.keras.utils
heavy = "llvmlite onnx onnxruntime h5py yaml rich matplotlib keras tarfile urllib.request http"
print(sorted(set(heavy.split()) & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stdout + result.stderr
