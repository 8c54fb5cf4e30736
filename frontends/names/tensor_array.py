"""``graphc.TensorArray``: tensors of one type by number, written one after the other.

See https://www.tensorflow.org/api_docs/python/tf/TensorArray.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from graphc.eager import Tensor, as_tensor, current_trace
from graphc.eager.bodies import trace_body
from graphc.eager.operation import get_item, update_item
from graphc.eager.tensor import size_tensor
from graphc.errors import DTypeError, OutOfRangeError, ShapeError
from graphc.ir import Graph
from graphc.ir.dims import Dim
from graphc.keras import ops, tree
from graphc.keras.ops.arguments import dim_of
from graphc.names.adapt import takes_name
from graphc.names.dtypes import as_dtype
from graphc.names.shape import TensorShape


class TensorArray:
    """Tensors of one type by number, written one after the other.

    Outside of compiled functions `write` changes the array and returns it. Inside, it returns
    another one, as in TensorFlow: go on with what it returns.

    The body of `graphc.while_loop` may write and read: there the array is one tensor, so its
    elements have one shape, its size is known before, and what was not written is zero.

    Args:
        dtype: Element type of the tensors.
        size: How many there are.
        dynamic_size: Whether writing beyond the end makes it longer (not in a compiled loop).
        clear_after_read: Whether each tensor is forgotten when it is read. (Without a word of it
            TensorFlow does; here reading twice is no mistake then.)
        tensor_array_name: Accepted, and ignored.
        handle: None: there are no handles.
        flow: Accepted, and ignored.
        infer_shape: Whether all tensors need the shape of the first that is written.
        element_shape: Their shape, if it is known.
        colocate_with_first_write_call: Accepted, and ignored.
        name: Accepted, and ignored.

    Raises:
        ValueError: There is no size.

    Example:
        >>> squares = graphc.TensorArray(graphc.float32, size=3)
        >>> for i in range(3):
        ...     squares = squares.write(i, float(i * i))
        >>> squares.stack()
        <graphc.Tensor: shape=(3,), dtype=float32, numpy=array([0., 1., 4.], dtype=float32)>
    """

    def __init__(
        self,
        dtype: Any,
        size: Any = None,
        dynamic_size: bool | None = None,
        clear_after_read: bool | None = None,
        tensor_array_name: str | None = None,
        handle: None = None,
        flow: Any = None,
        infer_shape: bool = True,
        element_shape: Any = None,
        colocate_with_first_write_call: bool = True,
        name: str | None = None,
    ):
        if size is None:
            raise ValueError("TensorArray: needs a size; 0 with dynamic_size=True to let it grow")
        count = dim_of(size, "TensorArray")
        self._dtype = as_dtype(dtype).name
        self._dynamic = bool(dynamic_size)
        self._clears = bool(clear_after_read)
        self._infers = infer_shape
        self._shape = None if element_shape is None else TensorShape(element_shape)
        self._count: Dim = count
        #: The tensors while all numbers are known; else one tensor with all of them, as soon as
        #: there is one.
        self._items: list[Tensor | None] | None = [None] * count if isinstance(count, int) else None
        self._whole: Tensor | None = None

    # ---------------------------------------------------------------------------- what it is

    @property
    def dtype(self) -> str:
        """Element type of the tensors."""
        return self._dtype

    @property
    def dynamic_size(self) -> bool:
        """Whether writing beyond the end makes it longer."""
        return self._dynamic

    @property
    def element_shape(self) -> TensorShape | None:
        """The shape of the tensors; None if it is not known."""
        return self._shape

    @property
    def lacks_shape(self) -> bool:
        """Whether the shape of the tensors, or a size of it, is not known."""
        return self._shape is None or None in self._shape

    @takes_name
    def size(self) -> Tensor:
        """How many there are, as an int32 scalar."""
        return size_tensor(self._count, "int32")

    def identity(self) -> TensorArray:
        """An array of the same tensors that changes on its own."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._items = None if self._items is None else list(self._items)
        return other

    @takes_name
    def close(self) -> None:
        """Nothing: it goes when no one holds it."""

    def __repr__(self) -> str:
        return f"<TensorArray: size={self._count}, dtype={self._dtype}, shape={self._shape}>"

    # ------------------------------------------------------------------------ single tensors

    @takes_name
    def write(self, index: Any, value: Any) -> TensorArray:
        """The array with another tensor at a number; see the class for which array that is.

        Args:
            index: The number, from 0 on.
            value: The tensor.

        Raises:
            OutOfRangeError: The number is negative or beyond the end of an array that cannot grow.
            ShapeError, DTypeError: The tensor is not like the others.
        """
        place, array = as_tensor(index), self._changing()
        tensor = array._element(value)
        number = None if place.is_symbolic else array._number(place, "write to", array._dynamic)
        if number is not None and array._items is not None:
            array._items += [None] * (number + 1 - len(array._items))
            array._items[number] = tensor
            array._count = len(array._items)
            return array
        array._whole = update_item(array._joined(), place, tensor, "assign")
        array._items = None
        return array

    @takes_name
    def read(self, index: Any) -> Tensor:
        """The tensor at a number.

        Raises:
            OutOfRangeError: The number is negative, beyond the end, or nothing was written there.
        """
        place = as_tensor(index)
        number = None if place.is_symbolic else self._number(place, "read", False)
        if number is None or self._items is None:
            return get_item(self._joined(), place)
        found = self._items[number]
        if found is None:
            raise OutOfRangeError(
                f"TensorArray: nothing was written to index {number}"
                + (", or it was read and cleared (see clear_after_read)" if self._clears else "")
            )
        if self._clears:
            self._items[number] = None
        return found

    def _changing(self) -> TensorArray:
        """What `write` changes: a copy inside a trace, where a branch may not be taken."""
        return self if current_trace() is None else self.identity()

    def _number(self, place: Tensor, what: str, may_grow: bool) -> int:
        number = operator.index(place)
        beyond = isinstance(self._count, int) and number >= self._count and not may_grow
        if number < 0 or beyond:
            hint = "; dynamic_size=True lets it grow" if number >= 0 and what != "read" else ""
            raise OutOfRangeError(
                f"TensorArray: tried to {what} index {number}, but its size is {self._count}{hint}"
            )
        return number

    def _element(self, value: Any) -> Tensor:
        """A tensor that may be written: like the others, whose shape it may tell."""
        tensor = as_tensor(value) if hasattr(value, "as_tensor") else as_tensor(value, self._dtype)
        if tensor.dtype != self._dtype:
            raise DTypeError(
                f"TensorArray: it holds {self._dtype}, but what is written is {tensor.dtype}"
            )
        if self._shape is not None and not self._shape.is_compatible_with(tensor.shape):
            raise ShapeError(
                f"TensorArray: its tensors have shape {tuple(self._shape)}, but what is written "
                f"has shape {tensor.shape}; infer_shape=False lets shapes differ"
            )
        if self._infers:
            known = TensorShape(tensor.shape)
            self._shape = known if self._shape is None else self._shape.merge_with(known)
        return tensor

    # --------------------------------------------------------------------------- all of them

    @takes_name
    def stack(self) -> Tensor:
        """All tensors along a new first axis; what was not written is zero.

        Raises:
            ShapeError: Their shape is not known, as nothing was written, or they differ.
        """
        return self._joined()

    @takes_name
    def gather(self, indices: Any) -> Tensor:
        """The tensors at some numbers along a new first axis.

        Args:
            indices: A list of numbers.
        """
        return ops.take(self._joined(), as_tensor(indices, "int32"), 0)

    @takes_name
    def concat(self) -> Tensor:
        """All tensors joined along their first axis; with infer_shape=False that may differ.

        Raises:
            ShapeError: They have no axis, or their shape is not known.
        """
        items: list[Any] = self._items or []
        complete = bool(items) and all(item is not None for item in items)
        whole = None if complete else self._joined()
        rank = items[0].ndim if whole is None else whole.ndim - 1
        if rank < 1:
            raise ShapeError("TensorArray: scalars have no axis along which to join them")
        if whole is None:
            return ops.concatenate(items, 0)
        return ops.reshape(whole, (whole.dims[0] * whole.dims[1], *whole.dims[2:]))

    @takes_name
    def unstack(self, value: Any) -> TensorArray:
        """The array with the slices of a tensor along its first axis.

        Raises:
            ShapeError: There are more than the array has room for.
        """
        tensor, array = as_tensor(value), self._changing()
        if not tensor.ndim:
            raise ShapeError("TensorArray: a scalar cannot be unstacked")
        count = tensor.dims[0]
        if isinstance(count, int) and (self._dynamic or self._clears):
            return array._filled([tensor[i] for i in range(count)], "unstack")
        array._check_room(count, "unstack")
        if count != 0:
            array._element(tensor[0])
        array._whole, array._items, array._count = tensor, None, count
        return array

    @takes_name
    def scatter(self, indices: Any, value: Any) -> TensorArray:
        """The array with the slices of a tensor at some numbers.

        Args:
            indices: A list of numbers.
            value: A tensor with one slice for each along its first axis.
        """
        numbers, tensor, array = as_tensor(indices), as_tensor(value), self._changing()
        if numbers.ndim != 1 or not tensor.ndim or numbers.dims[0] != tensor.dims[0]:
            raise ShapeError(
                f"TensorArray: scatter needs as many slices as numbers; received {numbers.shape} "
                f"and {tensor.shape}"
            )
        for i in range(operator.index(numbers.dims[0])):
            array = array.write(numbers[i], tensor[i])
        return array

    @takes_name
    def split(self, value: Any, lengths: Any) -> TensorArray:
        """The array with pieces of a tensor, whose lengths along the first axis may differ.

        Args:
            value: A tensor.
            lengths: The lengths of the pieces, which are known.
        """
        tensor, array = as_tensor(value), self._changing()
        sizes = as_tensor(lengths).numpy().tolist()
        if not tensor.ndim or tensor.dims[0] != sum(sizes):
            raise ShapeError(
                f"TensorArray: pieces of the lengths {sizes} do not make up {tensor.shape}"
            )
        ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
        pieces = [tensor[end - size : end] for size, end in zip(sizes, ends, strict=True)]
        if len(set(sizes)) > 1 and self._shape is None:
            array._infers = False
        return array._filled(pieces, "split")

    def _check_room(self, count: Dim, what: str) -> None:
        room = self._count
        known = isinstance(count, int) and isinstance(room, int)
        if not self._dynamic and known and count > room:
            raise ShapeError(
                f"TensorArray: cannot {what} {count} tensors into an array of size {room}"
            )

    def _filled(self, tensors: Sequence[Tensor], what: str) -> TensorArray:
        self._check_room(len(tensors), what)
        self._items = [self._element(tensor) for tensor in tensors]
        self._whole, self._count = None, len(tensors)
        return self

    def _joined(self) -> Tensor:
        """All tensors along a new first axis."""
        if self._whole is not None:
            return self._whole
        items = self._items or []
        if items and all(item is not None for item in items):
            return ops.stack(items, 0)
        if self._count != 0 and self.lacks_shape:
            raise ShapeError(
                f"TensorArray: the shape of its {self._count} tensors is not known, as some were "
                "not written; say it by element_shape"
            )
        if not items:
            return ops.zeros((self._count, *(self._shape or ())), self._dtype)
        zero = ops.zeros(self._shape or (), self._dtype)
        return ops.stack([zero if item is None else item for item in items], 0)

    # ------------------------------------------------------------------------- compiled loops

    def opened(self) -> Tensor:
        """The array as one tensor, which loops and branches hand on.

        Raises:
            ShapeError: It may grow, or the shape of its tensors is not known.
        """
        if self._dynamic:
            raise ShapeError(
                "TensorArray: in a compiled loop or branch an array cannot grow; give it its final "
                "size and leave dynamic_size out"
            )
        return self._joined()

    def shaped(self, shape: TensorShape | None) -> TensorArray:
        """The array with a known shape of its tensors."""
        other = self.identity()
        other._shape = shape
        return other

    def closed(self, whole: Tensor) -> TensorArray:
        """An array like this one of what `opened` made of another."""
        other = self.identity()
        other._whole, other._items = whole, None
        if other._infers:
            other._shape = TensorShape(whole.shape[1:])
        return other


