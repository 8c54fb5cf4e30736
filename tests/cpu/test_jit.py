"""Compiling, loading and keeping object code."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from graphc.config import config
from graphc.runtime.cpu import jit
from graphc.runtime.cpu.cache import ObjectCache, entry_name
from graphc.runtime.cpu.emitter import Module
from graphc.runtime.cpu.target import Target

HOST = Target.host()


def adder(amount: int, target: Target = HOST) -> str:
    module = Module(target)
    with module.function("add", [("x", "index")], "index") as e:
        e.ret(e.add(e.arguments[0], amount))
    with module.function("wide", [("x", "pointer")]) as e:
        lanes = 2 * target.lanes("float32")
        value = e.load(e.arguments[0], "float32", lanes)
        e.store(e.fma(value, value, value), e.arguments[0])
    return module.text()


def run(object_code: bytes, x: int) -> int:
    return jit.load_object(object_code).function("add", [ctypes.c_int64], ctypes.c_int64)(x)


def test_functions_outlive_their_library() -> None:
    functions = []
    for amount in range(20):
        library = jit.load_object(jit.emit_object(adder(amount), HOST))
        functions.append(library.function("add", [ctypes.c_int64], ctypes.c_int64))
        del library
        gc.collect()
    assert [f(100) for f in functions] == list(range(100, 120))


def test_the_same_text_gives_the_same_bytes() -> None:
    assert jit.emit_object(adder(1), HOST) == jit.emit_object(adder(1), HOST)


def test_unknown_symbol_is_named() -> None:
    library = jit.load_object(jit.emit_object(adder(1), HOST))
    with pytest.raises(KeyError, match="no usable symbol 'subtract'"):
        library.function("subtract")


def test_invalid_ir_is_an_error_with_the_line() -> None:
    with pytest.raises(ValueError, match="add i64 %x, %nothing"):
        jit.emit_object("define i64 @f(i64 %x) {\n %y = add i64 %x, %nothing\n ret i64 %y\n}", HOST)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (
            Target.of(
                "x86_64-unknown-linux-gnu",
                "znver4",
                "+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx2,+fma,+evex512",
            ),
            "zmm",
        ),
        (Target.x86_64_v3(), "vfmadd"),
        (Target.x86_64_baseline(), "mulps"),
        (Target.of("aarch64-unknown-linux-gnu", "", "+neon"), "fmla"),
        (Target.of("wasm32-unknown-unknown", "", "+simd128"), "f32x4.mul"),
    ],
    ids=["avx512", "avx2", "sse2", "neon", "wasm"],
)
def test_vectors_are_as_wide_as_the_target_says(target: Target, expected: str) -> None:
    assembly = jit.emit_assembly(adder(1, target), target)
    assert expected in assembly
    assert "fmaf" not in assembly.replace("vfmaf", "")


def test_targets_say_what_they_hold() -> None:
    assert Target.x86_64_v3().lanes("float32") == 8
    assert Target.x86_64_v3().lanes("float64") == 4
    assert Target.x86_64_baseline().lanes("bool") == 16
    assert not Target.x86_64_baseline().has_fma
    assert Target.host() == HOST
    assert "avx2" in Target.x86_64_v3().feature_set


def test_cache_builds_once(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path / "new" / "folder")
    builds = []

    def build() -> bytes:
        builds.append(1)
        return jit.emit_object(adder(5), HOST)

    assert run(cache.get("key", HOST, build), 1) == 6
    assert run(cache.get("key", HOST, build), 1) == 6
    assert len(builds) == 1
    cache.get("other key", HOST, build)
    cache.get("key", Target.x86_64_v3(), build)
    assert len(builds) == 3


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "folder"])
def test_damaged_entries_are_rebuilt(tmp_path: Path, damage: str) -> None:
    cache = ObjectCache(tmp_path)
    cache.get("key", HOST, lambda: b"good code")
    (entry,) = tmp_path.iterdir()
    content = entry.read_bytes()
    if damage == "truncated":
        entry.write_bytes(content[:-3])
    elif damage == "flipped":
        entry.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "empty":
        entry.write_bytes(b"")
    else:
        entry.unlink()
        entry.mkdir()
    assert cache.get("key", HOST, lambda: b"rebuilt") == b"rebuilt"
    if damage != "folder":
        assert cache.get("key", HOST, lambda: b"never") == b"rebuilt"
    assert not list(tmp_path.glob(".new-*"))


def test_longest_unused_entries_are_evicted(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path, limit=3000)
    for number in range(4):
        cache.get(str(number), HOST, lambda: bytes(900))
        for age, path in enumerate(tmp_path.iterdir()):
            assert path.stat().st_size < 1000, age
        stamp = 1000 + number
        os.utime(tmp_path / f"{entry_name(str(number), HOST)}.graphc-object", (stamp, stamp))
        if number == 2:
            cache.get("0", HOST, lambda: b"never built")
    kept = {path.stem for path in tmp_path.iterdir()}
    assert kept == {entry_name(name, HOST) for name in ("0", "2", "3")}


def test_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("a file where a folder should be")
    assert ObjectCache(blocker / "cache").get("key", HOST, lambda: b"code") == b"code"


def test_default_folder_is_the_configured_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(config, "cache_folder", tmp_path / "mine")
    assert ObjectCache.default().folder == tmp_path / "mine"
    monkeypatch.setattr(config, "cache_folder", None)
    cache = ObjectCache.default()
    assert cache.get("key", HOST, lambda: b"built") == b"built"
    assert cache.get("key", HOST, lambda: b"again") == b"again"


def test_llvmlite_loads_only_when_something_is_compiled(tmp_path: Path) -> None:
    code = (
        "import sys; from graphc.runtime.cpu import cache, emitter, jit, target;"
        "t = target.Target.x86_64_v3(); cache.entry_name('k', t); m = emitter.Module(t);"
        "m.function('f').end(); m.text(); sys.exit('llvmlite' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fills the address space")
def test_code_and_constants_may_lie_far_apart():
    # In a process of its own: where addresses do not reach, the loader ends the process.
    script = """
import ctypes, mmap
from graphc.runtime.cpu import jit
from graphc.runtime.cpu.target import Target
text = '@x = constant [4096 x i64] ' + '[' + ', '.join(['i64 7'] * 4096) + ']' + '''
define i64 @f(i64 %i) {
  %p = getelementptr i64, ptr @x, i64 %i
  %v = load i64, ptr %p
  ret i64 %v
}
'''
code = jit.emit_object(text, Target.host())
kept = []
for _ in range(40):
    function = jit.load_object(code).function("f", [ctypes.c_int64], ctypes.c_int64)
    assert function(9) == 7
    no_reserve = 0x4000
    gap = mmap.mmap(-1, 3 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | no_reserve)
    kept.append((function, gap))
"""
    subprocess.run([sys.executable, "-P", "-c", script], check=True)
