"""`GradientTape`: derivatives of what was computed, in TensorFlow's interface.

The tape is a graph under construction. It keeps the plans of the operations that depend on what it
watches, each with its operands and results; a gradient puts their graphs together and asks the
compiler's reverse sweep. The program that comes out is kept: when the same operations are recorded
again, only NumPy works. Its operands are tensors, so other tapes record it as one more operation.

Inside a trace the operations are nodes of a graph already, and the gradient becomes more of them.
"""

from __future__ import annotations

import enum
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from graphc import autodiff
from graphc.eager.current import add_tape, current_trace, remove_tape
from graphc.eager.gradient_program import Entry, relevant_entries, run_gradient
from graphc.eager.operation import operate
from graphc.eager.plan import Plan
from graphc.eager.tensor import Tensor, apply_function, as_tensor
from graphc.eager.variable import Variable
from graphc.errors import ShapeError
from graphc.ir import Graph, Node, Value, dims, filled, is_inexact, numpy_dtype
from graphc.ops.movement import Concat, insert_axis, reshape_to


class UnconnectedGradients(enum.Enum):
    """What stands for the gradient of a source that the target does not depend on."""

    NONE = "none"
    ZERO = "zero"


class GradientTape:
    """Records operations so that their results can be differentiated.

    Trainable variables are watched when they are read; tensors by `watch`.

    Args:
        persistent: Whether more than one gradient can be asked for. What was recorded is kept until
            the tape goes.
        watch_accessed_variables: Whether trainable variables are watched by themselves.

    See https://www.tensorflow.org/api_docs/python/tf/GradientTape.

    Example:
        >>> x = Variable(3.0)
        >>> with GradientTape() as tape:
        ...     y = x * x
        >>> tape.gradient(y, x)
        <graphc.Tensor: shape=(), dtype=float32, numpy=6.0>
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True):
        self._persistent = persistent
        self._watches_variables = watch_accessed_variables
        self._recording = False
        self._used = False
        self._forget()

    def _forget(self) -> None:
        self._entries: list[Entry] = []
        #: The tensors, by identity, that depend on what is watched.
        self._tracked: set[int] = set()
        self._watched: list[Tensor] = []
        self._variables: dict[int, Variable] = {}
        #: What was read of each variable, by identity: the same tensor may be read twice.
        self._reads: dict[int, dict[int, Tensor]] = {}
        #: Tensors with elements that were used in a traced graph, and their values there.
        self._embedded: dict[int, tuple[Tensor, Value]] = {}
        self._graph: Graph | None = None
        #: Where recording began and ended among the nodes of the traced graph.
        self._spans: list[list[int]] = []

    # ------------------------------------------------------------------------------- recording

    def __enter__(self) -> GradientTape:
        if self._recording:
            raise ValueError(
                "Tape is still recording, This can happen if you try to re-enter an "
                "already-active tape."
            )
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        if self._recording:
            self._end()

    def _begin(self) -> None:
        self._recording = True
        add_tape(self)
        trace = current_trace()
        if trace is not None:
            self._graph = trace.graph
            self._spans.append([len(trace.graph.nodes)])

    def _end(self) -> None:
        self._recording = False
        remove_tape(self)
        if self._graph is not None:
            self._spans[-1].append(len(self._graph.nodes))

    def record(self, plan: Plan, operands: Sequence[Tensor], results: Sequence[Tensor]) -> None:
        """Take in what was computed, if it depends on what is watched.

        Args:
            plan: What computes it; its graph is what is differentiated.
            operands: What it was computed from.
            results: Its results.
        """
        tracked = self._tracked
        for tensor in operands:
            if id(tensor) in tracked:
                break
        else:
            return
        self._entries.append((plan, operands, results))
        for number in plan.differentiable:
            tracked.add(id(results[number]))

    def read(self, variable: Variable, value: Tensor) -> None:
        """Take in that a variable was read."""
        key = id(variable)
        reads = self._reads.get(key)
        if reads is None:
            if key not in self._variables:
                if not (self._watches_variables and variable.trainable):
                    return
                self._variables[key] = variable
            if not is_inexact(value.dtype):
                return
            reads = self._reads[key] = {}
        reads[id(value)] = value
        self._tracked.add(id(value))

    def tracks(self, tensor: Tensor) -> bool:
        """Whether a tensor that has elements depends on what is watched."""
        return id(tensor) in self._tracked

    def embedding(self, tensor: Tensor, graph: Graph) -> Value | None:
        """The value that stands for a tracked tensor in a traced graph, if there is one yet."""
        found = self._embedded.get(id(tensor))
        return found[1] if found is not None and found[1].graph is graph else None

    def embed(self, tensor: Tensor, value: Value) -> None:
        """Say which value stands for a tracked tensor in a traced graph."""
        self._embedded[id(tensor)] = (tensor, value)

    def watch(self, tensor: Any) -> None:
        """Record what depends on a tensor, or on all tensors and variables of a structure.

        Raises:
            ValueError: It is neither tensor nor variable.
        """
        for leaf in leaves_of(tensor):
            if isinstance(leaf, Variable):
                self._variables[id(leaf)] = leaf
            elif not isinstance(leaf, Tensor):
                raise ValueError(
                    f"Passed in object {leaf!r} of type {type(leaf).__name__!r}, not a Tensor or a "
                    "Variable."
                )
            elif is_inexact(leaf.dtype):
                self._tracked.add(id(leaf))
                self._watched.append(leaf)
            else:
                warnings.warn(
                    "The dtype of the watched tensor must be floating (e.g. float32), got "
                    f"{leaf.dtype}",
                    stacklevel=2,
                )

    def watched_variables(self) -> tuple[Variable, ...]:
        """The variables that are watched, in the order in which they came."""
        return tuple(self._variables.values())

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Record nothing inside the block.

        Raises:
            RuntimeError: The tape does not record.
        """
        if not self._recording:
            raise RuntimeError("Trying to stop recording a tape which is not recording.")
        self._end()
        try:
            yield
        finally:
            self._begin()

    def reset(self) -> None:
        """Forget all that was recorded and watched."""
        recording = self._recording
        if recording:
            self._end()
        self._forget()
        self._used = False
        if recording:
            self._begin()

    # ------------------------------------------------------------------------------- gradients

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: UnconnectedGradients | str = UnconnectedGradients.NONE,
    ) -> Any:
        """The derivatives of the sum of all elements of the target.

        Args:
            target: A tensor, or a structure of tensors.
            sources: A structure of watched tensors and variables.
            output_gradients: Weights of the target's elements, in the structure of the target.
            unconnected_gradients: What a source gets that the target does not depend on: ``"none"``
                or ``"zero"``.

        Returns:
            A tensor or None per source, in the same structure.

        Raises:
            RuntimeError: The tape was used before and is not persistent.
            TypeError: ``target`` is None.
            ValueError: ``unconnected_gradients`` is something else.
            ShapeError: A weight has another shape than its target.
        """
        unconnected = self._prepare(target, unconnected_gradients)
        targets = [self._tensor(leaf) for leaf in leaves_of(target)]
        weights = [None] * len(targets) if output_gradients is None else leaves_of(output_gradients)
        if len(weights) != len(targets):
            raise ShapeError(
                f"GradientTape.gradient: {len(targets)} targets, but {len(weights)} "
                "output_gradients"
            )
        seeds = [_weight(x, weight) for x, weight in zip(targets, weights, strict=True)]
        leaves = leaves_of(sources)
        found = self._derivatives(targets, seeds, [self._places(leaf) for leaf in leaves])
        if not self._persistent:
            self._forget()
        return _packed(sources, leaves, found, unconnected)

    def jacobian(
        self,
        target: Tensor,
        sources: Any,
        unconnected_gradients: UnconnectedGradients | str = UnconnectedGradients.NONE,
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """The derivatives of each element of the target.

        Args:
            target: A tensor.
            sources: As for `gradient`.
            unconnected_gradients: As for `gradient`.
            parallel_iterations: Accepted as in TensorFlow; it has no effect.
            experimental_use_pfor: The same.

        Returns:
            For each source a tensor of the shape of the target followed by that of the source.
        """
        unconnected = self._prepare(target, unconnected_gradients)
        y = self._tensor(target)
        leaves = leaves_of(sources)
        places = [self._places(leaf) for leaf in leaves]
        seeds = np.eye(_known_size(y), dtype=numpy_dtype(y.dtype)).reshape(-1, *y.shape)
        rows = self._rows(y, seeds, places)
        found = [_stacked(row, 0, y.dims, leaf) for row, leaf in zip(rows, leaves, strict=True)]
        if not self._persistent:
            self._forget()
        return _packed(sources, leaves, found, unconnected, y.dims)

    def batch_jacobian(
        self,
        target: Tensor,
        source: Any,
        unconnected_gradients: UnconnectedGradients | str = UnconnectedGradients.NONE,
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """The jacobian of each example: ``target[i]`` is taken to depend on ``source[i]`` only.

        Returns:
            A tensor of shape ``(batch, *target.shape[1:], *source.shape[1:])``.

        Raises:
            ShapeError: Target and source have not the same number of examples.
        """
        unconnected = self._prepare(target, unconnected_gradients)
        y, x = self._tensor(target), source
        if not y.ndim or not x.ndim or y.dims[0] != x.shape[0]:
            raise ShapeError(
                "Need first dimension of target shape "
                f"({y.shape}) and source shape ({x.shape}) to match."
            )
        example = _known_size(y) // max(y.shape[0] or 0, 1)
        shape = dims.known(y.dims)
        eye = np.eye(example, dtype=numpy_dtype(y.dtype)).reshape(example, 1, *shape[1:])
        seeds = np.broadcast_to(eye, (example, *shape))
        (row,) = self._rows(y, seeds, [self._places(source)])
        found = _stacked(row, 1, y.dims[1:], source)
        if not self._persistent:
            self._forget()
        return _packed(source, [source], [found], unconnected, y.dims[1:], batched=True)

    def _prepare(self, target: Any, unconnected: UnconnectedGradients | str) -> bool:
        """Check whether the tape may be asked; whether zeros are wanted."""
        if self._used:
            raise RuntimeError(
                "A non-persistent GradientTape can only be used to compute one set of gradients "
                "(or jacobians); use GradientTape(persistent=True)"
            )
        if target is None:
            raise TypeError(
                "Argument `target` should be a tensor or a structure of tensors. Received: None"
            )
        try:
            kind = UnconnectedGradients(unconnected)
        except ValueError:
            raise ValueError(
                "Argument `unconnected_gradients` should be 'none' or 'zero'. "
                f"Received: {unconnected!r}"
            ) from None
        if not self._persistent:
            self._used = True
            if self._recording:
                self._end()
        return kind is UnconnectedGradients.ZERO

    def _tensor(self, target: Any) -> Tensor:
        """A target; of a variable what was read last."""
        if isinstance(target, Variable):
            reads = self._reads.get(id(target))
            return list(reads.values())[-1] if reads else target.as_tensor()
        tensor = as_tensor(target)
        if not is_inexact(tensor.dtype):
            warnings.warn(
                "The dtype of the target tensor must be floating (e.g. float32) when calling "
                f"GradientTape.gradient, got {tensor.dtype}",
                stacklevel=3,
            )
        return tensor

    def _places(self, source: Any) -> list[Tensor]:
        """The tensors that a source is: a variable is all that was read of it."""
        if isinstance(source, Variable):
            return list(self._reads.get(id(source), {}).values())
        if not isinstance(source, Tensor):
            raise ValueError(
                f"Passed in object {source!r} of type {type(source).__name__!r} as a source, not a "
                "Tensor or a Variable."
            )
        if not is_inexact(source.dtype):
            warnings.warn(
                "The dtype of the source tensor must be floating (e.g. float32) when calling "
                f"GradientTape.gradient, got {source.dtype}",
                stacklevel=3,
            )
            return []
        if source.is_symbolic:
            return [source] if source.value in self._reached() else []
        return [source] if id(source) in self._tracked else []

    def _rows(
        self, y: Tensor, seeds: np.ndarray, places: list[list[Tensor]]
    ) -> list[list[Tensor | None]]:
        """For each source the derivatives of the sums of ``y`` with given weights."""
        rows: list[list[Tensor | None]] = [[] for _ in places]
        for seed in seeds:
            found = self._derivatives([y], [Tensor(np.ascontiguousarray(seed))], places)
            for row, item in zip(rows, found, strict=True):
                row.append(item)
        return rows

    def _derivatives(
        self,
        targets: Sequence[Tensor],
        seeds: Sequence[Tensor | None],
        places: Sequence[Sequence[Tensor]],
    ) -> list[Tensor | None]:
        """For each source the derivative, summed over the tensors that it is."""
        if any(tensor.is_symbolic for tensor in targets):
            return self._symbolic_derivatives(targets, seeds, places)
        return self._recorded_derivatives(list(zip(targets, seeds, strict=True)), places)

    def _recorded_derivatives(
        self,
        pairs: Sequence[tuple[Tensor, Tensor | None]],
        places: Sequence[Sequence[Tensor]],
    ) -> list[Tensor | None]:
        pairs = [(target, seed) for target, seed in pairs if id(target) in self._tracked]
        entries = relevant_entries(self._entries, [target for target, _ in pairs], places)
        return run_gradient(entries, pairs, places)

    # ------------------------------------------------------------------------- inside of a trace

    def _nodes(self) -> list[Node]:
        """The nodes that were added to the traced graph while the tape was recording."""
        if self._graph is None:
            return []
        nodes = self._graph.nodes
        return [node for span in self._spans for node in nodes[slice(*(span + [None])[:2])]]

    def _reached(self) -> set[Value]:
        """The values of the traced graph that depend on what is watched."""
        reads = [tensor for tensors in self._reads.values() for tensor in tensors.values()]
        reached = {x.value for x in (*self._watched, *reads) if x.is_symbolic}
        reached.update(value for _, value in self._embedded.values())
        for node in self._nodes():
            if not reached.isdisjoint(node.inputs):
                reached.update(value for value in node.outputs if is_inexact(value.dtype))
        return reached

    def _symbolic_derivatives(
        self,
        targets: Sequence[Tensor],
        seeds: Sequence[Tensor | None],
        places: Sequence[Sequence[Tensor]],
    ) -> list[Tensor | None]:
        """Derivatives as nodes of the traced graph; those of tensors with elements through it."""
        reached = self._reached()
        outputs: dict[Value, Value] = {}
        pairs: list[tuple[Tensor, Tensor | None]] = []
        for target, seed in zip(targets, seeds, strict=True):
            if not target.is_symbolic:
                pairs.append((target, seed))
            elif target.value in reached:
                y, graph = target.value, target.value.graph
                dy = filled(graph, y.type, 1) if seed is None else _value_in(graph, seed)
                outputs[y] = outputs[y] + dy if y in outputs else dy
        embedded = list(self._embedded.values())
        wanted = [x.value for group in places for x in group if x.is_symbolic]
        wanted += [value for _, value in embedded]
        found: dict[Value, Value | None] = {}
        if outputs and wanted:
            derivatives = autodiff.gradients(outputs, wanted, self._nodes())
            found = dict(zip(wanted, derivatives, strict=True))
        for tensor, value in embedded:
            dx = found.get(value)
            if dx is not None:
                pairs.append((tensor, Tensor(dx)))
        known = [[x for x in group if not x.is_symbolic] for group in places]
        totals = self._recorded_derivatives(pairs, known)
        for number, group in enumerate(places):
            for value in dict.fromkeys(x.value for x in group if x.is_symbolic):
                dx = found.get(value)
                if dx is not None:
                    total = totals[number]
                    totals[number] = Tensor(dx) if total is None else total + Tensor(dx)
        return totals


def leaves_of(structure: Any) -> list[Any]:
    """The tensors, variables and whatever else stands in a structure, in order."""
    found: list[Any] = []

    def visit(item: Any) -> None:
        if isinstance(item, (list, tuple)):
            for part in item:
                visit(part)
        elif isinstance(item, dict):
            for part in item.values():
                visit(part)
        else:
            found.append(item)

    visit(structure)
    return found


def _packed(
    sources: Any,
    leaves: list[Any],
    found: Sequence[Tensor | None],
    zeros: bool,
    before: dims.Shape = (),
    batched: bool = False,
) -> Any:
    """Derivatives in the structure of the sources."""
    results = iter(found)

    def result(leaf: Any) -> Tensor | None:
        item = next(results)
        if item is not None or not zeros:
            return item
        shape = (leaf.shape[0], *before, *leaf.shape[1:]) if batched else (*before, *leaf.shape)
        return _zeros(leaf, shape)

    def pack(item: Any) -> Any:
        if isinstance(item, (list, tuple)):
            parts = [pack(part) for part in item]
            if hasattr(item, "_fields"):  # a named tuple
                return type(item)(*parts)
            return type(item)(parts) if type(item) in (list, tuple) else parts
        if isinstance(item, dict):
            return {name: pack(part) for name, part in item.items()}
        return result(item)

    return pack(sources)


def _zeros(leaf: Any, shape: dims.Shape) -> Tensor:
    if all(isinstance(dim, int) for dim in shape):
        return Tensor(np.zeros(shape, numpy_dtype(leaf.dtype)))
    return operate("multiply", leaf, 0)


def _weight(target: Tensor, weight: Any) -> Tensor | None:
    if weight is None:
        return None
    seed = as_tensor(weight, target.dtype)
    if seed.dims != target.dims:
        raise ShapeError(
            f"GradientTape.gradient: an output gradient has shape {seed.shape}, its target "
            f"{target.shape}"
        )
    return seed


def _value_in(graph: Graph, tensor: Tensor) -> Value:
    return tensor.data if isinstance(tensor.data, Value) else graph.constant(tensor.data)


def _known_size(tensor: Tensor) -> int:
    if tensor.size is None:
        raise ShapeError(
            f"a jacobian needs to know the size of its target; this has the shape {tensor.shape}"
        )
    return tensor.size


def _stack(*rows: Value, axis: int, shape: dims.Shape) -> Value:
    joined = Concat(axis)(*[insert_axis(row, axis) for row in rows])
    return reshape_to(joined, (*joined.shape[:axis], *shape, *joined.shape[axis + 1 :]))


def _stacked(rows: list[Tensor | None], axis: int, shape: dims.Shape, leaf: Any) -> Tensor | None:
    """Rows of a jacobian side by side along an axis, which becomes the axes of the target."""
    known = [row for row in rows if row is not None]
    if not known:
        return None if rows else Tensor(np.zeros((*shape, *leaf.shape), numpy_dtype(leaf.dtype)))
    return apply_function(_stack, *known, axis=axis, shape=shape)
