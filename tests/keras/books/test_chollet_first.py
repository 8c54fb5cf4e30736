"""Code of 'Deep Learning with Python' (Chollet), first edition, as readers type it in."""

# Names that a book gives and never uses are part of its code.
# ruff: noqa: F841

import numpy as np

rng = np.random.default_rng(42)
train_images = rng.integers(0, 256, (256, 28, 28)).astype("uint8")
train_labels = rng.integers(0, 10, 256).astype("uint8")


def test_mnist_1st():
    from graphc.keras import layers, models
    from graphc.keras.utils import to_categorical

    network = models.Sequential()
    network.add(layers.Dense(512, activation="relu", input_shape=(28 * 28,)))
    network.add(layers.Dense(10, activation="softmax"))
    network.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
    x = train_images.reshape((256, 28 * 28)).astype("float32") / 255
    y = to_categorical(train_labels)
    network.fit(x, y, epochs=2, batch_size=128)
    test_loss, test_acc = network.evaluate(x, y)


def test_imdb_1st():
    from graphc.keras import layers, losses, metrics, models, optimizers, regularizers

    def vectorize_sequences(sequences, dimension=1000):
        results = np.zeros((len(sequences), dimension))
        for i, sequence in enumerate(sequences):
            results[i, sequence] = 1.0
        return results

    x_train = vectorize_sequences(
        [list(rng.integers(0, 1000, rng.integers(5, 50))) for _ in range(200)]
    )
    y_train = rng.integers(0, 2, 200).astype("float32")
    model = models.Sequential()
    model.add(layers.Dense(16, activation="relu", input_shape=(1000,)))
    model.add(layers.Dense(16, activation="relu"))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile(
        optimizer=optimizers.RMSprop(lr=0.001), loss="binary_crossentropy", metrics=["accuracy"]
    )
    model.compile(
        optimizer=optimizers.RMSprop(lr=0.001),
        loss=losses.binary_crossentropy,
        metrics=[metrics.binary_accuracy],
    )
    history = model.fit(
        x_train, y_train, epochs=2, batch_size=128, verbose=0, validation_data=(x_train, y_train)
    )
    assert sorted(history.history) == ["binary_accuracy", "loss", "val_binary_accuracy", "val_loss"]
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["acc"])
    history = model.fit(
        x_train, y_train, epochs=2, batch_size=512, validation_data=(x_train, y_train), verbose=0
    )
    history_dict = history.history
    acc = history.history["acc"]
    val_acc = history.history["val_acc"]
    model.predict(x_train)
    model = models.Sequential()
    model.add(
        layers.Dense(
            16, kernel_regularizer=regularizers.l2(0.001), activation="relu", input_shape=(1000,)
        )
    )
    model.add(layers.Dropout(0.5))
    model.add(layers.Dense(1, activation="sigmoid"))
    regularizers.l1(0.001)
    regularizers.l1_l2(l1=0.001, l2=0.001)
    model.compile("rmsprop", "binary_crossentropy", ["acc"])
    model.fit(x_train, y_train, 32, 1, 0)


def test_reuters_1st():
    from graphc.keras import layers, models
    from graphc.keras.utils.np_utils import to_categorical

    x = rng.random((100, 500))
    y = to_categorical(rng.integers(0, 46, 100), 46)
    model = models.Sequential(
        [
            layers.Dense(64, activation="relu", input_shape=(500,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(46, activation="softmax"),
        ]
    )
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=1, batch_size=512, verbose=0)
    predictions = model.predict(x)
    assert abs(np.sum(predictions[0]) - 1) < 1e-5
    model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["acc"])
    model.fit(x, y.argmax(1), verbose=0)


def test_boston_1st():
    from graphc.keras import layers, models

    x = rng.random((40, 13))
    y = rng.random(40)

    def build_model():
        model = models.Sequential()
        model.add(layers.Dense(64, activation="relu", input_shape=(x.shape[1],)))
        model.add(layers.Dense(64, activation="relu"))
        model.add(layers.Dense(1))
        model.compile(optimizer="rmsprop", loss="mse", metrics=["mae"])
        return model

    model = build_model()
    history = model.fit(x, y, validation_data=(x, y), epochs=2, batch_size=1, verbose=0)
    val_mse, val_mae = model.evaluate(x, y, verbose=0)
    assert "val_mean_absolute_error" in history.history or "val_mae" in history.history


