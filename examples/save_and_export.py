"""Save a model, go on training it later, and hand it to other programs as ONNX."""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from graphc import keras
from graphc.keras import layers

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
options = parser.parse_args()
keras.utils.set_random_seed(42)

(x, y), (x_test, y_test) = keras.datasets.digits.load_data()
model = keras.Sequential(
    [
        keras.Input(shape=(8, 8)),
        layers.Flatten(),
        layers.Rescaling(1 / 16),
        layers.Dense(64, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])

with tempfile.TemporaryDirectory() as temporary:
    folder = options.folder or Path(temporary)

    # Keep the best weights on the way.
    best = keras.callbacks.ModelCheckpoint(
        folder / "best.weights.h5", save_best_only=True, save_weights_only=True
    )
    model.fit(x, y, epochs=options.epochs, validation_split=0.1, callbacks=[best], verbose=0)
    model.load_weights(folder / "best.weights.h5")

    # The whole model: architecture, weights and the optimizer's state. Keras 3 opens it, too.
    model.save(folder / "digits.keras")
    again = keras.models.load_model(folder / "digits.keras")
    same = np.array_equal(again.predict(x_test, verbose=0), model.predict(x_test, verbose=0))
    print("the loaded model predicts the same bits:", same)
    again.fit(x, y, epochs=1, verbose=0)  # goes on where training stopped

    # The architecture alone, as text that people can read.
    (folder / "digits.yaml").write_text(model.to_yaml())

    # For ONNX Runtime and others; checked against ONNX Runtime where that is installed.
    model.export(folder / "digits.onnx")
    print("written:", ", ".join(sorted(path.name for path in folder.iterdir())))
