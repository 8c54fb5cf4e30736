"""Evaluating the cases with a library, and comparing what comes out.

``python -m tests.names.results`` computes them with TensorFlow and stores the results, so that the
tests need no TensorFlow.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from tests.names.cases import VALUES, expressions

STORED = Path(__file__).with_name("tensorflow.npz")


def evaluate(tf: Any, expression: str, inputs: Any = None) -> list[np.ndarray]:
    """The results of a case as arrays, structures flat; for `VALUES`, or for stored inputs."""
    used = set(re.findall(r"\w+", expression))
    given = VALUES if inputs is None else inputs
    values = {name: tf.constant(given[name]) for name in VALUES.keys() & used}
    return _flat(eval(expression, {"tf": tf, **values}))


def _flat(result: Any) -> list[np.ndarray]:
    if result is None:
        return []
    if isinstance(result, (list, tuple)):
        return [array for item in result for array in _flat(item)]
    return [np.asarray(result)]


def check(expression: str, found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    """Compare types, shapes and values."""
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype, (ours.dtype, theirs.dtype)
        assert ours.shape == theirs.shape
        if ours.dtype.kind in "fc":
            double = np.complex128 if ours.dtype.kind == "c" else np.float64
            # Sums in another order, and functions that are right to a few units in the last place.
            scale = np.abs(theirs[np.isfinite(theirs)]).max(initial=0)
            tolerance = 1e-3 if ours.dtype.itemsize == 2 else 3e-6
            if "BICUBIC" in expression:  # TensorFlow looks the curve up in a table
                tolerance = 1e-3
            np.testing.assert_allclose(
                ours.astype(double),
                theirs.astype(double),
                rtol=3 * tolerance,
                atol=tolerance * max(scale, 1e-6),
            )
        else:
            np.testing.assert_array_equal(ours, theirs)


def stored() -> dict[str, list[np.ndarray]]:
    """What TensorFlow gave."""
    with np.load(STORED) as file:
        counts = json.loads(file["cases"].item())
        results: dict[str, list[np.ndarray]] = {}
        number = 0
        for expression, count in counts.items():
            results[expression] = [file[f"r{n}"] for n in range(number, number + count)]
            number += count
    return results


def stored_inputs() -> dict[str, np.ndarray]:
    """What TensorFlow was given: the same whatever NumPy's generator gives today."""
    with np.load(STORED) as file:
        return {name: file[f"v_{name}"] for name in VALUES}


def store() -> None:
    """Compute all cases with TensorFlow, and write what comes out."""
    import tensorflow as tf

    arrays: list[np.ndarray] = []
    counts = {}
    for expression in expressions():
        found = evaluate(tf, expression)
        counts[expression] = len(found)
        arrays += found
    named = {f"r{n}": array for n, array in enumerate(arrays)}
    named |= {f"v_{name}": array for name, array in VALUES.items()}
    np.savez_compressed(STORED, cases=np.array(json.dumps(counts)), **named)


if __name__ == "__main__":
    store()
