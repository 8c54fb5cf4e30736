"""What executes a program: `compile` gives an `Executable` of one of the backends.

Backends:
    ``"cpu"``: native code through LLVM (`graphc.runtime.cpu`).
    ``"onnxruntime"``: ONNX graphs in ONNX Runtime, on a GPU where there is one.
    ``"reference"``: the NumPy interpreter; slow, for looking into things.
"""

from __future__ import annotations

from graphc.garbage import rarely_collecting
from graphc.ir import has_complex
from graphc.program import Program
from graphc.runtime.executable import Executable
from graphc.runtime.reference import ReferenceExecutable

BACKENDS = ("cpu", "onnxruntime", "reference")


@rarely_collecting
def compile(program: Program, backend: str = "cpu", threads: int | None = None) -> Executable:
    """Make a program runnable.

    Args:
        program: What to run.
        backend: One of `BACKENDS`.
        threads: How many threads the CPU backend may use; None for `config.threads`. The results
            do not depend on it.

    Returns:
        An executable for data of any size that the program's symbolic dimensions allow.

    Raises:
        ValueError: An unknown backend.
        UnsupportedError: The program holds an op that the backend has no code for.
    """
    if backend == "reference":
        return ReferenceExecutable(program)
    if has_complex(program.graph):
        from graphc.passes.split_complex import split_program  # loads the passes
        from graphc.runtime.complex import ComplexExecutable

        return ComplexExecutable(program, compile(split_program(program), backend, threads))
    if backend == "cpu":
        from graphc.runtime.cpu.program import CpuExecutable  # loads the code generator

        return CpuExecutable(program, threads)
    if backend == "onnxruntime":
        from graphc.runtime.ort.executable import OrtExecutable  # loads onnx and ONNX Runtime
        from graphc.runtime.ort.session import Options

        return OrtExecutable(program, Options(threads=threads))
    raise ValueError(f"unknown backend {backend!r}; there are {', '.join(BACKENDS)}")


__all__ = ["BACKENDS", "Executable", "compile"]
