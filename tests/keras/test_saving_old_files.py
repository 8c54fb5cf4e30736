"""HDF5 files of Keras 1 and 2, written here by hand in their layouts."""

import json
import warnings

import h5py
import numpy as np
import pytest

from graphc import keras
from graphc.errors import FileFormatError
from graphc.keras import layers
from graphc.keras.models import load_model, model_from_json, model_from_yaml
from graphc.serialize import hdf5

GLOROT = {
    "class_name": "VarianceScaling",
    "config": {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform", "seed": None},
}


def layer(class_name, name, **settings):
    """The dictionary of a layer in Keras 2."""
    return {"class_name": class_name, "config": {"name": name, "trainable": True, **settings}}


def sequential(*listed):
    return {"class_name": "Sequential", "config": {"name": "old", "layers": list(listed)}}


def write_arrays(group, arrays):
    group.attrs["weight_names"] = np.array([name.encode() for name, _ in arrays], dtype="S")
    for name, array in arrays:
        group[name] = array


def write_file(path, config, weights, training=None, optimizer=()):
    """A file as Keras 2 wrote it; ``weights`` maps layers to lists of names and arrays."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"2.2.4"
        file.attrs["backend"] = b"tensorflow"
        file.attrs["model_config"] = json.dumps(config).encode()
        if training is not None:
            file.attrs["training_config"] = json.dumps(training).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = np.array([name.encode() for name in weights], dtype="S")
        for name, arrays in weights.items():
            write_arrays(
                group.create_group(name), [(f"{name}/{n}:0", array) for n, array in arrays]
            )
        if optimizer:
            write_arrays(file.create_group("optimizer_weights"), list(optimizer))


def random_arrays(*shapes):
    rng = np.random.default_rng(3)
    return [rng.uniform(-0.5, 0.5, shape).astype("float32") for shape in shapes]


def named(**arrays):
    return list(arrays.items())


def load(path, **kwargs):
    """A model, loaded without any warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_model(path, **kwargs)


def assert_predicts(model, expected, x):
    np.testing.assert_allclose(np.asarray(model(x)), np.asarray(expected(x)), rtol=1e-6, atol=1e-6)


# ------------------------------------------------------------------------------------ architectures


def test_sequential_without_an_input_layer(tmp_path):
    w, b, k, r, c, v, d = random_arrays((4, 8), (8,), (8, 20), (5, 20), (20,), (5, 2), (2,))
    config = sequential(
        layer(
            "Dense",
            "dense_1",
            units=8,
            activation="relu",
            use_bias=True,
            kernel_initializer=GLOROT,
            bias_initializer={"class_name": "Zeros", "config": {}},
            kernel_regularizer={"class_name": "L1L2", "config": {"l1": 0.0, "l2": 0.01}},
            bias_regularizer=None,
            activity_regularizer=None,
            batch_input_shape=[None, 3, 4],
            dtype="float32",
        ),
        layer(
            "LSTM",
            "lstm_1",
            units=5,
            activation="tanh",
            recurrent_activation="hard_sigmoid",
            time_major=False,
            implementation=2,
            unit_forget_bias=True,
            dropout=0.0,
            recurrent_dropout=0.0,
        ),
        layer("Dropout", "dropout_1", rate=0.5, noise_shape=None, seed=None),
        layer("Dense", "dense_2", units=2, activation="softmax"),
    )
    weights = {
        "dense_1": named(kernel=w, bias=b),
        "lstm_1": named(kernel=k, recurrent_kernel=r, bias=c),
        "dropout_1": [],
        "dense_2": named(kernel=v, bias=d),
    }
    write_file(tmp_path / "m.h5", config, weights)
    expected = keras.Sequential(
        [
            layers.Input((3, 4)),
            layers.Dense(8, activation="relu"),
            layers.LSTM(5, recurrent_activation="hard_sigmoid"),
            layers.Dense(2, activation="softmax"),
        ]
    )
    expected.set_weights([w, b, k, r, c, v, d])
    (x,) = random_arrays((6, 3, 4))
    model = load(tmp_path / "m.h5")
    assert_predicts(model, expected, x)
    assert [item.name for item in model.layers] == list(weights)
    fresh = keras.models.clone_model(expected)
    fresh.load_weights(tmp_path / "m.h5")
    assert_predicts(fresh, expected, x)


def test_image_layers_with_arguments_that_are_gone(tmp_path):
    k, depthwise, g, b, m, v = random_arrays((3, 3, 3, 4), (3, 3, 4, 2), (8,), (8,), (8,), (8,))
    v = v + 1
    config = sequential(
        layer("Conv2D", "c", filters=4, kernel_size=[3, 3], batch_input_shape=[None, 9, 9, 3],
              strides=[1, 1], dilation_rate=[1, 1], groups=1, padding="same", use_bias=False,
              data_format="channels_last"),
        layer("DepthwiseConv2D", "d", kernel_size=[3, 3], depth_multiplier=2, groups=1,
              use_bias=False, depthwise_initializer=GLOROT),
        layer("BatchNormalization", "n", axis=[3], momentum=0.9, epsilon=0.01, center=True),
        layer("GlobalAveragePooling2D", "p", data_format="channels_last"),
    )  # fmt: skip
    weights = {
        "c": named(kernel=k),
        "d": named(depthwise_kernel=depthwise),
        "n": named(gamma=g, beta=b, moving_mean=m, moving_variance=v),
        "p": [],
    }
    write_file(tmp_path / "m.h5", config, weights)
    expected = keras.Sequential(
        [
            layers.Input((9, 9, 3)),
            layers.Conv2D(4, 3, padding="same", use_bias=False),
            layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False),
            layers.BatchNormalization(epsilon=0.01),
            layers.GlobalAveragePooling2D(),
        ]
    )
    expected.set_weights([k, depthwise, g, b, m, v])
    assert_predicts(load(tmp_path / "m.h5"), expected, random_arrays((2, 9, 9, 3))[0])


