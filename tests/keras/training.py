"""Training the same model here and in Keras."""

import contextlib
import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphc import keras as ours

RNG = np.random.default_rng(7)
X = RNG.normal(size=(50, 4)).astype("float32")
Y = (X @ RNG.normal(size=(4, 1)) + 0.1 * RNG.normal(size=(50, 1))).astype("float32")
BINARY = (Y[:, 0] > 0).astype("int64")
CLASSES = RNG.integers(0, 3, 50)
ONE_HOT = np.eye(3, dtype="float32")[CLASSES]
WEIGHTS = RNG.uniform(0.5, 2.0, 50).astype("float32")


@dataclass
class Case:
    """A model, how it is compiled, and the data it is trained on.

    Attributes:
        build: Takes a library, ours or Keras; returns a model.
        compile: Arguments of `compile`, or a function from the library to them.
        data: x, y and perhaps sample_weight; or a function that returns them.
        fit: Further arguments of `fit`, or a function from the library to them.
        score: x, y and perhaps sample_weight for `evaluate`; by default the data.
    """

    build: Callable[[Any], Any]
    compile: Any
    data: Any = (X, Y)
    fit: Any = field(default_factory=dict)
    score: Any = None


def arguments(value: Any, library: Any) -> Any:
    return value(library) if callable(value) else value


def make(case: Case, library: Any, weights: Any = None) -> Any:
    """The compiled model, built, with given weights."""
    model = case.build(library)
    if not model.built:
        x = case.data[0]
        model(x[:2] if isinstance(x, np.ndarray) else [part[:2] for part in x])
    if weights is not None:
        model.set_weights(weights)
    # Not eagerly: there, one of Keras's own runs in ten counts another loss where layers add some.
    model.compile(**arguments(case.compile, library))
    return model


def make_both(case: Case, real_keras: Any) -> tuple[Any, Any]:
    """Our model and Keras's, with the same weights, which are the same in every run."""
    real_keras.utils.set_random_seed(7)
    theirs = make(case, real_keras)
    return make(case, ours, theirs.get_weights()), theirs


def assert_close(received: Any, expected: Any, rtol: float = 3e-5, atol: float = 3e-6) -> None:
    np.testing.assert_allclose(
        np.asarray(received), np.asarray(expected), rtol=rtol, atol=atol, equal_nan=True
    )


def assert_same_logs(received: dict, expected: dict, **tolerance: float) -> None:
    """Equal names in the same order, and nearly equal values."""
    assert list(received) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(
            received[name], values, rtol=3e-5, atol=3e-6, err_msg=name, **tolerance
        )


def fit(case: Case, model: Any, library: Any) -> Any:
    options = {"epochs": 3, "batch_size": 16, "shuffle": False, "verbose": 0}
    options |= arguments(case.fit, library)
    data = arguments(case.data, library)
    names = ("x", "y", "sample_weight")
    return model.fit(**dict(zip(names, data, strict=False)), **options)


def assert_trains_alike(case: Case, real_keras: Any) -> tuple[Any, Any]:
    """Train both; compare logs, weights, evaluation and prediction."""
    mine, theirs = make_both(case, real_keras)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = fit(case, theirs, real_keras)
        received = fit(case, mine, ours)
    assert_same_logs(received.history, expected.history)
    assert received.epoch == expected.epoch
    assert received.params == expected.params
    for one, other in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        assert_close(one, other)
    score = case.score or case.data
    if callable(score):
        return mine, theirs
    x, y, *weight = score
    given = {"sample_weight": weight[0]} if weight else {}
    assert_close(
        mine.evaluate(x, y, batch_size=16, verbose=0, **given),
        theirs.evaluate(x, y, batch_size=16, verbose=0, **given),
    )
    outputs = [ours.tree.flatten(m.predict(x, batch_size=20, verbose=0)) for m in (mine, theirs)]
    for one, other in zip(*outputs, strict=True):
        assert one.shape == other.shape
        assert_close(one, other)
    return mine, theirs


def printed(run: Callable[[], Any]) -> str:
    """What is printed, without times and the escapes and states of a bar on its way."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        run()
    text = re.sub(r"\d+(us|ms|s)(?=/step)", "T", stream.getvalue())
    text = re.sub(r"(?<!\d)\d+s\b", "Ts", text)
    # A line that was drawn over: its last state is what one sees.
    lines = [line.split("\r")[-1].rstrip(" \x08") for line in text.split("\n")]
    return "\n".join(lines)
