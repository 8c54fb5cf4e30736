"""Names that only make sense outside of compiled functions, or that do nothing."""

import numpy as np
import pytest

import graphc as tf
from graphc.errors import DataDependentControlFlowError, ShapeError, UnsupportedError


def test_python_functions():
    x = tf.constant([1.0, 2.0])
    doubled = tf.py_function(lambda t: t.numpy() * 2, [x], tf.float32)
    assert doubled.numpy().tolist() == [2, 4]
    count, total = tf.numpy_function(lambda a: (a.size, a.sum()), [x], [tf.int64, tf.float64])
    assert (count.dtype, count.item(), total.dtype, total.item()) == ("int64", 2, "float64", 3)
    data = tf.data.Dataset.range(3).map(
        lambda n: tf.py_function(lambda n: int(n) ** 2, inp=[n], Tout=tf.int32)
    )
    assert [int(n) for n in data] == [0, 1, 4]

    @tf.function
    def compiled(x):
        return tf.numpy_function(np.sum, [x], tf.float32)

    with pytest.raises(DataDependentControlFlowError, match="runs without Python"):
        compiled(x)


def test_devices():
    for name in ("CPU:0", "/device:CPU:0", "/cpu:0", None):
        with tf.device(name):
            assert tf.ones(2).numpy().tolist() == [1, 1]
    with pytest.raises(UnsupportedError, match=r'not on "/GPU:0"; models .* compile\(backend'):
        tf.device("/GPU:0")


def test_some_slices():
    v = tf.Variable([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    slices = tf.IndexedSlices(values=[[10.0, 20.0], [30.0, 40.0]], indices=[2, 0])
    assert slices.dtype == tf.float32
    v.scatter_update(slices)
    assert v.numpy().tolist() == [[30, 40], [3, 4], [10, 20]]
    v.scatter_add(tf.IndexedSlices([[1.0, 1.0]], [1]))
    v.scatter_sub(tf.IndexedSlices([[30.0, 40.0]], tf.constant([0])))
    assert v.numpy().tolist() == [[0, 0], [4, 5], [10, 20]]
    whole = tf.IndexedSlices([[1.0], [2.0], [4.0]], [2, 0, 2], dense_shape=[3, 1])
    assert tf.convert_to_tensor(whole).numpy().tolist() == [[2], [0], [5]]
    with pytest.raises(ShapeError, match="needs its dense_shape"):
        tf.convert_to_tensor(slices)


def test_shapes_of_tensors_that_are_said_again():
    x = tf.zeros((2, 3))
    x.set_shape([None, 3])
    tf.Variable(x).set_shape((2, 3))
    assert x.device == "/device:CPU:0"
    for shape in ([3, 3], [2], [2, 3, 1]):
        with pytest.raises(ShapeError, match=r"has shape \(2, 3\), which is not"):
            x.set_shape(shape)


def test_what_does_nothing():
    assert tf.no_op(name="nothing") is None
    assert tf.tuple([None]) == [None]


def test_boxes_in_compiled_functions():
    @tf.function
    def suppressed(boxes, scores):
        return tf.image.non_max_suppression(boxes, scores, 3)

    with pytest.raises(DataDependentControlFlowError, match="call it outside"):
        suppressed(tf.zeros((2, 4)), tf.zeros(2))

    image = np.arange(24.0, dtype="float32").reshape(1, 4, 6, 1)
    crop = tf.function(lambda x, b: tf.image.crop_and_resize(x, b, [0], (2, 3)))
    box = tf.constant([[0.0, 0.0, 1.0, 0.4]])
    expected = tf.image.crop_and_resize(image, box, [0], (2, 3))
    np.testing.assert_allclose(crop(tf.constant(image), box).numpy(), expected.numpy(), rtol=1e-6)


def test_boxes_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"boxes of shape \(n, 4\) and n scores; .*\(2, 4\)"):
        tf.image.non_max_suppression(tf.zeros((2, 4)), tf.zeros(3), 1)
    with pytest.raises(ShapeError, match="n numbers of images"):
        tf.image.crop_and_resize(tf.zeros((1, 2, 2, 1)), tf.zeros((2, 4)), [0], (1, 1))
    with pytest.raises(ValueError, match="'cubic'"):
        tf.image.crop_and_resize(tf.zeros((1, 2, 2, 1)), [[0.0] * 4], [0], (1, 1), "cubic")


def test_more_about_shapes():
    shape = tf.TensorShape([None, 2])
    assert shape.merge_with([3, None]) == (3, 2)
    assert shape.with_rank(2) is shape.with_rank_at_least(1) is shape.with_rank_at_most(2) is shape
    assert tf.broadcast_static_shape([None, 1], [3]) == (None, 3)
    assert tf.broadcast_static_shape([None], [1]) == (None,)
    assert tf.broadcast_static_shape([4, None], [5]) == (4, 5)
    for mistake, text in [
        (lambda: shape.merge_with([3, 3]), "not compatible"),
        (lambda: shape.with_rank(3), r"\(None, 2\) should have 3 axes$"),
        (lambda: shape.with_rank_at_least(3), "3 axes or more"),
        (lambda: shape.with_rank_at_most(1), "1 axes or fewer"),
        (lambda: shape.assert_is_fully_defined(), "not known"),
        (lambda: tf.broadcast_static_shape([2], [3]), "cannot be broadcast"),
    ]:
        with pytest.raises(ShapeError, match=text):
            mistake()


def test_more_about_dtypes():
    assert tf.float32.base_dtype is tf.float32
    assert tf.float32.is_compatible_with("float32")
    assert not tf.float32.is_compatible_with(np.float64)
    assert (tf.float32.limits, tf.uint8.limits, tf.int8.limits) == ((0, 1), (0, 255), (-128, 127))
    assert tf.int8.is_numpy_compatible
    assert not tf.bfloat16.is_numpy_compatible


def test_tensorflows_names_of_errors():
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.zeros((2, 3)) + tf.zeros((4,))
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.debugging.assert_positive(-1)
    with pytest.raises(tf.errors.OpError):
        tf.matmul(tf.zeros((2, 3)), tf.zeros((2, 3)))
