"""What an operation on small tensors costs beyond NumPy: `python -m benchmarks.eager`.

    python -m benchmarks.eager                  graphc and NumPy
    python -m benchmarks.eager --peers          and PyTorch, TensorFlow and JAX, where installed

Microseconds of this thread, the best of some rounds in which all take turns. The goals: 3 us over
NumPy for one op on 8x8 matrices, 10 us with a tape on; what misses its goal has a star. What NumPy
does in each row is in `benchmarks.eager_operations`. The second table is of models and steps
(`benchmarks.eager_models`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.arguments import parser_of
from benchmarks.eager_models import (
    GOALS as MODEL_GOALS,
)
from benchmarks.eager_models import graphc_models, tensorflow_models, torch_models
from benchmarks.eager_operations import Functions, as_tensors, operands, with_graphc, with_numpy
from graphc.eager import GradientTape
from graphc.ir import is_float

CALLS = 100
ROUNDS = 15

#: Microseconds over NumPy's.
GOALS = {"graphc": 3.0, "tape": 10.0}


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
        "where, compared": lambda: torch.where(a > b, a, b),
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
        "where, compared": lambda: tf.where(a > b, a, b),
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
        "where, compared": lambda: jnp.where(a > b, a, b),
        "softmax": lambda: jax.nn.softmax(a),
    }


#: What measures operations and what measures models.
PEERS: dict[str, tuple[Callable[..., Functions], Callable[[], Functions]]] = {
    "PyTorch": (with_torch, torch_models),
    "TensorFlow": (with_tensorflow, tensorflow_models),
    "JAX": (with_jax, dict),
}


def best_times(columns: dict[str, Functions], watched: list[Any]) -> dict[str, dict[str, float]]:
    """Microseconds per call: for each column those of each row.

    Args:
        columns: Functions by name of the row, by name of the column.
        watched: What the tape of the column "tape" watches.
    """
    for functions in columns.values():
        for function in functions.values():
            function()  # what is made in the first call is not meant
    best: dict[str, dict[str, float]] = {column: {} for column in columns}
    for _ in range(ROUNDS):
        for column, functions in columns.items():
            for name, function in functions.items():
                elapsed = _timed(function, watched if column == "tape" else None)
                best[column][name] = min(elapsed, best[column].get(name, elapsed))
    return best


def _timed(function: Callable[[], Any], watched: list[Any] | None) -> float:
    """Microseconds per call; recorded on a new tape, if there is something to watch."""
    if watched is not None:
        with GradientTape() as tape:
            tape.watch(watched)
            return _timed(function, None)
    started = time.thread_time()
    for _ in range(CALLS):
        function()
    return (time.thread_time() - started) / CALLS * 1e6


def main() -> None:
    """Measure and print."""
    parser = parser_of("benchmarks.eager", __doc__)
    parser.add_argument("--peers", action="store_true", help="measure what else is installed, too")
    arguments = parser.parse_args()
    arrays = operands()
    tensors = as_tensors(arrays)
    columns = {"NumPy": with_numpy(arrays), "graphc": with_graphc(tensors)}
    columns["tape"] = columns["graphc"]
    models = {"graphc": graphc_models()}
    for name, (make, make_models) in PEERS.items() if arguments.peers else ():
        try:
            columns[name] = make(arrays["x"], arrays["y"])
            models[name] = make_models()
        except ImportError:
            print(f"{name} is not installed")
    watched = [tensor for tensor in tensors.values() if is_float(tensor.dtype)]
    console = Console(width=None if os.isatty(1) else 120)
    show_operations(console, best_times(columns, watched))
    show_models(console, best_times(models, watched))


def show_operations(console: Console, best: dict[str, dict[str, float]]) -> None:
    """Print times, in brackets how much they are over NumPy's, and a star where that is much."""
    table = Table(title="microseconds per call (over NumPy's)")
    table.add_column("operation")
    for column in best:
        table.add_column({"tape": "graphc, tape on"}.get(column, column), justify="right")
    missed = 0
    for name, floor in best["NumPy"].items():
        cells = [f"{floor:.2f}"]
        for column, times in list(best.items())[1:]:
            over = times[name] - floor if name in times else None
            is_much = over is not None and over > GOALS.get(column, np.inf)
            missed += is_much
            cells.append(
                "" if over is None else f"{times[name]:.2f} ({over:+.1f}){'*' if is_much else ' '}"
            )
        table.add_row(name, *cells)
    console.print(table)
    console.print(f"{missed} goals missed: " + ", ".join(f"{k} {v} us" for k, v in GOALS.items()))


def show_models(console: Console, best: dict[str, dict[str, float]]) -> None:
    """Print times of models and steps, and their goals."""
    table = Table(title="microseconds per call of small models and training steps")
    for column in ("", *best, "goal"):
        table.add_column(column, justify="right" if column else "left")
    for name, time_ in best["graphc"].items():
        goal = MODEL_GOALS.get(name)
        star = "*" if goal is not None and time_ > goal else " "
        peers = [f"{times[name]:.1f}" if name in times else "" for times in best.values()]
        table.add_row(name, peers[0] + star, *peers[1:], "" if goal is None else str(goal))
    console.print(table)


if __name__ == "__main__":
    main()
