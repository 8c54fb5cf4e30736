"""Tensors: the same code computes at once or builds a graph.

A `Tensor` holds either a NumPy array or a value of a graph that is being traced. `apply` gives an
op's result on tensors: if all are arrays it computes, if one is symbolic it adds a node. There is
one op library; nothing is written twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.eager.arrays import as_array
from graphc.eager.cache import Cache
from graphc.eager.current import current_tapes, current_trace
from graphc.eager.elements import Elements
from graphc.eager.kind import Kind, kind_of
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
    is_float,
    numpy_dtype,
    type_of,
)
from graphc.ops.barrier import StopGradient
from graphc.ops.elementwise import Cast
from graphc.ops.movement import Concat, Iota, Reshape, Size, Transpose


class Tensor(Elements):
    """An immutable multi-dimensional array, known now or only when a compiled program runs.

    Args:
        data: A NumPy array (not copied), or a value of the graph that is being traced.
        kind: `kind_of` the data; left out, it is looked up when a plan is.

    Attributes:
        shape: Sizes, outermost first; None where the size is known only when the program runs.
        dims: The same with symbolic dimensions (`graphc.ir.SymbolicDim`) in place of None.
        dtype: The element type as a string.
        mask: Which steps of a sequence count (bool); None if all do. Layers pass it on.
        origin: Of a part of a variable: the variable and the key of the part; else not set.
    """

    __slots__ = ("__weakref__", "data", "kind", "mask", "origin")

    origin: tuple[Any, Any]

    def __init__(self, data: np.ndarray | Value, kind: Kind | None = None):
        self.data = data
        self.mask: Tensor | None = None
        self.kind = kind

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
        data = self.data
        return data.shape if type(data) is np.ndarray else public_shape(data.shape)

    @property
    def dims(self) -> dims.Shape:
        return self.data.shape

    @property
    def dtype(self) -> str:
        dtype = self.data.dtype
        return dtype if type(dtype) is str else dtype_name(dtype)

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
    if type(x) is not Tensor:
        x = as_tensor(x)
    return x if x.dtype == dtype else apply(Cast(dtype), x)


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
plans: Cache[tuple[Any, ...], Plan] = Cache(8192)


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
        form = tensor.kind
        if form is None:
            form = tensor.kind = kind_of(tensor.data)
            if form is None:
                return apply_symbolic(op, tensors)
        key.append(form)
    whole = tuple(key)
    plan = plans.get(whole)
    if plan is None:
        plan = make_plan(op.name, lambda *values: op(*values), tensors)
        if plan.has_open_sizes:
            return apply_symbolic(op, tensors)
        plans.keep(whole, plan)
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
        return apply_symbolic(lambda *values: function(*values, **attributes), tensors)
    known = function_key(function, attributes)
    key = known and (known, *[kind_of(tensor.data) for tensor in tensors])
    plan = plans.get(key) if key else None
    if plan is None:
        name = getattr(function, "__name__", "function")
        plan = make_plan(name, lambda *values: function(*values, **attributes), tensors)
        if plan.has_open_sizes:
            return apply_symbolic(lambda *values: function(*values, **attributes), tensors)
        if key:
            plans.keep(key, plan)
    return run_plan(plan, tensors)


def run_plan(plan: Plan, tensors: Any) -> Any:
    """What a plan computes from tensors that have elements; tapes record it."""
    arrays = [tensor.data for tensor in tensors]
    return delivered(plan, tensors, silence.run(plan.run or plan.prepare(), *arrays))


def delivered(plan: Plan, tensors: Any, arrays: Any) -> Any:
    """The results of a plan as tensors."""
    if plan.single:
        operand = plan.operands[0]
        result = Tensor(arrays, plan.kind) if operand is None else tensors[operand]
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

    return apply_symbolic(inline, tensors)


def apply_symbolic(function: Callable[..., Any], tensors: Any) -> Any:
    """What a function (or an op) gives on values of the graph that is traced."""
    trace = current_trace()
    own = [tensor.data.graph for tensor in tensors if isinstance(tensor.data, Value)]
    graph = own[0] if own else trace.graph if trace else None
    if graph is None:
        raise TypeError(f"no program is traced; tensors hold {[type(x.data) for x in tensors]}")
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
