"""What an operation on small tensors costs beyond NumPy: `python -m benchmarks.eager`.

    python -m benchmarks.eager                  graphc and NumPy
    python -m benchmarks.eager --peers          and PyTorch, TensorFlow and JAX, where installed

Microseconds of this thread on 8x8 matrices, the best of some rounds in which all take turns. The
goals: 3 us over NumPy for one op, 10 us with a tape on.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from graphc.eager import GradientTape, Variable, as_tensor
from graphc.keras import ops

CALLS = 200
ROUNDS = 9

Functions = dict[str, Callable[[], Any]]


def numpy_softmax(x: np.ndarray) -> np.ndarray:
    """The same formula as that of the op."""
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def with_numpy(x: np.ndarray, y: np.ndarray) -> Functions:
    """The operations in NumPy."""
    return {
        "x + y": lambda: x + y,
        "x * 2.0": lambda: x * 2.0,
        "exp": lambda: np.exp(x),
        "x @ y": lambda: x @ y,
        "x[0]": lambda: x[0],
        "x[1:, 0]": lambda: x[1:, 0],
        "mean": lambda: x.mean(),
        "sum, axis": lambda: x.sum(-1),
        "reshape": lambda: x.reshape(64),
        "transpose": lambda: x.T,
        "concatenate": lambda: np.concatenate([x, y]),
        "x > y": lambda: x > y,
        "where": lambda: np.where(x > y, x, y),
        "softmax": lambda: numpy_softmax(x),
    }


def with_graphc(x: Any, y: Any) -> Functions:
    """The operations in graphc."""
    return {
        "x + y": lambda: x + y,
        "x * 2.0": lambda: x * 2.0,
        "exp": lambda: ops.exp(x),
        "x @ y": lambda: x @ y,
        "x[0]": lambda: x[0],
        "x[1:, 0]": lambda: x[1:, 0],
        "mean": lambda: ops.mean(x),
        "sum, axis": lambda: ops.sum(x, axis=-1),
        "reshape": lambda: ops.reshape(x, (64,)),
        "transpose": lambda: ops.transpose(x),
        "concatenate": lambda: ops.concatenate([x, y]),
        "x > y": lambda: x > y,
        "where": lambda: ops.where(x > y, x, y),
        "softmax": lambda: ops.softmax(x),
    }


def with_torch(x: np.ndarray, y: np.ndarray) -> Functions:
    """The operations in PyTorch."""
    import torch

    torch.set_num_threads(1)
    a, b = torch.from_numpy(x), torch.from_numpy(y)
    return {
        "x + y": lambda: a + b,
        "x * 2.0": lambda: a * 2.0,
        "exp": lambda: torch.exp(a),
        "x @ y": lambda: a @ b,
        "x[0]": lambda: a[0],
        "x[1:, 0]": lambda: a[1:, 0],
        "mean": lambda: a.mean(),
        "sum, axis": lambda: a.sum(-1),
        "reshape": lambda: a.reshape(64),
        "transpose": lambda: a.T,
        "concatenate": lambda: torch.cat([a, b]),
        "x > y": lambda: a > b,
        "where": lambda: torch.where(a > b, a, b),
        "softmax": lambda: torch.softmax(a, -1),
    }


def with_tensorflow(x: np.ndarray, y: np.ndarray) -> Functions:
    """The operations in TensorFlow."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    a, b = tf.constant(x), tf.constant(y)
    return {
        "x + y": lambda: a + b,
        "x * 2.0": lambda: a * 2.0,
        "exp": lambda: tf.exp(a),
        "x @ y": lambda: a @ b,
        "x[0]": lambda: a[0],
        "x[1:, 0]": lambda: a[1:, 0],
        "mean": lambda: tf.reduce_mean(a),
        "sum, axis": lambda: tf.reduce_sum(a, -1),
        "reshape": lambda: tf.reshape(a, (64,)),
        "transpose": lambda: tf.transpose(a),
        "concatenate": lambda: tf.concat([a, b], 0),
        "x > y": lambda: a > b,
        "where": lambda: tf.where(a > b, a, b),
        "softmax": lambda: tf.nn.softmax(a),
    }


def with_jax(x: np.ndarray, y: np.ndarray) -> Functions:
    """The operations in JAX."""
    import jax
    import jax.numpy as jnp

    a, b = jnp.asarray(x), jnp.asarray(y)
    return {
        "x + y": lambda: a + b,
        "x * 2.0": lambda: a * 2.0,
        "exp": lambda: jnp.exp(a),
        "x @ y": lambda: a @ b,
        "x[0]": lambda: a[0],
        "x[1:, 0]": lambda: a[1:, 0],
        "mean": lambda: jnp.mean(a),
        "sum, axis": lambda: jnp.sum(a, -1),
        "reshape": lambda: jnp.reshape(a, 64),
        "transpose": lambda: a.T,
        "concatenate": lambda: jnp.concatenate([a, b]),
        "x > y": lambda: a > b,
        "where": lambda: jnp.where(a > b, a, b),
        "softmax": lambda: jax.nn.softmax(a),
    }


