"""The few knobs of graphc: the project's only global state, and the bottom of its import order.

``config`` is one checked object. Assigning a value that makes no sense, or a name that does not
exist, is an error at once, not a surprise later::

    from graphc.config import config

    config.threads = 1
    config.floatx = "float64"

``graphc.config.threads = 1`` does the same. Seven knobs start from the environment, so that a
program can be looked into without being changed:

==================  ================  ===========================================================
variable            field             meaning
==================  ================  ===========================================================
``GRAPHC_BACKEND``  ``backend``       what runs compiled programs: cpu, onnxruntime or reference
``GRAPHC_CACHE``    ``cache_folder``  where compiled objects are kept; set but empty: nowhere
``GRAPHC_DEBUG``    ``debug``         0 quiet; 1 pipeline and times; 2 rules applied and refused,
                                      with reasons; 3 the graph after each pass; 4 LLVM IR;
                                      5 assembly. Each level includes those below it.
``GRAPHC_DUMP``     ``dump_folder``   write the same as numbered files into this folder
``GRAPHC_PROFILE``  ``profile``       1: count the time of each kernel of the cpu backend, and print
                                      a table of them when a program ends
``GRAPHC_THREADS``  ``threads``       how many threads a program may use; set but empty: every core
``GRAPHC_VERIFY``   ``verify``        1: verify the graph after each pass and compare it with the
                                      reference interpreter
==================  ================  ===========================================================
"""

import importlib
import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

FLOAT_DTYPES = ("bfloat16", "float16", "float32", "float64")
IMAGE_DATA_FORMATS = ("channels_first", "channels_last")
BACKENDS = ("cpu", "onnxruntime", "reference")
DEBUG_LEVELS = range(6)
#: The knobs that operations fall back on.
_DEFAULTS = ("floatx", "epsilon", "image_data_format")


def _default_cache_folder() -> Path | None:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    # A user without a home folder stays "~": better no cache than a folder of that name.
    return None if base.startswith("~") else Path(base) / "graphc"


@dataclass
class Config:
    """Every knob, checked whenever it is assigned.

    Attributes:
        floatx: dtype of floating-point values for which no dtype is given: one of
            ``"bfloat16"``, ``"float16"``, ``"float32"``, ``"float64"``.
        epsilon: fuzz factor that keeps logarithms and divisions away from zero.
        image_data_format: ``"channels_last"`` (NHWC) or ``"channels_first"`` (NCHW), for layers
            that are not told.
        backend: what runs compiled programs: ``"cpu"``, ``"onnxruntime"`` or ``"reference"``.
        threads: how many threads a compiled program may use; ``None`` means every core that this
            process may run on. Results do not depend on it.
        debug: how much to print about compilation, 0 to 5.
        dump_folder: folder for numbered dumps of each compilation stage; ``None`` writes none.
        verify: check the graph, and its values against the reference, after each pass.
        functions_at_once: whether functions that are decorated with ``function``, and the steps of
            models, run as the Python code that they are, to look into them.
        interactive_logging: whether messages and progress go to standard output; otherwise to the
            logger ``graphc`` of Python's ``logging``.
        profile: whether programs that are compiled from now on count the time of their kernels.
        cache_folder: folder of compiled objects; ``None`` keeps none on disk.
        defaults: ``floatx``, ``epsilon`` and ``image_data_format`` as one value to compare; it
            follows them and cannot be assigned.
    """

    defaults: ClassVar[tuple[str, float, str]]

    floatx: str = "float32"
    epsilon: float = 1e-7
    image_data_format: str = "channels_last"
    backend: str = "cpu"
    threads: int | None = None
    debug: int = 0
    dump_folder: Path | None = None
    verify: bool = False
    functions_at_once: bool = False
    interactive_logging: bool = True
    profile: bool = False
    cache_folder: Path | None = field(default_factory=_default_cache_folder)

    def __setattr__(self, name: str, value: Any) -> None:
        """Check ``value``, bring it into its normal form, and store it."""
        check = _CHECKS.get(name)
        if check is None:
            raise AttributeError(f"config has no knob {name!r}. It has: {', '.join(_CHECKS)}.")
        object.__setattr__(self, name, check(value))
        if name in _DEFAULTS:
            defaults = tuple([getattr(self, knob) for knob in _DEFAULTS])
            object.__setattr__(self, "defaults", defaults)

    @property
    def thread_count(self) -> int:
        """The number of threads that ``threads`` stands for on this machine."""
        if self.threads is not None:
            return self.threads
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Config":
        """Make a configuration from its defaults and the ``GRAPHC_*`` variables.

        Args:
            environment: the variables; ``os.environ`` for the process's own configuration.

        Returns:
            A new ``Config``.

        Raises:
            ValueError: a variable has a value that its knob does not take; the message names it.
        """
        result = cls()
        for variable, (name, parse) in _VARIABLES.items():
            text = environment.get(variable)
            if text is None:
                continue
            try:
                setattr(result, name, parse(text.strip()))
            except ValueError as error:
                raise ValueError(f"Environment variable {variable}={text!r}: {error}") from None
        return result


