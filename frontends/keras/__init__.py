"""The Keras API: ``from graphc import keras``; see https://keras.io/api/."""

import importlib as _importlib
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from graphc.eager.variable import Variable
from graphc.keras import (
    activations,
    backend,
    callbacks,
    config,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    preprocessing,
    random,
    regularizers,
    saving,
    tree,
    utils,
)
from graphc.keras.engine.dtype_policy import DTypePolicy
from graphc.keras.engine.input_layer import Input
from graphc.keras.engine.input_spec import InputSpec
from graphc.keras.engine.keras_tensor import KerasTensor
from graphc.keras.engine.layer import Layer
from graphc.keras.engine.model import Model
from graphc.keras.engine.remat import RematScope, remat
from graphc.keras.engine.sequential import Sequential
from graphc.keras.initializers import Initializer
from graphc.keras.losses import Loss
from graphc.keras.metrics import Metric
from graphc.keras.optimizers import Optimizer
from graphc.keras.regularizers import Regularizer

if _TYPE_CHECKING:
    from graphc.keras import datasets

__all__ = [
    "DTypePolicy",
    "Initializer",
    "Input",
    "InputSpec",
    "KerasTensor",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Optimizer",
    "Regularizer",
    "RematScope",
    "Sequential",
    "Variable",
    "activations",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "preprocessing",
    "random",
    "regularizers",
    "remat",
    "saving",
    "tree",
    "utils",
]


def __getattr__(name: str) -> _Any:
    """``keras.datasets``, with the readers of archives that it needs: loaded when used."""
    if name == "datasets":
        return _importlib.import_module("graphc.keras.datasets")
    raise AttributeError(f"module 'graphc.keras' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What there is, loaded or not."""
    return sorted({*globals(), *__all__})
