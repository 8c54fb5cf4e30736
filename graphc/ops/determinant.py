"""The determinant, with a gradient for singular matrices too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from graphc.ir import Node, Sample, TensorType, Value, numpy_dtype, part_dtype, zeros_like
from graphc.ops.choice import Where
from graphc.ops.complex import absolute
from graphc.ops.control import cond
from graphc.ops.elementwise import cast
from graphc.ops.elimination import LU, Solve
from graphc.ops.family import like, wide
from graphc.ops.linalg import matmul
from graphc.ops.logic import LessOrEqual, NotEqual
from graphc.ops.matrix import (
    MatrixOp,
    as_column,
    as_row,
    complex_matrices,
    conj,
    diagonal_mask,
    diagonal_of,
    identity,
    positions,
    swap,
    times,
)
from graphc.ops.movement import reshape_to
from graphc.ops.reduce import ReduceMax, ReduceMin, ReduceProd, ReduceSum
from graphc.ops.singular import SVD


class Det(MatrixOp):
    """The determinant of ``a``: shape ``[..., n, n]`` to ``[...]``.

    Its gradient is the matrix of cofactors, ``det(a)`` times the transposed inverse. Where a matrix
    of the batch is singular it follows from singular values instead, of which no one divides
    (Stewart, "On the adjugate matrix", 1998).
    """

    def infer(self, a: TensorType) -> TensorType:
        self.check(a, square=True)
        return a.with_shape(a.shape[:-2])

    def evaluate(self, a: np.ndarray) -> np.ndarray:
        return np.asarray(np.linalg.det(wide(a))).astype(a.dtype)

    def gradient(self, node: Node, dz: Value) -> Sequence[Value]:
        (a,) = node.inputs
        self.known_sizes(a)
        if 0 in a.shape:
            return (zeros_like(a),)
        (cofactors,) = cond(
            _any_singular(a), _cofactors_by_singular_values, _cofactors_by_inverse, a, node.output
        )
        return (as_column(as_column(dz)) * cofactors,)

    def decompose(self, a: Value) -> Value:
        """The product of what elimination leaves on the diagonal."""
        signs, diagonal = signed_diagonal(a)
        return times(ReduceProd((a.rank - 2,))(diagonal), signs)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(40)
        for dtype, shape in (
            ("float64", (4, 4)),
            ("float64", (2, 3, 3)),
            ("float64", (1, 1)),
            ("float32", (5, 5)),
            ("float64", (0, 0)),
            ("float64", (0, 2, 2)),
        ):
            yield Sample(cls(), (rng.normal(size=shape).astype(dtype),))
        for a in complex_matrices((3, 3), (2, 4, 4)):
            yield Sample(cls(), (a,))
        yield Sample(cls(), (np.diag([2.0, 0.0, 1.0, 3.0]),))
        yield Sample(cls(), (np.zeros((2, 4, 4)),), differentiable=False)


def signed_diagonal(a: Value) -> tuple[Value, Value]:
    """The signs (int32) of the exchanges of rows in elimination, and the diagonals that it leaves.

    Args:
        a: Square matrices.
    """
    lu, pivots, _ = LU()(a)
    places = reshape_to(positions(a.graph, a.shape[-1], -1), (a.shape[-1],))
    exchanged = NotEqual()(pivots, places)
    flips = Where()(exchanged, like(pivots, -1), like(pivots, 1))
    return ReduceProd((pivots.rank - 1,))(flips), diagonal_of(lu)


def _any_singular(a: Value) -> Value:
    """Whether a matrix of the batch is singular, as far as the precision tells."""
    _, diagonal = signed_diagonal(a)
    size, axis = absolute(diagonal), diagonal.rank - 1
    epsilon = float(np.finfo(numpy_dtype(part_dtype(a.dtype))).eps)
    count = a.shape[-1]
    assert isinstance(count, int)
    largest = ReduceMax((axis,))(size) * (count * epsilon)
    singular = cast(LessOrEqual()(ReduceMin((axis,))(size), largest), "int32")
    return ReduceSum(tuple(range(axis)))(singular) > 0


def _cofactors_by_inverse(a: Value, determinant: Value) -> Sequence[Value]:
    inverse = Solve()(swap(a), identity(a, a.shape[-1]))
    return (as_column(as_column(determinant)) * inverse,)


def _cofactors_by_singular_values(a: Value, _: Value) -> Sequence[Value]:
    """``det(u) det(vt)`` times the conjugate of ``u @ diag(products of the others) @ vt``."""
    u, s, vt = SVD()(a)
    axis, size = s.rank - 1, s.shape[-1]
    on_diagonal = diagonal_mask(s.graph, size, size)
    others = Where()(on_diagonal, like(s, 1), as_row(s))
    products = ReduceProd((axis + 1,))(others)
    cofactors = conj(matmul(times(u, as_row(products)), vt))
    return (as_column(as_column(Det()(u) * Det()(vt))) * cofactors,)
