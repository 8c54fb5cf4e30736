"""A functional model with two inputs and two outputs: wide & deep, on made-up house prices."""

import argparse

import numpy as np

from graphc import keras
from graphc.keras import layers

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--rows", type=int, default=5000)
parser.add_argument("--epochs", type=int, default=10)
options = parser.parse_args()
keras.utils.set_random_seed(42)

# Eight features; the price depends on some of them directly, on others in a crooked way.
features = np.random.normal(size=(options.rows, 8)).astype("float32")
price = features[:, :1] + np.tanh(features[:, 4:5] * features[:, 5:6])
wide, deep = features[:, :5], features[:, 2:]

# The wide input goes straight to the output, the deep one through two hidden layers.
wide_input = keras.Input(shape=(5,), name="wide")
deep_input = keras.Input(shape=(6,), name="deep")
hidden = layers.Dense(30, activation="relu")(deep_input)
hidden = layers.Dense(30, activation="relu")(hidden)
main = layers.Dense(1, name="main")(layers.concatenate([wide_input, hidden]))
auxiliary = layers.Dense(1, name="auxiliary")(hidden)  # makes the deep part useful by itself
model = keras.Model(inputs=[wide_input, deep_input], outputs=[main, auxiliary])
model.summary()

model.compile(loss=["mse", "mse"], loss_weights=[0.9, 0.1], optimizer="adam")
model.fit((wide, deep), (price, price), epochs=options.epochs, validation_split=0.1)
total, main_loss, auxiliary_loss = model.evaluate((wide, deep), (price, price), verbose=0)
print(f"loss {total:.4f} = 0.9 * {main_loss:.4f} + 0.1 * {auxiliary_loss:.4f}")

# Data by the names of the inputs works as well.
first, _ = model.predict({"wide": wide[:3], "deep": deep[:3]}, verbose=0)
print("predicted", first[:, 0], "wanted", price[:3, 0])
