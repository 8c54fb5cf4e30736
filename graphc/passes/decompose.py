"""Decomposing composite ops into simpler ones, but for those that a backend computes as a whole.

Before::

    graph "g" {
      input %x : float32[batch, 4]
      %0 = ReduceMean(%x) {axes=[1]} : float32[batch]
      output y = %0
    }

After::

    graph "g" {
      input %x : float32[batch, 4]
      %0 = ReduceSum(%x) {axes=[1]} : float32[batch]
      %1 = Constant() {value=float32[](4.0)} : float32[]
      %2 = Div(%0, %1) : float32[batch]
      output y = %2
    }
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphc.ir import Graph, Op
from graphc.passes.report import Report
from graphc.passes.rewrite import Match, Rule, rewrite


def claims_nothing(op: Op) -> bool:
    """A backend that knows no composite op."""
    return False


@dataclass(frozen=True)
class Decompose:
    """The pass that expands composite ops.

    Args:
        claims: Whether the backend computes an op as a whole.

    Example:
        >>> Decompose(lambda op: op.name == "Softmax")(graph)
    """

    claims: Callable[[Op], bool] = claims_nothing

    def __call__(self, graph: Graph, report: Report | None = None) -> Graph:
        """The graph without composite ops but those that are claimed."""
        return rewrite(graph, (Rule("decompose", "Op", _simpler, when=self._is_composite),), report)

    def _is_composite(self, match: Match) -> bool:
        return match.op.has_rule("decompose") and not self.claims(match.op)


def _simpler(match: Match) -> Any:
    return match.op.decompose(*match.inputs) if match.inputs else match.op.decompose(match.graph)
