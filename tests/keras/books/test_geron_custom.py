"""Code of 'Hands-On Machine Learning' (Géron), chapter 12, as readers type it in."""

# Names that a book gives and never uses are part of its code.
# ruff: noqa: F841

import numpy as np

from graphc import keras

K = keras.backend
ops = keras.ops
rng = np.random.default_rng(42)
X_train = rng.normal(size=(320, 8)).astype("float32")
y_train = X_train[:, :1]
IMG = rng.random((96, 28, 28, 1)).astype("float32")
LAB = rng.integers(0, 10, 96)


def test_custom_loss_function():
    def huber_fn(y_true, y_pred):
        error = y_true - y_pred
        is_small_error = ops.abs(error) < 1
        squared_loss = ops.square(error) / 2
        linear_loss = ops.abs(error) - 0.5
        return ops.where(is_small_error, squared_loss, linear_loss)

    model = keras.models.Sequential(
        [
            keras.layers.Dense(
                30,
                activation="selu",
                kernel_initializer="lecun_normal",
                input_shape=X_train.shape[1:],
            ),
            keras.layers.Dense(1),
        ]
    )
    model.compile(loss=huber_fn, optimizer="nadam", metrics=["mae"])
    model.fit(X_train, y_train, epochs=2, verbose=0)
    model.save("m.h5")
    model = keras.models.load_model("m.h5", custom_objects={"huber_fn": huber_fn})
    model.fit(X_train, y_train, epochs=1, verbose=0)

    def create_huber(threshold=1.0):
        def huber_fn(y_true, y_pred):
            error = y_true - y_pred
            is_small_error = ops.abs(error) < threshold
            return ops.where(
                is_small_error, ops.square(error) / 2, threshold * ops.abs(error) - threshold**2 / 2
            )

        return huber_fn

    model.compile(loss=create_huber(2.0), optimizer="nadam", metrics=[create_huber(2.0)])
    h = model.fit(X_train, y_train, epochs=1, verbose=0)
    assert "huber_fn" in h.history, h.history

    class HuberLoss(keras.losses.Loss):
        def __init__(self, threshold=1.0, **kwargs):
            self.threshold = threshold
            super().__init__(**kwargs)

        def call(self, y_true, y_pred):
            error = y_true - y_pred
            is_small_error = ops.abs(error) < self.threshold
            squared_loss = ops.square(error) / 2
            linear_loss = self.threshold * ops.abs(error) - self.threshold**2 / 2
            return ops.where(is_small_error, squared_loss, linear_loss)

        def get_config(self):
            base_config = super().get_config()
            return {**base_config, "threshold": self.threshold}

    model.compile(loss=HuberLoss(2.0), optimizer="nadam", metrics=["mae"])
    model.fit(X_train, y_train, epochs=1, verbose=0)
    for f in ("h.h5", "h.keras"):
        model.save(f)
        model = keras.models.load_model(f, custom_objects={"HuberLoss": HuberLoss})
        assert model.loss.threshold == 2.0
        model.fit(X_train, y_train, epochs=1, verbose=0)


def test_custom_functions():
    def my_softplus(z):
        return ops.log(ops.exp(z) + 1.0)

    def my_glorot_initializer(shape, dtype="float32"):
        stddev = np.sqrt(2.0 / (shape[0] + shape[1]))
        return keras.random.normal(shape, stddev=stddev, dtype=dtype)

    def my_l1_regularizer(weights):
        return ops.sum(ops.abs(0.01 * weights))

    def my_positive_weights(weights):
        return ops.where(weights < 0.0, ops.zeros_like(weights), weights)

    layer = keras.layers.Dense(
        1,
        activation=my_softplus,
        kernel_initializer=my_glorot_initializer,
        kernel_regularizer=my_l1_regularizer,
        kernel_constraint=my_positive_weights,
    )
    model = keras.models.Sequential(
        [keras.layers.Dense(30, activation="selu", input_shape=[8]), layer]
    )
    model.compile(loss="mse", optimizer="nadam", metrics=["mae"])
    model.fit(X_train, y_train, epochs=2, verbose=0)
    assert model.layers[1].get_weights()[0].min() >= 0
    model.save("f.h5")
    model.save("f.keras")
    co = {
        "my_l1_regularizer": my_l1_regularizer,
        "my_positive_weights": my_positive_weights,
        "my_glorot_initializer": my_glorot_initializer,
        "my_softplus": my_softplus,
    }
    for f in ("f.h5", "f.keras"):
        m2 = keras.models.load_model(f, custom_objects=co)
        np.testing.assert_array_equal(
            m2.predict(X_train, verbose=0), model.predict(X_train, verbose=0)
        )

    class MyL1Regularizer(keras.regularizers.Regularizer):
        def __init__(self, factor):
            self.factor = factor

        def __call__(self, weights):
            return ops.sum(ops.abs(self.factor * weights))

        def get_config(self):
            return {"factor": self.factor}

    model = keras.models.Sequential(
        [
            keras.layers.Dense(30, input_shape=[8], kernel_regularizer=MyL1Regularizer(0.01)),
            keras.layers.Dense(1),
        ]
    )
    model.compile(loss="mse", optimizer="nadam")
    model.fit(X_train, y_train, verbose=0)
    model.save("r.keras")
    keras.models.load_model("r.keras", custom_objects={"MyL1Regularizer": MyL1Regularizer})


