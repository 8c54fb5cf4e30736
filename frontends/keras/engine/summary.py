"""The table that `Model.summary` prints, laid out as Keras lays it out."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from graphc.config import config
from graphc.eager.variable import Variable
from graphc.keras import tree
from graphc.keras.engine.keras_tensor import Node
from graphc.keras.engine.layer import Layer
from graphc.keras.utils.io_utils import print_msg

_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


def print_summary(
    model: Any,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> None:
    """Print a table of a model's layers; see `Model.summary` for the arguments.

    Raises:
        ValueError: Columns become too narrow, or ``layer_range`` names no layers.
    """
    operations = getattr(model, "operations", None) or model.layers
    nodes = None if _is_chain(model) else list(model.nodes)
    table = _empty_table(nodes is not None, line_length, positions, show_trainable)
    for operation in _in_range(operations, layer_range):
        for cells in _rows(operation, nodes, expand_nested, show_trainable, level=0):
            table.add_row(*cells)
    if print_fn is None and not config.interactive_logging:
        print_fn = print_msg
    if print_fn is None:
        _print(Console(highlight=False), model, table)
        return
    console = Console(highlight=False, force_terminal=False, color_system=None)
    console.begin_capture()
    _print(console, model, table)
    print_fn(console.end_capture())


def _print(console: Console, model: Any, table: Table) -> None:
    trained, others = model.trainable_weights, model.non_trainable_weights
    optimizer = getattr(model, "optimizer", None)
    slots = list(optimizer.variables) if optimizer is not None and optimizer.built else []
    console.print(f'[bold]Model: "{escape(model.name)}"[/]')
    console.print(table)
    console.print(_total("Total", [*trained, *others, *slots]))
    console.print(_total("Trainable", trained))
    console.print(_total("Non-trainable", others))
    if slots:
        console.print(_total("Optimizer", slots))


def _total(what: str, variables: Sequence[Variable]) -> str:
    count = sum(int(np.prod(variable.shape)) for variable in variables)
    size = sum(v.array.nbytes for v in {id(v): v for v in variables}.values())
    return f"[bold] {what} params: [/]{_number(f'{count:,}')} ({memory_text(size)})"


def memory_text(size: float) -> str:
    """A number of bytes in the largest unit that leaves at least 1.

    Example:
        >>> memory_text(1536)
        '1.50 KB'
    """
    for unit in _UNITS[:-1]:
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} {_UNITS[-1]}"


def _empty_table(
    has_connections: bool,
    line_length: int | None,
    positions: Sequence[float] | None,
    show_trainable: bool,
) -> Table:
    names, justify = ["Layer (type)", "Output Shape", "Param #"], ["left", "left", "right"]
    width, ends = 88, [0.45, 0.80, 1.0]
    if has_connections:
        names, justify = [*names, "Connected to"], [*justify, "left"]
        width, ends = 108, [0.3, 0.56, 0.74, 1.0]
    ends = list(positions or ends)
    if show_trainable:
        names, justify = [*names, "Trainable"], [*justify, "center"]
        width, ends = width + 12, [end * 0.90 for end in ends] + [1.0]
    width = line_length or min(width, shutil.get_terminal_size().columns - 4)
    columns, used = [], 0
    for name, side, end in zip(names, justify, ends, strict=False):
        own = int(end * width) - used
        if own < 4:
            raise ValueError(
                f"a line of {width} characters is too short for the summary: give a larger "
                "line_length"
            )
        used += own
        columns.append(Column(name, justify=side, width=own))  # type: ignore[arg-type]
    return Table(*columns, width=width, show_lines=True)


def _rows(
    operation: Any, nodes: list[Node] | None, expand: bool, show_trainable: bool, level: int
) -> list[list[str]]:
    """The cells of a layer, and of those inside it if they are to be shown."""
    prefix = "   " * level + "└ " if level else ""
    kind = f"[color(33)]{escape(_class_name(operation))}[/]"
    cells = [f"{escape(prefix + operation.name)} ({kind})", _shape(operation), _params(operation)]
    if nodes is not None:
        cells.append(_connections(operation, nodes))
    if show_trainable:
        state = "[bold]-[/]"
        if getattr(operation, "weights", None):
            letter = ("Y", 34) if operation.trainable else ("N", 9)
            state = f"[bold][color({letter[1]})]{letter[0]}[/][/]"
        cells.append(state)
    rows = [cells]
    if expand:
        for layer in getattr(operation, "layers", ()):
            rows += _rows(layer, nodes, expand, show_trainable, level + 1)
    return rows


def _class_name(operation: Any) -> str:
    """The layer's class, or the name that Keras's class for a function has."""
    if isinstance(operation, Layer):
        # A functional subclass gets a class of the same name made for it.
        return type(operation).__name__
    return "".join(part.capitalize() for part in operation.function.__name__.split("_"))


def _number(value: Any) -> str:
    return f"[color({45 if value is None else 34})]{value}[/]"


def _params(operation: Any) -> str:
    if not isinstance(operation, Layer):
        return _number(0)
    if not operation.built:
        return f"{_number(0)} (unbuilt)"
    return _number(f"{operation.count_params():,}")


def _shape(operation: Any) -> str:
    """The shape of the output in the operation's latest call."""
    if operation.inbound_nodes:
        shapes = tree.map_structure(
            lambda tensor: _shape_text(tensor.shape), operation.inbound_nodes[-1].structure
        )
    elif operation.built and operation._build_shapes is not None:
        try:
            shapes = _texts(operation.compute_output_shape(operation._build_shapes))
        except (NotImplementedError, TypeError, ValueError):
            return "?"
    else:
        return "?"
    flat = tree.flatten(shapes)
    shapes = list(shapes) if isinstance(shapes, tuple) else shapes
    return flat[0] if len(flat) == 1 else str(shapes).replace("'", "")


