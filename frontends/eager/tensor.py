"""Tensors: the same code computes at once or builds a graph.

A `Tensor` holds either a NumPy array or a value of a graph that is being traced. `apply` gives an
op's result on tensors: if all are arrays it computes, if one is symbolic it adds a node. There is
one op library; nothing is written twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np

from graphc import reference
from graphc.eager.current import current_trace
from graphc.eager.indexing import get_item_value
from graphc.eager.location import user_line, user_line_text
from graphc.eager.promotion import promote, standard_dtype
from graphc.errors import (
    DataDependentControlFlowError,
    DimensionMismatchError,
    DTypeError,
    GraphcError,
    ShapeError,
)
from graphc.ir import Graph, Location, Op, TensorType, Value, dims, is_float, numpy_dtype, type_of
from graphc.ops.elementwise import Cast, Div, Floor
from graphc.ops.linalg import matmul
from graphc.ops.movement import Iota, Size

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
    **{name: name for name in ("floor_divide", "matmul", *OPERATORS)},
}


class Operators:
    """Python's operators, each handed to `_operate` under the name of a public operation."""

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

    def __neg__(self) -> Any:
        return self._operate("negative", self)

    def __abs__(self) -> Any:
        return self._operate("absolute", self)

    def __invert__(self) -> Any:
        return self._operate("logical_not", self)

    def __and__(self, other: Any) -> Any:
        return self._operate("logical_and", self, other)

    def __or__(self, other: Any) -> Any:
        return self._operate("logical_or", self, other)

    def __xor__(self, other: Any) -> Any:
        return self._operate("logical_xor", self, other)

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


class Tensor(Operators):
    """An immutable multi-dimensional array, known now or only when a compiled program runs.

    Args:
        data: A NumPy array (not copied), or a value of the graph that is being traced.

    Attributes:
        shape: Sizes, outermost first; None where the size is known only when the program runs.
        dims: The same with symbolic dimensions (`graphc.ir.SymbolicDim`) in place of None.
        dtype: The element type as a string.
        mask: Which steps of a sequence count (bool); None if all do. Layers pass it on.
    """

    __slots__ = ("data", "mask")

    def __init__(self, data: np.ndarray | Value):
        self.data = data
        self.mask: Tensor | None = None

    @property
    def type(self) -> TensorType:
        """Shape and dtype as the graph sees them."""
        return self.data.type if isinstance(self.data, Value) else type_of(self.data)

    @property
    def is_symbolic(self) -> bool:
        """Whether the elements are known only when a compiled program runs."""
        return isinstance(self.data, Value)

    @property
    def value(self) -> Value:
        """The graph's value behind a symbolic tensor."""
        assert isinstance(self.data, Value), "only symbolic tensors have a value"
        return self.data

    @property
    def shape(self) -> tuple[int | None, ...]:
        return public_shape(self.dims)

    @property
    def dims(self) -> dims.Shape:
        return self.data.shape

    @property
    def dtype(self) -> str:
        return self.data.dtype if isinstance(self.data, Value) else self.data.dtype.name

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.data.shape)

    @property
    def size(self) -> int | None:
        """The number of elements; None if it is not known yet."""
        size = dims.product(self.dims)
        return size if isinstance(size, int) else None

    def as_tensor(self) -> Tensor:
        """Itself (`Variable` has the same method)."""
        return self

    def numpy(self) -> np.ndarray:
        """The elements as a read-only NumPy array.

        Raises:
            DataDependentControlFlowError: The tensor has no elements yet.
        """
        if isinstance(self.data, Value):
            self._no_elements("its elements")
        view = self.data.view()
        view.flags.writeable = False
        return view

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def item(self) -> Any:
        """The only element as a Python number."""
        return self.numpy().item()

    def __bool__(self) -> bool:
        if self.is_symbolic:
            self._no_elements("whether it is true")
        return bool(self.data)

    def __int__(self) -> int:
        if self.is_symbolic:
            self._no_elements("its value as an int")
        return int(self.data)  # type: ignore[arg-type]

    def __float__(self) -> float:
        if self.is_symbolic:
            self._no_elements("its value as a float")
        return float(self.data)  # type: ignore[arg-type]

    def __index__(self) -> int:
        if self.is_symbolic:
            self._no_elements("its value as an index")
        return self.data.__index__()  # type: ignore[union-attr]

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("a scalar has no length")
        size = self.dims[0]
        if not isinstance(size, int):
            self._no_elements("how many rows it has (use keras.ops.shape(x)[0] in computations)")
        return size

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        raise TypeError(
            "tensors cannot be assigned to; use keras.ops.where, or a Variable and its assign()"
        )

    def astype(self, dtype: Any) -> Tensor:
        """The elements converted to another type."""
        return cast(self, standard_dtype(dtype))

    def _operate(self, name: str, *operands: Any) -> Any:
        if any(getattr(other, "records_operations", False) for other in operands):
            return NotImplemented
        return operate(name, *operands)

    def _no_elements(self, wanted: str) -> NoReturn:
        place = user_line_text()
        raise DataDependentControlFlowError(
            f"{place + ': ' if place else ''}Python wants to know {wanted}, but this tensor "
            f"({self.type}) gets its elements only when the compiled program runs. Instead of "
            "`if` and `while` on tensors use keras.ops.where, keras.ops.cond or "
            "keras.ops.while_loop; instead of float() or .numpy() keep computing with tensors."
        )

    def __repr__(self) -> str:
        if self.is_symbolic:
            return f"<symbolic tensor shape={self.shape} dtype={self.dtype}>"
        return f"<tensor shape={self.shape} dtype={self.dtype} numpy=\n{self.data!r}>"

    def __str__(self) -> str:
        return repr(self) if self.is_symbolic else str(self.data)

    def __format__(self, specification: str) -> str:
        if self.is_symbolic or self.ndim:
            return format(str(self), specification)
        return format(self.item(), specification)


