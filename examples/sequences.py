"""Forecast the next value of a time series with an LSTM and with a GRU."""

import argparse

import numpy as np

from graphc import keras
from graphc.keras import layers

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--rows", type=int, default=2000)
parser.add_argument("--epochs", type=int, default=5)
options = parser.parse_args()
keras.utils.set_random_seed(42)


def waves(count: int, steps: int) -> np.ndarray:
    """Sums of two sines and some noise: ``(count, steps, 1)``."""
    frequency1, frequency2, offset1, offset2 = np.random.rand(4, count, 1)
    time = np.linspace(0, 1, steps)
    series = 0.5 * np.sin((time - offset1) * (frequency1 * 10 + 10))
    series += 0.2 * np.sin((time - offset2) * (frequency2 * 20 + 20))
    series += 0.1 * (np.random.rand(count, steps) - 0.5)
    return series[..., np.newaxis].astype("float32")


series = waves(options.rows, 51)
x, y = series[:, :50], series[:, -1]
naive = float(np.mean(np.square(x[:, -1] - y)))
print(f"to say that nothing changes: {naive:.4f}")

for recurrent in (layers.LSTM, layers.GRU):
    model = keras.Sequential(
        [
            keras.Input(shape=(None, 1)),  # sequences of any length
            recurrent(20, return_sequences=True),
            recurrent(20),
            layers.Dense(1),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(0.005), loss="mse")
    history = model.fit(x, y, epochs=options.epochs, validation_split=0.2, verbose=0)
    print(f"{recurrent.__name__}: {history.history['val_loss'][-1]:.4f}")
