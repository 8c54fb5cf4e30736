"""The text form of a graph: it prints without loss and parses back.

One node a line, inputs before and outputs after them::

    graph "double" {
      input %x : float32[batch, 3]
      %0 = Constant() {value=float32[](2.0)} : float32[]
      %1 = Mul(%x, %0) : float32[batch, 3]  @ "scale" train.py:12
      output y = %1
    }

* Values are called by number, inputs by their name. Whoever writes text by hand may name any value
  and leave out the types: they are inferred, and compared where they are given.
* Names that are more than ASCII letters, digits and ``_ . / -`` are written as JSON strings:
  ``%"my input"``.
* Attributes that have their default value are left out. Tuples are written in brackets, arrays as
  ``dtype[shape](elements)`` or, where they are long or hold unusual NaNs, as
  ``dtype[shape](base64 "...")``, little-endian. A sub-graph is an indented block.
* Behind ``@`` stands the location: the layer, then file and line.
* ``#`` begins a comment.

This module writes it, `graphc.ir.reader` reads it.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import sys
from numbers import Integral
from typing import Any

import numpy as np

from graphc.errors import GraphError
from graphc.ir import dims
from graphc.ir.graph import Graph, Location, Node, Value
from graphc.ir.literal import Literal
from graphc.ir.op import Op
from graphc.ir.types import TensorType, is_float, numpy_dtype, part_dtype

#: Arrays with at most this many elements are spelled out.
SPELLED_OUT = 16

#: Names, and names of files, that are written without quotes.
PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
PLAIN_FILE = re.compile(r"[^\s\":#{}%@]+")


def as_text(graph: Graph, locations: bool = True) -> str:
    """The graph as text that `parse` reads.

    Args:
        graph: The graph.
        locations: Whether to say where each node comes from.

    Raises:
        GraphError: An attribute of an op is no value that the text form knows.
    """
    names = value_names(graph)
    lines = [f"input {names[value]} : {value.type}" for value in graph.inputs]
    lines += [node_text(node, names, locations) for node in graph.nodes]
    lines += [
        f"output {name_text(name)} = {names.get(value, '%?')}"
        for name, value in graph.outputs.items()
    ]
    return block(f"graph {json.dumps(graph.name)}", lines)


def block(head: str, lines: list[str]) -> str:
    """A head and indented lines in braces; lines may be blocks themselves."""
    # No string holds a line break as such, so every line break is one of the layout.
    return head + " {" + "".join("\n" + line for line in lines).replace("\n", "\n  ") + "\n}"


def value_names(graph: Graph) -> dict[Value, str]:
    """What each value of the graph is called in its text form, with the leading ``%``."""
    names = {value: "%" + name_text(value.name) for value in graph.inputs}
    for node in graph.nodes:
        for value in node.outputs:
            names[value] = f"%{len(names) - len(graph.inputs)}"
    return names


def node_text(node: Node, names: dict[Value, str], locations: bool = True) -> str:
    """One node as text.

    Args:
        node: The node.
        names: From `value_names`; a value that is missing there is shown as ``%?``.
        locations: Whether to say where it comes from.
    """
    results = ", ".join(names.get(value, "%?") for value in node.outputs)
    types = ", ".join(str(value.type) for value in node.outputs)
    operands = ", ".join(names.get(value, "%?") for value in node.inputs)
    text = f"{results} = {node.op.name}({operands}){_attributes_text(node.op, locations)} : {types}"
    return text + (_location_text(node.location) if locations else "")


def _attributes_text(op: Op, locations: bool) -> str:
    parts = []
    for field in dataclasses.fields(op):
        text = _value_text(getattr(op, field.name), op, field.name, locations)
        default = field.default
        # Compared as text, since 0.0 and -0.0 are equal and NaNs are not.
        if default is dataclasses.MISSING or text != _value_text(
            default, op, field.name, locations
        ):
            parts.append(f"{field.name}={text}")
    return " {" + ", ".join(parts) + "}" if parts else ""


def _value_text(value: Any, op: Op, attribute: str, locations: bool) -> str:
    match value:
        case None | bool():
            return str(value)
        case str():
            return json.dumps(value)
        case Integral():
            return str(int(value))
        case float():
            return _float_text(float(value))
        case tuple():
            return (
                "[" + ", ".join(_value_text(part, op, attribute, locations) for part in value) + "]"
            )
        case dims.SymbolicDim() | TensorType():
            return str(value)
        case Literal():
            return _literal_text(value)
        case Graph():
            return as_text(value, locations)
    raise GraphError(
        f"{op.name}: attribute {attribute}={value!r} has no text form; attributes are numbers, "
        f"strings, booleans, None, dimensions, types, literals, graphs and tuples of these"
    )


def _float_text(number: float) -> str:
    if number != number:
        return "-nan" if np.signbit(number) else "nan"
    return repr(number)


def _literal_text(literal: Literal) -> str:
    array = literal.array
    if array.size <= SPELLED_OUT:
        # Complex numbers as their real and imaginary parts in turn.
        parts = array.ravel().view(numpy_dtype(part_dtype(array.dtype.name)))
        elements = [str(element) for element in parts]
        # Printed floats are the shortest that tell neighbours apart; NaNs may carry more.
        if array_of_elements(elements, parts.dtype.name).tobytes() == array.tobytes():
            return f"{literal.type}({', '.join(elements)})"
    little = array if sys.byteorder == "little" else array.byteswap()
    return f'{literal.type}(base64 "{base64.b64encode(little.tobytes()).decode()}")'


def array_of_elements(elements: list[str], dtype: str) -> np.ndarray:
    """The vector that is spelled out.

    Raises:
        ValueError: A text is no element of this type.
    """
    if is_float(dtype):
        with np.errstate(all="ignore"):
            return np.array([float(element) for element in elements], numpy_dtype(dtype))
    if dtype == "bool":
        return np.array([_truth(element) for element in elements], np.bool_)
    numbers = [int(element) for element in elements]
    limits = np.iinfo(dtype)
    for number in numbers:
        if not limits.min <= number <= limits.max:
            raise ValueError(f"{number} is no {dtype}: these go from {limits.min} to {limits.max}")
    return np.array(numbers, numpy_dtype(dtype))


def _truth(text: str) -> bool:
    if text not in ("True", "False"):
        raise ValueError(f"expected True or False, received {text}")
    return text == "True"


def _location_text(location: Location) -> str:
    text = f" {json.dumps(location.layer)}" if location.layer else ""
    if location.file or location.line:
        plain = PLAIN_FILE.fullmatch(location.file)
        file = location.file if plain else json.dumps(location.file)
        text += f" {file}:{location.line}"
    return f"  @{text}" if text else ""


def name_text(name: str) -> str:
    """A name as it is, or as a JSON string if it holds unusual characters."""
    return name if PLAIN_NAME.fullmatch(name) else json.dumps(name)
