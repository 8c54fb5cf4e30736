"""Gradients of `keras.ops`, and gradients of those, against finite differences in float64.

The calls are those of the table in `tests/keras/ops_cases.py` that take floats which are all finite
and all different (equal elements are kinks of sorts and extremes).
"""

from __future__ import annotations

import numpy as np
import pytest

from graphc import autodiff, runtime
from graphc.eager import Tensor, Trace, as_tensor
from graphc.ir import TensorType
from graphc.keras import ops, tree
from tests.keras.ops_cases import TABLE
from tests.keras.test_ops_table import bind, name_of, parts

#: Functions that jump, or whose kinks lie where the arguments of the table do.
KINKED = {"histogram", "nextafter", "stop_gradient"}


def smooth_arrays(case):
    """The arrays, floats in float64; None if they are not all smooth places."""
    arrays = parts((case.args, case.kwargs))
    floats = [array for array in arrays if array.dtype == np.float32]
    if not case.traced or not any(array.size for array in floats):
        return None
    for array in floats:
        if not np.isfinite(array).all() or np.unique(array).size < array.size:
            return None
    return [array.astype("float64") if array.dtype == np.float32 else array for array in arrays]


def program_of(function, arrays, rng):
    """A program that computes a weighted sum of results, and derivatives of it.

    Its results: ``f``, the sum; ``df``, its derivative along a direction; ``g``, a weighted sum of
    its derivatives; ``dg``, the derivative of that along the direction. None if nothing depends on
    the floats.
    """
    with Trace("test") as trace:
        inputs = [
            trace.input(f"x{i}", TensorType(array.shape, array.dtype.name))
            for i, array in enumerate(arrays)
        ]
        results = [as_tensor(y) for y in tree.flatten(function(*inputs))]
        results = [y for y in results if y.is_symbolic and y.dtype == "float64"]
        if not results:
            return None
        wrt = [x for x in inputs if x.dtype == "float64"]
        directions = [np.sign(rng.normal(size=x.shape)) for x in wrt]

        def weighted(tensors):
            total = as_tensor(0.0, "float64")
            for tensor in tensors:
                weights = as_tensor(rng.normal(size=tensor.shape))
                total = total + ops.sum(tensor * weights)
            return total

        def derivatives(of):
            if not of.is_symbolic:
                return [None for _ in wrt]
            return autodiff.gradients(of.value, [x.value for x in wrt])

        def along(values):
            total = as_tensor(0.0, "float64")
            for value, direction in zip(values, directions, strict=True):
                if value is not None:
                    total = total + ops.sum(Tensor(value) * as_tensor(direction))
            return total

        f = weighted(results)
        first = derivatives(f)
        g = weighted([Tensor(value) for value in first if value is not None])
        outputs = {"f": f, "df": along(first), "g": g, "dg": along(derivatives(g))}
        program, variables = trace.program(outputs)
    state = {name: variable.array for name, variable in variables.items()}
    executable = runtime.compile(program, "reference")

    def run(step):
        moved = iter(directions)
        data = {}
        for i, array in enumerate(arrays):
            floats = array.dtype == np.float64
            data[f"x{i}"] = np.asarray(array + step * next(moved)) if floats else array
        return {name: float(y) for name, y in executable.run(data, state).items()}

    return run


def difference(values, h=2e-3):
    """The derivative at 0 by central differences, extrapolated twice."""
    slopes = [(values(s) - values(-s)) / (2 * s) for s in (h, h / 2, h / 4)]
    for order in (4, 16):
        slopes = [(order * b - a) / (order - 1) for a, b in zip(slopes, slopes[1:], strict=False)]
    return slopes[0]


@pytest.mark.parametrize("row", [row for row in TABLE if name_of(row) not in KINKED])
def test_gradient_and_its_gradient(row):
    rng = np.random.default_rng(5)
    function = getattr(ops, name_of(row))
    for i, case in enumerate(TABLE[row]):
        arrays = smooth_arrays(case)
        if arrays is None:
            continue
        run = program_of(bind(function, case), arrays, rng)
        if run is None:
            continue
        here = run(0.0)
        if not np.isfinite(here["f"]):
            continue
        for value, slope in (("f", "df"), ("g", "dg")):
            measured = difference(lambda step, value=value, run=run: run(step)[value])
            scale = max(1.0, abs(here[value]), abs(measured))
            assert abs(here[slope] - measured) <= 1e-9 * scale, (
                f"case {i}: {slope} is {here[slope]} by the rules, {measured} measured"
            )
