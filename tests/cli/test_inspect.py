"""``graphc inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphc import keras
from graphc.program import parse_program
from graphc.runtime.cpu.inspect import stages
from tests.cli.conftest import Run, small_model

layers = keras.layers


@pytest.mark.parametrize("suffix", ["keras", "h5", "json", "yaml"])
def test_a_model(graphc: Run, files: Path, suffix: str) -> None:
    document = graphc("inspect", files / f"small.{suffix}", "--json", "--batch", 16).document
    assert document["bytes"] == (files / f"small.{suffix}").stat().st_size
    assert (document["class"], document["name"]) == ("Sequential", "small")
    assert document["parameters"] == document["trainable_parameters"] == 2970
    found = {layer["name"]: layer for layer in document["layers"]}
    assert [layer["class"] for layer in found.values()] == ["Conv2D", "Flatten", "Dense"]
    assert found["edges"]["output_shape"] == [None, 6, 6, 8]
    assert [layer["parameters"] for layer in found.values()] == [80, 0, 2890]
    assert document["compiled"]["optimizer"] == "Adam"
    predict, train = document["programs"]
    assert predict["sizes"] == train["sizes"] == {"batch": 16}
    # The convolution is 6x6 places by 9 pixels by 8 filters, the dense layer 288x10.
    assert predict["multiply_adds"] == 16 * (36 * 9 * 8 + 288 * 10)
    assert predict["state_bytes"] == 4 * 2970
    # Adam keeps two more numbers for each weight.
    assert train["state_bytes"] >= 3 * 4 * 2970
    assert 0 < len(predict["kernels"]) <= predict["nodes"]
    assert predict["arena_bytes"] >= 16 * 36 * 8 * 4


def test_memory_grows_with_the_batch(graphc: Run, files: Path) -> None:
    def arena(batch: int) -> int:
        document = graphc("inspect", files / "small.keras", "--json", "--batch", batch).document
        return document["programs"][0]["arena_bytes"]

    assert arena(64) > arena(1)


def test_what_people_see(graphc: Run, files: Path) -> None:
    text = graphc("inspect", files / "small.keras").out
    for part in (
        'Sequential "small"',
        "2,970",
        "(None, 6, 6, 8)",
        "Adam, loss sparse_categorical_crossentropy",
        'Program "predict" at batch 32',
        'Program "train" at batch 32',
        "Conv 1",
    ):
        assert part in text


def test_frozen_parameters(graphc: Run, tmp_path: Path) -> None:
    model = small_model(compiled=False)
    model.layers[0].trainable = False
    model.save(tmp_path / "frozen.keras")
    document = graphc("inspect", tmp_path / "frozen.keras", "--json").document
    assert (document["parameters"], document["trainable_parameters"]) == (2970, 2890)
    assert [layer["trainable"] for layer in document["layers"]] == [False, True, True]


def test_a_model_in_a_model_with_two_inputs(graphc: Run, tmp_path: Path) -> None:
    inner = keras.Sequential([keras.Input((5,)), layers.Dense(4, name="deep")], name="inner")
    a, b = keras.Input((5,), name="a"), keras.Input((3,), name="b")
    joined = layers.Concatenate(name="join")([inner(a), b])
    outputs = [layers.Dense(1, name="one")(joined), layers.Dense(2, name="two")(joined)]
    model = keras.Model([a, b], outputs)
    model.compile("sgd", ["mse", "mae"])
    model.save(tmp_path / "nested.keras")
    document = graphc("inspect", tmp_path / "nested.keras", "--json").document
    depths = {layer["name"]: layer["depth"] for layer in document["layers"]}
    assert (depths["inner"], depths["deep"], depths["join"]) == (0, 1, 0)
    assert document["compiled"]["loss"] == ["mse", "mae"]
    predict, train = document["programs"]
    assert len(predict["inputs"]) == len(predict["results"]) == 2
    assert len(train["inputs"]) == 4
    assert "    deep" not in graphc("inspect", tmp_path / "nested.keras").out
    assert "\n  deep" in graphc("inspect", tmp_path / "nested.keras").out


def test_an_open_axis_and_indices(graphc: Run, tmp_path: Path) -> None:
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(20, 4),
            layers.GlobalAveragePooling1D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("sgd", "binary_crossentropy")
    model.save(tmp_path / "words.keras")
    arguments = ("inspect", tmp_path / "words.keras", "--json", "--size")
    document = graphc(*arguments, "time=7").document
    predict, train = document["programs"]
    assert predict["sizes"]["batch"] == 32
    assert train["inputs"]["x"] == "int32[batch, 7]"


# ------------------------------------------------------------------------------------------ code


def test_the_graph_reads_back(graphc: Run, files: Path, tmp_path: Path) -> None:
    result = graphc("inspect", files / "small.keras", "--program", "train", "--ir")
    program = parse_program(result.out)
    assert program.name == "train"
    assert "@" in result.out and "graphc/cli" not in result.out
    (tmp_path / "dump.txt").write_text(result.out)
    assert graphc("inspect", tmp_path / "dump.txt", "--ir").out == result.out


def test_the_graph_after_each_pass(graphc: Run, files: Path) -> None:
    document = graphc("inspect", files / "program.txt", "--passes", "--json").document
    program = parse_program((files / "program.txt").read_text())
    names = [stage.name for stage in stages(program)]
    assert [stage["name"] for stage in document["passes"]] == names
    assert names[0] == "simplify" and names[-2:] == ["fuse", "drop_barriers"]
    for stage in document["passes"]:
        assert parse_program(stage["program"]).name == "train"
    last = document["passes"][names.index("fuse")]
    assert any(decision.startswith("applied fusion of") for decision in last["decisions"])
    refused = [text for text in last["decisions"] if text.startswith("refused fusion of")]
    assert refused and all(": " in text for text in refused)  # with the reason
    assert "Fused" in last["program"]


def test_passes_as_text_read_back_too(graphc: Run, files: Path) -> None:
    text = graphc("inspect", files / "program.txt", "--passes").out
    assert "\n# simplify: " in text and "\n# fuse: " in text
    last = text[text.index("# drop_barriers: ") :]
    assert parse_program(last).name == "train"


def test_machine_code(graphc: Run, files: Path) -> None:
    text = graphc("inspect", files / "program.txt", "--llvm", "--asm").out
    assert 'target triple = "' in text and "define " in text
    assert "\n\t.globl\t" in text
    document = graphc("inspect", files / "program.txt", "--llvm", "--asm", "--json").document
    assert "define " in document["llvm"] and ".globl" in document["asm"]
    assert "ir" not in document


def test_a_graph_without_a_program(graphc: Run, tmp_path: Path) -> None:
    text = """
    # what somebody wrote by hand
    graph "double" {
      input %x : float32[batch, 3]
      %y = Add(%x, %x)
      output y = %y
    }
    """
    (tmp_path / "double.txt").write_text(text)
    document = graphc("inspect", tmp_path / "double.txt", "--json", "--batch", 5).document
    (program,) = document["programs"]
    assert program["name"] == "double"
    assert program["operations"] == {"Add": 1}
    assert (program["state_bytes"], program["multiply_adds"]) == (0, 0)


def test_training_needs_a_compiled_model(graphc: Run, files: Path) -> None:
    result = graphc("inspect", files / "uncompiled.keras", "--program", "train", "--ir")
    assert (result.code, result.out) == (1, "")
    assert "was not compiled" in result.err and "uncompiled.keras" in result.err
    document = graphc("inspect", files / "uncompiled.keras", "--json").document
    assert document["compiled"] is None
    assert [program["name"] for program in document["programs"]] == ["predict"]


# ------------------------------------------------------------------------------------------ ONNX


def test_an_onnx_file(graphc: Run, files: Path) -> None:
    document = graphc("inspect", files / "small.onnx", "--json").document
    assert document["inputs"] and document["outputs"]
    assert list(document["inputs"].values()) == ["float32[batch, 8, 8, 1]"]
    assert list(document["outputs"].values()) == ["float32[batch, 10]"]
    assert document["opsets"] == {"": 17}
    assert document["operations"]["Conv"] == 1
    weights = {tensor["name"]: tensor for tensor in document["tensors"]}
    assert weights["small/classes/kernel"]["shape"] == [288, 10]
    assert weights["small/classes/kernel"]["bytes"] == 4 * 2880
    text = graphc("inspect", files / "small.onnx").out
    assert "written by" in text and "small/classes/kernel" in text


def test_an_onnx_file_of_others(graphc: Run, tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    branch = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["z"])],
        "branch",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
    )
    external = numpy_helper.from_array(np.zeros((2, 3), np.float64), "far")
    external.ClearField("raw_data")
    external.data_location = TensorProto.EXTERNAL
    entry = external.external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    graph = helper.make_graph(
        [
            helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch),
            helper.make_node("Custom", ["y"], ["w"], domain="my.ops"),
        ],
        "others",
        [
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", None, 3]),
            helper.make_tensor_value_info("far", TensorProto.DOUBLE, [2, 3]),
        ],
        [helper.make_tensor_value_info("w", TensorProto.FLOAT, None)],
        [external],
    )
    onnx.save(helper.make_model(graph, producer_name="somebody"), tmp_path / "others.onnx")
    document = graphc("inspect", tmp_path / "others.onnx", "--json").document
    assert document["operations"] == {"Identity": 2, "If": 1, "my.ops.Custom": 1}
    assert document["inputs"] == {"c": "bool[]", "x": "float32[n, ?, 3]"}
    assert document["outputs"] == {"w": "float32[...]"}
    assert document["producer"] == "somebody"
    (tensor,) = document["tensors"]
    assert (tensor["dtype"], tensor["bytes"], tensor["external"]) == ("float64", 48, "weights.bin")
    assert "weights.bin" in graphc("inspect", tmp_path / "others.onnx").out


@pytest.mark.parametrize("view", ["--ir", "--passes", "--llvm", "--asm"])
def test_an_onnx_file_has_no_code(graphc: Run, files: Path, view: str) -> None:
    result = graphc("inspect", files / "small.onnx", view)
    assert result.code == 2
    assert f"{view} shows what graphc compiles" in result.err


# ------------------------------------------------------------------------------------- bad files


def damaged(files: Path) -> dict[str, Any]:
    """Names and contents of files that hold nothing good."""
    onnx, archive = (files / "small.onnx").read_bytes(), (files / "small.keras").read_bytes()
    return {
        "empty.keras": b"",
        "empty.onnx": b"",
        "empty.txt": b"",
        "text.keras": b"hello",
        "text.h5": b"hello",
        "text.onnx": b"hello, this is no protocol buffer",
        "almost.onnx": b"\x08\x08",
        "half.onnx": onnx[: len(onnx) // 2],
        "half.keras": archive[: len(archive) // 2],
        "list.json": b"[1, 2]",
        "half.json": b'{"class_name": "Seq',
        "code.yaml": b"!!python/object/apply:os.system [true]",
        "other.yaml": b"a: 1",
        "latin.txt": b"gr\xe4ph",
        "prose.txt": b"once upon a time",
        "half.txt": (files / "program.txt").read_bytes()[:300],
        "unknown.txt": b'graph "g" { input %x : float32[]  %y = Explode(%x)  output y = %y }',
    }


@pytest.mark.parametrize(
    "name",
    [
        *("empty.keras", "empty.onnx", "empty.txt", "text.keras", "text.h5", "text.onnx"),
        *("almost.onnx", "half.onnx", "half.keras", "list.json", "half.json", "code.yaml"),
        *("other.yaml", "latin.txt", "prose.txt", "half.txt", "unknown.txt"),
    ],
)
def test_a_bad_file_is_one_line(graphc: Run, files: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(damaged(files)[name])
    result = graphc("inspect", path)
    assert (result.code, result.out) == (1, "")
    assert result.err.count("\n") == 1
    assert "internal error" not in result.err
    assert name in result.err


def test_every_kind_of_damage_is_tested(files: Path) -> None:
    assert len(damaged(files)) == 17


def test_a_folder_and_an_unknown_suffix(graphc: Run, tmp_path: Path) -> None:
    result = graphc("inspect", tmp_path)
    assert result.code == 1 and "is a directory, not a file" in result.err
    (tmp_path / "model.pt").write_bytes(b"x")
    result = graphc("inspect", tmp_path / "model.pt")
    assert result.code == 2 and "ends in none of .keras" in result.err
