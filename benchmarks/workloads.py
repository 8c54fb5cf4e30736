"""What is measured: models, data and optimizers, in a form that every peer can build."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: How many different words the texts of a workload have.
WORDS = 1000


@dataclass(frozen=True)
class Workload:
    """One training problem.

    Args:
        name: Its name on the command line and in tables.
        title: What the table says.
        shape: Shape of one sample.
        layers: A stack of layers: ``("dense", units, activation)``, ``("conv", filters, size,
            activation)``, ``("pool", size)``, ``("flatten",)``, ``("lstm"|"gru"|"rnn", units)``.
        loss: ``"mse"`` or ``"sparse"`` (class numbers and logits through softmax).
        optimizer: ``"sgd"``, ``"rmsprop"`` or ``"adam"``, with Keras's defaults.
        batch: Rows per step.
        steps: Steps per epoch.
        epochs: Epochs per measurement: several where one takes a millisecond, so that it is a
            steady state that is measured.
        wide: Features of a second, wide input; the model then is wide & deep, with two outputs.
        model: A function of `benchmarks.models` instead of a stack of layers.
        goal: How many times as fast as the fastest peer graphc should be, on one thread.
        scaling: How many times as fast on two threads as on one.
    """

    name: str
    title: str
    shape: tuple[int, ...]
    layers: tuple[tuple, ...]
    loss: str
    optimizer: str
    batch: int
    steps: int
    epochs: int = 1
    wide: int = 0
    model: str = ""
    goal: float = 1.0
    scaling: float = 1.0

    @property
    def classes(self) -> int:
        """The number of outputs."""
        return 10 if self.model else self.layers[-1][1]

    @property
    def is_text(self) -> bool:
        """Whether a sample is a row of words' numbers."""
        return self.model == "transformer"

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets for one epoch."""
        rng = np.random.default_rng(0)
        rows = self.batch * self.steps
        if self.is_text:
            x = rng.integers(0, WORDS, (rows, *self.shape)).astype(np.int32)
        else:
            x = rng.normal(size=(rows, *self.shape)).astype(np.float32)
        if self.loss == "mse":
            return x, rng.normal(size=(rows, self.classes)).astype(np.float32)
        return x, rng.integers(0, self.classes, rows).astype(np.int32)

    def wide_data(self) -> np.ndarray:
        """The second input of a wide & deep model."""
        rows = self.batch * self.steps
        return np.random.default_rng(1).normal(size=(rows, self.wide)).astype(np.float32)


_CNN = (
    ("conv", 32, 3, "relu"),
    ("pool", 2),
    ("conv", 64, 3, "relu"),
    ("pool", 2),
    ("flatten",),
    ("dense", 128, "relu"),
    ("dense", 10, "softmax"),
)

TRAINING = (
    Workload(
        "tiny",
        "MLP 3-4-4-1, RMSprop, batch 32",
        (3,),
        (("dense", 4, "relu"), ("dense", 4, "relu"), ("dense", 1, None)),
        "mse",
        "rmsprop",
        32,
        1000,
        epochs=5,
        goal=20,
        scaling=1,
    ),
    Workload(
        "small",
        "MLP 8-30-1, SGD, batch 32",
        (8,),
        (("dense", 30, "relu"), ("dense", 1, None)),
        "mse",
        "sgd",
        32,
        1000,
        epochs=5,
        goal=20,
        scaling=1,
    ),
    Workload(
        "wide_deep",
        "wide & deep, 5 and 6 features, 30-30, 2 outputs, SGD, batch 32",
        (6,),
        (("dense", 30, "relu"), ("dense", 30, "relu"), ("dense", 1, None)),
        "mse",
        "sgd",
        32,
        1000,
        epochs=5,
        wide=5,
        goal=20,
    ),
    Workload(
        "mlp",
        "MLP 784-300-100-10, SGD, batch 32",
        (784,),
        (("dense", 300, "relu"), ("dense", 100, "relu"), ("dense", 10, "softmax")),
        "sparse",
        "sgd",
        32,
        200,
        goal=2.2,
        scaling=1.6,
    ),
    Workload(
        "mlp_wide",
        "MLP 784-784-10, Adam, batch 256",
        (784,),
        (("dense", 784, "relu"), ("dense", 10, "softmax")),
        "sparse",
        "adam",
        256,
        20,
        goal=1.15,
        scaling=1.8,
    ),
    Workload(
        "cnn",
        "CNN 28x28x1: conv 32, pool, conv 64, pool, 128, 10, Adam, batch 128",
        (28, 28, 1),
        _CNN,
        "sparse",
        "adam",
        128,
        6,
        goal=2,
        scaling=1.8,
    ),
    Workload(
        "lstm",
        "LSTM 64 over 100 steps of 32, Adam, batch 32",
        (100, 32),
        (("lstm", 64), ("dense", 1, None)),
        "mse",
        "adam",
        32,
        20,
        goal=2.5,
        scaling=1.5,
    ),
    Workload(
        "gru",
        "GRU 64 over 100 steps of 32, Adam, batch 32",
        (100, 32),
        (("gru", 64), ("dense", 1, None)),
        "mse",
        "adam",
        32,
        20,
        goal=2.5,
        scaling=1.5,
    ),
    Workload(
        "rnn",
        "SimpleRNN 64 over 100 steps of 32, Adam, batch 32",
        (100, 32),
        (("rnn", 64), ("dense", 1, None)),
        "mse",
        "adam",
        32,
        20,
        goal=2.5,
        scaling=1.5,
    ),
    Workload(
        "resnet",
        "ResNet 32x32x3, 3 stages of 3 blocks, 16-32-64 filters, Adam, batch 64",
        (32, 32, 3),
        (),
        "sparse",
        "adam",
        64,
        3,
        model="resnet",
        goal=1.3,
        scaling=1.7,
    ),
    Workload(
        "transformer",
        "Transformer encoder, 2 layers, 4 heads, width 128, 64 tokens, Adam, batch 32",
        (64,),
        (),
        "sparse",
        "adam",
        32,
        5,
        model="transformer",
        goal=1.3,
        scaling=1.7,
    ),
)

#: Models that only predict: one image at a time.
IMAGES = (
    Workload(
        "mobilenet", "MobileNetV2", (224, 224, 3), (), "sparse", "sgd", 1, 1, model="mobilenet_v2"
    ),
    Workload("resnet50", "ResNet-50", (224, 224, 3), (), "sparse", "sgd", 1, 1, model="resnet50"),
)


@dataclass(frozen=True)
class Prediction:
    """One prediction problem: a trained workload's model on some rows.

    Args:
        name: Its name.
        title: What the table says.
        model: Name of the workload whose model it is.
        rows: Rows per call.
        calls: Calls per measurement.
        goal: How many times as fast as ONNX Runtime graphc should be, on one thread.
    """

    name: str
    title: str
    model: str
    rows: int
    calls: int
    goal: float = 1.0


PREDICTION = (
    Prediction("mlp_1", "one row through the 784-300-100-10 MLP", "mlp", 1, 300, 2),
    Prediction("mlp_10000", "10 000 rows through the MLP", "mlp", 10_000, 2, 1.1),
    Prediction("cnn_64", "64 images through the CNN", "cnn", 64, 3, 1.1),
    Prediction("mobilenet_1", "one image through MobileNetV2, 224x224x3", "mobilenet", 1, 5),
    Prediction("resnet50_1", "one image through ResNet-50, 224x224x3", "resnet50", 1, 2),
)

BY_NAME = {item.name: item for item in (*TRAINING, *PREDICTION)}
#: The models by the names that predictions call them.
MODELS = {item.name: item for item in (*TRAINING, *IMAGES)}
