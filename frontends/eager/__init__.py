"""Tensors and variables that compute at once, and the trace that turns the same code to graphs."""

from graphc.eager.operation import operate
from graphc.eager.tape import GradientTape, UnconnectedGradients
from graphc.eager.tensor import (
    Tensor,
    apply,
    apply_function,
    as_tensor,
    cast,
    size_tensor,
)
from graphc.eager.trace import Trace, computing_at_once, current_trace
from graphc.eager.variable import Variable

__all__ = [
    "GradientTape",
    "Tensor",
    "Trace",
    "UnconnectedGradients",
    "Variable",
    "apply",
    "apply_function",
    "as_tensor",
    "cast",
    "computing_at_once",
    "current_trace",
    "operate",
    "size_tensor",
]
