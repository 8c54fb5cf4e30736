"""Our loader of objects: the same code and bits as with LLVM's, and what it leaves to that."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from llvmlite import binding

from graphc.program import Program
from graphc.runtime.cpu import compiler, elf, jit
from graphc.runtime.cpu.elf import ElfLibrary, UnsupportedObjectError, is_supported
from graphc.runtime.cpu.library import Library
from graphc.runtime.cpu.program import CpuExecutable
from graphc.runtime.cpu.target import Target
from tests.cpu.programs import BATCH, bits_of_steps, inputs_for, training_program

pytestmark = pytest.mark.skipif(not is_supported(), reason="made for Linux on x86-64")

HOST = Target.host()
LOADERS = (ElfLibrary, jit.LlvmLibrary)

FUNCTIONS = """
@table = internal constant [8 x i64] [i64 1, i64 2, i64 3, i64 5, i64 8, i64 13, i64 21, i64 34]
@counter = internal global i64 7
@zeros = internal global [3000 x i64] zeroinitializer
@targets = internal constant [2 x ptr] [ptr @double, ptr @triple]
declare i64 @labs(i64)
define internal i64 @double(i64 %x) noinline {
  %y = mul i64 %x, 2
  ret i64 %y
}
define internal i64 @triple(i64 %x) noinline {
  %y = mul i64 %x, 3
  ret i64 %y
}
define i64 @looked_up(i64 %i) {
  %p = getelementptr i64, ptr @table, i64 %i
  %v = load i64, ptr %p
  ret i64 %v
}
define i64 @counted(i64 %x) {
  %old = load i64, ptr @counter
  %new = add i64 %old, %x
  store i64 %new, ptr @counter
  ret i64 %new
}
define i64 @filled(i64 %i) {
  %p = getelementptr i64, ptr @zeros, i64 %i
  %old = load i64, ptr %p
  store i64 %i, ptr %p
  ret i64 %old
}
define i64 @chosen(i64 %i) {
  %p = getelementptr ptr, ptr @targets, i64 %i
  %f = load ptr, ptr %p
  %y = call i64 %f(i64 100)
  ret i64 %y
}
define i64 @absolute(i64 %x) {
  %y = call i64 @labs(i64 %x)
  ret i64 %y
}
define double @constant(double %x) {
  %y = fmul double %x, 0x400921FB54442D18
  ret double %y
}
"""
CALLS = (
    ("looked_up", (0, 3, 7)),
    ("counted", (1, 10, -5)),
    ("filled", (2999, 0, 2999)),
    ("chosen", (0, 1)),
    ("absolute", (-(2**40), 5)),
)


def outcomes(library: Library) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for name, numbers in CALLS:
        function = library.function(name, [ctypes.c_int64], ctypes.c_int64)
        found[name] = [function(number) for number in numbers]
    function = library.function("constant", [ctypes.c_double], ctypes.c_double)
    found["constant"] = [function(2.0)]
    return found


def test_functions_constants_and_variables() -> None:
    code = jit.emit_object(FUNCTIONS, HOST)
    first, second = (outcomes(loader(code)) for loader in LOADERS)
    assert first == second
    assert first["counted"] == [8, 18, 13]
    assert first["filled"] == [0, 0, 2999]
    assert first["chosen"] == [200, 300]
    assert first["absolute"] == [2**40, 5]
    assert outcomes(ElfLibrary(code)) == first  # a library has variables of its own


def test_functions_outlive_their_library() -> None:
    code = jit.emit_object(FUNCTIONS, HOST)
    functions = []
    for _ in range(50):
        library = ElfLibrary(code)
        functions.append(library.function("looked_up", [ctypes.c_int64], ctypes.c_int64))
        del library
    gc.collect()
    assert {function(6) for function in functions} == {21}


def near_object(text: str) -> bytes:
    """The object of a module in which addresses are distances of 32 bits, as compilers prefer."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_triple(HOST.triple)
    machine = target.create_target_machine(cpu=HOST.cpu, reloc="pic", codemodel="default")
    module = binding.parse_assembly(text, context=binding.create_context())
    module.triple, module.data_layout = HOST.triple, str(machine.target_data)
    return machine.emit_object(module)


def test_references_of_32_bits() -> None:
    alone = FUNCTIONS.replace(
        "declare i64 @labs(i64)",
        "define internal i64 @labs(i64 %x) noinline"
        " {\n  %y = call i64 @llvm.abs.i64(i64 %x, i1 0)\n  ret i64 %y\n}",
    )
    code = near_object(alone)
    sections = elf._parse(code)
    kinds = {
        int(kind)
        for section in sections.sections[sections.sections["type"] == 4]
        for kind in sections.table(section, elf._RELOCATION)["type"]
    }
    assert {1, 2} <= kinds
    assert outcomes(ElfLibrary(code)) == outcomes(ElfLibrary(jit.emit_object(FUNCTIONS, HOST)))


