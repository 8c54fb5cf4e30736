"""Models leave as ONNX files that compute what the models do."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphc import keras
from graphc.config import config
from graphc.export import check as checking
from graphc.export.check import ExportError
from graphc.keras import layers

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(autouse=True)
def reference_backend() -> Iterator[None]:
    """What a model computes is asked of the interpreter: exports do not depend on a compiler."""
    before = config.backend
    config.backend = "reference"
    yield
    config.backend = before


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def exported(model: Any, path: Path, **options: Any) -> onnx.ModelProto:
    """The file of a model with random weights, which was run next to the model."""
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if "variance" in variable.path:
            variable.assign(rng.uniform(0.5, 2, variable.shape))
        else:
            variable.assign(rng.normal(size=variable.shape) * 0.4)
    comparison = model.export(path, verbose=False, **options)
    assert comparison.largest < 1e-5
    return onnx.load(path)


def operations(proto: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in proto.graph.node]


def sizes(info: onnx.ValueInfoProto) -> list[Any]:
    return [d.dim_param or d.dim_value for d in info.type.tensor_type.shape.dim]


# ------------------------------------------------------------------------------------ the layers

LAYERS: dict[str, tuple[Callable[[], Any], tuple[int | None, ...], list[str]]] = {
    "Dense": (lambda: layers.Dense(3), (4,), ["MatMul", "Add"]),
    "Dense on sequences": (lambda: layers.Dense(3), (None, 4), ["MatMul", "Add"]),
    "Activation": (lambda: layers.Activation("tanh"), (4,), ["Tanh"]),
    "softmax": (lambda: layers.Activation("softmax"), (4,), ["Softmax"]),
    "elu": (lambda: layers.Activation("elu"), (4,), ["Elu"]),
    "Flatten": (lambda: layers.Flatten(), (3, 4), ["Reshape"]),
    "Reshape": (lambda: layers.Reshape((6, 2)), (3, 4), ["Reshape"]),
    "Reshape to open": (lambda: layers.Reshape((-1, 2)), (3, 4), ["Reshape"]),
    "Dropout": (lambda: layers.Dropout(0.5), (4,), ["Identity"]),
    "BatchNormalization": (lambda: layers.BatchNormalization(), (4,), ["BatchNormalization"]),
    "Conv1D": (lambda: layers.Conv1D(3, 3), (None, 4), ["Transpose", "Conv", "Transpose"]),
    "Conv1D causal": (
        lambda: layers.Conv1D(3, 3, padding="causal", dilation_rate=2),
        (None, 4),
        ["Transpose", "Conv", "Transpose"],
    ),
    "Conv2D": (
        lambda: layers.Conv2D(5, 3, strides=2, padding="same", activation="relu"),
        (9, 8, 3),
        ["Transpose", "Conv", "Relu", "Transpose"],
    ),
    "Conv2D in groups": (
        lambda: layers.Conv2D(4, (2, 3), groups=2, dilation_rate=2, use_bias=False),
        (9, 8, 2),
        ["Transpose", "Conv", "Transpose"],
    ),
    "Conv2DTranspose": (
        lambda: layers.Conv2DTranspose(5, 3, strides=2, padding="same"),
        (4, 5, 3),
        ["Transpose", "ConvTranspose", "Transpose"],
    ),
    "MaxPooling2D": (
        lambda: layers.MaxPooling2D(padding="same"),
        (7, 6, 3),
        ["Transpose", "MaxPool", "Transpose"],
    ),
    "AveragePooling2D": (
        lambda: layers.AveragePooling2D(3, strides=2, padding="same"),
        (7, 6, 3),
        ["Transpose", "AveragePool", "Transpose"],
    ),
    "GlobalAveragePooling2D": (lambda: layers.GlobalAveragePooling2D(), (7, 6, 3), ["ReduceMean"]),
    "Embedding": (lambda: layers.Embedding(11, 4), (None,), ["Cast", "Gather"]),
    "SimpleRNN": (lambda: layers.SimpleRNN(3), (None, 4), ["Transpose", "RNN", "Squeeze"]),
    "LSTM": (lambda: layers.LSTM(3), (None, 4), ["Transpose", "LSTM", "Squeeze"]),
    "LSTM of sequences": (
        lambda: layers.LSTM(3, return_sequences=True),
        (None, 4),
        ["Transpose", "LSTM", "Squeeze", "Transpose"],
    ),
    "GRU": (lambda: layers.GRU(3), (5, 4), ["Transpose", "GRU", "Squeeze"]),
    "GRU that resets before": (
        lambda: layers.GRU(3, reset_after=False, go_backwards=True),
        (None, 4),
        ["Transpose", "GRU", "Squeeze"],
    ),
    "Rescaling": (lambda: layers.Rescaling(1 / 255, offset=-1.0), (3, 3, 1), ["Mul", "Add"]),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_in_a_sequential_model(name: str, path: Path) -> None:
    make, shape, expected = LAYERS[name]
    model = keras.Sequential([keras.Input(shape), make()])
    assert operations(exported(model, path)) == expected


@pytest.mark.parametrize("name", LAYERS)
def test_layers_in_a_functional_model(name: str, path: Path) -> None:
    make, shape, expected = LAYERS[name]
    x = keras.Input(shape, name="x")
    layer = make()
    proto = exported(keras.Model({"x": x}, {"y": layer(x)}), path)
    assert operations(proto) == expected
    assert [value.name for value in proto.graph.input] == ["x"]
    for node in proto.graph.node[1:-1]:
        assert node.name.startswith(f"{layer.name}/")


@pytest.mark.parametrize("name", LAYERS)
def test_layers_in_a_subclassed_model(name: str, path: Path) -> None:
    make, shape, expected = LAYERS[name]

    class Wrapper(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = make()

        def call(self, x: Any) -> Any:
            return self.inner(x)

    model = Wrapper()
    model.build((None, *shape))
    assert operations(exported(model, path)) == expected


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
def test_recurrent_layers_with_their_states(kind: str, path: Path) -> None:
    x = keras.Input((None, 4))
    start = keras.Input((3,), name="start")
    layer = getattr(layers, kind)(3, return_sequences=True, return_state=True, name="layer")
    states = [start] * (2 if kind == "LSTM" else 1)
    outputs = layer(x, initial_state=states)
    proto = exported(keras.Model([x, start], outputs), path)
    assert operations(proto).count("RNN" if kind == "SimpleRNN" else kind) == 1
    assert len(proto.graph.output) == len(outputs)


def test_several_inputs_and_outputs_and_merging(path: Path) -> None:
    wide = keras.Input((5,), name="wide")
    deep = keras.Input((6,), name="deep")
    hidden = layers.Dense(6, activation="relu", name="hidden")
    x = hidden(hidden(deep))
    x = layers.Multiply()([layers.Add()([x, deep]), x])
    joined = layers.Concatenate()([wide, x])
    main = layers.Dense(1, name="main")(joined)
    auxiliary = layers.Dense(1, name="auxiliary")(x)
    proto = exported(keras.Model([wide, deep], [main, auxiliary]), path)
    assert [value.name for value in proto.graph.input] == ["wide", "deep"]
    assert [value.name for value in proto.graph.output] == ["main", "auxiliary"]
    names = [node.name for node in proto.graph.node]
    assert names[:3] == ["hidden/MatMul", "hidden/Add", "hidden/Relu"]
    assert [i.name for i in proto.graph.initializer][:2] == ["hidden/kernel", "hidden/bias"]


def test_dict_inputs_and_outputs_of_a_subclassed_model(path: Path) -> None:
    class Model(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, inputs: Any) -> Any:
            joined = keras.ops.concatenate([inputs["a"], inputs["b"]], axis=-1)
            return {"scores": self.dense(joined), "joined": joined}

    model = Model()
    model({"a": np.zeros((2, 3), np.float32), "b": np.zeros((2, 1), np.float32)})
    proto = exported(model, path, input_signature={"a": keras.Input((3,)), "b": keras.Input((1,))})
    assert [value.name for value in proto.graph.input] == ["a", "b"]
    assert {value.name for value in proto.graph.output} == {"scores", "joined"}


def test_a_subclassed_model_that_saw_data_takes_any_number_of_rows(path: Path) -> None:
    class Model(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = [layers.Dense(4, activation="relu") for _ in range(2)]
            self.norm = layers.BatchNormalization()

        def call(self, x: Any, training: Any = None) -> Any:
            for layer in self.hidden:
                x = layer(x) + x
            return self.norm(x, training=training)

    model = Model()
    model(np.zeros((3, 4), np.float32))
    proto = exported(model, path)
    assert sizes(proto.graph.input[0]) == ["batch", 4]
    assert sizes(proto.graph.output[0]) == ["batch", 4]


def test_nested_models_have_paths(path: Path) -> None:
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="last")], name="encoder")
    x = keras.Input((4,))
    proto = exported(keras.Model(x, inner(x) * 2.0), path)
    assert proto.graph.node[0].name == "encoder/last/MatMul"


def test_normalization_that_was_adapted(path: Path) -> None:
    layer = layers.Normalization()
    layer.adapt(np.random.default_rng(0).normal(3, 5, (50, 4)).astype(np.float32))
    model = keras.Sequential([keras.Input((4,)), layer, layers.Dense(2)])
    assert model.export(path, verbose=False).largest < 1e-5


def test_a_convolutional_classifier_has_one_transpose(path: Path) -> None:
    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Conv2D(6, 3, activation="relu"),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    assert operations(exported(model, path)) == [
        "Mul", "Transpose", "Conv", "Relu", "BatchNormalization", "MaxPool", "Conv", "Relu",
        "Reshape", "MatMul", "Add", "Softmax",
    ]  # fmt: skip


def test_stacked_recurrent_layers_turn_their_input_once(path: Path) -> None:
    model = keras.Sequential(
        [
            keras.Input((None,)),
            layers.Embedding(11, 4),
            layers.LSTM(3, return_sequences=True),
            layers.GRU(3),
        ]
    )
    proto = exported(model, path)
    assert operations(proto) == [
        "Cast", "Gather", "Transpose", "LSTM", "Squeeze", "GRU", "Squeeze"
    ]  # fmt: skip
    assert sizes(proto.graph.input[0]) == ["batch", "time"]


def test_open_image_sizes_have_names(path: Path) -> None:
    x = keras.Input((None, None, 1))
    model = keras.Model(x, layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3)(x)))
    assert sizes(exported(model, path).graph.input[0]) == ["batch", "height", "width", 1]


# ------------------------------------------------------------------------------ checks and errors


def small() -> Any:
    return keras.Sequential([keras.Input((4,)), layers.Dense(3, name="scores")])


def test_what_is_printed_and_returned(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    comparison = small().export(path)
    assert [dict(trial) for trial in comparison.trials] == [{"batch": n} for n in (1, 2, 5)]
    printed = capsys.readouterr().out
    assert printed.startswith(f"Saved {path}: checked in ONNX Runtime, largest difference ")
    assert 'in output "scores"' in printed
    small().export(path, verbose=False)
    small().export(path, check=False)
    assert capsys.readouterr().out == f"Saved {path}: not checked\n"


def test_too_large_a_difference_is_an_error_and_leaves_no_file(path: Path) -> None:
    with pytest.raises(ExportError, match=r'output "scores" .* is allowed \(`tolerance`\)'):
        small().export(path, tolerance=-1.0)
    assert list(path.parent.iterdir()) == []


def test_a_wrong_model_is_found_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graphc.ops.elementwise import Relu

    monkeypatch.setattr(Relu, "onnx", lambda self, context, node, x: context.node("Abs", [x]))
    model = keras.Sequential([keras.Input((4,)), layers.Dense(9, activation="relu")])
    with pytest.raises(ExportError, match="away from the model"):
        model.export(path, verbose=False)


def test_a_failed_export_leaves_the_older_file(path: Path) -> None:
    path.write_bytes(b"older")
    with pytest.raises(ExportError):
        small().export(path, tolerance=-1.0)
    assert path.read_bytes() == b"older"
    small().export(path, verbose=False)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    onnx.checker.check_model(onnx.load(path))


def test_without_onnxruntime_it_says_that_it_was_not_run(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphc.keras.export.has_onnxruntime", lambda: False)
    assert small().export(path) is None
    assert "not run, since ONNX Runtime is not installed" in capsys.readouterr().out


def test_comparing_without_onnxruntime_names_the_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name == "onnxruntime":
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(checking.UnsupportedError, match=r"graphc-compiler\[gpu\]"):
        checking._session(onnx.ModelProto())


def test_mistakes(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="format=\"onnx\", not 'tf_saved_model'"):
        small().export(path, format="tf_saved_model")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        small().export(tmp_path / "nowhere" / "m.onnx")
    with pytest.raises(ValueError, match="not seen"):
        keras.Sequential([layers.Dense(2)]).export(path)
    with pytest.raises(TypeError, match="input_signature takes what Input"):
        small().export(path, input_signature=(None, 4))
    with pytest.raises(ValueError, match="at least 17"):
        small().export(path, opset_version=12)


def test_indices_are_drawn_within_their_table(path: Path) -> None:
    x = keras.Input((3,), dtype="int32")
    model = keras.Model(x, layers.Embedding(2, 4)(x))
    assert exported(model, path).graph.node[-1].op_type == "Gather"
