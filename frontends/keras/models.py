"""Models, and how they are saved and loaded: ``keras.models``; see https://keras.io/api/models/."""

from graphc.keras.engine.functional import Functional
from graphc.keras.engine.model import Model
from graphc.keras.engine.sequential import Sequential
from graphc.keras.saving.architecture import (
    clone_model,
    model_from_config,
    model_from_json,
    model_from_yaml,
)
from graphc.keras.saving.model_files import load_model, save_model

__all__ = [
    "Functional",
    "Model",
    "Sequential",
    "clone_model",
    "load_model",
    "model_from_config",
    "model_from_json",
    "model_from_yaml",
    "save_model",
]
