"""`TensorArray`: at once, in compiled functions, and in their loops and branches."""

import numpy as np
import pytest

import graphc as tf
from graphc import keras
from graphc.errors import DTypeError, InvalidArgumentError, OutOfRangeError, ShapeError


def array(size=3, dtype=tf.float32, **options):
    return tf.TensorArray(dtype, size, **options)


#: What is done with an array, and what TensorFlow gives for it.
CASES = {
    "written": (lambda: array().write(0, 1.0).write(2, 3.0).write(1, 2.0).stack(), [1, 2, 3]),
    "twice": (lambda: array(1).write(0, 1.0).write(0, 2.0).stack(), [2]),
    "missing ones": (lambda: array().write(0, 1.0).stack(), [1, 0, 0]),
    "nothing": (lambda: array(element_shape=[2]).stack(), np.zeros((3, 2))),
    "growing": (lambda: array(0, dynamic_size=True).write(2, 1.0).stack(), [0, 0, 1]),
    "empty": (lambda: array(0).stack(), np.zeros(0)),
    "empty with a shape": (lambda: array(0, element_shape=[2]).stack(), np.zeros((0, 2))),
    "unstacked": (lambda: array().unstack([[1.0, 2.0], [3.0, 4.0]]).stack(), [[1, 2], [3, 4]]),
    "unstacked and longer": (
        lambda: array(0, dynamic_size=True).unstack([1.0, 2.0]).write(3, 4.0).stack(),
        [1, 2, 0, 4],
    ),
    "unstacked and changed": (lambda: array(2).unstack([1.0, 2.0]).write(0, 4.0).stack(), [4, 2]),
    "unstacked nothing": (lambda: array(2).unstack(np.zeros((0, 3), "float32")).size(), 0),
    "read": (lambda: array().unstack([1.0, 2.0, 3.0]).read(tf.constant(1)), 2),
    "gathered": (lambda: array().unstack([1.0, 2.0, 3.0]).gather([2, 0]), [3, 1]),
    "scattered": (lambda: array().scatter([2, 0], [5.0, 6.0]).stack(), [6, 0, 5]),
    "split": (lambda: array(2).split([1.0, 2.0, 3.0], [1, 2]).concat(), [1, 2, 3]),
    "a piece": (lambda: array(2, infer_shape=False).split([1.0, 2.0, 3.0], [1, 2]).read(1), [2, 3]),
    "joined": (lambda: array(2).write(1, [1.0, 2.0]).concat(), [0, 0, 1, 2]),
    "different shapes": (
        lambda: array(2, infer_shape=False).write(0, [1.0]).write(1, [2.0, 3.0]).concat(),
        [1, 2, 3],
    ),
    "whole numbers": (lambda: array(2, tf.int32).unstack([7, 8]).stack(name="all"), [7, 8]),
    "its size": (lambda: array(0, dynamic_size=True).write(4, 1.0).size(), 5),
}


@pytest.mark.parametrize("compiled", [False, True], ids=["at once", "compiled"])
@pytest.mark.parametrize("name", CASES)
def test_results(name, compiled):
    function, expected = CASES[name]
    found = (tf.function(function) if compiled else function)()
    assert found.shape == np.shape(expected)
    np.testing.assert_array_equal(found.numpy(), expected)


def test_properties():
    ta = array(2, "float64", dynamic_size=True)
    assert (ta.dtype, ta.dynamic_size, ta.element_shape) == (tf.float64, True, None)
    ta.write(0, np.ones((2, 3)))
    assert ta.element_shape == (2, 3)
    assert repr(ta) == "<TensorArray: size=2, dtype=float64, shape=TensorShape([2, 3])>"
    ta.close()


def test_at_once_writing_changes_the_array_and_a_copy_changes_alone():
    ta = array(1)
    copy = ta.identity()
    assert ta.write(0, 1.0) is ta
    assert ta.read(0).item() == 1
    assert copy.write(0, 2.0).read(0).item() == 2
    assert ta.read(0).item() == 1


def test_in_a_trace_writing_makes_another_array():
    @tf.function
    def f():
        ta = array(1).write(0, 1.0)
        ta.write(0, 2.0)
        return ta.read(0)

    assert f().item() == 1


MISTAKES = [
    (lambda: array().write(3, 1.0), OutOfRangeError, "index 3, but its size is 3; dynamic_size"),
    (lambda: array().write(-1, 1.0), OutOfRangeError, "index -1"),
    (lambda: array(dynamic_size=True).read(5), OutOfRangeError, "read index 5.* size is 3$"),
    (lambda: array().read(0), OutOfRangeError, "nothing was written to index 0$"),
    (lambda: array().stack(), ShapeError, "element_shape"),
    (lambda: array().concat(), ShapeError, "element_shape"),
    (lambda: array().unstack([1.0, 2.0, 3.0]).concat(), ShapeError, "scalars"),
    (lambda: array().write(0, tf.constant(1)), DTypeError, "holds float32, .* is int32"),
    (lambda: array().write(0, [1.0]).write(1, [1.0, 2.0]), ShapeError, r"\(1,\), .* \(2,\)"),
    (lambda: array(element_shape=[None, 2]).write(0, tf.ones((2, 3))), ShapeError, "infer_shape"),
    (lambda: array().unstack([1.0] * 4), ShapeError, "unstack 4 tensors .* size 3"),
    (lambda: array().unstack(1.0), ShapeError, "scalar"),
    (lambda: array().split([1.0, 2.0], [1, 2]), ShapeError, r"\[1, 2\] do not make up \(2,\)"),
    (lambda: array().scatter([0, 1], [1.0]), ShapeError, "as many slices"),
    (lambda: tf.TensorArray(tf.float32), ValueError, "needs a size"),
]


