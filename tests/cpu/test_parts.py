"""Programs compiled in parts: archives of objects, parts that use each other, threads, errors."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from llvmlite.binding import ffi

from graphc.config import config
from graphc.errors import UnsupportedError
from graphc.program import Program
from graphc.runtime.cpu import archive, compiler, jit, lower, parts
from graphc.runtime.cpu.elf import ElfLibrary, UnsupportedObjectError
from graphc.runtime.cpu.emitter import Module
from graphc.runtime.cpu.parts import PartCompiler
from graphc.runtime.cpu.program import CpuExecutable
from graphc.runtime.cpu.target import Target
from tests.cpu.programs import BATCH, bits_of_steps, inputs_for, training_program

HOST = Target.host()
LOADERS = (ElfLibrary, jit.LlvmLibrary)


@given(st.lists(st.binary(), min_size=1))
def test_archives_hold_what_was_put_into_them(objects: list[bytes]) -> None:
    assume(not objects[0].startswith(b"!<arch>"))
    assert archive.split(archive.join(objects)) == objects


@pytest.mark.skipif(shutil.which("ar") is None, reason="needs ar")
def test_archives_are_those_of_ar(tmp_path: Path) -> None:
    objects = [b"odd", b"even", b"", b"x" * 100_000]
    (tmp_path / "ours.a").write_bytes(archive.join(objects))
    subprocess.run(["ar", "x", "ours.a"], cwd=tmp_path, check=True)
    assert [(tmp_path / f"part{i}.o").read_bytes() for i in range(4)] == objects
    names = [f"part{i}.o" for i in range(4)]
    subprocess.run(["ar", "qcS", "theirs.a", *names], cwd=tmp_path, check=True)
    assert archive.split((tmp_path / "theirs.a").read_bytes()) == objects


def test_damaged_archives_are_refused() -> None:
    whole = archive.join([b"first!", b"second"])
    for length in range(9, 74):
        with pytest.raises(ValueError, match="no sound member at byte 8"):
            archive.split(whole[:length])
        with pytest.raises(UnsupportedObjectError, match="no sound member"):
            ElfLibrary(whole[:length])
    assert archive.split(whole[:74]) == [b"first!"]
    for place in (8 + 50, 8 + 58):  # the size, the end of the header
        with pytest.raises(ValueError, match="no sound member at byte 8"):
            archive.split(whole[:place] + b"x" + whole[place + 1 :])


def in_parts() -> tuple[Module, list[str]]:
    """A module whose parts use each other's functions, constants and variables."""
    module = Module(HOST)
    texts = []

    def finish() -> None:
        part = module.part(1)
        assert part is not None
        texts.append(part)

    with module.function("first", [("x", "index")], "index", internal=True, noinline=True) as e:
        counter = module.address_of("counter")  # comes later
        e.store(e.add(e.load(counter, "index"), 1), counter)
        e.ret(e.mul(e.arguments[0], 3))
    finish()
    with module.function("second", [("x", "index")], "index", internal=True, noinline=True) as e:
        table = module.data("table", np.array([10, 20], np.int64).tobytes())
        assert module.part(1) is None  # a function is being written
        e.ret(e.add(e.call("first", "index", e.arguments[0]), e.load(table, "index")))
    assert module.part(10_000) is None  # too little
    finish()
    module.variable("counter", "index")
    with module.function("main", [("x", "index")], "index") as e:
        again = e.call("second", "index", e.call("second", "index", e.arguments[0]))
        e.ret(e.add(again, e.mul(1000, e.load(module.address_of("counter"), "index"))))
    texts.append(module.last_part())
    return module, texts


@pytest.mark.parametrize("loader", LOADERS)
def test_parts_use_each_other(loader: type[ElfLibrary] | type[jit.LlvmLibrary]) -> None:
    module, texts = in_parts()
    for code in (jit.emit_object(module.text(), HOST), compiled(texts, 1), compiled(texts, 2)):
        main = loader(code).function("main", [ctypes.c_int64], ctypes.c_int64)
        assert [main(x) for x in (0, 1)] == [2000 + 40, 4000 + 49]


