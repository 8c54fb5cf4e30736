"""Triangular matrices: solving with them, and Cholesky's decomposition into them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphc.errors import ShapeError
from graphc.ir import Node, Sample, TensorType, Value, is_complex, zeros_like
from graphc.ops.choice import Where
from graphc.ops.complex import Real
from graphc.ops.control import scan
from graphc.ops.elementwise import Sqrt, cast
from graphc.ops.family import like, wide
from graphc.ops.linalg import matmul
from graphc.ops.logic import Equal, GreaterOrEqual
from graphc.ops.matrix import (
    MatrixOp,
    adjoint,
    as_column,
    as_row,
    conj,
    conjugated,
    diagonal_mask,
    diagonal_of,
    each_matrix,
    positions,
    row,
    steps_first,
    steps_last,
    swap,
    triangle,
)
from graphc.ops.movement import Iota, reshape_to
from graphc.ops.reduce import ReduceSum


class TriangularSolve(MatrixOp):
    """``x`` with ``a @ x = b`` for triangular ``a``; shapes ``[..., n, n]``, ``[..., n, k]``.

    Only the triangle of ``a`` is read. A zero on its diagonal gives infinities and NaN.

    Args:
        lower: Whether the lower triangle of ``a`` counts.
        transpose: Whether ``a`` is transposed, after its triangle was taken.
        unit: Whether the diagonal is taken for ones.
    """

    lower: bool = True
    transpose: bool = False
    unit: bool = False

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        self.check(a, b, square=True)
        if a.shape[:-1] != b.shape[:-1]:
            raise ShapeError("the right-hand sides need the batch and the rows of the matrices")
        return b

    def evaluate(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        a64, x = wide(a), wide(b)
        a64 = np.swapaxes(a64, -1, -2) if self.transpose else a64
        size = a.shape[-1]
        forwards = self.lower != self.transpose
        for i in range(size) if forwards else reversed(range(size)):
            known = slice(0, i) if forwards else slice(i + 1, size)
            x[..., i, :] -= (a64[..., i : i + 1, known] @ x[..., known, :])[..., 0, :]
            if not self.unit:
                x[..., i, :] /= a64[..., i, i, None]
        return x.astype(b.dtype)

    def gradient(self, node: Node, dx: Value) -> Sequence[Value]:
        a, _ = node.inputs
        db = TriangularSolve(self.lower, not self.transpose, self.unit)(a, dx)
        first, second = (node.output, db) if self.transpose else (db, node.output)
        return triangle(-matmul(first, swap(second)), self.lower, strict=self.unit), db

    def decompose(self, a: Value, b: Value) -> Value:
        """Substitution, a row of the result in each step."""
        if 0 in b.shape:
            return zeros_like(b)
        if self.transpose:
            a = swap(a)
        forwards = self.lower != self.transpose
        others = steps_first(triangle(a, forwards, strict=True))
        size = a.shape[-1]
        numbers = a.graph.apply(Iota((size,), 0, "int32"))
        sequences = [others, steps_first(b), numbers]
        if not self.unit:
            sequences.append(steps_first(as_column(diagonal_of(a))))

        def step(carries: list[Value], parts: list[Value], _: list[Value]) -> Any:
            (x,) = carries
            coefficients, own, number, *rest = parts
            found = own - reshape_to(matmul(as_row(coefficients), x), own.shape)
            if rest:
                found = found / rest[0]
            here = Equal()(positions(x.graph, size, -2), number)
            return [Where()(here, as_row(found), x)], [found]

        _, (rows,) = scan(step, [zeros_like(b)], sequences, reverse=not forwards)
        return steps_last(rows)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(30)
        shape: tuple[int, ...]
        for lower in (True, False):
            for transpose in (True, False):
                for unit in (True, False):
                    for shape, columns in (((4, 4), 3), ((2, 3, 3), 1)):
                        a = rng.normal(size=shape) + 3 * np.eye(shape[-1])
                        b = rng.normal(size=(*shape[:-1], columns))
                        yield Sample(cls(lower, transpose, unit), (a, b))
        for shape, columns in (((17, 17), 5), ((1, 1), 1), ((2, 1, 5, 5), 2)):
            a = rng.normal(size=shape) + 6 * np.eye(shape[-1])
            b = rng.normal(size=(*shape[:-1], columns))
            yield Sample(cls(), (a.astype(np.float32), b.astype(np.float32)))
        for shape, columns in (((0, 0), 2), ((3, 3), 0), ((0, 2, 2), 1)):
            operands = (np.ones(shape), np.ones((*shape[:-1], columns)))
            yield Sample(cls(), operands)
        singular = np.array([[1.0, 0.0], [2.0, 0.0]])
        yield Sample(cls(), (singular, np.ones((2, 1))), differentiable=False)


class Cholesky(MatrixOp):
    """The lower triangular ``l`` with ``l @ l.T = (a + a.T) / 2``.

    Of complex matrices the transposed ones are conjugated. Where that is not positive definite, the
    triangle is NaN.

    Its gradient is that of Murray, "Differentiation of the Cholesky decomposition" (2016).
    """

    def infer(self, a: TensorType) -> TensorType:
        self.check(a, square=True)
        return a

    def evaluate(self, a: np.ndarray) -> np.ndarray:
        x = wide(a)
        factor = each_matrix(np.linalg.cholesky, (x + np.conj(np.swapaxes(x, -1, -2))) / 2)
        return np.tril(factor).astype(a.dtype)

    def gradient(self, node: Node, dl: Value) -> Sequence[Value | None]:
        factor = node.output
        inner = triangle(matmul(adjoint(factor), conj(dl)), lower=True)
        on_diagonal = diagonal_mask(inner.graph, inner.shape[-2], inner.shape[-1])
        inner = Where()(on_diagonal, inner * 0.5, inner)
        upper = TriangularSolve(lower=False)
        half = upper(adjoint(factor), inner)
        whole = upper(adjoint(factor), adjoint(half))
        return conjugated((whole + adjoint(whole)) * 0.5)

    def decompose(self, a: Value) -> Value:
        """A column of the result in each step."""
        if 0 in a.shape:
            return zeros_like(a)
        symmetric = (a + adjoint(a)) * 0.5
        size = a.shape[-1]
        numbers = a.graph.apply(Iota((size,), 0, "int32"))

        def step(carries: list[Value], parts: list[Value], _: list[Value]) -> Any:
            (factor,) = carries
            own, number = parts
            done = matmul(factor, adjoint(as_row(row(factor, number))))
            rest = own - reshape_to(done, own.shape)
            places = reshape_to(positions(own.graph, size, -1), (size,))
            here = Equal()(places, number)
            pivot = ReduceSum((rest.rank - 1,), keep=True)(Where()(here, rest, like(rest, 0)))
            pivot = Real()(pivot) if is_complex(pivot.dtype) else pivot
            root = Where()(pivot > 0.0, Sqrt()(pivot), like(pivot, np.nan))
            root = cast(root, rest.dtype)
            found = Where()(GreaterOrEqual()(places, number), rest / root, like(rest, 0))
            now = Equal()(positions(own.graph, size, -1), number)
            return [Where()(now, as_column(found), factor)], [found]

        _, (columns,) = scan(step, [zeros_like(a)], [steps_first(swap(symmetric)), numbers])
        factor = swap(steps_last(columns))
        # 0, or NaN if a pivot was none; that is spread to all of the triangle.
        diagonal = as_column(diagonal_of(factor))
        failure = ReduceSum((a.rank - 2, a.rank - 1), keep=True)(diagonal * 0.0)
        return triangle(factor + failure, lower=True)

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(31)
        for dtype, shape in (
            ("float64", (4, 4)),
            ("float64", (2, 3, 3)),
            ("float64", (1, 1)),
            ("float32", (9, 9)),
            ("float32", (2, 1, 3, 3)),
        ):
            x = rng.normal(size=shape)
            a = x @ np.swapaxes(x, -1, -2) + shape[-1] * np.eye(shape[-1])
            yield Sample(cls(), (a.astype(dtype),))
        lopsided = np.array([[4.0, 1.0, 0.0], [2.0, 5.0, 3.0], [1.0, 0.5, 6.0]])
        yield Sample(cls(), (lopsided,))
        for shape in ((0, 0), (0, 2, 2)):
            yield Sample(cls(), (np.ones(shape),))
        indefinite = np.array([np.eye(3), [[1.0, 0, 2], [0, 1, 0], [2, 0, 1]], np.zeros((3, 3))])
        yield Sample(cls(), (indefinite,), differentiable=False)
