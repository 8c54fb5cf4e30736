"""Starting: what a second process need not load or do again, and what it must not believe."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from graphc.config import config
from graphc.runtime.cpu import host, jit, target
from graphc.runtime.cpu.cache import ObjectCache
from graphc.runtime.cpu.elf import is_supported
from graphc.runtime.cpu.target import Target

SCRIPT = """
import sys
import numpy as np
from graphc import keras
from graphc.keras import layers
keras.utils.set_random_seed(7)
model = keras.Sequential([keras.Input((9,)), layers.Dense(50, activation="relu"), layers.Dense(3)])
model.compile("adam", "mse", metrics=["mae"])
x = np.linspace(-1, 1, 900, dtype="float32").reshape(100, 9)
history = model.fit(x, x[:, :3], epochs=2, verbose=0)
print(history.history)
print(model.predict(x[:2], verbose=0).tolist())
heavy = ("llvmlite", "onnx", "h5py", "yaml", "rich", "graphc.runtime.cpu.compiler", "graphc.passes")
print([name for name in heavy if name in sys.modules])
"""


def run(folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "GRAPHC_CACHE": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.skipif(not is_supported(), reason="LLVM loads the objects elsewhere")
def test_a_second_process_trains_and_predicts_without_the_compiler(tmp_path: Path) -> None:
    first, second = run(tmp_path), run(tmp_path)
    assert "llvmlite" in first[-1]
    assert second[-1] == "[]"
    assert second[:-1] == first[:-1]


def test_the_processor_is_described_as_llvm_does() -> None:
    host.describe_host.cache_clear()
    assert tuple(host.describe_host()) == jit.describe_host()
    assert Target.host() == Target.of(*jit.describe_host())


CPUINFO = """processor\t: {number}
vendor_id\t: {vendor}
cpu family\t: 25
model\t\t: 17
model name\t: A processor
stepping\t: 1
cpu MHz\t\t: {speed}
flags\t\t: {flags}

processor\t: 1
flags\t\t: other
"""


def fingerprint(path: Path, **changes: str) -> str | None:
    values = {"number": "0", "vendor": "AuthenticAMD", "speed": "3000.1", "flags": "sse avx2"}
    path.write_text(CPUINFO.format(**{**values, **changes}))
    return host._fingerprint(path)


def test_processors_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    one = fingerprint(path)
    assert one is not None
    assert "avx2" in one
    assert fingerprint(path, speed="1200.0", number="3") == one
    assert fingerprint(path, flags="sse avx2 avx512f") != one
    assert fingerprint(path, vendor="GenuineIntel") != one


def test_where_linux_says_too_little_llvm_is_asked(tmp_path: Path) -> None:
    assert host._fingerprint(tmp_path / "nowhere") is None
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\n\n")
    assert host._fingerprint(path) is None
    path.write_text("")
    assert host._fingerprint(path) is None


def write_cache(folder: Path, number: int, **content: str) -> None:
    place = folder / f"index{number}"
    place.mkdir()
    for name, text in content.items():
        (place / name).write_text(f"{text}\n")


def test_caches_are_read_where_linux_knows_them(tmp_path: Path) -> None:
    kinds = [("1", "Data", "48K", "12"), ("1", "Instruction", "32K", "8")]
    kinds += [("2", "Unified", "2048K", "16"), ("3", "Unified", "unknown", "")]
    for number, (level, kind, size, ways) in enumerate(kinds):
        write_cache(tmp_path, number, level=level, type=kind, size=size, ways_of_associativity=ways)
    write_cache(tmp_path, 4, level="4")
    assert host.describe_caches(tmp_path) == {1: (48 * 1024, 12), 2: (2048 * 1024, 16)}
    assert host.describe_caches(tmp_path / "nowhere") == {}


@pytest.mark.parametrize(
    "found", [{}, {1: (0, 8), 2: (1 << 20, 16)}, {2: (1024, 8)}, {2: (1 << 20, 0)}]
)
def test_caches_that_cannot_be_are_not_believed(
    found: dict[int, tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "describe_caches", lambda: found)
    assert target.Caches.host() == target.Caches()


def test_another_processor_is_asked_about_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "cache_folder", tmp_path)
    asked = []

    def ask() -> tuple[str, str, str]:
        asked.append(1)
        return ("triple", f"cpu{len(asked)}", "+sse")

    monkeypatch.setattr(jit, "describe_host", ask)
    found = []
    for prints in ("host a", "host b", "host a"):
        monkeypatch.setattr(host, "_fingerprint", lambda file, prints=prints: prints)
        host.describe_host.cache_clear()
        found.append(host.describe_host()[1])
    host.describe_host.cache_clear()
    assert found == ["cpu1", "cpu2", "cpu1"]


def world_writable(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.chmod(0o666)


def of_another_user(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    if path.stat().st_uid == 0:
        pytest.skip("files of the system's administrator are trusted")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="other systems have other permissions")
@pytest.mark.parametrize("change", (world_writable, of_another_user))
def test_code_that_others_may_have_written_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[..., None]
) -> None:
    cache = ObjectCache(tmp_path)
    assert cache.get("key", None, lambda: b"first") == b"first"
    assert cache.get("key", None, lambda: b"second") == b"first"
    (entry,) = tmp_path.iterdir()
    change(entry, monkeypatch)
    assert cache.get("key", None, lambda: b"third") == b"third"
    monkeypatch.undo()
    assert cache.get("key", None, lambda: b"fourth") == b"third"
