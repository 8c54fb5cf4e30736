"""LLVM: turns IR text into object code, and object code into functions that Python can call.

This is the only module that imports llvmlite, and only when something is compiled, or when an
object has to be loaded that our own loader (`graphc.runtime.cpu.elf`) does not know.
"""

from __future__ import annotations

import ctypes
import weakref
from typing import TYPE_CHECKING, Any

from graphc.runtime.cpu import archive
from graphc.runtime.cpu.elf import ElfLibrary, UnsupportedObjectError
from graphc.runtime.cpu.library import Library

if TYPE_CHECKING:
    from graphc.runtime.cpu.target import Target

_OPTIMIZATION_LEVEL = 3


def load_llvm() -> None:
    """Imports LLVM for this machine, which takes a tenth of a second the first time."""
    from llvmlite import binding

    _initialize(binding, host_only=True)


def describe_host() -> tuple[str, str, str]:
    """The triple, processor name and feature string of this machine."""
    from llvmlite import binding

    features = binding.get_host_cpu_features().flatten()
    return binding.get_process_triple(), binding.get_host_cpu_name(), features


def emit_object(module_text: str, target: Target) -> bytes:
    """Compiles LLVM IR text to the bytes of an object file.

    The IR is expected in final form, with explicit vectors: only a light clean-up runs, which
    halves the time of the standard pipeline.

    Args:
        module_text: a whole LLVM module.
        target: the processor to generate code for; any that LLVM knows, not only this machine.

    Raises:
        ValueError: the text is not valid LLVM IR; the message quotes the offending lines.
    """
    module, machine = _prepare(module_text, target)
    return _encode(machine, module)


def emit_assembly(module_text: str, target: Target) -> str:
    """The assembly text that `emit_object` encodes."""
    module, machine = _prepare(module_text, target)
    return machine.emit_assembly(module)


class LlvmLibrary(Library):
    """Object code, one file or an archive of some, loaded by LLVM."""

    def __init__(self, object_code: bytes) -> None:
        """Loads the object and resolves what it imports from the running process."""
        from llvmlite import binding

        _initialize(binding, host_only=True)
        machine = binding.Target.from_default_triple().create_target_machine(jit=True)
        self._engine = binding.create_lljit_compiler(machine)
        builder = binding.JITLibraryBuilder().add_current_process()
        for part in archive.split(object_code):
            builder.add_object_img(part)
        # Dropping any tracker unloads the code, so each one is kept.
        self._trackers = {"": builder.link(self._engine, "graphc")}
        # Code is unloaded before the engine that owns it goes, and after what others do when this
        # library goes (a `__del__` would run before that); when the process ends it stays.
        unload = weakref.finalize(self, _unload, self._trackers, self._engine)
        unload.atexit = False

    def address(self, name: str) -> int:
        try:
            if name not in self._trackers:
                self._trackers[name] = self._engine.lookup("graphc", name)
            return self._trackers[name][name]
        except RuntimeError as error:
            raise KeyError(f"the object code has no usable symbol {name!r}: {error}") from None


def _unload(trackers: dict[str, Any], engine: Any) -> None:
    trackers.clear()
    del engine


def load_object(object_code: bytes) -> Library:
    """Loads object code for this machine, as `emit_object` or `PartCompiler` made it."""
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
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    passes.add_aggressive_dce_pass()
    builder = binding.create_pass_builder(machine, binding.create_pipeline_tuning_options())
    passes.run(module, builder)
    return module, machine


def _encode(machine: Any, module: Any) -> bytes:
    """What ``machine.emit_object(module)`` gives, without llvmlite's lock.

    llvmlite lets one thread at a time into LLVM. LLVM only asks that threads share no context, and
    each of our modules has its own; so the long call goes to the function behind the lock. Where a
    release of llvmlite has it elsewhere, parts are compiled one after the other.
    """
    from llvmlite.binding import ffi

    emit = getattr(ffi.lib.LLVMPY_TargetMachineEmitToMemory, "_cfn", None)
    if emit is None:
        return machine.emit_object(module)
    with ffi.OutputString() as error:
        buffer = emit(machine, module, 1, error)
        if not buffer:
            raise RuntimeError(str(error))
    try:
        start, size = (
            read(buffer) for read in (ffi.lib.LLVMPY_GetBufferStart, ffi.lib.LLVMPY_GetBufferSize)
        )
        return ctypes.string_at(start, size)
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)