def compiled(texts: list[str], threads: int) -> bytes:
    with closing(PartCompiler(HOST, threads)) as part_compiler:
        for text in texts:
            part_compiler.add(text)
        return part_compiler.finish()


def test_one_thread_or_several_give_the_same_bytes() -> None:
    _, texts = in_parts()
    assert len({compiled(texts, threads) for threads in (1, 2, 3, 8)}) == 1
    assert len(archive.split(compiled(texts, 2))) == len(texts) == 3
    assert compiled(texts[:1], 4) == jit.emit_object(texts[0], HOST)


def test_what_is_in_two_parts_is_refused() -> None:
    _, texts = in_parts()
    with pytest.raises(UnsupportedObjectError, match="two objects define 'second'"):
        ElfLibrary(compiled([*texts, texts[1]], 1))


def test_what_is_in_no_part_is_named() -> None:
    module = Module(HOST)
    with module.function("f", [], "index") as e:
        e.ret(e.load(module.address_of("nowhere"), "index"))
    with pytest.raises(RuntimeError, match="there is no function or variable nowhere"):
        module.last_part()
    part = module.part(1)
    assert part is not None
    with pytest.raises(UnsupportedObjectError, match="the process has no 'nowhere'"):
        ElfLibrary(jit.emit_object(part, HOST))


@pytest.mark.parametrize("threads", [1, 2])
def test_errors_come_through_and_leave_no_thread(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = threading.active_count()
    with pytest.raises(ValueError, match="the generated LLVM IR is invalid"):
        compiled(["define void @f() {\n call void @g()\n ret void\n}"], threads)

    def lower_some(program: Program, target: Target, hand_over: Callable[[str], None]) -> NoReturn:
        for _ in range(20):
            hand_over(in_parts()[1][0])
        raise UnsupportedError("no code")

    monkeypatch.setattr(config, "threads", threads)
    monkeypatch.setattr(compiler, "lower", lower_some)
    with pytest.raises(UnsupportedError, match="no code"):
        compiler.compile_program(training_program((3, 2)), HOST)
    assert threading.active_count() == before


def test_llvmlite_may_hide_the_function_behind_its_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    _, texts = in_parts()
    expected = compiled(texts, 2)
    behind = ffi.lib.LLVMPY_TargetMachineEmitToMemory
    monkeypatch.setitem(ffi.lib._fntab, behind._cfn.__name__, lambda *given: behind(*given))
    assert compiled(texts, 2) == expected


def test_what_programs_share_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled_texts: list[str] = []

    def emit(text: str, target: Target) -> bytes:
        compiled_texts.append(text)
        return jit.emit_object(text, target)

    monkeypatch.setattr(config, "cache_folder", None)
    monkeypatch.setattr(parts, "emit_object", emit)
    parts._shared_object.cache_clear()
    for program in small_and_large():
        compiler.compile_program(program, HOST)
    defined = [re.findall(r"^define [^@]*@([\w.]+)", text, re.M) for text in compiled_texts]
    everything = [name for names in defined for name in names]
    assert everything.count("graphc_parallel") == everything.count("graphc_launch") == 1
    assert everything.count("step") == 2


def small_and_large() -> list[Program]:
    return [training_program((3, 4, 2), "adam"), training_program((70, 90, 33, 64, 10))]


@pytest.mark.parametrize("program", small_and_large(), ids=["small", "large"])
@pytest.mark.parametrize("profile", [False, True])
def test_programs_in_many_parts_give_the_same_bits(
    program: Program, profile: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    """Parts of every size, down to one for each kernel."""
    monkeypatch.setattr(config, "cache_folder", None)
    monkeypatch.setattr(config, "profile", profile)
    data, state = inputs_for(program, {str(BATCH): 37})
    found, counts = [], []
    for least in (1, 5000, 1 << 30):
        monkeypatch.setattr(lower, "_PART", least)
        code = compiler.compile_program(program, HOST)
        counts.append(len(archive.split(code)))
        for loader in LOADERS:
            monkeypatch.setattr(jit, "load_object", loader)
            found.append(bits_of_steps(CpuExecutable(program, 2), data, state))
    assert all(x == found[0] for x in found)
    assert counts[0] > counts[1] >= counts[2] == 2  # what all programs share is one of them
