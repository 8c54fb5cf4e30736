"""What Python and NumPy may ask of a tensor's elements: numbers, arrays, text, copies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np

from graphc.eager.location import user_line_text
from graphc.eager.operators import Operators
from graphc.errors import DataDependentControlFlowError, ShapeError
from graphc.ir import Value

_NO_ASSIGNMENT = (
    "tensors cannot be assigned to: make a new one with keras.ops.where or "
    "keras.ops.slice_update, or use a Variable, whose parts can be assigned: v[0].assign(1.0)"
)


class Reference:
    """A tensor or variable by its identity: can be hashed, and compared with ``==``.

    Args:
        item: What it stands for.
    """

    __slots__ = ("_item",)

    def __init__(self, item: Any):
        self._item = item

    def deref(self) -> Any:
        """The tensor or variable itself."""
        return self._item

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and self._item is other._item

    def __hash__(self) -> int:
        return id(self._item)

    def __repr__(self) -> str:
        return f"<Reference wrapping {self._item!r}>"


class Elements(Operators):
    """A tensor's elements: the protocols of Python and NumPy.

    Attributes:
        data: A NumPy array, or a value of the graph that is being traced, which has no elements.
    """

    __slots__ = ()

    data: np.ndarray | Value

    @property
    def device(self) -> str:
        """Where the elements are: tensors are computed on the processor."""
        return "/device:CPU:0"

    def set_shape(self, shape: Any) -> None:
        """Check sizes that are known otherwise.

        Args:
            shape: Sizes; None for any.

        Raises:
            ShapeError: The tensor has others.
        """
        own, given = self.shape, tuple(shape)  # type: ignore[attr-defined]
        fits = len(own) == len(given) and all(
            None in pair or pair[0] == pair[1] for pair in zip(own, given, strict=True)
        )
        if not fits:
            raise ShapeError(f"the tensor has shape {own}, which is not {given}")

    def _known(self, wanted: str) -> np.ndarray:
        """The array.

        Raises:
            DataDependentControlFlowError: There is none yet.
        """
        if isinstance(self.data, Value):
            self._no_elements(wanted)
        return self.data

    def _no_elements(self, wanted: str) -> NoReturn:
        place = user_line_text()
        raise DataDependentControlFlowError(
            f"{place + ': ' if place else ''}Python wants to know {wanted}, but this tensor "
            f"({self.data.type}) gets its elements only when the compiled program runs. Instead of "  # type: ignore[union-attr]
            "`if` and `while` on tensors use keras.ops.where, keras.ops.cond or "
            "keras.ops.while_loop; instead of float() or .numpy() keep computing with tensors."
        )

    # ------------------------------------------------------------------------------------ arrays

    def numpy(self) -> np.ndarray:
        """The elements as a NumPy array of its own, which may be changed.

        ``np.asarray(x)`` copies nothing and may only be read.

        Raises:
            DataDependentControlFlowError: The tensor has no elements yet.
        """
        return self._known("its elements").copy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self._known("its elements")
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"elements of type {array.dtype} become {dtype} only in a copy")
            return array.astype(dtype)
        return array.copy() if copy else _read_only(array)

    def __buffer__(self, flags: int, /) -> memoryview:
        """The elements as a buffer that may only be read (asked for by Python 3.12 and later)."""
        return memoryview(_read_only(self._known("its elements")))  # type: ignore[arg-type]

    def __dlpack__(self, **options: Any) -> Any:
        """The elements for another library, without a copy. They must not be changed there."""
        return self._known("its elements").__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._known("where its elements are").__dlpack_device__()

    def item(self) -> Any:
        """The only element as a Python number."""
        return self._known("its elements").item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self._known("its elements").tolist()

    # ----------------------------------------------------------------------------------- numbers

    def __bool__(self) -> bool:
        return bool(self._known("whether it is true"))

    def __int__(self) -> int:
        return int(self._known("its value as an int"))

    def __float__(self) -> float:
        return float(self._known("its value as a float"))

    def __complex__(self) -> complex:
        return complex(self._known("its value as a complex number"))

    def __index__(self) -> int:
        return self._known("its value as an index").__index__()

    # ------------------------------------------------------------------------------- collections

    def __len__(self) -> int:
        if not self.data.shape:
            raise TypeError("a scalar has no length")
        size = self.data.shape[0]
        if not isinstance(size, int):
            self._no_elements("how many rows it has (use keras.ops.shape(x)[0] in computations)")
        return size

    def __iter__(self) -> Iterator[Any]:
        if not self.data.shape:
            raise TypeError("a scalar cannot be iterated over")
        return (self[i] for i in range(len(self)))

    def __contains__(self, item: object) -> bool:
        return item in self._known("whether it contains something")

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        raise TypeError(_NO_ASSIGNMENT)

    def __delitem__(self, key: Any) -> NoReturn:
        raise TypeError(_NO_ASSIGNMENT)

    # ---------------------------------------------------------------------------------- identity

    def ref(self) -> Reference:
        """The tensor by its identity, as a key of dictionaries: ``==`` of tensors is elementwise.

        Example:
            >>> names = {x.ref(): "x"}
        """
        return Reference(self)

    # -------------------------------------------------------------------------------------- text

    def __repr__(self) -> str:
        data = self.data
        text = f"<graphc.Tensor: shape={_shape_text(data)}, dtype={_dtype_text(data)}"
        if isinstance(data, Value):
            return f"{text}, symbolic>"
        if not data.ndim:
            return f"{text}, numpy={data!s}>"
        return f"{text}, numpy=\n{data!r}>"

    def __str__(self) -> str:
        data = self.data
        if isinstance(data, Value):
            return repr(self)
        text = f"\n{data!s}" if data.ndim else str(data)
        return f"graphc.Tensor({text}, shape={_shape_text(data)}, dtype={_dtype_text(data)})"

    def __format__(self, specification: str) -> str:
        if isinstance(self.data, Value):
            return format(repr(self), specification)
        return format(self.data[()] if not self.data.ndim else self.data, specification)


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def _shape_text(data: np.ndarray | Value) -> str:
    sizes = [str(dim) if isinstance(dim, int) else "None" for dim in data.shape]
    return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"


def _dtype_text(data: np.ndarray | Value) -> str:
    return data.dtype if isinstance(data, Value) else data.dtype.name
