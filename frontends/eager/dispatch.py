"""Public operations, planned: a function of tensors runs once to be planned, then only its plan.

The key of a plan is the function, the types of the tensors it is given and all else that it is
given by value. What cannot be planned (it needs elements to know what to do, draws random numbers,
loops) runs as it is written, and the operations inside it are planned each for itself.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from graphc.config import config
from graphc.eager.cache import Cache
from graphc.eager.current import current_tapes
from graphc.eager.kind import kind_of
from graphc.eager.plan import KEPT_BYTES, Plan, silence
from graphc.eager.structure import Slot, filler
from graphc.eager.tensor import Tensor, as_tensor, delivered
from graphc.eager.trace import Trace, current_trace
from graphc.ir import Graph, Value, is_float

#: A plan, and what puts its results into the structure that the function returns; None for what
#: cannot be planned.
Call = tuple[Plan, "Callable[..., Any] | None"] | None

_calls: Cache[tuple[Any, ...], Call] = Cache(8192)
#: How many plans each function has. One that is given ever new numbers is planned no more.
_planned: dict[Any, int] = {}
_MOST_PLANS = 1024

#: In a key: here stands an array of NumPy.
_ARRAY = object()
_BY_VALUE = frozenset([int, bool, str, type(None)])


class _NotPlannableError(Exception):
    """A function reads or writes variables, or returns something that no plan can make."""


class _Planning(Trace):
    """The trace of a function that is planned."""

    def read(self, variable: Any) -> Tensor:
        raise _NotPlannableError

    def write(self, variable: Any, value: Tensor) -> None:
        raise _NotPlannableError


def planned(function: Callable[..., Any], otherwise: Callable[..., Any]) -> Callable[..., Any]:
    """A public operation: the function, whose plans run in its place.

    Args:
        function: Has no effects, and depends on its arguments and on `config` only.
        otherwise: Called in its place for arguments that are not all tensors that have elements,
            variables, arrays, numbers, texts or lists of them.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        key: list[Any] = [function, config.defaults]
        tensors: list[Tensor] = []
        arrays: list[np.ndarray] = []
        for item in args:
            if type(item) is Tensor:
                kind = item.kind
                if kind is None:
                    kind = item.kind = kind_of(item.data)
                    if kind is None:
                        return otherwise(*args, **kwargs)
                key.append(kind)
                tensors.append(item)
                arrays.append(item.data)  # type: ignore[arg-type]
            elif not _add(item, key, tensors, arrays):
                return otherwise(*args, **kwargs)
        for name, item in kwargs.items():
            key.append(name)
            if not _add(item, key, tensors, arrays):
                return otherwise(*args, **kwargs)
        if not tensors:
            return otherwise(*args, **kwargs)
        whole = tuple(key)
        try:
            found = _calls[whole]
        except KeyError:
            found = _new_call(function, whole, args, kwargs, tensors)
        if found is None:
            return function(*args, **kwargs)
        plan, fill = found
        results = silence.run(plan.run or plan.prepare(), *arrays)
        if plan.is_plain:
            result = Tensor(results, plan.kind)
            for tape in current_tapes():
                tape.record(plan, tensors, (result,))
        else:
            result = delivered(plan, tensors, results)
        return result if fill is None else fill(result)

    return call


def refuse_plan() -> None:
    """Say, inside an operation, that it depends on elements: then it runs as it is written."""
    if isinstance(current_trace(), _Planning):
        raise _NotPlannableError


def _add(item: Any, key: list[Any], tensors: list[Tensor], arrays: list[np.ndarray]) -> bool:
    """Add one argument to the key, and the tensors in it; whether that is possible."""
    kind = type(item)
    if kind in _BY_VALUE:
        key.append(kind)
        key.append(item)
    elif kind is float:
        key.append(item or str(item))  # -0.0 equals 0.0
    elif kind is tuple or kind is list:
        key.append(kind)
        key.append(len(item))
        for part in item:
            if not _add(part, key, tensors, arrays):
                return False
    elif hasattr(item, "as_tensor") or kind is np.ndarray and item.dtype.kind in "biuf":
        tensor = item if kind is Tensor else as_tensor(item)
        if kind is np.ndarray:
            key.append(_ARRAY)
        if tensor.kind is None:
            tensor.kind = kind_of(tensor.data)
            if tensor.kind is None:
                return False
        key.append(tensor.kind)
        tensors.append(tensor)
        arrays.append(tensor.data)  # type: ignore[arg-type]
    else:
        return False
    return True


def _new_call(
    function: Any, key: tuple[Any, ...], args: Any, kwargs: Any, tensors: list[Tensor]
) -> Call:
    count = _planned.get(function, 0)
    if count >= _MOST_PLANS:
        return None
    if len(_calls) + 1 >= _calls.size:
        _planned.clear()
    else:
        _planned[function] = count + 1
    call = None
    floats = {tensor.data.dtype for tensor in tensors if is_float(tensor.dtype)}
    # An array of floats bends to tensors of another type, which placeholders cannot tell.
    if len(floats) < 2 or not any(part is _ARRAY for part in key):
        try:
            call = _plan(function, args, kwargs, tensors)
        except Exception:
            call = None  # whatever it was: the function itself says it better, or needs no plan
    return _calls.keep(key, call)


def _plan(function: Any, args: Any, kwargs: Any, tensors: list[Tensor]) -> Call:
    with _Planning(getattr(function, "__name__", "operation")) as trace:
        graph = trace.graph
        inputs = [graph.input(f"x{i}", tensor.type) for i, tensor in enumerate(tensors)]
        placeholders = iter([Tensor(value) for value in inputs])
        with warnings.catch_warnings():
            # A warning has to come every time.
            warnings.simplefilter("error")
            result = function(
                *[_with(item, placeholders) for item in args],
                **{name: _with(item, placeholders) for name, item in kwargs.items()},
            )
    if any(node.op.bodies for node in graph.nodes):
        return None  # Python's own loops are faster than interpreted ones
    outputs: list[Value] = []
    template = _template(result, graph, outputs)
    graph.outputs = {f"y{i}": value for i, value in enumerate(outputs)}
    single = isinstance(template, Slot)
    return Plan(graph, single), None if single else filler(template)


def _with(item: Any, placeholders: Iterator[Tensor]) -> Any:
    """An argument with placeholders for the tensors in it."""
    if isinstance(item, (tuple, list)):
        return type(item)(_with(part, placeholders) for part in item)
    is_tensor = hasattr(item, "as_tensor") or isinstance(item, np.ndarray)
    return next(placeholders) if is_tensor else item


def _template(result: Any, graph: Graph, outputs: list[Value]) -> Any:
    """The structure of a result, with slots for its tensors.

    Raises:
        _NotPlannableError: It holds something else.
    """
    if type(result) in (tuple, list):
        return type(result)(_template(part, graph, outputs) for part in result)
    if type(result) is dict:
        return {name: _template(part, graph, outputs) for name, part in result.items()}
    if type(result) in _BY_VALUE or type(result) is float:
        return result
    if type(result) is not Tensor or result.mask is not None:
        raise _NotPlannableError
    data = result.data
    if isinstance(data, Value):
        outputs.append(data)
    elif data.nbytes <= KEPT_BYTES:
        outputs.append(graph.constant(data))
    else:
        raise _NotPlannableError
    return Slot(len(outputs) - 1)
