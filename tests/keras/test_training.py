"""`fit`, `evaluate` and `predict` against Keras: the same weights, the same data, the same logs."""

import numpy as np
import pytest

from graphc import keras as ours
from tests.keras.training import (
    BINARY,
    CLASSES,
    ONE_HOT,
    WEIGHTS,
    Case,
    X,
    Y,
    assert_close,
    assert_same_logs,
    assert_trains_alike,
    fit,
    make_both,
    printed,
)


def mlp(units, activation=None, **options):
    def build(k):
        return k.Sequential(
            [
                k.Input((4,)),
                k.layers.Dense(5, activation="tanh"),
                k.layers.Dense(units, activation=activation, **options),
            ]
        )

    return build


def two_outputs(k):
    inputs = k.Input((4,), name="features")
    hidden = k.layers.Dense(5, activation="relu")(inputs)
    main = k.layers.Dense(1, name="main")(hidden)
    kind = k.layers.Dense(3, activation="softmax", name="kind")(inputs)
    return k.Model(inputs, [main, kind])


def dict_outputs(k):
    inputs = k.Input((4,), name="features")
    main = k.layers.Dense(1, name="main")(inputs)
    kind = k.layers.Dense(3, activation="softmax", name="kind")(inputs)
    return k.Model({"features": inputs}, {"main": main, "kind": kind})


def two_inputs(k):
    wide, deep = k.Input((1,), name="wide"), k.Input((3,), name="deep")
    hidden = k.layers.Dense(5, activation="relu")(deep)
    return k.Model([wide, deep], k.layers.Dense(1)(k.layers.concatenate([wide, hidden])))


def subclass(k):
    class Pair(k.Model):
        def __init__(self):
            super().__init__()
            self.hidden = k.layers.Dense(5, activation="tanh")
            self.main = k.layers.Dense(1)
            self.aux = k.layers.Dense(1)

        def call(self, inputs):
            hidden = self.hidden(inputs)
            return self.main(hidden), self.aux(hidden)

    return Pair()


TOKENS = np.random.default_rng(3).integers(0, 6, (30, 5))
SEQUENCES = np.random.default_rng(4).normal(size=(30, 5, 2)).astype("float32")


def masked(k):
    return k.Sequential(
        [
            k.Input((5,), dtype="int32"),
            k.layers.Embedding(6, 3, mask_zero=True),
            k.layers.Dense(4, activation="tanh"),
            k.layers.Dense(2),
        ]
    )


def recurrent(k):
    layers = [k.layers.Embedding(6, 3, mask_zero=True), k.layers.LSTM(4), k.layers.Dense(2)]
    return k.Sequential([k.Input((5,), dtype="int32"), *layers])


def regularized(k):
    class Added(k.layers.Layer):
        def call(self, inputs):
            self.add_loss(0.01 * k.ops.sum(k.ops.square(inputs)))
            return inputs

    return k.Sequential(
        [
            k.Input((4,)),
            k.layers.Dense(
                5, activation="tanh", kernel_regularizer="l2", activity_regularizer="l1"
            ),
            Added(),
            # JAX has its own idea of the slope of |x| at 0, so the bias starts elsewhere.
            k.layers.Dense(1, bias_initializer="ones", bias_regularizer=k.regularizers.L1(0.1)),
        ]
    )


def normalized(k):
    return k.Sequential(
        [
            k.Input((4,)),
            k.layers.Dense(5, use_bias=False),
            k.layers.BatchNormalization(momentum=0.8),
            k.layers.Dropout(0.0),
            k.layers.Dense(1),
        ]
    )


def frozen(k):
    model = mlp(1)(k)
    model.layers[0].trainable = False
    return model


def of(optimizer="sgd", loss="mse", **options):
    return {"optimizer": optimizer, "loss": loss, **options}


PAIR = (Y, CLASSES)
VALIDATION = {"validation_data": (X[:20] + 0.1, Y[:20])}

