"""Keras, on whichever backend, and graphc: the same code, since that is the point of graphc."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from benchmarks import models
from benchmarks.workloads import MODELS, Prediction, Workload

#: Rows that `predict` computes at once.
BATCH = 1000


def load(peer: str, threads: int) -> Any:
    """The peer's keras module, limited to some threads."""
    if peer == "graphc":
        from graphc import keras
        from graphc.config import config

        config.threads = threads
        return keras
    os.environ["KERAS_BACKEND"] = peer.removeprefix("keras-")
    import keras

    if peer == "keras-tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    return keras


def build(keras: Any, workload: Workload) -> Any:
    """The compiled model of a workload."""
    loss = {"mse": "mse", "sparse": "sparse_categorical_crossentropy"}[workload.loss]
    if workload.model:
        model = getattr(models, workload.model)(keras)
        model.compile(optimizer=workload.optimizer, loss=loss)
        return model
    layers = keras.layers
    recurrent = {"lstm": layers.LSTM, "gru": layers.GRU, "rnn": layers.SimpleRNN}
    deep = x = keras.Input(workload.shape)
    wide = keras.Input((workload.wide,)) if workload.wide else None
    for position, (kind, *arguments) in enumerate(workload.layers):
        last = position == len(workload.layers) - 1
        if last and wide is not None:
            hidden = x
            x = layers.concatenate([wide, x])
        if kind == "dense":
            x = layers.Dense(arguments[0], activation=arguments[1])(x)
        elif kind == "conv":
            x = layers.Conv2D(arguments[0], arguments[1], activation=arguments[2])(x)
        elif kind == "pool":
            x = layers.MaxPooling2D(arguments[0])(x)
        elif kind == "flatten":
            x = layers.Flatten()(x)
        else:
            x = recurrent[kind](arguments[0])(x)
    if wide is None:
        model = keras.Model(deep, x)
        model.compile(optimizer=workload.optimizer, loss=loss)
        return model
    model = keras.Model([wide, deep], [x, layers.Dense(1)(hidden)])
    model.compile(optimizer=workload.optimizer, loss=[loss, loss], loss_weights=[0.9, 0.1])
    return model


def train(workload: Workload, peer: str, threads: int) -> Callable[[], None]:
    """A function that trains for the steps of one measurement."""
    keras = load(peer, threads)
    model = build(keras, workload)
    x, y = workload.data()
    inputs, targets = ([workload.wide_data(), x], [y, y]) if workload.wide else (x, y)

    def run() -> None:
        model.fit(inputs, targets, batch_size=workload.batch, epochs=workload.epochs, verbose=0)

    return run


def predict(workload: Prediction, peer: str, threads: int) -> Callable[[], None]:
    """A function that makes the calls of one measurement.

    One row goes through ``model(x)`` in Keras, as its documentation advises for small inputs; a
    batch through ``predict_on_batch``, many rows through ``predict``.
    """
    keras = load(peer, threads)
    training = MODELS[workload.model]
    model = build(keras, training)
    x = training.data()[0]
    while len(x) < workload.rows:
        x = keras.ops.convert_to_numpy(keras.ops.concatenate([x, x]))
    x = x[: workload.rows]
    if workload.rows == 1 and peer != "graphc":

        def run() -> None:
            for _ in range(workload.calls):
                keras.ops.convert_to_numpy(model(x))

        return run

    def run_all() -> None:
        for _ in range(workload.calls):
            if workload.rows <= BATCH:
                model.predict_on_batch(x)
            else:
                model.predict(x, batch_size=BATCH, verbose=0)

    return run_all