@pytest.mark.parametrize("distance", (2**31 + 4, -(2**31) - 5, 2**40))
def test_what_is_out_of_reach_is_refused(distance: int) -> None:
    entries = np.array([(0, 2, 0, 0)], elf._RELOCATION)
    image = np.zeros(8, np.uint8)
    near = np.array([2**41 + 2**31 - 1], np.uint64)
    elf._relocate(image, 2**41, 0, entries, near)
    assert image[:4].view(np.int32)[0] == 2**31 - 1
    far = np.array([2**41 + distance], np.uint64)
    with pytest.raises(UnsupportedObjectError, match="further than 32 bits reach"):
        elf._relocate(image, 2**41, 0, entries, far)


def programs() -> list[Program]:
    return [
        training_program((3, 4, 4, 2), "adam"),
        training_program((70, 90, 33, 10)),
        training_program((5, 300, 10), "adam", "float64"),
        training_program((9, 8, 3), "sgd", "bfloat16"),
    ]


@pytest.mark.parametrize("program", programs(), ids=["small", "middle", "float64", "bfloat16"])
def test_programs_give_the_same_bits_with_either_loader(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, state = inputs_for(program, {str(BATCH): 37})
    found = []
    for loader in LOADERS:
        monkeypatch.setattr(jit, "load_object", loader)
        found.append(bits_of_steps(CpuExecutable(program, 2), data, state))
    assert found[0] == found[1]


def test_what_the_backend_compiles_is_loaded_without_llvm() -> None:
    for program in programs():
        ElfLibrary(jit.emit_object(compiler.lower(program, HOST).text(), HOST))


def other_target() -> bytes:
    target = Target.of("aarch64-unknown-linux-gnu", "", "+neon")
    return jit.emit_object("define void @f() {\n ret void\n}", target)


def thread_local() -> bytes:
    text = "@x = thread_local global i64 5\ndefine ptr @f() {\n ret ptr @x\n}"
    return jit.emit_object(text, HOST)


def unknown_function() -> bytes:
    text = "declare void @graphc_no_such_function()\ndefine void @f() {\n"
    return jit.emit_object(text + " call void @graphc_no_such_function()\n ret void\n}", HOST)


def windows() -> bytes:
    target = Target.of("x86_64-pc-windows-msvc", "x86-64", "")
    return jit.emit_object("define void @f() {\n ret void\n}", target)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (other_target, "no object file for x86-64 Linux"),
        (windows, "no object file for x86-64 Linux"),
        (thread_local, "thread-local"),
        (unknown_function, "the process has no 'graphc_no_such_function'"),
        (lambda: b"", "too short"),
        (lambda: bytes(1000), "no object file"),
    ],
    ids=["aarch64", "windows", "thread-local", "unknown function", "empty", "zeros"],
)
def test_what_it_does_not_know_is_refused(build: Callable[[], bytes], message: str) -> None:
    with pytest.raises(UnsupportedObjectError, match=message):
        ElfLibrary(build())


def test_damage_is_refused_or_harmless() -> None:
    code = jit.emit_object(FUNCTIONS, HOST)
    header = bytearray(code)
    for length in range(0, len(code), 97):
        with pytest.raises(UnsupportedObjectError):
            ElfLibrary(code[:length])
    for place in range(16, 64):  # the numbers of the header
        header = bytearray(code)
        header[place] ^= 0xFF
        try:
            library = ElfLibrary(bytes(header))
        except UnsupportedObjectError:
            continue
        assert outcomes(library)["constant"] == outcomes(ElfLibrary(code))["constant"], place


def test_llvm_loads_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    code = jit.emit_object(FUNCTIONS, HOST)
    assert isinstance(jit.load_object(code), ElfLibrary)
    monkeypatch.setattr("graphc.runtime.cpu.elf.is_supported", lambda: False)
    library = jit.load_object(code)
    assert isinstance(library, jit.LlvmLibrary)
    assert outcomes(library)["chosen"] == [200, 300]


def test_memory_is_never_both_writable_and_executable() -> None:
    code = jit.emit_object(FUNCTIONS, HOST)
    library = ElfLibrary(code)
    wanted = {name: library.address(name) for name, _ in CALLS}
    rights = []
    with open("/proc/self/maps") as file:
        for line in file:
            bounds, right = line.split()[:2]
            begin, end = (int(x, 16) for x in bounds.split("-"))
            rights += [right for address in wanted.values() if begin <= address < end]
    assert set(rights) == {"r-xp"}
    assert len(rights) == len(CALLS)


def test_memory_is_given_back() -> None:
    code = jit.emit_object(FUNCTIONS, HOST)
    script = f"""
import ctypes
from graphc.runtime.cpu.elf import ElfLibrary
code = {code!r}
def mappings():
    return len(open("/proc/self/maps").readlines())
ElfLibrary(code)
before = mappings()
for _ in range(200):
    ElfLibrary(code).function("absolute", [ctypes.c_int64], ctypes.c_int64)(-3)
assert mappings() < before + 20, (before, mappings())
"""
    subprocess.run([sys.executable, "-c", script], check=True)
