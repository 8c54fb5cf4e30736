"""What the verbs are made of: made-up data, work and memory of programs, the machine's peak."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from graphc import keras
from graphc.cli.programs import model_program
from graphc.ir import Graph, TensorType, symbol
from graphc.keras.sample import draw, sample_rows
from graphc.ops.elementwise import Exp
from graphc.ops.linalg import Einsum
from graphc.program import Program, run_reference
from graphc.runtime.cpu.inspect import llvm_text, multiply_adds, sizes, stages, state_bytes
from graphc.runtime.cpu.peak import best_time, peak
from graphc.runtime.cpu.target import Target
from tests.cli.conftest import small_model
from tests.cpu.programs import training_program

layers = keras.layers


# --------------------------------------------------------------------------------- made-up data


@pytest.mark.parametrize(
    ("loss", "shape", "dtype"),
    [
        ("mse", (6, 4), "float32"),
        ("categorical_crossentropy", (6, 4), "float32"),
        ("sparse_categorical_crossentropy", (6,), "int32"),
        (keras.losses.SparseCategoricalCrossentropy(), (6,), "int32"),
        (keras.losses.sparse_categorical_crossentropy, (6,), "int32"),
        (["mae"], (6, 4), "float32"),
        (lambda y, p: keras.ops.mean(y - p), (6, 4), "float32"),
    ],
)
def test_targets_suit_the_loss(loss: Any, shape: tuple[int, ...], dtype: str) -> None:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, activation="softmax")])
    model.compile("sgd", loss)
    rows = sample_rows(model, {"batch": 6})
    assert rows.x.shape == (6, 3) and rows.x.dtype == np.float32
    target = np.asarray(rows.y)
    # A vector of targets may come as a column.
    assert (target.shape, target.dtype) in ((shape, dtype), ((*shape, 1), dtype))
    assert target.min() >= 0 and target.max() < 4
    model.train_on_batch(rows.x, rows.y)


def test_the_same_every_time() -> None:
    model = small_model()
    first, second = (sample_rows(model, {}) for _ in range(2))
    assert len(first.x) == 32
    np.testing.assert_array_equal(first.x, second.x)
    np.testing.assert_array_equal(first.y, second.y)


def test_indices_stay_in_their_table() -> None:
    model = keras.Sequential([keras.Input((50,), dtype="int32"), layers.Embedding(3, 2)])
    rows = sample_rows(model, {"batch": 20}, targets=False)
    assert rows.y is None
    assert rows.x.dtype == np.int32
    assert set(np.unique(rows.x)) == {0, 1, 2}


def test_structures_of_inputs_and_outputs() -> None:
    a, b = keras.Input((2,), name="a"), keras.Input((None, 3), name="b")
    y = layers.Concatenate()([a, layers.GlobalAveragePooling1D()(b)])
    model = keras.Model({"a": a, "b": b}, [layers.Dense(1)(y), layers.Dense(4)(y)])
    model.compile("sgd", ["mse", "sparse_categorical_crossentropy"])
    rows = sample_rows(model, {"batch": 5, "time": 7})
    assert {name: array.shape for name, array in rows.x.items()} == {"a": (5, 2), "b": (5, 7, 3)}
    assert rows.y[0].shape == (5, 1)
    assert len(rows.y[1]) == 5 and rows.y[1].dtype == np.int32
    prepared = model_program(model, "train", {"batch": 5, "time": 7})
    results, _ = run_reference(prepared.program, prepared.data, prepared.state)
    assert np.isfinite(results["loss"])


def test_without_a_loss_there_are_no_targets() -> None:
    with pytest.raises(ValueError, match='"small" was not compiled'):
        sample_rows(small_model(compiled=False), {})


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint64", "bool"])
@pytest.mark.parametrize("size", [0, 1, 5])
def test_arrays_of_every_kind(dtype: str, size: int) -> None:
    type = TensorType((symbol("n"), 2), dtype)
    array = draw(np.random.default_rng(0), type, {"n": size})
    assert (array.shape, array.dtype) == ((size, 2), np.dtype(dtype))


def test_a_prepared_program_has_copies_of_the_weights() -> None:
    model = small_model()
    prepared = model_program(model, "train", {})
    before = model.get_weights()
    for array in prepared.state.values():
        array.fill(0)
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


# ------------------------------------------------------------------------------ work and memory


def test_work_of_a_contraction() -> None:
    graph = Graph("g")
    batch = symbol("batch")
    x = graph.input("x", TensorType((batch, 7), "float32"))
    w = graph.input("w", TensorType((7, 3), "float32"))
    wide = graph.input("wide", TensorType((batch, 2), "float64"))
    graph.outputs = {"y": Exp()(Einsum("bi,io->bo")(x, w)), "z": Einsum("bi,bj->ij")(wide, wide)}
    program = Program(graph)
    assert multiply_adds(program, {"batch": 10}) == 10 * 7 * 3 + 10 * 2 * 2
    assert multiply_adds(program, {"batch": 10}, ("float32",)) == 10 * 7 * 3
    assert multiply_adds(program, {"batch": 0}) == 0


def test_work_of_a_loop_counts_for_each_step() -> None:
    model = keras.Sequential([keras.Input((None, 5)), layers.LSTM(8)])
    sizes_of_run = {"batch": 4, "time": 9}
    program = model_program(model, "predict", sizes_of_run).program
    bindings = {name: sizes_of_run[name] for name in program.graph.symbols()}
    # Four gates, from the input and from the state.
    assert multiply_adds(program, bindings) == 4 * 9 * (5 * 32 + 8 * 32)


def test_state() -> None:
    program = training_program((12, 8, 3), "adam")
    weights = 12 * 8 + 8 + 8 * 3 + 3
    assert state_bytes(program, {"batch": 4}) == 3 * 4 * weights
    assert state_bytes(Program(program.graph), {"batch": 4}) == 0


def test_kernels_and_arena() -> None:
    program = training_program((12, 8, 3))
    small, large = (sizes(program, {"batch": batch}) for batch in (1, 512))
    assert small.kernels == large.kernels != ()
    # The hidden layer's output lives from the forward to the backward pass.
    assert large.arena_bytes >= 4 * 512 * 8
    assert small.arena_bytes < large.arena_bytes


def test_each_stage_means_the_same() -> None:
    program = training_program((5, 4, 3))
    rng = np.random.default_rng(0)
    arrays = {value.name: draw(rng, value.type, {"batch": 6}) for value in program.graph.inputs}
    state = {variable.name: arrays[variable.name] for variable in program.variables}
    data = {value.name: arrays[value.name] for value in program.data}
    expected, _ = run_reference(program, data, state)
    for stage in stages(program):
        results, _ = run_reference(stage.program, data, state)
        np.testing.assert_allclose(results["loss"], expected["loss"], 1e-5, err_msg=stage.name)


def test_code_for_another_processor() -> None:
    program = training_program((5, 4, 3))
    assert "<8 x float>" in llvm_text(program, Target.x86_64_v3())
    assert "<16 x float>" not in llvm_text(program, Target.x86_64_v3())


# ------------------------------------------------------------------------------------------ peak


def test_the_best_time_is_that_of_one_call() -> None:
    assert 0.002 <= best_time(lambda: time.sleep(0.002), 0.02) < 1.0


def test_vectors_are_what_the_peak_is_about() -> None:
    host = Target.host()
    # Even a slow machine does more than a million multiply-adds in a second.
    assert peak(host, 0.05) > 1e6