def public_shape(shape: dims.Shape) -> tuple[int | None, ...]:
    """A shape as Keras shows it: None for every size that is not a number."""
    return tuple(dim if isinstance(dim, int) else None for dim in shape)


# ------------------------------------------------------------------------------------- conversion


def as_tensor(x: Any, dtype: str | None = None) -> Tensor:
    """Anything array-like as a tensor: tensors, variables, numbers, lists, NumPy arrays.

    Args:
        x: What to convert. Python floats become `floatx`, Python ints int32.
        dtype: The element type wanted; by default that of ``x``.

    Raises:
        DTypeError: ``x`` holds something that is no number.
    """
    if isinstance(x, dims.SymbolicDim):
        x = size_tensor(x, dtype or "int32")
    if not isinstance(x, Tensor):
        x = x.as_tensor() if hasattr(x, "as_tensor") else Tensor(_as_array(x, dtype))
    return cast(x, dtype) if dtype else x


def size_tensor(dim: dims.Dim, dtype: str) -> Tensor:
    """A size as a scalar tensor, symbolic if it is known only when a program runs.

    Raises:
        ShapeError: The size is not known yet, and no program is being traced.
    """
    if isinstance(dim, int):
        return Tensor(np.array(dim, numpy_dtype(dtype)))
    trace = current_trace()
    if trace is None:
        raise ShapeError(
            f"the size {dim} is known only when a program runs, and no program is being traced"
        )
    return Tensor(Size((0,), dtype)(trace.graph.apply(Iota((dim,), 0, "int32"))))


def _as_array(x: Any, dtype: str | None) -> np.ndarray:
    if isinstance(x, (list, tuple)) and any(isinstance(item, Tensor) for item in x):
        x = [item.numpy() if isinstance(item, Tensor) else item for item in x]
    array = native(np.asarray(x))
    if array.dtype == object or array.dtype.kind in "USMmcV" and array.dtype.name != "bfloat16":
        place = user_line_text()
        hint = "rows of different length, text or objects?"
        if x is None:
            hint = "is it a size that is not known yet? Layers see sizes when they are called"
        elif isinstance(x, int):
            hint = "the number is too large"
        raise DTypeError(
            f"{place + ': ' if place else ''}cannot make a tensor of {type(x).__name__} with "
            f"elements of type {array.dtype}: {hint}"
        )
    if isinstance(x, (np.ndarray, np.generic)) or hasattr(x, "__array__"):
        return array
    # Python numbers and lists of them have no width of their own.
    if dtype is None:
        dtype = promote([], [{"b": bool, "i": int, "u": int}.get(array.dtype.kind, float)])
        if dtype == "int32" and array.size and np.any(array != array.astype(np.int32)):
            place = user_line_text()
            largest = array.flat[np.argmax(np.abs(array.astype(np.float64)))]
            raise DTypeError(
                f"{place + ': ' if place else ''}{largest} does not fit int32, the type of Python "
                'integers here; name another one: keras.ops.convert_to_tensor(x, "int64")'
            )
    return array.astype(numpy_dtype(dtype))


def native(array: np.ndarray) -> np.ndarray:
    """An array in the machine's byte order, and in no type wider than float64."""
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array.astype(np.float64, copy=False) if array.dtype == np.longdouble else array


def cast(x: Any, dtype: str) -> Tensor:
    """``x`` as a tensor of ``dtype``; itself if it is one already."""
    x = as_tensor(x)
    if x.dtype == dtype:
        return x
    return apply(Cast(dtype), x)


def promoted(*operands: Any) -> list[Tensor]:
    """All operands as tensors of their common dtype."""
    strong = {i: as_tensor(x) for i, x in enumerate(operands) if hasattr(x, "as_tensor")}
    floats = any(is_float(x.dtype) for x in strong.values())
    weak: list[type] = []
    for i, x in enumerate(operands):
        if i in strong:
            continue
        if type(x) in (bool, int, float):
            weak.append(type(x))
        elif not (floats and np.asarray(x).dtype.kind == "f"):
            # NumPy makes float64 where nobody asked for it, so an array of floats bends to tensors.
            strong[i] = as_tensor(x)
    dtype = promote([x.dtype for x in strong.values()], weak)
    return [cast(strong[i], dtype) if i in strong else as_tensor(x, dtype)
            for i, x in enumerate(operands)]  # fmt: skip


