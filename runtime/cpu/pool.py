"""The thread pool: parallel regions inside one native call.

A *run* is one call of a native function. Around it, `ThreadPool.run` sends its Python threads into
a native `worker`, which looks for work until the run ends; between runs the threads sleep in
Python. Inside the run, generated code opens *parallel regions* with `parallel`: a function to be
called once for each of a number of *chunks*, by whoever is free.

One 64-bit word, the ticket, holds the region's sequence number (upper half) and a bit for each
chunk that is still unclaimed (lower half). A chunk is claimed by a compare-and-exchange that clears
its bit; the thread that opened the region claims chunks like the others, then waits until the
*claimed* chunks are done. So nobody ever waits for a worker that is late or absent: busy
processors, fewer cores than threads, and a forked child without its parent's threads cost speed,
not progress. A worker that found nothing to do for a while sleeps until there is a new ticket (on
Linux; elsewhere it gives its core away again and again). What a chunk computes does not depend on
who runs it, so results are the same bits with any number of threads.

Each thread begins with a share of its own, the same in every region of as many chunks, and then
takes over the last chunks of others: what a core wrote in one region it mostly finds in its own
cache in the next.

Where other programs keep the cores busy, a worker may lose its core in the middle of a chunk, and
the others then wait for milliseconds. Where that costs more than the threads have gained since it
last happened, the next regions run on one thread: the longer, the more often it happens.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from graphc.runtime.cpu import jit
from graphc.runtime.cpu.cache import ObjectCache
from graphc.runtime.cpu.target import Target

Result = TypeVar("Result")

# The pool's memory, as byte offsets. What one side writes while the other spins on something else
# has a cache line (two, because processors fetch pairs) of its own.
LINE = 128
TICKET = 0
DONE = 1 * LINE  # how many chunks of the region have been computed
FUNCTION = 2 * LINE
CONTEXT = FUNCTION + 8
CHUNKS = FUNCTION + 16
SLEEPERS = FUNCTION + 24  # how many workers sleep until there is a new ticket
THREADS = FUNCTION + 32  # how many threads the pool has
ACTIVE = 3 * LINE  # 1 while a region is open; this and the next ones are the main thread's own
ALONE = ACTIVE + 8  # for how many ticks of regions it still works by itself
RETREAT = ACTIVE + 16  # for how many it last decided to
TOGETHER = ACTIVE + 24  # ticks of shared regions since one was late
SEQUENTIAL = ACTIVE + 32  # ticks that they would have taken one thread, all in all
RUN = 4 * LINE  # the number of the run, 0 between runs
BYTES = 5 * LINE

WORKER = "graphc_worker"


class ThreadPool:
    """Threads that help native functions with their parallel regions.

    The threads start with the first run, sleep between runs, and end with the pool.

    Args:
        threads: how many threads work on a region, the caller's included; more than there are
            cores is allowed.

    Raises:
        ValueError: `threads` is below 1.

    Example:
        >>> pool = ThreadPool(4)                                        # doctest: +SKIP
        >>> pool.run(lambda address: native_function(arguments, address))  # doctest: +SKIP
    """

    def __init__(self, threads: int) -> None:
        """Makes the pool; no thread starts yet."""
        if threads < 1:
            raise ValueError(f"a thread pool needs at least 1 thread, got {threads}")
        self.threads = threads
        self._owner = 0
        self._start()

    def _start(self) -> None:
        """A fresh state, of this process: a forked child has none of its parent's threads."""
        self._state = _State(self.threads)
        self._owner = os.getpid()
        self._started = False
        self._close = weakref.finalize(self, self._state.close)
        self._close.atexit = False  # sleeping threads end with the interpreter

    def run(self, main: Callable[[int], Result]) -> Result:
        """Calls `main` with the pool's address while the threads stand by.

        The address is 0, with which regions run sequentially and give the same bits, if there is
        no other thread, or if the pool is at work already: for another thread, or further down
        the stack of this one.

        Args:
            main: calls native code and hands it the address, which is valid until it returns.
        """
        if self.threads == 1:
            return main(0)
        if self._owner != os.getpid():
            self._close.detach()
            self._start()
        state = self._state
        if not state.in_use.acquire(blocking=False):
            return main(0)
        try:
            if not self._started:
                self._started = True
                worker = _native_worker()
                for number in range(1, self.threads):
                    threading.Thread(
                        target=_serve,
                        args=(state, worker, number),
                        name=f"graphc-{number}",
                        daemon=True,
                    ).start()
            state.begin()
            return main(state.address)
        finally:
            state.finish()
            state.in_use.release()

    def close(self) -> None:
        """Ends the threads; the pool starts new ones if it is used again."""
        self._close()
        self._start()


class _State:
    """What the threads of a pool share; they keep it alive, so that the pool itself can go."""

    def __init__(self, threads: int) -> None:
        self.buffer = ctypes.create_string_buffer(BYTES + LINE)
        self.address = -(-ctypes.addressof(self.buffer) // LINE) * LINE
        self.in_use = threading.Lock()
        self.changed = threading.Condition()
        self.run = 0
        self.closed = False
        ctypes.c_int64.from_address(self.address + THREADS).value = threads
        self._running = ctypes.c_int64.from_address(self.address + RUN)

    def begin(self) -> None:
        """Wakes the threads for a new run."""
        with self.changed:
            self.run += 1
            self._running.value = self.run
            self.changed.notify_all()

    def finish(self) -> None:
        """Sends the threads back from native code to sleep."""
        self._running.value = 0

    def close(self) -> None:
        """Ends the threads."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def next_run(self, last: int) -> int:
        """Sleeps until there is another run than the last one; its number, 0 when it is over."""
        with self.changed:
            self.changed.wait_for(lambda: self.closed or self.run != last)
            return 0 if self.closed else self.run


def _serve(state: _State, worker: Callable[[int, int, int], None], number: int) -> None:
    """What each thread of a pool does but the caller's, whose number is 0."""
    run = 0
    while run := state.next_run(run):
        # A thread that comes late, when the run is over, comes straight back.
        worker(state.address, run, number)


@cache
def _native_worker() -> Callable[[int, int, int], None]:
    """The compiled worker of this machine, one for all pools."""
    target = Target.host()
    code = ObjectCache.default().get("thread pool", target, lambda: _compile_worker(target))
    return jit.load_object(code).function(WORKER, [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64])


def _compile_worker(target: Target) -> bytes:
    from graphc.runtime.cpu.emitter import Module  # loads the code generator
    from graphc.runtime.cpu.threads import emit_worker

    module = Module(target)
    emit_worker(module)
    return jit.emit_object(module.text(), target)
