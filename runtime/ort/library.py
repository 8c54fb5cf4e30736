"""Loading ONNX Runtime: the module that owns the import."""

from __future__ import annotations

import contextlib
import importlib
import io
from functools import cache
from typing import Any

from graphc.errors import UnsupportedError


@cache
def onnxruntime() -> Any:
    """The module `onnxruntime`, with the CUDA libraries that came from pip loaded.

    Raises:
        UnsupportedError: It is not installed, or does not load.
    """
    try:
        module = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise UnsupportedError(
            f"ONNX Runtime does not load ({error}); install it with "
            'pip install "graphc-compiler[gpu]" (it also serves machines without a GPU) or, on '
            'platforms without that wheel, pip install "graphc-compiler[ort]"'
        ) from None
    # What it has to say is raised as an exception, too; the rest is noise on the terminal.
    module.set_default_logger_severity(4)
    if "CUDAExecutionProvider" in module.get_available_providers() and hasattr(
        module, "preload_dlls"
    ):
        _preload(module)
    return module


def _preload(module: Any) -> None:
    """Load CUDA and cuDNN from their wheels; what is missing is told by `providers.explain`."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        module.preload_dlls()
