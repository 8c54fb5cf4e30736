"""Dimensions: integers and symbolic expressions such as ``batch``, ``2*time + 1``, ``(h - 3)//2``.

A `SymbolicDim` is a polynomial with integer coefficients over *atoms*. An atom is a symbol (a
string) or a `FloorDiv`, the floor quotient that a strided window leaves behind. Polynomials are
kept in one canonical form, so equal expressions are equal objects and hash alike. An expression
without atoms is always a plain ``int``: nobody has to test for a constant `SymbolicDim`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, TypeAlias, Union

from graphc.errors import DimensionMismatchError, ShapeError

Dim: TypeAlias = Union[int, "SymbolicDim"]
Shape: TypeAlias = tuple[Dim, ...]

# Names that are no words of Python or of the text form and need no quotes in it.
_PLAIN_SYMBOL = re.compile(r"(?!(?:None|True|False|inf|nan)\Z)[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class FloorDiv:
    """The atom ``numerator // divisor``."""

    numerator: SymbolicDim
    divisor: int

    def __str__(self) -> str:
        return f"({self.numerator})//{self.divisor}"


Atom: TypeAlias = str | FloorDiv
Monomial: TypeAlias = tuple[Atom, ...]


class SymbolicDim:
    """A size that is known only when a program is given data.

    Supports ``+ - * //`` with integers and other dimensions, equality and hashing. Ordering is
    undefined: asking for it raises `ShapeError`.
    """

    __slots__ = ("_hash", "terms")

    def __init__(self, terms: Iterable[tuple[Monomial, int]]):
        self.terms: tuple[tuple[Monomial, int], ...] = tuple(terms)
        self._hash = hash(self.terms)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SymbolicDim) and self.terms == other.terms

    def __hash__(self) -> int:
        return self._hash

    def __add__(self, other: Dim) -> Dim:
        if not self._meets_whole(other):
            return NotImplemented
        total = dict(self.terms)
        for monomial, coefficient in _terms(other):
            total[monomial] = total.get(monomial, 0) + coefficient
        return _canonical(total)

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + other * -1 if self._meets_whole(other) else NotImplemented

    def __rsub__(self, other: Dim) -> Dim:
        return self * -1 + other if self._meets_whole(other) else NotImplemented

    def __mul__(self, other: Dim) -> Dim:
        if not self._meets_whole(other):
            return NotImplemented
        product: dict[Monomial, int] = {}
        for left, a in self.terms:
            for right, b in _terms(other):
                monomial = tuple(sorted(left + right, key=str))
                product[monomial] = product.get(monomial, 0) + a * b
        return _canonical(product)

    __rmul__ = __mul__

    def __floordiv__(self, divisor: Dim) -> Dim:
        if not self._meets_whole(divisor):
            return NotImplemented
        exact = divide_exactly(self, divisor)
        if exact is not None:
            return exact
        if not isinstance(divisor, int) or divisor < 1:
            raise ShapeError(f"cannot divide dimension {self} by {divisor}")
        # Whole multiples leave the quotient: (2*h - 1)//2 is h - 1, whichever way it came about.
        whole = {monomial: c // divisor for monomial, c in self.terms}
        rest = _canonical({monomial: c % divisor for monomial, c in self.terms})
        if isinstance(rest, SymbolicDim):  # else it is less than the divisor
            return SymbolicDim([((FloorDiv(rest, divisor),), 1)]) + _canonical(whole)
        return _canonical(whole)

    def __rfloordiv__(self, other: int) -> Dim:
        raise ShapeError(f"cannot divide dimension {other} by {self}")

    def __truediv__(self, other: object) -> Any:
        if not isinstance(other, (SymbolicDim, Real)):
            return NotImplemented  # a tensor knows what to do
        raise self._is_no_number(other)

    __rtruediv__ = __truediv__

    def _meets_whole(self, other: object) -> bool:
        """Whether ``other`` is a size too; fractions are refused, all else may know what to do."""
        if isinstance(other, (int, SymbolicDim, Integral)):
            return True
        if isinstance(other, Real):
            raise self._is_no_number(other)
        return False

    def _is_no_number(self, other: object) -> ShapeError:
        return ShapeError(
            f"the size {self}, which is known only when a program runs, cannot be combined with "
            f"{other} into a fraction: make it a tensor first, "
            'keras.ops.convert_to_tensor(size, "float32")'
        )

    def __str__(self) -> str:
        text = ""
        for monomial, coefficient in self.terms:
            sign = "-" if coefficient < 0 else "+"
            factors = [_atom_text(atom) for atom in monomial]
            if abs(coefficient) != 1 or not factors:
                factors.insert(0, str(abs(coefficient)))
            term = "*".join(factors)
            text += f" {sign} {term}" if text else (f"-{term}" if sign == "-" else term)
        return text

    __repr__ = __str__

    def _unordered(self, other: object) -> bool:
        raise ShapeError(
            f"the size {self} is not known before the program runs, so it has no order: "
            f"it cannot be compared with {other}"
        )

    __lt__ = __le__ = __gt__ = __ge__ = _unordered

    def __index__(self) -> int:
        raise ShapeError(
            f"the size {self} is not known before the program runs and cannot be used as an integer"
        )


def symbol(name: str) -> SymbolicDim:
    """The dimension called ``name``."""
    return SymbolicDim([((name,), 1)])


def _atom_text(atom: Atom) -> str:
    if isinstance(atom, FloorDiv):
        return f"({atom})"
    if _PLAIN_SYMBOL.fullmatch(atom):
        return atom
    # Any other name is quoted, so that what is printed can be read back.
    return "'" + json.dumps(atom)[1:-1].replace("'", "\\u0027") + "'"


def _terms(dim: Dim) -> tuple[tuple[Monomial, int], ...]:
    if isinstance(dim, SymbolicDim):
        return dim.terms
    return (((), int(dim)),) if dim else ()


def _canonical(terms: Mapping[Monomial, int]) -> Dim:
    kept = [(monomial, c) for monomial, c in terms.items() if c]
    if not kept:
        return 0
    if len(kept) == 1 and not kept[0][0]:
        return kept[0][1]
    # Highest degree first and the constant last, as one writes it by hand.
    kept.sort(key=lambda term: (-len(term[0]), [str(atom) for atom in term[0]]))
    return SymbolicDim(kept)


def divide_exactly(dim: Dim, divisor: Dim) -> Dim | None:
    """``dim / divisor`` where this is a polynomial with integer coefficients, else None."""
    if isinstance(dim, int) and isinstance(divisor, int):
        return dim // divisor if divisor and dim % divisor == 0 else None
    if dim == divisor:
        return 1
    divisor_terms = _terms(divisor)
    if not divisor_terms:
        return None
    # Long division by the leading term; canonical order makes it the highest degree.
    lead, lead_coefficient = divisor_terms[0]
    quotient: Dim = 0
    rest: Dim = dim
    while rest != 0:
        monomial, coefficient = _terms(rest)[0]
        factors = list(monomial)
        for atom in lead:
            if atom not in factors:
                return None
            factors.remove(atom)
        if coefficient % lead_coefficient:
            return None
        step = _canonical({tuple(factors): coefficient // lead_coefficient})
        quotient = quotient + step
        rest = rest - step * divisor
    return quotient


def ceil_divide(dim: Dim, divisor: int) -> Dim:
    """``dim / divisor`` rounded up."""
    return (dim + (divisor - 1)) // divisor


def product(dims: Iterable[Dim]) -> Dim:
    """The product of all dimensions; 1 for none."""
    result: Dim = 1
    for dim in dims:
        result = result * dim
    return result


def known(shape: Iterable[Dim]) -> tuple[int, ...]:
    """The sizes of a shape that has no symbols (any more).

    Raises:
        ShapeError: It has some.
    """
    return tuple(int(dim) for dim in shape)


def symbols(dim: Dim) -> set[str]:
    """The names of the symbols that occur in ``dim``."""
    names: set[str] = set()
    for monomial, _ in _terms(dim):
        for atom in monomial:
            names |= {atom} if isinstance(atom, str) else symbols(atom.numerator)
    return names


def only_symbol(dim: Dim) -> str | None:
    """The name of the symbol that ``dim`` is; None if it is a number or an expression."""
    names = symbols(dim)
    return next(iter(names)) if len(names) == 1 and dim == symbol(*names) else None


def substitute(dim: Dim, bindings: Mapping[str, Dim]) -> Dim:
    """``dim`` with symbols replaced; symbols without a binding stay.

    Example:
        >>> substitute(symbol("batch") * 2 + 1, {"batch": 16})
        33
    """
    if isinstance(dim, int):
        return dim
    total: Dim = 0
    for monomial, coefficient in dim.terms:
        term: Dim = coefficient
        for atom in monomial:
            if isinstance(atom, str):
                term = term * bindings.get(atom, symbol(atom))
            else:
                term = term * (substitute(atom.numerator, bindings) // atom.divisor)
        total = total + term
    return total


def evaluate(dim: Dim, bindings: Mapping[str, int]) -> int:
    """The integer that ``dim`` is under ``bindings``.

    Raises:
        ShapeError: A symbol has no binding.
    """
    value = substitute(dim, bindings)
    if isinstance(value, SymbolicDim):
        missing = ", ".join(sorted(symbols(value)))
        raise ShapeError(f"the size {dim} cannot be computed: {missing} is not known")
    return value


def broadcast_dim(a: Dim, b: Dim) -> Dim:
    """The dimension of two operands of an elementwise operation, by NumPy's rule.

    Raises:
        DimensionMismatchError: Two different symbolic expressions.
        ShapeError: Two different sizes, neither of them 1.
    """
    if a == b or b == 1:
        return a
    if a == 1:
        return b
    if isinstance(a, SymbolicDim) and isinstance(b, SymbolicDim):
        raise DimensionMismatchError(f"sizes {a} and {b} are not known to be equal", a, b)
    raise ShapeError(f"sizes {a} and {b} do not fit together")


def broadcast_shapes(*shapes: Shape) -> Shape:
    """The common shape of operands that are broadcast against each other, as NumPy does it."""
    rank = max((len(shape) for shape in shapes), default=0)
    result: list[Dim] = [1] * rank
    for shape in shapes:
        offset = rank - len(shape)
        for axis, dim in enumerate(shape):
            result[offset + axis] = broadcast_dim(result[offset + axis], dim)
    return tuple(result)


def shape_text(shape: Iterable[Dim]) -> str:
    """A shape as text: ``[batch, 28, 28, 1]``."""
    return "[" + ", ".join(str(dim) for dim in shape) + "]"
