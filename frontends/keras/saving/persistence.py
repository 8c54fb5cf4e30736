"""Saving, loading and exporting as methods of models."""

from __future__ import annotations

from typing import Any

from graphc.export.check import Comparison
from graphc.export.onnx import IR_VERSION, OPSET
from graphc.keras.export import export_model


class Persistence:
    """The methods of a model that write it to files and read its weights."""

    def export(
        self,
        filepath: Any,
        format: str = "onnx",
        verbose: bool | None = None,
        input_signature: Any = None,
        *,
        check: bool = True,
        tolerance: float | None = None,
        opset_version: int = OPSET,
        ir_version: int = IR_VERSION,
    ) -> Comparison | None:
        """Write the model, as it predicts, as an ONNX file.

        Args:
            filepath: The file; it is there only when it is complete and has passed the check.
            format: ``"onnx"``.
            verbose: Whether a line says what was written and how it was checked; by default yes.
            input_signature: What `Input` returns, or a structure of that, for a model that has not
                seen the shape of its input yet.
            check: Whether the file is checked: by the format's own checker, and, where ONNX Runtime
                is installed, by running it on random data of several sizes next to the model.
            tolerance: How far a result may be from the model's, relative to the largest one where
                that is above 1; by default 1e-4 in single precision.
            opset_version: The version of ONNX's operations, 17 or later.
            ir_version: The version of ONNX's file format.

        Returns:
            How the file compares with the model; None where it was not run.

        Raises:
            ExportError: The file does not compute what the model does; none was written.
            UnsupportedError: The model holds something that ONNX cannot express.
            ValueError: Another format; or the model has not seen the shape of its input.

        Example:
            >>> model.export("model.onnx")
        """
        return export_model(
            self,
            filepath,
            format,
            verbose=verbose is not False,
            input_signature=input_signature,
            check=check,
            tolerance=tolerance,
            opset_version=opset_version,
            ir_version=ir_version,
        )
