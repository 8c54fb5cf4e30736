"""Fourier transforms of keras.ops against Keras on JAX: at once, compiled, in ONNX Runtime."""

import numpy as np
import pytest

from graphc.errors import ShapeError, UnsupportedError
from graphc.keras import ops
from tests.keras.computing import arrays_of, at_once, gradients, jax_gradient, traced
from tests.keras.precise import close

RNG = np.random.default_rng(60)


def normal(*shape):
    return RNG.normal(size=shape)


def pair(*shape):
    return normal(*shape), normal(*shape)


WINDOW = np.abs(normal(10)) + 0.1
STFT = pair(2, 7, 9)

#: A function's name, its tensors (two for a pair), its arguments.
CASES = [
    *[("fft", pair(*shape), {}) for shape in ((8,), (3, 5), (2, 3, 1), (2, 48), (2, 47), (131,))],
    ("fft2", pair(4, 6), {}),
    ("fft2", pair(2, 5, 8), {}),
    ("ifft2", pair(2, 5, 8), {}),
    *[("rfft", (normal(*shape),), {}) for shape in ((8,), (3, 7), (2, 100), (1,), (2, 2))],
    ("rfft", (normal(3, 7),), {"fft_length": 5}),
    ("rfft", (normal(3, 7),), {"fft_length": 12}),
    *[("irfft", pair(*shape), {}) for shape in ((5,), (3, 4), (2, 51))],
    ("irfft", pair(3, 5), {"fft_length": 9}),
    ("irfft", pair(3, 5), {"fft_length": 6}),
    ("irfft", pair(3, 5), {"fft_length": 16}),
    ("irfft", pair(3, 1), {"fft_length": 1}),
    ("extract_sequences", (normal(2, 20),), {"sequence_length": 6, "sequence_stride": 4}),
    ("extract_sequences", (normal(20),), {"sequence_length": 5, "sequence_stride": 7}),
    ("extract_sequences", (normal(2, 1, 7),), {"sequence_length": 7, "sequence_stride": 1}),
    ("stft", (normal(2, 50),), {"sequence_length": 10, "sequence_stride": 5, "fft_length": 16}),
    ("stft", (normal(50),), {"sequence_length": 16, "sequence_stride": 4, "fft_length": 16,
                             "center": False}),
    ("stft", (normal(2, 1, 40),), {"sequence_length": 9, "sequence_stride": 4, "fft_length": 15,
                                   "window": "hamming"}),
    ("stft", (normal(2, 40),), {"sequence_length": 10, "sequence_stride": 3, "fft_length": 16,
                                "window": WINDOW}),
    ("stft", (normal(2, 40),), {"sequence_length": 10, "sequence_stride": 3, "fft_length": 12,
                                "window": None}),
    ("istft", STFT, {"sequence_length": 10, "sequence_stride": 5, "fft_length": 16}),
    ("istft", STFT, {"sequence_length": 16, "sequence_stride": 4, "fft_length": 16,
                     "center": False}),
    ("istft", STFT, {"sequence_length": 10, "sequence_stride": 4, "fft_length": 16, "length": 20}),
    ("istft", STFT, {"sequence_length": 10, "sequence_stride": 4, "fft_length": 16,
                     "window": WINDOW}),
    ("istft", STFT, {"sequence_length": 10, "sequence_stride": 4, "fft_length": 16,
                     "window": None, "center": False}),
    ("istft", STFT, {"sequence_length": 13, "sequence_stride": 4, "fft_length": 17,
                     "window": "hamming"}),
]  # fmt: skip


def call(module, name, tensors, kwargs):
    operand = tuple(tensors) if len(tensors) == 2 else tensors[0]
    return getattr(module, name)(operand, **kwargs)


@pytest.mark.parametrize("name, arrays, kwargs", CASES)
def test_values(double_precision, name, arrays, kwargs):
    import jax.numpy as jnp

    expected = arrays_of(call(double_precision.ops, name, list(map(jnp.asarray, arrays)), kwargs))

    def function(*tensors):
        return call(ops, name, tensors, kwargs)

    close(at_once(function, *arrays), expected, 1e-12)
    close(traced(function, *arrays, backend="cpu"), expected, 1e-12)


@pytest.mark.parametrize("name, arrays, kwargs", CASES[::2])
def test_values_in_single_precision_and_onnx(real_keras, name, arrays, kwargs):
    pytest.importorskip("onnxruntime")
    singles = [array.astype("float32") for array in arrays]
    expected = arrays_of(call(real_keras.ops, name, singles, kwargs))

    def function(*tensors):
        return call(ops, name, tensors, kwargs)

    close(at_once(function, *singles), expected, 2e-6)
    close(traced(function, *singles, backend="cpu"), expected, 2e-6)
    close(traced(function, *singles, backend="onnxruntime"), expected, 2e-6)


