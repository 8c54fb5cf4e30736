"""Eigenvalues and eigenvectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from graphc.errors import UnsupportedError
from graphc.ir import Node, Sample, TensorType, Value, is_complex, part_dtype, zeros_like
from graphc.ops.choice import Where
from graphc.ops.complex import WHOLES, Imag, Real, absolute
from graphc.ops.elementwise import cast
from graphc.ops.elimination import Solve
from graphc.ops.family import like, wide
from graphc.ops.linalg import matmul
from graphc.ops.logic import Equal
from graphc.ops.matrix import (
    MatrixOp,
    adjoint,
    as_column,
    as_row,
    column_directions,
    complex_matrices,
    conj,
    conjugated,
    diagonal_mask,
    diagonal_matrix,
    direction_of_columns,
    each_matrix,
    identity,
    scaled,
    swap,
    take_rows,
    times,
)
from graphc.ops.movement import Reverse, reshape_to
from graphc.ops.reduce import ReduceMax, ReduceSum
from graphc.ops.rotations import orthogonalized
from graphc.ops.schur import eigensystem
from graphc.ops.sort import order as sort_order

#: How much imaginary parts count in the order of eigenvalues. Conjugate ones have the same real
#: parts but for rounding errors, and no simple numbers should be close to a tie.
SLANT = 0.3819660113


class Eigh(MatrixOp):
    """Eigenvalues ``w``, rising, and eigenvectors, the columns of ``v``, of ``(a + a.T) / 2``.

    Shapes ``[..., n]`` and ``[..., n, n]``. Of complex matrices the transposed ones are conjugated;
    the eigenvalues are real. Of each eigenvector the first large element is positive (see
    `graphc.ops.matrix.column_directions`), so that all backends give the same ones.

    The gradient is that of Giles, "An extended collection of matrix derivative results for forward
    and reverse mode algorithmic differentiation" (2008). Equal eigenvalues make that of the
    eigenvectors infinite or NaN, as these are not unique then; that of the eigenvalues stays exact.
    """

    def infer(self, a: TensorType) -> tuple[TensorType, TensorType]:
        self.check(a, square=True)
        return TensorType(a.shape[:-1], part_dtype(a.dtype)), a

    def evaluate(self, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = wide(a)
        w, v = each_matrix(_eigh, (x + np.conj(np.swapaxes(x, -1, -2))) / 2)
        v = v * np.conj(column_directions(v))
        return w.astype(part_dtype(a.dtype.name)), v.astype(a.dtype)

    def gradient(self, node: Node, dw: Value | None, dv: Value | None) -> Sequence[Value | None]:
        w, v = node.outputs
        (dv,) = conjugated(dv)
        inner = diagonal_matrix(cast(dw, v.dtype)) if dw is not None else zeros_like(v)
        if dv is not None:
            on_diagonal = diagonal_mask(v.graph, v.shape[-2], v.shape[-1])
            gaps = as_row(w) - as_column(w)
            weights = 1.0 / Where()(on_diagonal, like(gaps, 1), gaps)
            product = times(matmul(adjoint(v), dv), weights)
            inner = inner + Where()(on_diagonal, like(product, 0), product)
        da = matmul(matmul(v, inner), adjoint(v))
        return conjugated((da + adjoint(da)) * 0.5)

    def decompose(self, a: Value) -> tuple[Value, Value]:
        """Singular values and vectors of ``a + c``, with a number c that makes it positive."""
        self.known_sizes(a)
        axis = a.rank - 1
        if 0 in a.shape:
            return zeros_like(ReduceSum((axis,))(absolute(a))), zeros_like(a)
        matrix, scale = scaled((a + adjoint(a)) * 0.5)
        # No eigenvalue is larger than the largest sum of the sizes in a row.
        bound = ReduceMax((axis - 1,), keep=True)(ReduceSum((axis,), keep=True)(absolute(matrix)))
        shift = times(identity(a, a.shape[-1]), bound * 1.25)
        _, vectors, _ = orthogonalized(matrix + shift)
        vectors = Reverse((axis - 1,))(vectors)
        products = matmul(conj(vectors), matrix) * vectors
        values = ReduceSum((axis,))(Real()(products) if is_complex(a.dtype) else products)
        # NaN if the matrix holds NaN or infinity, else 0.
        failure = scale * 0.0
        vectors = swap(vectors) + cast(failure, a.dtype)
        scale, failure = (reshape_to(x, (*a.shape[:-2], 1)) for x in (scale, failure))
        return values * scale + failure, vectors * conj(direction_of_columns(vectors))

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(35)
        for dtype, shape in (
            ("float64", (4, 4)),
            ("float64", (2, 3, 3)),
            ("float64", (5, 5)),
            ("float64", (1, 1)),
            ("float32", (4, 4)),
            ("float32", (2, 1, 3, 3)),
        ):
            spread = 3 * np.diag(np.arange(shape[-1]))
            yield Sample(cls(), ((rng.normal(size=shape) + spread).astype(dtype),))
        for shape in ((0, 0), (0, 2, 2)):
            yield Sample(cls(), (np.ones(shape),))
        for a in complex_matrices((3, 3), (2, 4, 4), (1, 1), (0, 0)):
            yield Sample(cls(), (a,))
        diagonal = np.diag([3.0, -1.0, 2.0])
        yield Sample(cls(), (np.stack([diagonal, 1e-200 * diagonal]),), differentiable=False)


class Eig(MatrixOp):
    """Eigenvalues ``w`` and eigenvectors, the columns of ``v``, of any square matrices ``a``.

    Complex, of shapes ``[..., n]`` and ``[..., n, n]``. So that all backends give the same ones,
    eigenvalues come in the order of their real parts plus `SLANT` times their imaginary parts, and
    each eigenvector has length 1 and a first large element that is positive (see
    `graphc.ops.matrix.column_directions`). The vectors of equal eigenvalues are not unique.

    Only eigenvalues have a gradient.
    """

    def infer(self, a: TensorType) -> tuple[TensorType, TensorType]:
        self.check(a, square=True)
        v = a.with_dtype(WHOLES.get(a.dtype, a.dtype))
        return v.with_shape(a.shape[:-1]), v

    def evaluate(self, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        dtype = WHOLES.get(a.dtype.name, a.dtype.name)
        w, v = each_matrix(_eig, wide(a))
        order = np.argsort(w.real + SLANT * w.imag, axis=-1, kind="stable")
        w = np.take_along_axis(w, order, -1)
        v = np.take_along_axis(v * np.conj(column_directions(v)), order[..., None, :], -1)
        return w.astype(dtype), v.astype(dtype)

    def gradient(self, node: Node, dw: Value | None, dv: Value | None) -> Sequence[Value | None]:
        """``da = v^-T diag(dw) v^T``; of real matrices the real part counts."""
        if dv is not None:
            raise UnsupportedError(
                "the eigenvectors of matrices that are not symmetric have no gradient; that of the "
                "eigenvalues is known"
            )
        if dw is None:
            return (None,)
        turned = swap(node.outputs[1])
        da = Solve()(turned, as_column(dw) * turned)
        return (da if is_complex(node.inputs[0].dtype) else Real()(da),)

    def decompose(self, a: Value) -> tuple[Value, Value]:
        """Schur's form; see `graphc.ops.schur`."""
        self.known_sizes(a)
        dtype = WHOLES.get(a.dtype, a.dtype)
        if 0 in a.shape:
            return zeros_like(cast(ReduceSum((a.rank - 1,))(a), dtype)), zeros_like(cast(a, dtype))
        matrix, scale = scaled(cast(a, dtype))
        # NaN if the matrix holds NaN or infinity, else 0; such a matrix is computed as zeros.
        failure = scale * 0.0
        finite = Equal()(failure, like(failure, 0))
        w, v = eigensystem(Where()(finite, matrix, like(matrix, 0)))
        v = v * conj(direction_of_columns(v)) + cast(failure, dtype)
        scale, failure = (reshape_to(x, (*a.shape[:-2], 1)) for x in (scale, failure))
        w = times(w, scale) + cast(failure, dtype)
        order = sort_order(Real()(w) + Imag()(w) * SLANT, w.rank - 1)
        w = reshape_to(take_rows(as_column(w), order), w.shape)
        return w, swap(take_rows(swap(v), order))

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        rng = np.random.default_rng(38)
        for dtype, shape in (
            ("float64", (4, 4)),
            ("float64", (2, 3, 3)),
            ("float32", (3, 3)),
            ("float64", (1, 1)),
            ("float64", (0, 0)),
        ):
            yield Sample(cls(), (rng.normal(size=shape).astype(dtype),), differentiable=False)
        for a in complex_matrices((3, 3), (2, 4, 4), (1, 1), (0, 2, 2)):
            yield Sample(cls(), (a,), differentiable=False)
        rotation = np.array([[0.0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]])
        for a in (rotation, np.zeros((2, 2)), np.diag([3.0, -1.0, 2.0])):
            yield Sample(cls(), (a,), differentiable=False)


def _eig(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not np.isfinite(a).all():
        raise np.linalg.LinAlgError("no eigenvalues of NaN and infinity")
    w, v = np.linalg.eig(a)
    return w.astype(complex), v.astype(complex)


def _eigh(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not np.isfinite(a).all():
        raise np.linalg.LinAlgError("no eigenvalues of NaN and infinity")
    w, v = np.linalg.eigh(a)
    return w, v
