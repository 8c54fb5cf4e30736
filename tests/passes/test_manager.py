"""Running pipelines: what is printed, dumped and checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from graphc.config import config
from graphc.errors import GraphError
from graphc.ir import Graph, TensorType, as_text, parse
from graphc.ops.elementwise import Exp
from graphc.passes import PREPARE, Decompose, Pipeline, Report, share_common, simplify
from graphc.passes.manager import difference
from graphc.program import parse_program

TEXT = """graph "g" {
  input %x : float32[batch, 3]
  %0 = Neg(%x) : float32[batch, 3]
  %1 = Neg(%0) : float32[batch, 3]
  %2 = Exp(%1) : float32[batch, 3]
  output y = %2
}"""
PROGRAM = """program "train" {
  variable %n -> next
  graph "count" {
    input %n : int32[]
    %0 = Constant() {value=int32[](1)} : int32[]
    %1 = Add(%0, %n) : int32[]
    output next = %1
  }
}"""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Every test sets the knobs it means; they are put back."""
    before = config.debug, config.dump_folder, config.verify
    config.debug, config.dump_folder, config.verify = 0, None, False
    yield
    config.debug, config.dump_folder, config.verify = before


def wrong_values(graph: Graph, report: Report) -> Graph:
    result = Graph(graph.name)
    x = result.input("x", graph.inputs[0].type)
    result.outputs["y"] = Exp()(x) + 1.0
    return result


def wrong_outputs(graph: Graph, report: Report) -> Graph:
    result = Graph(graph.name)
    result.outputs["z"] = result.input("x", graph.inputs[0].type)
    return result


def wrong_type(graph: Graph, report: Report) -> Graph:
    result = simplify(graph, report)
    result.nodes[0].output.type = TensorType((3,), "float32")
    return result


def test_graphs_and_programs() -> None:
    graph = Pipeline("test", (simplify,)).run(parse(TEXT))
    assert [node.op.name for node in graph.nodes] == ["Exp"]
    program = Pipeline("test", (simplify,)).run(parse_program(PROGRAM))
    assert program.name == "train"
    assert "%1 = Add(%n, %0)" in program.as_text()


def test_silence_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    Pipeline("test", PREPARE).run(parse(TEXT))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("level", "shown", "hidden"),
    [
        (1, "test: simplify ", "applied -(-x)"),
        (2, "applied -(-x)", "output y ="),
        (3, "output y = %0", "\0"),
    ],
)
def test_debug_levels(
    level: int, shown: str, hidden: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config.debug = level
    Pipeline("test", (simplify, share_common)).run(parse(TEXT))
    printed = capsys.readouterr().err
    assert "test: simplify " in printed
    assert " ms, 3 -> 1 nodes" in printed
    assert "test: share_common " in printed
    assert shown in printed
    assert hidden not in printed


def test_dumps_are_numbered_and_can_be_read_back(tmp_path: Path) -> None:
    config.dump_folder = tmp_path / "new folder"
    Pipeline("test", (Decompose(), simplify)).run(parse(TEXT))
    Pipeline("again", (simplify,)).run(parse_program(PROGRAM))
    files = sorted(config.dump_folder.iterdir())
    assert [file.name for file in files] == [
        "0000-g-test-before.txt",
        "0001-g-test-decompose.txt",
        "0002-g-test-simplify.txt",
        "0003-train-again-before.txt",
        "0004-train-again-simplify.txt",
    ]
    texts = [file.read_text(encoding="utf-8") for file in files]
    assert texts[0] == TEXT + "\n"
    assert "# applied -(-x)" in texts[2]
    assert len(parse(texts[2]).nodes) == 1
    assert parse_program(texts[3]).as_text() == PROGRAM
    assert parse_program(texts[4]).name == "train"


def test_names_in_dumps_are_safe(tmp_path: Path) -> None:
    config.dump_folder = tmp_path / "dumps"
    graph = Graph("../../up \0")
    Pipeline("a/b", ()).run(graph)
    (file,) = config.dump_folder.iterdir()
    assert as_text(parse(file.read_text(encoding="utf-8"))) == as_text(graph)


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    config.dump_folder = tmp_path / "file"
    with pytest.raises(OSError, match="config.dump_folder"):
        Pipeline("test", ()).run(Graph("g"))


def test_verification_accepts_good_passes() -> None:
    config.verify = True
    for text in (
        TEXT,
        'graph "odd sizes" { input %x : float32[2*batch + 1, ((time - 9)//2)]'
        " input %sizes : float32[batch, time] output x = %x }",
        'graph "every type" { input %a : bool[2] input %b : uint8[0] input %c : bfloat16[]'
        " input %d : int64[1, 1] output a = %a output b = %b output c = %c output d = %d }",
    ):
        Pipeline("test", PREPARE).run(parse(text))


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (wrong_values, 'test: wrong_values changed output "y": '),
        (wrong_outputs, r"test: wrong_outputs changed the outputs \['y'\] to \['z'\]"),
        (
            wrong_type,
            r'test: wrong_type broke the graph: graph "g": Exp infers float32\[batch, 3\]',
        ),
    ],
)
def test_verification_finds_wrong_passes(transform, message: str) -> None:
    config.verify = True
    with pytest.raises(GraphError, match=message):
        Pipeline("test", (simplify, transform)).run(parse(TEXT))


def test_wrong_passes_go_unnoticed_without_verification() -> None:
    Pipeline("test", (wrong_values,)).run(parse(TEXT))


def test_sizes_that_fit_nothing() -> None:
    config.verify = True
    graph = parse('graph "g" { input %x : float32[batch - 1000] output x = %x }')
    with pytest.raises(GraphError, match="no size of .'batch'. that was tried fits"):
        Pipeline("test", ()).run(graph)


@pytest.mark.parametrize(
    ("expected", "received", "problem"),
    [
        ([1.0, 2.0], [1.0, 2.0], ""),
        ([1.0, 2.0], [1.0, 2.00001], ""),
        ([1.0, 2.0], [1.0, 2.1], "2.0 became 2.1 at [1]"),
        ([np.nan, np.inf], [np.nan, np.inf], ""),
        ([np.nan], [1.0], "nan became 1.0 at [0]"),
        ([np.inf], [-np.inf], "inf became -inf at [0]"),
        ([0.0], [-0.0], ""),
        ([1e6, 0.0], [1e6, 1e-3], ""),
        ([[1.0]], [1.0], "float32[1, 1] became float32[1]"),
        ([], [], ""),
    ],
)
def test_difference(expected: list, received: list, problem: str) -> None:
    arrays = [np.array(values, np.float32) for values in (expected, received)]
    assert difference(*arrays) == problem


def test_difference_of_other_types() -> None:
    assert difference(np.array([1, 2]), np.array([1, 3])) == "2 became 3 at [1]"
    assert difference(np.array(True), np.array(False)) == "True became False at []"
    assert difference(np.array(1, np.int32), np.array(1, np.int64)) == "int32[] became int64[]"