def _texts(shapes: Any) -> Any:
    if isinstance(shapes, dict):
        return {key: _texts(shape) for key, shape in shapes.items()}
    if all(size is None or isinstance(size, int) for size in shapes):
        return _shape_text(shapes)
    return type(shapes)(_texts(shape) for shape in shapes)


def _shape_text(shape: Sequence[int | None]) -> str:
    return f"({', '.join(map(_number, shape))})"


def _connections(operation: Any, nodes: list[Node]) -> str:
    """The tensors that the operation takes in this model, as ``name[call][output]``."""
    own = [node for node in operation.inbound_nodes if any(node is other for other in nodes)]
    found = []
    for tensor in (tensor for node in own for tensor in node.inputs):
        source = tensor.node.operation
        call = next(i for i, node in enumerate(source.inbound_nodes) if node is tensor.node)
        found.append(f"{source.name}[{_number(call)}][{_number(tensor.index)}]")
    return ", ".join(found) or "-"


def _is_chain(model: Any) -> bool:
    """Whether each layer takes the result of the one before, so that the order tells all."""
    nodes = getattr(model, "nodes", None)
    if nodes is None:  # Sequential and subclassed models
        return True
    uses: dict[int, int] = {}
    for node in nodes:
        if len(node.inputs) > 1:
            return False
        for parent in node.parents:
            uses[id(parent)] = uses.get(id(parent), 0) + 1
    ends = sum(id(node) not in uses for node in nodes)
    shared = len({id(node.operation) for node in nodes}) < len(nodes)
    return ends == 1 and not shared and all(count == 1 for count in uses.values())


def _in_range(operations: Sequence[Any], bounds: Sequence[str] | None) -> Sequence[Any]:
    """The operations from the first to the last whose names match two regular expressions."""
    if bounds is None:
        return operations
    if len(bounds) != 2 or not all(isinstance(bound, str) for bound in bounds):
        raise ValueError(
            "layer_range has to be two names, of the first and the last layer to show; received "
            f"{bounds!r}"
        )
    places = [
        [i for i, operation in enumerate(operations) if re.match(bound, operation.name)]
        for bound in bounds
    ]
    if not all(places):
        raise ValueError(
            f"layer_range={bounds!r} matches no layers; there are "
            + ", ".join(operation.name for operation in operations)
        )
    first, last = min(places[0]), max(places[1])
    if first > last:
        first, last = min(places[1]), max(places[0])
    return operations[first : last + 1]
