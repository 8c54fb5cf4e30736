"""Code of 'Hands-On Machine Learning' (Géron), chapters 14 to 17, as readers type it in."""

# Names that a book gives and never uses are part of its code.
# ruff: noqa: F841

from functools import partial

import numpy as np

from graphc import keras

K = keras.backend
ops = keras.ops
rng = np.random.default_rng(42)
X_train = rng.normal(size=(320, 8)).astype("float32")
y_train = X_train[:, :1]
IMG = rng.random((96, 28, 28, 1)).astype("float32")
LAB = rng.integers(0, 10, 96)


def test_cnn():
    DefaultConv2D = partial(keras.layers.Conv2D, kernel_size=3, activation="relu", padding="SAME")
    model = keras.models.Sequential(
        [
            DefaultConv2D(filters=8, kernel_size=7, input_shape=[28, 28, 1]),
            keras.layers.MaxPooling2D(pool_size=2),
            DefaultConv2D(filters=16),
            DefaultConv2D(filters=16),
            keras.layers.MaxPooling2D(pool_size=2),
            DefaultConv2D(filters=16),
            keras.layers.MaxPooling2D(pool_size=2),
            keras.layers.Flatten(),
            keras.layers.Dense(units=12, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(units=10, activation="softmax"),
        ]
    )
    model.compile(loss="sparse_categorical_crossentropy", optimizer="nadam", metrics=["accuracy"])
    h = model.fit(IMG, LAB, epochs=1, validation_data=(IMG, LAB))
    score = model.evaluate(IMG, LAB)
    model.predict(IMG[:10])
    model.summary()
    DefaultConv2D = partial(
        keras.layers.Conv2D, kernel_size=3, strides=1, padding="SAME", use_bias=False
    )

    class ResidualUnit(keras.layers.Layer):
        def __init__(self, filters, strides=1, activation="relu", **kwargs):
            super().__init__(**kwargs)
            self.activation = keras.activations.get(activation)
            self.main_layers = [
                DefaultConv2D(filters, strides=strides),
                keras.layers.BatchNormalization(),
                self.activation,
                DefaultConv2D(filters),
                keras.layers.BatchNormalization(),
            ]
            self.skip_layers = []
            if strides > 1:
                self.skip_layers = [
                    DefaultConv2D(filters, kernel_size=1, strides=strides),
                    keras.layers.BatchNormalization(),
                ]

        def call(self, inputs):
            Z = inputs
            for layer in self.main_layers:
                Z = layer(Z)
            skip_Z = inputs
            for layer in self.skip_layers:
                skip_Z = layer(skip_Z)
            return self.activation(Z + skip_Z)

    model = keras.models.Sequential()
    model.add(DefaultConv2D(8, kernel_size=7, strides=2, input_shape=[28, 28, 1]))
    model.add(keras.layers.BatchNormalization())
    model.add(keras.layers.Activation("relu"))
    model.add(keras.layers.MaxPool2D(pool_size=3, strides=2, padding="SAME"))
    prev_filters = 8
    for filters in [8] * 2 + [16] * 2:
        strides = 1 if filters == prev_filters else 2
        model.add(ResidualUnit(filters, strides=strides))
        prev_filters = filters
    model.add(keras.layers.GlobalAvgPool2D())
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.summary()
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    model.fit(IMG, LAB, epochs=1, verbose=0)
    depth_pool = keras.layers.Lambda(lambda X: ops.max(X, axis=-1, keepdims=True))
    keras.layers.SeparableConv2D(4, 3)(IMG[:1])
    keras.layers.DepthwiseConv2D(3)(IMG[:1])
    keras.layers.Conv2DTranspose(4, 3, strides=2)(IMG[:1])
    keras.layers.UpSampling2D()(IMG[:1])


def test_rnn_series():
    def generate_time_series(batch_size, n_steps):
        freq1, freq2, offsets1, offsets2 = np.random.rand(4, batch_size, 1)
        time = np.linspace(0, 1, n_steps)
        series = 0.5 * np.sin((time - offsets1) * (freq1 * 10 + 10))
        series += 0.2 * np.sin((time - offsets2) * (freq2 * 20 + 20))
        series += 0.1 * (np.random.rand(batch_size, n_steps) - 0.5)
        return series[..., np.newaxis].astype(np.float32)

    series = generate_time_series(128, 51)
    X, y = series[:, :50], series[:, -1]
    y_pred = X[:, -1]
    for layers in (
        [keras.layers.SimpleRNN(1, input_shape=[None, 1])],
        [keras.layers.Flatten(input_shape=[50, 1]), keras.layers.Dense(1)],
        [
            keras.layers.SimpleRNN(20, return_sequences=True, input_shape=[None, 1]),
            keras.layers.SimpleRNN(20),
            keras.layers.Dense(1),
        ],
        [
            keras.layers.LSTM(20, return_sequences=True, input_shape=[None, 1]),
            keras.layers.LSTM(20),
            keras.layers.Dense(1),
        ],
        [
            keras.layers.GRU(20, return_sequences=True, input_shape=[None, 1]),
            keras.layers.GRU(20),
            keras.layers.Dense(1),
        ],
    ):
        model = keras.models.Sequential(layers)
        model.compile(loss="mse", optimizer="adam")
        model.fit(X, y, epochs=1, validation_data=(X, y), verbose=0)
        model.evaluate(X, y, verbose=0)
    Y = np.empty((128, 50, 10), np.float32)
    Y[:] = np.random.rand(128, 50, 10)

    def last_time_step_mse(Y_true, Y_pred):
        return keras.metrics.mean_squared_error(Y_true[:, -1], Y_pred[:, -1])

    model = keras.models.Sequential(
        [
            keras.layers.SimpleRNN(20, return_sequences=True, input_shape=[None, 1]),
            keras.layers.SimpleRNN(20, return_sequences=True),
            keras.layers.TimeDistributed(keras.layers.Dense(10)),
        ]
    )
    model.compile(
        loss="mse", optimizer=keras.optimizers.Adam(lr=0.01), metrics=[last_time_step_mse]
    )
    h = model.fit(X, Y, epochs=1, verbose=0)

    model = keras.models.Sequential(
        [
            keras.layers.Conv1D(
                filters=20, kernel_size=4, strides=2, padding="valid", input_shape=[None, 1]
            ),
            keras.layers.GRU(20, return_sequences=True),
            keras.layers.GRU(20, return_sequences=True),
            keras.layers.TimeDistributed(keras.layers.Dense(10)),
        ]
    )
    model.compile(loss="mse", optimizer="adam", metrics=[last_time_step_mse])
    model.fit(X, Y[:, 3::2], epochs=1, validation_data=(X, Y[:, 3::2]), verbose=0)
    model = keras.models.Sequential()
    model.add(keras.layers.InputLayer(input_shape=[None, 1]))
    for rate in (1, 2, 4, 8) * 2:
        model.add(
            keras.layers.Conv1D(
                filters=20, kernel_size=2, padding="causal", activation="relu", dilation_rate=rate
            )
        )
    model.add(keras.layers.Conv1D(filters=10, kernel_size=1))
    model.compile(loss="mse", optimizer="adam", metrics=[last_time_step_mse])
    model.fit(X, Y, epochs=1, verbose=0)

    class LNSimpleRNNCell(keras.layers.Layer):
        def __init__(self, units, activation="tanh", **kwargs):
            super().__init__(**kwargs)
            self.state_size = units
            self.output_size = units
            self.simple_rnn_cell = keras.layers.SimpleRNNCell(units, activation=None)
            self.layer_norm = keras.layers.LayerNormalization()
            self.activation = keras.activations.get(activation)

        def get_initial_state(self, inputs=None, batch_size=None, dtype=None):
            return [ops.zeros([batch_size, self.state_size], dtype=dtype)]

        def call(self, inputs, states):
            outputs, new_states = self.simple_rnn_cell(inputs, states)
            norm_outputs = self.activation(self.layer_norm(outputs))
            return norm_outputs, [norm_outputs]

    model = keras.models.Sequential(
        [
            keras.layers.RNN(LNSimpleRNNCell(20), return_sequences=True, input_shape=[None, 1]),
            keras.layers.RNN(LNSimpleRNNCell(20), return_sequences=True),
            keras.layers.TimeDistributed(keras.layers.Dense(10)),
        ]
    )
    model.compile(loss="mse", optimizer="adam", metrics=[last_time_step_mse])
    model.fit(X, Y, epochs=1, verbose=0)


def test_nlp():
    Xi = rng.integers(0, 1000, (64, 12))
    yb = rng.integers(0, 2, 64)
    model = keras.models.Sequential(
        [
            keras.layers.Embedding(1000, 16, mask_zero=True, input_shape=[None]),
            keras.layers.GRU(16, return_sequences=True),
            keras.layers.GRU(16),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
    h = model.fit(Xi, yb, epochs=2, verbose=0)
    inputs = keras.layers.Input(shape=[None])
    mask = keras.layers.Lambda(lambda inputs: ops.not_equal(inputs, 0))(inputs)
    z = keras.layers.Embedding(1000, 16)(inputs)
    z = keras.layers.GRU(16, return_sequences=True)(z, mask=mask)
    z = keras.layers.GRU(16)(z, mask=mask)
    outputs = keras.layers.Dense(1, activation="sigmoid")(z)
    model = keras.models.Model(inputs=[inputs], outputs=[outputs])
    model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
    model.fit(Xi, yb, epochs=1, verbose=0)
    # char-rnn
    max_id = 39
    oh = np.eye(max_id, dtype="float32")[rng.integers(0, max_id, (32, 20))]
    tgt = rng.integers(0, max_id, (32, 20))
    model = keras.models.Sequential(
        [
            keras.layers.GRU(16, return_sequences=True, input_shape=[None, max_id], dropout=0.2),
            keras.layers.GRU(16, return_sequences=True, dropout=0.2),
            keras.layers.TimeDistributed(keras.layers.Dense(max_id, activation="softmax")),
        ]
    )
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
    model.fit(oh, tgt, epochs=1, verbose=0)
    model.predict(oh[:1])
    # stateful
    model = keras.models.Sequential(
        [
            keras.layers.GRU(
                16, return_sequences=True, stateful=True, batch_input_shape=[1, None, max_id]
            ),
            keras.layers.GRU(16, return_sequences=True, stateful=True),
            keras.layers.TimeDistributed(keras.layers.Dense(max_id, activation="softmax")),
        ]
    )

    class ResetStatesCallback(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs):
            self.model.reset_states()

    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
    model.fit(
        oh[:4],
        tgt[:4],
        batch_size=1,
        shuffle=False,
        epochs=2,
        callbacks=[ResetStatesCallback()],
        verbose=0,
    )
    # encoder-decoder
    encoder_inputs = keras.layers.Input(shape=[None], dtype="int32")
    decoder_inputs = keras.layers.Input(shape=[None], dtype=np.int32)
    embeddings = keras.layers.Embedding(100, 8)
    e = embeddings(encoder_inputs)
    d = embeddings(decoder_inputs)
    encoder = keras.layers.LSTM(16, return_state=True)
    encoder_outputs, state_h, state_c = encoder(e)
    encoder_state = [state_h, state_c]
    do = keras.layers.LSTM(16, return_sequences=True)(d, initial_state=encoder_state)
    Y_proba = keras.layers.Dense(100, activation="softmax")(do)
    model = keras.models.Model(inputs=[encoder_inputs, decoder_inputs], outputs=[Y_proba])
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
    a = rng.integers(0, 100, (20, 7))
    b = rng.integers(0, 100, (20, 5))
    model.fit([a, b], b, epochs=1, verbose=0)
    keras.models.Sequential(
        [
            keras.layers.GRU(10, return_sequences=True, input_shape=[None, 10]),
            keras.layers.Bidirectional(keras.layers.GRU(10, return_sequences=True)),
        ]
    ).summary()


def test_autoencoders():
    encoder = keras.models.Sequential(
        [keras.layers.Flatten(input_shape=[28, 28]), keras.layers.Dense(30, activation="selu")]
    )
    decoder = keras.models.Sequential(
        [
            keras.layers.Dense(28 * 28, activation="sigmoid", input_shape=[30]),
            keras.layers.Reshape([28, 28]),
        ]
    )
    ae = keras.models.Sequential([encoder, decoder])

    def rounded_accuracy(y_true, y_pred):
        return keras.metrics.binary_accuracy(ops.round(y_true), ops.round(y_pred))

    ae.compile(
        loss="binary_crossentropy",
        optimizer=keras.optimizers.SGD(lr=1.5),
        metrics=[rounded_accuracy],
    )
    X = IMG[..., 0]
    ae.fit(X, X, epochs=1, validation_data=(X, X), verbose=0)
    ae.summary()
    encoder.predict(X[:2])

    class DenseTranspose(keras.layers.Layer):
        def __init__(self, dense, activation=None, **kwargs):
            self.dense = dense
            self.activation = keras.activations.get(activation)
            super().__init__(**kwargs)

        def build(self, batch_input_shape):
            self.biases = self.add_weight(
                name="bias", shape=[self.dense.input_shape[-1]], initializer="zeros"
            )
            super().build(batch_input_shape)

        def call(self, inputs):
            return self.activation(
                ops.matmul(inputs, ops.transpose(self.dense.kernel)) + self.biases
            )

    d1 = keras.layers.Dense(10, activation="selu")
    tied_e = keras.models.Sequential([keras.layers.Flatten(input_shape=[28, 28]), d1])
    tied_d = keras.models.Sequential(
        [DenseTranspose(d1, activation="sigmoid"), keras.layers.Reshape([28, 28])]
    )
    tied = keras.models.Sequential([tied_e, tied_d])
    tied.compile(loss="binary_crossentropy", optimizer="sgd")
    tied.fit(X, X, verbose=0)

    class Sampling(keras.layers.Layer):
        def call(self, inputs):
            mean, log_var = inputs
            return keras.random.normal(ops.shape(log_var)) * ops.exp(log_var / 2) + mean

    inputs = keras.layers.Input(shape=[28, 28])
    z = keras.layers.Flatten()(inputs)
    z = keras.layers.Dense(20, activation="selu")(z)
    cm = keras.layers.Dense(5)(z)
    cl = keras.layers.Dense(5)(z)
    codings = Sampling()([cm, cl])
    ve = keras.models.Model(inputs=[inputs], outputs=[cm, cl, codings])
    di = keras.layers.Input(shape=[5])
    x = keras.layers.Dense(784, activation="sigmoid")(di)
    vd = keras.models.Model(inputs=[di], outputs=[keras.layers.Reshape([28, 28])(x)])
    _, _, c = ve(inputs)
    rec = vd(c)
    vae = keras.models.Model(inputs=[inputs], outputs=[rec])
    vae.compile(loss="binary_crossentropy", optimizer="rmsprop")
    vae.fit(X, X, epochs=1, batch_size=32, verbose=0)
