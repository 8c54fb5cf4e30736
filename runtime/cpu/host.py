"""The processor that we run on: its name in LLVM's words, and how large its caches are.

LLVM's words are remembered, as asking LLVM means to load it.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from graphc.runtime.cpu import jit
from graphc.runtime.cpu.cache import ObjectCache

#: What tells one x86-64 processor from another, of what Linux says about it.
_FIELDS = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags")
#: Where Linux says what caches the first processor has, one folder each.
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


@cache
def describe_host() -> tuple[str, str, str]:
    """The triple, processor name and feature string of this machine."""
    fingerprint = _fingerprint(Path("/proc/cpuinfo"))
    if fingerprint is None:
        return jit.describe_host()

    def ask() -> bytes:
        return json.dumps(jit.describe_host()).encode()

    triple, cpu, features = json.loads(ObjectCache.default().get(fingerprint, None, ask))
    return triple, cpu, features


def _fingerprint(file: Path) -> str | None:
    """What Linux knows of the first processor; None elsewhere, and where it is not enough."""
    found = {}
    try:
        with file.open() as lines:
            for line in lines:
                name, colon, value = line.partition(":")
                if not colon:
                    break  # the next processor
                found[name.strip()] = value.strip()
    except OSError:
        return None
    if not all(name in found for name in _FIELDS):
        return None
    return "host " + json.dumps([found[name] for name in _FIELDS])


@cache
def describe_caches(folder: Path = _CACHES) -> dict[int, tuple[int, int]]:
    """Bytes and ways of the first processor's data caches, by level; empty where it is unknown."""
    found = {}
    for place in sorted(folder.glob("index*")):
        try:
            names = ("level", "type", "size", "ways_of_associativity")
            level, kind, size, ways = ((place / name).read_text().strip() for name in names)
            if kind != "Instruction":
                found[int(level)] = (int(size.removesuffix("K")) * 1024, int(ways))
        except (OSError, ValueError):
            continue  # a virtual machine may say less
    return found