def _check_floatx(value: Any) -> str:
    if value not in FLOAT_DTYPES:
        raise ValueError(
            f"Unknown `floatx` value: {value}. Expected one of {', '.join(FLOAT_DTYPES)}."
        )
    return str(value)


def _check_epsilon(value: Any) -> float:
    if not isinstance(value, Real) or not math.isfinite(value) or value < 0:
        raise ValueError(f"`epsilon` must be a finite number, 0 or above. Received: {value!r}")
    return float(value)


def _check_image_data_format(value: Any) -> str:
    lowered = str(value).lower()
    if lowered not in IMAGE_DATA_FORMATS:
        raise ValueError(
            f"The `data_format` argument must be one of {', '.join(IMAGE_DATA_FORMATS)}. "
            f"Received: data_format={value}"
        )
    return lowered


def _check_backend(value: Any) -> str:
    if value not in BACKENDS:
        raise ValueError(f"Unknown backend: {value!r}. Expected one of {', '.join(BACKENDS)}.")
    return str(value)


def _check_threads(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(
            f"`threads` must be a whole number, 1 or above, or None for every core. "
            f"Received: {value!r}"
        )
    return value


def _check_debug(value: Any) -> int:
    if value not in DEBUG_LEVELS:
        raise ValueError(
            f"The debug level must be a whole number from {DEBUG_LEVELS[0]} to "
            f"{DEBUG_LEVELS[-1]}. Received: {value!r}"
        )
    return int(value)


def _check_flag(value: Any) -> bool:
    if value not in (0, 1):
        raise ValueError(f"A flag must be True or False (1 or 0). Received: {value!r}")
    return bool(value)


def _check_folder(value: Any) -> Path | None:
    return None if value is None else Path(os.path.expanduser(value))


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "floatx": _check_floatx,
    "epsilon": _check_epsilon,
    "image_data_format": _check_image_data_format,
    "backend": _check_backend,
    "threads": _check_threads,
    "debug": _check_debug,
    "dump_folder": _check_folder,
    "verify": _check_flag,
    "functions_at_once": _check_flag,
    "interactive_logging": _check_flag,
    "profile": _check_flag,
    "cache_folder": _check_folder,
}


def _parse_number(text: str) -> int | str:
    """Read a whole number, 0 for an empty text; anything else is left to the knob's check."""
    if not text:
        return 0
    return int(text) if text.isdecimal() else text


def _parse_threads(text: str) -> int | str | None:
    return _parse_number(text) if text else None


def _parse_folder(text: str) -> str | None:
    return text or None


_VARIABLES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "GRAPHC_DEBUG": ("debug", _parse_number),
    "GRAPHC_DUMP": ("dump_folder", _parse_folder),
    "GRAPHC_VERIFY": ("verify", _parse_number),
    "GRAPHC_PROFILE": ("profile", _parse_number),
    "GRAPHC_BACKEND": ("backend", str),
    "GRAPHC_CACHE": ("cache_folder", _parse_folder),
    "GRAPHC_THREADS": ("threads", _parse_threads),
}

#: The environment variables that set a knob.
ENVIRONMENT_VARIABLES = tuple(_VARIABLES)

config = Config.from_environment(os.environ)


class _Module(ModuleType):
    """A module whose knobs are those of ``config``, not new attributes beside it."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _CHECKS:
            setattr(config, name, value)
        elif name in self.__dict__ or name.startswith("_"):
            super().__setattr__(name, value)
        else:
            raise AttributeError(
                f"graphc.config has no knob {name!r}. It has: {', '.join(_CHECKS)}."
            )


sys.modules[__name__].__class__ = _Module


def __getattr__(name: str) -> Any:
    """A knob, or a function of TensorFlow's module (`graphc.names.devices`), loaded when used."""
    if name in _CHECKS:
        return getattr(config, name)
    if not name.startswith("_"):
        devices = importlib.import_module("graphc.names.devices")
        if name in devices.__all__:
            return getattr(devices, name)
    raise AttributeError(f"module 'graphc.config' has no attribute {name!r}")
