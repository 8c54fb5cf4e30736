"""Variables that stand for given values: code that assigns as a function without effects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from graphc.eager.trace import checked_update
from graphc.eager.variable import Variable


@contextmanager
def replaced(variables: Sequence[Variable], values: Sequence[Any]) -> Iterator[None]:
    """Inside the block variables have other values; what is assigned to them is gone after it.

    Args:
        variables: The variables.
        values: A value of the variable's shape for each.

    Raises:
        ValueError: There are more values, or fewer, than variables.
        ShapeError: A value has another shape than its variable.
    """
    if len(variables) != len(values):
        raise ValueError(f"there are {len(variables)} variables, received {len(values)} values")
    new = [checked_update(v, value) for v, value in zip(variables, values, strict=True)]
    before = [variable.replacement for variable in variables]
    try:
        for variable, tensor in zip(variables, new, strict=True):
            variable.replacement = tensor
        yield
    finally:
        for variable, old in zip(variables, before, strict=True):
            variable.replacement = old
