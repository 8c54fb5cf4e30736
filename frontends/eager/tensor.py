"""Tensors: the same code computes at once or builds a graph.

A `Tensor` holds either a NumPy array or a value of a graph that is being traced. `apply` gives an
op's result on tensors: if all are arrays it computes, if one is symbolic it adds a node. There is
one op library; nothing is written twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.config import config
from graphc.eager.arrays import as_array
from graphc.eager.cache import Cache
from graphc.eager.current import current_tapes, current_trace
from graphc.eager.elements import Elements
from graphc.eager.indexing import (
    Key,
    get_item_value,
    holds_open_size,
    numpy_key,
    parse_key,
    update_item_value,
)
from graphc.eager.operators import OPERATORS
from graphc.eager.plan import Plan, function_key, make_plan, silence, with_line
from graphc.eager.promotion import promote, standard_dtype
from graphc.errors import ShapeError
from graphc.ir import (
    Graph,
    Op,
    TensorType,
    Value,
    dims,
    dtype_name,
    is_complex,
    is_float,
    is_inexact,
    is_integer,
    numpy_dtype,
    type_of,
)
from graphc.ops.barrier import StopGradient
from graphc.ops.complex import magnitude
from graphc.ops.elementwise import Cast, Div, Floor
from graphc.ops.integers import integer_power
from graphc.ops.linalg import matmul
from graphc.ops.movement import Concat, Iota, Reshape, Size, Transpose


class Tensor(Elements):
    """An immutable multi-dimensional array, known now or only when a compiled program runs.

    Args:
        data: A NumPy array (not copied), or a value of the graph that is being traced.

    Attributes:
        shape: Sizes, outermost first; None where the size is known only when the program runs.
        dims: The same with symbolic dimensions (`graphc.ir.SymbolicDim`) in place of None.
        dtype: The element type as a string.
        mask: Which steps of a sequence count (bool); None if all do. Layers pass it on.
        origin: Of a part of a variable: the variable and the key of the part; else not set.
    """

    __slots__ = ("__weakref__", "data", "mask", "origin")

    origin: tuple[Any, Any]

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
        return self.data.dtype if isinstance(self.data, Value) else dtype_name(self.data.dtype)

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

    @property
    def T(self) -> Tensor:  # noqa: N802 (NumPy's name)
        """The tensor with its axes in reverse order."""
        return apply(Transpose(tuple(range(self.ndim - 1, -1, -1))), self)

    def get_shape(self) -> tuple[int | None, ...]:
        """The same as `shape`."""
        return self.shape

    def astype(self, dtype: Any) -> Tensor:
        """The elements converted to another type."""
        return cast(self, standard_dtype(dtype))

    def __copy__(self) -> Any:
        return self  # it cannot change

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    def __reduce__(self) -> Any:
        if isinstance(self.data, Value):
            raise TypeError("a tensor of a program that is being traced cannot be pickled")
        return type(self), (self.data,)

    def _operate(self, name: str, *operands: Any) -> Any:
        return operate(name, *operands)


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
        if hasattr(x, "as_tensor"):
            x = x.as_tensor()
        elif isinstance(x, (list, tuple)) and _holds_tensors(x):
            x = _stacked(x)
        else:
            x = Tensor(as_array(x, dtype))
    return x if dtype is None or x.dtype == dtype else apply(Cast(dtype), x)


def _holds_tensors(items: Any) -> bool:
    return any(
        isinstance(item, Elements) or isinstance(item, (list, tuple)) and _holds_tensors(item)
        for item in items
    )


def _stacked(items: Any) -> Tensor:
    """A list in which there are tensors, as a tensor."""
    nested = [as_tensor(item) if isinstance(item, (list, tuple)) else item for item in items]
    rows = [apply(Reshape((1, *tensor.dims)), tensor) for tensor in promoted(*nested)]
    return apply(Concat(0), *rows)


def from_dlpack(x: Any) -> Tensor:
    """An array of another library as a tensor, without a copy. It must not be changed there.

    Args:
        x: Anything with the methods of DLPack, in the memory of the processor.
    """
    return Tensor(np.from_dlpack(x))


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
        if type(x) in (bool, int, float, complex):
            weak.append(type(x))
        elif not (floats and np.asarray(x).dtype.kind == "f"):
            # NumPy makes float64 where nobody asked for it, so an array of floats bends to tensors.
            strong[i] = as_tensor(x)
    dtype = promote([x.dtype for x in strong.values()], weak)
    return [cast(strong[i], dtype) if i in strong else as_tensor(x, dtype)
            for i, x in enumerate(operands)]  # fmt: skip


# ---------------------------------------------------------------------------------------- dispatch

#: The plans of ops, functions and operators, by these and the types of their operands.
_plans: Cache[tuple[Any, ...], Plan] = Cache(8192)
_NUMBERS = frozenset([float, int, bool])
#: What NumPy takes between brackets as it is.
_BASIC = frozenset([int, slice, type(None), type(Ellipsis)])
#: The ops of one operand that operators stand for.
_UNARY = {"negative": "Neg", "absolute": "Abs", "logical_not": "Not", "round": "Round"}
#: What arithmetic on bools is, and what takes them as 0 and 1.
_BOOL_OPS = {"add": "Or", "multiply": "And"}
_COUNTING = frozenset(["mod", "less", "less_equal", "greater", "greater_equal"])


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
    kind = type(op)
    key: list[Any] = [kind]
    if kind.__dataclass_fields__:
        # Graphs are compared by structure, which takes long; the plan keeps the op alive.
        key.append(id(op) if op.body_fields else op)
    for tensor in tensors:
        data = tensor.data
        if type(data) is not np.ndarray:
            return _apply_symbolic(op, tensors)
        key.append(data.dtype)
        key.append(data.shape)
    whole = tuple(key)
    plan = _plans.get(whole)
    if plan is None:
        plan = _plans.keep(whole, make_plan(op.name, lambda *values: op(*values), tensors))
    return run_plan(plan, tensors)


def apply_function(function: Any, *tensors: Tensor, **attributes: Any) -> Any:
    """The result of a function that is written over graph values, on tensors of either kind.

    Args:
        function: Takes and returns `graphc.ir.Value`s of one graph. What it computes depends on
            these, the attributes and what it closes over only; where all that can be told by value,
            it is planned once for operands of the same types.
        *tensors: Its operands.
        **attributes: Further arguments of the function.
    """
    if any(isinstance(tensor.data, Value) for tensor in tensors):
        return _apply_symbolic(lambda *values: function(*values, **attributes), tensors)
    known = function_key(function, attributes)
    key = known and (known, *[(tensor.data.dtype, tensor.data.shape) for tensor in tensors])
    plan = _plans.get(key) if key else None
    if plan is None:
        name = getattr(function, "__name__", "function")
        plan = make_plan(name, lambda *values: function(*values, **attributes), tensors)
        if key:
            _plans.keep(key, plan)
    return run_plan(plan, tensors)


def run_plan(plan: Plan, tensors: Any) -> Any:
    """What a plan computes from tensors that have elements; tapes record it."""
    return _delivered(plan, tensors, silence.run(plan.run, *[tensor.data for tensor in tensors]))


def _delivered(plan: Plan, tensors: Any, arrays: Any) -> Any:
    """The results of a plan as tensors."""
    if plan.single:
        operand = plan.operands[0]
        result = Tensor(arrays) if operand is None else tensors[operand]
        for tape in current_tapes():
            tape.record(plan, tensors, (result,))
        return result
    results = tuple(
        Tensor(array) if operand is None else tensors[operand]
        for array, operand in zip(arrays, plan.operands, strict=True)
    )
    for tape in current_tapes():
        tape.record(plan, tensors, results)
    return results


def apply_plan(plan: Plan, tensors: Any) -> Any:
    """What a plan computes from tensors of either kind: its graph is copied to the one traced."""
    if not any(isinstance(tensor.data, Value) for tensor in tensors):
        return run_plan(plan, tensors)

    def inline(*values: Value) -> Any:
        results = tuple(values[0].graph.inline(plan.graph, list(values)).values())
        return results[0] if plan.single else results

    return _apply_symbolic(inline, tensors)


def _apply_symbolic(function: Callable[..., Any], tensors: Any) -> Any:
    """What a function (or an op) gives on values of the graph that is traced."""
    graph = next((tensor.data.graph for tensor in tensors if isinstance(tensor.data, Value)), None)
    if graph is None:
        raise TypeError(f"tensors hold NumPy arrays, not {[type(x.data) for x in tensors]}")
    operands = [embedded(graph, tensor) for tensor in tensors]
    with graph.at(with_line(graph.location)):
        results = function(*operands)
    if isinstance(results, tuple):
        return tuple(Tensor(value) for value in results)
    return Tensor(results)


def embedded(graph: Graph, tensor: Tensor) -> Value:
    """A tensor as a value of a graph: a constant, if it has elements."""
    if isinstance(tensor.data, Value):
        return tensor.data
    tapes = [tape for tape in current_tapes() if tape.tracks(tensor)]
    if not tapes:
        return graph.constant(tensor.data)
    known = [tape.embedding(tensor, graph) for tape in tapes]
    value = next((value for value in known if value is not None), None)
    if value is None:
        # Equal constants are one node; this one has a gradient of its own.
        value = StopGradient()(graph.constant(tensor.data))
    for tape in tapes:
        tape.embed(tensor, value)
    return value


# --------------------------------------------------------------------------------------- operators


def operate(name: str, *operands: Any) -> Any:
    """The operation behind one of Python's operators, with promotion of dtypes.

    Args:
        name: The public operation.
        *operands: Tensors, or what can become one. Numbers of Python take the type of what they
            meet.
    """
    if name == "get_item":
        return get_item(as_tensor(operands[0]), operands[1])
    key: list[Any] = [name, config.floatx]
    tensors = list(operands)
    arrays: list[Any] = []
    numbers = False
    for x in operands:
        kind = type(x)
        if kind in _NUMBERS:
            key.append(kind)
            if name == "power":
                key.append(x)  # squares are not computed like other powers
            arrays.append(x)
            numbers = True
            continue
        if kind is not Tensor:
            if kind is np.ndarray:
                x = _array_operand(x, operands)
            elif hasattr(x, "as_tensor"):
                x = x.as_tensor()
            else:
                return _operate(name, operands)
            tensors[len(arrays)] = x
        data = x.data
        if type(data) is not np.ndarray:
            return _operate(name, operands)
        key.append(data.dtype)
        key.append(data.shape)
        arrays.append(data)
    whole = tuple(key)
    plan = _plans.get(whole)
    if plan is None:
        plan = _plan_operator(name, whole, tensors)
        if plan is None:
            return _operate(name, operands)
    if numbers:
        for place, dtype in enumerate(plan.number_dtypes):
            if dtype is not None:
                tensor = tensors[place] = _number(tensors[place], dtype)
                arrays[place] = tensor.data
    return _delivered(plan, tensors, silence.run(plan.run, *arrays))


def _array_operand(array: np.ndarray, operands: Any) -> Tensor:
    """An array as an operand; one of floats bends to a tensor of floats, as in `promoted`."""
    if array.dtype.kind == "f":
        for other in operands:
            if hasattr(other, "as_tensor") and is_float(other.dtype):
                return Tensor(array.astype(numpy_dtype(other.dtype)))
    return as_tensor(array)


def _plan_operator(name: str, key: tuple[Any, ...], operands: list[Any]) -> Plan | None:
    """Plan an operator; numbers become operands of rank 0. None if there are only numbers."""
    kinds = [None if isinstance(x, Tensor) else type(x) for x in operands]
    if all(kinds):
        return None
    strong = [x.dtype for x in operands if isinstance(x, Tensor)]
    dtype = promote(strong, [kind for kind in kinds if kind])
    tensors = [_number(x, dtype) if kind else x for x, kind in zip(operands, kinds, strict=True)]

    def compute(*values: Value) -> Value:
        inputs = list(map(Tensor, values))
        if name == "power":
            graph = values[0].graph
            inputs = [
                Tensor(graph.constant(x.data)) if kind else value
                for x, kind, value in zip(tensors, kinds, inputs, strict=True)
            ]
        return _operate(name, tuple(inputs)).value

    plan = make_plan(name, compute, tensors)
    plan.number_dtypes = tuple(dtype if kind else None for kind in kinds)
    return _plans.keep(key, plan)


def _number(x: float, dtype: str) -> Tensor:
    try:
        return Tensor(np.array(x, numpy_dtype(dtype)))
    except OverflowError:
        return as_tensor(x, dtype)


def _operate(name: str, operands: tuple[Any, ...]) -> Any:
    """The same in terms of ops; NotImplemented if an operand records, for that comes first then."""
    if any(getattr(operand, "records_operations", False) for operand in operands):
        return NotImplemented
    match name:
        case "true_divide":
            x, y = promoted(*operands)
            if not is_inexact(x.dtype):
                x, y = (cast(operand, promote([], [float])) for operand in (x, y))
            return apply(Div(), x, y)
        case "floor_divide":
            x, y = promoted(*operands)
            if x.dtype == "bool":
                x, y = cast(x, "int32"), cast(y, "int32")
            quotient = apply(Div(), x, y)
            return apply(Floor(), quotient) if is_inexact(x.dtype) else quotient
        case "matmul":
            x, y = promoted(*operands)
            return apply_function(matmul, x, y)
        case "negative" | "absolute" | "logical_not" | "round":
            x = as_tensor(operands[0])
            if name == "round" and not is_float(x.dtype):
                return x
            if name == "absolute" and is_complex(x.dtype):
                return apply_function(magnitude, x)
            if name == "negative" and x.dtype.startswith("uint"):  # it wraps around
                return _operate("subtract", (0, x))
            return apply(Op.registry[_UNARY[name]](), x)
        case "logical_and" | "logical_or" | "logical_xor":
            x, y = promoted(*operands)
            prefix = "Bitwise" if is_integer(x.dtype) else ""
            return apply(Op.registry[prefix + OPERATORS[name]](), x, y)
        case "power":
            x, y = promoted(*operands)
            if x.dtype == "bool":
                x, y = cast(x, "int32"), cast(y, "int32")
            if is_integer(x.dtype):
                return apply_function(integer_power, x, y)
            return apply(Op.registry["Pow"](), x, y)
        case _:
            x, y = promoted(*operands)
            if x.dtype == "bool" and name in _BOOL_OPS:
                return apply(Op.registry[_BOOL_OPS[name]](), x, y)
            if x.dtype == "bool" and name in _COUNTING:
                x, y = cast(x, "int32"), cast(y, "int32")
            return apply(Op.registry[OPERATORS[name]](), x, y)


def get_item(x: Tensor, key: Any) -> Tensor:
    """``x[key]``, as NumPy has it.

    Args:
        x: A tensor.
        key: Integers, slices, ``...``, None, tensors or arrays of integers, and masks (bool).

    Raises:
        ShapeError: Too many indices, or one outside its axis.
        TypeError: Something that is no index.
        DataDependentControlFlowError: A mask that is not known yet.
    """
    data = x.data
    items = key if type(key) is tuple else (key,)
    if type(data) is np.ndarray and _BASIC.issuperset(map(type, items)) and not current_tapes():
        try:
            return Tensor(np.asarray(data[key]))
        except (IndexError, TypeError, ValueError):
            pass  # told better below
    template, places = parse_key(key, as_tensor)
    trace = current_trace()
    if trace is not None and holds_open_size(template):
        x = Tensor(embedded(trace.graph, x))
    if any(isinstance(tensor.data, Value) for tensor in (x, *places)):
        return _apply_symbolic(lambda *v: get_item_value(*v, key=template), (x, *places))
    return _get_known_item(x, template, places)


def _get_known_item(x: Tensor, template: Key, places: list[Tensor]) -> Tensor:
    """Indexing by NumPy itself; the graph of it is made for errors and for tapes only."""
    try:
        array = np.asarray(x.data[numpy_key(template, [place.data for place in places])])  # type: ignore
    except (IndexError, TypeError, ValueError):
        array = None
    tapes = current_tapes()
    if array is None or tapes:
        key = ("get_item", x.data.dtype, x.shape, template, *[place.type for place in places])
        plan = _plans.get(key)
        if plan is None:
            tensors = (x, *places)
            plan = make_plan("get_item", lambda *v: get_item_value(*v, key=template), tensors)
            _plans.keep(key, plan)
        if array is None:
            raise ShapeError(f"get_item: an index is outside a tensor of shape {x.shape}")
        if plan.operands[0] is not None:
            return x
        result = Tensor(array)
        for tape in tapes:
            tape.record(plan, (x, *places), (result,))
        return result
    return Tensor(array)


def update_item(x: Tensor, key: Any, value: Any, how: str) -> Tensor:
    """``x`` with another value for ``x[key]``.

    Args:
        x: A tensor.
        key: As for `get_item`.
        value: Broadcast to the shape of ``x[key]``.
        how: ``"assign"``: of several values for one element the last remains; ``"add"``: all are
            added.

    Raises:
        ShapeError: The value does not fit, or an index is outside its axis.
    """
    template, places = parse_key(key, as_tensor)
    operands = (x, as_tensor(value, x.dtype), *places)
    return apply_function(update_item_value, *operands, key=template, how=how)
