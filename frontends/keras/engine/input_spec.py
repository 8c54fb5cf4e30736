"""What a layer demands of its inputs, and the errors when it gets something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphc.eager.location import user_line_text
from graphc.eager.tensor import Tensor
from graphc.errors import ShapeError
from graphc.keras import tree


class InputSpec:
    """Constraints on one input (`keras.InputSpec`, https://keras.io/api/layers/base_layer/).

    Args:
        dtype: Element type, for information.
        shape: The whole shape; None where any size is fine.
        ndim: The exact number of axes.
        max_ndim: The largest number of axes.
        min_ndim: The smallest number of axes.
        axes: Axis to size.
        allow_last_axis_squeeze: Accept a missing or extra last axis of size 1.
        name: The key of the input when inputs come as a dict.
        optional: Whether None is accepted.
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: tuple[int | None, ...] | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Mapping[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ):
        self.dtype = dtype
        self.shape = tuple(shape) if shape is not None else None
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.name = name
        self.optional = optional

    def complaint(self, shape: tuple[int | None, ...]) -> str:
        """What is wrong with ``shape``; empty if nothing."""
        rank = len(shape)
        if self.allow_last_axis_squeeze and self.ndim in (rank - 1, rank + 1):
            return ""
        if self.ndim is not None and rank != self.ndim:
            return f"needs {self.ndim} axes, {_layout(self.ndim)}, but has {rank}"
        if self.max_ndim is not None and rank > self.max_ndim:
            return f"needs at most {self.max_ndim} axes but has {rank}"
        if self.min_ndim is not None and rank < self.min_ndim:
            return f"needs at least {self.min_ndim} axes, the batch's included, but has {rank}"
        for axis, size in self.axes.items():
            if size is not None and shape[axis] != size and shape[axis] is not None:
                if axis in (-1, rank - 1):
                    return f"has {shape[axis]} features, the weights were built for {size}"
                return f"has size {shape[axis]} along axis {axis}, it has to be {size}"
        if self.shape is None or shape == self.shape:
            return ""
        for axis, (given, wanted) in enumerate(zip(shape, self.shape, strict=False)):
            if wanted is not None and given != wanted and given is not None:
                return f"has size {given} along axis {axis}, it has to be {wanted}"
        return ""


def _layout(rank: int) -> str:
    layouts = {
        2: "(batch, features)",
        3: "(batch, time, features)",
        4: "(batch, height, width, channels)",
        5: "(batch, depth, height, width, channels)",
    }
    return layouts.get(rank, "the batch's included")


def check_inputs(specs: Any, inputs: Any, owner: Any) -> None:
    """Compare the inputs of a call with their specifications.

    Args:
        specs: One `InputSpec` or a structure of them.
        inputs: One tensor or a structure of them.
        owner: The layer that demands it.

    Raises:
        ShapeError: An input does not fit, or their number is another one.
    """
    pairs: list[tuple[Any, Any]]
    if type(specs) is InputSpec and isinstance(inputs, Tensor):
        if not specs.complaint(inputs.shape):
            return  # so it is nearly always
        pairs = [(specs, inputs)]
    elif isinstance(inputs, Mapping) and all(spec.name for spec in tree.flatten(specs)):
        pairs = [(spec, inputs.get(spec.name)) for spec in tree.flatten(specs)]
    else:
        flat_specs, flat_inputs = tree.flatten(specs), tree.flatten(inputs)
        if len(flat_specs) != len(flat_inputs):
            raise ShapeError(
                f"{_named(owner)}: takes {len(flat_specs)} input(s), received {len(flat_inputs)}"
                f"{_place()}"
            )
        pairs = list(zip(flat_specs, flat_inputs, strict=True))
    for number, (spec, tensor) in enumerate(pairs):
        if tensor is None or spec is None:
            continue
        if not hasattr(tensor, "shape"):
            raise TypeError(
                f"{_named(owner)}: takes tensors or arrays, received {tensor!r}{_place()}"
            )
        complaint = spec.complaint(tuple(tensor.shape))
        if complaint:
            which = "input" if len(pairs) == 1 else f"input {number}"
            raise ShapeError(
                f"{_named(owner)}: {which} {complaint}; received shape {tensor.shape}{_place()}"
            )


def _named(owner: Any) -> str:
    return f'{type(owner).__name__} "{owner.name}"'


def _place() -> str:
    """The user's line, which is looked for only where there is something to say."""
    place = user_line_text()
    return f" ({place})" if place else ""
