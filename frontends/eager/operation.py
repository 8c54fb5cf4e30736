"""Python's operators on tensors, and the parts that brackets name."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.config import config
from graphc.eager.current import current_tapes, current_trace
from graphc.eager.indexing import (
    Key,
    get_item_value,
    holds_open_size,
    numpy_key,
    parse_key,
    update_item_value,
)
from graphc.eager.kind import kind_of
from graphc.eager.operators import OPERATORS
from graphc.eager.plan import Plan, make_plan, silence
from graphc.eager.promotion import promote
from graphc.eager.tensor import (
    Tensor,
    apply,
    apply_function,
    apply_symbolic,
    as_tensor,
    cast,
    delivered,
    embedded,
    plans,
    promoted,
)
from graphc.errors import DTypeError, ShapeError
from graphc.ir import (
    Op,
    Value,
    dtype_name,
    is_complex,
    is_float,
    is_inexact,
    is_integer,
    numpy_dtype,
)
from graphc.ops.complex import magnitude
from graphc.ops.elementwise import Div, Floor
from graphc.ops.integers import integer_power, shift_left, shift_right
from graphc.ops.linalg import matmul

_NUMBERS = frozenset([float, int, bool])
#: What NumPy takes between brackets as it is.
_BASIC = frozenset([int, slice, type(None), type(Ellipsis)])
#: The ops of one operand that operators stand for.
_UNARY = {"negative": "Neg", "absolute": "Abs", "logical_not": "Not", "round": "Round"}
#: What arithmetic on bools is, and what takes them as 0 and 1.
_BOOL_OPS = {"add": "Or", "multiply": "And"}
_COUNTING = frozenset(["mod", "less", "less_equal", "greater", "greater_equal"])


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
    tensors: list[Any] = []
    arrays: list[Any] = []
    for x in operands:
        if type(x) is not Tensor:
            form = type(x)
            if form in _NUMBERS:
                key.append(form)
                if name == "power":
                    key.append(x)  # squares are not computed like other powers
                tensors.append(x)
                arrays.append(x)
                continue
            if form is np.ndarray:
                x = _array_operand(x, operands)
            elif hasattr(x, "as_tensor"):
                x = x.as_tensor()
            else:
                return _operate(name, operands)
        kind = x.kind
        if kind is None:
            kind = x.kind = kind_of(x.data)
            if kind is None:
                return _operate(name, operands)
        key.append(kind)
        tensors.append(x)
        arrays.append(x.data)
    whole = tuple(key)
    plan = plans.get(whole)
    if plan is None:
        plan = _plan_operator(name, whole, tensors)
        if plan is None:
            return _operate(name, operands)
    for place, dtype in plan.numbers:
        arrays[place] = _number(arrays[place], dtype)
    results = silence.run(plan.run or plan.prepare(), *arrays)
    if plan.is_plain and not current_tapes():
        return Tensor(results, plan.kind)  # the numbers need not become tensors
    for place, _ in plan.numbers:
        tensors[place] = Tensor(arrays[place])
    return delivered(plan, tensors, results)


# As a function, not a method that calls it: each operator is one call less.
Tensor._operate = staticmethod(operate)  # type: ignore[method-assign, assignment]


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
    dtype = numpy_dtype(promote(strong, [kind for kind in kinds if kind]))
    tensors = [
        Tensor(_number(x, dtype)) if kind else x for x, kind in zip(operands, kinds, strict=True)
    ]

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
    plan.numbers = tuple((place, dtype) for place, kind in enumerate(kinds) if kind)
    return plans.keep(key, plan)


def _number(x: float, dtype: np.dtype) -> np.ndarray:
    try:
        return np.array(x, dtype)
    except OverflowError:
        return as_tensor(x, dtype_name(dtype)).data  # type: ignore[return-value]


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
            if name == "logical_not" and is_integer(x.dtype):
                return _operate("subtract", (_operate("negative", (x,)), 1))
            return apply(Op.registry[_UNARY[name]](), x)
        case "logical_and" | "logical_or" | "logical_xor":
            x, y = promoted(*operands)
            prefix = "Bitwise" if is_integer(x.dtype) else ""
            return apply(Op.registry[prefix + OPERATORS[name]](), x, y)
        case "left_shift" | "right_shift":
            x, y = promoted(*operands)
            if x.dtype == "bool":
                x, y = cast(x, "int32"), cast(y, "int32")
            if not is_integer(x.dtype):
                raise DTypeError(f"{name} works on integers and bools, not on {x.dtype}")
            return apply_function(shift_left if name == "left_shift" else shift_right, x, y)
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
        return apply_symbolic(lambda *v: get_item_value(*v, key=template), (x, *places))
    return _get_known_item(x, template, places)


def _get_known_item(x: Tensor, template: Key, places: list[Tensor]) -> Tensor:
    """Indexing by NumPy itself; the graph of it is made for errors and for tapes only."""
    try:
        array = np.asarray(x.data[numpy_key(template, [place.data for place in places])])  # type: ignore
    except (IndexError, TypeError, ValueError):
        array = None
    tapes = current_tapes()
    if array is None or tapes:
        key = ("get_item", kind_of(x.data), template, *[kind_of(place.data) for place in places])
        plan = plans.get(key)
        if plan is None:
            tensors = (x, *places)
            plan = make_plan("get_item", lambda *v: get_item_value(*v, key=template), tensors)
            plans.keep(key, plan)
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
