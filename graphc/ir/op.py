"""The protocol of operations: one frozen dataclass per op, its rules as methods.

The fields of an op are its attributes, so that equality, hashing (common subexpressions), printing
and parsing come with the dataclass. Its methods are everything graphc knows about it. A missing
rule is not an error until somebody needs it; `tests/test_ops.py` says what a complete op has.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform

import numpy as np

from graphc.errors import ShapeError, UnsupportedError
from graphc.ir import dims
from graphc.ir.types import TensorType

if TYPE_CHECKING:
    from graphc.ir.graph import Graph, Node, Value


@dataclass(frozen=True)
class Sample:
    """One case in which an op is tested.

    Args:
        op: The op with its attributes.
        inputs: Concrete arrays.
        differentiable: Whether its gradient is checked with finite differences here (not at kinks).
        smooth_in: Positions of the operands in which it is smooth here; None: in all of them.
        portable: Whether ONNX Runtime can run it too. Its loops and recurrent nodes need at least
            one step: without one they fail, give rubbish or take the process with them.
    """

    op: Op
    inputs: tuple[np.ndarray, ...]
    differentiable: bool = True
    smooth_in: tuple[int, ...] | None = None
    portable: bool = True


@dataclass_transform(frozen_default=True)
@dataclass(frozen=True)
class Op:
    """Base class of all operations.

    An instance is callable: ``Exp()(x)`` adds a node to the graph that ``x`` belongs to and returns
    its output (a tuple where the op has several).

    A class of an op is a frozen dataclass without a decorator: its methods are generated when it is
    used first. Those of all ops would take a good part of graphc's import, and a program has few.

    Args:
        kw_only: Where a class is made: whether its own fields are given by name only.

    Example:
        >>> class _Scaled(Op, kw_only=True):
        ...     factor: float
        >>> _Scaled(factor=2.0) == _Scaled(factor=2.0)
        True
    """

    registry: ClassVar[dict[str, type[Op]]] = {}
    #: Classes whose methods have not been generated yet, and whether their fields are keywords.
    _unused: ClassVar[dict[type[Op], bool]] = {}
    _lock: ClassVar[Lock] = Lock()
    #: Broadcasts its operands against each other and computes each element on its own.
    elementwise: ClassVar[bool] = False
    #: Reads only the types of its inputs, never their elements.
    reads_types_only: ClassVar[bool] = False
    #: Has no derivative anywhere that matters (comparisons, integers, random numbers).
    differentiable: ClassVar[bool] = True
    #: The fields that hold graphs: the bodies of control flow.
    body_fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, kw_only: bool = False, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        Op._unused[cls] = kw_only
        if cls.__name__.startswith("_"):
            return
        known = Op.registry.setdefault(cls.__name__, cls)
        if known is not cls:
            raise TypeError(
                f'an op "{cls.__name__}" is there already, in {known.__module__}; '
                "dumps and files know ops by their names"
            )

    def __new__(cls, *arguments: Any, **keywords: Any) -> Self:
        if cls in Op._unused:
            cls._complete()
        return super().__new__(cls)

    @classmethod
    def _complete(cls) -> None:
        """Generate the methods of a class and of those that it inherits from.

        Raises:
            TypeError: A decorator did so before, without those of a class that it inherits from.
        """
        with Op._lock:
            for base in reversed(cls.__mro__):
                if base not in Op._unused:
                    continue
                if "__dataclass_fields__" in base.__dict__:
                    raise TypeError(
                        f"{base.__qualname__} is decorated with dataclass, which ops are by "
                        "themselves: leave the decorator out"
                    )
                if _has_fields(base):
                    dataclass(frozen=True, kw_only=Op._unused[base])(base)
                del Op._unused[base]  # now at last: until then other threads wait for the lock

    @property
    def name(self) -> str:
        """The op's name in dumps: the name of its class."""
        return type(self).__name__

    def infer(self, *types: TensorType) -> TensorType | tuple[TensorType, ...]:
        """The types of the outputs.

        Raises:
            ShapeError, DTypeError: The operands do not fit; the text says what was expected.
        """
        raise NotImplementedError(f"{self.name} has no infer rule")

    def evaluate(self, *arrays: np.ndarray) -> np.ndarray | tuple[np.ndarray, ...]:
        """What the op means, in NumPy. Dimensions in attributes have been bound to integers.

        An op with `bodies` is handed the interpreter as the keyword ``run``:
        ``run(graph, arrays)`` returns the tuple of the graph's outputs.
        """
        raise NotImplementedError(f"{self.name} has no evaluate rule")

    def gradient(self, node: Node, *cotangents: Any) -> Sequence[Value | None]:
        """The cotangents of the inputs, as new nodes of the same graph.

        Args:
            node: The node to differentiate.
            *cotangents: One per output; None where an output does not reach the result (an op with
                a single output never sees None).

        An op with `bodies` is handed the reverse sweep, `graphc.autodiff.gradients`, as the keyword
        ``sweep``.

        Returns:
            One value, or None for "no dependence", per input. A cotangent may still have the
            broadcast shape of the output: the reverse sweep sums it over the broadcast axes.
        """
        raise UnsupportedError(f"{self.name} has no gradient")

    def emit(self, emitter: Any, *values: Any) -> Any:
        """Elementwise ops: the computation of one element (or vector), through ``emitter``."""
        raise UnsupportedError(f"{self.name} has no elementwise code")

    def decompose(self, *values: Any) -> Any:
        """Composite ops: the same computation in simpler ops; returns the output or a tuple."""
        raise UnsupportedError(f"{self.name} does not decompose")

    def onnx(self, context: Any, node: Node, *names: str) -> Any:
        """Add the equivalent ONNX nodes.

        Args:
            context: ``context.node(op_type, inputs, outputs=1, **attributes)`` adds one node and
                returns its output name (a tuple of names for several outputs);
                ``context.constant(array)`` returns the name of an initializer;
                ``context.shape(dims)`` and ``context.dim(dim)`` that of int64 sizes, a vector and a
                scalar, which may be symbolic; ``context.reshape(x, old_dims, new_dims)`` reshapes
                (one new size may be -1); ``context.onnx_dtype(dtype)`` is the number of an element
                type; ``context.decomposed(node, *names)`` exports the node through `decompose`;
                ``context.opset`` is the version that is written.
            node: The node that is exported; its operands and results tell types.
            *names: ONNX names of the operands.

        Returns:
            The name of the result, or a tuple of names.
        """
        raise UnsupportedError(f"{self.name} has no ONNX equivalent")

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        """A handful of cases, odd shapes and edge values included."""
        raise NotImplementedError(f"{cls.__name__} has no samples")

    @classmethod
    def has_rule(cls, rule: str) -> bool:
        """Whether the class states ``rule`` (the name of one of the methods above) itself."""
        return getattr(cls, rule) is not getattr(Op, rule)

    @property
    def bodies(self) -> tuple[Graph, ...]:
        """The graphs that the op runs: control flow has some, other ops have none."""
        return tuple(getattr(self, field) for field in self.body_fields)

    def map_bodies(self, change: Callable[[Graph], Graph]) -> Op:
        """The op with ``change`` of each of its `bodies`; itself if that changes none."""
        changes = {}
        for field in self.body_fields:
            body = getattr(self, field)
            changed = change(body)
            if changed is not body:
                changes[field] = changed
        return dataclasses.replace(self, **changes) if changes else self

    @property
    def attributes(self) -> dict[str, Any]:
        """Names and values of the fields."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def substitute(self, bindings: Mapping[str, dims.Dim]) -> Op:
        """The op with symbols in its attributes replaced."""
        changes = {}
        for name, value in self.attributes.items():
            bound = _substitute(value, bindings)
            if bound is not value:
                changes[name] = bound
        return dataclasses.replace(self, **changes) if changes else self

    def __call__(self, *values: Value) -> Any:
        if not values:
            raise ShapeError(f"{self.name} has no operands to take a graph from")
        return values[0].graph.apply(self, *values)


def _has_fields(cls: type) -> bool:
    """Whether a class itself declares attributes of its instances.

    One without inherits all its methods. Annotations are text where a module postpones them; of
    others the answer is yes, which costs time only.
    """
    annotations = cls.__dict__.get("__annotations__", {})
    return not all(str(kind).startswith("ClassVar") for kind in annotations.values())


def _substitute(value: Any, bindings: Mapping[str, dims.Dim]) -> Any:
    if isinstance(value, dims.SymbolicDim):
        return dims.substitute(value, bindings)
    if isinstance(value, tuple):
        parts = tuple(_substitute(part, bindings) for part in value)
        return parts if any(a is not b for a, b in zip(parts, value, strict=True)) else value
    if hasattr(value, "substitute"):
        return value.substitute(bindings)
    return value
