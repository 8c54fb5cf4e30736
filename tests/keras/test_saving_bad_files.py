"""Files that are damaged, incomplete or malicious: one error, and nothing half-loaded."""

import io
import json
import os
import random
import warnings
import zipfile

import h5py
import numpy as np
import pytest

from graphc import keras
from graphc.errors import FileFormatError
from graphc.keras import layers
from graphc.keras.models import load_model, model_from_json, model_from_yaml


def small_model():
    return keras.Sequential(
        [layers.Input((3,)), layers.Dense(4, activation="relu"), layers.Dense(2)], name="small"
    )


def refuse(path, pattern):
    """Loading ends in the one error, which names the file."""
    with pytest.raises(FileFormatError, match=pattern) as caught:
        load_model(path)
    assert os.path.basename(path) in str(caught.value)


def archive(path, **changes):
    """A good .keras file with some members replaced; None leaves one out."""
    small_model().save(path)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    members.update({name.replace("__", "."): content for name, content in changes.items()})
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            if content is not None:
                file.writestr(name, content)
    return members


def h5_file(path, change):
    """A good .h5 file after a change to it."""
    small_model().save(path)
    with h5py.File(path, "r+") as file:
        change(file)


# ------------------------------------------------------------------------------------ not a model


@pytest.mark.parametrize(
    "content, pattern",
    [
        (b"", "empty"),
        (b"hello, world", "neither"),
        (b"PK\x03\x04 no archive", "neither|zip"),
        (b"\x89HDF\r\n\x1a\n no HDF5", "HDF5"),
        (b"\x00" * 4096, "neither"),
    ],
)
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_other_content(content, pattern, ending, tmp_path):
    path = tmp_path / f"m{ending}"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=f"{pattern}|zip"):
        load_model(path)
    model = small_model()
    before = model.get_weights()
    with pytest.raises(FileFormatError):
        model.load_weights(path)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_missing_files_and_directories(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.keras"):
        load_model(tmp_path / "nowhere.keras")
    (tmp_path / "folder.keras").mkdir()
    refuse(tmp_path / "folder.keras", "directory")


# ---------------------------------------------------------------------------------- .keras archives


def test_members_are_missing(tmp_path):
    path = tmp_path / "m.keras"
    archive(path, config__json=None)
    refuse(path, r'no "config\.json"')
    archive(path)
    archive(path, **{"model.weights.h5": None})
    refuse(path, r'no "model\.weights\.h5"')


@pytest.mark.parametrize(
    "text, pattern",
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"[1, 2]", "dictionary"),
        (b"\xff\xfe", "no JSON"),
        (b'{"a":' * 100_000, "nests too deeply|no JSON"),
        (b"[" * 100_000, "nests too deeply"),
        (b'{"class_name": "Sequential"}', "no model"),
        (b'{"class_name": "Sequential", "config": {}}', "'layers' is missing"),
        (b'{"class_name": "Sequential", "config": 3}', "should be a dictionary"),
        (b'{"class_name": "Dense", "config": {"units": -1}}', "positive"),
        (b'{"class_name": "Adam", "config": {}}', "no model"),
        (b'{"class_name": "__lambda__", "config": {"code": ""}}', "never run"),
        (b'{"class_name": "system", "module": "os", "config": {}}', "Unknown class"),
        (b'{"class_name": "function", "module": "os", "config": "system"}', "Unknown function"),
        (b'{"class_name": null, "config": {}}', "should be text"),
        (b'{"class_name": "Dense", "config": {"units": 3}}', "no model"),
    ],
)
def test_bad_configurations(text, pattern, tmp_path):
    path = tmp_path / "m.keras"
    archive(path, config__json=text)
    refuse(path, pattern)
    with pytest.raises(FileFormatError, match=pattern):
        model_from_json(text.decode("latin-1"))


def functional_config(**changes):
    x = keras.Input((3,), name="x")
    config = json.loads(keras.Model(x, layers.Dense(2, name="d")(x)).to_json())
    config["config"].update(changes)
    return config


@pytest.mark.parametrize(
    "changes, pattern",
    [
        ({"output_layers": ["d", 3, 0]}, "does not exist"),
        ({"output_layers": ["nobody", 0, 0]}, 'no layer "nobody"'),
        ({"output_layers": ["d", 0, 7]}, "index"),
        ({"output_layers": 3}, "int"),
        ({"layers": None}, "None"),
        ({"layers": [{}]}, "config"),
    ],
)
def test_bad_graphs(changes, pattern):
    with pytest.raises(FileFormatError, match=pattern):
        model_from_json(json.dumps(functional_config(**changes)))


