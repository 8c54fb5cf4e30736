"""Hand-written JAX: the whole epoch, gather included, in one compiled `lax.scan`."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.workloads import MODELS, Prediction, Workload


def _limit(threads: int) -> None:
    if threads == 1:
        os.environ["XLA_FLAGS"] = (
            "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        )
    import numpy  # noqa: F401 (before jax reads the flags)


def _initialize(workload: Workload) -> list[Any]:
    import numpy as np

    rng = np.random.default_rng(0)

    def matrix(*shape: int) -> Any:
        scale = np.sqrt(2.0 / (np.prod(shape[:-1]) + shape[-1]))
        return (rng.normal(size=shape) * scale).astype(np.float32)

    parameters: list[Any] = []
    shape = workload.shape
    for position, (kind, *arguments) in enumerate(workload.layers):
        features = shape[-1]
        extra: tuple[Any, ...] = ()
        if workload.wide and position == len(workload.layers) - 1:
            extra = (matrix(features, 1), np.zeros(1, np.float32))
            features += workload.wide
        if kind == "dense":
            parameters.append(
                (matrix(features, arguments[0]), np.zeros(arguments[0], np.float32), *extra)
            )
            shape = (arguments[0],)
        elif kind == "conv":
            filters, size = arguments[:2]
            parameters.append(
                (matrix(size, size, features, filters), np.zeros(filters, np.float32))
            )
            shape = (*(length - size + 1 for length in shape[:-1]), filters)
        elif kind == "pool":
            parameters.append(())
            shape = (*(length // arguments[0] for length in shape[:-1]), features)
        elif kind == "flatten":
            parameters.append(())
            shape = (int(np.prod(shape)),)
        else:
            units = arguments[0]
            gates = {"lstm": 4, "gru": 3, "rnn": 1}[kind]
            parameters.append(
                (
                    matrix(features, gates * units),
                    matrix(units, gates * units),
                    np.zeros(gates * units, np.float32),
                    np.zeros(gates * units, np.float32),
                )
            )
            shape = (units,)
    return parameters


def _recurrent(kind: str, parameters: Any, x: Any) -> Any:
    """The last output of a recurrent layer; the input's part of all steps in one product."""
    import jax
    import jax.numpy as jnp

    kernel, recurrent, bias, recurrent_bias = parameters
    units = recurrent.shape[0]
    projected = jnp.swapaxes(x, 0, 1) @ kernel + bias
    state = jnp.zeros((x.shape[0], units))

    def lstm(carry: Any, z: Any) -> Any:
        h, c = carry
        i, f, g, o = jnp.split(z + h @ recurrent, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    def gru(h: Any, z: Any) -> Any:
        inner = h @ recurrent + recurrent_bias
        zz, zr, zh = jnp.split(z, 3, axis=1)
        rz, rr, rh = jnp.split(inner, 3, axis=1)
        update, reset = jax.nn.sigmoid(zz + rz), jax.nn.sigmoid(zr + rr)
        return update * h + (1 - update) * jnp.tanh(zh + reset * rh), None

    def rnn(h: Any, z: Any) -> Any:
        return jnp.tanh(z + h @ recurrent), None

    if kind == "lstm":
        return jax.lax.scan(lstm, (state, state), projected)[0][0]
    return jax.lax.scan({"gru": gru, "rnn": rnn}[kind], state, projected)[0]


def _functions(workload: Workload) -> tuple[Any, Callable[..., Any]]:
    """The parameters of a workload, and the function from them and data to its outputs."""
    if not workload.model:
        return _initialize(workload), partial(_forward, workload)
    import numpy as np

    from benchmarks.peers.jax_models import LARGE

    if workload.model not in LARGE:
        raise NotImplementedError(f"{workload.model} is not written by hand")
    parameters, forward = LARGE[workload.model]
    return parameters(np.random.default_rng(0)), forward


def _forward(workload: Workload, parameters: list[Any], x: Any, wide: Any = None) -> Any:
    import jax
    import jax.numpy as jnp

    auxiliary = None
    for (kind, *arguments), weights in zip(workload.layers, parameters, strict=True):
        if kind == "dense":
            if len(weights) == 4:
                auxiliary = x @ weights[2] + weights[3]
                x = jnp.concatenate([wide, x], 1)
            x = x @ weights[0] + weights[1]
        elif kind == "conv":
            dimensions = ("NHWC", "HWIO", "NHWC")
            x = jax.lax.conv_general_dilated(
                x, weights[0], (1, 1), "VALID", dimension_numbers=dimensions
            )
            x = x + weights[1]
        elif kind == "pool":
            window = (1, arguments[0], arguments[0], 1)
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")
        elif kind == "flatten":
            x = x.reshape(x.shape[0], -1)
        else:
            x = _recurrent(kind, weights, x)
        if arguments and arguments[-1] == "relu":
            x = jax.nn.relu(x)
    return x if auxiliary is None else (x, auxiliary)


def train(workload: Workload, peer: str, threads: int) -> Callable[[], None]:
    """A function that trains for the steps of one measurement."""
    _limit(threads)
    import jax
    import jax.numpy as jnp

    x, y = (jnp.asarray(array) for array in workload.data())
    wide = jnp.asarray(workload.wide_data()) if workload.wide else None

    initial, forward = _functions(workload)

    def loss(parameters: Any, rows: Any) -> Any:
        if wide is not None:
            main, auxiliary = forward(parameters, x[rows], wide[rows])
            errors = [jnp.mean((out - y[rows]) ** 2) for out in (main, auxiliary)]
            return 0.9 * errors[0] + 0.1 * errors[1]
        out = forward(parameters, x[rows])
        if workload.loss == "mse":
            return jnp.mean((out - y[rows]) ** 2)
        logs = jax.nn.log_softmax(out)
        return -jnp.mean(jnp.take_along_axis(logs, y[rows][:, None], 1))

    def update(parameters: Any, slots: Any, step: Any, gradients: Any) -> Any:
        tree = jax.tree_util.tree_map
        if workload.optimizer == "sgd":
            return tree(lambda p, g: p - 0.01 * g, parameters, gradients), slots
        if workload.optimizer == "rmsprop":
            second = tree(lambda v, g: 0.9 * v + 0.1 * g * g, slots[1], gradients)
            new = tree(
                lambda p, g, v: p - 0.001 * g / jnp.sqrt(v + 1e-7), parameters, gradients, second
            )
            return new, (slots[0], second)
        first = tree(lambda m, g: m + (g - m) * 0.1, slots[0], gradients)
        second = tree(lambda v, g: v + (g * g - v) * 0.001, slots[1], gradients)
        count = (step + 1).astype(jnp.float32)
        rate = 0.001 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        new = tree(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-7), parameters, first, second)
        return new, (first, second)

    def one_step(carry: Any, rows: Any) -> Any:
        parameters, slots, step = carry
        value, gradients = jax.value_and_grad(loss)(parameters, rows)
        parameters, slots = update(parameters, slots, step, gradients)
        return (parameters, slots, step + 1), value

    @jax.jit
    def epoch(carry: Any, key: Any) -> Any:
        order = jax.random.permutation(key, len(x)).reshape(workload.steps, workload.batch)
        return jax.lax.scan(one_step, carry, order)

    start = jax.tree_util.tree_map(jnp.asarray, initial)
    zeros = jax.tree_util.tree_map(jnp.zeros_like, start)
    state = {"carry": (start, (zeros, zeros), jnp.asarray(0)), "key": jax.random.key(0)}

    def run() -> None:
        for _ in range(workload.epochs):
            state["key"], key = jax.random.split(state["key"])
            state["carry"], losses = epoch(state["carry"], key)
        jax.block_until_ready(losses)

    return run


def predict(workload: Prediction, peer: str, threads: int) -> Callable[[], None]:
    """A function that makes the calls of one measurement."""
    _limit(threads)
    import jax
    import numpy as np

    training = MODELS[workload.model]
    initial, forward = _functions(training)
    parameters = jax.tree_util.tree_map(jax.numpy.asarray, initial)
    call = jax.jit(lambda x: jax.nn.softmax(forward(parameters, x)))
    x = training.data()[0]
    while len(x) < workload.rows:
        x = np.concatenate([x, x])
    x = x[: workload.rows]

    def run() -> None:
        for _ in range(workload.calls):
            np.asarray(call(x))

    return run