PEERS = {"PyTorch": with_torch, "TensorFlow": with_tensorflow, "JAX": with_jax}


def best_times(columns: dict[str, Functions]) -> dict[str, dict[str, float]]:
    """Microseconds per call: for each column those of each operation."""
    best: dict[str, dict[str, float]] = {column: {} for column in columns}
    for _ in range(ROUNDS):
        for column, functions in columns.items():
            for name, function in functions.items():
                elapsed = _timed(function, column == "tape")
                best[column][name] = min(elapsed, best[column].get(name, elapsed))
    return best


def _timed(function: Callable[[], Any], recorded: bool) -> float:
    """Microseconds per call; recorded on a new tape that watches the operands."""
    if recorded:
        with GradientTape() as tape:
            tape.watch([cell.cell_contents for cell in function.__closure__ or ()])
            return _timed(function, False)
    started = time.thread_time()
    for _ in range(CALLS):
        function()
    return (time.thread_time() - started) / CALLS * 1e6


def training_step() -> Callable[[], Any]:
    """A step of the linear classifier of the books: 2 inputs, 1 output, 32 rows, by hand."""
    rng = np.random.default_rng(0)
    inputs = as_tensor(rng.normal(size=(32, 2)).astype("float32"))
    targets = as_tensor(rng.integers(0, 2, (32, 1)).astype("float32"))
    kernel, bias = Variable(np.ones((2, 1), "float32")), Variable(np.zeros(1, "float32"))

    def step() -> None:
        with GradientTape() as tape:
            predictions = ops.matmul(inputs, kernel) + bias
            loss = ops.mean(ops.square(targets - predictions))
        to_kernel, to_bias = tape.gradient(loss, [kernel, bias])
        kernel.assign_sub(to_kernel * 0.1)
        bias.assign_sub(to_bias * 0.1)

    return step


def tensorflow_step() -> Callable[[], Any]:
    """The same in TensorFlow."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    inputs = tf.constant(rng.normal(size=(32, 2)).astype("float32"))
    targets = tf.constant(rng.integers(0, 2, (32, 1)).astype("float32"))
    kernel, bias = tf.Variable(np.ones((2, 1), "float32")), tf.Variable(np.zeros(1, "float32"))

    def step() -> None:
        with tf.GradientTape() as tape:
            predictions = tf.matmul(inputs, kernel) + bias
            loss = tf.reduce_mean(tf.square(targets - predictions))
        to_kernel, to_bias = tape.gradient(loss, [kernel, bias])
        kernel.assign_sub(to_kernel * 0.1)
        bias.assign_sub(to_bias * 0.1)

    return step


def torch_step() -> Callable[[], Any]:
    """The same in PyTorch."""
    import torch

    rng = np.random.default_rng(0)
    inputs = torch.tensor(rng.normal(size=(32, 2)).astype("float32"))
    targets = torch.tensor(rng.integers(0, 2, (32, 1)).astype("float32"))
    kernel, bias = torch.ones(2, 1, requires_grad=True), torch.zeros(1, requires_grad=True)

    def step() -> None:
        predictions = torch.matmul(inputs, kernel) + bias
        loss = torch.mean(torch.square(targets - predictions))
        to_kernel, to_bias = torch.autograd.grad(loss, [kernel, bias])
        with torch.no_grad():
            kernel.sub_(to_kernel * 0.1)
            bias.sub_(to_bias * 0.1)

    return step


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--peers", action="store_true", help="measure what else is installed, too")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(8, 8)).astype("float32") for _ in range(2))
    ours = with_graphc(as_tensor(x), as_tensor(y))
    columns = {"NumPy": with_numpy(x, y), "graphc": ours, "tape": ours}
    steps = {"graphc": training_step()}
    for name, make in PEERS.items() if arguments.peers else ():
        try:
            columns[name] = make(x, y)
        except ImportError:
            print(f"{name} is not installed")
    if "TensorFlow" in columns:
        steps["TensorFlow"] = tensorflow_step()
    if "PyTorch" in columns:
        steps["PyTorch"] = torch_step()
    show(best_times(columns), best_times({name: {"step": f} for name, f in steps.items()}))


def show(best: dict[str, dict[str, float]], steps: dict[str, dict[str, float]]) -> None:
    """Print the tables: times, and in brackets how much they are over NumPy's."""
    console = Console(width=None if os.isatty(1) else 120)
    table = Table(title="microseconds per call (over NumPy's)")
    table.add_column("operation")
    for column in best:
        table.add_column({"tape": "graphc, tape on"}.get(column, column), justify="right")
    for name, floor in best["NumPy"].items():
        cells = [f"{times[name]:.2f} ({times[name] - floor:+.1f})" for times in best.values()]
        table.add_row(name, f"{floor:.2f}", *cells[1:])
    console.print(table)
    table = Table(title="a training step with a tape, 2-1 linear classifier, 32 rows")
    for column in ("", "microseconds"):
        table.add_column(column, justify="right")
    for name, times in steps.items():
        table.add_row(name, f"{times['step']:.1f}")
    console.print(table)


if __name__ == "__main__":
    main()
