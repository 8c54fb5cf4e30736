"""Mistakes that beginners make: each ends in one sentence that says what is wrong and where."""

from __future__ import annotations

import numpy as np
import pytest

from graphc import keras
from graphc.errors import FileFormatError
from graphc.keras import layers, models

X = np.random.default_rng(0).random((40, 4)).astype("float32")
Y = X[:, :1]
CLASSES = np.arange(40) % 3
ONE_HOT = np.eye(3)[CLASSES]
IMAGES = np.zeros((20, 28, 28))
DIGITS = np.arange(20) % 10
PROBABILITIES = "softmax"
SPARSE, CATEGORICAL = "sparse_categorical_crossentropy", "categorical_crossentropy"


def sequential(*more, shape=(4,)):
    return keras.Sequential([keras.Input(shape), *more])


def mlp(units=1, activation=None):
    return sequential(layers.Dense(5, name="hidden"), layers.Dense(units, activation, name="out"))


def compiled(units=1, activation=None, loss="mse"):
    model = mlp(units, activation)
    model.compile("sgd", loss)
    return model


def fit(model, *data, **options):
    return model.fit(*data, verbose=0, **options)


def on_images(loss, y):
    model = sequential(layers.Dense(10, activation="softmax"), shape=(28, 28))
    model.compile("sgd", loss)
    fit(model, IMAGES, y)


def two():
    wide, deep = keras.Input((2,), name="wide"), keras.Input((3,), name="deep")
    model = models.Model(
        [wide, deep], layers.Dense(1, name="price")(layers.concatenate([wide, deep]))
    )
    model.compile("sgd", "mse")
    return model


def layer_that(call):
    return sequential(type("Mine", (layers.Layer,), {"call": call})())


def branches(self, x):
    if keras.ops.sum(x) > 0:
        return x
    return -x


def loops(self, x):
    return x * len(list(x))


class WithoutSuper(layers.Layer):
    def __init__(self, units):
        self.units = units

    def call(self, inputs):
        return inputs


class ModelWithoutSuper(keras.Model):
    def __init__(self):
        self.dense = layers.Dense(1)

    def call(self, inputs):
        return self.dense(inputs)


class WithoutCall(keras.Model):
    pass


def fit_model_without_super():
    model = ModelWithoutSuper()
    model.compile("sgd", "mse")
    fit(model, X, Y)


def without_loss():
    model = mlp()
    model.compile("sgd")
    fit(model, X, Y)


def with_loss(loss):
    model = mlp()
    model.compile("sgd", loss)
    fit(model, X, Y)


def nothing(y_true, y_pred):
    keras.ops.mean(y_true - y_pred)


def two_with(loss, y=Y, **options):
    model = two()
    model.compile("sgd", loss, **options)
    fit(model, [X[:, :2], X[:, :3]], y)


def independent_outputs():
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    models.Model(a, layers.Dense(1)(b))


def disconnected():
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    models.Model(a, layers.concatenate([a, layers.Dense(2)(b)]))


def same_names():
    a = keras.Input((3,))
    models.Model(a, layers.Dense(2, name="twin")(layers.Dense(2, name="twin")(a)))


def built_twice():
    dense = layers.Dense(3, name="shared")
    dense(keras.Input((4,)))
    dense(keras.Input((5,)))


def file(path, content=b""):
    path.write_bytes(content)
    return path


