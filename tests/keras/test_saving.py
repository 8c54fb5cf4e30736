"""Models in files, exchanged with Keras in both directions."""

import io
import os
import zipfile

import h5py
import numpy as np
import pytest

from graphc import keras
from graphc.keras import layers
from graphc.keras.models import (
    clone_model,
    load_model,
    model_from_config,
    model_from_json,
    model_from_yaml,
)
from tests.keras.saved_models import MODELS, assert_same, convolutions, randomize, shared

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*HDF5.*"),
    pytest.mark.filterwarnings("ignore:.*__array__.*"),
]


@pytest.fixture(params=MODELS)
def case(request):
    return MODELS[request.param]


# --------------------------------------------------------------------------------- whole models


@pytest.mark.parametrize("ending", [".keras", ".h5", ".hdf5"])
def test_saved_model_predicts_the_same(case, ending, tmp_path):
    build, x = case
    model = build(keras)
    randomize(model)
    model.save(tmp_path / f"m{ending}")
    assert_same(model, load_model(tmp_path / f"m{ending}"), x, exact=True)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_keras_opens_our_files(case, ending, tmp_path, real_keras):
    build, x = case
    model = build(keras)
    randomize(model)
    model.save(tmp_path / f"m{ending}")
    assert_same(model, real_keras.models.load_model(str(tmp_path / f"m{ending}")), x)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_we_open_files_of_keras(case, ending, tmp_path, real_keras):
    build, x = case
    model = build(real_keras)
    randomize(model)
    model.save(str(tmp_path / f"m{ending}"))
    assert_same(load_model(tmp_path / f"m{ending}"), model, x)


def test_archive_has_the_layout_of_keras(case, tmp_path, real_keras):
    build, _ = case
    contents = []
    for kind in (keras, real_keras):
        path = str(tmp_path / f"{kind.__name__}.keras")
        build(kind).save(path)
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
        found = {}
        weights.visititems(lambda name, item, found=found: found.update({name: item}))
        contents.append((names, {n: getattr(item, "shape", None) for n, item in found.items()}))
    (our_names, ours), (their_names, theirs) = contents
    assert our_names == their_names
    random_states = {name for name in ours if "seed_generator" in name}
    assert {name: ours[name] for name in ours if name not in random_states} == theirs


def test_architecture_is_exchanged_as_json(case, real_keras):
    build, x = case
    model = build(keras)
    theirs = real_keras.models.model_from_json(model.to_json())
    back = model_from_json(theirs.to_json())
    theirs.set_weights(model.get_weights())
    back.set_weights(model.get_weights())
    assert_same(model, theirs, x)
    assert_same(model, back, x, exact=True)


def test_architecture_as_yaml_and_as_a_dictionary(case):
    build, x = case
    model = build(keras)
    text = model.to_yaml()
    assert "!!" not in text and "&" not in text
    for other in (
        model_from_yaml(text),
        model_from_config({"class_name": type(model).__name__, "config": model.get_config()}),
        type(model).from_config(model.get_config()),
        clone_model(model),
    ):
        other.set_weights(model.get_weights())
        assert_same(model, other, x, exact=True)
        assert [layer.name for layer in other.layers] == [layer.name for layer in model.layers]


