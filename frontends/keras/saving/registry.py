"""Which classes and functions a file may name, and how objects become dictionaries and back.

A file is data: it can only choose among the classes of this package (`public` lists them), those
that the program registered (`register_keras_serializable`), and those that the caller handed in
(``custom_objects``). No module that a file names is imported, and no code in a file is run.

The dictionaries are Keras 3's (``module``, ``class_name``, ``config``, ``registered_name``); those
of Keras 2 (``class_name``, ``config``) are read too. See https://keras.io/api/saving/.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType
from typing import Any, NoReturn, TypeVar

import numpy as np

from graphc.eager import Tensor, as_tensor
from graphc.ir import numpy_dtype

T = TypeVar("T")

#: Class or function name -> the places of Keras's API that have one of this name, and the object.
_public_objects: dict[str, dict[str, Any]] = {}
_public_modules: dict[Any, str] = {}
_registered_objects: dict[str, Any] = {}
_registered_names: dict[Any, str] = {}

_scoped_objects: ContextVar[Mapping[str, Any] | None] = ContextVar("custom_objects", default=None)
#: By identity: objects written so far, and their dictionaries.
_written: ContextVar[dict[int, tuple[Any, Any]] | None] = ContextVar("written", default=None)
#: By the mark in a file: objects read so far.
_read: ContextVar[dict[Any, Any] | None] = ContextVar("read", default=None)

#: Where a name without a module is looked for first.
_PREFERENCE = (
    "keras", "keras.models", "keras.layers", "keras.initializers", "keras.regularizers",
    "keras.constraints", "keras.optimizers", "keras.optimizers.schedules", "keras.losses",
    "keras.metrics", "keras.activations",
)  # fmt: skip

#: Packages whose class names mean the classes here.
_KERAS_PACKAGES = ("keras", "tf_keras", "tensorflow", "keras_nlp", "builtins")


# ----------------------------------------------------------------------------------- what there is


def public(module: str, name: str | None = None) -> Callable[[T], T]:
    """Decorator: make a class or function of this package one that files may name.

    Args:
        module: Keras's module, such as ``"keras.layers"``; it is written into files.
        name: The name there; by default the object's own.
    """

    def add(target: T) -> T:
        _public_objects.setdefault(name or target.__name__, {})[module] = target  # type: ignore
        _public_modules.setdefault(target, module)
        return target

    return add


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[T], T]:
    """Decorator: make a class or function of yours one that files may name.

    Args:
        package: The first part of the name in files, ``"package>name"``.
        name: The second part; by default the object's own name.

    Raises:
        ValueError: A class without a ``get_config`` method.

    Example:
        >>> @keras.saving.register_keras_serializable("my_package")
        ... class Scale(keras.layers.Layer):
        ...     ...
    """

    def register(target: T) -> T:
        if inspect.isclass(target) and not hasattr(target, "get_config"):
            raise ValueError(
                f"Cannot register the class {target.__name__}: it has no get_config() method, "
                f"so nobody could write down how to make another one."
            )
        key = f"{package}>{name or target.__name__}"  # type: ignore[attr-defined]
        _registered_objects[key] = target
        _registered_names[target] = key
        return target

    return register


def get_registered_name(obj: Any) -> str:
    """The name under which ``obj`` was registered; its own name if it was not."""
    return _registered_names.get(obj) or obj.__name__


def get_registered_object(
    name: str,
    custom_objects: Mapping[str, Any] | None = None,
    module_objects: Mapping[str, Any] | None = None,
) -> Any:
    """The class or function known as ``name``; None if there is none.

    Args:
        name: A name, with its package (``"package>name"``) if it was registered.
        custom_objects: Objects to look among after those in scope and those registered.
        module_objects: Objects to look among at last.
    """
    for objects in (_scoped_objects.get(), _registered_objects, custom_objects, module_objects):
        if objects and name in objects:
            return objects[name]
    return None


def get_custom_objects() -> dict[str, Any]:
    """The registered objects by name: a live dictionary that may be changed."""
    return _registered_objects


class CustomObjectScope:
    """Within ``with custom_object_scope({"Scale": Scale}):`` files may name these objects.

    Args:
        custom_objects: Names to classes or functions.
    """

    def __init__(self, custom_objects: Mapping[str, Any] | None):
        self.custom_objects = dict(custom_objects or {})
        self._tokens: list[Any] = []

    def __enter__(self) -> CustomObjectScope:
        known = {**(_scoped_objects.get() or {}), **self.custom_objects}
        self._tokens.append(_scoped_objects.set(known))
        return self

    def __exit__(self, *_: object) -> None:
        _scoped_objects.reset(self._tokens.pop())


custom_object_scope = CustomObjectScope


@contextmanager
def sharing_when_writing() -> Iterator[None]:
    """Within the block an object that is written twice gets a mark."""
    token = _written.set({})
    try:
        yield
    finally:
        _written.reset(token)


@contextmanager
def sharing_when_reading() -> Iterator[None]:
    """Within the block dictionaries with the same mark become one object."""
    token = _read.set({})
    try:
        yield
    finally:
        _read.reset(token)


# --------------------------------------------------------------------------------------- writing


@dataclass(frozen=True)
class TensorReference:
    """A tensor of a functional model, as a file names it.

    Attributes:
        shape: Its shape; None for an open size.
        dtype: Its element type.
        history: Name of the layer that made it, which call of the layer, which of its outputs.
    """

    shape: tuple[int | None, ...]
    dtype: str
    history: tuple[str, int, int]


def serialize_keras_object(obj: Any) -> Any:
    """The dictionary (or plain value) from which ``obj`` can be made again.

    Args:
        obj: Plain values, lists, dictionaries, arrays, functions and every object with a
            ``get_config`` method.

    Raises:
        TypeError: An object that has no ``get_config``.

    Example:
        >>> keras.saving.serialize_keras_object(keras.initializers.Zeros())
        {'module': 'keras.initializers', 'class_name': 'Zeros', 'config': {}, ...}
    """
    if obj is None or isinstance(obj, (str, bool, int, float)):
        return obj
    if isinstance(obj, (list, tuple)):
        return type(obj)(map(serialize_keras_object, obj)) if type(obj) in (list, tuple) else [
            serialize_keras_object(item) for item in obj
        ]  # fmt: skip
    if isinstance(obj, dict):
        return {key: serialize_keras_object(value) for key, value in obj.items()}
    data = _serialize_data(obj)
    if data is not None:
        return data
    return _serialize_object(obj)


def _serialize_data(obj: Any) -> Any:
    """Arrays and the like; None for anything else."""
    if isinstance(obj, bytes):
        return {"class_name": "__bytes__", "config": {"value": obj.decode("utf-8")}}
    if isinstance(obj, slice):
        parts = {"start": obj.start, "stop": obj.stop, "step": obj.step}
        return {"class_name": "__slice__", "config": serialize_keras_object(parts)}
    if obj is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(obj, TensorReference):
        config = {"shape": obj.shape, "dtype": obj.dtype, "keras_history": list(obj.history)}
        return {"class_name": "__keras_tensor__", "config": config}
    if isinstance(obj, (np.ndarray, np.generic, Tensor)):
        array = np.asarray(obj)
        if not array.ndim and not isinstance(obj, Tensor):
            return array.item()
        kind = "__tensor__" if isinstance(obj, Tensor) else "__numpy__"
        config = {"value": array.tolist(), "dtype": array.dtype.name}
        return {"class_name": kind, "config": config}
    return None


def _serialize_object(obj: Any) -> dict[str, Any]:
    if getattr(obj, "__name__", "") == "<lambda>":
        raise TypeError(
            "Cannot serialize a lambda: a file holds no code. Give the function a name with "
            "`def`, and hand it in as custom_objects={'its_name': its_name} when you load."
        )
    if isinstance(obj, (FunctionType, BuiltinFunctionType)):
        return {
            "module": "builtins",
            "class_name": "function",
            "config": get_registered_name(obj),
            "registered_name": "function",
        }
    if not hasattr(obj, "get_config"):
        raise TypeError(
            f"Cannot serialize {obj!r} of type {type(obj).__name__}: its class needs a "
            f"get_config() method that returns the arguments to make another one."
        )
    settings = obj.get_config()
    if not isinstance(settings, dict):
        raise TypeError(
            f"{type(obj).__name__}.get_config() should return a dictionary. Received: {settings!r}"
        )
    module = _public_modules.get(type(obj))
    config = {
        "module": module or type(obj).__module__,
        "class_name": type(obj).__name__,
        "config": {key: serialize_keras_object(value) for key, value in settings.items()},
        "registered_name": None if module else get_registered_name(type(obj)),
    }
    if config["module"] == "__main__":
        config["module"] = None
    for key in ("build_config", "compile_config"):
        extra = getattr(obj, f"get_{key}", lambda: None)()
        if extra is not None:
            config[key] = serialize_keras_object(extra)
    _mark_if_shared(obj, config)
    return config


def _mark_if_shared(obj: Any, config: dict[str, Any]) -> None:
    seen = _written.get()
    if seen is None:
        return
    if id(obj) in seen:
        config["shared_object_id"] = seen[id(obj)][1]["shared_object_id"] = id(obj)
    else:
        seen[id(obj)] = (obj, config)  # with the object, so that its identity stays taken


# --------------------------------------------------------------------------------------- reading


class _DeserializationError(TypeError):
    """The innermost dictionary that nothing can be made of."""


def deserialize_keras_object(
    config: Any,
    custom_objects: Mapping[str, Any] | None = None,
    safe_mode: bool = True,
    module_objects: Mapping[str, Any] | None = None,
) -> Any:
    """The object that a dictionary of `serialize_keras_object` (or of Keras 2) describes.

    Args:
        config: The dictionary, a name, a plain value, or a list of them.
        custom_objects: Classes and functions that may be named besides those known.
        safe_mode: Accepted as in Keras. Code in files is never run, whatever it is.
        module_objects: The objects that are looked among first: those of one family, such as the
            losses, where a name is also one of another family.

    Raises:
        ValueError: A lambda.
        TypeError: An unknown class, or a ``config`` that its class refuses.

    Example:
        >>> keras.saving.deserialize_keras_object({"class_name": "Zeros", "config": {}})
    """
    if custom_objects:
        with CustomObjectScope(custom_objects):
            return deserialize_keras_object(config, None, safe_mode, module_objects)
    if isinstance(config, (list, tuple)):
        return [deserialize_keras_object(x, None, safe_mode, module_objects) for x in config]
    if isinstance(config, str):
        return _named(config, module_objects)
    if not isinstance(config, dict):
        return config
    if "class_name" not in config or "config" not in config:
        return {key: deserialize_keras_object(x, None, safe_mode) for key, x in config.items()}
    if not isinstance(config["class_name"], str):
        raise _DeserializationError(f"`class_name` should be text: {config!r:.200}")
    if config["class_name"].startswith("__"):
        return _deserialize_data(config)
    if config["class_name"] == "function":
        return _find(str(config["config"]), config, module_objects)
    return _deserialize_object(config, module_objects)


def _named(name: str, module_objects: Mapping[str, Any] | None) -> Any:
    """A function or a new object of a class, if the name is one; else the text itself."""
    found = get_registered_object(name, None, module_objects)
    if found is None:
        return name
    is_ours = inspect.isclass(found) and (module_objects or {}).get(name) is found
    return found() if is_ours else found


def _deserialize_data(config: dict[str, Any]) -> Any:
    inner = config["config"]
    match config["class_name"]:
        case "__bytes__":
            return inner["value"].encode("utf-8")
        case "__slice__":
            return slice(*(deserialize_keras_object(inner[k]) for k in ("start", "stop", "step")))
        case "__ellipsis__":
            return Ellipsis
        case "__numpy__":
            return np.array(inner["value"], dtype=numpy_dtype(inner["dtype"]))
        case "__tensor__":
            return as_tensor(np.array(inner["value"], dtype=numpy_dtype(inner["dtype"])))
        case "__keras_tensor__":
            layer, node, output = inner["keras_history"]
            return TensorReference(tuple(inner["shape"]), inner["dtype"], (layer, node, output))
        case "__tuple__":
            return tuple(deserialize_keras_object(item) for item in inner["value"])
        case "__lambda__":
            raise ValueError(
                "The file holds the code of a lambda, and code from files is never run here, "
                "with any `safe_mode`. Build the model in Python and load only its weights "
                "(`load_weights`)."
            )
    raise TypeError(f"Unknown kind of data {config['class_name']!r} in {config}")


def _deserialize_object(config: dict[str, Any], module_objects: Mapping[str, Any] | None) -> Any:
    shared = _read.get()
    mark = config.get("shared_object_id")
    if shared is not None and mark in shared:
        return shared[mark]
    found = _find(config["class_name"], config, module_objects)
    settings = config["config"] or {}
    if not inspect.isclass(found):
        return found
    if not hasattr(found, "from_config"):
        raise TypeError(f"The class {found.__name__} has no from_config() method: {config}")
    if not isinstance(settings, dict):
        raise TypeError(
            f"The `config` of {config['class_name']} should be a dictionary. "
            f"Received: {settings!r:.200}"
        )
    try:
        instance = found.from_config(settings)  # type: ignore[attr-defined]
    except TypeError as error:
        if isinstance(error, _DeserializationError):
            raise
        raise _DeserializationError(
            f"Cannot make a {config['class_name']} from its config {settings}: {error}"
        ) from error
    if config.get("build_config") and hasattr(instance, "build_from_config"):
        instance.build_from_config(deserialize_keras_object(config["build_config"]))
    if config.get("compile_config"):
        instance.compile_from_config(config["compile_config"])
    if shared is not None and mark is not None:
        shared[mark] = instance
    return instance


def _find(name: str, config: dict[str, Any], module_objects: Mapping[str, Any] | None) -> Any:
    """The class or function a dictionary names, from the allow-list."""
    registered = config.get("registered_name")
    for key in (registered, name):
        if isinstance(key, str) and key != "function":
            found = get_registered_object(key)
            if found is not None:
                return found
    if isinstance(registered, str) and ">" in registered:
        _unknown(name, config)
    module = config.get("module") or ""
    if module.split(".")[0] not in (*_KERAS_PACKAGES, ""):
        _unknown(name, config)
    if module_objects and name in module_objects:
        return module_objects[name]
    places = _public_objects.get(name, {})
    if not places:
        _unknown(name, config)
    return _nearest(places, module)


def find_class(config: Mapping[str, Any]) -> type | None:
    """The class of this package that a dictionary names; None for others, and for users' own."""
    name = str(config["class_name"])
    if get_registered_object(name) is not None:
        return None
    module = str(config.get("module") or "")
    if module.split(".")[0] not in (*_KERAS_PACKAGES, "") or ".ops" in module:
        return None
    places = _public_objects.get(name, {})
    if not places:
        return None
    found = _nearest(places, module)
    return found if inspect.isclass(found) else None


def _nearest(places: Mapping[str, Any], module: str) -> Any:
    return places[min(places, key=lambda place: _distance(place, module))]


def _distance(place: str, module: str) -> tuple[bool, bool, int]:
    """How badly a place of the API fits a module that a file names; smaller is better."""
    family = place.split(".")[-1].rstrip("s")
    rank = _PREFERENCE.index(place) if place in _PREFERENCE else len(_PREFERENCE)
    return place != module, not any(p.startswith(family) for p in module.split(".")[1:]), rank


def _unknown(name: str, config: dict[str, Any]) -> NoReturn:
    module = config.get("module")
    origin = f" of module {module!r}" if module and module != "builtins" else ""
    kind = "function" if config["class_name"] == "function" else "class"
    raise _DeserializationError(
        f"Unknown {kind} {name!r}{origin}. If it is yours, hand it in as custom_objects="
        f"{{{name!r}: {name.split('>')[-1]}}} or decorate it with "
        f"@keras.saving.register_keras_serializable(). Received config: {config}"
    )