@pytest.mark.parametrize("reset_after", [None, False, True])
def test_embedding_and_gru(reset_after, tmp_path):
    e, k, r = random_arrays((7, 3), (3, 12), (4, 12))
    bias = random_arrays((2, 12) if reset_after else (12,))[0]
    setting = {} if reset_after is None else {"reset_after": reset_after}
    config = sequential(
        layer("Embedding", "e", input_dim=7, output_dim=3, input_length=5, mask_zero=True,
              batch_input_shape=[None, 5], dtype="float32"),
        layer("Bidirectional", "b", merge_mode="concat", layer=layer("GRU", "g", units=4,
              recurrent_activation="sigmoid", time_major=False, **setting)),
    )  # fmt: skip
    arrays = named(kernel=k, recurrent_kernel=r, bias=bias)
    both = [(f"{way}_g/{name}", a) for way in ("forward", "backward") for name, a in arrays]
    write_file(tmp_path / "m.h5", config, {"e": named(embeddings=e), "b": both})
    expected = keras.Sequential(
        [
            layers.Input((5,)),
            layers.Embedding(7, 3, mask_zero=True),
            layers.Bidirectional(layers.GRU(4, reset_after=bool(reset_after))),
        ]
    )
    expected.set_weights([e, k, r, bias, k, r, bias])
    x = np.random.default_rng(0).integers(0, 7, (4, 5)).astype("int32")
    assert_predicts(load(tmp_path / "m.h5"), expected, x)


def test_functional_with_a_nested_model(tmp_path):
    k, v = random_arrays((3, 3), (6, 2))
    inner = {
        "class_name": "Model",
        "config": {
            "name": "inner",
            "layers": [
                {"class_name": "InputLayer", "name": "i", "inbound_nodes": [],
                 "config": {"name": "i", "batch_input_shape": [None, 3]}},
                {**layer("Dense", "d", units=3, use_bias=False), "name": "d",
                 "inbound_nodes": [[["i", 0, 0, {}]]]},
            ],
            "input_layers": [["i", 0, 0]],
            "output_layers": [["d", 0, 0]],
        },
    }  # fmt: skip
    config = {
        "class_name": "Functional",
        "config": {
            "name": "outer",
            "layers": [
                {
                    "class_name": "InputLayer",
                    "config": {"name": "x", "batch_input_shape": [None, 3], "sparse": False,
                               "ragged": False, "dtype": "float32"},
                    "name": "x",
                    "inbound_nodes": [],
                },
                # Called twice; Keras 2 counts from 1, for call 0 is the model's own.
                {**inner, "name": "inner",
                 "inbound_nodes": [[["x", 0, 0, {}]], [["inner", 1, 0, {}]]]},
                {**layer("Concatenate", "c", axis=-1), "name": "c",
                 "inbound_nodes": [[["inner", 1, 0, {}], ["inner", 2, 0, {}]]]},
                {**layer("Dense", "out", units=2, use_bias=False), "name": "out",
                 "inbound_nodes": [["c", 0, 0, {}]]},
            ],
            "input_layers": [["x", 0, 0]],
            "output_layers": [["out", 0, 0]],
        },
    }  # fmt: skip
    weights = {"x": [], "inner": [("d/kernel", k)], "c": [], "out": named(kernel=v)}
    write_file(tmp_path / "m.h5", config, weights)
    (x,) = random_arrays((5, 3))
    once = x @ k
    model = load(tmp_path / "m.h5")
    result = np.asarray(model(x))
    np.testing.assert_allclose(result, np.hstack([once, once @ k]) @ v, rtol=1e-5, atol=1e-6)


