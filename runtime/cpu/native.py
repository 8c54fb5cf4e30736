"""Native code of programs: from the cache, without the code generator, or compiled now."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from graphc.config import config
from graphc.program import Program
from graphc.runtime.cpu import jit
from graphc.runtime.cpu.cache import ObjectCache
from graphc.runtime.cpu.library import Library
from graphc.runtime.cpu.manifest import Manifest
from graphc.runtime.cpu.target import Target


@dataclass(frozen=True)
class Native:
    """A loaded program.

    Attributes:
        library: Its code: ``step``, ``run`` and ``scratch_bytes``.
        manifest: What its context looks like.
    """

    library: Library
    manifest: Manifest


def load(program: Program, target: Target) -> Native:
    """The native code of a program, from the cache if it was compiled before.

    Args:
        program: What to compile.
        target: This machine.

    Raises:
        UnsupportedError: The program holds an op that the backend has no code for.
    """
    text = program.as_text(locations=False) + ("\nprofile" if config.profile else "")
    key = hashlib.sha256(text.encode()).hexdigest()
    code = ObjectCache.default().get(key, target, lambda: _compile(program, target))
    library = jit.load_object(code)
    if config.profile:
        from graphc.runtime.cpu.profile import show_at_end  # loads the code generator

        show_at_end(program.name, library)
    manifest = ctypes.string_at(library.function("manifest", [], ctypes.c_void_p)())
    return Native(library, Manifest.from_json(manifest.decode()))


@lru_cache(maxsize=2)
def load_shuffle(target: Target) -> Callable[[int, int, int], None]:
    """Native code for `graphc.shuffle.Shuffle.numbers`; one object for all programs.

    Args:
        target: This machine.
    """
    code = ObjectCache.default().get("shuffle", target, lambda: _compile_shuffle(target))
    types = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    return jit.load_object(code).function("shuffle", types)


def _compile_shuffle(target: Target) -> bytes:
    from graphc.runtime.cpu.shuffle import shuffle_module  # loads the code generator

    return jit.emit_object(shuffle_module(target).text(), target)


def _compile(program: Program, target: Target) -> bytes:
    from graphc.runtime.cpu.compiler import compile_program  # loads the code generator

    return compile_program(program, target)
