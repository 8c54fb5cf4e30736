"""Code of 'Deep Learning with Python' (Chollet), second and third edition, as readers type it."""

# Names that a book gives and never uses are part of its code.
# ruff: noqa: F841

import numpy as np

rng = np.random.default_rng(42)
train_images = rng.integers(0, 256, (256, 28, 28)).astype("uint8")
train_labels = rng.integers(0, 10, 256).astype("uint8")


def test_dl2nd():
    from graphc import keras
    from graphc.keras import layers

    model = keras.Sequential(
        [layers.Dense(512, activation="relu"), layers.Dense(10, activation="softmax")]
    )
    model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    x = train_images.reshape((256, 784)).astype("float32") / 255
    model.fit(x, train_labels, epochs=1, batch_size=128, verbose=0)

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
            y = keras.ops.matmul(inputs, self.W) + self.b
            if self.activation is not None:
                y = self.activation(y)
            return y

    my_dense = SimpleDense(units=32, activation=keras.ops.relu)
    out = my_dense(keras.ops.ones(shape=(2, 784)))
    assert tuple(out.shape) == (2, 32)
    model = keras.Sequential(
        [
            SimpleDense(32, activation=keras.ops.relu),
            SimpleDense(64),
            SimpleDense(10, activation=keras.ops.softmax),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.RMSprop(learning_rate=1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=[keras.metrics.SparseCategoricalAccuracy()],
    )
    indices_permutation = np.random.permutation(len(x))
    model.fit(
        x, train_labels, epochs=1, batch_size=16, validation_data=(x, train_labels), verbose=0
    )
    loss_and_metrics = model.evaluate(x, train_labels, batch_size=128)
    predictions = model.predict(x, batch_size=128)
    model = keras.Sequential()
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dense(10, activation="softmax"))
    model.build(input_shape=(None, 3))
    assert len(model.weights) == 4
    model.summary()
    model = keras.Sequential(name="my_example_model")
    model.add(layers.Dense(64, activation="relu", name="my_first_layer"))
    model.build((None, 3))
    model.summary()
    vocabulary_size, num_tags, num_departments, num_samples = 100, 10, 4, 32
    title = keras.Input(shape=(vocabulary_size,), name="title")
    text_body = keras.Input(shape=(vocabulary_size,), name="text_body")
    tags = keras.Input(shape=(num_tags,), name="tags")
    features = layers.Concatenate()([title, text_body, tags])
    features = layers.Dense(64, activation="relu")(features)
    priority = layers.Dense(1, activation="sigmoid", name="priority")(features)
    department = layers.Dense(num_departments, activation="softmax", name="department")(features)
    model = keras.Model(inputs=[title, text_body, tags], outputs=[priority, department])
    td = rng.integers(0, 2, (32, 100))
    tb = rng.integers(0, 2, (32, 100))
    tg = rng.integers(0, 2, (32, 10))
    pr = rng.random((32, 1))
    de = rng.integers(0, 2, (32, 4))
    model.compile(
        optimizer="rmsprop",
        loss=["mean_squared_error", "categorical_crossentropy"],
        metrics=[["mean_absolute_error"], ["accuracy"]],
    )
    model.fit([td, tb, tg], [pr, de], epochs=1, verbose=0)
    p, d = model.predict([td, tb, tg], verbose=0)
    model.compile(
        optimizer="rmsprop",
        loss={"priority": "mean_squared_error", "department": "categorical_crossentropy"},
        metrics={"priority": ["mean_absolute_error"], "department": ["accuracy"]},
    )
    model.fit(
        {"title": td, "text_body": tb, "tags": tg},
        {"priority": pr, "department": de},
        epochs=1,
        verbose=0,
    )
    model.evaluate(
        {"title": td, "text_body": tb, "tags": tg}, {"priority": pr, "department": de}, verbose=0
    )
    model.predict({"title": td, "text_body": tb, "tags": tg}, verbose=0)

    features = model.layers[4].output
    difficulty = layers.Dense(3, activation="softmax", name="difficulty")(features)
    new_model = keras.Model(
        inputs=[title, text_body, tags], outputs=[priority, department, difficulty]
    )
    new_model.summary()

    class CustomerTicketModel(keras.Model):
        def __init__(self, num_departments):
            super().__init__()
            self.concat_layer = layers.Concatenate()
            self.mixing_layer = layers.Dense(64, activation="relu")
            self.priority_scorer = layers.Dense(1, activation="sigmoid")
            self.department_classifier = layers.Dense(num_departments, activation="softmax")

        def call(self, inputs):
            title = inputs["title"]
            text_body = inputs["text_body"]
            tags = inputs["tags"]
            features = self.concat_layer([title, text_body, tags])
            features = self.mixing_layer(features)
            return self.priority_scorer(features), self.department_classifier(features)

    model = CustomerTicketModel(num_departments=4)
    priority, department = model({"title": td, "text_body": tb, "tags": tg})
    model.compile(
        optimizer="rmsprop",
        loss=["mean_squared_error", "categorical_crossentropy"],
        metrics=[["mean_absolute_error"], ["accuracy"]],
    )
    model.fit({"title": td, "text_body": tb, "tags": tg}, [pr, de], epochs=1, verbose=0)
    model.evaluate({"title": td, "text_body": tb, "tags": tg}, [pr, de], verbose=0)

    class Classifier(keras.Model):
        def __init__(self, num_classes=2):
            super().__init__()
            num_units, activation = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
            self.dense = layers.Dense(num_units, activation=activation)

        def call(self, inputs):
            return self.dense(inputs)

    inputs = keras.Input(shape=(3,))
    features = layers.Dense(64, activation="relu")(inputs)
    outputs = Classifier(num_classes=10)(features)
    model = keras.Model(inputs=inputs, outputs=outputs)
    inputs = keras.Input(shape=(64,))
    outputs = layers.Dense(1, activation="sigmoid")(inputs)
    binary_classifier = keras.Model(inputs=inputs, outputs=outputs)

    class MyModel(keras.Model):
        def __init__(self, num_classes=2):
            super().__init__()
            self.dense = layers.Dense(64, activation="relu")
            self.classifier = binary_classifier

        def call(self, inputs):
            return self.classifier(self.dense(inputs))

    model = MyModel()
    model(rng.random((2, 5)))

    class RootMeanSquaredError(keras.metrics.Metric):
        def __init__(self, name="rmse", **kwargs):
            super().__init__(name=name, **kwargs)
            self.mse_sum = self.add_weight(name="mse_sum", initializer="zeros")
            self.total_samples = self.add_weight(
                name="total_samples", initializer="zeros", dtype="int32"
            )

        def update_state(self, y_true, y_pred, sample_weight=None):
            y_true = keras.ops.one_hot(y_true, keras.ops.shape(y_pred)[1])
            mse = keras.ops.sum(keras.ops.square(y_true - y_pred))
            self.mse_sum.assign_add(mse)
            num_samples = keras.ops.shape(y_pred)[0]
            self.total_samples.assign_add(num_samples)

        def result(self):
            return keras.ops.sqrt(self.mse_sum / keras.ops.cast(self.total_samples, "float32"))

        def reset_state(self):
            self.mse_sum.assign(0.0)
            self.total_samples.assign(0)

    def get_mnist_model():
        inputs = keras.Input(shape=(28 * 28,))
        features = layers.Dense(512, activation="relu")(inputs)
        features = layers.Dropout(0.5)(features)
        outputs = layers.Dense(10, activation="softmax")(features)
        return keras.Model(inputs, outputs)

    model = get_mnist_model()
    model.compile(
        optimizer="rmsprop",
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy", RootMeanSquaredError()],
    )
    h = model.fit(x, train_labels, epochs=2, validation_data=(x, train_labels), verbose=0)


def test_dl2nd_vision():
    from graphc import keras
    from graphc.keras import layers

    inputs = keras.Input(shape=(28, 28, 1))
    x = layers.Rescaling(1.0 / 255)(inputs)
    x = layers.Conv2D(filters=8, kernel_size=3, activation="relu")(x)
    x = layers.MaxPooling2D(pool_size=2)(x)
    x = layers.Conv2D(filters=8, kernel_size=3, activation="relu")(x)
    x = layers.Flatten()(x)
    outputs = layers.Dense(10, activation="softmax")(x)
    model = keras.Model(inputs=inputs, outputs=outputs)
    model.summary()
    model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    callbacks = [
        keras.callbacks.ModelCheckpoint(
            filepath="convnet_from_scratch.keras", save_best_only=True, monitor="val_loss"
        )
    ]
    model.fit(
        train_images,
        train_labels,
        epochs=2,
        validation_data=(train_images, train_labels),
        callbacks=callbacks,
        verbose=0,
    )
    test_model = keras.models.load_model("convnet_from_scratch.keras")
    test_loss, test_acc = test_model.evaluate(train_images, train_labels)
    inputs = keras.Input(shape=(28, 28, 1))
    x = layers.Conv2D(8, 5, use_bias=False)(inputs)
    for size in [8, 16]:
        residual = x
        x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
        x = layers.SeparableConv2D(size, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
        x = layers.SeparableConv2D(size, 3, padding="same", use_bias=False)(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        residual = layers.Conv2D(size, 1, strides=2, padding="same", use_bias=False)(residual)
        x = layers.add([x, residual])
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.5)(x)
    outputs = layers.Dense(1, activation="sigmoid")(x)
    model = keras.Model(inputs=inputs, outputs=outputs)
    model.compile(loss="binary_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
    model.fit(train_images, train_labels % 2, verbose=0)
    inputs = keras.Input(shape=(28, 28) + (1,))
    x = layers.Conv2D(8, 3, strides=2, activation="relu", padding="same")(inputs)
    x = layers.Conv2DTranspose(8, 3, activation="relu", padding="same", strides=2)(x)
    outputs = layers.Conv2D(3, 3, activation="softmax", padding="same")(x)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy")
    model.fit(train_images[..., None], train_images % 3, verbose=0)
    layer_outputs = []
    layer_names = []
    for layer in model.layers:
        if isinstance(layer, (layers.Conv2D, layers.MaxPooling2D)):
            layer_outputs.append(layer.output)
            layer_names.append(layer.name)
    activation_model = keras.Model(inputs=model.input, outputs=layer_outputs)
    activation_model.predict(train_images[:2])
    layer = model.get_layer(name=layer_names[0])
    feature_extractor = keras.Model(inputs=model.inputs, outputs=layer.output)
    feature_extractor(train_images[:2, ..., None])


def test_dl2nd_sequences():
    from graphc import keras
    from graphc.keras import layers

    inputs = keras.Input(shape=(10, 14))
    x = layers.Flatten()(inputs)
    x = layers.Dense(16, activation="relu")(x)
    outputs = layers.Dense(1)(x)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer="rmsprop", loss="mse", metrics=["mae"])
    X = rng.random((64, 10, 14))
    y = rng.random(64)
    h = model.fit(
        X,
        y,
        validation_data=(X, y),
        epochs=1,
        callbacks=[keras.callbacks.ModelCheckpoint("jena_dense.keras", save_best_only=True)],
        verbose=0,
    )
    h.history["mae"]
    h.history["val_mae"]
    for lay in (
        lambda x: layers.LSTM(16)(x),
        lambda x: layers.LSTM(16, recurrent_dropout=0.25)(x),
        lambda x: layers.GRU(8, recurrent_dropout=0.5)(
            layers.GRU(8, recurrent_dropout=0.5, return_sequences=True)(x)
        ),
        lambda x: layers.Bidirectional(layers.LSTM(16))(x),
        lambda x: layers.GlobalAveragePooling1D()(layers.Conv1D(8, 4, activation="relu")(x)),
    ):
        outputs = layers.Dense(1)(layers.Dropout(0.5)(lay(inputs)))
        model = keras.Model(inputs, outputs)
        model.compile(optimizer="rmsprop", loss="mse", metrics=["mae"])
        model.fit(X, y, epochs=1, verbose=0)
    inputs = keras.Input(shape=(None, 14))
    inputs = keras.Input(shape=(None,), dtype="int64")
    embedded = layers.Embedding(input_dim=1000, output_dim=16, mask_zero=True)(inputs)
    x = layers.Bidirectional(layers.LSTM(8))(embedded)
    x = layers.Dropout(0.5)(x)
    outputs = layers.Dense(1, activation="sigmoid")(x)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])
    model.summary()
    model.fit(rng.integers(0, 1000, (40, 15)), rng.integers(0, 2, 40), verbose=0)
    one = keras.ops.one_hot(np.array([[1, 2]]), 5)
