"""A model loaded into ONNX Runtime, and the buffers that it reads and writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.errors import UnsupportedError
from graphc.export.onnx import to_onnx
from graphc.ir import dims, numpy_dtype
from graphc.passes import Pipeline, share_common, simplify
from graphc.passes.layout import channels_first
from graphc.program import Program
from graphc.runtime.ort import cuda
from graphc.runtime.ort.library import onnxruntime
from graphc.runtime.ort.providers import CPU, CUDA

#: CUDA's kernels are registered for exactly these versions: a newer one moves nodes to the CPU.
OPSET, IR_VERSION = 18, 10

PIPELINES = {
    "cpu": Pipeline(
        "onnxruntime", (simplify, share_common, channels_first, simplify, share_common)
    ),
    "cuda": Pipeline(
        "onnxruntime",
        (
            simplify,
            share_common,
            cuda.expand,
            simplify,
            cuda.replace_missing,
            channels_first,
            simplify,
            share_common,
        ),
    ),
}

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Options:
    """How ONNX Runtime runs programs.

    Args:
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for a GPU if there is one that works.
        threads: Threads on the CPU; None for ONNX Runtime's choice.
        use_tf32: Whether a GPU may round the operands of products to 10 bits of mantissa.
    """

    device: str = "auto"
    threads: int | None = None
    use_tf32: bool = True

    @property
    def providers(self) -> list[Any]:
        """The providers with their own options, as ONNX Runtime takes them."""
        if self.device == "cpu":
            return [CPU]
        settings = {
            "use_tf32": str(int(self.use_tf32)),
            # The default tries out all algorithms for each new shape, which takes up to a second.
            "cudnn_conv_algo_search": "HEURISTIC",
        }
        return [(CUDA, settings)]


class Session:
    """A program as a model in ONNX Runtime.

    Args:
        program: The program; on a GPU all its sizes are known.
        options: Its device is ``"cpu"`` or ``"cuda"``.

    Raises:
        UnsupportedError: An op cannot be expressed in ONNX, or has no kernel on the device.
    """

    def __init__(self, program: Program, options: Options):
        self.program = program
        self.device = options.device
        proto = to_onnx(
            program, opset=OPSET, ir_version=IR_VERSION, pipeline=PIPELINES[self.device]
        )
        self._session = _load(proto.SerializeToString(), options)

    def binding(self) -> Any:
        """A set of places for inputs and outputs, still empty."""
        return self._session.io_binding()

    def run(self, binding: Any) -> None:
        """Run the model once.

        Raises:
            UnsupportedError: ONNX Runtime failed; the message has the node, which has the layer.
        """
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:  # the runtime has a family of exceptions without a common base
            raise UnsupportedError(f"ONNX Runtime failed: {error}") from None

    def allocate(self, name: str, bindings: Mapping[str, int]) -> np.ndarray:
        """An array for an output.

        Args:
            name: The output.
            bindings: Sizes of the symbolic dimensions.
        """
        type = self.program.graph.outputs[name].type
        shape = [dims.evaluate(dim, bindings) for dim in type.shape]
        return np.empty(shape, numpy_dtype(type.dtype))


def place(array: np.ndarray, device: str) -> Any:
    """An array as a value of ONNX Runtime.

    Args:
        array: A contiguous array.
        device: ``"cpu"``, where the value is the array itself, or ``"cuda"``, where it is a copy.
    """
    return onnxruntime().OrtValue.ortvalue_from_numpy(array, device, 0)


def _load(model: bytes, options: Options) -> Any:
    module = onnxruntime()
    settings = module.SessionOptions()
    settings.log_severity_level = 4
    if options.threads is not None:
        settings.intra_op_num_threads = options.threads
    if options.device == "cpu":
        return _create(module, model, settings, options)
    settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        return _create(module, model, settings, options)
    except UnsupportedError as error:
        moved = _nodes_on_cpu(module, model, options)
        if not moved:
            raise
        raise UnsupportedError(
            f"ONNX Runtime's CUDA provider has no kernel for {moved[0]}"
            + (f" and {len(moved) - 1} more ({', '.join(moved[1:4])})" if moved[1:] else "")
            + "; run the program on another backend, or with the device set to cpu"
        ) from error


def _create(module: Any, model: bytes, settings: Any, options: Options) -> Any:
    try:
        return module.InferenceSession(model, settings, providers=options.providers)
    except Exception as error:  # the runtime has a family of exceptions without a common base
        raise UnsupportedError(f"ONNX Runtime cannot run the program: {error}") from None


def _nodes_on_cpu(module: Any, model: bytes, options: Options) -> list[str]:
    """Which nodes CUDA does not take: ONNX Runtime tells where it would put them."""
    settings = module.SessionOptions()
    settings.log_severity_level = 4
    settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    try:
        session = module.InferenceSession(model, settings, providers=[*options.providers, CPU])
        subgraphs = session.get_provider_graph_assignment_info()
    except Exception:  # older versions do not tell
        return []
    return [
        f'{node.op_type} (node "{node.name}")'
        for subgraph in subgraphs
        if subgraph.ep_name == CPU
        for node in subgraph.get_nodes()
    ]
