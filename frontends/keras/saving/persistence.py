"""Saving and loading as methods of models."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graphc.keras.saving.compiling import compile_config, compile_from
from graphc.keras.saving.configs import model_to_dict
from graphc.keras.saving.model_files import save_model
from graphc.keras.saving.weight_files import load_weights, save_weights
from graphc.serialize.text import write_yaml

if TYPE_CHECKING:
    from graphc.export.check import Comparison


class Persistence:
    """The methods of a model that write it to files and read its weights."""

    built: bool

    def save(
        self,
        filepath: str | os.PathLike[str],
        overwrite: bool = True,
        zipped: bool | None = None,
        include_optimizer: bool = True,
        save_format: str | None = None,
    ) -> None:
        """Write the model to a file: architecture, weights, and how training goes on.

        A file appears complete or not at all: a failure leaves an older one as it was.

        Args:
            filepath: ``.keras`` for the format of Keras 3, ``.h5`` or ``.hdf5`` for Keras 2's.
            overwrite: Whether a file that is there already may be replaced.
            zipped: Accepted as in Keras; only True.
            include_optimizer: Whether the arguments of `compile` and the optimizer's state belong
                in.
            save_format: ``"keras"`` or ``"h5"``, where the ending does not tell (Keras 2).

        Raises:
            ValueError: An unknown ending.
            FileExistsError: The file is there already, and ``overwrite`` is False.

        Example:
            >>> model.save("mnist.keras")
            >>> model = keras.models.load_model("mnist.keras")
        """
        save_model(self, filepath, overwrite, zipped, include_optimizer, save_format)

    def save_weights(
        self,
        filepath: str | os.PathLike[str],
        overwrite: bool = True,
        save_format: str | None = None,
    ) -> None:
        """Write the weights to a file.

        Args:
            filepath: ``.weights.h5`` for the layout of Keras 3; another ``.h5`` or ``.hdf5`` for
                that of Keras 2.
            overwrite: Whether a file that is there already may be replaced.
            save_format: Accepted for compatibility (Keras 2).

        Raises:
            ValueError: An unknown ending, or the model has no weights yet.
            FileExistsError: The file is there already, and ``overwrite`` is False.
        """
        save_weights(self, filepath, overwrite)

    def load_weights(
        self,
        filepath: str | os.PathLike[str],
        by_name: bool = False,
        skip_mismatch: bool = False,
    ) -> None:
        """Read the weights from a file; nothing changes unless all of them fit.

        Args:
            filepath: A file of weights, or a whole model: ``.weights.h5``, ``.h5``, ``.hdf5`` or
                ``.keras``. What is inside tells the layout.
            by_name: Whether layers are found by their names, and those that are not in the file
                stay as they are; by default they are found by their order. Files of Keras 2 only.
            skip_mismatch: Whether weights that do not fit stay as they are, with a warning.

        Raises:
            FileFormatError: The file is damaged, or does not fit the model.
            ValueError: The model has no weights yet.
        """
        load_weights(self, filepath, by_name, skip_mismatch)

    # ---------------------------------------------------------------------------- architecture

    def to_json(self, **kwargs: Any) -> str:
        """The architecture, and how the model is compiled, as JSON.

        Args:
            **kwargs: For `json.dumps`, such as ``indent``.
        """
        return json.dumps(model_to_dict(self), **kwargs)

    def to_yaml(self, **kwargs: Any) -> str:
        """The same as `to_json`, as YAML (as in Keras 2, but without tags of Python objects)."""
        return write_yaml(json.loads(self.to_json()))

    def get_compile_config(self) -> dict[str, Any] | None:
        """The arguments that `compile` was given, in a form for files; None without."""
        return compile_config(self)

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile the model as `get_compile_config` told.

        Args:
            config: The dictionary.
        """
        compile_from(self, config)

    def get_build_config(self) -> dict[str, Any] | None:
        """What `build_from_config` needs to make the weights; None before there are any."""
        shapes = getattr(self, "_build_shapes", None)
        return None if shapes is None else {"input_shape": shapes}

    def build_from_config(self, config: Mapping[str, Any]) -> None:
        """Make the weights as `get_build_config` told.

        Args:
            config: The dictionary.
        """
        if not self.built and config.get("input_shape") is not None:
            self.build(config["input_shape"])  # type: ignore[attr-defined]

    def export(
        self,
        filepath: Any,
        format: str = "onnx",
        verbose: bool | None = None,
        input_signature: Any = None,
        *,
        check: bool = True,
        tolerance: float | None = None,
        opset_version: int | None = None,
        ir_version: int | None = None,
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
            opset_version: The version of ONNX's operations, 17 or later; by default 17, which every
                current runtime reads.
            ir_version: The version of ONNX's file format; by default 8, which goes with that.

        Returns:
            How the file compares with the model; None where it was not run.

        Raises:
            ExportError: The file does not compute what the model does; none was written.
            UnsupportedError: The model holds something that ONNX cannot express.
            ValueError: Another format; or the model has not seen the shape of its input.

        Example:
            >>> model.export("model.onnx")
        """
        from graphc.keras.export import export_model  # loads the exporter and the passes

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
