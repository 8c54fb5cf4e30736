"""Data sets of data sets: windows, groups, interleaving, choices."""

import numpy as np
import pytest

import graphc as tf
from graphc import keras
from graphc.errors import OutOfRangeError, ShapeError

D = tf.data.Dataset

# What TensorFlow gives for the same lines.
PIPELINES = {
    "windows": (
        lambda: D.range(7).window(3).flat_map(lambda w: w.batch(3)),
        [[0, 1, 2], [3, 4, 5], [6]],
        -2,
    ),
    "overlapping windows": (
        lambda: D.range(5).window(3, shift=1, drop_remainder=True).flat_map(lambda w: w.batch(3)),
        [[0, 1, 2], [1, 2, 3], [2, 3, 4]],
        -2,
    ),
    "windows up to the end": (
        lambda: D.range(4).window(3, shift=1).flat_map(lambda w: w.batch(3)),
        [[0, 1, 2], [1, 2, 3], [2, 3], [3]],
        -2,
    ),
    "windows far apart": (
        lambda: D.range(10).window(2, shift=4).flat_map(lambda w: w.batch(2)),
        [[0, 1], [4, 5], [8, 9]],
        -2,
    ),
    "windows with a stride": (
        lambda: (
            D.range(9)
            .window(3, shift=2, stride=2, drop_remainder=True)
            .flat_map(lambda w: w.batch(3))
        ),
        [[0, 2, 4], [2, 4, 6], [4, 6, 8]],
        -2,
    ),
    "a stride up to the end": (
        lambda: D.range(6).window(3, 3, 2).flat_map(lambda w: w.batch(3)),
        [[0, 2, 4], [3, 5]],
        -2,
    ),
    "windows of pairs": (
        lambda: (
            D.zip((D.range(4), D.range(10, 14)))
            .window(2)
            .flat_map(lambda x, y: D.zip((x.batch(2), y.batch(2))))
        ),
        [[[0, 1], [10, 11]], [[2, 3], [12, 13]]],
        -2,
    ),
    "windows of dicts": (
        lambda: (
            D.from_tensor_slices({"a": [1, 2, 3]})
            .window(2)
            .map(lambda w: w["a"])
            .flat_map(lambda w: w.batch(2))
        ),
        [[1, 2], [3]],
        -2,
    ),
    "windows of windows": (
        lambda: D.range(8).window(4).flat_map(lambda w: w.window(2).flat_map(lambda v: v.batch(2))),
        [[0, 1], [2, 3], [4, 5], [6, 7]],
        -2,
    ),
    "interleaved": (
        lambda: D.range(1, 4).interleave(lambda x: D.from_tensors(x).repeat(3), cycle_length=2),
        [1, 2, 1, 2, 1, 2, 3, 3, 3],
        -2,
    ),
    "interleaved blocks": (
        lambda: D.range(1, 6).interleave(
            lambda x: D.from_tensors(x).repeat(6), cycle_length=2, block_length=4
        ),
        [1, 1, 1, 1, 2, 2, 2, 2, 1, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 3, 3, 4, 4, 5, 5, 5, 5, 5, 5],
        -2,
    ),
    "interleaved, of many lengths": (
        lambda: D.range(5).interleave(
            lambda x: D.from_tensors(x).repeat(x), cycle_length=3, block_length=2
        ),
        [1, 2, 2, 3, 3, 4, 4, 3, 4, 4],
        -2,
    ),
    "groups": (
        lambda: D.range(10).group_by_window(
            lambda x: x % 2, lambda key, w: w.batch(3), window_size=3
        ),
        [[0, 2, 4], [1, 3, 5], [6, 8], [7, 9]],
        -2,
    ),
    "groups of other sizes": (
        lambda: D.range(9).group_by_window(
            lambda x: x % 3, lambda k, w: w.batch(5), window_size_func=lambda k: k + 1
        ),
        [[0], [3], [1, 4], [6], [2, 5, 8], [7]],
        -2,
    ),
    "rebatched": (lambda: D.range(7).batch(2).rebatch(3), [[0, 1, 2], [3, 4, 5], [6]], -2),
    "rebatched whole": (
        lambda: D.range(7).batch(4).rebatch(3, drop_remainder=True),
        [[0, 1, 2], [3, 4, 5]],
        -2,
    ),
    "scanned": (
        lambda: D.range(5).scan(np.int64(10), lambda s, x: (s + x, s * x)),
        [0, 10, 22, 39, 64],
        5,
    ),
    "while": (lambda: D.range(9).take_while(lambda x: x < 4), [0, 1, 2, 3], -2),
    "unique": (lambda: D.from_tensor_slices([3, 1, 3, 2, 1]).unique(), [3, 1, 2], -2),
    "counted": (lambda: D.counter(3, 2).take(3), [3, 5, 7], 3),
    "chosen": (
        lambda: D.choose_from_datasets(
            [D.range(3), D.range(10, 13)],
            D.from_tensor_slices(np.array([0, 1, 1, 0, 1, 1, 0], "int64")),
        ),
        [0, 10, 11, 1, 12],
        -2,
    ),
    "chosen, passing over": (
        lambda: D.choose_from_datasets(
            [D.range(3), D.range(10, 13)],
            D.from_tensor_slices(np.array([0, 1, 1, 0, 1, 1, 0], "int64")),
            stop_on_empty_dataset=False,
        ),
        [0, 10, 11, 1, 12, 2],
        -2,
    ),
}