def test_convnets_1st():
    from graphc.keras import layers, models, optimizers

    model = models.Sequential()
    model.add(layers.Conv2D(8, (3, 3), activation="relu", input_shape=(28, 28, 1)))
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Conv2D(8, (3, 3), activation="relu"))
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Conv2D(8, (3, 3), activation="relu"))
    model.add(layers.Flatten())
    model.add(layers.Dense(8, activation="relu"))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(
        optimizer=optimizers.RMSprop(lr=1e-4),
        loss="sparse_categorical_crossentropy",
        metrics=["acc"],
    )

    def generator():
        while True:
            i = rng.integers(0, 256, 20)
            yield train_images[i][..., None] / 255.0, train_labels[i]

    history = model.fit_generator(
        generator(),
        steps_per_epoch=4,
        epochs=2,
        validation_data=generator(),
        validation_steps=2,
        verbose=0,
    )
    model.save("cats_and_dogs_small_1.h5")
    layer_outputs = [layer.output for layer in model.layers[:4]]
    activation_model = models.Model(inputs=model.input, outputs=layer_outputs)
    activations = activation_model.predict(train_images[:2, ..., None])
    conv_base = models.Sequential(
        [layers.Conv2D(4, 3, input_shape=(28, 28, 1)), layers.MaxPooling2D(14)]
    )
    m = models.Sequential()
    m.add(conv_base)
    m.add(layers.Flatten())
    m.add(layers.Dense(1, activation="sigmoid"))
    conv_base.trainable = False
    assert len(m.trainable_weights) == 2
    assert len(model.evaluate_generator(generator(), steps=3)) == 2
    assert model.predict_generator((x for x, _ in generator()), steps=2).shape == (40, 10)


def test_text_1st():
    from graphc.keras import layers, preprocessing
    from graphc.keras.layers import LSTM, Dense, Embedding, Flatten, SimpleRNN
    from graphc.keras.models import Sequential

    x_train = preprocessing.sequence.pad_sequences(
        [list(rng.integers(1, 10000, rng.integers(5, 50))) for _ in range(64)], maxlen=20
    )
    y_train = rng.integers(0, 2, 64)
    embedding_layer = Embedding(1000, 64)
    model = Sequential()
    model.add(Embedding(10000, 8, input_length=20))
    model.add(Flatten())
    model.add(Dense(1, activation="sigmoid"))
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["acc"])
    model.summary()
    history = model.fit(x_train, y_train, epochs=2, batch_size=32, validation_split=0.2)
    model = Sequential()
    model.add(Embedding(10000, 10, input_length=20))
    model.layers[0].set_weights([rng.random((10000, 10))])
    model.layers[0].trainable = False
    model.add(layers.Bidirectional(LSTM(8)))
    model.add(Dense(1, activation="sigmoid"))
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["acc"])
    model.fit(x_train, y_train, verbose=0)
    model.save_weights("pre_trained_glove_model.h5")
    model.load_weights("pre_trained_glove_model.h5")
    model = Sequential()
    model.add(Embedding(10000, 8))
    model.add(SimpleRNN(8, return_sequences=True))
    model.add(SimpleRNN(8))
    model.add(Dense(1))
    model.summary()
    model = Sequential()
    model.add(
        layers.GRU(
            8, dropout=0.1, recurrent_dropout=0.5, return_sequences=True, input_shape=(None, 7)
        )
    )
    model.add(layers.GRU(8, activation="relu", dropout=0.1, recurrent_dropout=0.5))
    model.add(Dense(1))
    model.compile(optimizer="rmsprop", loss="mae")
    model.fit(rng.random((40, 12, 7)), rng.random(40), verbose=0)
    model = Sequential()
    model.add(layers.Embedding(10000, 16, input_length=20))
    model.add(layers.Conv1D(8, 7, activation="relu"))
    model.add(layers.MaxPooling1D(2))
    model.add(layers.Conv1D(8, 3, activation="relu"))
    model.add(layers.GlobalMaxPooling1D())
    model.add(layers.Dense(1))
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["acc"])
    model.fit(x_train, y_train, verbose=0)