def test_names_and_flags_survive(tmp_path):
    model = shared(keras)
    model.layers[2].trainable = False
    model.save(tmp_path / "m.keras")
    model.save(tmp_path / "m.h5")
    for name in ("m.keras", "m.h5"):
        loaded = load_model(tmp_path / name)
        assert loaded.name == model.name
        assert loaded.input_names == ["a", "b"]
        assert loaded.output_names == ["one", "two"]
        assert [layer.trainable for layer in loaded.layers] == [
            layer.trainable for layer in model.layers
        ]


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "mixed_bfloat16"])
def test_element_types_survive(dtype, tmp_path):
    model = keras.Sequential([layers.Input((3,)), layers.Dense(2, dtype=dtype)])
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        loaded = load_model(tmp_path / name)
        for ours, theirs in zip(model.weights, loaded.weights, strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_clone_with_other_inputs_and_layers():
    model = keras.Sequential([layers.Input((3,)), layers.Dense(4), layers.Dense(2)])
    wider = clone_model(model, input_tensors=keras.Input((7,)))
    assert wider.layers[0].kernel.shape == (7, 4)

    def with_bias_of_ones(layer):
        return layers.Dense(layer.units, bias_initializer="ones")

    cloned = clone_model(model, clone_function=with_bias_of_ones)
    assert cloned.layers[1].bias.numpy().tolist() == [1, 1]
    assert model.layers[1].bias.numpy().tolist() == [0, 0]


# --------------------------------------------------------------------------------- custom classes


class Scale(layers.Layer):
    """A layer of a user."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape):
        self.shift = self.add_weight((input_shape[-1],), initializer="ones", name="shift")

    def call(self, x):
        return x * self.factor + self.shift

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


class Blocks(keras.Model):
    """A model of a user, with layers in attributes, a list and a dictionary."""

    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.first = layers.Dense(units)
        self.blocks = [layers.Dense(2), Scale(2.0)]
        self.heads = {"a": layers.Dense(1), "b": [layers.Dense(1)]}

    def call(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.heads["a"](x) + self.heads["b"][0](x)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_subclassed_model(ending, tmp_path):
    x = np.random.default_rng(0).random((5, 4), "float32")
    model = Blocks(4)
    model(x)
    randomize(model)
    model.save(tmp_path / f"m{ending}")
    objects = {"Blocks": Blocks, "Scale": Scale}
    loaded = load_model(tmp_path / f"m{ending}", custom_objects=objects)
    assert loaded.units == 4
    assert_same(model, loaded, x, exact=True)
    with pytest.raises(ValueError, match="Unknown class 'Blocks'"):
        load_model(tmp_path / f"m{ending}")


def test_weights_of_a_subclassed_model_have_the_layout_of_keras(tmp_path, real_keras):
    class Theirs(real_keras.Model):
        def __init__(self):
            super().__init__()
            self.first = real_keras.layers.Dense(3)
            self.out = real_keras.layers.Dense(2)
            self.blocks = [real_keras.layers.Dense(3), real_keras.layers.Dense(3)]

        def call(self, x):
            return self.out(self.blocks[1](self.blocks[0](self.first(x))))

    class Ours(keras.Model):
        def __init__(self):
            super().__init__()
            self.first = layers.Dense(3)
            self.out = layers.Dense(2)
            self.blocks = [layers.Dense(3), layers.Dense(3)]

        def call(self, x):
            return self.out(self.blocks[1](self.blocks[0](self.first(x))))

    x = np.random.default_rng(0).random((5, 4), "float32")
    ours, theirs = Ours(), Theirs()
    ours(x), theirs(x)
    randomize(theirs)
    theirs.save_weights(str(tmp_path / "theirs.weights.h5"))
    ours.load_weights(tmp_path / "theirs.weights.h5")
    assert_same(ours, theirs, x)
    randomize(ours)
    ours.save_weights(tmp_path / "ours.weights.h5")
    theirs.load_weights(str(tmp_path / "ours.weights.h5"))
    assert_same(ours, theirs, x)


def test_registered_layer_needs_no_custom_objects(tmp_path):
    registered = keras.saving.register_keras_serializable("tests_of_saving")(
        type("RegisteredScale", (Scale,), {})
    )
    model = keras.Sequential([layers.Input((3,)), registered(3.0)])
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        assert load_model(tmp_path / name).layers[0].factor == 3.0


# ----------------------------------------------------------------------------------------- weights


@pytest.mark.parametrize("name", ["m.weights.h5", "m.h5", "m.keras"])
def test_weights_alone(case, name, tmp_path):
    build, x = case
    model, other = build(keras), build(keras)
    randomize(model)
    (model.save if name.endswith(".keras") else model.save_weights)(tmp_path / name)
    other.load_weights(tmp_path / name)
    assert_same(model, other, x, exact=True)


@pytest.mark.parametrize("name", ["m.weights.h5", "m.h5"])
def test_weights_are_exchanged_with_keras(case, name, tmp_path, real_keras):
    build, x = case
    ours, theirs = build(keras), build(real_keras)
    path = str(tmp_path / name)
    if name == "m.h5":
        randomize(theirs)
        theirs.save(path)
    else:
        randomize(ours)
        ours.save_weights(path)
        theirs.load_weights(path)
        randomize(theirs)
        theirs.save_weights(path)
    ours.load_weights(path)
    assert_same(ours, theirs, x)


def test_weights_by_name_and_what_does_not_fit(tmp_path):
    def build(last):
        return keras.Sequential(
            [layers.Input((3,)), layers.Dense(4, name="a"), layers.Dense(last, name=f"b{last}")]
        )

    model, other = build(2), build(5)
    model.save_weights(tmp_path / "m.h5")
    before = other.layers[1].get_weights()
    with pytest.raises(ValueError, match=r'"kernel" of "b5" has shape \(4, 5\).*\(4, 2\)'):
        other.load_weights(tmp_path / "m.h5")
    assert not np.array_equal(other.layers[0].kernel.numpy(), model.layers[0].kernel.numpy())
    other.load_weights(tmp_path / "m.h5", by_name=True)
    np.testing.assert_array_equal(other.layers[0].kernel.numpy(), model.layers[0].kernel.numpy())
    other = build(5)
    before = other.layers[1].get_weights()
    for name in ("m.h5", "m.weights.h5"):
        model.save_weights(tmp_path / name)
        with pytest.warns(UserWarning, match="skipped"):
            other.load_weights(tmp_path / name, skip_mismatch=True)
        np.testing.assert_array_equal(
            other.layers[0].kernel.numpy(), model.layers[0].kernel.numpy()
        )
        np.testing.assert_array_equal(other.layers[1].get_weights()[0], before[0])


def test_models_without_weights_say_so(tmp_path):
    model = keras.Sequential([layers.Dense(2)])
    with pytest.raises(ValueError, match="no weights yet"):
        model.save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match="no weights yet"):
        model.load_weights(tmp_path / "m.weights.h5")


def test_models_without_weights_are_saved_as_they_are(tmp_path):
    model = keras.Sequential([layers.Dense(2, activation="relu")])
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        loaded = keras.saving.load_model(tmp_path / name)
        assert not loaded.built
        assert loaded.layers[0].units == 2


# --------------------------------------------------------------------------------- writing of files


def test_overwrite_and_endings(tmp_path):
    model = keras.Sequential([layers.Input((3,)), layers.Dense(2)])
    path = tmp_path / "m.keras"
    model.save(path)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save(path, overwrite=False)
    with pytest.raises(ValueError, match="cannot tell the format"):
        model.save(tmp_path / "model.bin")
    with pytest.raises(IsADirectoryError):
        os.mkdir(tmp_path / "d.keras")
        model.save(tmp_path / "d.keras")
    with pytest.raises(ValueError, match="should end in"):
        model.save_weights(tmp_path / "weights.ckpt")
    keras.models.save_model(model, path)
    assert load_model(str(path)).layers[0].units == 2


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.weights.h5"])
def test_a_failure_leaves_the_old_file(name, tmp_path, monkeypatch):
    model = convolutions(keras)
    write = model.save_weights if "weights" in name else model.save
    write(tmp_path / name)
    before = (tmp_path / name).read_bytes()
    for function in ("graphc.serialize.hdf5.write_array", "os.fsync", "os.replace"):
        with monkeypatch.context() as patch:
            patch.setattr(function, _fail_the_second_time(function))
            with pytest.raises(OSError, match="the disk is full"):
                write(tmp_path / name)
                write(tmp_path / name)
        assert (tmp_path / name).stat().st_size >= len(before) - 8
        assert os.listdir(tmp_path) == [name]
        assert_same(model, _loaded(model, tmp_path / name), MODELS["convolutions"][1], exact=True)


def _loaded(model, path):
    if "weights" not in path.name:
        return load_model(path)
    other = convolutions(keras)
    other.load_weights(path)
    return other


def _fail_the_second_time(function):
    real = {"os.fsync": os.fsync, "os.replace": os.replace}.get(function)
    calls = []

    def fail(*args):
        calls.append(args)
        if real is None or len(calls) > 1:
            raise OSError("the disk is full")
        return real(*args)

    return fail
