"""Training without `fit`: tensors, a tape and a compiled step, under the names that books teach.

python examples/from_scratch.py                  # prints losses and accuracy
python examples/from_scratch.py --logs=logs      # and writes them for `tensorboard --logdir logs`
"""

import argparse
from contextlib import nullcontext

import numpy as np

import graphc as tf


class Line(tf.Module):
    """A linear classifier of points in the plane."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = tf.Variable(tf.random.uniform(shape=(2, 1)))
        self.height = tf.Variable(tf.zeros(shape=(1,)))

    def __call__(self, points):
        return tf.matmul(points, self.slope) + self.height


def two_clouds(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Points around two centres, and which of them each belongs to."""
    rng = np.random.default_rng(1)
    covariance = [[1.0, 0.5], [0.5, 1.0]]
    clouds = [rng.multivariate_normal(centre, covariance, count) for centre in ([0, 3], [3, 0])]
    labels = np.repeat([[0.0], [1.0]], count, axis=0)
    return np.vstack(clouds).astype("float32"), labels.astype("float32")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1000, help="in each cloud")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--logs", help="write summaries into this folder")
    arguments = parser.parse_args()

    tf.random.set_seed(0)
    points, labels = two_clouds(arguments.points)
    model = Line()
    optimizer = tf.keras.optimizers.SGD(0.1)

    @tf.function  # traced and compiled at the first call
    def step(points, labels):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(labels - model(points)))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    writer = tf.summary.create_file_writer(arguments.logs) if arguments.logs else None
    with writer.as_default() if writer else nullcontext():
        for number in range(arguments.steps):
            loss = step(points, labels)
            tf.summary.scalar("loss", loss, step=number)
            tf.summary.histogram("slope", model.slope, step=number)
            if number % 10 == 0 or number == arguments.steps - 1:
                print(f"step {number}: loss {float(loss):.4f}")
    right = (model(points) > 0.5) == (labels > 0.5)
    print(f"accuracy: {float(tf.reduce_mean(tf.cast(right, tf.float32))):.3f}")


if __name__ == "__main__":
    main()
