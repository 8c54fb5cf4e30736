"""The ONNX Runtime backend's executable.

State lives in two sets of buffers: a step reads one and writes the other, and the next step does it
the other way round. Reading and writing the same buffer in one step gives wrong results, since
ONNX Runtime is free to write a new value before the last reader of the old one has run.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from graphc.errors import DTypeError
from graphc.ir import numpy_dtype
from graphc.program import Program
from graphc.reference import bind
from graphc.runtime.executable import BATCH, Executable
from graphc.runtime.ort.providers import CUDA, explain
from graphc.runtime.ort.session import Options, Session, place
from graphc.runtime.state import note_change
from graphc.shuffle import Shuffle

Arrays = Mapping[str, np.ndarray]


class OrtExecutable(Executable):
    """A program in ONNX Runtime.

    Args:
        program: What to run.
        options: The device, its threads and its precision.

    Raises:
        UnsupportedError: ONNX Runtime is not installed, or lacks something that the program needs.
        ValueError: The device is unknown, or does not work.
    """

    def __init__(self, program: Program, options: Options | None = None):
        options = options or Options()
        self.options = replace(options, device=_device(options.device))
        super().__init__(program, self.options.device)
        for value in program.graph.inputs:
            if value.dtype == "bfloat16":
                raise DTypeError(
                    f'input "{value.name}" is bfloat16, which the ONNX Runtime backend does not '
                    f"take: use float16 or float32, or another backend"
                )
        self._sessions: dict[tuple[tuple[str, int], ...], Session] = {}
        types = {v.name: program.type(v.name) for v in program.variables if v.update is not None}
        self._spare = {
            name: np.empty(type.shape, numpy_dtype(type.dtype)) for name, type in types.items()
        }
        if self.options.device == "cpu":
            self._session({})

    def run(self, data: Arrays, state: Arrays) -> dict[str, np.ndarray]:
        sizes = bind(self.program.graph, {**data, **state})
        self.check_sizes(sizes)
        session = self._session(sizes)
        buffers = _State(self.options.device, state, self._spare)
        results = {name: session.allocate(name, sizes) for name in self.program.results}
        _Stepper(session, buffers).step(data, results)
        buffers.bring_home()
        return results

    def run_steps(
        self,
        data: Arrays,
        state: Arrays,
        batch_size: int,
        steps: int,
        begin: int = 0,
        order: np.ndarray | Shuffle | None = None,
        results: Arrays | None = None,
    ) -> dict[str, np.ndarray]:
        sizes = bind(self.program.graph, {**data, **state})
        self.check_sizes(sizes)
        by_row, in_rows = self.row_inputs(), self.row_results()
        count = len(data[by_row[0]]) if by_row else (begin + steps) * batch_size
        buffers = _State(self.options.device, state, self._spare)
        steppers: dict[int, _Stepper] = {}
        places: dict[str, np.ndarray] = {}
        for step in range(begin, begin + steps):
            first = step * batch_size
            rows = slice(first, min(first + batch_size, count))
            size = max(rows.stop - rows.start, 0)
            if size not in steppers:
                sizes = {**sizes, BATCH: size}
                steppers[size] = _Stepper(self._session(sizes), buffers)
                names = self.program.results
                places = {name: steppers[size].session.allocate(name, sizes) for name in names}
            chosen = rows if order is None else order[rows]
            batch = {name: data[name][chosen] if name in by_row else data[name] for name in data}
            if results:
                places.update({name: results[name][rows] for name in in_rows if name in results})
            steppers[size].step(batch, places)
        buffers.bring_home()
        return {name: array for name, array in places.items() if name not in in_rows}

    def _session(self, sizes: Mapping[str, int]) -> Session:
        """The session for data of some sizes: on the CPU one for all."""
        if self.options.device == "cpu":
            sizes = {}
        key = tuple(sorted(sizes.items()))
        if key not in self._sessions:
            # A GPU computes no sizes, so that they are known in what it runs.
            program = self.program.with_graph(self.program.graph.substitute(sizes))
            self._sessions[key] = Session(program, self.options)
        return self._sessions[key]


class _State:
    """The state during some steps: two sets of values on the device.

    Args:
        device: Where they are.
        state: The caller's arrays.
        spare: Arrays like those of them that the program updates.
    """

    def __init__(self, device: str, state: Arrays, spare: Arrays):
        self._arrays = state
        self._spare = spare
        self._device = device
        own = {name: place(array, device) for name, array in state.items()}
        self.sets = (own, {**own, **{n: place(array, device) for n, array in spare.items()}})
        #: Which of the sets holds the state now.
        self.turn = 0

    def bring_home(self) -> None:
        """Write the state into the caller's arrays; on the CPU one set is made of these."""
        if self._spare:
            note_change()
        if self._device == "cpu" and self.turn == 0:
            return
        for name in self._spare:
            np.copyto(self._arrays[name], self.sets[self.turn][name].numpy())


class _Stepper:
    """Runs a session on state that changes sets with each step.

    Args:
        session: The session.
        state: The state.
    """

    def __init__(self, session: Session, state: _State):
        self.session = session
        self._state = state
        self._bindings = [self._binding(turn) for turn in (0, 1)]

    def _binding(self, turn: int) -> Any:
        binding = self.session.binding()
        before, after = self._state.sets[turn], self._state.sets[1 - turn]
        for variable in self.session.program.variables:
            binding.bind_ortvalue_input(variable.name, before[variable.name])
            if variable.update is not None:
                binding.bind_ortvalue_output(variable.update, after[variable.name])
        return binding

    def step(self, data: Arrays, results: Arrays) -> None:
        """Run once.

        Args:
            data: An array for each data input.
            results: Contiguous arrays that take the results.
        """
        binding = self._bindings[self._state.turn]
        # On the CPU a value is the array itself: both have to live until the run is over.
        arrays = {name: np.asarray(array, order="C") for name, array in data.items()}
        values = {name: place(array, self.session.device) for name, array in arrays.items()}
        for name, value in values.items():
            binding.bind_ortvalue_input(name, value)
        for name, array in results.items():
            binding.bind_ortvalue_output(name, place(array, "cpu"))
        self.session.run(binding)
        self._state.turn = 1 - self._state.turn


def _device(wanted: str) -> str:
    if wanted not in ("auto", "cpu", "cuda"):
        raise ValueError(f'the device is one of "auto", "cpu", "cuda", not {wanted!r}')
    if wanted == "cpu":
        return "cpu"
    provider = next(provider for provider in explain() if provider.name == CUDA)
    if provider.loads:
        return "cuda"
    if wanted == "cuda":
        raise ValueError(f"ONNX Runtime's CUDA provider does not work here: {provider.reason}")
    if provider.wanted:
        warnings.warn(
            f"ONNX Runtime runs on the CPU although there is a GPU: {provider.reason}", stacklevel=4
        )
    return "cpu"
