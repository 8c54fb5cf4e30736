"""Reuse the layers of one model in another: freeze them, train the rest, then thaw them."""

import argparse

from graphc import keras
from graphc.keras import layers

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=10)
options = parser.parse_args()
keras.utils.set_random_seed(42)

(x, y), (x_test, y_test) = keras.datasets.digits.load_data()

# Model A tells the digits 0 to 7 apart, for which there is plenty of data.
few = y < 8
model_a = keras.Sequential(
    [
        keras.Input(shape=(8, 8)),
        layers.Flatten(),
        layers.Rescaling(1 / 16),
        layers.Dense(32, activation="relu"),
        layers.Dense(32, activation="relu"),
        layers.Dense(8, activation="softmax"),
    ]
)
model_a.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model_a.fit(x[few], y[few], epochs=options.epochs, verbose=0)

# Model B tells 8 from 9, with forty examples. It shares A's layers, so it would change A:
# a clone with A's weights keeps A as it is.
copy = keras.models.clone_model(model_a)
copy.set_weights(model_a.get_weights())
model_b = keras.Sequential([*copy.layers[:-1], layers.Dense(1, activation="sigmoid")])
x_b, y_b = x[~few][:40], y[~few][:40] == 9

for layer in model_b.layers[:-1]:
    layer.trainable = False
model_b.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])  # after that!
model_b.fit(x_b, y_b, epochs=options.epochs, verbose=0)

for layer in model_b.layers[:-1]:
    layer.trainable = True
optimizer = keras.optimizers.Adam(1e-4)  # small steps, so as not to spoil what was learnt
model_b.compile(optimizer=optimizer, loss="binary_crossentropy", metrics=["accuracy"])
model_b.fit(x_b, y_b, epochs=options.epochs, verbose=0)

test = y_test >= 8
print("8 or 9:", model_b.evaluate(x_test[test], y_test[test] == 9, verbose=0)[1])
