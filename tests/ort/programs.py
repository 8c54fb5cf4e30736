"""Training programs of the kinds of models that backends have to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from graphc.autodiff import gradients
from graphc.ir import Graph, Location, TensorType, Value, dims, numpy_dtype, symbol
from graphc.ops.conv import Conv
from graphc.ops.elementwise import Relu, Sqrt, cast
from graphc.ops.gather import Gather, one_hot
from graphc.ops.linalg import Einsum
from graphc.ops.movement import Reshape, expand_to
from graphc.ops.nn import BatchNormalization, LogSoftmax
from graphc.ops.pool import AveragePool, MaxPool
from graphc.ops.random import bernoulli
from graphc.ops.recurrent import GRU, LSTM
from graphc.ops.reduce import ReduceMean, ReduceSum
from graphc.program import Program, Variable

BATCH, TIME = symbol("batch"), symbol("time")
CLASSES = 3
Weight = Callable[..., Value]
Forward = Callable[[Graph, Weight], Value]


def program(forward: Forward, optimizer: str = "adam") -> Program:
    """One step: the model, the loss of labels ``y``, gradients, and the update of all weights."""
    graph = Graph("train")
    weights: list[Value] = []

    def weight(name: str, *shape: int) -> Value:
        weights.append(graph.input(name, TensorType(shape, "float32")))
        return weights[-1]

    logits = forward(graph, weight)
    labels = graph.input("y", TensorType((BATCH,), "int32"))
    likelihood = LogSoftmax(1)(logits) * one_hot(labels, CLASSES)
    loss = -ReduceMean((0,))(ReduceSum((1,))(likelihood))
    graph.outputs = {"loss": loss, "logits": logits}
    state = []
    for value, slope in zip(list(weights), gradients(loss, weights), strict=True):
        assert slope is not None
        step = slope * 0.1
        if optimizer == "adam":
            second = graph.input(f"{value.name}.variance", value.type)
            after = second * 0.9 + slope * slope * 0.1
            step = slope * 0.01 / (Sqrt()(after) + 1e-7)
            graph.outputs[f"{second.name}'"] = after
            state.append(Variable(second.name, f"{second.name}'"))
        graph.outputs[f"{value.name}'"] = value - step
        state.append(Variable(value.name, f"{value.name}'"))
    return Program(graph, tuple(state), "train")


def dense(x: Value, weight: Weight, name: str, units: int) -> Value:
    """A dense layer."""
    inputs = x.shape[1]
    with x.graph.at(Location(name)):
        product = Einsum("bi,io->bo")(x, weight(f"{name}/kernel", inputs, units))
        return product + weight(f"{name}/bias", units)


def mlp(graph: Graph, weight: Weight) -> Value:
    x = graph.input("x", TensorType((BATCH, 5), "float32"))
    hidden = Relu()(dense(x, weight, "hidden", 7))
    return dense(hidden, weight, "logits", CLASSES)


def mlp_with_dropout(graph: Graph, weight: Weight) -> Value:
    x = graph.input("x", TensorType((BATCH, 5), "float32"))
    hidden = Relu()(dense(x, weight, "hidden", 7))
    key = graph.constant(np.array([3, 7], np.uint32))
    kept = cast(bernoulli(key, 0.5, hidden.shape), "float32")
    return dense(hidden * kept * 2.0, weight, "logits", CLASSES)


def cnn(graph: Graph, weight: Weight) -> Value:
    """Strides, "same" padding, normalization by the batch, both poolings, channels last."""
    x = graph.input("x", TensorType((BATCH, 9, 9, 2), "float32"))
    windows = {"strides": (1, 1), "padding": ((1, 1), (1, 1)), "dilations": (1, 1)}
    y = Conv(**windows)(x, weight("first/kernel", 3, 3, 2, 4)) + weight("first/bias", 4)
    y = Relu()(y)
    mean = ReduceMean((0, 1, 2))(y)
    spread = y - mean
    variance = ReduceMean((0, 1, 2))(spread * spread)
    gamma, beta = weight("norm/gamma", 4), weight("norm/beta", 4)
    y = BatchNormalization(3)(y, gamma, beta, mean, variance)
    y = MaxPool(window=(2, 2), strides=(2, 2), padding=((0, 0), (0, 0)))(y)
    strided = {"strides": (2, 2), "padding": ((0, 0), (0, 0)), "dilations": (1, 1)}
    y = Conv(**strided)(y, weight("second/kernel", 2, 2, 4, 6))
    y = AveragePool(window=(2, 2), strides=(1, 1), padding=((0, 0), (0, 0)))(y)
    flat = Reshape((BATCH, 6))(y)
    return dense(flat, weight, "logits", CLASSES)


def rnn(graph: Graph, weight: Weight) -> Value:
    """An embedding, an LSTM and a GRU; the length is open."""
    x = graph.input("x", TensorType((BATCH, TIME), "int32"))
    sequence = Gather(0)(weight("embedding", 11, 4), x)
    zeros = expand_to(graph.constant(0.0, "float32"), (BATCH, 5))
    kernels = [weight("lstm/kernel", 4, 20), weight("lstm/recurrent", 5, 20)]
    sequence, *_ = LSTM()(sequence, *kernels, weight("lstm/bias", 20), zeros, zeros)
    kernels = [weight("gru/kernel", 5, 15), weight("gru/recurrent", 5, 15)]
    _, final = GRU()(sequence, *kernels, weight("gru/bias", 2, 15), zeros)
    return dense(final, weight, "logits", CLASSES)


MODELS: dict[str, Forward] = {
    "mlp": mlp,
    "dropout": mlp_with_dropout,
    "cnn": cnn,
    "rnn": rnn,
}


def arrays_for(
    program: Program, sizes: Mapping[str, int], seed: int = 0
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Random data and state."""
    rng = np.random.default_rng(seed)
    names = {variable.name for variable in program.variables}
    data: dict[str, np.ndarray] = {}
    state: dict[str, np.ndarray] = {}
    for value in program.graph.inputs:
        shape = [dims.evaluate(dim, sizes) for dim in value.shape]
        if value.dtype == "int32":
            array = rng.integers(0, CLASSES if value.name == "y" else 11, shape)
        else:
            array = rng.normal(size=shape) * 0.5
        if value.name.endswith("variance"):
            array = np.abs(array)
        into = state if value.name in names else data
        into[value.name] = np.asarray(array).astype(numpy_dtype(value.dtype))
    return data, state
