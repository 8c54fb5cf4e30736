"""Code of 'Hands-On Machine Learning' (Géron), chapter 12, with TensorFlow's names."""

# Names that a book gives and never uses are part of its code.
# ruff: noqa: F841

import numpy as np
import pytest

import graphc as tf
from graphc import keras

rng = np.random.default_rng(42)
X_train = rng.normal(size=(320, 8)).astype("float32")
y_train = X_train[:, :1] * 0.5 + 1
K = keras.backend


@pytest.fixture(autouse=True)
def seeded():
    tf.random.set_seed(42)


def test_tensors_and_operations():
    t = tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert t.shape == (2, 3)
    assert t.dtype == tf.float32
    assert t[:, 1:].numpy().tolist() == [[2, 3], [5, 6]]
    assert t[..., 1, tf.newaxis].numpy().tolist() == [[2], [5]]
    assert (t + 10).numpy().tolist() == [[11, 12, 13], [14, 15, 16]]
    assert tf.square(t).numpy().tolist() == [[1, 4, 9], [16, 25, 36]]
    assert (t @ tf.transpose(t)).numpy().tolist() == [[14, 32], [32, 77]]
    assert tf.constant(42).shape == ()

    a = np.array([2.0, 4.0, 5.0])
    assert tf.constant(a).dtype == tf.float64
    assert np.array(t).tolist() == t.numpy().tolist()
    assert tf.square(a).numpy().tolist() == [4, 16, 25]
    assert np.square(t).tolist() == [[1, 4, 9], [16, 25, 36]]
    t2 = tf.constant(40.0, dtype=tf.float64)
    assert (tf.constant(2.0) + tf.cast(t2, tf.float32)).numpy() == 42

    v = tf.Variable([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    v.assign(2 * v)
    v[0, 1].assign(42)
    v[:, 2].assign([0.0, 1.0])
    assert v.numpy().tolist() == [[2, 42, 0], [8, 10, 1]]
    with pytest.raises(TypeError):
        v[1] = [7.0, 8.0, 9.0]


def huber_fn(y_true, y_pred):
    error = y_true - y_pred
    is_small_error = tf.abs(error) < 1
    squared_loss = tf.square(error) / 2
    linear_loss = tf.abs(error) - 0.5
    return tf.where(is_small_error, squared_loss, linear_loss)


def create_huber(threshold=1.0):
    def huber_fn(y_true, y_pred):
        error = y_true - y_pred
        is_small_error = tf.abs(error) < threshold
        squared_loss = tf.square(error) / 2
        linear_loss = threshold * tf.abs(error) - threshold**2 / 2
        return tf.where(is_small_error, squared_loss, linear_loss)

    return huber_fn


def test_custom_losses_activations_initializers_regularizers_and_constraints():
    def my_softplus(z):
        return tf.math.log(1.0 + tf.exp(z))

    def my_glorot_initializer(shape, dtype=tf.float32):
        stddev = tf.sqrt(2.0 / (shape[0] + shape[1]))
        return tf.random.normal(shape, stddev=stddev, dtype=dtype)

    def my_l1_regularizer(weights):
        return tf.reduce_sum(tf.abs(0.01 * weights))

    def my_positive_weights(weights):
        return tf.where(weights < 0.0, tf.zeros_like(weights), weights)

    layer = keras.layers.Dense(
        1,
        activation=my_softplus,
        kernel_initializer=my_glorot_initializer,
        kernel_regularizer=my_l1_regularizer,
        kernel_constraint=my_positive_weights,
    )
    model = keras.Sequential([keras.layers.Dense(30, activation="relu", input_shape=[8]), layer])
    model.compile(loss=huber_fn, optimizer="nadam", metrics=["mae", create_huber(2.0)])
    history = model.fit(X_train, y_train, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert layer.kernel.numpy().min() >= 0


def test_streaming_metric():
    class HuberMetric(keras.metrics.Metric):
        def __init__(self, threshold=1.0, **kwargs):
            super().__init__(**kwargs)
            self.threshold = threshold
            self.huber_fn = create_huber(threshold)
            self.total = self.add_weight("total", initializer="zeros")
            self.count = self.add_weight("count", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            sample_metrics = self.huber_fn(y_true, y_pred)
            self.total.assign_add(tf.reduce_sum(sample_metrics))
            self.count.assign_add(tf.cast(tf.size(y_true), tf.float32))

        def result(self):
            return self.total / self.count

        def get_config(self):
            return {**super().get_config(), "threshold": self.threshold}

    m = HuberMetric(2.0)
    assert m(tf.constant([[2.0]]), tf.constant([[10.0]])).numpy() == 14
    assert m(tf.constant([[0.0], [5.0]]), tf.constant([[1.0], [9.25]])).numpy() == 7
    assert m.result().numpy() == 7
    assert [v.numpy() for v in m.variables] == [21, 3]
    m.reset_states()
    assert [v.numpy() for v in m.variables] == [0, 0]
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=[m])
    assert "huber_metric" in model.fit(X_train, y_train, verbose=0).history


def test_layers():
    class MyDense(keras.layers.Layer):
        def __init__(self, units, activation=None, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.activation = keras.activations.get(activation)

        def build(self, batch_input_shape):
            self.kernel = self.add_weight(
                name="kernel",
                shape=[batch_input_shape[-1], self.units],
                initializer="glorot_normal",
            )
            self.bias = self.add_weight(name="bias", shape=[self.units], initializer="zeros")
            super().build(batch_input_shape)

        def call(self, X):
            return self.activation(X @ self.kernel + self.bias)

        def compute_output_shape(self, batch_input_shape):
            return tf.TensorShape([*batch_input_shape[:-1], self.units])

    class MyGaussianNoise(keras.layers.Layer):
        def __init__(self, stddev, **kwargs):
            super().__init__(**kwargs)
            self.stddev = stddev

        def call(self, X, training=False):
            if training:
                noise = tf.random.normal(tf.shape(X), stddev=self.stddev)
                return X + noise
            return X

    model = keras.Sequential([MyGaussianNoise(1.0), MyDense(30, "relu"), MyDense(1)])
    model.compile("nadam", "mse")
    losses = model.fit(X_train, y_train, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert MyGaussianNoise(1.0)(X_train).numpy() == pytest.approx(X_train)


class ResidualBlock(keras.layers.Layer):
    def __init__(self, n_layers, n_neurons, **kwargs):
        super().__init__(**kwargs)
        self.hidden = [
            keras.layers.Dense(n_neurons, activation="relu", kernel_initializer="he_normal")
            for _ in range(n_layers)
        ]

    def call(self, inputs):
        Z = inputs
        for layer in self.hidden:
            Z = layer(Z)
        return inputs + Z


class ResidualRegressor(keras.Model):
    def __init__(self, output_dim, **kwargs):
        super().__init__(**kwargs)
        self.hidden1 = keras.layers.Dense(30, activation="relu", kernel_initializer="he_normal")
        self.block1 = ResidualBlock(2, 30)
        self.block2 = ResidualBlock(2, 30)
        self.out = keras.layers.Dense(output_dim)

    def call(self, inputs):
        Z = self.hidden1(inputs)
        for _ in range(1 + 3):
            Z = self.block1(Z)
        Z = self.block2(Z)
        return self.out(Z)


def test_models_and_losses_from_inside():
    class ReconstructingRegressor(keras.Model):
        def __init__(self, output_dim, **kwargs):
            super().__init__(**kwargs)
            self.hidden = [keras.layers.Dense(30, activation="relu") for _ in range(3)]
            self.out = keras.layers.Dense(output_dim)
            self.reconstruct = keras.layers.Dense(8)
            self.reconstruction_mean = keras.metrics.Mean(name="reconstruction_error")

        def call(self, inputs, training=False):
            Z = inputs
            for layer in self.hidden:
                Z = layer(Z)
            reconstruction = self.reconstruct(Z)
            recon_loss = tf.reduce_mean(tf.square(reconstruction - inputs))
            self.add_loss(0.05 * recon_loss)
            if training:
                self.reconstruction_mean.update_state(recon_loss)
            return self.out(Z)

    for model in (ReconstructingRegressor(1), ResidualRegressor(1)):
        model.compile(loss="mse", optimizer="nadam")
        history = model.fit(X_train, y_train, epochs=3, verbose=0).history
        assert history["loss"][-1] < history["loss"][0]
    assert len(model.weights) == 12


def f(w1, w2):
    return 3 * w1**2 + 2 * w1 * w2


def test_autodiff():
    w1, w2 = 5, 3
    eps = 1e-6
    assert (f(w1 + eps, w2) - f(w1, w2)) / eps == pytest.approx(36, abs=1e-4)

    w1, w2 = tf.Variable(5.0), tf.Variable(3.0)
    with tf.GradientTape() as tape:
        z = f(w1, w2)
    gradients = tape.gradient(z, [w1, w2])
    assert [g.numpy() for g in gradients] == [36, 10]
    with pytest.raises(RuntimeError):
        tape.gradient(z, w1)

    with tf.GradientTape(persistent=True) as tape:
        z = f(w1, w2)
    assert (tape.gradient(z, w1).numpy(), tape.gradient(z, w2).numpy()) == (36, 10)
    del tape

    c1, c2 = tf.constant(5.0), tf.constant(3.0)
    with tf.GradientTape() as tape:
        z = f(c1, c2)
    assert tape.gradient(z, [c1, c2]) == [None, None]
    with tf.GradientTape() as tape:
        tape.watch(c1)
        tape.watch(c2)
        z = f(c1, c2)
    assert [g.numpy() for g in tape.gradient(z, [c1, c2])] == [36, 10]

    with tf.GradientTape() as tape:
        z1 = f(w1, w2 + 2.0)
        z2 = f(w1, w2 + 5.0)
        z3 = f(w1, w2 + 7.0)
    assert [g.numpy() for g in tape.gradient([z1, z2, z3], [w1, w2])] == [136, 30]

    with tf.GradientTape(persistent=True) as hessian_tape:
        with tf.GradientTape() as jacobian_tape:
            z = f(w1, w2)
        jacobians = jacobian_tape.gradient(z, [w1, w2])
    hessians = [hessian_tape.gradient(jacobian, [w1, w2]) for jacobian in jacobians]
    assert hessians[0][0].numpy() == 6
    assert hessians[0][1].numpy() == hessians[1][0].numpy() == 2
    assert hessians[1][1] is None

    def stopped(w1, w2):
        return 3 * w1**2 + tf.stop_gradient(2 * w1 * w2)

    with tf.GradientTape() as tape:
        z = stopped(w1, w2)
    assert z.numpy() == f(5, 3)
    first, second = tape.gradient(z, [w1, w2])
    assert first.numpy() == 30
    assert second is None


def test_a_better_softplus():
    x = tf.Variable([100.0])

    def my_softplus(z):
        return tf.math.log(tf.exp(z) + 1.0)

    with tf.GradientTape() as tape:
        z = my_softplus(x)
    assert np.isnan(tape.gradient(z, [x])[0].numpy()).all()

    @tf.custom_gradient
    def my_better_softplus(z):
        exp = tf.exp(z)

        def my_softplus_gradients(grad):
            return grad / (1 + 1 / exp)

        return tf.math.log(exp + 1), my_softplus_gradients

    def steady_softplus(z):
        return tf.where(z > 30.0, z, my_better_softplus(z))

    x = tf.Variable([[1000.0, 1.0]])
    with tf.GradientTape() as tape:
        z = steady_softplus(x)
    assert z.numpy()[0] == pytest.approx([1000, np.log1p(np.e)])
    assert tape.gradient(z, x).numpy()[0] == pytest.approx([1, 1 / (1 + np.exp(-1))])


def test_a_custom_training_loop():
    l2_reg = keras.regularizers.l2(0.05)
    model = keras.models.Sequential(
        [
            keras.layers.Dense(
                30, activation="relu", kernel_initializer="he_normal", kernel_regularizer=l2_reg
            ),
            keras.layers.Dense(1, kernel_regularizer=l2_reg),
        ]
    )

    def random_batch(X, y, batch_size=32):
        idx = np.random.randint(len(X), size=batch_size)
        return X[idx], y[idx]

    def print_status_bar(step, total, loss, metrics=None):
        metrics = " - ".join([f"{m.name}: {m.result():.4f}" for m in [loss, *(metrics or [])]])
        end = "" if step < total else "\n"
        lines.append(f"\r{step}/{total} - " + metrics + end)

    lines = []
    np.random.seed(42)
    n_epochs, batch_size = 3, 32
    n_steps = len(X_train) // batch_size
    optimizer = keras.optimizers.Nadam(learning_rate=0.01)
    loss_fn = keras.losses.MeanSquaredError()
    mean_loss = keras.metrics.Mean(name="mean_loss")
    metrics = [keras.metrics.MeanAbsoluteError()]
    means = []
    for _epoch in range(1, n_epochs + 1):
        for step in range(1, n_steps + 1):
            X_batch, y_batch = random_batch(X_train, y_train)
            with tf.GradientTape() as tape:
                y_pred = model(X_batch, training=True)
                main_loss = tf.reduce_mean(loss_fn(y_batch, y_pred))
                loss = tf.add_n([main_loss, *model.losses])
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            for variable in model.variables:
                if variable.constraint is not None:
                    variable.assign(variable.constraint(variable))
            mean_loss(loss)
            for metric in metrics:
                metric(y_batch, y_pred)
            print_status_bar(step, n_steps, mean_loss, metrics)
        means.append(float(mean_loss.result()))
        for metric in [mean_loss, *metrics]:
            metric.reset_states()
    assert means[-1] < means[0]
    assert lines[0].startswith("\r1/10 - mean_loss: ")
    assert "mean_absolute_error: " in lines[0]


def test_functions_and_graphs():
    traced = []

    @tf.function
    def tf_cube(x):
        traced.append(x)
        return x**3

    assert tf_cube(2) == 8
    assert tf_cube(tf.constant(2.0)).numpy() == 8
    assert tf_cube.python_function(2) == 8
    count = len(traced)
    tf_cube(tf.constant(3.0))
    assert len(traced) == count  # the same kind of argument: not traced again
    concrete_function = tf_cube.get_concrete_function(tf.constant(2.0))
    assert concrete_function(tf.constant(2.0)).numpy() == 8

    @tf.function(input_signature=[tf.TensorSpec([None, 28, 28], tf.float32)])
    def shrink(images):
        return images[:, ::2, ::2]

    assert shrink(tf.random.uniform(shape=[100, 28, 28])).shape == (100, 14, 14)
    assert shrink(tf.random.uniform(shape=[50, 28, 28])).shape == (50, 14, 14)
    with pytest.raises(ValueError, match="shape"):
        shrink(tf.random.uniform(shape=[2, 2, 2]))


def test_loops_and_branches_in_functions():
    @tf.function
    def add_10(x):
        condition = lambda i, x: tf.less(i, 10)  # noqa: E731
        body = lambda i, x: (tf.add(i, 1), tf.add(x, 1))  # noqa: E731
        final_i, final_x = tf.while_loop(condition, body, [tf.constant(0), x])
        return final_x

    assert add_10(tf.constant(5)).numpy() == 15

    @tf.function
    def unrolled(x):
        for _ in range(10):
            x += 1
        return x

    assert unrolled(tf.constant(0)).numpy() == 10

    @tf.function
    def relu(x):
        return tf.cond(x > 0, lambda: x, lambda: tf.zeros_like(x))

    assert relu(tf.constant(-2.0)).numpy() == 0

    @tf.function
    def with_if(x):
        return x if x > 0 else -x

    with pytest.raises(TypeError, match=r"test_geron_training\.py:\d+.*cond"):
        with_if(tf.constant(-2.0))


def test_variables_in_functions():
    counter = tf.Variable(0)

    @tf.function
    def increment(counter, c=1):
        return counter.assign_add(c)

    increment(counter)
    increment(counter)
    assert counter.numpy() == 2

    class Counter:
        def __init__(self):
            self.counter = tf.Variable(0)

        @tf.function
        def increment(self, c=1):
            return self.counter.assign_add(c)

    c = Counter()
    c.increment()
    assert c.increment(c=5).numpy() == 6


def test_my_sgd():
    class MyMomentumOptimizer(keras.optimizers.Optimizer):
        def __init__(self, learning_rate=0.001, momentum=0.9, name="MyMomentumOptimizer", **kwargs):
            super().__init__(learning_rate=learning_rate, name=name, **kwargs)
            self.momentum = momentum

        def build(self, variables):
            super().build(variables)
            self.momentums = [self.add_variable_from_reference(v, "momentum") for v in variables]

        def update_step(self, gradient, variable, learning_rate):
            momentum = self.momentums[self._get_variable_index(variable)]
            momentum.assign(momentum * self.momentum - learning_rate * gradient)
            variable.assign_add(momentum)

    ours, theirs = [], []
    for optimizer, losses in (
        (MyMomentumOptimizer(0.01, 0.9), ours),
        (keras.optimizers.SGD(0.01, momentum=0.9), theirs),
    ):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.layers.Dense(1, input_shape=[8])])
        model.compile(loss="mse", optimizer=optimizer)
        losses += model.fit(X_train, y_train, epochs=3, shuffle=False, verbose=0).history["loss"]
    assert ours == pytest.approx(theirs, rel=1e-5)