CASES = {
    "regression": Case(mlp(1), of(metrics=["mae"])),
    "regression, targets of rank 1": Case(mlp(1), of(metrics=["mae"]), (X, Y[:, 0])),
    "float64": Case(mlp(1), of("adam"), (X.astype("float64"), Y.astype("float64"))),
    "binary": Case(
        mlp(1, "sigmoid"), of(loss="binary_crossentropy", metrics=["accuracy"]), (X, BINARY)
    ),
    "binary, validation_split": Case(
        mlp(1, "sigmoid"),
        of("adam", "crossentropy", metrics=["acc"]),
        (X, BINARY[:, None]),
        {"validation_split": 0.3},
    ),
    "categorical": Case(
        mlp(3, "softmax"),
        of("rmsprop", "categorical_crossentropy", metrics=["accuracy"]),
        (X, ONE_HOT),
    ),
    "sparse": Case(
        mlp(3, "softmax"),
        of("adam", "sparse_categorical_crossentropy", metrics=["accuracy"]),
        (X, CLASSES),
    ),
    "sparse, ce by shape": Case(
        mlp(3, "softmax"), of("adam", "ce", metrics=["acc"]), (X, CLASSES[:, None])
    ),
    "logits": Case(
        mlp(3),
        lambda k: of(
            k.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
            k.losses.SparseCategoricalCrossentropy(from_logits=True),
        ),
        (X, CLASSES),
    ),
    "sample_weight": Case(
        mlp(1), of(metrics=["mae"], weighted_metrics=["mse"]), (X, Y, WEIGHTS)
    ),
    "class_weight": Case(
        mlp(3, "softmax"),
        of("adam", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"]),
        (X, CLASSES),
        {"class_weight": {0: 1.0, 1: 3.0}},
    ),
    "class_weight, one-hot": Case(
        mlp(3, "softmax"),
        of("adam", "categorical_crossentropy"),
        (X, ONE_HOT),
        {"class_weight": {0: 0.5, 1: 3.0, 2: 1.0}},
    ),
    "validation_data": Case(mlp(1), of(metrics=["mae"]), fit=VALIDATION),
    "validation_data with weights": Case(
        mlp(1),
        of(weighted_metrics=["mae"]),
        fit={"validation_data": (X, Y, WEIGHTS), "validation_batch_size": 13},
    ),
    "validation_freq": Case(mlp(1), of(), fit={**VALIDATION, "validation_freq": 2}),
    "validation_steps": Case(mlp(1), of(), fit={**VALIDATION, "validation_steps": 1}),
    "initial_epoch": Case(mlp(1), of(), fit={"initial_epoch": 2, "epochs": 5}),
    "steps_per_epoch": Case(mlp(1), of(), fit={"steps_per_epoch": 3}),
    "steps_per_epoch, no batch_size": Case(
        mlp(1), of(), fit={"steps_per_epoch": 3, "batch_size": None}
    ),
    "two outputs": Case(two_outputs, of(loss=["mse", "ce"]), (X, PAIR)),
    "two outputs, one loss with weight": Case(
        two_outputs, of(loss=["mse", None], loss_weights=[0.5, 1.0]), (X, PAIR)
    ),
    "two outputs, dicts": Case(
        two_outputs,
        of(
            loss={"main": "mse", "kind": "sparse_categorical_crossentropy"},
            loss_weights={"main": 0.9, "kind": 0.2},
            metrics={"kind": ["accuracy"], "main": "mae"},
        ),
        (X, PAIR),
        {"validation_split": 0.2},
    ),
    "two outputs, targets by name": Case(
        two_outputs,
        of(loss=["mse", "ce"], metrics=[["mae"], ["accuracy"]]),
        ({"features": X}, {"main": Y, "kind": CLASSES}),
    ),
    "two outputs, a sample_weight each": Case(
        two_outputs,
        of(loss=["mse", "ce"], metrics=["mae", None], weighted_metrics=[["mae"], ["acc"]]),
        (X, PAIR, (WEIGHTS, WEIGHTS**2)),
    ),
    "two outputs, one sample_weight": Case(
        two_outputs, of(loss=["mse", "ce"]), (X, PAIR, WEIGHTS)
    ),
    "outputs in a dict": Case(
        dict_outputs,
        of(loss={"kind": "ce", "main": "mse"}, metrics={"kind": ["accuracy"]}),
        ({"features": X}, {"main": Y, "kind": CLASSES}),
    ),
    "two inputs": Case(two_inputs, of("adam"), ([X[:, :1], X[:, 1:]], Y)),
    "two inputs by name": Case(
        two_inputs, of("adam"), ({"deep": X[:, 1:], "wide": X[:, :1]}, Y), VALIDATION
        | {"validation_data": ({"deep": X[:9, 1:], "wide": X[:9, :1]}, Y[:9])},
    ),
    "inputs of rank 1": Case(two_inputs, of(), ([X[:, 0], X[:, 1:]], Y)),
    "subclass": Case(
        subclass, of(loss=["mse", "mae"], loss_weights=[0.9, 0.1], metrics=["mae", "mse"]),
        (X, (Y, Y)),
    ),
    "masks": Case(masked, of("adam"), (TOKENS, SEQUENCES)),
    "masks of a recurrent layer": Case(
        recurrent, of("adam"), (TOKENS, SEQUENCES[:, 0]), {"epochs": 1, "batch_size": 30}
    ),
    "masks and weights": Case(
        masked,
        of("adam"),
        (TOKENS, SEQUENCES, np.random.default_rng(5).uniform(size=(30, 5)).astype("float32")),
    ),
    "penalties": Case(regularized, of(metrics=["mae"]), fit=VALIDATION),
    "batch normalization": Case(normalized, of("adam"), fit=VALIDATION),
    "frozen": Case(frozen, of("adam")),
    "constraint and clipping": Case(
        mlp(1, kernel_constraint="max_norm"), lambda k: of(k.optimizers.Adam(0.1, clipnorm=0.1))
    ),
    "schedule": Case(
        mlp(1),
        lambda k: of(k.optimizers.SGD(k.optimizers.schedules.ExponentialDecay(0.1, 4, 0.5))),
    ),
    "moving average of weights": Case(
        mlp(1), lambda k: of(k.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.8))
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_trains_as_keras_does(name, real_keras):
    assert_trains_alike(CASES[name], real_keras)


def test_weights_of_samples_and_classes_multiply(real_keras):
    build, compiled = mlp(3, "softmax"), of("sgd", "sparse_categorical_crossentropy")
    per_class = {0: 0.5, 1: 3.0, 2: 1.0}
    case = Case(build, compiled, (X, CLASSES, WEIGHTS * [per_class[c] for c in CLASSES]))
    mine, theirs = make_both(case, real_keras)
    expected = fit(case, theirs, real_keras)
    received = mine.fit(
        X, CLASSES, 16, 3, 0, sample_weight=WEIGHTS, class_weight=per_class, shuffle=False
    )
    assert_same_logs(received.history, expected.history)


def test_metrics_count_unmasked_steps_only(real_keras):
    mine, theirs = make_both(Case(masked, of(metrics=["mae"]), (TOKENS, SEQUENCES)), real_keras)
    assert_close(
        mine.evaluate(TOKENS, SEQUENCES, verbose=0), theirs.evaluate(TOKENS, SEQUENCES, verbose=0)
    )


# ----------------------------------------------------------------------------------- one batch


def test_one_batch(real_keras):
    case = Case(mlp(3, "softmax"), of("adam", "ce", metrics=["accuracy"]), (X, CLASSES))
    mine, theirs = make_both(case, real_keras)
    for begin in (0, 16, 7):
        batch = X[begin : begin + 16], CLASSES[begin : begin + 16]
        assert_close(mine.train_on_batch(*batch), theirs.train_on_batch(*batch))
        assert_close(
            mine.train_on_batch(*batch, sample_weight=WEIGHTS[:16]),
            theirs.train_on_batch(*batch, sample_weight=WEIGHTS[:16]),
        )
    weights = {0: 1.0, 2: 5.0}
    assert_close(
        mine.train_on_batch(X, CLASSES, class_weight=weights),
        theirs.train_on_batch(X, CLASSES, class_weight=weights),
    )
    expected = theirs.test_on_batch(X, CLASSES, return_dict=True)
    received = mine.test_on_batch(X, CLASSES, return_dict=True)
    assert {name: pytest.approx(value, 1e-5) for name, value in expected.items()} == received
    assert_close(mine.predict_on_batch(X[:3]), theirs.predict_on_batch(X[:3]))
    assert_close(mine.predict_on_batch(X[:1]), theirs.predict_on_batch(X[:1]))


def test_metrics_add_up_over_batches_if_asked_to():
    model = mlp(1)(ours)
    model.compile("sgd", "mse")
    model.optimizer.learning_rate = 0.0
    model.train_on_batch(X[:20], Y[:20])
    assert model.train_on_batch(X[20:], Y[20:], reset_metrics=False) == pytest.approx(
        model.evaluate(X, Y, verbose=0), rel=1e-5
    )


def test_evaluate_gives_a_float_a_list_or_a_dict():
    model = mlp(1)(ours)
    model.compile("sgd", "mse")
    assert isinstance(model.evaluate(X, Y, verbose=0), float)
    model.compile("sgd", "mse", metrics=["accuracy"])
    loss, accuracy = model.evaluate(X, Y, verbose=0)
    assert model.evaluate(X, Y, verbose=0, return_dict=True) == {"loss": loss, "accuracy": accuracy}
    assert model.metrics_names == ["loss", "accuracy"]


def test_keras_2_names_of_predict():
    binary, classes = mlp(1, "sigmoid")(ours), mlp(3, "softmax")(ours)
    assert (binary.predict_classes(X) == (binary.predict(X, verbose=0) > 0.5)).all()
    assert (classes.predict_classes(X) == classes.predict_proba(X).argmax(-1)).all()


# --------------------------------------------------------------------------------------- loops


def test_training_goes_on_where_it_ended(real_keras):
    mine, theirs = make_both(Case(mlp(1), of("adam")), real_keras)
    for model in (mine, theirs):
        model.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    expected = theirs.fit(X, Y, epochs=2, shuffle=False, verbose=0).history
    assert_same_logs(mine.fit(X, Y, epochs=2, shuffle=False, verbose=0).history, expected)
    assert int(mine.optimizer.iterations) == 8


def test_learning_rate_may_change_without_compiling_again(real_keras):
    mine, theirs = make_both(Case(mlp(1), of("sgd")), real_keras)
    for model in (mine, theirs):
        model.fit(X, Y, epochs=1, shuffle=False, verbose=0)
        model.optimizer.learning_rate = 0.2
    expected = theirs.fit(X, Y, epochs=2, shuffle=False, verbose=0).history
    program = mine.lower("train")
    assert_same_logs(mine.fit(X, Y, epochs=2, shuffle=False, verbose=0).history, expected)
    assert mine.lower("train") is program


def test_freezing_takes_effect_with_the_next_compile():
    model = mlp(1)(ours)
    model.compile("sgd", "mse")
    kernel = model.layers[0].kernel
    model.layers[0].trainable = False
    before = kernel.numpy()
    with pytest.warns(UserWarning, match="takes effect when the model is compiled again"):
        model.fit(X, Y, verbose=0)
    after = kernel.numpy()
    assert (after != before).any()
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    assert (kernel.numpy() == after).all()


def test_shuffling_takes_each_row_once_in_a_new_order_each_epoch():
    seen = []

    class Spy(ours.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(float(self.model.seen.numpy()))

    class Remember(ours.Model):
        def __init__(self):
            super().__init__()
            self.dense = ours.layers.Dense(1)
            self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, inputs):
            self.seen.assign(ours.ops.sum(inputs))
            return self.dense(inputs)

    model = Remember()
    model.compile("sgd", "mse")
    rows = np.arange(8.0)[:, None]
    model.fit(rows, rows, batch_size=1, epochs=2, callbacks=[Spy()], verbose=0)
    assert sorted(seen[:8]) == sorted(seen[8:]) == list(range(8))
    assert seen[:8] != seen[8:] and seen[:8] != list(range(8))
    seen.clear()
    model.fit(rows, rows, batch_size=2, shuffle="batch", callbacks=[Spy()], verbose=0)
    assert sorted(seen) == [1, 5, 9, 13]


PHASES = ("train", "test", "epoch", "predict", "train_batch", "test_batch", "predict_batch")
RECORDED = [f"on_{phase}_{moment}" for phase in PHASES for moment in ("begin", "end")]


def recorder(k, calls):
    """A callback that notes every call with its arguments."""

    def note(name):
        def hook(self, *numbers, logs=None):
            if numbers and not isinstance(numbers[-1], int):  # ours come by position
                *numbers, logs = numbers
            logs = dict(logs or {})
            if "outputs" in logs:
                logs["outputs"] = np.asarray(logs["outputs"]).round(4).tolist()
            rounded = {key: np.round(value, 4).tolist() for key, value in logs.items()}
            calls.append((name, *numbers, rounded))

        return hook

    return type("Recorder", (k.callbacks.Callback,), {name: note(name) for name in RECORDED})()


def test_hooks_are_called_as_in_keras(real_keras):
    case = Case(mlp(1), of("sgd", metrics=["mae"]))
    models = make_both(case, real_keras)
    calls = []
    for model, k in zip(models, (ours, real_keras), strict=True):
        mine = []
        options = {"verbose": 0, "callbacks": [recorder(k, mine)]}
        model.fit(X, Y, 20, 2, shuffle=False, validation_split=0.4, **options)
        model.evaluate(X, Y, 30, **options)
        model.predict(X, 30, **options)
        calls.append(mine)
    names = [[call[:-1] for call in mine] for mine in calls]
    assert names[0] == names[1]
    for received, expected in zip(*calls, strict=True):
        for name, value in expected[-1].items():
            assert_close(received[-1][name], value, atol=2e-4)
        assert list(received[-1]) == list(expected[-1])


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_epoch_end"])
def test_a_callback_can_stop_training(hook, real_keras):
    seen = []
    for k in (ours, real_keras):
        model = mlp(1)(k)
        model.compile("sgd", "mse")

        def stop(self, number, logs=None):
            if number == 1:
                self.model.stop_training = True

        callback = type("Stop", (k.callbacks.Callback,), {hook: stop})()
        history = model.fit(X, Y, 16, epochs=4, callbacks=[callback], verbose=0)
        seen.append((history.epoch, int(model.optimizer.iterations)))
    assert seen[0] == seen[1]


def test_an_exception_in_a_callback_leaves_the_model_usable():
    model = mlp(1)(ours)
    model.compile("sgd", "mse")

    def fail(batch, logs):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        callback = ours.callbacks.LambdaCallback(on_train_batch_end=fail)
        model.fit(X, Y, callbacks=[callback], verbose=0)
    assert int(model.optimizer.iterations) == 1
    model.fit(X, Y, verbose=0)
    assert int(model.optimizer.iterations) == 3


def test_callbacks_that_steer_the_learning_rate_and_stop_early(real_keras):
    def callbacks(k):
        return [
            k.callbacks.LearningRateScheduler(lambda epoch, rate: 0.1 if epoch < 2 else rate * 0.5),
            k.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=10.0),
            k.callbacks.EarlyStopping(
                "val_mae", patience=3, restore_best_weights=True, min_delta=1
            ),
        ]

    case = Case(
        mlp(1),
        of(metrics=["mae"]),
        fit=lambda k: {**VALIDATION, "epochs": 12, "callbacks": callbacks(k)},
    )
    mine, _ = assert_trains_alike(case, real_keras)
    assert len(mine.history.epoch) < 12


# ---------------------------------------------------------------------------- what is printed


@pytest.mark.parametrize("verbose", [0, 1, 2, "auto"])
def test_prints_what_keras_prints(verbose, real_keras):
    case = Case(mlp(1, "sigmoid"), of("sgd", "mse", metrics=["accuracy"]), (X, BINARY))
    mine, theirs = make_both(case, real_keras)

    def run(model):
        options = {"verbose": verbose, "batch_size": 20}
        model.fit(X, BINARY, epochs=2, shuffle=False, validation_split=0.2, **options)
        model.fit(X, BINARY, epochs=1, shuffle=False, **options)
        model.evaluate(X, BINARY, **options)
        model.predict(X, **options)

    expected = printed(lambda: run(theirs))
    assert printed(lambda: run(mine)) == expected
    assert bool(expected) == (verbose != 0)
