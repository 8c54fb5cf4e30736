"""Code of 'Hands-On Machine Learning' (Géron), chapters 10 and 11, as readers type it in."""

# Names that a book gives and never uses are part of its code.
# ruff: noqa: F841

from functools import partial

import numpy as np

from graphc import keras

rng = np.random.default_rng(42)
X_train = rng.normal(size=(320, 8)).astype("float32")
y_train = X_train[:, 0]
X_valid, y_valid = X_train[:64], y_train[:64]
X_test, y_test = X_train[:96], y_train[:96]
X_new = X_test[:3]
IMG = rng.random((320, 28, 28))
LAB = rng.integers(0, 10, 320).astype("uint8")


def test_sequential_classifier():
    model = keras.models.Sequential()
    model.add(keras.layers.Flatten(input_shape=[28, 28]))
    model.add(keras.layers.Dense(300, activation="relu"))
    model.add(keras.layers.Dense(100, activation="relu"))
    model.add(keras.layers.Dense(10, activation="softmax"))
    assert len(model.layers) == 4
    hidden1 = model.layers[1]
    assert hidden1.name == "dense", hidden1.name
    assert model.get_layer(hidden1.name) is hidden1
    weights, biases = hidden1.get_weights()
    assert weights.shape == (784, 300) and biases.shape == (300,)
    model.compile(loss="sparse_categorical_crossentropy", optimizer="sgd", metrics=["accuracy"])
    history = model.fit(IMG, LAB, epochs=2, validation_data=(IMG[:50], LAB[:50]), verbose=0)
    assert history.params["epochs"] == 2
    assert history.epoch == [0, 1]
    assert sorted(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    model.evaluate(IMG, LAB)
    y_proba = model.predict(IMG[:3])
    y_proba.round(2)
    y_pred = model.predict_classes(IMG[:3])
    assert (np.argmax(y_proba, axis=-1) == y_pred).all()
    model.summary()


def test_third_edition():
    keras.backend.clear_session()
    keras.utils.set_random_seed(42)
    model = keras.Sequential()
    model.add(keras.layers.InputLayer(shape=[28, 28]))
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(300, activation="relu"))
    model.add(keras.layers.Dense(10, activation="softmax"))
    assert model.layers[1].name == "dense"
    keras.backend.clear_session()
    model = keras.Sequential(
        [
            keras.layers.InputLayer(input_shape=[28, 28]),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        loss=keras.losses.sparse_categorical_crossentropy,
        optimizer=keras.optimizers.SGD(),
        metrics=[keras.metrics.sparse_categorical_accuracy],
    )
    h = model.fit(IMG, LAB, epochs=1, verbose=0)
    assert "sparse_categorical_accuracy" in h.history


def test_regression_mlp_norm():
    norm_layer = keras.layers.Normalization(input_shape=X_train.shape[1:])
    model = keras.Sequential(
        [norm_layer, keras.layers.Dense(50, activation="relu"), keras.layers.Dense(1)]
    )
    optimizer = keras.optimizers.Adam(learning_rate=1e-3)
    model.compile(loss="mse", optimizer=optimizer, metrics=["RootMeanSquaredError"])
    norm_layer.adapt(X_train)
    h = model.fit(X_train, y_train, epochs=2, validation_data=(X_valid, y_valid), verbose=0)
    mse_test, rmse_test = model.evaluate(X_test, y_test, verbose=0)
    assert "RootMeanSquaredError" in h.history, h.history
    model.predict(X_new)


def test_wide_deep_2nd():
    input_ = keras.layers.Input(shape=X_train.shape[1:])
    hidden1 = keras.layers.Dense(30, activation="relu")(input_)
    hidden2 = keras.layers.Dense(30, activation="relu")(hidden1)
    concat = keras.layers.concatenate([input_, hidden2])
    output = keras.layers.Dense(1)(concat)
    model = keras.models.Model(inputs=[input_], outputs=[output])
    model.summary()
    model.compile(loss="mean_squared_error", optimizer=keras.optimizers.SGD(lr=1e-3))
    model.fit(X_train, y_train, epochs=1, validation_data=(X_valid, y_valid))
    model.evaluate(X_test, y_test)
    model.predict(X_new)


def test_wide_deep_concat_layer_3rd():
    normalization_layer = keras.layers.Normalization()
    hidden_layer1 = keras.layers.Dense(30, activation="relu")
    concat_layer = keras.layers.Concatenate()
    output_layer = keras.layers.Dense(1)
    input_ = keras.layers.Input(shape=X_train.shape[1:])
    normalized = normalization_layer(input_)
    hidden1 = hidden_layer1(normalized)
    concat = concat_layer([normalized, hidden1])
    output = output_layer(concat)
    model = keras.Model(inputs=[input_], outputs=[output])
    model.compile(loss="mse", optimizer="adam", metrics=["RootMeanSquaredError"])
    normalization_layer.adapt(X_train)
    model.fit(X_train, y_train, epochs=1, verbose=0)


def test_two_inputs_outputs():
    input_A = keras.layers.Input(shape=[5], name="wide_input")
    input_B = keras.layers.Input(shape=[6], name="deep_input")
    hidden1 = keras.layers.Dense(30, activation="relu")(input_B)
    hidden2 = keras.layers.Dense(30, activation="relu")(hidden1)
    concat = keras.layers.concatenate([input_A, hidden2])
    output = keras.layers.Dense(1, name="main_output")(concat)
    aux_output = keras.layers.Dense(1, name="aux_output")(hidden2)
    model = keras.models.Model(inputs=[input_A, input_B], outputs=[output, aux_output])
    model.compile(
        loss=["mse", "mse"], loss_weights=[0.9, 0.1], optimizer=keras.optimizers.SGD(lr=1e-3)
    )
    A, B = X_train[:, :5], X_train[:, 2:]
    history = model.fit(
        [A, B],
        [y_train, y_train],
        epochs=2,
        validation_data=([A[:50], B[:50]], [y_valid[:50], y_valid[:50]]),
    )
    total_loss, main_loss, aux_loss = model.evaluate([A, B], [y_train, y_train])
    y_pred_main, y_pred_aux = model.predict([A[:3], B[:3]])
    model = keras.models.Model(inputs=[input_A, input_B], outputs=[output, aux_output])
    model.compile(
        loss=("mse", "mse"),
        loss_weights=(0.9, 0.1),
        optimizer="adam",
        metrics=["RootMeanSquaredError", "RootMeanSquaredError"],
    )
    h = model.fit(
        (A, B),
        (y_train, y_train),
        epochs=1,
        validation_data=((A, B), (y_train, y_train)),
        verbose=0,
    )
    w = model.evaluate((A, B), (y_train, y_train), verbose=0)

    weighted_sum_of_losses, main_loss, aux_loss, main_rmse, aux_rmse = w
    d = model.evaluate((A, B), (y_train, y_train), return_dict=True, verbose=0)
    model.compile(
        loss={"main_output": "mse", "aux_output": "mse"},
        loss_weights={"main_output": 0.9, "aux_output": 0.1},
        optimizer="adam",
    )
    model.fit(
        {"wide_input": A, "deep_input": B},
        {"main_output": y_train, "aux_output": y_train},
        verbose=0,
    )


def test_subclass_wide_deep():
    class WideAndDeepModel(keras.models.Model):
        def __init__(self, units=30, activation="relu", **kwargs):
            super().__init__(**kwargs)
            self.hidden1 = keras.layers.Dense(units, activation=activation)
            self.hidden2 = keras.layers.Dense(units, activation=activation)
            self.main_output = keras.layers.Dense(1)
            self.aux_output = keras.layers.Dense(1)

        def call(self, inputs):
            input_A, input_B = inputs
            hidden1 = self.hidden1(input_B)
            hidden2 = self.hidden2(hidden1)
            concat = keras.layers.concatenate([input_A, hidden2])
            main_output = self.main_output(concat)
            aux_output = self.aux_output(hidden2)
            return main_output, aux_output

    model = WideAndDeepModel(30, activation="relu")
    model.compile(loss="mse", loss_weights=[0.9, 0.1], optimizer=keras.optimizers.SGD(lr=1e-3))
    A, B = X_train[:, :5], X_train[:, 2:]
    model.fit(
        (A, B),
        (y_train, y_train),
        epochs=2,
        validation_data=((A, B), (y_train, y_train)),
        verbose=0,
    )
    total_loss, main_loss, aux_loss = model.evaluate((A, B), (y_train, y_train), verbose=0)
    y_pred_main, y_pred_aux = model.predict((A[:3], B[:3]))
    model.save_weights("my_keras_weights.weights.h5")
    model.load_weights("my_keras_weights.weights.h5")
    model.summary()


def test_saving_and_callbacks():
    keras.backend.clear_session()
    model = keras.models.Sequential(
        [
            keras.layers.Dense(30, activation="relu", input_shape=[8]),
            keras.layers.Dense(30, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    model.compile(loss="mse", optimizer=keras.optimizers.SGD(lr=1e-3))
    model.fit(X_train, y_train, epochs=1, validation_data=(X_valid, y_valid), verbose=0)
    model.save("my_keras_model.h5")
    model = keras.models.load_model("my_keras_model.h5")
    model.predict(X_new)
    model.save_weights("my_keras_weights.ckpt") if False else model.save_weights("w.weights.h5")
    checkpoint_cb = keras.callbacks.ModelCheckpoint("my_keras_model.h5", save_best_only=True)
    model.fit(
        X_train, y_train, epochs=2, validation_data=(X_valid, y_valid), callbacks=[checkpoint_cb]
    )
    model = keras.models.load_model("my_keras_model.h5")
    model.evaluate(X_test, y_test)
    early_stopping_cb = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    history = model.fit(
        X_train,
        y_train,
        epochs=6,
        validation_data=(X_valid, y_valid),
        callbacks=[checkpoint_cb, early_stopping_cb],
        verbose=0,
    )

    class ValTrainRatioCallback(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            ratios.append(logs["val_loss"] / logs["loss"])

    ratios = []
    model.fit(
        X_train,
        y_train,
        epochs=1,
        validation_data=(X_valid, y_valid),
        callbacks=[ValTrainRatioCallback()],
    )


def test_initializers_activations():
    [name for name in dir(keras.initializers) if not name.startswith("_")]
    keras.layers.Dense(10, activation="relu", kernel_initializer="he_normal")
    init = keras.initializers.VarianceScaling(scale=2.0, mode="fan_avg", distribution="uniform")
    keras.layers.Dense(10, activation="relu", kernel_initializer=init)
    [m for m in dir(keras.activations) if not m.startswith("_")]
    [m for m in dir(keras.layers) if "relu" in m.lower()]
    model = keras.models.Sequential(
        [
            keras.layers.Flatten(input_shape=[28, 28]),
            keras.layers.Dense(30, kernel_initializer="he_normal"),
            keras.layers.LeakyReLU(),
            keras.layers.Dense(10, kernel_initializer="he_normal"),
            keras.layers.LeakyReLU(alpha=0.2),
            keras.layers.Dense(10, kernel_initializer="he_normal"),
            keras.layers.PReLU(),
            keras.layers.Dense(10, activation="elu"),
            keras.layers.Dense(10, activation="selu", kernel_initializer="lecun_normal"),
            keras.layers.Dense(10, activation=keras.layers.LeakyReLU(alpha=0.2)),
            keras.layers.Dense(10, activation="swish"),
            keras.layers.Dense(10, activation="leaky_relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        loss="sparse_categorical_crossentropy",
        optimizer=keras.optimizers.SGD(lr=1e-3),
        metrics=["accuracy"],
    )
    model.fit(IMG, LAB, epochs=1, validation_data=(IMG[:50], LAB[:50]))


def test_batchnorm():
    model = keras.models.Sequential(
        [
            keras.layers.Flatten(input_shape=[28, 28]),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(30, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(10, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.summary()
    bn1 = model.layers[1]

    assert [v.trainable for v in bn1.variables] == [True, True, False, False]
    model.compile(loss="sparse_categorical_crossentropy", optimizer="sgd", metrics=["accuracy"])
    model.fit(IMG, LAB, epochs=1, validation_data=(IMG[:50], LAB[:50]), verbose=0)
    model = keras.models.Sequential(
        [
            keras.layers.Flatten(input_shape=[28, 28]),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(30, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(loss="sparse_categorical_crossentropy", optimizer="sgd", metrics=["accuracy"])
    model.fit(IMG, LAB, epochs=1, verbose=0)


def test_clip():
    keras.optimizers.SGD(clipvalue=1.0)
    keras.optimizers.SGD(clipnorm=1.0)
    keras.optimizers.SGD(learning_rate=0.01, momentum=0.9, nesterov=True)
    keras.optimizers.RMSprop(lr=0.001, rho=0.9)
    keras.optimizers.Adam(lr=0.001, beta_1=0.9, beta_2=0.999)
    keras.optimizers.SGD(lr=0.01, decay=1e-4)


def test_transfer():
    model_A = keras.models.Sequential([keras.layers.Flatten(input_shape=[28, 28])])
    for n_hidden in (30, 20):
        model_A.add(keras.layers.Dense(n_hidden, activation="selu"))
    model_A.add(keras.layers.Dense(8, activation="softmax"))
    model_A.compile(
        loss="sparse_categorical_crossentropy",
        optimizer=keras.optimizers.SGD(lr=1e-3),
        metrics=["accuracy"],
    )
    model_A.fit(IMG, LAB % 8, epochs=1, verbose=0)
    model_A.save("my_model_A.h5")
    model_A = keras.models.load_model("my_model_A.h5")
    model_B_on_A = keras.models.Sequential(model_A.layers[:-1])
    model_B_on_A.add(keras.layers.Dense(1, activation="sigmoid"))
    model_A_clone = keras.models.clone_model(model_A)
    model_A_clone.set_weights(model_A.get_weights())
    np.testing.assert_array_equal(model_A_clone.predict(IMG[:5]), model_A.predict(IMG[:5]))
    for layer in model_B_on_A.layers[:-1]:
        layer.trainable = False
    model_B_on_A.compile(loss="binary_crossentropy", optimizer="sgd", metrics=["accuracy"])
    before = model_A.layers[1].get_weights()[0]
    history = model_B_on_A.fit(IMG, LAB % 2, epochs=1, verbose=0)
    np.testing.assert_array_equal(before, model_A.layers[1].get_weights()[0])
    for layer in model_B_on_A.layers[:-1]:
        layer.trainable = True
    model_B_on_A.compile(
        loss="binary_crossentropy", optimizer=keras.optimizers.SGD(lr=1e-4), metrics=["accuracy"]
    )
    history = model_B_on_A.fit(IMG, LAB % 2, epochs=1, verbose=0)
    assert (before != model_A.layers[1].get_weights()[0]).any()


def test_schedules():
    def build(opt="sgd"):
        m = keras.models.Sequential([keras.layers.Dense(3, input_shape=[8]), keras.layers.Dense(1)])
        m.compile(loss="mse", optimizer=opt)
        return m

    def exponential_decay(lr0, s):
        def exponential_decay_fn(epoch):
            return lr0 * 0.1 ** (epoch / s)

        return exponential_decay_fn

    m = build()
    h = m.fit(
        X_train,
        y_train,
        epochs=3,
        callbacks=[keras.callbacks.LearningRateScheduler(exponential_decay(0.01, 20))],
        verbose=0,
    )

    def exponential_decay_fn(epoch, lr):
        return lr * 0.1 ** (1 / 20)

    m.fit(
        X_train,
        y_train,
        epochs=3,
        callbacks=[keras.callbacks.LearningRateScheduler(exponential_decay_fn)],
        verbose=0,
    )
    K = keras.backend

    class ExponentialDecay(keras.callbacks.Callback):
        def __init__(self, s=40000):
            super().__init__()
            self.s = s

        def on_batch_begin(self, batch, logs=None):
            lr = K.get_value(self.model.optimizer.lr)
            K.set_value(self.model.optimizer.lr, lr * 0.1 ** (1 / s))

        def on_epoch_end(self, epoch, logs=None):
            logs = logs or {}
            logs["lr"] = K.get_value(self.model.optimizer.lr)

    s = 20 * len(X_train) // 32
    h = m.fit(X_train, y_train, epochs=2, callbacks=[ExponentialDecay(s)], verbose=0)
    assert "lr" in h.history, h.history
    lr_scheduler = keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=5)
    h = m.fit(X_train, y_train, epochs=2, validation_split=0.1, callbacks=[lr_scheduler], verbose=0)
    learning_rate = keras.optimizers.schedules.ExponentialDecay(0.01, s, 0.1)
    m = build(keras.optimizers.SGD(learning_rate))
    m.fit(X_train, y_train, epochs=1, verbose=0)
    learning_rate = keras.optimizers.schedules.PiecewiseConstantDecay(
        boundaries=[5.0 * 10, 15.0 * 10], values=[0.01, 0.005, 0.001]
    )
    m = build(keras.optimizers.SGD(learning_rate))
    m.fit(X_train, y_train, epochs=1, verbose=0)

    class ExponentialLearningRate(keras.callbacks.Callback):
        def __init__(self, factor):
            self.factor = factor
            self.rates = []
            self.losses = []

        def on_batch_end(self, batch, logs):
            self.rates.append(K.get_value(self.model.optimizer.learning_rate))
            self.losses.append(logs["loss"])
            K.set_value(
                self.model.optimizer.learning_rate, self.model.optimizer.learning_rate * self.factor
            )

    def find_learning_rate(model, X, y, epochs=1, batch_size=32, min_rate=10**-5, max_rate=10):
        init_weights = model.get_weights()
        iterations = len(X) // batch_size * epochs
        factor = np.exp(np.log(max_rate / min_rate) / iterations)
        init_lr = K.get_value(model.optimizer.learning_rate)
        K.set_value(model.optimizer.learning_rate, min_rate)
        exp_lr = ExponentialLearningRate(factor)
        history = model.fit(
            X, y, epochs=epochs, batch_size=batch_size, callbacks=[exp_lr], verbose=0
        )
        K.set_value(model.optimizer.learning_rate, init_lr)
        model.set_weights(init_weights)
        return exp_lr.rates, exp_lr.losses

    m = build()
    r, _ = find_learning_rate(m, X_train, y_train)
    assert len(r) == 10

    class OneCycleScheduler(keras.callbacks.Callback):
        def __init__(self, iterations, max_rate):
            self.iteration = 0
            self.max_rate = max_rate

        def on_batch_begin(self, batch, logs):
            self.iteration += 1
            K.set_value(self.model.optimizer.lr, self.max_rate / self.iteration)

    m.fit(X_train, y_train, epochs=1, callbacks=[OneCycleScheduler(10, 0.05)], verbose=0)
    assert abs(float(K.get_value(m.optimizer.lr)) - 0.005) < 1e-8


def test_regularization():
    layer = keras.layers.Dense(
        100,
        activation="elu",
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.l2(0.01),
    )
    keras.regularizers.l1(0.1)
    keras.regularizers.l1_l2(0.1, 0.01)
    RegularizedDense = partial(
        keras.layers.Dense,
        activation="elu",
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.l2(0.01),
    )
    model = keras.models.Sequential(
        [
            keras.layers.Flatten(input_shape=[28, 28]),
            RegularizedDense(30),
            keras.layers.Dropout(rate=0.2),
            keras.layers.AlphaDropout(rate=0.2),
            keras.layers.Dense(10, activation="selu", kernel_initializer="lecun_normal"),
            RegularizedDense(10, activation="softmax"),
        ]
    )
    model.compile(loss="sparse_categorical_crossentropy", optimizer="nadam", metrics=["accuracy"])
    model.fit(IMG, LAB, epochs=1, validation_data=(IMG[:40], LAB[:40]), verbose=0)
    y_probas = np.stack([model(IMG[:40], training=True) for sample in range(5)])
    y_proba = y_probas.mean(axis=0)
    y_std = y_probas.std(axis=0)
    assert y_std.max() > 0

    class MCDropout(keras.layers.Dropout):
        def call(self, inputs, training=None):
            return super().call(inputs, training=True)

    class MCAlphaDropout(keras.layers.AlphaDropout):
        def call(self, inputs):
            return super().call(inputs, training=True)

    mc_model = keras.models.Sequential(
        [
            MCAlphaDropout(layer.rate)
            if isinstance(layer, keras.layers.AlphaDropout)
            else MCDropout(layer.rate)
            if isinstance(layer, keras.layers.Dropout)
            else layer
            for layer in model.layers
        ]
    )
    mc_model.compile(loss="sparse_categorical_crossentropy", optimizer="sgd", metrics=["accuracy"])
    mc_model.set_weights(model.get_weights())
    assert np.std([mc_model.predict(IMG[:1], verbose=0) for _ in range(5)], axis=0).max() > 0
    layer = keras.layers.Dense(
        100, activation="selu", kernel_constraint=keras.constraints.max_norm(1.0)
    )
    MaxNormDense = partial(
        keras.layers.Dense,
        activation="selu",
        kernel_initializer="lecun_normal",
        kernel_constraint=keras.constraints.max_norm(1.0),
    )
    model = keras.models.Sequential(
        [
            keras.layers.Flatten(input_shape=[28, 28]),
            MaxNormDense(30),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(loss="sparse_categorical_crossentropy", optimizer="nadam", metrics=["accuracy"])
    model.fit(IMG, LAB, epochs=1, verbose=0)
    assert np.linalg.norm(model.layers[1].get_weights()[0], axis=0).max() < 1.0001
