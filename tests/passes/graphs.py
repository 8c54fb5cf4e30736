"""Random graphs, for hypothesis."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from graphc.errors import GraphcError
from graphc.ir import Graph, Location, TensorType, Value, symbol
from graphc.ops import elementwise as e
from graphc.ops import logic, movement, reduce
from graphc.ops.linalg import Einsum

BATCH, TIME = symbol("batch"), symbol("time")
SHAPES = (
    (),
    (1,),
    (3,),
    (BATCH,),
    (BATCH, 3),
    (BATCH, TIME, 1),
    (2, 3),
    (1, 3),
    (0, 3),
    (BATCH, 0),
)
NUMBERS = (0, 1, 2, -1, 3, 0.5, -0.0)
UNARY = (e.Neg, e.Abs, e.Sign, e.Relu)
FLOAT_UNARY = (e.Exp, e.Tanh, e.Sigmoid, e.Floor, e.Round, e.Reciprocal, e.Sqrt)
BINARY = (e.Add, e.Sub, e.Mul, e.Max, e.Min)
RELATIONS = (
    logic.Equal,
    logic.NotEqual,
    logic.Less,
    logic.LessOrEqual,
    logic.Greater,
    logic.GreaterOrEqual,
)
CONNECTIVES = (logic.And, logic.Or, logic.Xor)
DTYPES = ("float32", "float64", "int32", "bool")


@st.composite
def graphs(draw: Any, most: int = 14) -> Graph:
    """A graph of up to ``most`` nodes, where canonical and clumsy forms are equally likely."""
    graph = Graph(draw(st.sampled_from(["g", 'a "name"'])))
    for name in ("x", "y", "the third/input")[: draw(st.integers(1, 3))]:
        type = TensorType(draw(st.sampled_from(SHAPES)), draw(st.sampled_from(DTYPES)))
        graph.input(name, type)
    # The sizes of both symbols are always known.
    graph.input("sizes", TensorType((BATCH, TIME), "float32"))
    for _ in range(draw(st.integers(1, most))):
        graph.location = draw(
            st.sampled_from([Location(), Location("dense", "train.py", 7), Location("a/b")])
        )
        try:
            _grow(draw, graph)
        except GraphcError:
            continue  # drawn operands that do not fit
    values = list(graph.values())
    for place in range(draw(st.integers(1, 3))):
        graph.outputs[f"out{place}"] = draw(st.sampled_from(values[-6:]))
    return graph


def _grow(draw: Any, graph: Graph) -> None:
    values = list(graph.values())
    # Recent values more often, so that ops stand on each other.
    x: Value = draw(st.sampled_from(values[-2:] if draw(st.booleans()) else values))
    same = [value for value in graph.values() if value.dtype == x.dtype]
    y: Value = draw(st.sampled_from(same))
    number = draw(st.sampled_from(NUMBERS))
    kind = draw(st.integers(0, 3))
    if kind == 0:
        _move(draw, x, y)
    elif kind == 1 and x.dtype != "bool":
        _compute(draw, x, y, number)
    elif x.dtype == "bool":
        _decide(draw, graph, x, y)
    else:
        other = draw(st.sampled_from([y, graph.constant(number, x.dtype)]))
        operands = draw(st.permutations([x, other]))
        draw(st.sampled_from([*BINARY, *RELATIONS]))()(*operands)


def _compute(draw: Any, x: Value, y: Value, number: float) -> None:
    floating = x.dtype.startswith("float")
    choice = draw(st.integers(0, 4))
    if choice == 0:
        draw(st.sampled_from([*UNARY, *(FLOAT_UNARY if floating else ())]))()(x)
    elif choice == 1 and floating:
        draw(st.sampled_from([e.Pow, e.Div]))()(x, x.graph.constant(number, x.dtype))
    elif choice == 2:
        axes = tuple(axis for axis in range(x.rank) if draw(st.booleans()))
        kind = draw(st.sampled_from([reduce.ReduceSum, reduce.ReduceMax]))
        kind(axes, draw(st.booleans()))(x)
    elif choice == 3 and x.rank <= 3 and y.rank <= 3:
        letters = "".join(draw(st.permutations("abc")))
        first, second = "abc"[: x.rank], letters[: y.rank]
        used = sorted(set(first + second))
        result = "".join(letter for letter in used if draw(st.booleans()))
        Einsum(f"{first},{second}->{result}")(x, y)
    else:
        e.Cast(draw(st.sampled_from(DTYPES)))(x)


def _decide(draw: Any, graph: Graph, x: Value, y: Value) -> None:
    choice = draw(st.integers(0, 2))
    if choice == 0:
        logic.Not()(x)
    elif choice == 1:
        other = draw(st.sampled_from([y, graph.constant(draw(st.booleans()))]))
        draw(st.sampled_from(CONNECTIVES))()(*draw(st.permutations([x, other])))
    else:
        z = draw(st.sampled_from(list(graph.values())))
        other = graph.constant(draw(st.booleans()) if z.dtype == "bool" else 1, z.dtype)
        e.Where()(x, *draw(st.permutations([z, other])))


def _move(draw: Any, x: Value, y: Value) -> None:
    choice = draw(st.integers(0, 6))
    if choice == 0:
        movement.Transpose(tuple(draw(st.permutations(range(x.rank)))))(x)
    elif choice == 1:
        movement.Expand((*draw(st.sampled_from([(), (1,), (2,), (BATCH,)])), *x.shape))(x)
    elif choice == 2:
        movement.Reshape((*x.shape[:1], 1, *x.shape[1:], *draw(st.sampled_from([(), (1,)]))))(x)
    elif choice == 3:
        movement.Reshape(tuple(dim for dim in x.shape if dim != 1))(x)
    elif choice == 4 and x.rank:
        movement.Concat(draw(st.integers(0, x.rank - 1)))(x, y)
    elif choice == 5 and all(isinstance(dim, int) for dim in x.shape):
        starts = tuple(draw(st.integers(0, dim)) for dim in x.shape)
        stops = tuple(
            draw(st.integers(start, dim)) for start, dim in zip(starts, x.shape, strict=True)
        )
        steps = tuple(draw(st.integers(1, 2)) for _ in x.shape)
        movement.Slice(starts, stops, steps)(x)
    elif x.dtype != "bool":
        widths = tuple(draw(st.integers(0, 1)) for _ in x.shape)
        value = draw(st.sampled_from([0.0, -0.0, 1.5])) if x.dtype.startswith("float") else 0.0
        movement.Pad(widths, widths, (), value)(x)


def inputs_of(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    """Small inputs, with some of the numbers that are easily treated wrongly."""
    rng = np.random.default_rng(seed)
    sizes = {"batch": int(rng.integers(1, 4)), "time": 2}
    inputs = {}
    for value in graph.inputs:
        shape = value.type.substitute(sizes).shape
        array = rng.integers(-2, 3, shape).astype(value.dtype)
        if value.dtype.startswith("float"):
            special = rng.choice([np.nan, np.inf, -np.inf, 0.25], shape)
            array = np.where(rng.random(shape) < 0.15, special, array / 2).astype(value.dtype)
        inputs[value.name] = array
    return inputs