def test_calls_in_a_circle():
    config = functional_config()
    dense = config["config"]["layers"][1]
    text = json.dumps(dense["inbound_nodes"]).replace('["x", 0, 0]', '["d", 0, 0]')
    dense["inbound_nodes"] = json.loads(text)
    with pytest.raises(FileFormatError, match="circle"):
        model_from_json(json.dumps(config))


def test_names_that_leave_the_archive(tmp_path):
    path = tmp_path / "m.keras"
    for name in ("../evil", "/etc/evil", "a/../../evil", "C:/evil"):
        archive(path)
        with zipfile.ZipFile(path, "a") as file:
            file.writestr(name, b"content")
        refuse(path, "outside of itself")
    assert sorted(os.listdir(tmp_path)) == ["m.keras"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_doubled_members_and_bombs(tmp_path):
    path = tmp_path / "m.keras"
    archive(path)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("config.json", b"{}")
    refuse(path, "two members")
    archive(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb", bytes(1 << 27))
    refuse(path, "bomb")


# --------------------------------------------------------------------------------------- HDF5 files


def test_missing_parts_of_hdf5(tmp_path):
    path = tmp_path / "m.h5"

    def weights_of(name):
        return f"model_weights/{name}"

    def no_config(file):
        del file.attrs["model_config"]

    def no_layer(file):
        name = file["model_weights"].attrs["layer_names"][0].decode()
        del file[weights_of(name)]

    def no_names(file):
        del file["model_weights"].attrs["layer_names"]

    def no_array(file):
        name = file["model_weights"].attrs["layer_names"][0].decode()
        del file[weights_of(name)][name]

    def other_shape(file):
        name = file["model_weights"].attrs["layer_names"][1].decode()
        del file[weights_of(name)][f"{name}/kernel"]
        file[weights_of(name)][f"{name}/kernel"] = np.zeros((4, 3), "float32")

    def text(file):
        name = file["model_weights"].attrs["layer_names"][1].decode()
        del file[weights_of(name)][f"{name}/kernel"]
        file[weights_of(name)][f"{name}/kernel"] = np.array([b"x"] * 8)

    def number_as_config(file):
        file.attrs["model_config"] = 3

    for change, pattern in (
        (no_config, 'no "model_config"'),
        (no_layer, "are missing"),
        (no_names, "layer_names"),
        (no_array, "no array"),
        (other_shape, r"shape \(4, 2\)"),
        (text, "not numbers"),
        (number_as_config, "not text"),
    ):
        h5_file(path, change)
        refuse(path, pattern)


def _first_kernel(file):
    """The group and name of the kernel of the first layer."""
    name = file["model_weights"].attrs["layer_names"][0].decode()
    return file[f"model_weights/{name}/{name}"], "kernel"


def test_arrays_outside_of_the_file(tmp_path):
    path, other = tmp_path / "m.h5", tmp_path / "other.h5"
    raw = tmp_path / "raw.bin"
    raw.write_bytes(bytes(1000))
    with h5py.File(other, "w") as file:
        file["secret"] = np.zeros((3, 4), "float32")

    def replaced(make):
        def change(file):
            group, name = _first_kernel(file)
            del group[name]
            make(group, name)

        return change

    def external_link(group, name):
        group[name] = h5py.ExternalLink(str(other), "secret")

    def soft_link(group, name):
        group[name] = h5py.SoftLink("/anything")

    def external_storage(group, name):
        group.create_dataset(name, (3, 4), "float32", external=[(str(raw), 0, 48)])

    def virtual(group, name):
        layout = h5py.VirtualLayout((3, 4), "float32")
        layout[:] = h5py.VirtualSource(str(other), "secret", (3, 4))
        group.create_virtual_dataset(name, layout)

    for make, pattern in (
        (external_link, "ExternalLink"),
        (soft_link, "SoftLink"),
        (external_storage, "another file"),
        (virtual, "another file"),
    ):
        h5_file(path, replaced(make))
        refuse(path, pattern)


def test_huge_declared_sizes(tmp_path):
    path = tmp_path / "m.h5"

    def change(file):
        group, name = _first_kernel(file)
        del group[name]
        group.create_dataset(name, (1 << 20, 1 << 20), "float64", chunks=(1024, 1024))

    h5_file(path, change)
    refuse(path, "declares 8796093022208 bytes but stores 0")


@pytest.mark.parametrize("size", [4096, 2**32, 2**64 - 16, 2**64 - 1])
@pytest.mark.parametrize("which", [0, 1, -1])
def test_texts_of_a_damaged_length(size, which, tmp_path):
    """Where the HDF5 library would run in circles."""
    path = tmp_path / "m.h5"
    small_model().save(path)
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    end = heap + int.from_bytes(content[heap + 8 : heap + 16], "little")
    objects = []
    position = heap + 16
    while position < end:
        objects.append(position)
        length = int.from_bytes(content[position + 8 : position + 16], "little")
        position += length if content[position] == 0 else 16 + -(-length // 8) * 8
    place = objects[which] + 8
    content[place : place + 8] = size.to_bytes(8, "little")
    path.write_bytes(content)
    refuse(path, "heap of texts")


def test_weights_with_bad_links_change_nothing(tmp_path):
    model = small_model()
    before = model.get_weights()
    path = tmp_path / "m.weights.h5"
    model.save_weights(path)
    with h5py.File(path, "r+") as file:
        del file["layers/dense_1/vars/1"]
        file["layers/dense_1/vars/1"] = h5py.ExternalLink("other.h5", "x")
        file["layers/dense/vars/0"][...] = 7
    with pytest.raises(FileFormatError, match="ExternalLink"):
        model.load_weights(path)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# ------------------------------------------------------------------------------------ code in files


def lambda_config(function):
    return {
        "class_name": "Sequential",
        "config": {
            "name": "s",
            "layers": [
                {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 3]}},
                {
                    "class_name": "Lambda",
                    "config": {
                        "name": "twice",
                        "trainable": True,
                        "function": function,
                        "function_type": "lambda",
                        "module": "__main__",
                        "output_shape": None,
                        "output_shape_type": "raw",
                        "output_shape_module": None,
                        "arguments": {},
                    },
                },
            ],
        },
    }


CODE_OF_KERAS_2 = ["4wEAAAAAAAAAAAAAAA==\n", None, None]
CODE_OF_KERAS_3 = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None}}


