"""Convolutions against Keras on JAX, with symbolic sizes, and their errors."""

import numpy as np
import pytest

from graphc import reference
from graphc.autodiff import gradients
from graphc.errors import DTypeError, GraphcError, ShapeError, UnsupportedError
from graphc.ir import Graph, TensorType, symbol
from graphc.ops.conv import Conv, ConvKernelGradient, ConvTranspose
from graphc.ops.window import same_padding

FORMATS = {"last": "channels_last", "first": "channels_first"}

# spatial shape, window, strides, dilations, groups, input channels, output channels
TABLE = [
    ((9,), (3,), (1,), (1,), 1, 2, 3),
    ((9,), (2,), (3,), (1,), 1, 2, 3),
    ((9,), (3,), (1,), (2,), 2, 4, 6),
    ((6, 7), (3, 3), (1, 1), (1, 1), 1, 3, 4),
    ((6, 7), (3, 2), (2, 2), (1, 1), 1, 3, 4),
    ((7, 8), (2, 3), (1, 1), (2, 3), 1, 3, 4),
    ((6, 7), (3, 3), (2, 2), (1, 1), 4, 4, 8),
    ((6, 7), (1, 1), (2, 2), (1, 1), 1, 3, 4),
    ((5, 5), (5, 5), (1, 1), (1, 1), 1, 1, 1),
    ((4, 5, 6), (2, 3, 2), (1, 1, 1), (1, 1, 1), 1, 2, 3),
    ((4, 5, 6), (2, 3, 2), (2, 2, 2), (1, 1, 1), 2, 2, 4),
]


def image_shape(spatial, channels, layout, batch=2):
    return (batch, *spatial, channels) if layout == "last" else (batch, channels, *spatial)


def run(op, *arrays, weights=None):
    """The result of an op and, for given cotangents, the gradients of its operands."""
    graph = Graph("test")
    operands = [
        graph.input(f"x{i}", TensorType(a.shape, a.dtype.name)) for i, a in enumerate(arrays)
    ]
    result = op(*operands)
    graph.outputs = {"y": result}
    if weights is not None:
        dys = gradients({result: graph.constant(weights)}, operands)
        graph.outputs.update({f"d{i}": dy for i, dy in enumerate(dys)})
    values = reference.evaluate(graph, {f"x{i}": array for i, array in enumerate(arrays)})
    return tuple(values.values())


