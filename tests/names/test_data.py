"""``graphc.data.Dataset``: elements in order, batches, shuffling, and what `fit` makes of it."""

import numpy as np
import pytest

import graphc as tf
from graphc import keras
from graphc.errors import ShapeError

Dataset = tf.data.Dataset


def values(data):
    def plain(element):
        if isinstance(element, tuple):
            return tuple(plain(part) for part in element)
        if isinstance(element, dict):
            return {key: plain(part) for key, part in element.items()}
        return element.tolist()

    return [plain(element) for element in data.as_numpy_iterator()]


# What TensorFlow gives for the same lines.
PIPELINES = {
    "slices": (lambda: Dataset.from_tensor_slices([[1, 2], [3, 4]]), [[1, 2], [3, 4]], 2),
    "pairs": (
        lambda: Dataset.from_tensor_slices(([1, 2], np.array([3.0, 4.0]))),
        [(1, 3.0), (2, 4.0)],
        2,
    ),
    "dicts": (
        lambda: Dataset.from_tensor_slices({"a": [1, 2], "b": ([3, 4], [5, 6])}),
        [{"a": 1, "b": (3, 5)}, {"a": 2, "b": (4, 6)}],
        2,
    ),
    "one element": (lambda: Dataset.from_tensors([1, 2]), [[1, 2]], 1),
    "range": (lambda: Dataset.range(2, 8, 3), [2, 5], 2),
    "map": (lambda: Dataset.range(3).map(lambda x: x * x, num_parallel_calls=2), [0, 1, 4], 3),
    "map of pairs": (
        lambda: Dataset.from_tensor_slices(([1, 2], [3, 4])).map(lambda x, y: {"sum": x + y}),
        [{"sum": 4}, {"sum": 6}],
        2,
    ),
    "filter": (lambda: Dataset.range(6).filter(lambda x: x % 3 == 0), [0, 3], -2),
    "batch": (lambda: Dataset.range(5).batch(2), [[0, 1], [2, 3], [4]], 3),
    "batch of pairs": (
        lambda: Dataset.from_tensor_slices(([1, 2], [3, 4])).batch(2),
        [([1, 2], [3, 4])],
        1,
    ),
    "whole batches": (lambda: Dataset.range(5).batch(2, drop_remainder=True), [[0, 1], [2, 3]], 2),
    "unbatch": (lambda: Dataset.range(3).batch(2).unbatch(), [0, 1, 2], -2),
    "repeat": (lambda: Dataset.range(2).repeat(3), [0, 1] * 3, 6),
    "endless": (lambda: Dataset.range(2).repeat().take(5), [0, 1, 0, 1, 0], 5),
    "take": (lambda: Dataset.range(5).take(2), [0, 1], 2),
    "take too many": (lambda: Dataset.range(2).take(5), [0, 1], 2),
    "take all": (lambda: Dataset.range(2).take(-1), [0, 1], 2),
    "skip": (lambda: Dataset.range(5).skip(3), [3, 4], 2),
    "shard": (lambda: Dataset.range(7).shard(3, 1), [1, 4], 2),
    "concatenate": (lambda: Dataset.range(2).concatenate(Dataset.range(1)), [0, 1, 0], 3),
    "zip": (
        lambda: Dataset.zip((Dataset.range(3), Dataset.range(5, 9))),
        [(0, 5), (1, 6), (2, 7)],
        3,
    ),
    "zip of two": (lambda: Dataset.zip(Dataset.range(1), Dataset.range(9)), [(0, 0)], 1),
    "enumerate": (lambda: Dataset.range(5, 7).enumerate(start=1), [(1, 5), (2, 6)], 2),
    "flat_map": (
        lambda: Dataset.range(3).flat_map(lambda n: Dataset.from_tensors(n).repeat(int(n))),
        [1, 2, 2],
        -2,
    ),
    "prefetch": (lambda: Dataset.range(2).prefetch(tf.data.AUTOTUNE), [0, 1], 2),
    "cache": (lambda: Dataset.range(2).cache(), [0, 1], 2),
    "apply": (lambda: Dataset.range(4).apply(lambda data: data.batch(4)), [[0, 1, 2, 3]], 1),
    "padded": (
        lambda: Dataset.range(1, 4).map(lambda n: tf.fill([n], n)).padded_batch(2),
        [[[1, 0], [2, 2]], [[3, 3, 3]]],
        2,
    ),
    "padded to a size": (
        lambda: (
            Dataset.range(1, 3)
            .map(lambda n: tf.fill([n], n))
            .padded_batch(2, padded_shapes=[4], padding_values=-1)
        ),
        [[[1, -1, -1, -1], [2, 2, -1, -1]]],
        1,
    ),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_elements(name):
    make, expected, count = PIPELINES[name]
    data = make()
    assert values(data) == expected
    assert values(data) == expected  # each iteration begins anew
    assert data.cardinality().numpy() == count
    if count >= 0:
        assert len(data) == count
    else:
        with pytest.raises(TypeError, match="not known"):
            len(data)


def test_iteration_gives_tensors():
    (element,) = Dataset.from_tensor_slices(([[1.0, 2.0]], [3]))
    assert isinstance(element, tuple)
    assert tf.is_tensor(element[0])
    assert (element[0].shape, element[0].dtype, element[1].dtype) == ((2,), "float32", "int32")
    assert Dataset.range(2).reduce(np.int64(10), lambda a, x: a + x).numpy() == 11
    spec = Dataset.from_tensor_slices(([[1.0, 2.0]], [3])).batch(1).element_spec
    assert spec == (tf.TensorSpec((1, 2), tf.float32), tf.TensorSpec((1,), tf.int32))
    assert repr(Dataset.range(2).repeat()) == "<graphc.data.Dataset of endless elements>"


def test_generators():
    def count(stop):
        yield from ((n, [float(n)] * n) for n in range(stop))

    data = Dataset.from_generator(count, args=(3,))
    assert values(data) == values(data) == [(0, []), (1, [1.0]), (2, [2.0, 2.0])]
    signature = (tf.TensorSpec((), tf.int64), tf.TensorSpec((None,), tf.float16))
    element = list(Dataset.from_generator(count, args=(2,), output_signature=signature))[1]
    assert (element[0].dtype, element[1].dtype) == ("int64", "float16")
    with pytest.raises(ShapeError):
        list(Dataset.from_generator(lambda: [[1, 2]], output_signature=tf.TensorSpec((), "int32")))


def test_shuffle():
    data = Dataset.range(100).shuffle(100)
    first, second = values(data), values(data)
    assert sorted(first) == list(range(100)) == sorted(second)
    assert first != second
    assert first != list(range(100))
    same = Dataset.range(100).shuffle(100, seed=1, reshuffle_each_iteration=False)
    assert values(same) == values(same)
    assert values(same) == values(Dataset.range(100).shuffle(100, seed=1))
    near = values(Dataset.range(100).shuffle(3))  # an element is at most 2 places early
    assert max(place - element for element, place in zip(range(100), near, strict=True)) >= -100
    assert all(element <= place + 2 for place, element in enumerate(near))
    tf.random.set_seed(1)
    first = values(Dataset.range(9).shuffle(9))
    tf.random.set_seed(1)
    assert values(Dataset.range(9).shuffle(9)) == first


def test_cache_computes_once():
    calls = []

    def record(x):
        calls.append(1)
        return x

    data = Dataset.range(3).map(record).cache()
    assert values(data.take(1)) == [0]  # not all: nothing is kept yet
    assert values(data) == values(data) == [0, 1, 2]
    assert len(calls) == 4


WRONG = {
    "sizes": (lambda: Dataset.from_tensor_slices(([1, 2], [1])), ShapeError, "first axis"),
    "scalar": (lambda: Dataset.from_tensor_slices(3), ShapeError, "first axis"),
    "batch": (lambda: Dataset.range(3).batch(0), ValueError, "above 0"),
    "shuffle": (lambda: Dataset.range(3).shuffle(0), ValueError, "above 0"),
    "cache": (lambda: Dataset.range(3).cache("file"), ValueError, "in memory"),
    "name": (lambda: tf.data.Datasett, AttributeError, "did you mean Dataset"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors(name):
    call, error, text = WRONG[name]
    with pytest.raises(error, match=text):
        call()


def test_fit_evaluate_predict():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3)).astype("float32")
    y = x.sum(1, keepdims=True)

    def model():
        tf.keras.utils.set_random_seed(0)
        made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        made.compile("sgd", "mse")
        return made

    data = Dataset.from_tensor_slices((x, y)).batch(8)
    one, two = model(), model()
    losses = one.fit(data, epochs=2, verbose=0, validation_data=data).history
    expected = two.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0).history
    assert losses["loss"] == pytest.approx(expected["loss"], rel=1e-6)
    assert one.evaluate(data, verbose=0) == pytest.approx(losses["val_loss"][-1], rel=1e-6)
    np.testing.assert_array_equal(
        one.predict(data.map(lambda x, y: x), verbose=0), one.predict(x, batch_size=8, verbose=0)
    )
    history = one.fit(data.repeat(), epochs=2, steps_per_epoch=3, verbose=0)
    assert len(history.epoch) == 2


def test_a_loop_over_batches():
    data = Dataset.from_tensor_slices((np.ones((6, 2), "float32"), np.zeros(6))).shuffle(6).batch(4)
    weights = tf.Variable([[1.0], [1.0]])

    @tf.function
    def step(x, y):
        return tf.reduce_sum(tf.matmul(x, weights))

    assert [float(step(x, y)) for x, y in data] == [8, 4]
