"""Calls of compiled programs: what is checked once must not be taken for granted afterwards."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from graphc.errors import DTypeError, GraphError, ShapeError
from graphc.program import Program, run_reference
from graphc.runtime.cpu.program import CpuExecutable
from graphc.runtime.reference import ReferenceExecutable
from tests.cpu.programs import assert_equal, copied, inputs_for, training_program

PROGRAM = training_program((3, 4, 4, 2), "adam")
LARGE = training_program((70, 90, 33, 10))


@cache
def executable() -> CpuExecutable:
    return CpuExecutable(PROGRAM, 1)


def test_calls_one_after_the_other() -> None:
    data, state = inputs_for(PROGRAM, {"batch": 5})
    expected_state = copied(state)
    for _ in range(4):
        expected, expected_state = run_reference(PROGRAM, data, expected_state)
        assert_equal(executable().run(data, state), expected, 1e-4)
    assert_equal({name: state[name] for name in expected_state}, expected_state, 1e-4)


def test_results_of_a_call_are_not_those_of_the_next() -> None:
    data, state = inputs_for(PROGRAM, {"batch": 5})
    first = executable().run(data, state)
    kept = copied(first)
    second = executable().run(data, state)
    assert_equal(first, kept)
    assert not np.array_equal(first["logits"], second["logits"])


def test_another_state_is_noticed() -> None:
    data, state = inputs_for(PROGRAM, {"batch": 5})
    outcomes = []
    for _ in range(2):  # the same dict with new arrays, and a new dict
        fresh = copied(state)
        outcomes.append(executable().run(data, fresh)["logits"])
        for name, array in copied(state).items():
            fresh[name] = array
        outcomes.append(executable().run(data, fresh)["logits"])
    for other in outcomes[1:]:
        np.testing.assert_array_equal(other, outcomes[0])


def test_what_no_longer_fits_is_refused_after_calls_that_did() -> None:
    data, state = inputs_for(PROGRAM, {"batch": 5})
    run = executable().run
    expected = run(data, copied(state))
    for _ in range(2):
        with pytest.raises(DTypeError, match="float32, received float64"):
            run({**data, "x": data["x"].astype(np.float64)}, state)
        with pytest.raises(ShapeError, match="needs size 3"):
            run({**data, "x": np.zeros((5, 2), np.float32)}, state)
        with pytest.raises(ShapeError):
            run({**data, "x": np.zeros((4, 3), np.float32)}, state)
        with pytest.raises(GraphError, match="no array for x"):
            run({"targets": data["targets"]}, state)
        with pytest.raises(GraphError, match="no array for kernel0"):
            run(data, {name: array for name, array in state.items() if name != "kernel0"})
        with pytest.raises(ShapeError):
            run(data, {**state, "kernel0": np.zeros((3, 5), np.float32)})
        read_only = state["kernel0"].copy()
        read_only.flags.writeable = False
        with pytest.raises(ShapeError, match="writable"):
            run(data, {**state, "kernel0": read_only})
    assert_equal(run(data, copied(state)), expected)


def test_data_of_any_layout() -> None:
    data, state = inputs_for(PROGRAM, {"batch": 6})
    expected = executable().run(data, copied(state))
    x = data["x"]
    wide = np.zeros((6, 7), np.float32)
    wide[:, ::3] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    for given in (np.asfortranarray(x), wide[:, ::3], read_only, x.view(np.matrix), x.tolist()):
        if isinstance(given, list):
            with pytest.raises(DTypeError):
                executable().run({**data, "x": given}, copied(state))
            continue
        assert_equal(executable().run({**data, "x": given}, copied(state)), expected)


def test_steps_and_runs_of_steps_in_turn() -> None:
    data, state = inputs_for(PROGRAM, {"batch": 8})
    reference = ReferenceExecutable(PROGRAM)
    expected = copied(state)
    order = np.arange(8)[::-1].copy()
    for batch_size, rows in ((8, None), (3, order), (8, order), (5, None), (3, None)):
        some = {name: array[:5] for name, array in data.items()}
        for run, arrays in ((executable(), state), (reference, expected)):
            run.run(data, arrays)
            run.run_steps(data, arrays, batch_size, -(-8 // batch_size), 0, rows)
            run.run(some, arrays)
    assert_equal(state, expected, 1e-3)


@pytest.mark.parametrize("batch_size", (0, -1))
def test_batches_without_rows_are_refused(batch_size: int) -> None:
    data, state = inputs_for(PROGRAM, {"batch": 8})
    with pytest.raises(ShapeError, match="batch_size of at least 1"):
        executable().run_steps(data, state, batch_size, 1)


@pytest.mark.parametrize("threads", (1, 2))
@pytest.mark.parametrize("program", (PROGRAM, LARGE), ids=("small", "large"))
@pytest.mark.parametrize("backend", ("cpu", "reference"))
def test_bound_calls_work_on_what_the_arrays_hold(
    program: Program, threads: int, backend: str
) -> None:
    bound = CpuExecutable(program, threads) if backend == "cpu" else ReferenceExecutable(program)
    data, state = inputs_for(program, {"batch": 40})
    strided = np.repeat(data["x"], 2, axis=1)
    given = strided[:, ::2]
    expected_state = copied(state)
    call = bound.bind({**data, "x": given}, state)
    for seed in range(3):
        new, _ = inputs_for(program, {"batch": 40}, seed)
        given[...], data["targets"][...] = new["x"], new["targets"]
        expected, expected_state = run_reference(program, new, expected_state)
        assert_equal(call(), expected, 1e-3)
    assert_equal({name: state[name] for name in expected_state}, expected_state, 1e-3)


def test_bound_calls_have_memory_of_their_own() -> None:
    data, state = inputs_for(PROGRAM, {"batch": 5})
    first, second = copied(state), copied(state)
    calls = [executable().bind(data, arrays) for arrays in (first, second)]
    outcomes = [call() for call in calls]
    assert_equal(outcomes[0], outcomes[1])
    kept = copied(outcomes[0])
    calls[1]()
    assert_equal(outcomes[0], kept)
    executable().run(data, state)
    assert_equal(outcomes[0], kept)


def test_a_bound_call_outlives_what_it_was_made_from() -> None:
    data, state = inputs_for(PROGRAM, {"batch": 5})
    expected = executable().run(data, copied(state))
    call = CpuExecutable(PROGRAM, 1).bind({n: a.copy() for n, a in data.items()}, copied(state))
    assert_equal(call(), expected)
    with pytest.raises(ShapeError):
        executable().bind({**data, "x": np.zeros((4, 3), np.float32)}, state)


def test_an_interrupted_run_leaves_the_sizes_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    data, state = inputs_for(PROGRAM, {"batch": 8})
    own = CpuExecutable(PROGRAM, 1)
    expected = own.run(data, copied(state))
    call = own._call

    def interrupted(function: object, context: object) -> None:
        call(function, context)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(own, "_call", interrupted)
    with pytest.raises(KeyboardInterrupt):
        own.run_steps(data, copied(state), 8, 1)
    with pytest.raises(KeyboardInterrupt):
        own.run_steps(data, copied(state), 5, 2)  # ends with a batch of 3
    monkeypatch.undo()
    assert_equal(own.run(data, copied(state)), expected)
    five = {name: array[:5] for name, array in data.items()}
    assert own.run(five, copied(state))["logits"].shape == (5, 2)
