"""Running one function in every way there is: at once, and traced to a program."""

import numpy as np

from graphc import autodiff, runtime
from graphc.eager import Tensor, Trace, apply, as_tensor
from graphc.ir import TensorType
from graphc.ir.dims import symbol
from graphc.keras import tree
from graphc.ops.reduce import ReduceSum


def arrays_of(result):
    """A structure of tensors as a flat list of arrays."""
    return [np.asarray(leaf) for leaf in tree.flatten(result)]


def at_once(function, *arrays):
    """The function's results on concrete tensors, as arrays."""
    return arrays_of(function(*map(as_tensor, arrays)))


def traced(function, *arrays, batch=False, backend="reference"):
    """The function's results as a program computes them.

    With ``batch`` the first axis of every array (but scalars) is symbolic.
    """
    with Trace("test") as trace:
        inputs = []
        for i, array in enumerate(arrays):
            shape = list(array.shape)
            if batch and shape:
                shape[0] = symbol("batch")
            inputs.append(trace.input(f"x{i}", TensorType(tuple(shape), array.dtype.name)))
        leaves = tree.flatten(function(*inputs))
        names = [f"y{i}" for i in range(len(leaves))]
        tensors = [leaf if isinstance(leaf, Tensor) else as_tensor(leaf) for leaf in leaves]
        program, variables = trace.program(dict(zip(names, tensors, strict=True)))
    state = {name: variable.array for name, variable in variables.items()}
    data = {f"x{i}": np.asarray(array) for i, array in enumerate(arrays)}
    results = runtime.compile(program, backend).run(data, state)
    return [results[name] for name in names]


def gradients(function, *arrays):
    """Derivatives of the sum of a function's (first) result with respect to float arrays."""
    with Trace("test") as trace:
        inputs = [
            trace.input(f"x{i}", TensorType(array.shape, array.dtype.name))
            for i, array in enumerate(arrays)
        ]
        result = tree.flatten(function(*inputs))[0]
        total = apply(ReduceSum(tuple(range(result.ndim))), result)
        if not total.is_symbolic:  # it depends on no input
            return [np.zeros_like(array) for array in arrays]
        found = autodiff.gradients(total.value, [x.value for x in inputs])
        tensors = {
            f"d{i}": Tensor(value) if value is not None else as_tensor(np.zeros_like(array))
            for i, (value, array) in enumerate(zip(found, arrays, strict=True))
        }
        program, variables = trace.program(tensors)
    data = {f"x{i}": array for i, array in enumerate(arrays)}
    state = {name: variable.array for name, variable in variables.items()}
    results = runtime.compile(program, "reference").run(data, state)
    return [results[name] for name in tensors]


def assert_same(received, expected, rtol=1e-5, atol=1e-6):
    """Equal shapes, dtypes (but for the 64-bit types that JAX does without) and nearly values."""
    assert len(received) == len(expected)
    for mine, theirs in zip(received, expected, strict=True):
        assert mine.shape == theirs.shape
        assert mine.dtype.name.replace("64", "32") == theirs.dtype.name.replace("64", "32")
        if mine.dtype.name == "bfloat16":
            mine, theirs = mine.astype("float32"), theirs.astype("float32")
        np.testing.assert_allclose(mine, theirs, rtol=rtol, atol=atol)


def jax_gradient(function, places=0):
    """JAX's gradient of a function, compiled as a whole.

    As it comes, JAX compiles each primitive for itself, which takes ten times as long.
    """
    import jax

    return jax.jit(jax.grad(function, places))
