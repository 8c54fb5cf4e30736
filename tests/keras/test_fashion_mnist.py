"""The classifier that the books begin with, on the real data."""

import pytest

from graphc import keras
from graphc.keras.datasets import fashion_mnist


@pytest.mark.slow
def test_the_classifier_of_the_books_reaches_the_published_accuracy():
    try:
        (x_full, y_full), _ = fashion_mnist.load_data()
    except OSError as error:
        pytest.skip(f"Fashion-MNIST is not here and cannot be downloaded: {error}")
    keras.utils.set_random_seed(42)
    x_valid, x_train = x_full[:5000] / 255.0, x_full[5000:] / 255.0
    y_valid, y_train = y_full[:5000], y_full[5000:]
    model = keras.models.Sequential(
        [
            keras.layers.Flatten(input_shape=[28, 28]),
            keras.layers.Dense(300, activation="relu"),
            keras.layers.Dense(100, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(loss="sparse_categorical_crossentropy", optimizer="sgd", metrics=["accuracy"])
    history = model.fit(x_train, y_train, epochs=30, validation_data=(x_valid, y_valid), verbose=0)
    assert history.history["val_accuracy"][-1] >= 0.885
    assert len(history.history["loss"]) == 30
