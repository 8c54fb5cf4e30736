"""Symbolic dimensions: their arithmetic is that of the integers they stand for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from graphc.errors import DimensionMismatchError, ParseError, ShapeError
from graphc.ir import SymbolicDim, dims, symbol
from graphc.ir.dims import Dim
from graphc.ir.reader import parse_dim

B, T = symbol("batch"), symbol("time")
BINDINGS = st.fixed_dictionaries({"batch": st.integers(0, 50), "time": st.integers(0, 50)})


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> Dim:
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from([B, T, 0, 1, 2, 7, -3]))
    left, right = draw(expressions(depth - 1)), draw(expressions(depth - 1))
    match draw(st.integers(0, 3)):
        case 0:
            return left + right
        case 1:
            return left - right
        case 2:
            return left * right
    return left // draw(st.integers(1, 5))


@given(expressions(), expressions(), st.integers(1, 6), BINDINGS)
def test_arithmetic_commutes_with_evaluation(
    a: Dim, b: Dim, divisor: int, bindings: dict[str, int]
) -> None:
    x, y = dims.evaluate(a, bindings), dims.evaluate(b, bindings)
    assert dims.evaluate(a + b, bindings) == x + y
    assert dims.evaluate(a - b, bindings) == x - y
    assert dims.evaluate(a * b, bindings) == x * y
    assert dims.evaluate(-a, bindings) == -x
    assert dims.evaluate(a // divisor, bindings) == x // divisor
    assert dims.evaluate(dims.ceil_divide(a, divisor), bindings) == -(-x // divisor)


@given(expressions(), expressions(), expressions())
def test_equal_expressions_are_equal_objects(a: Dim, b: Dim, c: Dim) -> None:
    for left, right in (
        (a + b, b + a),
        (a * b, b * a),
        ((a + b) + c, a + (b + c)),
        ((a * b) * c, a * (b * c)),
        (a * (b + c), a * b + a * c),
        (a - a, 0),
    ):
        assert left == right
        assert hash(left) == hash(right)
        assert str(left) == str(right)


@given(expressions(), expressions())
def test_exact_division_undoes_multiplication(a: Dim, b: Dim) -> None:
    assume(b != 0)
    assert dims.divide_exactly(a * b, b) == a


@given(expressions())
def test_text_round_trip(dim: Dim) -> None:
    assert parse_dim(str(dim)) == dim


def test_expressions_without_symbols_are_integers() -> None:
    assert type(B - B + 3) is int
    assert type((B * 2) // 2 - B) is int
    assert type(dims.substitute(B * 2 + 1, {"batch": 4})) is int


def test_text() -> None:
    assert str(B) == "batch"
    assert str(3 + T * B * 2 - B) == "2*batch*time - batch + 3"
    assert str((B - 3) // 2) == "((batch + 1)//2) - 2"
    assert dims.shape_text((B, 28, 28, 1)) == "[batch, 28, 28, 1]"
    assert dims.shape_text(()) == "[]"


@pytest.mark.parametrize("text", ["", "batch +", "1.5", "f(x)", "a.b", "a/b", "a if b else c"])
def test_what_is_no_dimension(text: str) -> None:
    with pytest.raises(ParseError, match="line 1: expected"):
        parse_dim(text)


def test_order_and_index_are_unknown() -> None:
    for ask in (
        lambda: B < 3,
        lambda: B >= T,
        lambda: max(B, 1),
        lambda: range(B),  # type: ignore[arg-type]
    ):
        with pytest.raises(ShapeError, match="not known before the program runs"):
            ask()


@pytest.mark.parametrize(
    "combine",
    [
        lambda: B * 0.5,
        lambda: 0.5 * B,
        lambda: B + 1.5,
        lambda: 1.5 - B,
        lambda: B // 2.0,
        lambda: B / 2,
        lambda: 1 / B,
        lambda: B / T,
        lambda: B * np.float32(2),
    ],
)
def test_fractions_are_refused(combine: Callable[[], object]) -> None:
    with pytest.raises(ShapeError, match="make it a tensor first"):
        combine()


def test_missing_bindings_are_named() -> None:
    with pytest.raises(ShapeError, match=r"batch\*time cannot be computed: time is not known"):
        dims.evaluate(B * T, {"batch": 3})


def test_symbols() -> None:
    assert dims.symbols((B - 3) // 2 * T + 1) == {"batch", "time"}
    assert dims.symbols(3) == set()


def test_division_by_what_is_no_positive_integer() -> None:
    for divisor in (0, -2, T):
        with pytest.raises(ShapeError, match="cannot divide dimension"):
            B // divisor


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([], ()),
        ([()], ()),
        ([(B, 3), (3,)], (B, 3)),
        ([(B, 1), (1, T)], (B, T)),
        ([(1,), (0,)], (0,)),
        ([(B, 1, 3), (T, 1)], (B, T, 3)),
        ([(2, 1), (3,), ()], (2, 3)),
    ],
)
def test_broadcast(shapes: list, expected: tuple) -> None:
    assert dims.broadcast_shapes(*shapes) == expected


def test_broadcast_errors() -> None:
    with pytest.raises(ShapeError, match="sizes 2 and 3 do not fit together"):
        dims.broadcast_shapes((2,), (3,))
    with pytest.raises(ShapeError, match="sizes batch and 3 do not fit together"):
        dims.broadcast_shapes((B,), (3,))
    with pytest.raises(DimensionMismatchError, match="not known to be equal") as caught:
        dims.broadcast_shapes((B,), (T,))
    assert isinstance(caught.value.first, SymbolicDim)
    assert (caught.value.first, caught.value.second) == (B, T)
