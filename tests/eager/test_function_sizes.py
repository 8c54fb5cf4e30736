"""`graphc.function`: which sizes are open, and input signatures."""

import numpy as np
import pytest

import graphc
from graphc.eager.function import function
from graphc.eager.spec import TensorSpec
from graphc.errors import DTypeError, ShapeError
from graphc.keras import ops


def array(*shape, dtype="float32"):
    return np.arange(1, np.prod(shape, dtype=int) + 1).reshape(shape).astype(dtype)


# -------------------------------------------------------------------------------------- sizes


def test_sizes_that_change_become_open():
    shapes = []

    @function
    def f(x, y):
        shapes.append((x.shape, y.shape))
        return ops.sum(x * y, axis=0)

    for n in (4, 5, 9, 2, 0, 1000):
        x, y = array(n, 3), array(n, 1)
        np.testing.assert_allclose(f(x, y), (x * y).sum(0), rtol=1e-6)
    assert shapes == [((4, 3), (4, 1)), ((None, 3), (None, 1))]
    x, y = array(7, 5), array(7, 1)
    np.testing.assert_allclose(f(x, y), (x * y).sum(0), rtol=1e-6)
    assert shapes[2:] == [((None, None), (None, 1))]


def test_equal_sizes_share_a_symbol():
    f = function(lambda x, y: x + y)
    for n in (3, 4, 5):
        f(array(n), array(n))
    assert f.experimental_get_tracing_count() == 2
    with pytest.raises(ShapeError):
        f(array(3), array(4))


def test_size_one_broadcasts_as_ever():
    f = function(lambda x, y: x + y)
    for n, m in ((3, 3), (4, 4), (1, 5), (5, 1), (1, 1), (6, 6), (1, 7)):
        np.testing.assert_array_equal(f(array(n), array(m)), array(n) + array(m))


def test_python_code_may_need_a_size():
    traced = []

    @function
    def f(x):
        traced.append(x.shape)
        total = x[0]
        for i in range(1, x.shape[0]):
            total = total + x[i]
        return total * x.shape[1]

    for n in (3, 4, 3, 5):
        np.testing.assert_array_equal(f(array(n, 2)), array(n, 2).sum(0) * 2)
    assert f.experimental_get_tracing_count() == 3
    for m in (2, 3, 4):
        np.testing.assert_array_equal(f(array(3, m)), array(3, m).sum(0) * m)


def test_one_size_may_be_needed_and_another_open():
    @function
    def f(x):
        return [x[:, i] for i in range(x.shape[1])]

    for n, m in ((4, 2), (5, 2), (6, 3), (7, 3), (8, 3), (9, 2), (10, 4)):
        x = array(n, m)
        columns = f(x)
        assert len(columns) == m
        np.testing.assert_array_equal(columns[-1], x[:, -1])
    assert f.experimental_get_tracing_count() <= 5


def test_open_sizes_as_numbers():
    f = function(lambda x: ops.sum(x) / ops.cast(ops.shape(x)[0], "float32"))
    for n in (2, 3, 4, 5):
        assert float(f(array(n))) == pytest.approx(array(n).mean())
    assert f.experimental_get_tracing_count() == 2


def test_an_error_is_the_users():
    f = function(lambda x, w: x @ w)
    f(array(2, 3), array(3, 4))
    with pytest.raises(ShapeError, match=r"test_function_sizes.py:\d+"):
        f(array(2, 5), array(3, 4))
    np.testing.assert_allclose(f(array(6, 3), array(3, 4)), array(6, 3) @ array(3, 4))


# ----------------------------------------------------------------------------- input signature


def test_an_input_signature_is_traced_once():
    shapes = []

    @function(input_signature=[TensorSpec([None, 3], "float32", "rows"), TensorSpec([], "int32")])
    def f(x, n):
        shapes.append(x.shape)
        return x * ops.cast(n, "float32")

    for size in (1, 2, 5, 0):
        np.testing.assert_array_equal(f(array(size, 3), 2), array(size, 3) * 2)
    np.testing.assert_array_equal(f([[1, 2, 3]], 3), [[3, 6, 9]])
    assert shapes == [(None, 3)]
    concrete = f.get_concrete_function()
    assert [value.name for value in concrete.program.data] == ["rows", "n"]
    assert f.get_concrete_function(array(2, 3), TensorSpec([], "int32")) is concrete
    with pytest.raises(ShapeError, match=r'"x" has shape \(2, 4\), but the input signature says'):
        f(array(2, 4), 1)
    with pytest.raises(DTypeError, match='"x" is float64, but'):
        f(array(2, 3, dtype="float64"), 1)
    with pytest.raises(TypeError, match="2 arguments, received 1"):
        function(lambda x: x, input_signature=[TensorSpec([]), TensorSpec([])])(1.0)


def test_an_input_signature_of_structures():
    spec = TensorSpec([None], "float32")
    f = function(lambda d: d["a"] + d["b"][0], input_signature=[{"a": spec, "b": [spec]}])
    for n in (2, 3):
        np.testing.assert_array_equal(f({"a": array(n), "b": [array(n)]}), array(n) * 2)
    assert f.experimental_get_tracing_count() == 1
    np.testing.assert_array_equal(f({"a": array(1), "b": [array(3)]}), array(3) + 1)
    with pytest.raises(TypeError, match="the input signature says"):
        f({"a": array(2)})


def test_an_input_signature_whose_sizes_are_needed():
    f = function(
        lambda x: sum(x[i] for i in range(x.shape[0])), input_signature=[TensorSpec([None])]
    )
    assert [float(f(array(n))) for n in (2, 3, 2)] == [3, 6, 3]


@pytest.mark.parametrize(
    "name, f",
    [
        ("one_hot", lambda n: ops.one_hot(np.array([0, 2, -1, 9]), n)),
        ("one_hot in front", lambda n: ops.one_hot(np.array([[0], [2]]), n, 0, "int32")),
        ("tf.one_hot", lambda n: graphc.one_hot(np.array([0, 2]), n, 2.0, -1.0)),
        ("multi_hot", lambda n: ops.multi_hot(np.array([0, 2]), n)),
        ("slice", lambda n: ops.slice(np.arange(9), (1,), (n,))),
        ("reshape", lambda n: ops.reshape(np.zeros((2, 0)), (0, n))),
        ("scatter", lambda n: ops.scatter(np.array([[0], [-1]]), np.array([1.0, 2.0]), (n,))),
        ("segments", lambda n: ops.segment_sum(np.array([1.0, 2.0]), np.array([0, 1]), n)),
        ("eye", lambda n: ops.eye(n)),
        ("causal", lambda n: ops.arange(n)[:, None] >= ops.arange(n)),
    ],
)
def test_sizes_of_what_is_made_of_known_tensors(name, f):
    g = function(lambda x: f(ops.shape(x)[1]))
    concrete = g.get_concrete_function(TensorSpec([None, None]))
    for size in (4, 3, 7, 1):
        found, expected = np.asarray(concrete(array(2, size))), np.asarray(f(size))
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_classes_have_to_be_a_size():
    for classes in (None, 2.5):
        with pytest.raises(ShapeError, match="one_hot: a size should be an integer"):
            ops.one_hot([0, 1], classes)
    f = function(lambda n: ops.one_hot([0, 1], n))
    with pytest.raises(ShapeError, match="one_hot: a size should be an integer"):
        f(np.int32(3))
