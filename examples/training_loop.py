"""A training loop of one's own: a tape, an optimizer, and `@graphc.function` around the step.

The compiled step takes batches of any size; a loop over steps inside a function is one program.
"""

import argparse
import time

import graphc
from graphc import keras
from graphc.keras import layers, ops

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=10)
options = parser.parse_args()
keras.utils.set_random_seed(42)

(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
x_train, x_test = x_train.astype("float32") / 16, x_test.astype("float32") / 16

model = keras.Sequential(
    [
        keras.Input(shape=(8, 8)),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dropout(0.1),
        layers.Dense(10),
    ]
)
loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
optimizer = keras.optimizers.Adam(0.003)
optimizer.build(model.trainable_variables)
accuracy = keras.metrics.SparseCategoricalAccuracy()


@graphc.function
def train_step(x, y):
    """One update of the weights; its loss."""
    with graphc.GradientTape() as tape:
        loss = loss_function(y, model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    return loss


@graphc.function
def test_step(x, y):
    """Take a batch into the metric."""
    accuracy.update_state(y, model(x, training=False))


@graphc.function
def train_epoch(x, y):
    """All batches in one call: the steps are the body of a loop."""
    _, losses = ops.scan(lambda carry, batch: (carry, train_step(*batch)), 0, (x, y))
    return ops.mean(losses)


BATCH = 32
for epoch in range(options.epochs // 2):
    for begin in range(0, len(x_train), BATCH):
        loss = train_step(x_train[begin : begin + BATCH], y_train[begin : begin + BATCH])
    print(f"epoch {epoch + 1}: loss of the last batch {float(loss):.3f}")
print(f"traced {train_step.experimental_get_tracing_count()} times for {len(x_train)} rows")

whole = len(x_train) // BATCH * BATCH
batches = x_train[:whole].reshape(-1, BATCH, 8, 8), y_train[:whole].reshape(-1, BATCH)
for epoch in range(options.epochs // 2, options.epochs):
    start = time.perf_counter()
    loss = train_epoch(*batches)
    print(f"epoch {epoch + 1}: loss {float(loss):.3f}, {time.perf_counter() - start:.3f} s")

test_step(x_test, y_test)
print(f"test accuracy {float(accuracy.result()):.3f}")
