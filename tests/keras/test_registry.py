"""keras.saving.registry: what files may name, and objects to dictionaries and back."""

import os

import numpy as np
import pytest

from graphc.keras import initializers, losses, metrics, optimizers
from graphc.keras.engine import naming
from graphc.keras.saving import registry
from graphc.keras.saving.registry import (
    CustomObjectScope,
    deserialize_keras_object,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
    sharing_when_reading,
    sharing_when_writing,
)


class Doubling(initializers.Initializer):
    def __init__(self, base):
        self.base = base

    def __call__(self, shape, dtype=None):
        return np.full(shape, 2 * self.base, dtype)

    def get_config(self):
        return {"base": self.base}


def plain_function(x):
    return x


@pytest.mark.parametrize(
    "value",
    [
        None, 1, 1.5, True, "text", [1, [2, "a"]], (1, 2), {"a": [1], "b": None}, b"bytes",
        slice(1, None, 2), Ellipsis,
    ],
)  # fmt: skip
def test_plain_values(real_keras, value):
    written = serialize_keras_object(value)
    assert written == real_keras.saving.serialize_keras_object(value)
    read = deserialize_keras_object(written)
    assert read == (list(value) if isinstance(value, tuple) else value)


def test_arrays(real_keras):
    array = np.array([[1.5, 2.0]], "float16")
    written = serialize_keras_object(array)
    assert written == real_keras.saving.serialize_keras_object(array)
    read = deserialize_keras_object(written)
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)
    assert serialize_keras_object(np.float32(2)) == 2.0


def test_own_classes_are_custom():
    written = serialize_keras_object(Doubling(3))
    assert written["registered_name"] == "Doubling"
    with pytest.raises(TypeError, match="Unknown class 'Doubling'.*custom_objects"):
        deserialize_keras_object(written)
    assert deserialize_keras_object(written, {"Doubling": Doubling}).base == 3
    with CustomObjectScope({"Doubling": Doubling}):
        assert deserialize_keras_object(written).base == 3
        with CustomObjectScope({"other": 1}):  # scopes add up
            assert deserialize_keras_object(written).base == 3
    with pytest.raises(TypeError):
        deserialize_keras_object(written)


def test_registered_classes(monkeypatch):
    monkeypatch.setattr(registry, "_registered_objects", {})
    monkeypatch.setattr(registry, "_registered_names", {})
    registered = register_keras_serializable("mine", "Twice")(Doubling)
    assert registered is Doubling
    assert get_registered_name(Doubling) == "mine>Twice"
    assert get_registered_object("mine>Twice") is Doubling
    written = serialize_keras_object(Doubling(2))
    assert written["registered_name"] == "mine>Twice"
    assert deserialize_keras_object(written).base == 2
    register_keras_serializable("mine")(plain_function)
    assert deserialize_keras_object(serialize_keras_object(plain_function)) is plain_function
    with pytest.raises(ValueError, match="has no get_config"):
        register_keras_serializable()(type("Bare", (), {}))


def test_the_module_tells_names_apart():
    for module, kind in (
        ("keras.losses", losses.Poisson),
        ("keras.metrics", metrics.Poisson),
        ("keras.src.metrics.probabilistic_metrics", metrics.Poisson),
        ("keras.src.losses.losses", losses.Poisson),
    ):
        config = {"module": module, "class_name": "Poisson", "config": {}}
        assert type(deserialize_keras_object(config)) is kind
    old = {"class_name": "Poisson", "config": {"name": "p"}}
    assert type(metrics.deserialize(old)) is metrics.Poisson
    assert type(losses.deserialize(old)) is losses.Poisson
    adam = {"module": "tf_keras.src.optimizers.adam", "class_name": "Adam", "config": {}}
    assert type(deserialize_keras_object(adam)) is optimizers.Adam


@pytest.mark.parametrize(
    "config, error, text",
    [
        ({"class_name": "system", "module": "os", "config": {}}, TypeError, "of module 'os'"),
        ({"class_name": "function", "module": "os", "config": "system"}, TypeError, "'system'"),
        ({"class_name": "function", "module": "builtins", "config": "eval"}, TypeError, "'eval'"),
        ({"class_name": "Zeros", "module": "evil.keras", "config": {}}, TypeError, "'evil.keras'"),
        (
            {"class_name": "Zeros", "module": "keras.initializers", "config": {},
             "registered_name": "mine>Zeros"},
            TypeError, "Unknown class 'Zeros'",
        ),
        ({"class_name": "__lambda__", "config": {"value": "4wAAAA=="}}, ValueError, "never run"),
        ({"class_name": "__reduce__", "config": {}}, TypeError, "Unknown kind of data"),
        ({"class_name": "Constant", "config": [1]}, TypeError, "should be a dictionary"),
        ({"class_name": "Zeros", "config": {"bad": 1}}, TypeError, "Cannot make a Zeros"),
        ({"class_name": "get_file", "module": "keras.utils", "config": {}}, TypeError, "Unknown"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("safe_mode", [True, False])
def test_files_name_only_what_is_allowed(config, error, text, safe_mode, monkeypatch):
    monkeypatch.setattr(os, "system", lambda *_: pytest.fail("a file ran a command"))
    with pytest.raises(error, match=text):
        deserialize_keras_object(config, safe_mode=safe_mode)


def test_lambdas_are_refused():
    with pytest.raises(TypeError, match="Cannot serialize a lambda"):
        serialize_keras_object(lambda x: x)
    with pytest.raises(TypeError, match="needs a get_config"):
        serialize_keras_object(object())


def test_one_object_in_two_places_stays_one():
    shared = initializers.Constant(4.0)
    with sharing_when_writing():
        written = serialize_keras_object([shared, initializers.Zeros(), shared])
    assert written[0]["shared_object_id"] == written[2]["shared_object_id"]
    assert "shared_object_id" not in written[1]
    with sharing_when_reading():
        first, _, second = deserialize_keras_object(written)
    assert first is second and first.value == 4.0


@pytest.mark.parametrize(
    "name", ["GlorotUniform", "L1L2", "MeanIoU", "AUC", "F1Score", "Conv2D", "PReLU", "R2Score",
             "KLDivergence", "RMSprop", "Zeros", "TopKCategoricalAccuracy"],
)  # fmt: skip
def test_snake_case(real_keras, name):
    from keras.src.utils.naming import to_snake_case

    assert naming.to_snake_case(name) == to_snake_case(name)
