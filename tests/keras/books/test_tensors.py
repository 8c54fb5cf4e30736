"""The chapters on tensors, tapes and training from scratch, as readers type them in.

'Deep Learning with Python' (Chollet), chapters 2, 3 and 7, and TensorFlow's own beginners' guides.
"""

# Names that a book gives and never uses are part of its code.
# ruff: noqa: F841

import math

import numpy as np
import pytest

import graphc as tf
from graphc import keras


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(1337)


def test_constant_tensors_and_variables():
    x = tf.ones(shape=(2, 1))
    assert x.numpy().tolist() == [[1.0], [1.0]]
    x = tf.zeros(shape=(2, 1))
    x = tf.random.normal(shape=(3, 1), mean=0.0, stddev=1.0)
    x = tf.random.uniform(shape=(3, 1), minval=0.0, maxval=1.0)
    assert x.shape == (3, 1)
    assert x.dtype == tf.float32

    array = np.ones((2, 2))
    array[0, 0] = 0.0
    x = tf.ones((2, 2))
    with pytest.raises(TypeError, match="cannot be assigned to"):
        x[0, 0] = 0.0

    v = tf.Variable(initial_value=tf.random.normal(shape=(3, 1)))
    v.assign(tf.ones((3, 1)))
    v[0, 0].assign(3.0)
    assert v.numpy().tolist() == [[3.0], [1.0], [1.0]]
    v.assign_add(tf.ones((3, 1)))
    v.assign_sub(tf.ones((3, 1)) * 0.5)
    assert v.numpy().tolist() == [[3.5], [1.5], [1.5]]


def test_tensor_operations():
    a = tf.ones((2, 2))
    b = tf.square(a * 3)
    c = tf.sqrt(a)
    d = b + c
    e = tf.matmul(a, b)
    e *= d
    assert e.numpy().tolist() == [[180.0, 180.0], [180.0, 180.0]]

    rank_2 = tf.constant([[1, 2], [3, 4], [5, 6]], dtype=tf.float16)
    assert rank_2.dtype == "float16"
    assert (tf.reduce_max(rank_2).item(), tf.argmax(rank_2[0]).item()) == (6, 1)
    assert tf.nn.softmax(tf.cast(rank_2, tf.float32)).numpy().sum() == pytest.approx(3)
    assert (a @ a).numpy().tolist() == [[2.0, 2.0], [2.0, 2.0]]
    rank_4 = tf.zeros([3, 2, 4, 5])
    assert (rank_4.ndim, rank_4.shape[-1], tf.size(rank_4).numpy()) == (4, 5, 120)
    t = tf.constant([0, 1, 1, 2, 3, 5, 8, 13, 21, 34])
    assert t[1:-1:3].numpy().tolist() == [1, 3, 13]
    assert t[::-1].numpy()[0] == 34
    assert tf.reshape(t, (2, 5))[:, 2, tf.newaxis].numpy().tolist() == [[1], [13]]
    x, y = tf.constant([1, 2, 3]), tf.constant([[1], [2]])
    assert (x * y).numpy().tolist() == [[1, 2, 3], [2, 4, 6]]
    assert (x == 2).numpy().tolist() == [False, True, False]
    assert tf.reduce_all(x < 4)
    assert tf.add(x, 1).numpy().tolist() == [2, 3, 4]


def test_gradients_of_variables_and_constants():
    input_var = tf.Variable(initial_value=3.0)
    with tf.GradientTape() as tape:
        result = tf.square(input_var)
    assert tape.gradient(result, input_var).numpy() == 6.0

    input_const = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(input_const)
        result = tf.square(input_const)
    assert tape.gradient(result, input_const).numpy() == 6.0

    with tf.GradientTape() as tape:
        result = tf.square(input_const)
    assert tape.gradient(result, input_const) is None

    x = tf.Variable(tf.zeros((2, 2)))
    with tf.GradientTape() as tape:
        y = 2 * x + 3
    assert tape.gradient(y, x).numpy().tolist() == [[2, 2], [2, 2]]

    W = tf.Variable(tf.random.uniform((2, 2)))
    b = tf.Variable(tf.zeros((2,)))
    x = tf.random.uniform((2, 2))
    with tf.GradientTape() as tape:
        y = tf.matmul(x, W) + b
    of_w, of_b = tape.gradient(y, [W, b])
    np.testing.assert_allclose(of_w.numpy(), x.numpy().sum(0)[:, None] * [1, 1], rtol=1e-6)
    assert of_b.numpy().tolist() == [2, 2]


