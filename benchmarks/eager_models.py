"""Small models called eagerly, and training steps written by hand, for `benchmarks.eager`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.eager_operations import Functions
from graphc import keras
from graphc.eager import GradientTape, Variable, as_tensor
from graphc.keras import layers, ops

#: Microseconds per call.
GOALS = {"Sequential(x)": 30.0, "Functional(x)": 30.0, "tape and Adam": 150.0}


class _Subclass(keras.Model):
    """The same two layers, called by Python of the user's."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = layers.Dense(16, activation="relu")
        self.last = layers.Dense(3)

    def call(self, inputs: Any) -> Any:
        return self.last(self.hidden(inputs))


def graphc_models() -> Functions:
    """Calls of two Dense layers on 8 rows of 4 numbers, losses, optimizers, and whole steps."""
    rng = np.random.default_rng(0)
    x = as_tensor(rng.normal(size=(8, 4)).astype("float32"))
    y = as_tensor(rng.normal(size=(8, 3)).astype("float32"))
    dense, subclass = layers.Dense(16, activation="relu"), _Subclass()
    start = keras.Input((4,))
    end = layers.Dense(3)(layers.Dense(16, activation="relu")(start))
    functional = keras.Model(start, end)
    sequential = keras.Sequential(
        [keras.Input((4,)), layers.Dense(16, activation="relu"), layers.Dense(3)]
    )
    loss, predictions = keras.losses.MeanSquaredError(), sequential(x)
    return {
        "Dense(x)": lambda: dense(x),
        "Sequential(x)": lambda: sequential(x),
        "Functional(x)": lambda: functional(x),
        "subclass(x)": lambda: subclass(x),
        "trainable_variables": lambda: sequential.trainable_variables,
        "MeanSquaredError(y, p)": lambda: loss(y, predictions),
        "step by hand": _step(),
        "tape and Adam": _adam_step(),
    }


def _adam_step() -> Callable[[], Any]:
    """A step of a network of 3, 4, 4 and 1 units on 16 rows: tape, gradient, optimizer."""
    rng = np.random.default_rng(0)
    inputs = as_tensor(rng.normal(size=(16, 3)).astype("float32"))
    targets = as_tensor(rng.normal(size=(16, 1)).astype("float32"))
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4, activation="tanh"),
            layers.Dense(4, activation="tanh"),
            layers.Dense(1),
        ]
    )
    optimizer = keras.optimizers.Adam(0.01)

    def step() -> None:
        with GradientTape() as tape:
            loss = ops.mean(ops.square(model(inputs, training=True) - targets))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    return step


def tensorflow_models() -> Functions:
    """The step by hand in TensorFlow."""
    return {"step by hand": _tensorflow_step()}


def torch_models() -> Functions:
    """The step by hand in PyTorch."""
    return {"step by hand": _torch_step()}


def _step() -> Callable[[], Any]:
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


def _tensorflow_step() -> Callable[[], Any]:
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


def _torch_step() -> Callable[[], Any]:
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
