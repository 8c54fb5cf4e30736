"""The steps that models run: predict, evaluate, train; traced, compiled and kept."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

from graphc import runtime
from graphc.config import config
from graphc.eager.tensor import Tensor, apply, as_tensor
from graphc.eager.trace import current_trace
from graphc.ir import TensorType
from graphc.ir.dims import symbol
from graphc.keras import tree
from graphc.keras.engine import call_context
from graphc.keras.engine.data import Rows
from graphc.keras.engine.programs import (
    CompiledProgram,
    Types,
    fixed_batch_size,
    readable_types,
    trace_program,
    types_of_data,
)
from graphc.ops.movement import Size
from graphc.program import Program

# Methods of Keras that a subclass may define, which a compiled step does not call.
_CUSTOM_STEPS = {"train": "train_step", "evaluate": "test_step", "predict": "predict_step"}


class Steps:
    """The compiled programs of one model.

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

    def trace(self, kind: str, types: Types) -> tuple[Program, Mapping[str, Any]]:
        """The program of a kind for inputs of given types."""
        self._refuse_custom_step(kind)
        step = {"predict": self._predict, "evaluate": self._evaluate, "train": self._train}[kind]
        return trace_program(kind, types, step)

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

    def _refuse_custom_step(self, kind: str) -> None:
        name = _CUSTOM_STEPS[kind]
        if hasattr(type(self._model), name):
            raise NotImplementedError(
                f"{type(self._model).__name__} defines {name}(), which is not called: graphc "
                "compiles the whole step. Override compute_loss(x, y, y_pred, sample_weight) and "
                "compute_metrics(x, y, y_pred, sample_weight) instead, or write the loop yourself "
                "around train_on_batch()"
            )

    # ------------------------------------------------------------------------------- the steps

    def _predict(self, data: Any) -> dict[str, Tensor]:
        outputs = self._model(data["x"], training=False)
        self._structure = tree.map_structure(lambda _: 0, outputs)
        return {f"output/{i}": tensor for i, tensor in enumerate(tree.flatten(outputs))}

    def _evaluate(self, data: Any) -> dict[str, Tensor]:
        _, logs = self._forward(data, training=False)
        return logs

    def _train(self, data: Any) -> dict[str, Tensor]:
        model = self._model
        loss, logs = self._forward(data, training=True)
        variables = model.trained_variables
        model.optimizer.build(variables)
        trace = current_trace()
        assert trace is not None
        gradients = trace.gradients(model.optimizer.scale_loss(loss), variables)
        pairs = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
        missing = [v.path for g, v in zip(gradients, variables, strict=True) if g is None]
        if not pairs:
            raise ValueError(
                "the loss does not depend on any trainable weight, so there is nothing to train"
            )
        if missing:
            warnings.warn(
                f"the loss does not depend on {', '.join(missing)}: they are not trained",
                stacklevel=2,
            )
        model.optimizer.apply([g for g, _ in pairs], [v for _, v in pairs])
        return logs

    def _forward(self, data: Any, training: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and the values of the metrics after this batch."""
        model = self._model
        x, y, sample_weight = (data.get(part) for part in ("x", "y", "sample_weight"))
        with call_context.entered(training) as context:
            y_pred = model(x, training=training)
            model.compilation.resolve(getattr(model, "output_names", None), y, y_pred)
            model.compilation.own_metrics = model.find_own_metrics()
            # What layers added is among `model.losses` while the loss is computed.
            object.__setattr__(model, "_losses", context.losses)
            try:
                loss = _compute_loss(model, x, y, y_pred, sample_weight, training)
            finally:
                object.__setattr__(model, "_losses", [])
            model.compilation.tracker.update_state(loss, sample_weight=batch_size_of(x))
            logs = model.compute_metrics(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight)
        logs = model.get_metrics_result() if logs is None else logs
        return loss, {name: as_tensor(value) for name, value in _flat(logs).items()}


def _compute_loss(
    model: Any, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool
) -> Tensor:
    arguments = {"x": x, "y": y, "y_pred": y_pred, "sample_weight": sample_weight}
    if "training" in inspect.signature(model.compute_loss).parameters:
        arguments["training"] = training
    loss = model.compute_loss(**arguments)
    if loss is None and training:
        raise ValueError(
            f'model "{model.name}" has no loss to minimize: give compile() a loss, or use '
            "add_loss() in a layer"
        )
    return as_tensor(0.0 if loss is None else loss)


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
