"""Every operation of the graph, one class each; see `graphc.ir.op.Op` for the protocol."""

from graphc.ops import (
    control,
    conv,
    elementwise,
    gather,
    linalg,
    logic,
    movement,
    pool,
    random,
    reduce,
)

__all__ = [
    "control",
    "conv",
    "elementwise",
    "gather",
    "linalg",
    "logic",
    "movement",
    "pool",
    "random",
    "reduce",
]
