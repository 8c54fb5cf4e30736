"""The text form: nothing is lost, nothing is executed, mistakes are named."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphc.ops  # noqa: F401  (fills the registry)
from graphc.errors import GraphError, ParseError
from graphc.ir import (
    DTYPES,
    Graph,
    Literal,
    Location,
    Op,
    TensorType,
    as_text,
    numpy_dtype,
    parse,
    symbol,
)
from graphc.ir.text import SPELLED_OUT
from graphc.ir.verify import verify
from graphc.ops.elementwise import Add, Neg, Relu
from graphc.ops.linalg import Einsum
from graphc.ops.movement import Pad, Reshape
from graphc.program import Program, Variable, parse_program


def round_trip(graph: Graph) -> Graph:
    text = as_text(graph)
    again = parse(text)
    verify(again)
    assert as_text(again) == text
    return again


def dense() -> Graph:
    graph = Graph("dense")
    x = graph.input("x", TensorType((symbol("batch"), 3), "float32"))
    kernel = graph.input("dense/kernel", TensorType((3, 4), "float32"))
    with graph.at(Location("hidden1", "train.py", 12)):
        y = Einsum("bi,io->bo")(x, kernel)
    with graph.at(Location("hidden1")):
        graph.outputs["y"] = Relu()(y)
    return graph


def test_text() -> None:
    expected = """graph "dense" {
  input %x : float32[batch, 3]
  input %dense/kernel : float32[3, 4]
  %0 = Einsum(%x, %dense/kernel) {equation="bi,io->bo"} : float32[batch, 4]  @ "hidden1" train.py:12
  %1 = Relu(%0) : float32[batch, 4]  @ "hidden1"
  output y = %1
}"""
    assert as_text(dense()) == expected
    assert round_trip(dense()).nodes[0].location == Location("hidden1", "train.py", 12)


def test_locations_can_be_left_out() -> None:
    assert "@" not in as_text(dense(), locations=False)


@pytest.mark.parametrize(
    "location",
    [
        Location("", "train.py", 12),
        Location("", "my models/train.py", 12),
        Location("a b", "C:\\code\\train.py", 1),
        Location('"quoted"\n', "", 0),
        Location("", "", 3),
        Location("layer", "", 3),
        Location("", "only.py", 0),
        Location("", "#%{}", 2),
        Location("größe", "größe.py", 2),
    ],
)
def test_locations(location: Location) -> None:
    graph = Graph("g")
    x = graph.input("x", TensorType((3,), "float32"))
    with graph.at(location):
        Neg()(x)
    Neg()(x)
    assert round_trip(graph).nodes[0].location == location


@pytest.mark.parametrize(
    "name", ["x", "3", "", "a b", 'a"b', "é", "%", "dense_1/kernel:0", "0x", "line\nbreak", "-1"]
)
def test_names(name: str) -> None:
    graph = Graph(name)
    x = graph.input(name, TensorType((3,), "float32"))
    graph.input("other", TensorType((3,), "float32"))
    graph.outputs[name] = Neg()(Neg()(Neg()(Neg()(x))))
    again = round_trip(graph)
    assert again.name == name
    assert again.inputs[0].name == name
    assert list(again.outputs) == [name]


NUMBERS = [0, 1, -1, 5, 100, 0.1, 1 / 3, 1e-3, 3e4, np.nan, np.inf, -np.inf, -0.0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (SPELLED_OUT + 1,), (0, 3), (4, 0)])
def test_literals(dtype: str, shape: tuple[int, ...]) -> None:
    with np.errstate(all="ignore"):
        array = np.resize(np.array(NUMBERS), shape).astype(numpy_dtype(dtype))
    graph = Graph("g")
    graph.outputs["y"] = graph.constant(array)
    literal = round_trip(graph).outputs["y"].op.value
    assert literal == Literal(array)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_literals_of_all_bit_patterns(dtype: str) -> None:
    width = np.dtype(f"uint{8 * numpy_dtype(dtype).itemsize}")
    rng = np.random.default_rng(0)
    for _ in range(200):
        bits = rng.integers(0, np.iinfo(width).max, 3, width, endpoint=True)
        graph = Graph("g")
        graph.outputs["y"] = graph.constant(bits.view(numpy_dtype(dtype)))
        literal = round_trip(graph).outputs["y"].op.value
        assert literal.array.tobytes() == bits.tobytes()


def test_integer_limits() -> None:
    graph = Graph("g")
    for dtype in ("int8", "int64", "uint8", "uint64"):
        info = np.iinfo(dtype)
        graph.outputs[dtype] = graph.constant(np.array([info.min, info.max], dtype))
    again = round_trip(graph)
    for name, value in again.outputs.items():
        assert value.op.value == graph.outputs[name].op.value


@pytest.mark.parametrize("value", [0.0, -0.0, 1e300, 5e-324, np.inf, -np.inf, np.nan, 0.1])
def test_float_attributes(value: float) -> None:
    graph = Graph("g")
    graph.outputs["y"] = Pad((1,), (0,), (), value)(graph.input("x", TensorType((3,), "float32")))
    again = round_trip(graph).outputs["y"].op.value
    assert np.float64(again).tobytes() == np.float64(value).tobytes()


BATCH = symbol("batch")


@pytest.mark.parametrize(
    "dim",
    [
        BATCH,
        BATCH * 2 - 1,
        BATCH * symbol("time") * 3 + symbol("time") - 7,
        (BATCH - 3) // 2 + 1,
        ((BATCH - 3) // 2 + symbol("time")) // 3 * BATCH,
        0 - BATCH,
        symbol("a b"),
        symbol("it's"),
        symbol('"'),
        symbol("None"),
        symbol("nan") * 2,
        symbol("float32"),
        symbol("graph"),
        symbol("2"),
        symbol(""),
        symbol("日"),
    ],
    ids=str,
)
def test_dimensions(dim: object) -> None:
    graph = Graph("g")
    x = graph.input("x", TensorType((dim, 2), "float32"))  # type: ignore[arg-type]
    graph.outputs["y"] = Reshape((2, dim))(x)  # type: ignore[arg-type]
    again = round_trip(graph)
    assert again.inputs[0].type == x.type
    assert again.outputs["y"].op == Reshape((2, dim))  # type: ignore[arg-type]


@pytest.fixture
def holder() -> Iterator[type[Op]]:
    class Held(Op):
        anything: object = None
        nested: tuple[object, ...] = ()

        def infer(self, *types: TensorType) -> TensorType:
            return TensorType((), "float32")

        def evaluate(self, *arrays: np.ndarray) -> np.ndarray:
            return np.zeros((), np.float32)

    # The registry takes every subclass; this one leaves it with the test.
    yield Held
    del Op.registry["Held"]


def inner() -> Graph:
    graph = Graph("inner")
    x = graph.input("x", TensorType((2,), "float32"))
    graph.outputs["y"] = Neg()(x)
    return graph


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -5,
        10**30,
        1.0,
        "",
        'text with "quotes", \\ and \n',
        "\ud800",
        (),
        (1,),
        ((1, 2), (), ("a", (None,))),
        BATCH,
        (BATCH, 1, BATCH - 1),
        TensorType((BATCH, 2), "int8"),
        TensorType((), "bool"),
        Literal(np.array([1, 2], np.int8)),
        (Literal(np.array(1.5)), TensorType((), "float64")),
    ],
    ids=repr,
)
def test_attributes(holder: type[Op], value: object) -> None:
    graph = Graph("g")
    x = graph.input("x", TensorType((2,), "float32"))
    graph.outputs["y"] = holder(value, (value, value))(x)
    op = round_trip(graph).outputs["y"].op
    assert op.anything == value
    assert type(op.anything) is type(value)
    assert op.nested == (value, value)


def test_subgraphs_are_indented_blocks(holder: type[Op]) -> None:
    graph = Graph("outer")
    x = graph.input("x", TensorType((2,), "float32"))
    graph.outputs["y"] = holder(inner(), (inner(), 3))(x)
    again = round_trip(graph)
    assert as_text(again.outputs["y"].op.anything) == as_text(inner())
    assert """  %0 = Held(%x) {anything=graph "inner" {
    input %x : float32[2]
    %0 = Neg(%x) : float32[2]
    output y = %0
  }, nested=[graph""" in as_text(graph)


def test_unknown_attributes_cannot_be_written(holder: type[Op]) -> None:
    graph = Graph("g")
    holder(object)(graph.input("x", TensorType((), "float32")))
    with pytest.raises(GraphError, match="Held: attribute anything=.* has no text form"):
        as_text(graph)


def test_default_attributes_are_left_out() -> None:
    graph = parse('graph "g" { input %x : float32[3] %y = ReduceSum(%x) {axes=[0]} }')
    assert "keep" not in as_text(graph)
    assert graph.nodes[0].op.keep is False


def test_dimensions_by_hand_are_brought_into_normal_form() -> None:
    graph = parse('graph "g" { input %x : int8[((2*n + 4)//2), 3 + n*2 - ((n - 9)//2), n - n] }')
    n = symbol("n")
    assert graph.inputs[0].shape == (n + 2, n * 2 + 3 - (n - 9) // 2, 0)
    assert as_text(parse(as_text(graph))) == as_text(graph)


def test_by_hand() -> None:
    graph = parse(
        """
        # A comment.
        graph "by hand" { input %x : float32[3]  # another
          %half = Constant() {value=float32[](0.5)}
          %sum = Add(%x, %half)
          %"sum of sums" = Add(%sum,%sum) output result=%"sum of sums"
        }
        """
    )
    assert [node.op for node in graph.nodes[1:]] == [Add(), Add()]
    assert graph.outputs["result"].type == TensorType((3,), "float32")


BOMB = [f"((2*a{i} + 2*b{i})//2)" for i in range(40)]
HEAD = 'graph "g" {\n  input %x : float32[3]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'line 1: expected "graph", received the end of the text'),
        ("grape", 'line 1: expected "graph", received \'grape\''),
        ("graph g {}", "line 1: expected the graph's name, a string in double quotes"),
        ('graph "g" {}\n}', "line 2: expected the end of the text"),
        (HEAD, 'line 3: expected "input", "output", a node'),
        (HEAD + "  import os\n}", 'line 3: expected "input", "output", a node'),
        (HEAD + "%y = __import__(%x)\n}", "line 3: expected the name of an op"),
        (HEAD + "%y = Elementwise(%x)\n}", "line 3: expected the name of an op"),
        (HEAD + "%y = Neg(%z)\n}", "line 3: expected a value that is defined above, received %z"),
        (HEAD + "%y = Neg(%y)\n}", "line 3: expected a value that is defined above, received %y"),
        (HEAD + "%x = Neg(%x)\n}", "line 3: expected a value that is new"),
        (HEAD + "%y = Neg(%x) : int32[3]\n}", "line 3: expected type float32[3] of Neg"),
        (HEAD + "%y, %z = Neg(%x)\n}", "line 3: expected 1 results of Neg, received 2"),
        (HEAD + "%y = Neg(%x, %x)\n}", "line 3: Neg: takes 1 operands, not 2"),
        (HEAD + "%y = Neg(%x) {axis=1}\n}", "line 3: TypeError"),
        (HEAD + "%y = Transpose(%x) {permutation=5}\n}", "line 3: TypeError"),
        (HEAD + "%y = Transpose(%x) {permutation=[1]}\n}", "line 3: Transpose: (1,) is no order"),
        (HEAD + "%y = Transpose(%x) {permutation=[0], permutation=[0]}\n}", "that is new"),
        (HEAD + "%y = Reshape(%x) {shape=[3}\n}", 'line 3: expected "," or "]"'),
        (HEAD + "output y = %x output y = %x\n}", "line 3: expected an output name that is new"),
        (HEAD + "\n\ninput %x : int8[]\n}", 'line 5: graph "g" already has an input "x"'),
        (HEAD + "input %y : float33[3]\n}", "line 3: expected an element type (float16,"),
        (HEAD + "input %y : int8[-3]\n}", "line 3: expected a type without negative sizes"),
        (
            HEAD + "input %y:int8[n] %z = Slice(%y) {starts=[3], stops=[1], steps=[1]} }",
            "line 3: Slice: the result would be int8[-2], but sizes are whole",
        ),
        (
            HEAD + "%y = Pad(%x) {before=[1e999], after=[0]}\n}",
            "line 3: Pad: the result would be float32[inf], but sizes are whole numbers",
        ),
        (HEAD + "input %y : int8[3.5]\n}", 'line 3: expected "," or "]"'),
        (HEAD + "input %y : int8[((n)//0)]\n}", "line 3: expected a divisor above 0, received 0"),
        (HEAD + "input %y : int8[((n)//-2)]\n}", "line 3: expected a divisor above 0"),
        (HEAD + f"input %y : int8[{'*'.join(BOMB)}]\n}}", "line 3: expected a dimension of at"),
        (HEAD + "%y = Constant() {value=int8[](300)}\n}", "line 3: ValueError: 300 is no int8"),
        (HEAD + "%y = Constant() {value=int8[](0.5)}\n}", "line 3: ValueError"),
        (HEAD + "%y = Constant() {value=bool[](1)}\n}", "line 3: ValueError: expected True or"),
        (HEAD + "%y = Constant() {value=int8[2](1)}\n}", "line 3: expected 2 elements of int8[2]"),
        (HEAD + "%y = Constant() {value=int8[n](1)}\n}", "line 3: expected an array's shape"),
        (HEAD + '%y = Constant() {value=int8[2](base64 "AA==")}\n}', "line 3: expected 2 bytes"),
        (HEAD + '%y = Constant() {value=int8[2](base64 "?")}\n}', "line 3: Error"),
        (HEAD + '%y = Constant() {value=bool[1](base64 "Ag==")}\n}', "line 3: expected bytes 0"),
        (HEAD + "%y = Constant() {value=int8[" + "9" * 5000 + "](1)}\n}", "line 3: expected an in"),
        (HEAD + "%y = Pad(%x) {before=" + "[" * 5000, "line 3: expected at most 50 levels"),
        (HEAD + "input %y : int8[" + "((" * 5000, "line 3: expected at most 50 levels"),
        (HEAD + '%y = Neg(%x) @ "a" train.py:x', "line 3: expected a line number"),
    ],
)  # fmt: skip
def test_errors_name_the_line_and_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(text)
    assert message in str(caught.value)


SEEDS = (
    as_text(dense()),
    'graph "g" {\n  input %x : float32[3]\n  %0 = Pad(%x) {before=[1], after=[2], value=-inf}\n'
    '  %1 = Constant() {value=float32[2](base64 "AACAPwAAAEA=")}\n  output y = %0\n}',
    'graph "g" {\n  input %x : int8[2*n, ((n - 3)//2) + 1]\n  %0 = Slice(%x) {starts=[0, 1],'
    " stops=[n, 2], steps=[1, 1]}\n  %1 = Constant() {value=bool[1](True)}\n}",
)
TOKENS = [
    "%", "%0", "{", "}", "[", "]", "(", ")", ",", ":", "=", "@", '"', "'", "#", "\n", " ", "-",
    "//", "graph", "input", "output", "None", "nan", "-1", "0", "1e999", "base64", "\\", "\x00",
    "float32[", "Neg(%x)", 'graph "g" {', "batch", "99999999999999999999",
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_damaged_text_is_a_parse_error_or_a_graph(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(SEEDS))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + data.draw(st.sampled_from(["", *TOKENS])) + text[end:]
    try:
        graph = parse(text)
    except ParseError:
        return
    verify(graph)
    assert as_text(parse(as_text(graph))) == as_text(graph)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(), st.lists(st.sampled_from(TOKENS)).map(" ".join)))
def test_random_text_is_a_parse_error(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


# --------------------------------------------------------------------------------------- programs

COUNTER = """program "count" {
  variable %n -> "n'"
  variable %step
  graph "count" {
    input %x : int32[batch]
    input %n : int32[]
    input %step : int32[]
    %0 = Add(%n, %step) : int32[]
    %1 = Add(%x, %0) : int32[batch]
    output y = %1
    output "n'" = %0
  }
}"""


def test_program() -> None:
    program = parse_program(COUNTER)
    assert program.variables == (Variable("n", "n'"), Variable("step"))
    assert list(program.results) == ["y"]
    assert program.as_text() == COUNTER


def test_program_without_state() -> None:
    program = Program(inner(), name="predict")
    assert parse_program(program.as_text()).as_text() == program.as_text()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("program", "graph", 'line 1: expected "program"'),
        ("variable %step", "variable %steps", 'there is no input "steps" for a variable'),
        ('-> "n\'"', "-> m", 'there is no output "m" for a variable'),
        ('-> "n\'"', "-> y", 'variable "n" is int32[], its new value int32[batch]'),
        ("variable %step", "constant %step", 'line 3: expected "variable"'),
        ("Add(%n, %step)", "Add(%n, %steps)", "line 8: expected a value that is defined above"),
        ("  }\n}", "  }", 'line 12: expected "}"'),
        ("  }\n}", "  }\n}\n}", "line 14: expected the end"),
    ],
)
def test_program_errors(old: str, new: str, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_program(COUNTER.replace(old, new))
    assert message in str(caught.value)
