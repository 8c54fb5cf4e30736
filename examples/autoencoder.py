"""A variational autoencoder with a training step of its own, which `fit` compiles.

The step is Python: a tape, gradients, an optimizer, metrics. It runs once, to be traced.
"""

import argparse

import graphc
from graphc import keras
from graphc.keras import layers, ops

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=30)
options = parser.parse_args()
keras.utils.set_random_seed(42)


class Sampling(layers.Layer):
    """Draws from the normal distribution that the encoder describes."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, inputs):
        mean, log_variance = inputs
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * noise


class Autoencoder(keras.Model):
    """Learns a few numbers for each image, from which it can be drawn again."""

    def __init__(self, latent: int = 2, **kwargs):
        super().__init__(**kwargs)
        image = keras.Input((64,))
        hidden = layers.Dense(64, activation="relu")(image)
        mean, log_variance = layers.Dense(latent)(hidden), layers.Dense(latent)(hidden)
        code = Sampling()([mean, log_variance])
        self.encoder = keras.Model(image, [mean, log_variance, code])
        self.decoder = keras.Sequential(
            [
                keras.Input((latent,)),
                layers.Dense(64, activation="relu"),
                layers.Dense(64, activation="sigmoid"),
            ]
        )
        self.trackers = [keras.metrics.Mean(name=name) for name in ("loss", "image", "code")]

    @property
    def metrics(self):
        return self.trackers

    def train_step(self, data):
        with graphc.GradientTape() as tape:
            mean, log_variance, code = self.encoder(data)
            differences = keras.losses.binary_crossentropy(data, self.decoder(code))
            of_image = 64 * ops.mean(differences)
            spread = 1 + log_variance - ops.square(mean) - ops.exp(log_variance)
            of_code = -0.5 * ops.mean(ops.sum(spread, axis=1))
            loss = of_image + of_code
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        for tracker, value in zip(self.trackers, (loss, of_image, of_code), strict=True):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self.trackers}


(x_train, _), _ = keras.datasets.digits.load_data()
images = x_train.reshape(-1, 64).astype("float32") / 16

model = Autoencoder()
model.compile(optimizer=keras.optimizers.Adam(0.003))
history = model.fit(images, epochs=options.epochs, batch_size=64, verbose=0).history
print(f"loss {history['loss'][0]:.2f} at first, {history['loss'][-1]:.2f} in the end")

drawn = model.decoder.predict(ops.convert_to_tensor([[-1.0, 0.5]]), verbose=0).reshape(8, 8)
for row in drawn:
    print("".join(" .:-=+*#%@"[int(9.99 * value)] * 2 for value in row))