# What is done, and pieces of what has to be said.
MISTAKES = {
    "image without Flatten": (lambda: on_images(SPARSE, DIGITS), "(None, 28, 10)", "Flatten()"),
    "image, one-hot": (lambda: on_images(CATEGORICAL, np.eye(10)[DIGITS]), "Flatten() missing"),
    "categorical, integers": (
        lambda: fit(compiled(3, PROBABILITIES, CATEGORICAL), X, CLASSES),
        f'use "{SPARSE}"',
        "to_categorical(y)",
        "(None, 3)",
    ),
    "sparse, one-hot": (
        lambda: fit(compiled(3, PROBABILITIES, SPARSE), X, ONE_HOT),
        f'use "{CATEGORICAL}"',
        "argmax",
    ),
    "binary, three units": (
        lambda: fit(compiled(3, "sigmoid", "binary_crossentropy"), X, CLASSES),
        'Dense(1, activation="sigmoid")',
    ),
    "other number of targets": (lambda: fit(compiled(2), X, ONE_HOT), "gives 2", "targets have 3"),
    "labels from 1": (
        lambda: fit(compiled(3, PROBABILITIES, SPARSE), X, CLASSES + 1),
        "holds the label 3",
        "classes 0 to 2",
    ),
    "negative labels": (
        lambda: fit(compiled(3, PROBABILITIES, SPARSE), X, CLASSES - 1),
        "holds the label -1",
    ),
    "units as float": (lambda: layers.Dense(3.5), "`units`", "positive integer", "3.5"),
    "units negative": (lambda: layers.Dense(-3), "positive integer", "-3"),
    "units as text": (lambda: layers.Dense("10"), "positive integer", "'10'"),
    "units missing": (lambda: layers.Dense(), "missing", "'units'"),
    "activation misspelt": (lambda: layers.Dense(3, "rellu"), "'rellu'", "'relu'"),
    "optimizer misspelt": (lambda: mlp().compile("adamm", "mse"), "'adamm'", "'adam'"),
    "loss misspelt": (lambda: mlp().compile("sgd", "mean_square_error"), "'mean_squared_error'"),
    "metric misspelt": (lambda: mlp().compile("sgd", "mse", ["acuracy"]), "'accuracy'"),
    "initializer misspelt": (
        lambda: layers.Dense(3, kernel_initializer="he_norml"),
        "Did you mean 'he_normal'",
    ),
    "regularizer unknown": (lambda: layers.Dense(3, kernel_regularizer="l3"), "'l3'", "l1, l1_l2"),
    "fit before compile": (lambda: mlp().fit(X, Y), "compiled before fit()", "model.compile("),
    "evaluate before compile": (lambda: mlp().evaluate(X, Y), "compiled before evaluate()"),
    "compile without loss": (without_loss, "no loss to minimize"),
    "different lengths": (lambda: fit(compiled(), X, Y[:30]), "x has 40", "y has 30"),
    "sample weights too few": (
        lambda: fit(compiled(), X, Y, sample_weight=np.ones(3)),
        "sample_weight has 3",
    ),
    "y forgotten": (lambda: fit(compiled(), X), "no target", "give y"),
    "x is None": (lambda: fit(compiled(), None, Y), "x is None"),
    "text as data": (lambda: fit(compiled(), np.array([["a"] * 4] * 40), Y), "x holds text"),
    "text as labels": (lambda: fit(compiled(), X, np.array(["cat", "dog"] * 20)), "y holds text"),
    "None in data": (lambda: fit(compiled(), np.array([[1, None]] * 40), Y), "type object"),
    "ragged rows": (lambda: fit(compiled(), [[1, 2], [1]], [1, 2]), "different lengths", "pad_seq"),
    "features, fit": (lambda: fit(compiled(), X[:, :3], Y), "size 3", "has to be 4"),
    "features, predict": (lambda: mlp().predict(X[:, :3]), "size 3 along axis 1, it has to be 4"),
    "features, evaluate": (lambda: compiled().evaluate(X[:, :3], Y), "has to be 4"),
    "features, validation": (
        lambda: fit(compiled(), X, Y, validation_data=(X[:, :3], Y)),
        "has to be 4",
    ),
    "a single sample": (lambda: mlp().predict(X[0]), "single sample?", "x[np.newaxis]"),
    "one axis too many": (lambda: mlp().predict(np.zeros((4, 5, 4))), "needs 2 axes", "has 3"),
    "input misnamed": (lambda: two().predict({"wide": X, "depe": X}), '"deep"', "wide, depe"),
    "inputs missing": (lambda: two().predict([X[:, :2]]), "2 input(s) (wide, deep)", "received 1"),
    "inputs swapped": (lambda: two().predict([X[:, :3], X[:, :2]]), 'input "wide"', "has to be 2"),
    "loss for no output": (lambda: two_with({"prise": "mse"}), '"prise"', 'mean "price"'),
    "target for no output": (lambda: two_with("mse", {"prise": Y}), 'y names "prise"', '"price"'),
    "too many losses": (lambda: two_with(["mse", "mse"]), "loss has 2 entries", "1 output"),
    "too many loss weights": (lambda: two_with("mse", loss_weights=[1, 2]), "loss_weights has 2"),
    "class of a layer": (lambda: sequential(layers.Flatten), "Flatten", "add parentheses"),
    "class called on tensor": (lambda: layers.Flatten(keras.Input((4,))), "Flatten(...)(x)"),
    "layers without list": (
        lambda: keras.Sequential(layers.Dense(1), layers.Dense(2)),
        "takes a list of layers",
    ),
    "no super, layer": (lambda: WithoutSuper(3)(X), "WithoutSuper.__init__", "super().__init__()"),
    "no super, model": (fit_model_without_super, "ModelWithoutSuper.__init__ has to call super()"),
    "no call": (lambda: WithoutCall()(X), "no call method", "def call(self, inputs)"),
    "call returns None": (lambda: layer_that(lambda self, x: None), "returned None", "`return`"),
    "if on a tensor": (lambda: layer_that(branches), f"{__name__.split('.')[-1]}.py:", "ops.cond"),
    "float() of a tensor": (
        lambda: layer_that(lambda self, x: x * float(keras.ops.sum(x))),
        "value as a float",
    ),
    "numpy() of a tensor": (lambda: layer_that(lambda self, x: x.numpy()), "its elements"),
    "NumPy on a tensor": (lambda: layer_that(lambda self, x: np.sin(x)), "its elements"),
    "for over a batch": (lambda: layer_that(loops), "how many rows it has"),
    "if on a placeholder": (lambda: bool(keras.Input((1,)) > 0), "placeholder", "ops.where"),
    "window too large": (
        lambda: sequential(layers.Conv2D(3, 5), shape=(4, 4, 1)),
        "size 4 along axis 1",
        "window needs 5",
        'padding="same"',
    ),
    "too much pooling": (lambda: sequential(layers.MaxPooling2D(3), shape=(2, 2, 1)), "too small"),
    "Conv2D on vectors": (lambda: sequential(layers.Conv2D(3, 5)), "needs 4 axes", "has 2"),
    "Conv2D without channels": (
        lambda: sequential(layers.Conv2D(3, 5), shape=(28, 28)),
        "(batch, height, width, channels)",
    ),
    "padding misspelt": (lambda: layers.Conv2D(3, 5, padding="smae"), "'valid', 'same'", "'smae'"),
    "LSTM on vectors": (lambda: sequential(layers.LSTM(3)), "(batch, time, features)", "has 2"),
    "LSTM on LSTM": (
        lambda: sequential(layers.LSTM(3), layers.LSTM(3, name="second"), shape=(5, 4)),
        'LSTM "second"',
        "needs 3 axes",
    ),
    "concatenate": (
        lambda: layers.concatenate([keras.Input((4, 3)), keras.Input((5, 3))]),
        "(None, 4, 3), (None, 5, 3)",
    ),
    "add": (lambda: layers.add([keras.Input((4,)), keras.Input((5,))]), "(None, 4), (None, 5)"),
    "add of one": (lambda: layers.Add()(keras.Input((4,))), "list of tensors", "Add()([a, b])"),
    "reshape": (lambda: sequential(layers.Reshape((3, 4)), shape=(10,)), "10 elements", "(3, 4)"),
    "dropout rate": (lambda: layers.Dropout(1.5), "between 0 and 1", "1.5"),
    "other shape later": (built_twice, 'Dense "shared"', "5 features", "built for 4"),
    "open size": (lambda: sequential(layers.Dense(3), shape=(None,)), "fixed size along that axis"),
    "layer on text": (lambda: layers.Dense(3)("hello"), "takes tensors or arrays", "'hello'"),
    "count before built": (lambda: layers.Dense(3).count_params(), "no weights yet"),
    "output before built": (lambda: keras.Sequential([layers.Dense(1)]).output, "keras.Input("),
    "layer misnamed": (lambda: mlp().get_layer("hiden"), '"hiden"', "hidden, out"),
    "layer out of range": (lambda: mlp().get_layer(index=7), "2 layers", "no layer 7"),
    "weights of another shape": (
        lambda: mlp().layers[0].set_weights([np.zeros((3, 5)), np.zeros(5)]),
        "(4, 5)",
        "(3, 5)",
    ),
    "weights too few": (lambda: mlp().layers[0].set_weights([X]), "2 weights", "received 1"),
    "file missing": (lambda: models.load_model("nowhere.h5"), 'no file "nowhere.h5"'),
    "weights missing": (lambda: mlp().load_weights("no.weights.h5"), 'no file "no.weights.h5"'),
    "unknown ending": (lambda: mlp().save("model.pkl"), '"model.pkl"', ".keras, .h5"),
    "no ending": (lambda: mlp().save("model"), ".keras, .h5"),
    "folder missing": (lambda: mlp().save("no/such/m.keras"), 'no folder "no/such"'),
    "argument misspelt": (
        lambda: layers.Dense(3, activaton="relu"),
        "activaton",
        "mean activation",
    ),
    "argument of Adam": (lambda: keras.optimizers.Adam(learnign_rate=0.1), "learnign_rate"),
    "argument of fit": (lambda: compiled().fit(X, Y, epoch=3), "'epoch'"),
    "Input without shape": (lambda: keras.Input(), "needs a shape", "(784,)"),
    "shape without comma": (lambda: keras.Input(shape=784), "shape=(784,) with a comma"),
    "negative size": (lambda: keras.Input(shape=(-1, 3)), "-1", "None for any"),
    "independent outputs": (independent_outputs, 'depend on the input "b"', "inputs=[...]"),
    "disconnected": (disconnected, 'depend on the input "b"'),
    "output is an array": (lambda: models.Model(keras.Input((3,)), X), "results of layers"),
    "output is a layer": (
        lambda: models.Model(keras.Input((3,)), layers.Dense(1, name="end")),
        "results of layers called on Input()",
        "end",
    ),
    "same names": (same_names, '"twin"', "unique"),
    "batch_size 0": (lambda: fit(compiled(), X, Y, batch_size=0), "batch_size", "at least 1"),
    "batch_size 16.0": (lambda: fit(compiled(), X, Y, batch_size=16.0), "whole number", "16.0"),
    "epochs -1": (lambda: fit(compiled(), X, Y, epochs=-1), "epochs", "-1"),
    "epochs 1.5": (lambda: fit(compiled(), X, Y, epochs=1.5), "epochs", "1.5"),
    "steps 0": (lambda: fit(compiled(), X, Y, steps_per_epoch=0), "steps_per_epoch", "not 0"),
    "validation_split 1": (
        lambda: fit(compiled(), X, Y, validation_split=1.0),
        "validation_split",
        "between 0 and 1",
    ),
    "class_weight list": (
        lambda: fit(compiled(3, PROBABILITIES, SPARSE), X, CLASSES, class_weight=[1, 2, 3]),
        "dict from class number to weight",
    ),
    "verbose 3": (lambda: compiled().fit(X, Y, verbose=3), '0, 1, 2 or "auto"'),
    "learning rate as text": (lambda: keras.optimizers.SGD("0.01"), "learning_rate", "'0.01'"),
    "class of a callback": (
        lambda: fit(compiled(), X, Y, callbacks=[keras.callbacks.EarlyStopping]),
        "EarlyStopping(...), with parentheses",
    ),
    "y with a generator": (
        lambda: fit(compiled(), ((X, Y) for _ in range(3)), Y),
        "y must not be given",
        "(x, y)",
    ),
    "used-up generator": (lambda: fit(compiled(), iter([])), "no batches"),
    "loss returns None": (lambda: with_loss(nothing), '"nothing" returned None', "`return`"),
    "export before built": (
        lambda: keras.Sequential([layers.Dense(3)]).export("m.onnx"),
        "keras.Input(",
    ),
    "unknown backend": (
        lambda: mlp().compile("sgd", "mse", backend="tensorflow"),
        "'tensorflow'",
        "cpu, onnxruntime",
    ),
    "unknown floatx": (lambda: keras.backend.set_floatx("float33"), "float33", "float32"),
    "unknown dtype": (lambda: layers.Dense(3, dtype="float23"), "float23", "float32"),
    "layers assigned": (lambda: setattr(mlp(), "layers", []), '"layers"', "cannot be assigned"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_explained(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mistake, *pieces = MISTAKES[name]
    with pytest.raises(Exception) as caught:  # noqa: PT011
        mistake()
    message = str(caught.value)
    for piece in pieces:
        assert piece in message
    assert message.count("\n") == 0 or "array(" in message, "one sentence, not a page"
    assert not list(tmp_path.iterdir()), "nothing half-done is left"


def test_there_are_at_least_forty():
    assert len(MISTAKES) >= 40


@pytest.mark.parametrize(
    ("name", "content", "piece"),
    [
        ("empty.keras", b"", "is empty"),
        ("empty.h5", b"", "is empty"),
        ("garbage.keras", b"hello" * 100, "not a zip file"),
        ("garbage.h5", b"hello" * 100, "is no model of Keras"),
    ],
)
def test_bad_files_are_named(name, content, piece, tmp_path):
    with pytest.raises(FileFormatError, match=piece) as caught:
        models.load_model(file(tmp_path / name, content))
    assert name in str(caught.value)


def test_weights_of_another_model(tmp_path):
    mlp().save_weights(tmp_path / "w.weights.h5")
    other = sequential(layers.Dense(7, name="hidden"), layers.Dense(1))
    with pytest.raises(Exception, match=r'"kernel" of "hidden" has shape \(4, 7\).*\(4, 5\)'):
        other.load_weights(tmp_path / "w.weights.h5")
    with pytest.raises(Exception, match="holds weights alone.*load_weights"):
        models.load_model(tmp_path / "w.weights.h5")


def test_errors_name_the_users_line():
    with pytest.raises(Exception, match=r"test_beginner_errors\.py:\d+"):
        mlp().predict(X[:, :3])


def test_nothing_is_trained_before_an_error():
    model = compiled(3, PROBABILITIES, SPARSE)
    before = model.get_weights()
    with pytest.raises(ValueError, match="label 3"):
        fit(model, X, CLASSES + 1)
    for first, second in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_nan_is_data():
    data = X.copy()
    data[0] = np.nan
    assert np.isnan(fit(compiled(), data, Y).history["loss"][0])


def test_a_weight_that_no_memory_holds_names_its_layer():
    with pytest.raises(MemoryError, match=r'Dense "\w+/big": weight "kernel".*does not fit'):
        keras.Sequential([keras.Input((10**6,)), keras.layers.Dense(10**9, name="big")])
