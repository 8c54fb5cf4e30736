"""`Fused` nodes: contractions where a body holds one, loop nests otherwise."""

from __future__ import annotations

from graphc.ir import Node
from graphc.passes.fuse import Fused
from graphc.runtime.cpu.lower import Lowering, loop_nest, lowers


@lowers(Fused)
def lower_fused(lowering: Lowering, node: Node) -> None:
    """One kernel for a body."""
    operands = [lowering.view(value) for value in node.inputs]
    results = [lowering.allocate(value) for value in node.outputs]
    loop_nest(lowering, node.op.body, operands, results)
