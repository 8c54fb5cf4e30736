"""Moving channels in front of the spatial axes, where ONNX and some kernels have them.

Images come with channels last. Convolutions and poolings are turned into those with channels first,
and everything between them follows, so that at most one Transpose is left where images come in and
one where they go out. A Flatten needs none: the rows of the matrix behind it change places.

Before::

    graph "g" {
      input %x : float32[batch, 8, 8, 3]
      input %kernel : float32[3, 3, 3, 4]
      %0 = Conv(%x, %kernel) {strides=[1, 1], padding=[[0, 0], [0, 0]], \
dilations=[1, 1]} : float32[batch, 6, 6, 4]
      %1 = Relu(%0) : float32[batch, 6, 6, 4]
      %2 = ReduceMean(%1) {axes=[1, 2]} : float32[batch, 4]
      output y = %2
    }

After::

    graph "g" {
      input %x : float32[batch, 8, 8, 3]
      input %kernel : float32[3, 3, 3, 4]
      %0 = Transpose(%x) {permutation=[0, 3, 1, 2]} : float32[batch, 3, 8, 8]
      %1 = Conv(%0, %kernel) {strides=[1, 1], padding=[[0, 0], [0, 0]], layout="first", \
dilations=[1, 1]} : float32[batch, 4, 6, 6]
      %2 = Relu(%1) : float32[batch, 4, 6, 6]
      %3 = ReduceMean(%2) {axes=[2, 3]} : float32[batch, 4]
      output y = %3
    }

Each value of the old graph exists in the new one in one or several *forms* (`graphc.passes.forms`).
A rule here says in which form an op wants its operands and in which its results come out. An op
without a rule gets its operands as they were.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from graphc.ir import Graph, Node, Op, Value
from graphc.ops.activation import _Activation
from graphc.ops.conv import ConvKernelGradient, _Convolution
from graphc.ops.linalg import Einsum
from graphc.ops.movement import (
    Concat,
    Expand,
    Pad,
    Reshape,
    Reverse,
    Size,
    Slice,
    Split,
    Transpose,
)
from graphc.ops.nn import BatchNormalization, _Softmax
from graphc.ops.reduce import ArgMax, Reduction
from graphc.ops.window import Windowed
from graphc.passes.dead import drop_dead
from graphc.passes.forms import Flattened, Form, Forms, Permuted, canonical
from graphc.passes.report import Report
from graphc.passes.successor import copy_node

#: What a rule returns: the op to apply, its operands, and the form of the results.
Plan = tuple[Op, list[Value], Form]


def channels_first(graph: Graph, report: Report | None = None) -> Graph:
    """The graph with channels in front of the spatial axes.

    Args:
        graph: Any graph; it stays as it is, and so do its inputs and outputs.
        report: Told what was turned.
    """
    result = Graph(graph.name)
    forms = Forms()
    for value in graph.inputs:
        forms.add(value, canonical(value), result.input(value.name, value.type))
    for node in graph.nodes:
        result.location = node.location
        if isinstance(node.op, (Transpose, Reshape)) and _same_elements(forms, node):
            continue
        plan = _plan(forms, node)
        if plan is None:
            values = {value: forms.get(value, canonical(value)) for value in node.inputs}
            copy_node(result, node.op, node, values)
            for value in node.outputs:
                forms.add(value, canonical(value), values[value])
            continue
        op, operands, form = plan
        if report is not None and op is not node.op:
            report.apply(f"channels of {op.name} first", node.location)
        outputs = result.apply(op, *operands)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        for value, output in zip(node.outputs, outputs, strict=True):
            forms.add(value, form, output)
    result.outputs = {
        name: forms.get(value, canonical(value)) for name, value in graph.outputs.items()
    }
    return drop_dead(result)


def _plan(forms: Forms, node: Node) -> Plan | None:
    """What the first rule for the op says; None if there is none or it does not apply."""
    for kinds, rule in _RULES:
        if isinstance(node.op, kinds):
            return rule(forms, node)
    return _elementwise(forms, node) if node.op.elementwise else None


def _first(rank: int) -> Permuted:
    """Channels first, for an image with channels last."""
    return Permuted((0, rank - 1, *range(1, rank - 1)))


def _windowed(forms: Forms, node: Node) -> Plan | None:
    """Convolutions and poolings, and their gradients, want images with channels first."""
    op: Any = node.op
    if op.layout == "first":
        return None
    rank = len(op.strides) + 2
    form = _first(rank)
    images = len(node.inputs)
    if isinstance(op, _Convolution) and not isinstance(op, ConvKernelGradient):
        images = 1
    operands = [
        forms.get(value, form if place < images else canonical(value))
        for place, value in enumerate(node.inputs)
    ]
    result = canonical(node.output) if isinstance(op, ConvKernelGradient) else form
    return dataclasses.replace(op, layout="first"), operands, result


def _elementwise(forms: Forms, node: Node) -> Plan | None:
    """Elementwise ops compute in any form: in that of the first operand that was turned."""
    rank = node.outputs[0].rank
    for value in node.inputs:
        form = forms.native(value)
        if value.rank == rank and not form.is_canonical and value.shape == node.outputs[0].shape:
            operands = [forms.broadcast(other, form, value.shape) for other in node.inputs]
            if all(operand is not None for operand in operands):
                return node.op, operands, form  # type: ignore[return-value]
    return None


def _permuted(forms: Forms, values: Sequence[Value]) -> Permuted | None:
    """The form of the first of some values that was turned."""
    for value in values:
        form = forms.native(value)
        if isinstance(form, Permuted) and not form.is_canonical:
            return form
    return None


def _in_form(change: Callable[[Any, Permuted], Op]) -> Callable[[Forms, Node], Plan | None]:
    """A rule for an op whose operands and results have the same axes.

    Args:
        change: The op for operands in a form.
    """

    def rule(forms: Forms, node: Node) -> Plan | None:
        form = _permuted(forms, node.inputs)
        if form is None:
            return None
        return change(node.op, form), [forms.get(value, form) for value in node.inputs], form

    return rule


def _reduce(forms: Forms, node: Node) -> Plan | None:
    """Reductions: the axes that remain keep their order among each other."""
    op: Any = node.op
    form = _permuted(forms, node.inputs)
    if form is None:
        return None
    axes = op.axes if isinstance(op, Reduction) else (op.axis,)
    moved = tuple(sorted(form.place(axis) for axis in axes))
    changed: Op = (
        dataclasses.replace(op, axes=moved)
        if isinstance(op, Reduction)
        else dataclasses.replace(op, axis=moved[0])
    )
    operands = [forms.get(node.inputs[0], form)]
    if getattr(op, "keep", False):
        return changed, operands, form
    remaining = [axis for axis in form.permutation if axis not in axes]
    order = sorted(remaining)
    return changed, operands, Permuted(tuple(order.index(axis) for axis in remaining))


def _size(forms: Forms, node: Node) -> Plan | None:
    form = _permuted(forms, node.inputs)
    if form is None:
        return None
    op: Any = node.op
    axes = tuple(sorted(form.place(axis) for axis in op.axes))
    changed = dataclasses.replace(op, axes=axes)
    return changed, [forms.get(node.inputs[0], form)], canonical(node.output)


def _batch_normalization(forms: Forms, node: Node) -> Plan | None:
    x, *parameters = node.inputs
    form, op = forms.native(x), node.op
    assert isinstance(op, BatchNormalization)
    if isinstance(form, Permuted) and not form.is_canonical:
        changed = dataclasses.replace(op, axis=form.place(op.axis))
        operands = [forms.get(value, canonical(value)) for value in parameters]
        return changed, [forms.get(x, form), *operands], form
    if isinstance(form, Flattened) and op.axis == 1:
        turned = [forms.broadcast(value, form, x.shape) for value in parameters]
        return op, [forms.get(x, form), *turned], form  # type: ignore[list-item]
    return None


def _einsum(forms: Forms, node: Node) -> Plan | None:
    """A matrix behind a Flatten: its rows follow the elements."""
    x, y = node.inputs
    op = node.op
    assert isinstance(op, Einsum)
    first, second, result = op.terms
    for value, term, other, other_term in ((x, first, y, second), (y, second, x, first)):
        form = forms.native(value)
        if not isinstance(form, Flattened) or term[1] in result or term[1] not in other_term:
            continue
        turned = forms.turn_axis(other, other_term.index(term[1]), form)
        given = forms.get(value, form)
        operands = [given, turned] if value is x else [turned, given]
        return op, operands, canonical(node.output)
    return None


def _same_elements(forms: Forms, node: Node) -> bool:
    """Whether a Transpose or Reshape only gives other names to a form that is there already."""
    (x,) = node.inputs
    form = forms.native(x)
    if not isinstance(form, Permuted) or form.is_canonical:
        return False
    if isinstance(node.op, Transpose):
        inverse = node.op.inverse
        turned = Permuted(tuple(inverse[axis] for axis in form.permutation))
        forms.add(node.output, turned, forms.get(x, form))
        return True
    flat = Flattened.of(x.shape, form, node.output.shape)
    if flat is None:
        return False
    value = forms.get(x, form)
    forms.add(node.output, flat, Reshape(node.output.shape)(value))
    return True


def _axes(*names: str) -> Callable[[Any, Permuted], Op]:
    """Tuples with an entry for each axis follow the axes."""

    def change(op: Any, form: Permuted) -> Op:
        changes = {name: form.apply(getattr(op, name)) for name in names if getattr(op, name)}
        return dataclasses.replace(op, **changes)

    return change


def _axis(op: Any, form: Permuted) -> Op:
    return dataclasses.replace(op, axis=form.place(op.axis))


def _expand(forms: Forms, node: Node) -> Plan | None:
    (x,) = node.inputs
    if x.rank != node.output.rank:
        return None
    return _in_form(_axes("shape"))(forms, node)


def _reverse(op: Any, form: Permuted) -> Op:
    return dataclasses.replace(op, axes=tuple(sorted(form.place(axis) for axis in op.axes)))


_RULES: tuple[tuple[Any, Callable[[Forms, Node], Plan | None]], ...] = (
    (Windowed, _windowed),
    (_Activation, _elementwise),
    (Reduction, _reduce),
    (ArgMax, _reduce),
    (Size, _size),
    (BatchNormalization, _batch_normalization),
    (Einsum, _einsum),
    ((Concat, Split, _Softmax), _in_form(_axis)),
    (Slice, _in_form(_axes("starts", "stops", "steps"))),
    (Pad, _in_form(_axes("before", "after", "interior"))),
    (Expand, _expand),
    (Reverse, _in_form(_reverse)),
)