def test_tensors_among_the_keyword_arguments():
    config = {
        "class_name": "Functional",
        "config": {
            "name": "f",
            "layers": [
                {"class_name": "InputLayer", "name": n, "inbound_nodes": [],
                 "config": {"name": n, "batch_input_shape": [None, 4, 3]}}
                for n in ("x", "state")
            ] + [
                {**layer("Add", "a"), "name": "a",
                 "inbound_nodes": [[["x", 0, 0, {}], ["state", 0, 0, {}]]]},
                {**layer("Dropout", "d", rate=0.5), "name": "d",
                 "inbound_nodes": [[["a", 0, 0, {"training": False}]]]},
            ],
            "input_layers": [["x", 0, 0], ["state", 0, 0]],
            "output_layers": [["d", 0, 0]],
        },
    }  # fmt: skip
    model = model_from_json(json.dumps(config))
    x, state = random_arrays((2, 4, 3), (2, 4, 3))
    np.testing.assert_allclose(np.asarray(model([x, state])), x + state)


def test_keras_1(tmp_path):
    k, b, w, c = random_arrays((3, 3, 1, 4), (4,), (36, 2), (2,))
    config = {
        "class_name": "Sequential",
        "config": [
            layer("Convolution2D", "c", nb_filter=4, nb_row=3, nb_col=3, border_mode="same",
                  subsample=[2, 2], dim_ordering="tf", activation="relu", init="glorot_uniform",
                  bias=True, W_regularizer=None, batch_input_shape=[None, 6, 6, 1]),
            layer("Dropout", "p", p=0.25),
            layer("Flatten", "f"),
            layer("Dense", "d", output_dim=2, activation="softmax", init="uniform", input_dim=36),
        ],
    }  # fmt: skip
    weights = {"c": named(W=k, b=b), "p": [], "f": [], "d": named(W=w, b=c)}
    write_file(tmp_path / "m.h5", config, weights)
    model = load(tmp_path / "m.h5")
    expected = keras.Sequential(
        [
            layers.Input((6, 6, 1)),
            layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    expected.set_weights([k, b, w, c])
    assert_predicts(model, expected, random_arrays((2, 6, 6, 1))[0])
    assert model.layers[1].rate == 0.25


@pytest.mark.parametrize("name, gates", [("CuDNNLSTM", 4), ("CuDNNGRU", 3)])
def test_weights_of_cudnn_layers(name, gates, tmp_path):
    units, features = 5, 3
    k, r, b = random_arrays((features, gates * units), (units, gates * units), (2, gates * units))
    kind = layers.LSTM if gates == 4 else layers.GRU
    expected = keras.Sequential([layers.Input((4, features)), kind(units)])
    expected.set_weights([k, r, b.sum(0) if gates == 4 else b])

    def turned(matrix, order):
        parts = np.split(matrix, gates, axis=1)
        return np.hstack([p.T.reshape(p.shape, order=order) for p in parts])

    # Each gate's matrix in the memory order of cuDNN, read as if it had the usual shape.
    stored = np.hstack([np.ravel(p.T).reshape(p.shape) for p in np.split(k, gates, axis=1)])
    arrays = named(
        kernel=stored,
        recurrent_kernel=np.hstack([p.T for p in np.split(r, gates, axis=1)]),
        bias=b.ravel(),
    )
    config = sequential(layer(name, "r", units=units, batch_input_shape=[None, 4, features]))
    if name == "CuDNNGRU":
        config["config"]["layers"][0]["config"]["reset_after"] = True
    write_file(tmp_path / "m.h5", config, {"r": arrays})
    assert_predicts(load(tmp_path / "m.h5"), expected, random_arrays((2, 4, features))[0])


# --------------------------------------------------------------------------- what is not supported


def test_unknown_arguments_are_named_in_a_warning():
    config = sequential(layer("Dense", "d", units=2, batch_input_shape=[None, 3], sparkle="much"))
    with pytest.warns(UserWarning, match=r'Dense "d": ignored .* sparkle=.much.'):
        model = model_from_json(json.dumps(config))
    assert model.output_shape == (None, 2)


def test_another_order_of_axes_is_refused():
    config = sequential(
        layer("LSTM", "l", units=2, batch_input_shape=[None, 3, 4], time_major=True)
    )
    with pytest.raises(FileFormatError, match=r'"l" has time_major=True'):
        model_from_json(json.dumps(config))


def test_yaml_of_keras_2():
    text = """
class_name: Sequential
config:
  name: s
  layers:
  - class_name: Dense
    config:
      batch_input_shape: !!python/tuple [null, 3]
      name: d
      trainable: true
      units: 2
keras_version: 2.2.4
backend: tensorflow
"""
    assert model_from_yaml(text).output_shape == (None, 2)


# ----------------------------------------------------------------------------------------- training


def dense_file(path, training, optimizer=()):
    """A model of two layers; returns their arrays."""
    arrays = random_arrays((3, 4), (4,), (4, 2), (2,))
    config = sequential(
        layer("Dense", "a", units=4, batch_input_shape=[None, 3]),
        layer("Dense", "b", units=2, activation="softmax"),
    )
    weights = {
        "a": named(kernel=arrays[0], bias=arrays[1]),
        "b": named(kernel=arrays[2], bias=arrays[3]),
    }
    write_file(path, config, weights, training, optimizer)
    return arrays


def training_config(optimizer, loss="mse", metrics=("accuracy",), **settings):
    return {
        "optimizer_config": {"class_name": optimizer, "config": settings},
        "loss": loss,
        "metrics": list(metrics),
        "sample_weight_mode": None,
        "loss_weights": None,
    }


ADAM = {"lr": 0.01, "beta_1": 0.8, "beta_2": 0.99, "decay": 0.0, "epsilon": 1e-7, "amsgrad": False}
SHAPES = [(3, 4), (4,), (4, 2), (2,)]
PATHS = ["a/kernel", "a/bias", "b/kernel", "b/bias"]


def filled(numbers):
    return [np.full(shape, n, "float32") for shape, n in zip(SHAPES, numbers, strict=True)]


def adam_variables(style):
    """Step 7, first moments 0, 1, 2, 3 and second moments 10, 11, 12, 13, as some Keras 2 wrote."""
    m, v = filled([0, 1, 2, 3]), filled([10, 11, 12, 13])
    if style == "multi-backend":
        slots = [(f"training/Adam/Variable_{i}:0", array) for i, array in enumerate(m + v)]
        slots += [(f"training/Adam/Variable_{8 + i}:0", np.zeros(1, "float32")) for i in range(4)]
        return [("Adam/iterations:0", np.int64(7)), *slots]
    if style == "TensorFlow 2.0":
        slots = [(f"Adam/{p}/m:0", array) for p, array in zip(PATHS, m, strict=True)]
        slots += [(f"Adam/{p}/v:0", array) for p, array in zip(PATHS, v, strict=True)]
        return [("Adam/iter:0", np.int64(7)), *slots]
    pairs = [
        (f"Adam/{kind}/{p}:0", array)
        for p, *both in zip(PATHS, m, v, strict=True)
        for kind, array in zip("mv", both, strict=True)
    ]
    return [("iteration:0", np.int64(7)), ("learning_rate:0", np.float32(0.01)), *pairs]


@pytest.mark.parametrize("style", ["multi-backend", "TensorFlow 2.0", "TensorFlow 2.11"])
def test_state_of_adam(style, tmp_path):
    arrays = dense_file(tmp_path / "m.h5", training_config("Adam", **ADAM), adam_variables(style))
    model = load(tmp_path / "m.h5")
    optimizer = model.optimizer
    assert (optimizer.beta_1, optimizer.beta_2) == (0.8, 0.99)
    state = [float(variable.numpy().flat[0]) for variable in optimizer.variables]
    assert state == pytest.approx([7, 0.01, 0, 10, 1, 11, 2, 12, 3, 13])
    for ours, theirs in zip(model.get_weights(), arrays, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_other_optimizers(tmp_path):
    momentum = [
        (f"SGD/{p}/momentum:0", a) for p, a in zip(PATHS, filled([1, 2, 3, 4]), strict=True)
    ]
    dense_file(
        tmp_path / "m.h5",
        training_config("SGD", lr=0.5, momentum=0.9, decay=0.0, nesterov=True),
        [("SGD/iter:0", np.int64(3)), *momentum],
    )
    optimizer = load(tmp_path / "m.h5").optimizer
    assert optimizer.nesterov
    state = [float(variable.numpy().flat[0]) for variable in optimizer.variables]
    assert state == pytest.approx([3, 0.5, 1, 2, 3, 4])
    dense_file(
        tmp_path / "m.h5",
        training_config("Custom>RMSprop", learning_rate=0.25, rho=0.8, is_legacy_optimizer=False,
                        jit_compile=False, name="RMSprop"),
    )  # fmt: skip
    optimizer = load(tmp_path / "m.h5").optimizer
    assert (type(optimizer).__name__, optimizer.rho) == ("RMSprop", 0.8)


def test_state_that_does_not_fit_is_left_out_with_a_warning(tmp_path):
    dense_file(
        tmp_path / "m.h5", training_config("Adam", **ADAM), adam_variables("TensorFlow 2.0")[:4]
    )
    with pytest.warns(UserWarning, match="fresh"):
        model = load_model(tmp_path / "m.h5")
    assert int(model.optimizer.iterations) == 0


@pytest.mark.parametrize(
    "loss",
    [
        "mse",
        "mean_squared_error",
        "categorical_crossentropy",
        {"class_name": "MeanSquaredError", "config": {"reduction": "auto", "name": "m"}},
        {"class_name": "CategoricalCrossentropy",
         "config": {"reduction": "auto", "name": "c", "from_logits": False, "label_smoothing": 0}},
        {"b": "mse"},
        ["mse"],
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "metrics",
    [
        [],
        ["accuracy"],
        ["acc"],
        [["accuracy"]],
        [[{"class_name": "MeanMetricWrapper",
           "config": {"name": "accuracy", "dtype": "float32", "fn": "categorical_accuracy"}}]],
        [{"class_name": "CategoricalAccuracy", "config": {"name": "ca", "dtype": "float32"}}],
        {"b": ["accuracy"]},
    ],
)  # fmt: skip
def test_losses_and_metrics(loss, metrics, tmp_path):
    config = {
        **training_config(
            "Adam",
            **ADAM,
        ),
        "loss": loss,
        "metrics": metrics,
    }
    dense_file(tmp_path / "m.h5", config)
    model = load(tmp_path / "m.h5")
    x, y = np.ones((4, 3), "float32"), np.eye(2, dtype="float32")[[0, 1, 0, 1]]
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    assert len(logs) == (2 if metrics else 1)


def test_functions_of_the_user_as_loss_and_metric(tmp_path):
    def my_loss(y_true, y_pred):
        return keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1)

    dense_file(tmp_path / "m.h5", training_config("Adam", "my_loss", ["my_loss"], **ADAM))
    model = load(tmp_path / "m.h5", custom_objects={"my_loss": my_loss})
    x, y = np.ones((4, 3), "float32"), np.zeros((4, 2), "float32")
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(logs["my_loss"])
    with pytest.raises(FileFormatError, match="my_loss"):
        load_model(tmp_path / "m.h5")
    assert not load(tmp_path / "m.h5", compile=False).compiled


# ---------------------------------------------------------------------------------- long attributes


def test_names_too_long_for_one_attribute(tmp_path):
    names = [f"layer_{i}_" + "x" * 90 for i in range(2000)]
    with h5py.File(tmp_path / "n.h5", "w") as file:
        hdf5.write_names(file, "layer_names", names)
        assert "layer_names" not in file.attrs
        assert file.attrs["layer_names0"].nbytes <= 64512
        assert hdf5.read_names(file, "layer_names") == names
        hdf5.write_names(file, "none", [])
        assert hdf5.read_names(file, "none") == []
        with pytest.raises(ValueError, match="too long"):
            hdf5.write_names(file, "one", ["x" * 70000])
