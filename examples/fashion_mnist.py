"""The books' first classifier: clothes on images of 28 by 28 pixels, about a minute of training."""

import argparse

from graphc import keras

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--rows", type=int, default=60000, help="images to use")
parser.add_argument("--epochs", type=int, default=30)
options = parser.parse_args()
keras.utils.set_random_seed(42)

(x, y), (x_test, y_test) = keras.datasets.fashion_mnist.load_data()
x, y = x[: options.rows] / 255.0, y[: options.rows]  # bytes to numbers from 0 to 1

model = keras.Sequential(
    [
        keras.Input(shape=(28, 28)),
        keras.layers.Flatten(),
        keras.layers.Dense(300, activation="relu"),
        keras.layers.Dense(100, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(loss="sparse_categorical_crossentropy", optimizer="sgd", metrics=["accuracy"])
history = model.fit(x, y, epochs=options.epochs, validation_split=1 / 12)
print("validation accuracy", history.history["val_accuracy"][-1])

_, accuracy = model.evaluate(x_test / 255.0, y_test, verbose=0)
print("test accuracy", accuracy)
