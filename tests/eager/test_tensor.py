"""Tensors and variables as objects of Python and NumPy: text, copies, exchange, errors."""

import copy
import pickle

import numpy as np
import pytest

from graphc.eager import GradientTape, Tensor, Variable, as_tensor
from graphc.eager.function import function
from graphc.eager.tensor import from_dlpack
from graphc.errors import DataDependentControlFlowError
from graphc.keras import ops


def test_text():
    x = as_tensor([[1.0, 2.0]])
    assert repr(x) == (
        "<graphc.Tensor: shape=(1, 2), dtype=float32, numpy=\narray([[1., 2.]], dtype=float32)>"
    )
    assert str(x) == "graphc.Tensor(\n[[1. 2.]], shape=(1, 2), dtype=float32)"
    assert repr(as_tensor(3)) == "<graphc.Tensor: shape=(), dtype=int32, numpy=3>"
    assert str(as_tensor(True)) == "graphc.Tensor(True, shape=(), dtype=bool)"
    assert repr(as_tensor([1, 2])).startswith("<graphc.Tensor: shape=(2,), dtype=int32, numpy=")
    assert f"{as_tensor(3.14159):.2f} {as_tensor([1, 2])}" == "3.14 [1 2]"
    assert repr(Variable([1.0, 2.0], name="w")) == (
        "<Variable path=w, shape=(2,), dtype=float32, value=[1. 2.]>"
    )


def test_the_text_of_a_symbolic_tensor_says_what_it_is():
    seen = []

    @function
    def f(x):
        seen.append((repr(x), f"{x}"))
        return x

    f(np.ones((2, 3), "float32"))
    assert seen == [("<graphc.Tensor: shape=(2, 3), dtype=float32, symbolic>",) * 2]


def test_a_tensor_never_changes():
    array = np.zeros(3, "float32")
    x, by_op = as_tensor(array), ops.convert_to_tensor(array)
    reshaped = ops.reshape(array, (3, 1))
    array[0] = 7
    for tensor in (x, by_op, reshaped):
        assert not tensor.numpy().any()
    copied = x.numpy()
    copied[0] = 7
    assert not x.numpy().any()
    view = np.asarray(x)
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 7
    with pytest.raises(TypeError, match=r"v\[0\]\.assign"):
        x[0] = 7
    with pytest.raises(TypeError, match="cannot be assigned to"):
        del x[0]


def test_arrays_that_nobody_can_change_are_not_copied():
    array = np.zeros(1000)
    array.flags.writeable = False
    assert np.shares_memory(as_tensor(array).data, array)
    assert np.shares_memory(np.asarray(as_tensor(array)), array)
    with pytest.raises(ValueError, match="only in a copy"):
        np.asarray(as_tensor(array), dtype="float32", copy=False)


def test_a_value_that_was_read_stays_what_it_was():
    v = Variable(np.zeros((2, 2)))
    read, reshaped, row = v.value, ops.reshape(v, (4,)), v[0]
    taped = GradientTape()
    with taped:
        y = v * v
    v.assign(np.ones((2, 2)))
    for tensor in (read, reshaped, row, taped.gradient(y, v)):
        assert not tensor.numpy().any()
    source = np.ones((2, 2))
    v.assign(source)
    source[0] = 5
    v.numpy()[0] = 6
    np.testing.assert_array_equal(v.numpy(), 1)


def test_in_place_operators_make_new_tensors():
    x = y = as_tensor([1.0, 2.0])
    x += 1.0
    np.testing.assert_array_equal(x.numpy(), [2, 3])
    np.testing.assert_array_equal(y.numpy(), [1, 2])


