"""The thread pool: parallel regions inside one native call.

A *run* is one call of a native function. Around it, `ThreadPool.run` sends its Python threads into
a native `worker`, which looks for work until the run ends; between runs the threads sleep in
Python. Inside the run, generated code opens *parallel regions* with `parallel`: a function to be
called once for each of a number of *chunks*, by whoever is free.

One 64-bit word, the ticket, holds the region's sequence number (upper half) and how many chunks
are still unclaimed (lower half). A chunk is claimed by a compare-and-exchange that counts the
ticket down; the thread that opened the region claims chunks like the others, then waits until
the *claimed* chunks are done. So nobody ever waits for a worker that is late or absent: busy
processors, fewer cores than threads, and a forked child without its parent's threads cost speed,
not progress. What a chunk computes does not depend on who runs it, so results are the same bits
with any number of threads.
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
from graphc.runtime.cpu.emitter import Emitter, Module, Operand, Parameter, Register
from graphc.runtime.cpu.target import Target

Result = TypeVar("Result")

#: What a chunk's function takes: the region's context, and the number of the chunk.
CHUNK_PARAMETERS = (Parameter("context", "pointer"), Parameter("chunk", "index"))

#: The largest number of chunks of one region.
MOST_CHUNKS = (1 << 32) - 1

# The pool's memory, as byte offsets. What one side writes while the other spins on something else
# has a cache line (two, because processors fetch pairs) of its own.
_LINE = 128
_TICKET = 0
_DONE = 1 * _LINE  # how many chunks of the region have been computed
_FUNCTION = 2 * _LINE
_CONTEXT = _FUNCTION + 8
_CHUNKS = _FUNCTION + 16
_ACTIVE = _FUNCTION + 24  # 1 while a region is open
_RUN = 3 * _LINE  # the number of the run, 0 between runs
_BYTES = 4 * _LINE

#: A waiting thread gives its core to others each time it has looked so often: some microseconds,
#: so that it is seldom away when work comes, and little is lost where threads outnumber cores.
_SPINS = 256

_PARALLEL = "graphc_parallel"
_WORKER = "graphc_worker"


# Generated code ---------------------------------------------------------------------------------


def parallel(
    e: Emitter, pool: Register, function: Register, context: Register, chunks: Operand
) -> None:
    """Emits a parallel region: `function(context, i)` for each i from 0 up to `chunks`.

    The chunks run in any order and at the same time; when the region ends all are done and what
    they wrote can be read. They run one after the other, in order, if the pool is null, if there
    is only one, or inside another region.

    Args:
        e: where the region stands.
        pool: the address that `ThreadPool.run` hands out, or null.
        function: pointer to a function with `CHUNK_PARAMETERS` and no result
            (`module.address_of(name)`).
        context: what it gets, usually the address of a struct of pointers.
        chunks: how many times it is called, an index up to `MOST_CHUNKS`.
    """
    if not e.module.has_function(_PARALLEL):
        _emit_parallel(e.module)
    count = chunks if isinstance(chunks, Register) else e.index(int(chunks))
    e.call(_PARALLEL, None, pool, function, context, count)


def _emit_parallel(module: Module) -> None:
    """The function behind `parallel`, once in a module."""
    parameters = [
        ("pool", "pointer"),
        ("function", "pointer"),
        ("context", "pointer"),
        ("chunks", "index"),
    ]
    with module.function(_PARALLEL, parameters, internal=True, noinline=True) as e:
        pool, function, context, chunks = e.arguments
        usable = e.bitwise_and(e.compare("ne", pool, 0), e.compare("gt", chunks, 1))
        (shared,) = e.choose(
            usable,
            lambda: [e.compare("eq", e.load(_field(e, pool, _ACTIVE), "index"), 0)],
            lambda: [e.constant(False, "bool")],
        )
        with e.if_(shared):
            _publish(e, pool, function, context, chunks)
            _drain(e, pool)
            spins = e.stack("index")
            e.store(e.index(0), spins)
            with e.while_(lambda: e.compare("lt", _read(e, pool, _DONE), chunks)):
                _wait(e, spins)
            e.store(e.index(0), _field(e, pool, _ACTIVE))
        with e.if_(e.bitwise_not(shared)), e.loop(0, chunks) as chunk:
            e.call(function, None, context, chunk)


def emit_worker(module: Module) -> None:
    """Emits `graphc_worker(pool, run)`, which computes chunks until that run has ended."""
    with module.function(_WORKER, [("pool", "pointer"), ("run", "index")]) as e:
        pool, run = e.arguments
        spins = e.stack("index")
        e.store(e.index(0), spins)
        with e.while_(lambda: e.compare("eq", _read(e, pool, _RUN), run)):
            idle = e.compare("eq", _unclaimed(e, _read(e, pool, _TICKET)), 0)
            with e.if_(idle):
                _wait(e, spins)
            with e.if_(e.bitwise_not(idle)):
                _drain(e, pool)


def _publish(
    e: Emitter, pool: Register, function: Register, context: Register, chunks: Register
) -> None:
    """Opens a region: describes it, then shows it to the workers with a new ticket."""
    e.store(e.index(1), _field(e, pool, _ACTIVE))
    for x, place in ((function, _FUNCTION), (context, _CONTEXT), (chunks, _CHUNKS)):
        e.atomic_store(x, _field(e, pool, place), "monotonic")
    e.atomic_store(e.index(0), _field(e, pool, _DONE), "monotonic")
    sequence = e.bitwise_and(_read(e, pool, _TICKET), -1 << 32)
    ticket = e.bitwise_or(e.add(sequence, 1 << 32), chunks)
    e.atomic_store(ticket, _field(e, pool, _TICKET))


def _drain(e: Emitter, pool: Register) -> None:
    """Claims and computes chunks until none is left.

    What is read of the region between reading the ticket and claiming a chunk belongs to that
    ticket: a description changes only while nothing is unclaimed, and then the claim fails.
    """
    ticket: list[Register] = []

    def any_left() -> Register:
        ticket[:] = [_read(e, pool, _TICKET)]
        return e.compare("ne", _unclaimed(e, ticket[0]), 0)

    with e.while_(any_left):
        function, context, chunks = (
            e.atomic_load(_field(e, pool, place), dtype)
            for place, dtype in (
                (_FUNCTION, "pointer"),
                (_CONTEXT, "pointer"),
                (_CHUNKS, "index"),
            )
        )
        place = _field(e, pool, _TICKET)
        _, claimed = e.compare_exchange(place, ticket[0], e.sub(ticket[0], 1))
        with e.if_(claimed):
            e.call(function, None, context, e.sub(chunks, _unclaimed(e, ticket[0])))
            e.fetch_add(_field(e, pool, _DONE), e.index(1))


def _wait(e: Emitter, spins: Register) -> None:
    """One turn of a waiting loop: a pause, or each `_SPINS` turns a yield to other threads."""
    count = e.add(e.load(spins, "index"), 1)
    e.store(count, spins)
    patient = e.compare("ne", e.bitwise_and(count, _SPINS - 1), 0)
    with e.if_(patient):
        e.spin_hint()
    with e.if_(e.bitwise_not(patient)):
        if e.target.triple.startswith("wasm"):
            e.spin_hint()
        else:
            e.call("SwitchToThread" if "windows" in e.target.triple else "sched_yield", "int32")


def _field(e: Emitter, pool: Register, place: int) -> Register:
    return e.offset(pool, place, "uint8")


def _read(e: Emitter, pool: Register, place: int) -> Register:
    return e.atomic_load(_field(e, pool, place), "index")


def _unclaimed(e: Emitter, ticket: Register) -> Register:
    return e.bitwise_and(ticket, MOST_CHUNKS)


# Python threads ---------------------------------------------------------------------------------


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
        self._state = _State()
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
                        target=_serve, args=(state, worker), name=f"graphc-{number}", daemon=True
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

    def __init__(self) -> None:
        self.buffer = ctypes.create_string_buffer(_BYTES + _LINE)
        self.address = -(-ctypes.addressof(self.buffer) // _LINE) * _LINE
        self.in_use = threading.Lock()
        self.changed = threading.Condition()
        self.run = 0
        self.closed = False
        self._running = ctypes.c_int64.from_address(self.address + _RUN)

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


def _serve(state: _State, worker: Callable[[int, int], None]) -> None:
    """What each thread of a pool does."""
    run = 0
    while run := state.next_run(run):
        # A thread that comes late, when the run is over, comes straight back.
        worker(state.address, run)


@cache
def _native_worker() -> Callable[[int, int], None]:
    """The compiled worker of this machine, one for all pools."""
    target = Target.host()
    module = Module(target)
    emit_worker(module)
    text = module.text()
    code = ObjectCache.default().get(text, target, lambda: jit.emit_object(text, target))
    return jit.load_object(code).function(_WORKER, [ctypes.c_void_p, ctypes.c_int64])