# ---------------------------------------------------------------------------------------- dispatch


def apply(op: Op, *tensors: Tensor) -> Any:
    """The result of an op on tensors: computed if all are known, else a node of the graph.

    Args:
        op: The op with its attributes.
        *tensors: The operands.

    Returns:
        A tensor, or a tuple of tensors where the op has several outputs.

    Raises:
        ShapeError, DTypeError: The operands do not fit; the text names the user's line.
    """
    symbolic = next((x.data for x in tensors if isinstance(x.data, Value)), None)
    if symbolic is None:
        return _compute(op, [x.data for x in tensors])  # type: ignore[misc]
    graph = symbolic.graph
    operands = [x.data if isinstance(x.data, Value) else graph.constant(x.data) for x in tensors]
    with graph.at(_here(graph.location)):
        return _wrap(graph.apply(op, *operands))


def _here(scope: Location) -> Location:
    if scope.line:
        return scope
    file, line = user_line()
    return Location(scope.layer, file, line)


def _compute(op: Op, arrays: list[np.ndarray]) -> Any:
    try:
        op.infer(*[type_of(array) for array in arrays])
    except (ShapeError, DTypeError) as error:
        raise _with_line(error, op, arrays) from None
    results = reference.apply(op, *arrays)
    tensors = tuple(Tensor(np.asarray(array)) for array in results)
    return tensors[0] if len(tensors) == 1 else tensors


def _with_line(error: GraphcError, op: Op, arrays: list[np.ndarray]) -> GraphcError:
    received = ", ".join(str(type_of(array)) for array in arrays)
    place = user_line_text()
    message = f"{op.name}: {error}; received {received}" + (f" ({place})" if place else "")
    if isinstance(error, DimensionMismatchError):
        return ShapeError(message)
    return type(error)(message)


def _wrap(results: Any) -> Any:
    if isinstance(results, tuple):
        return tuple(Tensor(value) for value in results)
    return Tensor(results)


def operate(name: str, *operands: Any) -> Any:
    """The operation behind one of Python's operators, with promotion of dtypes."""
    match name:
        case "get_item":
            x, key = operands
            return apply_function(lambda value: get_item_value(value, key), as_tensor(x))
        case "true_divide":
            x, y = promoted(*operands)
            if x.dtype == "bool" or x.type.dtype.startswith(("int", "uint")):
                x, y = (cast(operand, promote([], [float])) for operand in (x, y))
            return apply(Div(), x, y)
        case "floor_divide":
            x, y = promoted(*operands)
            quotient = apply(Div(), x, y)
            return apply(Floor(), quotient) if x.dtype.startswith(("float", "bfloat")) else quotient
        case "matmul":
            x, y = promoted(*operands)
            return apply_function(matmul, x, y)
        case "negative" | "absolute" | "logical_not":
            x = as_tensor(operands[0])
            return apply(Op.registry[{"negative": "Neg", "absolute": "Abs"}.get(name, "Not")](), x)
        case "power":
            x, y = promoted(*operands)
            if x.dtype.startswith(("int", "uint")):
                float_x, float_y = (cast(operand, "float64") for operand in (x, y))
                return cast(apply(Op.registry["Pow"](), float_x, float_y), x.dtype)
            return apply(Op.registry["Pow"](), x, y)
        case _:
            return apply(Op.registry[OPERATORS[name]](), *promoted(*operands))


def apply_function(function: Any, *tensors: Tensor) -> Any:
    """The result of a function that is written over graph values, on tensors of either kind.

    Args:
        function: Takes and returns `graphc.ir.Value`s of one graph.
        *tensors: Its operands.
    """
    symbolic = next((x.data for x in tensors if isinstance(x.data, Value)), None)
    if symbolic is None:
        return _compute_function(function, [x.data for x in tensors])  # type: ignore[misc]
    graph = symbolic.graph
    operands = [x.data if isinstance(x.data, Value) else graph.constant(x.data) for x in tensors]
    with graph.at(_here(graph.location)):
        return _wrap(function(*operands))


def _compute_function(function: Any, arrays: list[np.ndarray]) -> Any:
    graph = Graph("eager")
    inputs = [graph.input(f"x{i}", type_of(array)) for i, array in enumerate(arrays)]
    with graph.at(_here(graph.location)):
        results = function(*inputs)
    single = not isinstance(results, tuple)
    graph.outputs = {f"y{i}": value for i, value in enumerate((results,) if single else results)}
    named = {value.name: array for value, array in zip(inputs, arrays, strict=True)}
    outputs = tuple(Tensor(np.asarray(a)) for a in reference.evaluate(graph, named).values())
    return outputs[0] if single else outputs
