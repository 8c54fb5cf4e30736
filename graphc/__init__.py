"""graphc: a deep-learning graph compiler that people use through the Keras API."""

import importlib as _importlib
import os as _os
from typing import Any as _Any

__version__ = "0.1.0"

# Installed, the runtime and the front-ends lie inside this folder; in a checkout, beside it.
_checkout = _os.path.dirname(_os.path.dirname(_os.path.abspath(__file__)))
if _os.path.isfile(_os.path.join(_checkout, "pyproject.toml")):
    __path__ += [_os.path.join(_checkout, "frontends"), _checkout]


def __getattr__(name: str) -> _Any:
    """A package below this one, or one of TensorFlow's names (`graphc.names`): loaded when used."""
    if name.startswith("_"):
        raise AttributeError(f"module 'graphc' has no attribute {name!r}")
    try:
        return _importlib.import_module(f"graphc.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"graphc.{name}":
            raise
    value = globals()[name] = _importlib.import_module("graphc.names").find(name)
    return value


def __dir__() -> list[str]:
    """What is loaded, and every name that `__getattr__` knows."""
    return sorted({*globals(), *_importlib.import_module("graphc.names").TABLE})
