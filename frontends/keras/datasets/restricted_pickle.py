"""Reading the few pickled arrays that old data sets are made of, without running anything.

A pickle is a program that can call whatever it names. Here it can name four things, those that a
pickled NumPy array is made of, and gets for each a stand-in of ours that only notes what it is
told. NumPy's own classes stay out of reach as well, because they trust the states they are given.
The array is built afterwards, from checked notes.
"""

import math
import pickle
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from graphc.errors import FileFormatError
from graphc.keras.datasets.source import array_of_lists

_ITEM_CODES = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"}
_OBJECT_CODES = {"O", "O8", "O4"}
_BYTE_ORDERS = {"<", ">", "=", "|"}


def read_pickle(file: IO[bytes], encoding: str = "ASCII") -> Any:
    """Read a pickle of arrays, dicts, lists, text and numbers.

    Args:
        file: the pickle.
        encoding: how Python 2's strings are read, as in ``pickle.load``.

    Returns:
        What was pickled, with NumPy arrays at the outside or as values of a dict.

    Raises:
        FileFormatError: the pickle is damaged, or names anything else.
    """
    try:
        value = _Reader(file, encoding=encoding).load()
    except FileFormatError:
        raise
    except Exception as error:  # a damaged pickle can fail in any way
        raise FileFormatError(f"The pickled data is damaged: {error!r}") from error
    if isinstance(value, dict):
        return {key: _finished(item) for key, item in value.items()}
    return _finished(value)


def read_npz(path: str | Path, *names: str) -> list[np.ndarray]:
    """Read arrays of numbers, or of lists of numbers, from an ``.npz`` file.

    Args:
        path: the file.
        *names: names of the arrays.

    Returns:
        The arrays, in the order of ``names``.

    Raises:
        FileFormatError: the file is no ``.npz`` file, lacks one of the arrays, or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = []
            for name in names:
                with archive.open(f"{name}.npy") as file:
                    arrays.append(_read_npy(file))
            return arrays
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise FileFormatError(
            f"{path} should be an .npz file with the arrays {', '.join(names)}: {error}"
        ) from error


def _read_npy(file: IO[bytes]) -> np.ndarray:
    version = np.lib.format.read_magic(file)
    # Version 3 differs from 2 only in the header's encoding, and no header here needs that.
    read_header = (
        np.lib.format.read_array_header_1_0
        if version[0] == 1
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read_header(file)
    if not dtype.hasobject:
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    array = read_pickle(file)
    if not isinstance(array, np.ndarray) or array.shape != shape:
        raise FileFormatError(f"A pickled array of shape {shape} was expected.")
    return array


class _Type:
    """Stand-in for ``numpy.dtype``."""

    def __init__(self, code: Any, *ignored: Any) -> None:
        self.code = _text(code)
        self.order = "|"

    def __setstate__(self, state: tuple) -> None:
        self.order = _text(state[1])

    def dtype(self) -> np.dtype:
        if self.code in _OBJECT_CODES:
            return np.dtype(object)
        if self.code not in _ITEM_CODES or self.order not in _BYTE_ORDERS:
            raise FileFormatError(f"The pickled array has the unexpected type {self.code!r}.")
        return np.dtype(self.order + self.code)


class _Array:
    """Stand-in for ``numpy.ndarray``, and for the function that makes an empty one."""

    def __init__(self, *ignored: Any) -> None:
        self.state: tuple | None = None

    def __setstate__(self, state: tuple) -> None:
        self.state = state

    def finish(self) -> np.ndarray:
        if self.state is None or len(self.state) != 5:
            raise FileFormatError("The pickled array has no contents.")
        _, shape, kind, is_fortran, contents = self.state
        is_shape = isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
        if not is_shape or not isinstance(kind, _Type):
            raise FileFormatError("The pickled array has no proper shape or type.")
        flat = self._flat(kind.dtype(), contents)
        if flat.size != math.prod(shape):
            raise FileFormatError(f"The pickled array has {flat.size} elements for shape {shape}.")
        return flat.reshape(shape, order="F" if is_fortran else "C")

    def _flat(self, dtype: np.dtype, contents: Any) -> np.ndarray:
        if dtype.hasobject:
            if not isinstance(contents, list) or not all(isinstance(x, list) for x in contents):
                raise FileFormatError("The pickled array should hold lists of numbers.")
            return array_of_lists(contents)
        if not isinstance(contents, bytes) or len(contents) % dtype.itemsize:
            raise FileFormatError(f"The pickled array of {dtype} has broken contents.")
        return np.frombuffer(contents, dtype).copy()


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _finished(value: Any) -> Any:
    return value.finish() if isinstance(value, _Array) else value


class _Reader(pickle.Unpickler):
    _STAND_INS: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Type,
        ("numpy.core.multiarray", "_reconstruct"): _Array,
        ("numpy._core.multiarray", "_reconstruct"): _Array,
    }

    def find_class(self, module: str, name: str) -> Any:
        stand_in = self._STAND_INS.get((module, name))
        if stand_in is None:
            raise FileFormatError(
                f"The pickled data names `{module}.{name}`, which has no place in it. The file is "
                "damaged or malicious; nothing of it was run."
            )
        return stand_in