@pytest.mark.parametrize("code", [CODE_OF_KERAS_2, CODE_OF_KERAS_3])
def test_code_is_never_run_but_may_be_replaced(code):
    text = json.dumps(lambda_config(code))
    with pytest.raises(FileFormatError, match=r"never run.*custom_objects=\{'twice': function\}"):
        model_from_json(text)
    model = model_from_json(text, custom_objects={"twice": lambda x: x * 2})
    np.testing.assert_array_equal(np.asarray(model(np.ones((1, 3), "float32"))), [[2, 2, 2]])


def test_functions_by_name_have_to_be_handed_in():
    text = json.dumps(lambda_config("double"))
    with pytest.raises(FileFormatError, match="Unknown function 'double'"):
        model_from_json(text)
    model = model_from_json(text, custom_objects={"double": lambda x: x * 2})
    np.testing.assert_array_equal(np.asarray(model(np.ones((1, 3), "float32"))), [[2, 2, 2]])


@pytest.mark.parametrize(
    "text, pattern",
    [
        ("!!python/object/apply:os.system ['true']", "no plain YAML"),
        ("a: &x [1]\nb: *x", "aliases"),
        ("a: [", "no plain YAML"),
        ("just text", "dictionary"),
        ("[" * 5000, "nests too deeply|no plain YAML"),
    ],
)
def test_bad_yaml(text, pattern):
    with pytest.raises(FileFormatError, match=pattern):
        model_from_yaml(text)


# --------------------------------------------------------------------------------------- at random


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.weights.h5"])
def test_damage_at_random(name, tmp_path):
    """Truncated files and flipped bytes: the one error, or a model whose file was still whole."""
    model = small_model()
    model.compile("sgd", "mse")
    path = tmp_path / name
    (model.save_weights if "weights" in name else model.save)(path)
    good = path.read_bytes()
    rng = random.Random(name)
    lengths = [rng.randrange(len(good)) for _ in range(25)]
    damaged = [good[:length] for length in lengths]
    for _ in range(75):
        content = bytearray(good)
        for _ in range(rng.choice([1, 1, 4, 32])):
            content[rng.randrange(len(good))] ^= 1 << rng.randrange(8)
        damaged.append(bytes(content))
    refused = 0
    for content in damaged:
        path.write_bytes(content)
        before = model.get_weights()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.load_weights(path)
                if "weights" not in name:
                    load_model(path)
        except FileFormatError:
            refused += 1
            if "weights" in name:
                for a, b in zip(before, model.get_weights(), strict=True):
                    np.testing.assert_array_equal(a, b)
    assert refused >= 25  # whatever is cut short is refused at least
    assert io.BytesIO(good).read(4) in (b"PK\x03\x04", b"\x89HDF")
