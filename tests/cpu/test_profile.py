"""The profile: a count and a time for each kernel, and the same numbers as without it."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from graphc.config import config
from graphc.reference import evaluate
from graphc.runtime.cpu import profile
from graphc.runtime.cpu.native import load
from graphc.runtime.cpu.program import CpuExecutable
from graphc.runtime.cpu.target import Target
from tests.cpu.programs import training_program


@pytest.fixture
def profiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "profile", True)
    monkeypatch.setattr(config, "cache_folder", None)


def test_kernels_are_counted_and_results_are_the_same(
    profiling: None, capsys: pytest.CaptureFixture[str]
) -> None:
    program = training_program((7, 40, 3), "sgd")
    rng = np.random.default_rng(0)

    def array(type_: object) -> np.ndarray:
        shape = [6 if not isinstance(size, int) else size for size in type_.shape]  # type: ignore
        if type_.dtype.startswith("int"):  # type: ignore
            return rng.integers(0, 3, shape).astype(type_.dtype)  # type: ignore
        return rng.normal(size=shape).astype(type_.dtype)  # type: ignore

    arrays = {value.name: array(value.type) for value in program.graph.inputs}
    names = {variable.name for variable in program.variables}
    state = {name: x.copy() for name, x in arrays.items() if name in names}
    data = {name: x for name, x in arrays.items() if name not in names}
    executable = CpuExecutable(program, threads=1)
    expected = evaluate(program.graph, arrays)
    for name, result in executable.run(data, state).items():
        np.testing.assert_allclose(result, expected[name], rtol=1e-5, atol=1e-6)
    executable.run(data, state)
    kernels = executable.manifest.kernels
    del executable
    gc.collect()
    shown = capsys.readouterr().err
    assert f"profile of {program.name}" in shown
    lines = [line.split() for line in shown.splitlines()[2:]]
    assert sorted(line[5] for line in lines) == sorted(kernels)
    assert {line[1] for line in lines} == {"2"}


def test_counters_start_anew(profiling: None) -> None:
    library = load(training_program((3, 4, 1), "sgd"), Target.host()).library
    counters = profile.Profile(library)
    assert counters.times() == []
    counters.clear()
    assert counters.times() == []


def test_without_it_nothing_is_counted() -> None:
    library = load(training_program((3, 4, 1), "sgd"), Target.host()).library
    with pytest.raises(KeyError, match="profile"):
        profile.Profile(library)


def test_table_sorts_by_what_calls_take() -> None:
    times = [
        profile.KernelTime("k1", 10, 2e-6, 2.5e-6, 4000),
        profile.KernelTime("k0", 1, 3e-6, 3e-6, 0),
    ]
    assert times[0].seconds == pytest.approx(2e-5)
    text = profile.table("a title", times).splitlines()
    assert text[0] == "a title"
    assert text[2].split() == ["87.0%", "10", "2.00", "2.50", "2.0", "k1"]
