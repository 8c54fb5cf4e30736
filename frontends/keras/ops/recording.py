"""What makes a function an operation: on tensors it computes, on a model's tensors it is recorded.

What it computes is planned once for tensors of some types (`graphc.eager.dispatch`).

A tensor of a functional model (its class says ``records_operations = True``) has a method
``record_operation(function, args, kwargs)``, which adds a node to the model and returns the tensors
that the function will give.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

import numpy as np

from graphc.eager.dispatch import planned
from graphc.eager.tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R")

#: The most frequent types that record nothing.
_PLAIN = frozenset([Tensor, float, int, str, bool, type(None), np.ndarray])


def operation(function: Callable[P, R], is_planned: bool = True) -> Callable[P, R]:
    """Decorator: record the call if an argument, also inside a list, is a model's tensor.

    Args:
        function: What it does on tensors.
        is_planned: Whether a plan may take its place.

    Example:
        >>> @operation
        ... def double(x):
        ...     return add(x, x)
    """

    def recorded(*args: P.args, **kwargs: P.kwargs) -> R:
        recorder = _recorder(args)
        if recorder is None and kwargs:
            recorder = _recorder(kwargs.values())
        if recorder is not None:
            return recorder.record_operation(call, args, kwargs)
        return function(*args, **kwargs)

    call: Callable[P, R]
    call = planned(function, recorded) if is_planned else functools.wraps(function)(recorded)
    return call


def unplanned_operation(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: as `operation`, for what looks at elements or counts draws."""
    return operation(function, is_planned=False)


def composed(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: a function that consists of operations, planned as a whole for tensors.

    On tensors of a functional model the operations are recorded, not the function: so the model
    can be saved.
    """
    call: Callable[P, R] = planned(function, function)
    return call


def _recorder(arguments: Iterable[Any]) -> Any:
    """The first of the arguments, however deep in lists, that records operations; else None."""
    for argument in arguments:
        if type(argument) in _PLAIN:
            continue
        if getattr(argument, "records_operations", False):
            return argument
        if isinstance(argument, (list, tuple)):
            found = _recorder(argument)
        elif isinstance(argument, dict):
            found = _recorder(argument.values())
        else:
            continue
        if found is not None:
            return found
    return None
