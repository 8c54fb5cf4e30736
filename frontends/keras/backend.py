"""Settings that hold for everything: ``keras.backend``.

The settings live in ``graphc.config``; this module gives them Keras's names and reads their first
values from Keras's configuration file, ``~/.keras/keras.json`` (the environment variable
``KERAS_HOME`` names another folder)::

    {
        "floatx": "float32",
        "epsilon": 1e-07,
        "image_data_format": "channels_last"
    }

The file is written with these defaults if there is none, and never changed after that. A broken
file is a warning that says what is wrong with it, never an error: the defaults hold instead.

The functions that Keras 2 had here (``K.mean``, ``K.get_value``) are in `backend_functions`.
"""

import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from graphc.config import config
from graphc.ir.types import numpy_dtype
from graphc.keras import backend_functions

__all__ = [
    "backend",
    "cast_to_floatx",
    "epsilon",
    "floatx",
    "image_data_format",
    "keras_home",
    "load_configuration",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    *backend_functions.__all__,
]

_FILE_NAME = "keras.json"
_KEYS = ("floatx", "epsilon", "image_data_format")


def backend() -> str:
    """The name of the engine that runs models here, always ``"graphc"``.

    Example:
        >>> keras.backend.backend()
        'graphc'
    """
    return "graphc"


def floatx() -> str:
    """The default float dtype, as a string.

    Returns:
        ``"bfloat16"``, ``"float16"``, ``"float32"`` or ``"float64"``.

    Example:
        >>> keras.backend.floatx()
        'float32'
    """
    return config.floatx


def set_floatx(value: str) -> None:
    """Set the default float dtype.

    Args:
        value: ``"bfloat16"``, ``"float16"``, ``"float32"`` or ``"float64"``.

    Raises:
        ValueError: ``value`` is none of them.

    Example:
        >>> keras.backend.set_floatx("float64")
        >>> keras.backend.floatx()
        'float64'
    """
    config.floatx = value


def epsilon() -> float:
    """The fuzz factor that keeps logarithms and divisions away from zero.

    Example:
        >>> keras.backend.epsilon()
        1e-07
    """
    return config.epsilon


def set_epsilon(value: float) -> None:
    """Set the fuzz factor.

    Args:
        value: a finite number, 0 or above.

    Raises:
        ValueError: ``value`` is no such number.

    Example:
        >>> keras.backend.set_epsilon(1e-5)
        >>> keras.backend.epsilon()
        1e-05
    """
    config.epsilon = value


def image_data_format() -> str:
    """Where images have their channels by default.

    Returns:
        ``"channels_last"`` or ``"channels_first"``.

    Example:
        >>> keras.backend.image_data_format()
        'channels_last'
    """
    return config.image_data_format


def set_image_data_format(data_format: str) -> None:
    """Set where images have their channels by default.

    Args:
        data_format: ``"channels_last"`` or ``"channels_first"``.

    Raises:
        ValueError: ``data_format`` is neither.

    Example:
        >>> keras.backend.set_image_data_format("channels_first")
        >>> keras.backend.image_data_format()
        'channels_first'
    """
    config.image_data_format = data_format


def cast_to_floatx(x: Any) -> np.ndarray:
    """Convert an array to the default float dtype.

    Args:
        x: anything that NumPy makes an array of.

    Returns:
        A NumPy array of dtype ``floatx()``; ``x`` itself where it is one already.

    Example:
        >>> keras.backend.cast_to_floatx(np.array([1, 2])).dtype
        dtype('float32')
    """
    return np.asarray(x, dtype=numpy_dtype(config.floatx))


def keras_home() -> Path:
    """The folder of the configuration file and of downloaded data.

    Returns:
        ``$KERAS_HOME`` if that is set, else ``~/.keras``, or a folder among the temporary files
        for a user whose home folder cannot be written.
    """
    named = os.environ.get("KERAS_HOME")
    if named:
        return Path(os.path.expanduser(named))
    home = os.path.expanduser("~")
    if not os.access(home, os.W_OK):
        import tempfile

        home = tempfile.gettempdir()
    return Path(home) / ".keras"


def load_configuration() -> None:
    """Take the settings from the configuration file, and write the file if there is none.

    Values that are missing or wrong leave their setting as it is; wrong ones are warned of.
    """
    path = keras_home() / _FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        _write_defaults(path)
        return
    except (OSError, UnicodeDecodeError) as error:
        _warn(path, f"it cannot be read ({error})")
        return
    try:
        settings = json.loads(text)
    except ValueError as error:
        _warn(path, f"it is not JSON ({error})")
        return
    if not isinstance(settings, dict):
        _warn(path, f"it should hold an object, {{...}}, and holds {type(settings).__name__}")
        return
    for key in _KEYS:
        if key not in settings:
            continue
        try:
            setattr(config, key, settings[key])
        except ValueError as error:
            _warn(path, str(error))


def _warn(path: Path, reason: str) -> None:
    warnings.warn(
        f"Ignored in the configuration file {path}: {reason}. The default holds instead; "
        f"correct the file, or delete it to get a new one.",
        stacklevel=3,
    )


def _write_defaults(path: Path) -> None:
    """Write the settings beside ``path`` and link them there: whole, and never over another file.

    Keras's own key ``"backend"`` is left out, since real Keras, which reads the same file, has no
    backend of our name. A folder that cannot be written is no reason to stop.
    """
    import tempfile

    text = json.dumps({key: getattr(config, key) for key in _KEYS}, indent=4)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(prefix=_FILE_NAME, dir=path.parent)
    except OSError:
        return
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(part, 0o644)
        os.link(part, path)
    except OSError:
        pass
    finally:
        os.unlink(part)


def __getattr__(name: str) -> Any:
    """Keras 2's functions: not names of this module, since they would hide Python's own."""
    if name in backend_functions.__all__:
        return getattr(backend_functions, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


load_configuration()
