"""Native code of programs: from the cache, without the code generator, or compiled now."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from graphc.config import config
from graphc.program import Program
from graphc.runtime.cpu import jit
from graphc.runtime.cpu.cache import ObjectCache
from graphc.runtime.cpu.library import Library
from graphc.runtime.cpu.manifest import Manifest
from graphc.runtime.cpu.target import Target

if TYPE_CHECKING:
    from graphc.runtime.cpu.emitter import Module


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

    def build() -> Module:
        from graphc.runtime.cpu.shuffle import shuffle_module  # loads the code generator

        return shuffle_module(target)

    return _load_function("shuffle", build, target, pointers=2, integers=1)


@lru_cache(maxsize=4)
def load_random_bits(
    target: Target, word: int, dtype: str
) -> Callable[[int, int, int, int, int], None]:
    """Native code for `graphc.ops.random.Threefry`, see `graphc.runtime.cpu.random_bits`.

    Args:
        target: This machine.
        word: Which of the generator's two output words.
        dtype: The type of the indices.
    """

    def build() -> Module:
        from graphc.runtime.cpu.random_bits import random_bits_module  # loads the code generator

        return random_bits_module(target, word, dtype)

    return _load_function(
        "random_bits", build, target, pointers=2, integers=3, variant=f"{word} {dtype}"
    )


@lru_cache(maxsize=2)
def load_dropout(target: Target, dtype: str) -> Callable[..., None]:
    """Native code for `graphc.ops.random.Dropout`, see `graphc.runtime.cpu.random_bits`.

    Args:
        target: This machine.
        dtype: The type of the elements.
    """

    def build() -> Module:
        from graphc.runtime.cpu.random_bits import dropout_module  # loads the code generator

        return dropout_module(target, dtype)

    return _load_function("dropout", build, target, pointers=2, integers=5, variant=dtype)


def _load_function(
    name: str,
    build: Callable[[], Module],
    target: Target,
    pointers: int,
    integers: int,
    variant: str = "",
) -> Callable[..., None]:
    """A function that belongs to no program: the only one of a module that ``build`` writes."""
    cache = ObjectCache.default()
    code = cache.get(f"{name} {variant}", target, lambda: jit.emit_object(build().text(), target))
    types = [ctypes.c_void_p] * pointers + [ctypes.c_int64] * integers
    return jit.load_object(code).function(name, types)


def _compile(program: Program, target: Target) -> bytes:
    from graphc.runtime.cpu.compiler import compile_program  # loads the code generator

    return compile_program(program, target)
