"""``graphc.config``'s functions that TensorFlow has: devices and threads.

See https://www.tensorflow.org/api_docs/python/tf/config. graphc's own settings are in
`graphc.config.config`.
"""

from __future__ import annotations

from collections import namedtuple
from types import SimpleNamespace
from typing import Any

from graphc.config import config

PhysicalDevice = namedtuple("PhysicalDevice", "name device_type")
LogicalDevice = namedtuple("LogicalDevice", "name device_type")


def list_physical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """The processor, and a GPU if ONNX Runtime can use one.

    Args:
        device_type: ``"CPU"`` or ``"GPU"``; both by default.

    Example:
        >>> graphc.config.list_physical_devices("GPU")
        []
    """
    kinds = [kind for kind in ("CPU", "GPU") if device_type in (None, kind)]
    if "GPU" in kinds and not _has_gpu():
        kinds.remove("GPU")
    return [PhysicalDevice(f"/physical_device:{kind}:0", kind) for kind in kinds]


def _has_gpu() -> bool:
    from graphc.runtime.ort.providers import CUDA, available  # loads ONNX Runtime

    return CUDA in available()


def list_logical_devices(device_type: str | None = None) -> list[LogicalDevice]:
    """The same devices under their logical names."""
    devices = list_physical_devices(device_type)
    return [LogicalDevice(f"/device:{d.device_type}:0", d.device_type) for d in devices]


def get_visible_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """The same as `list_physical_devices`."""
    return list_physical_devices(device_type)


def _set_memory_growth(device: Any, enable: bool) -> None:
    """Nothing: memory is taken as it is needed."""


def _enable_op_determinism() -> None:
    """Nothing: results are always the same bits."""


def _set_threads(num_threads: int) -> None:
    """Set how many threads a compiled program may use; 0 for every core."""
    config.threads = num_threads or None


def _get_threads() -> int:
    """How many threads a compiled program may use; 0 for every core."""
    return config.threads or 0


def run_functions_eagerly(run_eagerly: bool) -> None:
    """Say whether functions decorated with `graphc.function` run as plain Python, to debug them.

    So do the steps of models, as if they were compiled with ``run_eagerly=True``.
    """
    config.functions_at_once = run_eagerly


def functions_run_eagerly() -> bool:
    """Whether functions decorated with `graphc.function` run as plain Python."""
    return config.functions_at_once


experimental = SimpleNamespace(
    set_memory_growth=_set_memory_growth,
    enable_op_determinism=_enable_op_determinism,
    list_physical_devices=list_physical_devices,
)
threading = SimpleNamespace(
    set_intra_op_parallelism_threads=_set_threads,
    get_intra_op_parallelism_threads=_get_threads,
)

__all__ = [
    "LogicalDevice",
    "PhysicalDevice",
    "experimental",
    "functions_run_eagerly",
    "get_visible_devices",
    "list_logical_devices",
    "list_physical_devices",
    "run_functions_eagerly",
    "threading",
]