def test_functional_1st():
    import graphc.keras as keras
    from graphc.keras import Input, layers
    from graphc.keras.models import Model

    text_input = Input(shape=(None,), dtype="int32", name="text")
    e = layers.Embedding(1000, 16)(text_input)
    et = layers.LSTM(8)(e)
    question_input = Input(shape=(None,), dtype="int32", name="question")
    eq = layers.LSTM(4)(layers.Embedding(1000, 8)(question_input))
    concatenated = layers.concatenate([et, eq], axis=-1)
    answer = layers.Dense(50, activation="softmax")(concatenated)
    model = Model([text_input, question_input], answer)
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["acc"])
    text = np.random.randint(1, 1000, size=(40, 12))
    question = np.random.randint(1, 1000, size=(40, 7))
    answers = keras.utils.to_categorical(np.random.randint(0, 50, 40), 50)
    model.fit([text, question], answers, epochs=1, batch_size=128, verbose=0)
    model.fit({"text": text, "question": question}, answers, epochs=1, batch_size=128, verbose=0)
    posts_input = Input(shape=(None,), dtype="int32", name="posts")
    x = layers.Embedding(256, 500)(posts_input)
    x = layers.Conv1D(8, 5, activation="relu")(x)
    x = layers.MaxPooling1D(2)(x)
    x = layers.GlobalMaxPooling1D()(x)
    age = layers.Dense(1, name="age")(x)
    income = layers.Dense(10, activation="softmax", name="income")(x)
    gender = layers.Dense(1, activation="sigmoid", name="gender")(x)
    model = Model(posts_input, [age, income, gender])
    posts = rng.integers(0, 256, (30, 30))
    model.compile(
        optimizer="rmsprop",
        loss=["mse", "categorical_crossentropy", "binary_crossentropy"],
        loss_weights=[0.25, 1.0, 10.0],
    )
    inc = keras.utils.to_categorical(rng.integers(0, 10, 30), 10)
    gen = rng.integers(0, 2, 30)
    ages = rng.random(30)
    model.fit(posts, [ages, inc, gen], epochs=1, batch_size=64, verbose=0)
    model.compile(
        optimizer="rmsprop",
        loss={"age": "mse", "income": "categorical_crossentropy", "gender": "binary_crossentropy"},
        loss_weights={"age": 0.25, "income": 1.0, "gender": 10.0},
    )
    h = model.fit(
        posts, {"age": ages, "income": inc, "gender": gen}, epochs=1, batch_size=64, verbose=0
    )
    xi = Input((14, 14, 8))
    a = layers.Conv2D(8, 1, activation="relu", strides=2)(xi)
    b = layers.Conv2D(8, 3, activation="relu", strides=2, padding="same")(
        layers.Conv2D(8, 1, activation="relu")(xi)
    )
    c = layers.Conv2D(8, 3, activation="relu", padding="same")(
        layers.AveragePooling2D(3, strides=2, padding="same")(xi)
    )
    o = layers.concatenate([a, b, c], axis=-1)
    y = layers.Conv2D(8, 3, activation="relu", padding="same")(xi)
    y = layers.add([y, xi])
    residual = layers.Conv2D(8, 1, strides=2, padding="same")(xi)
    y = layers.MaxPooling2D(2, strides=2)(y)
    y = layers.add([y, residual])
    lstm = layers.LSTM(8)
    left_input = Input(shape=(None, 12))
    right_input = Input(shape=(None, 12))
    merged = layers.concatenate([lstm(left_input), lstm(right_input)], axis=-1)
    m = Model([left_input, right_input], layers.Dense(1, activation="sigmoid")(merged))
    m.compile("sgd", "binary_crossentropy")
    m.fit([rng.random((20, 5, 12)), rng.random((20, 9, 12))], rng.integers(0, 2, 20), verbose=0)


def test_callbacks_1st():
    import graphc.keras as keras
    from graphc.keras import layers

    model = keras.models.Sequential(
        [layers.Dense(4, input_shape=(3,)), layers.Dense(1, activation="sigmoid")]
    )
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["acc"])
    x = rng.random((50, 3))
    y = rng.integers(0, 2, 50)
    callbacks_list = [
        keras.callbacks.EarlyStopping(monitor="acc", patience=1),
        keras.callbacks.ModelCheckpoint(
            filepath="my_model.h5", monitor="val_loss", save_best_only=True
        ),
        keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.1, patience=10),
        keras.callbacks.ModelCheckpoint("w.{epoch:02d}-{val_loss:.2f}.h5", period=2),
        keras.callbacks.CSVLogger("log.csv"),
        keras.callbacks.TerminateOnNaN(),
    ]
    model.fit(
        x, y, epochs=4, batch_size=32, callbacks=callbacks_list, validation_data=(x, y), verbose=0
    )

    class ActivationLogger(keras.callbacks.Callback):
        def set_model(self, model):
            self.model = model
            layer_outputs = [layer.output for layer in model.layers]
            self.activations_model = keras.models.Model(model.input, layer_outputs)

        def on_epoch_end(self, epoch, logs=None):
            if self.validation_data is None:
                raise RuntimeError("Requires validation_data.") if False else SystemError

    class LossHistory(keras.callbacks.Callback):
        def on_train_begin(self, logs):
            self.per_batch_losses = []

        def on_batch_end(self, batch, logs):
            self.per_batch_losses.append(logs.get("loss"))

        def on_epoch_end(self, epoch, logs):
            self.model.stop_training = True

    losses_seen = LossHistory()
    model.fit(x, y, epochs=3, callbacks=losses_seen, verbose=0)
    assert len(losses_seen.per_batch_losses) == 2
    y_ = model.to_yaml()
    j = model.to_json()
    keras.models.model_from_yaml(y_)
    keras.models.model_from_json(j)
    model.predict_classes(x)
