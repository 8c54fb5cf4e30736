"""LLVM: turns IR text into object code, and object code into functions that Python can call.

This is the only module that imports llvmlite, and only when something is compiled, or when an
object has to be loaded that our own loader (`graphc.runtime.cpu.elf`) does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphc.runtime.cpu.elf import ElfLibrary, UnsupportedObjectError
from graphc.runtime.cpu.library import Library

if TYPE_CHECKING:
    from graphc.runtime.cpu.target import Target

_OPTIMIZATION_LEVEL = 3


def describe_host() -> tuple[str, str, str]:
    """The triple, processor name and feature string of this machine."""
    from llvmlite import binding

    features = binding.get_host_cpu_features().flatten()
    return binding.get_process_triple(), binding.get_host_cpu_name(), features


def emit_object(module_text: str, target: Target) -> bytes:
    """Compiles LLVM IR text to the bytes of an object file.

    The IR is expected in final form, with explicit vectors: only calls of always-inline functions
    are expanded and a light clean-up runs, which halves the time of the standard pipeline.

    Args:
        module_text: a whole LLVM module.
        target: the processor to generate code for; any that LLVM knows, not only this machine.

    Raises:
        ValueError: the text is not valid LLVM IR; the message quotes the offending lines.
    """
    module, machine = _prepare(module_text, target)
    return machine.emit_object(module)


def emit_assembly(module_text: str, target: Target) -> str:
    """The assembly text that `emit_object` encodes."""
    module, machine = _prepare(module_text, target)
    return machine.emit_assembly(module)


class LlvmLibrary(Library):
    """Object code, loaded by LLVM."""

    def __init__(self, object_code: bytes) -> None:
        """Loads the object and resolves what it imports from the running process."""
        from llvmlite import binding

        _initialize(binding, host_only=True)
        machine = binding.Target.from_default_triple().create_target_machine(jit=True)
        self._engine = binding.create_lljit_compiler(machine)
        builder = binding.JITLibraryBuilder().add_object_img(object_code).add_current_process()
        # Dropping any tracker unloads the code, so each one is kept.
        self._trackers = {"": builder.link(self._engine, "graphc")}

    def __del__(self) -> None:
        # Code is unloaded before the engine that owns it goes.
        getattr(self, "_trackers", {}).clear()

    def address(self, name: str) -> int:
        try:
            if name not in self._trackers:
                self._trackers[name] = self._engine.lookup("graphc", name)
            return self._trackers[name][name]
        except RuntimeError as error:
            raise KeyError(f"the object code has no usable symbol {name!r}: {error}") from None


def load_object(object_code: bytes) -> Library:
    """Loads object code for this machine, as `emit_object` made it."""
    try:
        return ElfLibrary(object_code)
    except UnsupportedObjectError:
        return LlvmLibrary(object_code)


def _initialize(binding: Any, host_only: bool) -> None:
    if host_only:
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
    else:
        binding.initialize_all_targets()
        binding.initialize_all_asmprinters()


def _prepare(module_text: str, target: Target) -> tuple[Any, Any]:
    """A parsed, verified and cleaned-up module, and the machine that encodes it."""
    from llvmlite import binding

    host_only = binding.get_process_triple() == target.triple
    _initialize(binding, host_only)
    # The loader may place code and constants further apart than 32-bit offsets reach, which a
    # process with much memory in use does not survive; so addresses are whole.
    far = target.triple.startswith("x86_64")
    machine = binding.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu,
        features=target.features,
        opt=_OPTIMIZATION_LEVEL,
        reloc="static" if far or target.triple.startswith("wasm") else "pic",
        codemodel="large" if far else "default",
    )
    try:
        # A context of its own: parsing into the process-wide one is not thread-safe.
        module = binding.parse_assembly(module_text, context=binding.create_context())
        module.verify()
    except RuntimeError as error:
        raise ValueError(f"the generated LLVM IR is invalid: {error}") from None
    module.triple = target.triple
    module.data_layout = str(machine.target_data)
    passes = binding.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    passes.add_aggressive_dce_pass()
    builder = binding.create_pass_builder(machine, binding.create_pipeline_tuning_options())
    passes.run(module, builder)
    return module, machine
