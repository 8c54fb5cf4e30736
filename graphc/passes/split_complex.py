"""Complex numbers as pairs of real ones, so that no backend has to know them.

Before::

    graph "g" {
      input %x : complex64[3]
      %0 = Mul(%x, %x) : complex64[3]
      output y = %0
    }

After: inputs and outputs have a last axis of size 2, as NumPy sees complex arrays without copying::

    graph "g" {
      input %x : float32[3, 2]
      %0 = Slice(%x) {starts=[0, 0], stops=[3, 1], steps=[1, 1]} : float32[3, 1]
      ...
      %9 = Concat(%7, %8) {axis=1} : float32[3, 2]
      output y = %9
    }
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from graphc.errors import UnsupportedError
from graphc.ir import Graph, Node, TensorType, Value, has_complex, is_complex, part_dtype
from graphc.ops.control import Cond, Scan, WhileLoop
from graphc.ops.movement import Concat, narrow, reshape_to
from graphc.passes import complex_functions, complex_order  # noqa: F401 (registers their rules)
from graphc.passes.complex_rules import RULES, Pair
from graphc.passes.report import Report
from graphc.program import Program
from graphc.reference import decomposition

Values = dict[Value, Any]


def split_program(program: Program) -> Program:
    """The program in real numbers; itself if it has no others."""
    if not has_complex(program.graph):
        return program
    return program.with_graph(split_complex(program.graph))


def split_complex(graph: Graph, report: Report | None = None) -> Graph:
    """The graph in real numbers; itself if it has no others.

    Args:
        graph: It stays as it is.
        report: Told how many values were split.

    Raises:
        UnsupportedError: An op has no form in real numbers.
    """
    if not has_complex(graph):
        return graph
    result = Graph(graph.name)
    values: Values = {}
    for value in graph.inputs:
        operand = result.input(value.name, real_type(value.type))
        values[value] = _taken_apart(operand) if is_complex(value.dtype) else operand
    _add(result, graph.nodes, values)
    for name, value in graph.outputs.items():
        found = values[value]
        result.outputs[name] = _joined(found) if isinstance(found, Pair) else found
    if report is not None:
        for value in graph.values():
            if is_complex(value.dtype) and value.node is not None:
                report.apply("split complex", value.node.location)
    return result


def real_type(type: TensorType) -> TensorType:
    """The type of complex numbers with their parts along a last axis; other types are their own."""
    if not is_complex(type.dtype):
        return type
    return TensorType((*type.shape, 2), part_dtype(type.dtype))


def _taken_apart(x: Value) -> Pair:
    axis = x.rank - 1
    return Pair(*[reshape_to(narrow(x, axis, i, i + 1), x.shape[:-1]) for i in (0, 1)])


def _joined(x: Pair) -> Value:
    columns = [reshape_to(part, (*part.shape, 1)) for part in x]
    return Concat(x.real.rank)(*columns)


def _add(result: Graph, nodes: Sequence[Node], values: Values) -> None:
    """Add nodes in real numbers; extends ``values``."""
    for node in nodes:
        with result.at(node.location):
            found = _node(result, node, [values[value] for value in node.inputs])
        single = not isinstance(found, tuple) or isinstance(found, Pair)
        values.update(zip(node.outputs, (found,) if single else found, strict=True))


def _node(result: Graph, node: Node, operands: list[Any]) -> Any:
    op: Any = node.op
    if op.name == "Constant" and is_complex(node.output.dtype):
        array = op.value.array
        return Pair(result.constant(array.real), result.constant(array.imag))
    if op.bodies:
        return _control(result, node, operands)
    if not any(is_complex(value.dtype) for value in (*node.inputs, *node.outputs)):
        return result.apply(op, *operands)
    if type(op) in RULES:
        return RULES[type(op)](op, *operands)
    if op.has_rule("decompose"):
        return _parts(result, node, operands)
    place = f" ({node.location})" if str(node.location) else ""
    types = ", ".join(str(value.type) for value in node.inputs)
    raise UnsupportedError(
        f"{op.name} of {types} has no form in real numbers, which compiled programs and exports "
        f"need{place}"
    )


def _parts(result: Graph, node: Node, operands: list[Any]) -> Any:
    """A composite op through the simpler ones it is made of."""
    parts = decomposition(node.op, [value.type for value in node.inputs])
    values: Values = dict(zip(parts.inputs, operands, strict=True))
    _add(result, parts.nodes, values)
    found = [values[value] for value in parts.outputs.values()]
    return found[0] if len(found) == 1 else tuple(found)


# ------------------------------------------------------------------------------------ control flow


def _control(result: Graph, node: Node, operands: list[Any]) -> Any:
    """An op with bodies: each complex operand and result becomes two."""
    op: Any = node.op
    if _has_complex_inside(node):
        if isinstance(op, Scan):
            carries, loop = op.carries, op.carries + op.sequences
            op = replace(
                op,
                carries=_count(node.inputs[:carries]),
                sequences=_count(node.inputs[carries:loop]),
            )
        elif not isinstance(op, (Cond, WhileLoop)):
            return _parts(result, node, operands)
        op = op.map_bodies(_body)
    found = result.apply(op, *_flat(operands))
    return _packed(node.outputs, found if isinstance(found, tuple) else (found,))


def _has_complex_inside(node: Node) -> bool:
    """Whether an op with bodies has anything to do with complex numbers."""
    ends = (*node.inputs, *node.outputs)
    return any(is_complex(v.dtype) for v in ends) or any(map(has_complex, node.op.bodies))


def _body(body: Graph) -> Graph:
    """A body that takes and gives two values for each complex one."""
    result = Graph(body.name)
    values: Values = {}
    for value in body.inputs:
        if is_complex(value.dtype):
            type = value.type.with_dtype(part_dtype(value.dtype))
            names = (f"{value.name}.real", f"{value.name}.imaginary")
            values[value] = Pair(*[result.input(name, type) for name in names])
        else:
            values[value] = result.input(value.name, value.type)
    _add(result, body.nodes, values)
    for name, value in body.outputs.items():
        found = values[value]
        if isinstance(found, Pair):
            result.outputs[f"{name}.real"], result.outputs[f"{name}.imaginary"] = found
        else:
            result.outputs[name] = found
    return result


def _count(values: Sequence[Value]) -> int:
    return sum(2 if is_complex(value.dtype) else 1 for value in values)


def _flat(operands: Sequence[Any]) -> list[Value]:
    return [part for x in operands for part in (x if isinstance(x, Pair) else (x,))]


def _packed(outputs: Sequence[Value], found: Sequence[Value]) -> tuple[Any, ...]:
    rest = iter(found)
    return tuple(
        Pair(next(rest), next(rest)) if is_complex(value.dtype) else next(rest) for value in outputs
    )