@pytest.mark.parametrize("name, arrays, kwargs", CASES)
def test_gradients(double_precision, name, arrays, kwargs):
    import jax

    def total(module, tensors):
        result = call(module, name, tensors, kwargs)
        parts = result if isinstance(result, tuple) else (result,)
        return sum(
            module.sum(part * np.random.default_rng(i).normal(size=part.shape))
            for i, part in enumerate(parts)
        )

    both = tuple(range(len(arrays)))
    expected = jax_gradient(lambda *xs: total(double_precision.ops, xs), both)(
        *map(jax.numpy.asarray, arrays)
    )
    received = gradients(lambda *xs: total(ops, xs), *arrays)
    close(received, [np.asarray(array) for array in expected], 1e-10)


def test_short_time_transforms_are_undone():
    x = normal(3, 1000)
    for stride in (100, 160, 400):
        arguments = (400, stride, 512)

        def there_and_back(a, arguments=arguments):
            transformed = ops.stft(a, *arguments, window=None)
            return ops.istft(transformed, *arguments, window=None)

        (y,) = at_once(there_and_back, x)
        np.testing.assert_allclose(y, x[:, : y.shape[1]] * 512 / stride, atol=1e-12)
    (y,) = at_once(lambda a: ops.istft(ops.stft(a, 400, 160, 512), 400, 160, 512, 900), x)
    np.testing.assert_allclose(y, x[:, :900], atol=1e-12)


def test_batches_and_lengths_that_are_not_known():
    from graphc import runtime
    from graphc.eager import Trace
    from graphc.ir import TensorType, symbol

    with Trace("test") as trace:
        x = trace.input("x", TensorType((symbol("batch"), symbol("time")), "float32"))
        real, imaginary = ops.stft(x, 16, 4, 16, center=False)
        back = ops.istft((real, imaginary), 16, 4, 16, center=False)
        program, _ = trace.program({"real": real, "back": back})
    assert real.shape == (None, None, 9)
    executable = runtime.compile(program, "cpu")
    for shape in ((2, 64), (3, 101)):
        sound = normal(*shape).astype("float32")
        results = executable.run({"x": sound}, {})
        expected = at_once(lambda a: ops.stft(a, 16, 4, 16, center=False), sound)
        close([results["real"]], expected[:1], 1e-6)
        inside = slice(4, results["back"].shape[1] - 4)
        np.testing.assert_allclose(results["back"][:, inside], sound[:, inside], atol=1e-5)


def test_a_length_that_is_not_known_needs_no_program():
    from graphc import runtime
    from graphc.eager import Trace
    from graphc.ir import TensorType, symbol

    with Trace("test") as trace:
        x = trace.input("x", TensorType((symbol("time"),), "float32"))
        program, _ = trace.program({"y": ops.fft((x, x))[0]})
    sound = normal(12).astype("float32")
    (expected, _) = at_once(lambda a: ops.fft((a, a)), sound)
    close([runtime.compile(program, "reference").run({"x": sound}, {})["y"]], [expected], 1e-6)
    close([runtime.compile(program, "onnxruntime").run({"x": sound}, {})["y"]], [expected], 1e-5)
    with pytest.raises((ShapeError, UnsupportedError), match="known number of elements"):
        runtime.compile(program, "cpu")


@pytest.mark.parametrize("function, message", [
    (lambda: ops.fft(np.ones(3)), "tuple of two tensors"),
    (lambda: ops.fft((np.ones(3), np.ones(4))), "same shape"),
    (lambda: ops.fft((np.ones(3, int), np.ones(3, int))), "not of type float"),
    (lambda: ops.fft2((np.ones(3), np.ones(3))), "two axes"),
    (lambda: ops.irfft((np.ones(1), np.ones(1))), "positive"),
    (lambda: ops.stft(np.ones(9), 4, 0, 4), "sequence_stride=0"),
    (lambda: ops.stft(np.ones(9), 4, 2, 3), "fft_length=3"),
    (lambda: ops.stft(np.ones(9), 4, 2, 4, window="box"), "window=box"),
    (lambda: ops.stft(np.ones(9), 4, 2, 4, window=np.ones(3)), r"window shape=\(3,\)"),
    (lambda: ops.istft((np.ones(3), np.ones(3)), 4, 2, 4), "at least 2 dimensions"),
    (lambda: ops.extract_sequences(np.ones(3), 4, 2), "sequence_length=4"),
])  # fmt: skip
def test_what_means_nothing(function, message):
    with pytest.raises(ValueError, match=message):
        function()
    with pytest.raises(TypeError, match="input type=int32"):
        ops.stft(np.ones(9, "int32"), 4, 2, 4)
