"""Sources: what kernels make from nothing wherever they need it, rather than read from memory.

`separate_sources` gives a node that reads one source along different loops a source for each
operand, as loops of one nest are told apart by the values in it. Before::

    %0 = Iota() {shape=[n]} : int32[n]
    %1 = Reshape(%0) {shape=[n, 1]} : int32[n, 1]
    %2 = Less(%0, %1) : bool[n, n]

after: ``%0`` and ``%1`` have an ``Iota`` each.
"""

from __future__ import annotations

from graphc.ir import Graph, Node, Value
from graphc.passes.dead import drop_dead
from graphc.passes.space import NoSpaceError, analyse, is_loop_node, is_source, is_squeeze
from graphc.passes.successor import Successor

#: What is repeated in every kernel that needs it if it is made of sources alone.
_CHEAP = frozenset(
    (
        *("Expand", "Cast", "Add", "Sub", "Mul", "Div", "Neg", "Max", "Min"),
        *("Equal", "NotEqual", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"),
        *("And", "Or", "Xor", "Not", "Where"),
    )
)


def source_closure(graph: Graph) -> dict[Node, None]:
    """The sources, and what is cheaply computed from sources alone, in order."""
    sources: dict[Node, None] = {}
    for node in graph.nodes:
        if _is_made_of(node, sources):
            sources[node] = None
    return sources


def separate_sources(graph: Graph) -> Graph:
    """The graph with sources repeated where a node reads one along different loops.

    Args:
        graph: Without composite ops; it stays as it is.
    """
    result = Successor(graph)
    values = result.values
    sources: dict[Node, None] = {}
    #: The nodes that each value of a source is made of.
    parts: dict[Value, dict[Node, None]] = {}
    for node in graph.nodes:
        result.repeat(node)
        made = values[node.outputs[0]].node
        assert made is not None
        if is_loop_node(node) and _crosses(made, parts):
            with result.graph.at(node.location):
                operands = [_repeated(result.graph, x, parts) for x in made.inputs]
                result.put(node, result.graph.repeat(node, node.op, tuple(operands)))
            made = values[node.outputs[0]].node
            assert made is not None
        if _is_made_of(made, sources):
            sources[made] = None
            if made.op.name == "Constant":
                continue  # one element lies in no loop
            below = [part for value in made.inputs for part in parts.get(value, ())]
            parts[made.output] = dict.fromkeys([*below, made])
    return drop_dead(result.finish())


def _is_made_of(node: Node, sources: dict[Node, None]) -> bool:
    cheap = node.op.name in _CHEAP or is_squeeze(node)
    return is_source(node) or (cheap and all(value.node in sources for value in node.inputs))


def _crosses(node: Node, parts: dict[Value, dict[Node, None]]) -> bool:
    """Whether a node cannot be computed, because a source would need several loops at once."""
    below = [parts[value] for value in node.inputs if value in parts]
    used = dict.fromkeys(part for one in below for part in one)
    if sum(map(len, below)) == len(used) and len(set(node.inputs)) == len(node.inputs):
        return False  # the operands have nothing in common
    try:
        analyse([*used, node], shared_factors=True)
    except NoSpaceError:
        return True
    return False


def _repeated(graph: Graph, value: Value, parts: dict[Value, dict[Node, None]]) -> Value:
    """A source computed once more; any other value as it is."""
    if value not in parts:
        return value
    made: dict[Value, Value] = {}
    for node in parts[value]:
        copy = graph.repeat(node, node.op, tuple(made.get(x, x) for x in node.inputs))
        made[node.output] = copy
    copies = (made[part.output].node for part in parts[value])
    parts[made[value]] = {copy: None for copy in copies if copy is not None}
    return made[value]
