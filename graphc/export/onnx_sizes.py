"""Symbolic sizes in an ONNX model: computed from the shapes of inputs, where they are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphc.errors import UnsupportedError
from graphc.ir import Value, dims
from graphc.ir.dims import Dim, FloorDiv

#: ``node(op_type, inputs, **attributes)`` adds a node and returns the name of its result.
AddNode = Callable[..., str]


class Sizes:
    """Computes sizes as int64 vectors of one element, each only once.

    Args:
        inputs: The inputs of the model, from whose shapes symbols take their values.
        names: Their ONNX names.
        node: Adds a node to the main graph.
        constant: Adds an initializer.
    """

    def __init__(
        self,
        inputs: Sequence[Value],
        names: Sequence[str],
        node: AddNode,
        constant: Callable[[np.ndarray], str],
    ):
        self._node = node
        self._constant = constant
        self._sources: dict[Dim, tuple[str, int]] = {}
        for value, name in zip(inputs, names, strict=True):
            for axis, dim in enumerate(value.shape):
                self._sources.setdefault(dim, (name, axis))
        self._known: dict[Dim, str] = {}

    def vector(self, dim: Dim) -> str:
        """The name of an int64 vector with ``dim`` as its only element.

        Raises:
            UnsupportedError: A symbol in it is not the size of an axis of any input.
        """
        if isinstance(dim, int):
            return self._constant(np.array([dim], np.int64))
        if dim not in self._known:
            self._known[dim] = self._compute(dim)
        return self._known[dim]

    def scalar(self, dim: Dim) -> str:
        """The name of an int64 scalar."""
        if isinstance(dim, int):
            return self._constant(np.array(dim, np.int64))
        return self._node("Squeeze", [self.vector(dim), self._constant(np.zeros(1, np.int64))])

    def shape(self, shape: Sequence[Dim]) -> str:
        """The name of an int64 vector of several sizes."""
        if all(isinstance(dim, int) for dim in shape):
            return self._constant(np.array(shape, np.int64))
        parts: list[str] = []
        known: list[int] = []
        for dim in [*shape, None]:
            if isinstance(dim, int):
                known.append(dim)
                continue
            if known:
                parts.append(self._constant(np.array(known, np.int64)))
                known = []
            if dim is not None:
                parts.append(self.vector(dim))
        return parts[0] if len(parts) == 1 else self._node("Concat", parts, axis=0)

    def _compute(self, dim: dims.SymbolicDim) -> str:
        if dim in self._sources:
            name, axis = self._sources[dim]
            return self._node("Shape", [name], start=axis, end=axis + 1)
        terms = [self._term(monomial, coefficient) for monomial, coefficient in dim.terms]
        total = terms[0]
        for term in terms[1:]:
            total = self._node("Add", [total, term])
        return total

    def _term(self, monomial: dims.Monomial, coefficient: int) -> str:
        factors = [self._atom(atom) for atom in monomial]
        if coefficient != 1 or not factors:
            factors.append(self.vector(coefficient))
        product = factors[0]
        for factor in factors[1:]:
            product = self._node("Mul", [product, factor])
        return product

    def _atom(self, atom: dims.Atom) -> str:
        if isinstance(atom, FloorDiv):
            numerator, divisor = self.vector(atom.numerator), self.vector(atom.divisor)
            # ONNX's quotient is rounded towards zero, its remainder has the divisor's sign.
            rest = self._node("Mod", [numerator, divisor])
            return self._node("Div", [self._node("Sub", [numerator, rest]), divisor])
        dim = dims.symbol(atom)
        if dim not in self._sources:
            raise UnsupportedError(
                f'the size "{atom}" is needed, but no axis of an input has it: only '
                f"{', '.join(str(known) for known in self._sources) or 'none'} can be read off"
            )
        return self.vector(dim)