def holds_arrays(structure: Any) -> bool:
    """Whether there is a `TensorArray` in a structure."""
    return any(isinstance(leaf, TensorArray) for leaf in tree.flatten(structure))


def opened(structure: Any) -> Any:
    """A structure with a tensor in place of each `TensorArray`."""

    def tensor(leaf: Any) -> Any:
        return leaf.opened() if isinstance(leaf, TensorArray) else leaf

    return tree.map_structure(tensor, structure)


def closed(template: Any, structure: Any) -> Any:
    """A structure with arrays where the template, which is like it, has some."""

    def array(leaf: Any, found: Any) -> Any:
        return leaf.closed(as_tensor(found)) if isinstance(leaf, TensorArray) else found

    return tree.map_structure(array, template, structure)


def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, limit: int | None
) -> Any:
    """`graphc.while_loop` with arrays among its variables.

    At once it is Python's loop. In a program each array becomes one tensor, whose shape the body
    tells where nothing else does.
    """
    is_tuple = isinstance(loop_vars, (tuple, list))
    start = tuple(loop_vars) if is_tuple else (loop_vars,)

    def advance(values: Any) -> tuple[Any, ...]:
        after = body(*values)
        return tuple(after) if isinstance(after, (tuple, list)) else (after,)

    trace = current_trace()
    if trace is None:
        count, final = 0, start
        while (limit is None or count < limit) and cond(*final):
            final, count = advance(final), count + 1
    else:
        shaped = _with_shapes(trace.graph, advance, start)
        final = ops.while_loop(
            lambda *values: cond(*closed(shaped, values)),
            lambda *values: opened(advance(closed(shaped, values))),
            opened(shaped),
            limit,
        )
        final = closed(shaped, final)
    return final if is_tuple else final[0]


def _with_shapes(graph: Graph, advance: Callable[[Any], tuple[Any, ...]], start: Any) -> Any:
    """The variables of a loop, with the shapes that its body gives to what arrays hold."""
    found: list[Any] = []

    def probe(*tensors: Tensor) -> list[Tensor]:
        remaining = iter(tensors)

        def example(leaf: Any) -> Any:
            return leaf.identity() if isinstance(leaf, TensorArray) else next(remaining)

        found.extend(tree.flatten(advance(tree.map_structure(example, start))))
        return []

    leaves = tree.flatten(start)
    if not any(isinstance(leaf, TensorArray) and leaf.lacks_shape for leaf in leaves):
        return start
    types = [as_tensor(leaf).type for leaf in leaves if not isinstance(leaf, TensorArray)]
    trace_body(graph, "body", probe, types, may_assign=True)
    shapes = iter(found)

    def shaped(leaf: Any) -> Any:
        after = next(shapes, None)
        if not isinstance(leaf, TensorArray) or not leaf.lacks_shape:
            return leaf
        return leaf.shaped(getattr(after, "element_shape", None))

    return tree.map_structure(shaped, start)
