"""Simplifying a graph to its canonical form.

Rules may only do what keeps every bit, or what is the same real number rounded once (``x ** 2`` as
``x * x``, the sum of n equal numbers as a product with n). Floating-point sums and products are
never regrouped, ``x * 0`` stays since it is NaN for infinity, and ``x - x`` likewise. Nothing
depends on the sign of a zero or of a NaN: ``x + 0`` is x although -0 + 0 is +0.

The canonical form, which later passes and backends can rely on:

* Gradients are in the graph already, so nothing has to stop them: no StopGradient.
* What depends on constants only is a constant (`graphc.passes.fold`). A constant of equal elements
  is a scalar that is expanded.
* Constants stand on the right of commutative ops and of comparisons. ``Max`` and ``Min`` keep their
  order, which decides who gets the gradient of a tie. No constant is subtracted: its negative is
  added. None divides if it is a power of two: its reciprocal multiplies.
* Elementwise ops broadcast: no operand is expanded, or given leading axes of size 1, for them. An
  Expand stands behind them if the result needs it.
* Negations move outwards through products until they vanish in a sum, a constant or each other.
* Comparisons are not negated where that is exact; conditions of ``Where`` are not negated at all.
* No Cast, Reshape, Transpose, Expand, Slice, Pad, Concat or Reverse that does nothing; none
  directly on one of the same kind that it can be merged with. An Expand that repeats nothing is a
  Reshape; so is a Transpose that only moves axes of size 1. A Transpose stands before an Expand.
* No reduction over axes of size 1 or along what an Expand repeats (for a sum: a product).
* No Transpose as an operand of an Einsum, nor behind one that nobody else reads: it is in the
  equation. An operand does not repeat along axes of the result that the other operand has. An
  Einsum sums over at least one axis longer than 1; what sums nothing is a Mul.

Before::

    graph "g" {
      input %x : float32[batch, 3]
      input %w : float32[4, 3]
      %0 = Transpose(%w) {permutation=[1, 0]} : float32[3, 4]
      %1 = Einsum(%x, %0) {equation="bi,io->bo"} : float32[batch, 4]
      %2 = Constant() {value=float32[](1.0)} : float32[]
      %3 = Mul(%2, %1) : float32[batch, 4]
      output y = %3
    }

After::

    graph "g" {
      input %x : float32[batch, 3]
      input %w : float32[4, 3]
      %0 = Einsum(%x, %w) {equation="bi,oi->bo"} : float32[batch, 4]
      output y = %0
    }
"""

from __future__ import annotations

from graphc.ir import Graph
from graphc.passes.fold import FOLD
from graphc.passes.report import Report
from graphc.passes.rewrite import Rule, rewrite
from graphc.passes.rules_arithmetic import ARITHMETIC
from graphc.passes.rules_contraction import CONTRACTIONS
from graphc.passes.rules_movement import MOVEMENT, REDUCTIONS

#: Every rule; of those that match at one place, the first that is not refused is applied.
RULES: tuple[Rule, ...] = (FOLD, *ARITHMETIC, *MOVEMENT, *REDUCTIONS, *CONTRACTIONS)


def simplify(graph: Graph, report: Report | None = None) -> Graph:
    """The graph in canonical form.

    Args:
        graph: Any graph; it stays as it is.
        report: Told which rules were applied, and which were refused and why.
    """
    return rewrite(graph, RULES, report)
