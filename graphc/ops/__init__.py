"""Every operation of the graph, one class each; see `graphc.ir.op.Op` for the protocol."""

from graphc.ops import control, elementwise, linalg, logic, movement, reduce

__all__ = ["control", "elementwise", "linalg", "logic", "movement", "reduce"]
