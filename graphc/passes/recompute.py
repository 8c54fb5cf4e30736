"""The end of fusion: what is cheap is rather computed again than written to memory.

Before: a kernel stores ``z = x - mean``, which another one reads, though it could read ``x``; a
convolution's gradient stores ``dy * scale`` and ``dy * x`` besides ``dy``, for later sums. After:
the kernels that read such a value compute it themselves from what is in memory anyway; the kernel
that made it no longer stores it, and drops what only that needed.

A value moves if all of its readers can take it, and if fewer bytes go to and from memory then.
Writing counts twice: the processor reads a line before it writes to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from graphc.ir import Node, Value, dims, dtype_size
from graphc.passes.space import NoSpaceError, check

if TYPE_CHECKING:
    from graphc.passes.fuse import Groups

#: Ops that take an instruction or two.
CHEAP = frozenset(
    (
        *("Cast", "Expand", "Add", "Sub", "Mul", "Neg", "Max", "Min", "Relu", "Where"),
        *("Equal", "NotEqual", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"),
        *("And", "Or", "Xor", "Not"),
    )
)
#: How many of them are repeated for one value at most.
_MOST_REPEATED = 6
#: What an open size is taken for.
_TYPICAL_SIZE = 32


def recompute(groups: Groups) -> None:
    """Change which group computes what, as the module's head says.

    Args:
        groups: Those that fusion found.
    """
    # From the end: then what a moved value is computed from may move after it.
    for node in reversed(list(groups.group)):
        if node in groups.group and node.op.name in CHEAP:
            _try_to_move(groups, node)


def _try_to_move(groups: Groups, node: Node) -> None:
    (value,) = node.outputs
    readers = groups.readers(value)
    if not readers or value in groups.outputs or groups.group[node] in readers:
        return
    found = _slice(groups, node)
    if found is None:
        return
    nodes, leaves = found
    saved = _bytes(value) * (2 + len(readers))
    added = sum(
        _bytes(leaf) for reader in readers for leaf in leaves if not groups.knows(reader, leaf)
    )
    what = f"recomputation of {node.op.name} {value.type}"
    reason = "it would move more bytes" if added >= saved else _obstacle(groups, nodes, readers)
    if not reason and _falls_apart(groups, node):
        reason = "it holds its kernel together"
    if reason:
        groups.report.refuse(what, reason, node.location)
        return
    groups.report.apply(what, node.location)
    for reader in readers:
        groups.repeat(nodes, reader)
    groups.drop_unread(node)


def _slice(groups: Groups, node: Node) -> tuple[list[Node], list[Value]] | None:
    """The nodes that make a value from stored ones, and these; None if it takes more."""
    home = groups.group[node]
    nodes: dict[Node, None] = {}
    leaves: dict[Value, None] = {}
    stack = [node]
    while stack:
        current = stack.pop()
        if current in nodes:
            continue
        nodes[current] = None
        if len(nodes) > _MOST_REPEATED:
            return None
        for x in current.inputs:
            if x.node in groups.sources:
                continue
            if x.node is None or groups.group.get(x.node) != home or groups.is_stored(x):
                leaves[x] = None
            elif x.node.op.name in CHEAP:
                stack.append(x.node)
            else:
                return None
    return list(nodes), list(leaves)


def _obstacle(groups: Groups, nodes: Iterable[Node], readers: Iterable[int]) -> str:
    """Why some kernel cannot compute the nodes; empty if each can."""
    for reader in readers:
        members = groups.members[reader]
        if members[0] not in groups.loops:
            return f"{members[0].op.name} reads it from memory"
        together = dict.fromkeys((*members, *nodes))
        try:
            check(groups.with_sources(together), groups.source_set)
        except NoSpaceError as reason:
            return str(reason)
    return ""


def _falls_apart(groups: Groups, node: Node) -> bool:
    """Whether a kernel without a node computes things that have nothing to do with each other.

    One loop nest cannot: what is left without a tensor in common need not have the same axes.
    """
    members = groups.members[groups.group[node]]
    rest = set(members) - {node}
    for other in reversed(members):  # what only the node needed goes with it
        read = any(user in rest for value in other.outputs for user in groups.users[value])
        if not read and not any(groups.is_stored(value) for value in other.outputs):
            rest.discard(other)
    if not rest:
        return False
    seen = {other: _walked(groups, other) for other in rest}
    whole = max((_bytes(x) // dtype_size(x.dtype) for v in seen.values() for x in v), default=0)
    links = {
        other: {x for x in values if _bytes(x) // dtype_size(x.dtype) == whole}
        for other, values in seen.items()
    }
    first = next(iter(rest))
    reached, values = {first}, set(links[first])
    grown = True
    while grown:
        more = {other for other in rest - reached if not values.isdisjoint(links[other])}
        reached |= more
        values.update(*(links[other] for other in more))
        grown = bool(more)
    return len(reached) < len(rest)


def _walked(groups: Groups, node: Node) -> list[Value]:
    """The tensors along which a node's loop runs: of a contraction the result alone."""
    operands = () if node.op.name == "Einsum" else node.inputs
    return [x for x in (*operands, *node.outputs) if x.node not in groups.sources]


def _bytes(value: Value) -> int:
    sizes = dict.fromkeys(dims.symbols(value.type.size), _TYPICAL_SIZE)
    return dims.evaluate(value.type.size, sizes) * dtype_size(value.dtype)
