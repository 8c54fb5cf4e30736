"""From a model to its compiled programs: predict, evaluate and train.

A program is made by running the model's Python code once on symbolic tensors. Everything that the
step needs is traced into one graph: the forward pass, losses, gradients, the optimizer's update and
the metrics. What the code reads or assigns in `Variable`s becomes the program's state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from graphc import runtime
from graphc.eager.tensor import Tensor
from graphc.eager.trace import Trace, unify
from graphc.eager.variable import Variable
from graphc.errors import DimensionMismatchError
from graphc.garbage import rarely_collecting
from graphc.ir import TensorType, dims, numpy_dtype
from graphc.keras import tree
from graphc.keras.engine.keras_tensor import KerasTensor
from graphc.program import Program
from graphc.runtime.state import State
from graphc.shuffle import Shuffle

#: A structure (list, tuple, dict) with a `TensorType` in place of each array.
Types = Any


class CompiledProgram:
    """A program that can run, and the variables behind its state.

    Args:
        program: What was compiled.
        executable: Runs it.
        variables: The variables by the names of the program's state.
        structure: The structure of the model's outputs, for a program that predicts.

    Attributes:
        state: The arrays of the variables; running the program updates them in place.
        batch_size: The only number of rows that a step takes; None if any will do.
        seconds_per_step: How long a step took when it ran last; None before.
    """

    def __init__(
        self,
        program: Program,
        executable: runtime.Executable,
        variables: Mapping[str, Variable],
        structure: Any = None,
    ):
        self.program = program
        self.executable = executable
        self.structure = structure
        self._is_single = structure is not None and not tree.is_nested(structure)
        self.state = State({name: variable.array for name, variable in variables.items()})
        self.seconds_per_step: float | None = None
        first = program.data[0].shape[0]
        self.batch_size = first if isinstance(first, int) else None
        # Where the size of an open dimension, other than the batch's, is read off the data.
        self._open = [
            (value.name, axis, str(dim))
            for value in program.data
            for axis, dim in enumerate(value.shape)
            if axis and not isinstance(dim, int) and str(dim) in dims.symbols(dim)
        ]

    def outputs(self, results: Mapping[str, np.ndarray]) -> Any:
        """The results of a program that predicts, in the structure of the model's outputs."""
        if self._is_single:
            return next(iter(results.values()))
        return tree.pack_sequence_as(self.structure, list(results.values()))

    def allocate_results(self, data: Mapping[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
        """Arrays that take the results of so many rows."""
        bindings = {symbol: data[name].shape[axis] for name, axis, symbol in self._open}
        if self.batch_size is None:
            return self.executable.allocate_results(rows, bindings)
        types = {n: v.type.substitute(bindings) for n, v in self.program.results.items()}
        return {
            name: np.empty((rows, *type.shape[1:]), numpy_dtype(type.dtype))
            for name, type in types.items()
        }

    def run_steps(
        self,
        data: Mapping[str, np.ndarray],
        batch_size: int,
        steps: int,
        begin: int,
        order: np.ndarray | Shuffle | None,
        results: Mapping[str, np.ndarray],
    ) -> dict[str, np.ndarray]:
        """Run steps over rows; see `Executable.run_steps`."""
        if self.batch_size is None:
            return self.executable.run_steps(
                data, self.state, batch_size, steps, begin, order, results
            )
        values: dict[str, np.ndarray] = {}
        for step in range(begin, begin + steps):
            rows = slice(step * batch_size, (step + 1) * batch_size)
            chosen = rows if order is None else order[rows]
            batch = {name: array[chosen] for name, array in data.items()}
            values = self.executable.run(batch, self.state)
            for name, array in results.items():
                array[rows] = values[name]
        return values


@rarely_collecting
def trace_program(
    name: str, types: Types, step: Callable[[Any], Mapping[str, Tensor]]
) -> tuple[Program, dict[str, Variable]]:
    """Trace a step over inputs of given types.

    Where two sizes that were left open turn out to have to be equal, they become one symbol and the
    step is traced again.

    Args:
        name: Name of the program.
        types: A dict from the names of arguments to structures of types. The data inputs are
            named after their places in it (see `input_names`).
        step: Takes the same structure with symbolic tensors, returns the results by name.

    Returns:
        The program and the variables behind its state.
    """
    equal: dict[str, dims.Dim] = {}
    while True:
        try:
            return _trace_once(name, types, step, equal)
        except DimensionMismatchError as mismatch:
            equal = unify(equal, mismatch)


def _trace_once(
    name: str,
    types: Types,
    step: Callable[[Any], Mapping[str, Tensor]],
    equal: Mapping[str, dims.Dim],
) -> tuple[Program, dict[str, Variable]]:
    with Trace(name) as trace:
        names = iter(input_names(types))
        tensors = tree.map_structure(
            lambda type: trace.input(next(names), type.substitute(equal)), types
        )
        return trace.program(step(tensors))


def input_names(types: Types) -> list[str]:
    """The names of a program's data inputs: the path of each leaf, as in ``x/pixels``, ``y/0``."""
    names: list[str] = []

    def visit(path: str, item: Any) -> None:
        if isinstance(item, Mapping):
            for key in tree.ordered_keys(item):
                visit(f"{path}/{key}" if path else str(key), item[key])
        elif isinstance(item, (list, tuple)):
            for index, part in enumerate(item):
                visit(f"{path}/{index}", part)
        elif item is not None:
            names.append(path)

    visit("", types)
    return names


def readable_types(tensors: list[KerasTensor]) -> list[TensorType]:
    """The types of a model's inputs with short names for their symbols: ``time``, ``time_1``.

    Symbols are unique to each `Input` when they are made; in one model the plain word will do for
    the first of its kind.
    """
    renamed: dict[str, dims.Dim] = {}
    taken: set[str] = set()
    for tensor in tensors:
        for dim in tensor.dims:
            for name in sorted(dims.symbols(dim)):
                if name in renamed:
                    continue
                plain = name.split("_dim")[0]
                free, count = plain, 1
                while free in taken:
                    free = f"{plain}_{count}"
                    count += 1
                taken.add(free)
                renamed[name] = dims.symbol(free)
    return [tensor.type.substitute(renamed) for tensor in tensors]


def types_of_data(arrays: Any, batch: dims.Dim) -> Types:
    """The types of arrays whose first axis counts rows.

    Args:
        arrays: A structure of arrays.
        batch: The size of that axis in a step.
    """

    def type_of(array: np.ndarray) -> TensorType:
        return TensorType((batch, *array.shape[1:]), array.dtype.name)

    return tree.map_structure(type_of, arrays)


def fixed_batch_size(model: Any) -> int | None:
    """The batch size that the model's inputs were given; None if it is open or not known yet."""
    inputs = getattr(model, "inputs", None) if model.built else None
    size = inputs[0].dims[0] if inputs else None
    return size if isinstance(size, int) else None
