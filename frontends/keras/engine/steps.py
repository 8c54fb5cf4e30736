"""The steps that models run: predict, evaluate, train; traced, compiled and kept."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from graphc import runtime
from graphc.config import config
from graphc.eager.tensor import Tensor, apply, as_tensor, cast
from graphc.eager.trace import computing_at_once, current_trace
from graphc.ir import TensorType
from graphc.keras import tree
from graphc.keras.engine import call_context
from graphc.keras.engine.compile_losses import CompileLoss
from graphc.keras.engine.compile_metrics import CompileMetrics
from graphc.keras.engine.data import Rows
from graphc.keras.engine.keras_tensor import KerasTensor, infer
from graphc.keras.engine.outputs import Outputs
from graphc.keras.engine.programs import (
    CompiledProgram,
    Types,
    readable_types,
    trace_program,
    types_of_data,
)
from graphc.ops.movement import Size
from graphc.ops.reduce import ReduceSum
from graphc.program import Program


class Steps:
    """The compiled programs of one model.

    Args:
        model: The model.
    """

    def __init__(self, model: Any):
        self._model = model
        self._cache: dict[Any, CompiledProgram] = {}

    def get(self, kind: str, rows: Rows) -> CompiledProgram:
        """The program of a kind for data like ``rows``; compiled when first asked for.

        Args:
            kind: ``"predict"``, ``"evaluate"`` or ``"train"``.
            rows: The data; only types and sizes other than that of the batch matter.
        """
        types = self.types(kind, rows)
        key = (kind, str(types))
        if key not in self._cache:
            program, variables = self.trace(kind, types)
            executable = runtime.compile(program, config.backend, config.threads)
            self._cache[key] = CompiledProgram(program, executable, variables)
        return self._cache[key]

    def latest(self, kind: str) -> CompiledProgram | None:
        """The program of a kind that was compiled last."""
        found = [program for (known, _), program in self._cache.items() if known == kind]
        return found[-1] if found else None

    def trace(self, kind: str, types: Types) -> tuple[Program, Mapping[str, Any]]:
        """The program of a kind for inputs of given types."""
        step = {"predict": self._predict, "evaluate": self._evaluate, "train": self._train}[kind]
        with computing_at_once():
            self._prepare(kind, types)
        return trace_program(kind, types, step)

    def types(self, kind: str, rows: Rows) -> Types:
        """The types of a program's inputs for given data.

        The batch's size is always left open. Predictions leave open what the model leaves open;
        where targets come in, the other sizes are those of the data, since nothing else says which
        axes of inputs and targets belong together.
        """
        types = types_of_data(rows.parts())
        inputs = getattr(self._model, "inputs", None)
        if kind == "predict" and inputs:
            wanted = readable_types(inputs)
            given = tree.flatten(types["x"])
            merged = [_merge(type, want) for type, want in zip(given, wanted, strict=True)]
            types["x"] = tree.pack_sequence_as(types["x"], merged)
        return types

    def _prepare(self, kind: str, types: Types) -> None:
        """Make everything that has state before the step is traced."""
        model = self._model
        if kind == "predict" or model.compile_arguments is None:
            return
        if model.compiled_losses is None:
            placeholders = tree.map_structure(KerasTensor, types)
            predictions = infer(lambda x: model(x, training=False), (placeholders["x"],), {})
            self._build_losses(placeholders.get("y"), predictions)
        if kind == "train":
            model.optimizer.build(model.trained_variables)

    def _build_losses(self, y: Any, predictions: Any) -> None:
        model = self._model
        arguments = model.compile_arguments
        outputs = Outputs(predictions, getattr(model, "output_names", None))
        targets = outputs.flatten(y, "y")
        flat = tree.flatten(predictions)
        model.outputs_of_loss = outputs
        model.compiled_losses = CompileLoss(
            arguments["loss"], arguments["loss_weights"], outputs, targets, flat
        )
        model.compiled_metrics = CompileMetrics(
            arguments["metrics"], arguments["weighted_metrics"], outputs, targets, flat
        )

    def _predict(self, data: Any) -> dict[str, Tensor]:
        outputs = self._model(data["x"], training=False)
        self._model.predicted_structure = tree.map_structure(lambda _: 0, outputs)
        return {f"output/{i}": tensor for i, tensor in enumerate(tree.flatten(outputs))}

    def _evaluate(self, data: Any) -> dict[str, Tensor]:
        self._forward(data, training=False)
        return {}

    def _train(self, data: Any) -> dict[str, Tensor]:
        model = self._model
        loss = self._forward(data, training=True)
        if loss is None:
            raise ValueError("there is no loss to minimize: give compile() a loss")
        variables = model.trained_variables
        trace = current_trace()
        assert trace is not None
        gradients = trace.gradients(loss, variables)
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
        return {}

    def _forward(self, data: Any, training: bool) -> Tensor | None:
        """Predictions, the loss, and the metrics' updates; returns the loss."""
        model = self._model
        x, y, sample_weight = (data.get(part) for part in ("x", "y", "sample_weight"))
        with call_context.entered(training) as context:
            y_pred = model(x, training=training)
            loss = model.compute_loss(
                x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training
            )
        extras = [*context.losses, *model._regularization_losses()]
        for extra in extras:
            scalar = apply(ReduceSum(tuple(range(extra.ndim))), extra) if extra.ndim else extra
            loss = scalar if loss is None else loss + cast(scalar, loss.dtype)
        if loss is not None:
            model.loss_tracker.update_state(loss, sample_weight=batch_size_of(x))
        model.compute_metrics(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight)
        return loss


def batch_size_of(x: Any) -> Tensor:
    """The number of rows as a tensor."""
    first = tree.flatten(x)[0]
    size = first.dims[0]
    return as_tensor(float(size)) if isinstance(size, int) else apply(Size((0,)), first)


def _merge(given: TensorType, wanted: TensorType) -> TensorType:
    """The type of an input: the data's dtype, the model's shape where the ranks agree."""
    return wanted.with_dtype(given.dtype) if given.rank == wanted.rank else given
