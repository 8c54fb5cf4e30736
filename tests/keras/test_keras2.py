"""What Keras 2 had and Keras 3 has no more, and NumPy's functions on tensors."""

import numpy as np
import pytest

from graphc import keras
from graphc.errors import DataDependentControlFlowError

K = keras.backend
A = np.array([[1.0, -2.0], [3.0, 0.5]], "float32")


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (lambda: K.sum(K.square(A), axis=-1), (A**2).sum(-1)),
        (lambda: K.mean(A), A.mean()),
        (lambda: K.argmax(A), A.argmax(-1)),
        (lambda: K.concatenate([A, A]), np.concatenate([A, A], -1)),
        (lambda: K.expand_dims(A), A[..., None]),
        (lambda: K.clip(A, 0, 1), A.clip(0, 1)),
        (lambda: K.switch(A > 0, A, -A), np.abs(A)),
        (lambda: K.dot(A, A), A @ A),
        (lambda: K.flatten(A), A.ravel()),
        (lambda: K.constant(2.0, shape=(2, 2)), np.full((2, 2), 2.0)),
    ],
)
def test_backend_functions(ours, expected):
    np.testing.assert_allclose(ours(), expected, rtol=1e-6)


def test_values_of_variables():
    variable = K.variable([1.0, 2.0])
    K.set_value(variable, [3.0, 4.0])
    np.testing.assert_array_equal(K.get_value(variable), [3.0, 4.0])
    assert K.int_shape(keras.Input((3,))) == (None, 3)
    with pytest.raises(AttributeError, match="placeholder"):
        K.placeholder  # noqa: B018


def test_unseeded_draws_differ_in_each_step_and_repeat_with_the_seed():
    def outputs():
        keras.utils.set_random_seed(7)
        noise = keras.layers.Lambda(lambda x: x + keras.random.normal(keras.ops.shape(x)))
        model = keras.Sequential([keras.Input((3,)), noise])
        return [model.predict(np.zeros((2, 3)), verbose=0) for _ in range(2)]

    first, second = outputs(), outputs()
    assert (first[0] != first[1]).all()
    np.testing.assert_array_equal(first, second)


def test_numpys_functions_on_tensors():
    tensor = keras.ops.convert_to_tensor(A)
    for result in (A * tensor, A / tensor, A @ tensor, tensor < A, A % tensor, np.add(A, tensor)):
        assert type(result) is type(tensor)
    np.testing.assert_array_equal(np.sin(tensor), np.sin(A))
    np.testing.assert_array_equal(np.add.reduce(tensor), A.sum(0))
    with pytest.raises(DataDependentControlFlowError, match="has none"):
        np.sin(keras.Input((3,)))
    assert (np.ones(3) * keras.Input((3,))).shape == (None, 3)
