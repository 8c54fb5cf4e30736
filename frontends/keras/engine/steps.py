"""The steps that models run: predict, evaluate, train; traced, compiled and kept."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from graphc import runtime
from graphc.config import config
from graphc.eager.tensor import Tensor, apply, as_tensor
from graphc.ir import TensorType
from graphc.ir.dims import symbol
from graphc.keras import tree
from graphc.keras.engine.data import Rows
from graphc.keras.engine.eager_steps import EagerSteps
from graphc.keras.engine.programs import (
    CompiledProgram,
    Types,
    fixed_batch_size,
    readable_types,
    trace_program,
    types_of_data,
)
from graphc.keras.utils.batch_utils import pack_x_y_sample_weight, unpack_x_y_sample_weight
from graphc.ops.movement import Size
from graphc.program import Program


class Steps:
    """The compiled programs of one model, and its steps as they are.

    Args:
        model: The model.
    """

    def __init__(self, model: Any):
        self._model = model
        self._compiled: dict[Any, CompiledProgram] = {}
        # The same, by what can be read off the data without a look at the model.
        self._shortcuts: dict[Any, CompiledProgram] = {}
        self._stack: Any = None
        self._structure: Any = None

    def get(self, kind: str, rows: Rows) -> CompiledProgram:
        """The program of a kind for data like ``rows``; compiled when first asked for.

        Args:
            kind: ``"predict"``, ``"evaluate"`` or ``"train"``.
            rows: The data; only types and sizes other than that of the batch matter.

        Raises:
            ShapeError, DTypeError: The data does not fit the model.
        """
        self._notice_changes()
        shortcut = (kind, self._backend, config.threads, rows.signature)
        compiled = self._shortcuts.get(shortcut)
        if compiled is None:
            compiled = self._shortcuts[shortcut] = self._find(kind, self.types(kind, rows))
            self._notice_changes()
        return compiled

    def _find(self, kind: str, types: Types) -> CompiledProgram:
        key = (kind, self._backend, config.threads, str(types))
        if key not in self._compiled:
            program, variables = self.trace(kind, types)
            executable = runtime.compile(program, self._backend, config.threads)
            self._compiled[key] = CompiledProgram(program, executable, variables, self._structure)
        return self._compiled[key]

    def _notice_changes(self) -> None:
        """Forget all programs when layers were added to a Sequential model, or removed."""
        stack = getattr(self._model, "_functional", None)
        if stack is not self._stack:
            if self._stack is not None:
                self._compiled.clear()
                self._shortcuts.clear()
            self._stack = stack

    def forget(self) -> None:
        """Drop the programs that depend on the arguments of `compile`."""
        for programs in (self._compiled, self._shortcuts):
            for key in [key for key in programs if key[0] != "predict"]:
                del programs[key]

    def latest(self, kind: str) -> CompiledProgram | None:
        """The program of a kind that was compiled last."""
        found = [program for key, program in self._compiled.items() if key[0] == kind]
        return found[-1] if found else None

    def at_once(self, kind: str, rows: Rows) -> EagerSteps:
        """The steps of a kind for data like ``rows``, as Python code that runs for each batch."""
        structure = (lambda: self._structure) if kind == "predict" else None
        return EagerSteps(self._step(kind), rows, structure)

    def _step(self, kind: str) -> Callable[[Any], dict[str, Tensor]]:
        return {"predict": self._predict, "evaluate": self._evaluate, "train": self._train}[kind]

    def trace(self, kind: str, types: Types) -> tuple[Program, Mapping[str, Any]]:
        """The program of a kind for inputs of given types."""
        return trace_program(kind, types, self._step(kind))

    def types(self, kind: str, rows: Rows) -> Types:
        """The types of a program's inputs for given data.

        The batch's size is left open, unless `Input` was given one. Predictions leave open what the
        model leaves open; where targets come in, the other sizes are those of the data, since
        nothing else says which axes of inputs and targets belong together.
        """
        model = self._model
        types = types_of_data(rows.parts(), fixed_batch_size(model) or symbol("batch"))
        inputs = getattr(model, "inputs", None) if model.built else None
        if kind != "predict" or not inputs:
            return types
        wanted: list[TensorType | None] = [*readable_types(inputs)]
        structure = getattr(model, "inputs_structure", None)
        if isinstance(types["x"], dict) and not isinstance(structure, dict):
            # Data by the names of inputs, for a model whose inputs are a list.
            by_name = dict(zip(model.input_names, wanted, strict=True))
            wanted = [by_name.get(name) for name in tree.ordered_keys(types["x"])]
        given = tree.flatten(types["x"])
        if len(given) == len(wanted):
            merged = [_merge(type, want) for type, want in zip(given, wanted, strict=True)]
            types["x"] = tree.pack_sequence_as(types["x"], merged)
        return types

    @property
    def _backend(self) -> str:
        compilation = self._model.compilation
        return compilation.backend if compilation and compilation.backend else config.backend

    # ------------------------------------------------------------------------------- the steps

    def _predict(self, data: Any) -> dict[str, Tensor]:
        outputs = self._model.predict_step(pack_x_y_sample_weight(**data))
        self._structure = tree.map_structure(lambda _: 0, outputs)
        return {f"output/{i}": tensor for i, tensor in enumerate(tree.flatten(outputs))}

    def _evaluate(self, data: Any) -> dict[str, Tensor]:
        return self._logs("test_step", data)

    def _train(self, data: Any) -> dict[str, Tensor]:
        return self._logs("train_step", data)

    def _logs(self, name: str, data: Any) -> dict[str, Tensor]:
        model = self._model
        model.compilation.own_metrics = model.find_own_metrics()
        step = getattr(model, name)
        if len(inspect.signature(step).parameters) == 2:
            logs = stateless_step(model, step, pack_x_y_sample_weight(**data))
        else:
            logs = step(pack_x_y_sample_weight(**data))
        if not isinstance(logs, Mapping):
            raise TypeError(
                f"{type(model).__name__}.{name}() has to return a dict of results by name, as in "
                f"{{m.name: m.result() for m in self.metrics}}, not {logs!r}"
            )
        return {name: as_tensor(value) for name, value in _flat(logs).items()}


def stateless_step(model: Any, step: Callable[..., Any], data: Any) -> Any:
    """A step that is handed its state and returns the new one, as Keras has it with JAX.

    Args:
        model: The model.
        step: Maps ``(state, data)`` to ``(logs, state)``; the state is a tuple of lists of tensors:
            the model's trainable and non-trainable variables, in training the optimizer's, and
            those of the metrics.
        data: A batch.
    """
    x, y, _ = unpack_x_y_sample_weight(data)
    # All variables have to be there before the step; of this call nothing stays.
    model.compilation.resolve(y, model(x, training=False))
    groups = [model.trainable_variables, model.non_trainable_variables]
    if step.__name__ == "train_step":
        model.optimizer.build(model.trainable_variables)
        groups.append(model.optimizer.variables)
    groups.append(model.metrics_variables)
    logs, after = step(tuple([v.value for v in group] for group in groups), data)
    for group, values in zip(groups, after, strict=True):
        for variable, value in zip(group, values, strict=True):
            variable.assign(value)
    return logs


def _flat(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Logs with the results of metrics that have several taken apart."""
    flat: dict[str, Any] = {}
    for name, value in logs.items():
        flat.update(_flat(value) if isinstance(value, Mapping) else {name: value})
    return flat


def batch_size_of(x: Any) -> Tensor:
    """The number of rows as a tensor."""
    first = tree.flatten(x)[0]
    size = first.dims[0]
    return as_tensor(float(size)) if isinstance(size, int) else apply(Size((0,)), first)


def _merge(given: TensorType, wanted: TensorType | None) -> TensorType:
    """The type of an input: the data's dtype, the model's shape where the ranks agree."""
    if wanted is None or given.rank != wanted.rank:
        return given
    sizes = zip(given.shape[1:], wanted.shape[1:], strict=True)
    if any(isinstance(want, int) and have != want for have, want in sizes):
        return given  # it does not fit: tracing the model says so
    return wanted.with_dtype(given.dtype)