def test_custom_metrics():
    precision = keras.metrics.Precision()
    precision([0, 1, 1, 1, 0, 1, 0, 1], [1, 1, 0, 1, 0, 1, 0, 1])
    assert abs(float(precision.result()) - 0.8) < 1e-6
    precision([0, 1, 0, 0, 1, 0, 1, 1], [1, 0, 1, 1, 0, 0, 0, 0])
    assert abs(float(precision.result()) - 0.5) < 1e-6
    precision.reset_states()

    def create_huber(threshold):
        return lambda y, p: ops.where(
            ops.abs(y - p) < threshold,
            (y - p) ** 2 / 2,
            threshold * ops.abs(y - p) - threshold**2 / 2,
        )

    class HuberMetric(keras.metrics.Metric):
        def __init__(self, threshold=1.0, **kwargs):
            super().__init__(**kwargs)
            self.threshold = threshold
            self.huber_fn = create_huber(threshold)
            self.total = self.add_weight("total", initializer="zeros")
            self.count = self.add_weight("count", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            metric = self.huber_fn(y_true, y_pred)
            self.total.assign_add(ops.sum(metric))
            self.count.assign_add(ops.cast(ops.size(y_true), "float32"))

        def result(self):
            return self.total / self.count

        def get_config(self):
            return {**super().get_config(), "threshold": self.threshold}

    m = HuberMetric(2.0)

    m(np.array([[0.0], [5.0]]), np.array([[1.0], [9.25]]))
    m.reset_state()
    model = keras.models.Sequential(
        [keras.layers.Dense(30, activation="selu", input_shape=[8]), keras.layers.Dense(1)]
    )
    model.compile(
        loss="mse", optimizer="nadam", metrics=[HuberMetric(2.0)], weighted_metrics=["mse"]
    )
    h = model.fit(X_train, y_train, epochs=2, sample_weight=np.ones(320), verbose=0)
    model.save("cm.keras")
    m2 = keras.models.load_model("cm.keras", custom_objects={"HuberMetric": HuberMetric})

    class HuberMetric(keras.metrics.Mean):
        def __init__(self, threshold=1.0, name="HuberMetric", dtype=None):
            self.threshold = threshold
            self.huber_fn = create_huber(threshold)
            super().__init__(name=name, dtype=dtype)

        def update_state(self, y_true, y_pred, sample_weight=None):
            metric = self.huber_fn(y_true, y_pred)
            super().update_state(metric, sample_weight)

    model.compile(loss="mse", optimizer="nadam", metrics=[HuberMetric(2.0)])
    h = model.fit(X_train, y_train, epochs=2, verbose=0)
    assert "HuberMetric" in h.history


def test_custom_layers():
    exponential_layer = keras.layers.Lambda(lambda x: ops.exp(x))
    assert np.allclose(exponential_layer(np.array([-1.0, 0.0, 1.0])), np.exp([-1.0, 0.0, 1.0]))

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
            return tuple(list(batch_input_shape)[:-1] + [self.units])

        def get_config(self):
            base_config = super().get_config()
            return {
                **base_config,
                "units": self.units,
                "activation": keras.activations.serialize(self.activation),
            }

    model = keras.models.Sequential([MyDense(30, activation="relu", input_shape=[8]), MyDense(1)])
    model.compile(loss="mse", optimizer="nadam")
    model.fit(X_train, y_train, epochs=2, verbose=0)
    model.save("my.h5")
    model.save("my.keras")
    for f in ("my.h5", "my.keras"):
        m2 = keras.models.load_model(f, custom_objects={"MyDense": MyDense})
        np.testing.assert_array_equal(m2.predict(X_train), model.predict(X_train))

    class MyMultiLayer(keras.layers.Layer):
        def call(self, X):
            X1, X2 = X
            return X1 + X2, X1 * X2

        def compute_output_shape(self, s):
            b1, b2 = s
            return [b1, b2]

    inputs1 = keras.layers.Input(shape=[2])
    inputs2 = keras.layers.Input(shape=[2])
    outputs1, outputs2 = MyMultiLayer()((inputs1, inputs2))

    class AddGaussianNoise(keras.layers.Layer):
        def __init__(self, stddev, **kwargs):
            super().__init__(**kwargs)
            self.stddev = stddev

        def call(self, X, training=None):
            if training:
                noise = keras.random.normal(ops.shape(X), stddev=self.stddev)
                return X + noise
            return X

        def compute_output_shape(self, s):
            return s

    model = keras.Sequential(
        [
            AddGaussianNoise(stddev=1.0),
            keras.layers.Dense(30, activation="selu"),
            keras.layers.Dense(1),
        ]
    )
    model.compile(loss="mse", optimizer="nadam")
    model.fit(X_train, y_train, epochs=1, verbose=0)
    model.predict(X_train)


def test_residual_model():
    class ResidualBlock(keras.layers.Layer):
        def __init__(self, n_layers, n_neurons, **kwargs):
            super().__init__(**kwargs)
            self.hidden = [
                keras.layers.Dense(n_neurons, activation="elu", kernel_initializer="he_normal")
                for _ in range(n_layers)
            ]

        def call(self, inputs):
            Z = inputs
            for layer in self.hidden:
                Z = layer(Z)
            return inputs + Z

    class ResidualRegressor(keras.models.Model):
        def __init__(self, output_dim, **kwargs):
            super().__init__(**kwargs)
            self.hidden1 = keras.layers.Dense(30, activation="elu", kernel_initializer="he_normal")
            self.block1 = ResidualBlock(2, 30)
            self.block2 = ResidualBlock(2, 30)
            self.out = keras.layers.Dense(output_dim)

        def call(self, inputs):
            Z = self.hidden1(inputs)
            for _ in range(1 + 3):
                Z = self.block1(Z)
            Z = self.block2(Z)
            return self.out(Z)

    model = ResidualRegressor(1)
    model.compile(loss="mse", optimizer="nadam")
    model.fit(X_train, y_train, epochs=2, verbose=0)
    assert len(model.get_weights()) == 12
    model.save("res.keras")
    model.summary()
    m2 = keras.models.load_model(
        "res.keras",
        custom_objects={"ResidualRegressor": ResidualRegressor, "ResidualBlock": ResidualBlock},
    )
    np.testing.assert_array_equal(m2.predict(X_train), model.predict(X_train))
    block1 = ResidualBlock(2, 30)
    model = keras.models.Sequential(
        [keras.layers.Dense(30, activation="elu"), block1, block1, keras.layers.Dense(1)]
    )
    model.compile(loss="mse", optimizer="nadam")
    model.fit(X_train, y_train, verbose=0)


def test_reconstructing():
    class ReconstructingRegressor(keras.Model):
        def __init__(self, output_dim, **kwargs):
            super().__init__(**kwargs)
            self.hidden = [
                keras.layers.Dense(30, activation="selu", kernel_initializer="lecun_normal")
                for _ in range(5)
            ]
            self.out = keras.layers.Dense(output_dim)
            self.reconstruction_mean = keras.metrics.Mean(name="reconstruction_error")

        def build(self, batch_input_shape):
            n_inputs = batch_input_shape[-1]
            self.reconstruct = keras.layers.Dense(n_inputs)

        def call(self, inputs, training=None):
            Z = inputs
            for layer in self.hidden:
                Z = layer(Z)
            reconstruction = self.reconstruct(Z)
            recon_loss = ops.mean(ops.square(reconstruction - inputs))
            self.add_loss(0.05 * recon_loss)
            if training:
                result = self.reconstruction_mean(recon_loss)
            return self.out(Z)

    model = ReconstructingRegressor(1)
    model.compile(loss="mse", optimizer="nadam")
    h = model.fit(X_train, y_train, epochs=2)
    assert "reconstruction_error" in h.history
    model.predict(X_train)


def test_autodiff_k():
    model = keras.models.Sequential(
        [
            keras.layers.Dense(30, activation="elu", input_shape=[8]),
            keras.layers.Dense(1, kernel_regularizer=keras.regularizers.l2(0.05)),
        ]
    )
    loss_fn = keras.losses.MeanSquaredError()
    mean_loss = keras.metrics.Mean()
    metrics = [keras.metrics.MeanAbsoluteError()]
    y_pred = model(X_train[:32])
    loss = loss_fn(y_train[:32], y_pred)
    mean_loss(loss)
    for m in metrics:
        m(y_train[:32], y_pred)