def test_a_falling_apple():
    time = tf.Variable(3.0)
    with tf.GradientTape() as outer_tape:
        with tf.GradientTape() as inner_tape:
            position = 4.9 * time**2
        speed = inner_tape.gradient(position, time)
    acceleration = outer_tape.gradient(speed, time)
    assert speed.numpy() == pytest.approx(29.4)
    assert acceleration.numpy() == pytest.approx(9.8)


def test_a_persistent_tape():
    x = tf.constant([1.0, 3.0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        z = y * y
    assert tape.gradient(z, x).numpy().tolist() == [4.0, 108.0]
    assert tape.gradient(y, x).numpy().tolist() == [2.0, 6.0]
    del tape


def two_clouds():
    count = 1000
    rng = np.random.default_rng(1)
    covariance = [[1, 0.5], [0.5, 1]]
    negative = rng.multivariate_normal([0, 3], covariance, count)
    positive = rng.multivariate_normal([3, 0], covariance, count)
    inputs = np.vstack((negative, positive)).astype(np.float32)
    targets = np.vstack((np.zeros((count, 1)), np.ones((count, 1)))).astype("float32")
    return inputs, targets


@pytest.mark.parametrize("compiled", [False, True])
def test_a_linear_classifier_in_forty_steps(compiled):
    inputs, targets = two_clouds()
    W = tf.Variable(initial_value=tf.random.uniform(shape=(2, 1)))
    b = tf.Variable(initial_value=tf.zeros(shape=(1,)))

    def model(inputs):
        return tf.matmul(inputs, W) + b

    def square_loss(targets, predictions):
        return tf.reduce_mean(tf.square(targets - predictions))

    learning_rate = 0.1

    def training_step(inputs, targets):
        with tf.GradientTape() as tape:
            loss = square_loss(targets, model(inputs))
        of_w, of_b = tape.gradient(loss, [W, b])
        W.assign_sub(of_w * learning_rate)
        b.assign_sub(of_b * learning_rate)
        return loss

    step = tf.function(training_step) if compiled else training_step
    losses = [float(step(inputs, targets)) for _ in range(40)]
    assert losses[0] > 0.1
    assert losses[-1] == pytest.approx(0.025, abs=0.006)
    assert ((model(inputs).numpy() > 0.5) == targets).mean() > 0.99


class NaiveDense:
    def __init__(self, input_size, output_size, activation):
        self.activation = activation
        bound = 1e-1
        self.W = tf.Variable(tf.random.uniform((input_size, output_size), minval=0, maxval=bound))
        self.b = tf.Variable(tf.zeros((output_size,)))

    def __call__(self, inputs):
        return self.activation(tf.matmul(inputs, self.W) + self.b)

    @property
    def weights(self):
        return [self.W, self.b]


class NaiveSequential:
    def __init__(self, layers):
        self.layers = layers

    def __call__(self, inputs):
        x = inputs
        for layer in self.layers:
            x = layer(x)
        return x

    @property
    def weights(self):
        return [weight for layer in self.layers for weight in layer.weights]


class BatchGenerator:
    def __init__(self, images, labels, batch_size=128):
        assert len(images) == len(labels)
        self.index = 0
        self.images = images
        self.labels = labels
        self.batch_size = batch_size
        self.num_batches = math.ceil(len(images) / batch_size)

    def next(self):
        images = self.images[self.index : self.index + self.batch_size]
        labels = self.labels[self.index : self.index + self.batch_size]
        self.index += self.batch_size
        return images, labels


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_network_without_keras(by_hand):
    (images, labels), (test_images, test_labels) = keras.datasets.digits.load_data()
    images, test_images = (x.reshape(-1, 64).astype("float32") / 16 for x in (images, test_images))
    model = NaiveSequential([NaiveDense(64, 64, tf.nn.relu), NaiveDense(64, 10, tf.nn.softmax)])
    assert len(model.weights) == 4
    optimizer = keras.optimizers.SGD(learning_rate=0.2)

    def update_weights(gradients, weights):
        if not by_hand:
            optimizer.apply_gradients(zip(gradients, weights, strict=True))
            return
        for g, w in zip(gradients, weights, strict=True):
            w.assign_sub(g * 0.2)

    def one_training_step(model, images_batch, labels_batch):
        with tf.GradientTape() as tape:
            predictions = model(images_batch)
            per_sample_losses = keras.losses.sparse_categorical_crossentropy(
                labels_batch, predictions
            )
            average_loss = tf.reduce_mean(per_sample_losses)
        gradients = tape.gradient(average_loss, model.weights)
        update_weights(gradients, model.weights)
        return average_loss

    for _ in range(12):
        batches = BatchGenerator(images, labels)
        for _ in range(batches.num_batches):
            loss = one_training_step(model, *batches.next())
    predictions = np.argmax(model(test_images).numpy(), axis=1)
    assert np.mean(predictions == test_labels) > 0.8


def test_simple_dense():
    class SimpleDense(keras.layers.Layer):
        def __init__(self, units, activation=None):
            super().__init__()
            self.units = units
            self.activation = activation

        def build(self, input_shape):
            input_dim = input_shape[-1]
            self.W = self.add_weight(shape=(input_dim, self.units), initializer="random_normal")
            self.b = self.add_weight(shape=(self.units,), initializer="zeros")

        def call(self, inputs):
            y = tf.matmul(inputs, self.W) + self.b
            if self.activation is not None:
                y = self.activation(y)
            return y

    my_dense = SimpleDense(units=32, activation=tf.nn.relu)
    assert my_dense(tf.ones(shape=(2, 784))).shape == (2, 32)
    model = keras.Sequential([SimpleDense(32, tf.nn.relu), SimpleDense(10, tf.nn.softmax)])
    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x = np.random.default_rng(0).random((64, 20)).astype("float32")
    history = model.fit(x, np.arange(64) % 10, epochs=2, verbose=0)
    assert len(history.history["loss"]) == 2


def test_a_layer_that_makes_variables_itself():
    class Linear(keras.layers.Layer):
        def __init__(self, units=32, input_dim=32):
            super().__init__()
            w_init = tf.random_normal_initializer()
            self.w = tf.Variable(
                initial_value=w_init(shape=(input_dim, units), dtype="float32"), trainable=True
            )
            b_init = tf.zeros_initializer()
            self.b = tf.Variable(
                initial_value=b_init(shape=(units,), dtype="float32"), trainable=True
            )

        def call(self, inputs):
            return tf.matmul(inputs, self.w) + self.b

    linear_layer = Linear(4, 2)
    assert linear_layer(tf.ones((2, 2))).shape == (2, 4)
    assert len(linear_layer.weights) == 2

    class ComputeSum(keras.layers.Layer):
        def __init__(self, input_dim):
            super().__init__()
            self.total = tf.Variable(initial_value=tf.zeros((input_dim,)), trainable=False)

        def call(self, inputs):
            self.total.assign_add(tf.reduce_sum(inputs, axis=0))
            return self.total

    my_sum = ComputeSum(2)
    assert my_sum(tf.ones((2, 2))).numpy().tolist() == [2, 2]
    assert my_sum(tf.ones((2, 2))).numpy().tolist() == [4, 4]
    assert (my_sum.weights, my_sum.trainable_weights) == ([my_sum.total], [])


def classifier():
    inputs = keras.Input(shape=(20,))
    features = keras.layers.Dense(16, activation="relu")(inputs)
    features = keras.layers.Dropout(0.1)(features)
    return keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(features))


def test_a_custom_training_loop_with_metrics():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(256, 20)).astype("float32")
    y = np.argmax(x[:, :4], axis=1)
    model = classifier()
    loss_fn = keras.losses.SparseCategoricalCrossentropy()
    optimizer = keras.optimizers.RMSprop(0.01)
    metrics = [keras.metrics.SparseCategoricalAccuracy()]
    loss_tracking_metric = keras.metrics.Mean()

    @tf.function
    def train_step(inputs, targets):
        with tf.GradientTape() as tape:
            predictions = model(inputs, training=True)
            loss = loss_fn(targets, predictions)
        gradients = tape.gradient(loss, model.trainable_weights)
        optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
        logs = {}
        for metric in metrics:
            metric.update_state(targets, predictions)
            logs[metric.name] = metric.result()
        loss_tracking_metric.update_state(loss)
        logs["loss"] = loss_tracking_metric.result()
        return logs

    @tf.function
    def test_step(inputs, targets):
        predictions = model(inputs, training=False)
        loss_tracking_metric.update_state(loss_fn(targets, predictions))
        return loss_tracking_metric.result()

    def reset_metrics():
        for metric in metrics:
            metric.reset_state()
        loss_tracking_metric.reset_state()

    history = []
    for _ in range(6):
        reset_metrics()
        for begin in range(0, 256, 32):
            logs = train_step(x[begin : begin + 32], y[begin : begin + 32])
        history.append(float(logs["loss"]))
    assert history[-1] < 0.8 * history[0]
    reset_metrics()
    assert float(test_step(x, y)) < history[0]