def plain(element):
    if isinstance(element, tuple):
        return [plain(part) for part in element]
    return element.tolist()


@pytest.mark.parametrize("name", PIPELINES)
def test_as_tensorflow(name):
    make, expected, count = PIPELINES[name]
    data = make()
    for _ in range(2):  # each iteration begins anew
        assert [plain(element) for element in data.as_numpy_iterator()] == expected
    assert data.cardinality().item() == count


def test_how_many_windows_there_are():
    for size, shift, stride, whole in [(3, 3, 1, False), (3, 2, 2, True), (9, 1, 1, True)]:
        for elements in (0, 1, 5, 8, 9):
            windows = D.range(elements).window(size, shift, stride, drop_remainder=whole)
            assert len(windows) == len(list(windows))
    assert D.counter().window(3).cardinality().item() == tf.data.INFINITE_CARDINALITY


def test_windows_are_data_sets():
    for window in D.range(4).window(2):
        assert isinstance(window, D)
        assert len(window) == 2
    for x, y in D.zip((D.range(2), D.range(2))).window(1):
        assert [len(x), len(y)] == [1, 1]


def test_a_series_for_training():
    series = np.sin(np.arange(60, dtype="float32"))[:, np.newaxis]
    data = D.from_tensor_slices(series).window(11, shift=1, drop_remainder=True)
    data = data.flat_map(lambda window: window.batch(11)).map(lambda w: (w[:-1], w[-1]))
    x, y = next(iter(data.batch(8)))
    assert (x.shape, y.shape) == ((8, 10, 1), (8, 1))
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(data.batch(8).prefetch(1), epochs=2, verbose=0).history["loss"]
    assert history[1] < history[0]


def test_random_numbers():
    numbers = [int(x) for x in D.random(seed=4).take(100)]
    assert numbers == [int(x) for x in D.random(seed=4).take(100)]
    assert 0 <= min(numbers) < 2**31 < max(numbers) < 2**32
    assert D.random().cardinality().item() == tf.data.INFINITE_CARDINALITY


def test_samples_of_data_sets():
    ones, twos = D.from_tensors(1).repeat(600), D.from_tensors(2).repeat(600)
    mixed = D.sample_from_datasets([ones, twos], weights=[0.25, 0.75], seed=1)
    found = [int(x) for x in mixed]
    assert found == [int(x) for x in mixed]
    assert sorted(found) == [1] * 600 + [2] * 600
    assert 180 < found[:300].count(2) < 270
    stopped = D.sample_from_datasets([ones, twos], seed=1, stop_on_empty_dataset=True)
    assert 1000 < len(list(stopped)) < 1200
    anew = D.sample_from_datasets([ones, twos], seed=1, rerandomize_each_iteration=True)
    assert [int(x) for x in anew] != [int(x) for x in anew]
    with pytest.raises(ShapeError, match="2 data sets need as many weights"):
        D.sample_from_datasets([ones, twos], weights=[1.0])


def test_states_may_be_structures():
    data = D.range(3).scan(
        {"count": 0, "last": np.int64(0)},
        lambda s, x: ({"count": s["count"] + 1, "last": x}, (s["count"], s["last"])),
    )
    assert [plain(element) for element in data.as_numpy_iterator()] == [[0, 0], [1, 0], [2, 1]]


def test_the_only_element():
    assert D.from_tensors([1, 2]).get_single_element().numpy().tolist() == [1, 2]
    with pytest.raises(OutOfRangeError, match="has no element"):
        D.range(0).get_single_element()
    with pytest.raises(OutOfRangeError, match="more than one"):
        D.range(2).get_single_element()


def test_options_have_no_effect():
    options = tf.data.Options()
    options.deterministic = False
    options.autotune.enabled = True
    assert len(D.range(3).with_options(options)) == 3


def test_mistakes():
    with pytest.raises(ValueError, match="positive. Received: 0, 0, 1"):
        D.range(3).window(0)
    for sizes in ({}, {"window_size": 1, "window_size_func": lambda key: 1}):
        with pytest.raises(ValueError, match="either `window_size` or"):
            D.range(3).group_by_window(lambda x: x, lambda k, w: w, **sizes)