@pytest.mark.parametrize(("mistake", "error", "text"), MISTAKES)
def test_mistakes(mistake, error, text):
    with pytest.raises(error, match=text):
        mistake()
    with pytest.raises(error, match=text):
        tf.function(mistake)()


def test_errors_are_tensorflows_too():
    with pytest.raises(tf.errors.OutOfRangeError):
        array().read(7)
    assert issubclass(OutOfRangeError, (InvalidArgumentError, IndexError))


def test_reading_clears_where_asked_for():
    ta = array(1, clear_after_read=True).write(0, 1.0)
    assert ta.read(0).item() == 1
    with pytest.raises(OutOfRangeError, match="read and cleared"):
        ta.read(0)
    ta = array(1).write(0, 1.0)
    assert ta.read(0).item() == ta.read(0).item() == 1


# ------------------------------------------------------------------------- loops and branches


def doubled(x, **options):
    ta = tf.TensorArray(x.dtype, size=tf.shape(x)[0], **options)

    def body(i, ta):
        return i + 1, ta.write(i, x[i] * 2)

    _, ta = tf.while_loop(lambda i, ta: i < tf.shape(x)[0], body, (tf.constant(0), ta))
    return ta.stack()


@pytest.mark.parametrize(
    "options",
    [{}, {"element_shape": [2]}, {"element_shape": [None]}],
    ids=["inferred", "given", "half"],
)
def test_written_in_a_loop(options):
    compiled = tf.function(lambda x: doubled(x, **options))
    for rows in (3, 1, 4, 5):  # sizes become open
        x = np.arange(2 * rows, dtype="float32").reshape(rows, 2)
        np.testing.assert_array_equal(doubled(tf.constant(x), **options).numpy(), 2 * x)
        np.testing.assert_array_equal(compiled(tf.constant(x)).numpy(), 2 * x)


def running_sums(x):
    """Reads one array and its own results, and writes another."""
    source = array(4).unstack(x)
    sums = array(4).write(0, source.read(0))

    def body(i, sums):
        return [i + 1, sums.write(i, sums.read(i - 1) + source.read(i))]

    loop = [tf.constant(1), sums]
    _, sums = tf.while_loop(lambda i, _: i < 4, body, loop, maximum_iterations=3)
    return sums


def test_read_and_written_in_a_loop():
    x = tf.constant([1.0, 2.0, 3.0, 4.0])
    for function in (running_sums, tf.function(lambda x: running_sums(x).stack())):
        found = function(x)
        found = found if isinstance(found, tf.Tensor) else found.stack()
        np.testing.assert_array_equal(found.numpy(), [1, 3, 6, 10])
    last = tf.function(lambda x: running_sums(x).read(3))
    assert last(x).item() == 10


@pytest.mark.parametrize("compiled", [False, True], ids=["at once", "compiled"])
def test_gradients(compiled):
    def loss(x):
        return tf.reduce_sum(running_sums(x).stack() ** 2)

    def slope(x):
        return tf.grad(loss)(x)

    x = np.array([1.0, 2.0, 3.0, 4.0], "float32")
    found = (tf.function(slope) if compiled else slope)(tf.constant(x))
    expected = 2 * np.cumsum(np.cumsum(x)[::-1])[::-1]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_a_loop_that_unrolls():
    @tf.function
    def powers(x):
        ta = tf.TensorArray(tf.float32, size=0, dynamic_size=True)
        for i in tf.range(4):
            ta = ta.write(i, x ** tf.cast(i, tf.float32))
        return ta.stack()

    np.testing.assert_allclose(powers(tf.constant(3.0)).numpy(), [1, 3, 9, 27])


def test_in_branches():
    def f(x):
        ta = array(2).write(0, x)
        ta = tf.cond(x > 0, lambda: ta.write(1, x * 2), lambda: ta.write(1, x - 1))
        return ta.stack()

    for value, expected in ((1.0, [1, 2]), (-1.0, [-1, -2])):
        for function in (f, tf.function(f)):
            np.testing.assert_array_equal(function(tf.constant(value)).numpy(), expected)
    growing = array(0, dynamic_size=True)
    growing = tf.cond(tf.constant(True), lambda: growing.write(1, 3.0), lambda: growing)
    assert growing.write(2, 4.0).stack().numpy().tolist() == [0, 3, 4]


def test_arrays_of_compiled_loops_cannot_grow():
    @tf.function
    def f(n):
        ta = tf.TensorArray(tf.float32, 0, dynamic_size=True)
        return tf.while_loop(lambda i, _: i < n, lambda i, t: (i + 1, t.write(i, 1.0)), (0, ta))

    with pytest.raises(ShapeError, match="cannot grow; give it its final size"):
        f(tf.constant(3))


def test_a_loop_that_never_writes_says_what_it_needs():
    @tf.function
    def f(n):
        return tf.while_loop(lambda i, _: i < n, lambda i, t: (i + 1, t), (0, array(2)))[0]

    with pytest.raises(ShapeError, match="element_shape"):
        f(tf.constant(3))


def test_in_a_layer():
    class Steps(keras.layers.Layer):
        def call(self, x):
            ta = tf.TensorArray(x.dtype, size=x.shape[1])
            state = tf.zeros_like(x[:, 0])
            for i in range(x.shape[1]):
                state = 0.5 * state + x[:, i]
                ta = ta.write(i, state)
            return tf.transpose(ta.stack(), [1, 0, 2])

    inputs = keras.Input((3, 2))
    model = keras.Model(inputs, Steps()(inputs))
    x = np.ones((4, 3, 2), "float32")
    found = model.predict(x, verbose=0)
    np.testing.assert_allclose(found[0, :, 0], [1, 1.5, 1.75])
