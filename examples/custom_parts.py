"""A subclassed model with a layer, a loss, a metric and a callback of one's own.

All of it becomes part of the one compiled training step: no decorator, no special base class.
"""

import argparse

import numpy as np

from graphc import keras
from graphc.keras import layers, ops

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--rows", type=int, default=2000)
parser.add_argument("--epochs", type=int, default=10)
options = parser.parse_args()
keras.utils.set_random_seed(42)


class Residual(layers.Layer):
    """``x + f(x)``, with ``f`` two dense layers."""

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Dense(units, activation="relu")
        self.second = layers.Dense(units)

    def call(self, inputs):
        return inputs + self.second(self.first(inputs))


class Regressor(keras.Model):
    """A dense layer, residual blocks, and a number."""

    def __init__(self, blocks: int = 2, units: int = 16, **kwargs):
        super().__init__(**kwargs)
        self.begin = layers.Dense(units, activation="relu")
        self.blocks = [Residual(units) for _ in range(blocks)]
        self.end = layers.Dense(1)

    def call(self, inputs):
        x = self.begin(inputs)
        for block in self.blocks:
            x = block(x)
        return self.end(x)


def huber(y_true, y_pred):
    """Squares for small errors, absolute values for large ones."""
    error = ops.abs(y_true - y_pred)
    return ops.where(error < 1, ops.square(error) / 2, error - 0.5)


class LargestError(keras.metrics.Metric):
    """The largest error of an epoch."""

    def __init__(self, name="largest_error", **kwargs):
        super().__init__(name=name, **kwargs)
        self.largest = self.add_weight(name="largest", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        error = ops.max(ops.abs(y_true - y_pred))
        self.largest.assign(ops.maximum(self.largest, error))

    def result(self):
        return self.largest


class Overfitting(keras.callbacks.Callback):
    """Tells how much worse the model is on data that it has not seen."""

    def on_epoch_end(self, epoch, logs=None):
        print(f"epoch {epoch + 1}: validation/training = {logs['val_loss'] / logs['loss']:.2f}")


x = np.random.normal(size=(options.rows, 4)).astype("float32")
y = np.sin(x[:, :1]) + x[:, 1:2] * x[:, 2:3]

model = Regressor()
model.compile(optimizer="adam", loss=huber, metrics=[LargestError()])
model.fit(x, y, epochs=options.epochs, validation_split=0.1, verbose=0, callbacks=[Overfitting()])
model.summary()  # a traced model knows its shapes
