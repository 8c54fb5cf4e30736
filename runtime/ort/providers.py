"""Which of ONNX Runtime's execution providers work on this machine, and why others do not."""

from __future__ import annotations

import contextlib
import ctypes
import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from graphc.errors import UnsupportedError
from graphc.export.onnx import to_onnx
from graphc.ir import Graph, TensorType
from graphc.runtime.ort.library import onnxruntime

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

#: Files that come with the GPU wheel, by provider.
_LIBRARIES = {
    CUDA: "libonnxruntime_providers_cuda.so",
    "TensorrtExecutionProvider": "libonnxruntime_providers_tensorrt.so",
}


@dataclass(frozen=True)
class Provider:
    """One of the ways in which ONNX Runtime can run a model.

    Args:
        name: ONNX Runtime's name for it.
        loads: Whether it works here.
        reason: Why it does, or does not.
        wanted: Whether it should: the device is there, or it needs none.
    """

    name: str
    loads: bool
    reason: str
    wanted: bool = True


def available() -> tuple[str, ...]:
    """The names of the providers that really load here; none without ONNX Runtime."""
    return tuple(provider.name for provider in explain() if provider.loads)


def explain() -> tuple[Provider, ...]:
    """All providers that ONNX Runtime was built with, CUDA and the CPU in any case.

    Example:
        >>> for provider in explain():
        ...     print(provider.name, provider.loads, provider.reason)
    """
    try:
        module = onnxruntime()
    except UnsupportedError as error:
        return tuple(Provider(name, False, str(error)) for name in (CUDA, CPU))
    built = list(module.get_available_providers())
    names = list(dict.fromkeys([CUDA, *built, CPU]))
    return tuple(_explain(module, name, name in built) for name in names)


@cache
def _explain(module: Any, name: str, built: bool) -> Provider:
    version = module.__version__
    if name in _LIBRARIES and not _has_driver():
        return Provider(
            name, False, "there is no NVIDIA driver (libcuda.so.1 does not load)", False
        )
    if not built:
        return Provider(
            name,
            False,
            f"not part of the installed ONNX Runtime {version}: pip uninstall onnxruntime, then "
            'pip install "graphc-compiler[gpu]"',
        )
    problem = _problem(module, name)
    if problem is not None:
        return Provider(name, False, problem)
    return Provider(name, True, f"ONNX Runtime {version}")


def _has_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def _problem(module: Any, name: str) -> str | None:
    """Why a provider does not run a model of one node; None if it does."""
    library = _LIBRARIES.get(name)
    if library is not None:
        missing = _missing_library(module, library)
        if missing is not None:
            return missing
    try:
        # ONNX Runtime prints what it then goes on without.
        with contextlib.redirect_stdout(io.StringIO()):
            session = module.InferenceSession(_tiny_model(), providers=[name])
        session.run(None, {"x": np.zeros(1, np.float32)})
    except Exception as error:  # the runtime has a family of exceptions without a common base
        return str(error).splitlines()[0]
    if session.get_providers()[0] != name:
        return "it did not start, and ONNX Runtime went on without it"
    return None


def _missing_library(module: Any, library: str) -> str | None:
    """What a provider's library lacks to be loaded."""
    path = Path(module.__file__).parent / "capi" / library
    if not path.exists():
        return None
    try:
        ctypes.CDLL(str(path.with_name("libonnxruntime_providers_shared.so")), ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(path))
    except OSError as error:
        return f"a library that it needs does not load: {error}"
    return None


def _tiny_model() -> bytes:
    graph = Graph("tiny")
    x = graph.input("x", TensorType((1,), "float32"))
    graph.outputs["y"] = x + x
    return to_onnx(graph).SerializeToString()