def test_fit_with_a_train_step():
    class CustomModel(keras.Model):
        def train_step(self, data):
            inputs, targets = data
            with tf.GradientTape() as tape:
                predictions = self(inputs, training=True)
                loss = loss_fn(targets, predictions)
            gradients = tape.gradient(loss, self.trainable_weights)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
            loss_tracker.update_state(loss)
            return {"loss": loss_tracker.result()}

        @property
        def metrics(self):
            return [loss_tracker]

    loss_fn = keras.losses.SparseCategoricalCrossentropy()
    loss_tracker = keras.metrics.Mean(name="loss")
    base = classifier()
    model = CustomModel(base.inputs, base.outputs)
    model.compile(optimizer=keras.optimizers.RMSprop(0.01))
    x = np.random.default_rng(2).normal(size=(256, 20)).astype("float32")
    losses = model.fit(x, np.argmax(x[:, :4], axis=1), epochs=5, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0]


def test_custom_metrics_and_callbacks():
    class RootMeanSquaredError(keras.metrics.Metric):
        def __init__(self, name="rmse", **kwargs):
            super().__init__(name=name, **kwargs)
            self.mse_sum = self.add_weight(name="mse_sum", initializer="zeros")
            self.total_samples = self.add_weight(
                name="total_samples", initializer="zeros", dtype="int32"
            )

        def update_state(self, y_true, y_pred, sample_weight=None):
            y_true = tf.one_hot(y_true, depth=tf.shape(y_pred)[1])
            mse = tf.reduce_sum(tf.square(y_true - y_pred))
            self.mse_sum.assign_add(mse)
            num_samples = tf.shape(y_pred)[0]
            self.total_samples.assign_add(num_samples)

        def result(self):
            return tf.sqrt(self.mse_sum / tf.cast(self.total_samples, tf.float32))

        def reset_state(self):
            self.mse_sum.assign(0.0)
            self.total_samples.assign(0)

    class LossHistory(keras.callbacks.Callback):
        def on_train_begin(self, logs):
            self.per_batch_losses = []

        def on_batch_end(self, batch, logs):
            self.per_batch_losses.append(logs.get("loss"))

    model = classifier()
    model.compile(
        "rmsprop", "sparse_categorical_crossentropy", ["accuracy", RootMeanSquaredError()]
    )
    x = np.random.default_rng(2).normal(size=(100, 20)).astype("float32")
    y = np.argmax(x[:, :4], axis=1)
    callback = LossHistory()
    history = model.fit(x, y, epochs=1, verbose=0, callbacks=[callback]).history
    assert len(callback.per_batch_losses) == 4
    loss, accuracy, rmse = model.evaluate(x, y, verbose=0)
    expected = np.sqrt(np.square(np.eye(4)[y] - model.predict(x, verbose=0)).sum() / 100)
    assert rmse == pytest.approx(expected, rel=1e-5)