def test_python_operators():
    x, y = as_tensor([7, -7]), as_tensor([1.26, -2.5])
    quotient, remainder = divmod(x, 4)
    np.testing.assert_array_equal(quotient.numpy(), [1, -2])
    np.testing.assert_array_equal(remainder.numpy(), [3, 1])
    assert [part.numpy().tolist() for part in divmod(20, x)] == [[2, -3], [6, -1]]
    np.testing.assert_array_equal(round(y).numpy(), [1, -2])
    np.testing.assert_allclose(round(y, 1).numpy(), [1.3, -2.5], 1e-6)
    assert round(x) is x and +x is x
    np.testing.assert_array_equal((x & 3).numpy(), [3, 1])
    np.testing.assert_array_equal((8 | x).numpy(), [15, -7])
    np.testing.assert_array_equal((x ^ x).numpy(), 0)
    np.testing.assert_array_equal((~as_tensor([True, False])).numpy(), [False, True])
    np.testing.assert_array_equal((x.T + np.array([1, 2])).numpy(), [8, -5])
    assert 7 in x and 8 not in x
    assert [int(item) for item in x] == [7, -7]
    assert x.tolist() == [7, -7] and x[0].item() == 7 and complex(x[1]) == -7
    assert x.get_shape() == (2,)


def test_scalars_have_no_items():
    for use in (len, list):
        with pytest.raises(TypeError, match="scalar"):
            use(as_tensor(1.0))


def test_identity():
    x, y = as_tensor([1.0]), as_tensor([1.0])
    assert bool((x == y)[0])
    assert x.ref() == x.ref() and x.ref() != y.ref()
    assert {x.ref(): 1}[x.ref()] == 1 and x.ref().deref() is x
    v = Variable(1.0)
    assert v.ref().deref() is v


def test_pickles_and_copies():
    x, v = as_tensor([1.0, 2.0]), Variable([3.0], name="v")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(x)).numpy(), x.numpy())
    assert copy.copy(x) is x and copy.deepcopy([x])[0] is x
    for part in (v.value, v[0]):
        assert type(pickle.loads(pickle.dumps(part))) is Tensor
    other = copy.deepcopy(v)
    other.assign([4.0])
    assert float(v[0]) == 3.0 and other.name == "v"
    with pytest.raises(TypeError, match="cannot be pickled"):
        function(lambda x: pickle.dumps(x))(np.ones(2))


def test_dlpack():
    x = as_tensor(np.arange(6.0).reshape(2, 3))
    array = np.from_dlpack(x)
    np.testing.assert_array_equal(array, x.numpy())
    assert np.shares_memory(array, x.data)
    back = from_dlpack(array)
    assert isinstance(back, Tensor) and np.shares_memory(back.data, array)
    import jax

    np.testing.assert_array_equal(from_dlpack(jax.numpy.arange(3)).numpy(), [0, 1, 2])


def test_lists_of_tensors_become_tensors():
    v = Variable(2.0)
    with GradientTape() as tape:
        total = ops.sum([v * v, 3.0, v]) + ops.sum(as_tensor([[v, 1.0], [2.0, v * v]]))
    assert float(tape.gradient(total, v)) == 4 + 1 + 1 + 4
    assert as_tensor([[v, 1.0], [2.0, v * v]]).shape == (2, 2)
    np.testing.assert_array_equal(function(lambda x: as_tensor([x, x + 1]))(1.0).numpy(), [1, 2])


def test_variables():
    v = Variable([1.0, 2.0])
    assert v.value() is not v.value and v.value().numpy().tolist() == [1, 2]
    assert v.read_value().numpy().tolist() == [1, 2]
    assert (v.size, v.ndim, v.shape, v.dtype, len(v)) == (2, 1, (2,), "float32", 2)
    assert v.assign_add([1.0, 1.0]).numpy().tolist() == [2, 3]
    assert v.assign_sub([1.0, 1.0]).numpy().tolist() == [1, 2]
    assert [float(x) for x in v] == [1, 2]
    assert f"{Variable(1.5):.3f}" == "1.500"
    with pytest.raises(ValueError, match="always a copy"):
        np.asarray(v, copy=False)


def test_elements_of_a_program_are_not_known():
    for use in (float, int, bool, np.asarray, lambda x: x.numpy(), lambda x: x.tolist()):
        with pytest.raises(DataDependentControlFlowError, match="test_tensor.py:"):
            function(lambda x, use=use: use(ops.sum(x)))(np.ones(2))
