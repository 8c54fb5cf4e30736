"""`KerasTensor`: a placeholder in a functional model, and `Node`: one recorded call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from graphc.eager.location import user_line
from graphc.eager.operators import Operators
from graphc.eager.promotion import standard_dtype
from graphc.eager.tensor import Tensor, public_shape
from graphc.eager.trace import Trace, unify
from graphc.errors import DataDependentControlFlowError, DimensionMismatchError
from graphc.ir import Location, TensorType, dims
from graphc.keras import tree
from graphc.keras.engine import call_context
from graphc.keras.engine.naming import current_path, unique_name


class KerasTensor(Operators):
    """A tensor of a functional model: it has a shape, a dtype and a history, but no elements.

    Args:
        type: Shape, possibly symbolic, and dtype.
        name: A name; made up if left out.

    Attributes:
        node: The call that produces it; None for one made by hand.
        index: Which output of the call it is.
        mask: The KerasTensor of its mask; None without one.
    """

    records_operations = True

    def __init__(self, type: TensorType, name: str | None = None):
        self.type = type
        self.name = name or unique_name("keras_tensor")
        self.node: Node | None = None
        self.index = 0
        self.mask: KerasTensor | None = None

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Sizes; None where they are not known yet."""
        return public_shape(self.type.shape)

    @property
    def dims(self) -> dims.Shape:
        """Sizes with symbolic dimensions in place of None."""
        return self.type.shape

    @property
    def dtype(self) -> str:
        """The element type."""
        return self.type.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.type.rank

    def record_operation(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Make a call of a function of `keras.ops` a node of the functional model."""
        return record(RecordedFunction(function), args, kwargs)

    def _operate(self, name: str, *operands: Any) -> Any:
        # The operators are the public functions of the same names, as a saved model names them.
        from graphc.keras import ops  # ops records KerasTensors: the two need each other

        return getattr(ops, name)(*operands)

    def _has_no_elements(self, *_: Any) -> NoReturn:
        file, line = user_line()
        raise DataDependentControlFlowError(
            f"{file}:{line}: Python asks for the value of a KerasTensor of shape {self.shape}, "
            "which is a placeholder of a functional model and has none. Use layers and keras.ops "
            "on it; for `if` on data use keras.ops.where or keras.ops.cond."
        )

    __bool__ = __int__ = __float__ = __index__ = __array__ = _has_no_elements
    __iter__ = __len__ = _has_no_elements

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"


class RecordedFunction:
    """A function of `keras.ops` as an operation of a functional model.

    Args:
        function: The public function.
        name: Its name in the model; made up if left out.
    """

    def __init__(self, function: Callable[..., Any], name: str | None = None):
        self.function = function
        self.name = name or unique_name(function.__name__)
        self.inbound_nodes: list[Node] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


class Node:
    """One call in a functional model.

    Args:
        operation: The layer, or the function of `keras.ops`.
        args: Positional arguments; KerasTensors stand for tensors.
        kwargs: Keyword arguments.
        outputs: The structure of KerasTensors that it returned.
        location: The user's line.
    """

    def __init__(
        self,
        operation: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        outputs: Any,
        location: Location,
    ):
        self.operation = operation
        self.args = args
        self.kwargs = kwargs
        self.structure = outputs
        self.location = location
        self.inputs: list[KerasTensor] = keras_tensors((args, kwargs))
        self.outputs: list[KerasTensor] = tree.flatten(outputs)
        #: Whether its arguments are one KerasTensor and nothing else, as of most calls.
        self.takes_one = not kwargs and len(args) == 1 and isinstance(args[0], KerasTensor)
        for index, tensor in enumerate(self.outputs):
            tensor.node = self
            tensor.index = index

    @property
    def parents(self) -> list[Node]:
        """The calls that produced the inputs."""
        return [tensor.node for tensor in self.inputs if tensor.node is not None]

    def arguments(self, replace: Callable[[KerasTensor], Any]) -> tuple[tuple, dict[str, Any]]:
        """The call's arguments with each KerasTensor replaced."""
        return map_tensors(replace, self.args), map_tensors(replace, self.kwargs)


def keras_tensors(structure: Any) -> list[KerasTensor]:
    """All KerasTensors in a structure, in order."""
    return [leaf for leaf in tree.flatten(structure) if isinstance(leaf, KerasTensor)]


def holds_keras_tensors(items: Iterable[Any]) -> bool:
    """Whether there is a KerasTensor in one of some structures."""
    for item in items:
        if not isinstance(item, Tensor) and item is not None and keras_tensors(item):
            return True
    return False


def map_tensors(function: Callable[[KerasTensor], Any], structure: Any) -> Any:
    """A structure with each KerasTensor replaced by ``function`` of it."""
    return tree.map_structure(
        lambda leaf: function(leaf) if isinstance(leaf, KerasTensor) else leaf, structure
    )


def record(
    operation: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    call: Callable[..., Any] | None = None,
) -> Any:
    """Infer what a call on KerasTensors returns, and remember the call.

    Args:
        operation: What is called, as it will be saved and called again.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        call: What to trace for the shapes; by default ``operation``.

    Returns:
        KerasTensors in the structure that the call returns.
    """
    outputs = infer(call or operation, args, kwargs)
    node = Node(operation, args, kwargs, outputs, Location("", *user_line()))
    operation.inbound_nodes.append(node)
    return outputs


def infer(
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    around: str | None = None,
) -> Any:
    """KerasTensors of the types that ``call`` returns; it is traced in a scratch graph.

    Args:
        call: What is traced.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        around: The path of the layer inside which it is called; the current one by default.
    """
    path = current_path() if around is None else around
    equal: dict[str, dims.Dim] = {}
    while True:
        try:
            return _infer(call, args, kwargs, path, equal)
        except DimensionMismatchError as mismatch:
            # Two sizes left open meet where they have to agree: take them as one and try again.
            equal = unify(equal, mismatch)


def _infer(
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    path: str,
    equal: dict[str, dims.Dim],
) -> Any:
    with Trace("shapes") as trace, trace.graph.at(Location(path)), call_context.apart():
        placeholders: dict[int, Tensor] = {}

        def placeholder(tensor: KerasTensor) -> Tensor:
            if id(tensor) not in placeholders:
                made = trace.input(tensor.name, tensor.type.substitute(equal))
                placeholders[id(tensor)] = made
                if tensor.mask is not None:
                    made.mask = placeholder(tensor.mask)
            return placeholders[id(tensor)]

        results = call(*map_tensors(placeholder, args), **map_tensors(placeholder, kwargs))
        return tree.map_structure(_as_keras_tensor, results)


def _as_keras_tensor(result: Any) -> KerasTensor:
    tensor = KerasTensor(result.type)
    if result.mask is not None:
        tensor.mask = KerasTensor(result.mask.type)
    return tensor


def input_type(shape: tuple[int | None, ...], dtype: Any, unique: str) -> TensorType:
    """The type of a model's input: None becomes a symbolic dimension.

    Args:
        shape: Sizes, the batch's first.
        dtype: Element type.
        unique: Makes the names of symbols other than ``batch`` this input's own.
    """
    usual = {
        2: {1: "time"},
        3: {1: "time"},
        4: {1: "height", 2: "width"},
        5: {1: "depth", 2: "height", 3: "width"},
    }
    symbolic: list[dims.Dim] = []
    for axis, size in enumerate(shape):
        if size is not None:
            symbolic.append(int(size))
        elif axis == 0:
            symbolic.append(dims.symbol("batch"))
        else:
            name = usual.get(len(shape), {}).get(axis, f"dim{axis}")
            symbolic.append(dims.symbol(f"{name}{unique}"))
    return TensorType(tuple(symbolic), standard_dtype(dtype))