@pytest.mark.parametrize("layout", ["last", "first"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("case", TABLE, ids=str)
def test_conv_is_that_of_keras(keras, jax, case, padding, layout):
    spatial, window, strides, dilations, groups, inputs, outputs = case
    rng = np.random.default_rng(1)
    x = rng.normal(size=image_shape(spatial, inputs, layout)).astype("float32")
    kernel = rng.normal(size=(*window, inputs // groups, outputs)).astype("float32")

    def convolve(x, kernel):
        return keras.ops.conv(
            x,
            kernel,
            strides=strides,
            padding=padding,
            data_format=FORMATS[layout],
            dilation_rate=dilations,
        )

    expected, pullback = jax.vjp(convolve, x, kernel)
    weights = rng.normal(size=expected.shape).astype("float32")
    zeros = ((0, 0),) * len(spatial)
    pads = same_padding(spatial, window, strides, dilations) if padding == "same" else zeros
    op = Conv(strides=strides, padding=pads, dilations=dilations, groups=groups, layout=layout)
    y, dx, dkernel = run(op, x, kernel, weights=weights)
    for actual, wanted in zip((y, dx, dkernel), (expected, *pullback(weights)), strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layout", ["last", "first"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    "case",
    [
        ((5,), (3,), (2,)),
        ((5,), (2,), (3,)),
        ((4, 5), (3, 3), (1, 1)),
        ((4, 5), (3, 3), (2, 2)),
        ((4, 5), (2, 5), (2, 2)),
        ((3, 2, 4), (2, 2, 3), (2, 2, 2)),
    ],
    ids=str,
)
def test_transposed_conv_is_that_of_keras(keras, jax, case, padding, layout):
    spatial, window, strides = case
    rng = np.random.default_rng(2)
    y = rng.normal(size=image_shape(spatial, 3, layout)).astype("float32")
    kernel = rng.normal(size=(*window, 2, 3)).astype("float32")

    def convolve(y, kernel):
        return keras.ops.conv_transpose(
            y, kernel, strides=strides, padding=padding, data_format=FORMATS[layout]
        )

    expected, pullback = jax.vjp(convolve, y, kernel)
    weights = rng.normal(size=expected.shape).astype("float32")
    large = expected.shape[1:-1] if layout == "last" else expected.shape[2:]
    ones = (1,) * len(spatial)
    zeros = ((0, 0),) * len(spatial)
    pads = same_padding(large, window, strides, ones) if padding == "same" else zeros
    op = ConvTranspose(
        strides=strides, padding=pads, dilations=ones, layout=layout, spatial=tuple(large)
    )
    x, dy, dkernel = run(op, y, kernel, weights=weights)
    for actual, wanted in zip((x, dy, dkernel), (expected, *pullback(weights)), strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-4, atol=1e-4)


def test_depthwise_conv_is_that_of_keras(keras):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2, 6, 7, 3)).astype("float32")
    kernel = rng.normal(size=(3, 3, 3, 2)).astype("float32")
    expected = keras.ops.depthwise_conv(x, kernel, strides=(2, 2), padding="same")
    padding = same_padding((6, 7), (3, 3), (2, 2), (1, 1))
    op = Conv(strides=(2, 2), padding=padding, dilations=(1, 1), groups=3)
    (y,) = run(op, x, kernel.reshape(3, 3, 1, 6))
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_symbolic_batch_and_sizes():
    """The gradient of a strided convolution has the symbolic shape of its operand."""
    graph = Graph("symbolic")
    batch, height, width = (symbol(name) for name in ("batch", "height", "width"))
    x = graph.input("x", TensorType((batch, height, width, 2), "float64"))
    kernel = graph.input("kernel", TensorType((3, 2, 2, 4), "float64"))
    op = Conv(strides=(2, 3), padding=((1, 1), (0, 0)), dilations=(1, 2))
    y = op(x, kernel)
    assert y.shape == (batch, (height + 1) // 2, width // 3, 4)
    dx, dkernel = gradients({y: y}, [x, kernel])
    assert dx.type == x.type
    assert dkernel.type == kernel.type
    graph.outputs = {"y": y, "dx": dx, "dkernel": dkernel}
    rng = np.random.default_rng(4)
    for shape in ((2, 5, 7, 2), (1, 6, 9, 2), (0, 3, 3, 2)):
        arrays = rng.normal(size=shape), rng.normal(size=(3, 2, 2, 4))
        values = reference.evaluate(graph, dict(zip(("x", "kernel"), arrays, strict=True)))
        expected, *_ = run(op, *arrays)
        np.testing.assert_array_equal(values["y"], expected)
        for array, value in zip(arrays, (values["dx"], values["dkernel"]), strict=True):
            assert array.shape == value.shape


def test_transposed_conv_doubles_a_symbolic_size():
    graph = Graph("symbolic")
    height = symbol("height")
    y = graph.input("y", TensorType((symbol("batch"), height, 3), "float32"))
    kernel = graph.input("kernel", TensorType((3, 5, 3), "float32"))
    op = ConvTranspose(strides=(2,), padding=((0, 1),), dilations=(1,), spatial=(height * 2,))
    assert str(op(y, kernel).type) == "float32[batch, 2*height, 5]"


def test_same_padding_needs_a_known_size_only_where_it_depends_on_it():
    size = symbol("time")
    assert same_padding((size,), (3,), (1,), (2,)) == ((2, 2),)
    with pytest.raises(UnsupportedError, match="depends on the size time"):
        same_padding((size,), (3,), (2,), (1,))


F = "float32"
CONV = {"strides": (1, 1), "padding": ((0, 0), (0, 0)), "dilations": (1, 1)}


@pytest.mark.parametrize(
    ("op", "types", "error", "message"),
    [
        (Conv(**CONV), [((2, 5, 5), F), ((3, 3, 1, 1), F)], ShapeError, "image of rank 4, not 3"),
        (Conv(**CONV), [((2, 5, 5, 3), F), ((3, 3, 2, 1), F)], ShapeError, "3 input channels"),
        (Conv(**CONV), [((2, 5, 5, 3), F), ((3, 3, 3), F)], ShapeError, "kernel of rank 4"),
        (Conv(**CONV), [((2, 5, 5, 3), F), ((3, 6, 3, 1), F)], ShapeError, "is larger than"),
        (Conv(**CONV), [((2, 5, 5, 3), F), ((0, 3, 3, 1), F)], ShapeError, "is empty"),
        (Conv(**CONV), [((2, 5, 5, 3), F), ((3, 3, 3, 1), "float64")], DTypeError, "common"),
        (Conv(**CONV), [((2, 5, 5, 3), "int32"), ((3, 3, 3, 1), F)], DTypeError, "not int32"),
        (Conv(**CONV, groups=2), [((2, 5, 5, 4), F), ((3, 3, 2, 3), F)], ShapeError, "2 groups"),
        (Conv(**CONV, layout="NHWC"), [((2, 5, 5, 3), F), ((3, 3, 3, 1), F)], ShapeError, "NHWC"),
        (Conv(**{**CONV, "padding": ((0, 0),)}), [((2, 5, 5, 3), F), ((3, 3, 3, 1), F)],
         ShapeError, "2 pairs"),
        (Conv(**{**CONV, "strides": (0, 1)}), [((2, 5, 5, 3), F), ((3, 3, 3, 1), F)], ShapeError,
         "strides at least 1"),
        (Conv(**{**CONV, "dilations": (1,)}), [((2, 5, 5, 3), F), ((3, 3, 3, 1), F)], ShapeError,
         "2 dilations"),
        (ConvTranspose(**CONV, spatial=(5, 6)), [((2, 3, 3, 3), F), ((3, 3, 2, 3), F)], ShapeError,
         "gives the size 4, not 3"),
        (ConvTranspose(**CONV, spatial=(5, 5)), [((2, 3, 3, 3), F), ((3, 3, 2, 4), F)], ShapeError,
         "does not end in 3"),
        (ConvKernelGradient(**CONV, window=(3, 3)), [((2, 5, 5, 3), F), ((1, 3, 3, 4), F)],
         ShapeError, "2 and 1 images"),
        (ConvKernelGradient(**CONV, groups=2, window=(3, 3)), [((2, 5, 5, 3), F),
         ((2, 3, 3, 4), F)], ShapeError, "2 groups"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(op, types, error, message):
    with pytest.raises(error, match=message) as caught:
        op.infer(*[TensorType(*type) for type in types])
    assert isinstance(caught.value, GraphcError)
