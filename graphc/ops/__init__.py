"""Every operation of the graph, one class each; see `graphc.ir.op.Op` for the protocol."""

from graphc.ops import (
    activation,
    barrier,
    choice,
    circular,
    control,
    conv,
    elementwise,
    gather,
    linalg,
    logic,
    movement,
    nn,
    pool,
    random,
    recurrent,
    reduce,
)

__all__ = [
    "activation",
    "barrier",
    "circular",
    "choice",
    "control",
    "conv",
    "elementwise",
    "gather",
    "linalg",
    "logic",
    "movement",
    "nn",
    "pool",
    "random",
    "recurrent",
    "reduce",
]
