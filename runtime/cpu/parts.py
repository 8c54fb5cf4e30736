"""Compiling a module in parts, on several threads, while the rest of it is being written."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache

from graphc.runtime.cpu import archive
from graphc.runtime.cpu.cache import ObjectCache
from graphc.runtime.cpu.jit import emit_object, load_llvm
from graphc.runtime.cpu.target import Target


class PartCompiler:
    """Compiles the parts of a module side by side, while they are still being written.

    Args:
        target: the processor to generate code for.
        threads: how many parts may be compiled at once; with one, each is compiled by `add` itself.

    Example:
        ::

            with closing(PartCompiler(target, threads=2)) as compiler:
                module = write(compiler.add)
                compiler.add(module.last_part())
                compiler.add_shared(module.shared_part())
                code = compiler.finish()
    """

    def __init__(self, target: Target, threads: int) -> None:
        """Starts to load LLVM, which takes longer than writing a small module."""
        self._target = target
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._objects: list[bytes | Future[bytes]] = []
        if self._pool is not None:
            self._pool.submit(load_llvm)

    def close(self) -> None:
        """Ends the threads; what they have not begun is left undone."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def add(self, part: str) -> None:
        """Begins to compile the text of a part, with the errors of `emit_object`, or `finish`'s."""
        if self._pool is None:
            self._objects.append(emit_object(part, self._target))
        else:
            self._objects.append(self._pool.submit(emit_object, part, self._target))

    def add_shared(self, part: str | None) -> None:
        """The same for a part that other modules have, too: it is compiled once."""
        if part is not None:
            self._objects.append(_shared_object(part, self._target))

    def finish(self) -> bytes:
        """The object code of all parts, in the order in which they came, when they are compiled."""
        return archive.join([x if isinstance(x, bytes) else x.result() for x in self._objects])


@lru_cache(maxsize=8)
def _shared_object(part: str, target: Target) -> bytes:
    key = hashlib.sha256(part.encode()).hexdigest()
    return ObjectCache.default().get(f"shared {key}", target, lambda: emit_object(part, target))
