"""Python's operators, by the names of the public operations that they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Python's operators and the names of the public operations they stand for.
OPERATORS = {
    "add": "Add",
    "subtract": "Sub",
    "multiply": "Mul",
    "mod": "Mod",
    "power": "Pow",
    "equal": "Equal",
    "not_equal": "NotEqual",
    "less": "Less",
    "less_equal": "LessOrEqual",
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "logical_and": "And",
    "logical_or": "Or",
    "logical_xor": "Xor",
}

#: NumPy's names of those of Python's operators that take two operands, and ours.
_NUMPY_OPERATORS = {
    "divide": "true_divide",
    "remainder": "mod",
    "bitwise_and": "logical_and",
    "bitwise_or": "logical_or",
    "bitwise_xor": "logical_xor",
    "left_shift": "left_shift",
    "right_shift": "right_shift",
    **{name: name for name in ("floor_divide", "matmul", *OPERATORS)},
}


class Operators:
    """Python's operators, each handed to `_operate` under the name of a public operation."""

    __slots__ = ()
    #: Whether operators on it build a model rather than compute: then it goes first.
    records_operations = False
    __hash__ = object.__hash__

    def _operate(self, name: str, *operands: Any) -> Any:
        raise NotImplementedError

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """NumPy's functions: operators (an array may stand on the left) are ours, others NumPy's.

        The others need elements, so they work on tensors that compute at once.
        """
        name = _NUMPY_OPERATORS.get(function.__name__)
        if name and method == "__call__" and not kwargs:
            return self._operate(name, *inputs)
        arrays = [np.asarray(x) if isinstance(x, Operators) else x for x in inputs]
        return getattr(function, method)(*arrays, **kwargs)

    def __add__(self, other: Any) -> Any:
        return self._operate("add", self, other)

    def __radd__(self, other: Any) -> Any:
        return self._operate("add", other, self)

    def __sub__(self, other: Any) -> Any:
        return self._operate("subtract", self, other)

    def __rsub__(self, other: Any) -> Any:
        return self._operate("subtract", other, self)

    def __mul__(self, other: Any) -> Any:
        return self._operate("multiply", self, other)

    def __rmul__(self, other: Any) -> Any:
        return self._operate("multiply", other, self)

    def __truediv__(self, other: Any) -> Any:
        return self._operate("true_divide", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._operate("true_divide", other, self)

    def __floordiv__(self, other: Any) -> Any:
        return self._operate("floor_divide", self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._operate("floor_divide", other, self)

    def __mod__(self, other: Any) -> Any:
        return self._operate("mod", self, other)

    def __rmod__(self, other: Any) -> Any:
        return self._operate("mod", other, self)

    def __pow__(self, other: Any) -> Any:
        return self._operate("power", self, other)

    def __rpow__(self, other: Any) -> Any:
        return self._operate("power", other, self)

    def __matmul__(self, other: Any) -> Any:
        return self._operate("matmul", self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return self._operate("matmul", other, self)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __round__(self, digits: int | None = None) -> Any:
        if not digits:
            return self._operate("round", self)
        return self._operate("round", self * 10.0**digits) / 10.0**digits

    def __pos__(self) -> Any:
        return self

    def __neg__(self) -> Any:
        return self._operate("negative", self)

    def __abs__(self) -> Any:
        return self._operate("absolute", self)

    def __invert__(self) -> Any:
        return self._operate("logical_not", self)

    def __and__(self, other: Any) -> Any:
        return self._operate("logical_and", self, other)

    def __rand__(self, other: Any) -> Any:
        return self._operate("logical_and", other, self)

    def __ror__(self, other: Any) -> Any:
        return self._operate("logical_or", other, self)

    def __rxor__(self, other: Any) -> Any:
        return self._operate("logical_xor", other, self)

    def __or__(self, other: Any) -> Any:
        return self._operate("logical_or", self, other)

    def __xor__(self, other: Any) -> Any:
        return self._operate("logical_xor", self, other)

    def __lshift__(self, other: Any) -> Any:
        return self._operate("left_shift", self, other)

    def __rlshift__(self, other: Any) -> Any:
        return self._operate("left_shift", other, self)

    def __rshift__(self, other: Any) -> Any:
        return self._operate("right_shift", self, other)

    def __rrshift__(self, other: Any) -> Any:
        return self._operate("right_shift", other, self)

    def __eq__(self, other: Any) -> Any:
        return self._operate("equal", self, other)

    def __ne__(self, other: Any) -> Any:
        return self._operate("not_equal", self, other)

    def __lt__(self, other: Any) -> Any:
        return self._operate("less", self, other)

    def __le__(self, other: Any) -> Any:
        return self._operate("less_equal", self, other)

    def __gt__(self, other: Any) -> Any:
        return self._operate("greater", self, other)

    def __ge__(self, other: Any) -> Any:
        return self._operate("greater_equal", self, other)

    def __getitem__(self, key: Any) -> Any:
        return self._operate("get_item", self, key)
