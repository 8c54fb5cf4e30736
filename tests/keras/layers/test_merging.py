import numpy as np
import pytest

from graphc import keras
from tests.keras.layers.helper import run_layer_test

NAMES = ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "shapes",
    [
        [(2, 3), (2, 3)],
        [(2, 3, 4), (2, 1, 4)],
        [(1, 1), (1, 1)],
        [(2, 3, 4), (2, 4)],
        [(2, 4), (2, 5, 3, 4)],
        [(0, 3), (0, 3)],
    ],
)
def test_elementwise(real_keras, name, shapes):
    run_layer_test(real_keras, lambda k: getattr(k.layers, name)(), *shapes)


@pytest.mark.parametrize("name", ["Add", "Multiply", "Average", "Maximum", "Minimum"])
def test_three_inputs(real_keras, name):
    run_layer_test(real_keras, lambda k: getattr(k.layers, name)(), (2, 3), (2, 3), (2, 1))


@pytest.mark.parametrize(
    ("axis", "shapes"),
    [
        (-1, [(2, 3), (2, 1)]),
        (1, [(2, 3, 4), (2, 1, 4), (2, 2, 4)]),
        (2, [(2, 3, 4), (2, 3, 0)]),
        (0, [(2, 3), (1, 3)]),
    ],
)
def test_concatenate(real_keras, axis, shapes):
    run_layer_test(
        real_keras, lambda k: k.layers.Concatenate(axis=axis), *shapes, symbolic=axis != 0
    )


@pytest.mark.parametrize(
    ("axes", "normalize", "shapes"),
    [
        (1, False, [(2, 3), (2, 3)]),
        (1, True, [(2, 3), (2, 3)]),
        (-1, False, [(2, 3, 4), (2, 5, 4)]),
        ((1, 2), False, [(2, 3, 4), (2, 5, 3)]),
        ((2, 1), True, [(2, 3, 4), (2, 4, 5)]),
        ((1, 1), False, [(2, 3, 4), (2, 3)]),
        ((2, 3), False, [(2, 3, 4), (2, 5, 3, 4)]),
    ],
)
def test_dot(real_keras, axes, normalize, shapes):
    run_layer_test(real_keras, lambda k: k.layers.Dot(axes, normalize), *shapes)


def test_functions():
    a, b = (np.array([[1.0, 5.0]], "float32"), np.array([[3.0, 4.0]], "float32"))
    layers = keras.layers
    assert np.asarray(layers.add([a, b])).tolist() == [[4, 9]]
    assert np.asarray(layers.subtract([a, b])).tolist() == [[-2, 1]]
    assert np.asarray(layers.multiply([a, b])).tolist() == [[3, 20]]
    assert np.asarray(layers.average([a, b])).tolist() == [[2, 4.5]]
    assert np.asarray(layers.maximum([a, b])).tolist() == [[3, 5]]
    assert np.asarray(layers.minimum([a, b])).tolist() == [[1, 4]]
    assert np.asarray(layers.concatenate([a, b])).tolist() == [[1, 5, 3, 4]]
    assert np.asarray(layers.concatenate([a, b], axis=0)).tolist() == [[1, 5], [3, 4]]
    assert np.asarray(layers.dot([a, b], axes=1)).tolist() == [[23]]
    assert layers.add([keras.Input((3,)), keras.Input((3,))], name="sum").shape == (None, 3)


@pytest.mark.parametrize("name", [*NAMES, "Concatenate"])
@pytest.mark.parametrize("masked", [(True, True), (True, False), (False, True)])
def test_masks(real_keras, name, masked):
    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    x[0, 1] = x[1, 3] = 0
    y = np.random.default_rng(1).normal(size=(2, 4, 3)).astype("float32")
    y[0, 1] = y[1, 0] = 0

    def mean(k):
        inputs = [k.Input((4, 3)), k.Input((4, 3))]
        tensors = [
            k.layers.Masking()(tensor) if hidden else tensor
            for tensor, hidden in zip(inputs, masked, strict=True)
        ]
        arguments = {"axis": 1} if name == "Concatenate" else {}
        merged = getattr(k.layers, name)(**arguments)(tensors)
        return k.Model(inputs, [merged, k.layers.GlobalAveragePooling1D()(merged)])

    for mine, theirs in zip(mean(keras)([x, y]), mean(real_keras)([x, y]), strict=True):
        np.testing.assert_allclose(np.asarray(mine), np.asarray(theirs), rtol=1e-5, atol=1e-6)


def test_different_unknown_sizes_become_one():
    a, b = keras.Input((None, 3)), keras.Input((None, 3))
    assert keras.layers.Add()([a, b]).shape == (None, None, 3)


def test_errors():
    a, b = keras.Input((3,)), keras.Input((4,))
    with pytest.raises(ValueError, match=r"Add.*different sizes along axis 1: \(None, 3\)"):
        keras.layers.Add()([a, b])
    with pytest.raises(ValueError, match=r"should be called on a list of tensors.*Add\(\)"):
        keras.layers.Add()(a)
    with pytest.raises(ValueError, match="exactly 2 inputs"):
        keras.layers.Subtract()([a, a, a])
    with pytest.raises(ValueError, match=r"Concatenate.*but for axis 1.*\(None, 2, 4\)"):
        keras.layers.Concatenate(axis=1)([keras.Input((3, 5)), keras.Input((2, 4))])
    with pytest.raises(ValueError, match="Concatenate"):
        keras.layers.Concatenate()([a, keras.Input((3, 4))])
    with pytest.raises(ValueError, match="Incompatible input shapes"):
        keras.layers.Dot(1)([a, b])
    with pytest.raises(ValueError, match="other than the batch's"):
        keras.layers.Dot(0)([a, a])
    with pytest.raises(TypeError, match="`axes`"):
        keras.layers.Dot("1")
    with pytest.raises(ValueError, match="two integers"):
        keras.layers.Dot((1, 2, 3))
