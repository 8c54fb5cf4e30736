"""Parallel regions: code that lets the threads of a pool help.

`graphc.runtime.cpu.pool` says how it works.
"""

from __future__ import annotations

from graphc.runtime.cpu.emitter import Emitter, Module, Operand, Parameter, Register
from graphc.runtime.cpu.pool import (
    ACTIVE,
    ALONE,
    CHUNKS,
    CONTEXT,
    DONE,
    FUNCTION,
    RETREAT,
    RUN,
    SEQUENTIAL,
    SLEEPERS,
    THREADS,
    TICKET,
    TOGETHER,
    WORKER,
)

#: What a chunk's function takes: the region's context, and the number of the chunk.
CHUNK_PARAMETERS = (Parameter("context", "pointer"), Parameter("chunk", "index"))

#: The largest number of chunks of one region: each has a bit in the lower half of the ticket.
MOST_CHUNKS = 32
_CHUNK_BITS = (1 << MOST_CHUNKS) - 1

#: A waiting thread gives its core to others each time it has looked so often: some microseconds,
#: so that it is seldom away when work comes, and little is lost where threads outnumber cores.
_SPINS = 256

#: A worker sleeps when it has looked so often: a fifth of a millisecond. Waking takes some tens of
#: microseconds, and steps of a program mostly follow each other faster than that.
_PATIENCE = 4096

#: How long it sleeps at most, in nanoseconds: then it sees whether the run is over.
_NAP = 2_000_000

#: The numbers of Linux's system call `futex`, by processor.
_FUTEX = {"x86_64": 202, "aarch64": 98}
_FUTEX_WAIT, _FUTEX_WAKE = 128, 129  # within this process

#: A region is late if the main thread waits for its end for longer than it worked, and for so many
#: ticks of the clock: a millisecond.
_LATE = 3_000_000
#: Threads are worth it if, from one late region to the next, they were so many times as fast as the
#: main thread alone would have been (a fraction). Just as fast is not enough: where other programs
#: want the cores, one thread gets more of one than each of several.
_WORTH_SHARING = (4, 3)
#: If not, it is alone for so many times what it waited, or for twice as long as the last time, and
#: at most for so many ticks: a third of a second.
_TIMES_WAITED = 4
_LONGEST_RETREAT = 1_000_000_000
#: Processors whose clock any program may read.
_CLOCKS = ("x86_64",)

_PARALLEL = "graphc_parallel"


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

    Raises:
        ValueError: there are more chunks, as far as that is known here.
    """
    if isinstance(chunks, int) and chunks > MOST_CHUNKS:
        raise ValueError(f"a region has at most {MOST_CHUNKS} chunks, got {chunks}")
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
    with module.function(_PARALLEL, parameters, internal=True, noinline=True, shared=True) as e:
        pool, function, context, chunks = e.arguments
        usable = e.bitwise_and(e.compare("ne", pool, 0), e.compare("gt", chunks, 1))
        no, none = e.constant(False, "bool"), e.index(0)
        shared, alone, left = e.choose(usable, lambda: _who_works(e, pool), lambda: [no, no, none])
        begun = _clock(e)
        with e.if_(shared):
            _publish(e, pool, function, context, chunks)
            _drain(e, pool, e.index(0))
            worked = _clock(e)
            spins = e.stack("index")
            e.store(e.index(0), spins)
            with e.while_(lambda: e.compare("lt", _read(e, pool, DONE), chunks)):
                _wait(e, spins)
            _notice_delay(e, pool, begun, worked, chunks)
            e.store(e.index(0), _field(e, pool, ACTIVE))
        with e.if_(e.bitwise_not(shared)), e.loop(0, chunks) as chunk:
            e.call(function, None, context, chunk)
        with e.if_(alone):
            place = _field(e, pool, ALONE)
            # Clocks may jump back where a machine is moved, and regions inside counted already.
            passed = e.maximum(e.sub(_clock(e), begun), e.index(0))
            e.store(e.minimum(e.sub(left, passed), e.load(place, "index")), place)


def _who_works(e: Emitter, pool: Register) -> list[Register]:
    """Whether the threads can take a region; whether they could, had they not been late; and for
    how long that still counts.

    They can take none inside a region that they share.
    """
    closed = e.compare("eq", e.load(_field(e, pool, ACTIVE), "index"), 0)
    left = e.load(_field(e, pool, ALONE), "index")
    late = e.compare("gt", left, 0)
    return [e.logical_and(closed, e.bitwise_not(late)), e.logical_and(closed, late), left]


def _notice_delay(
    e: Emitter, pool: Register, begun: Register, worked: Register, chunks: Register
) -> None:
    """Decides for how long the main thread had better be alone."""
    now, none = _clock(e), e.index(0)
    own, waited = e.sub(worked, begun), e.sub(now, worked)
    late = e.compare("gt", waited, e.maximum(own, e.index(_LATE)))
    helpers = e.minimum(e.load(_field(e, pool, THREADS), "index"), chunks)
    sums = []
    for ticks, place in ((e.sub(now, begun), TOGETHER), (e.mul(own, helpers), SEQUENTIAL)):
        sums.append(e.add(e.load(_field(e, pool, place), "index"), ticks))
        e.store(e.select(late, none, sums[-1]), _field(e, pool, place))
    with e.if_(late):
        last = e.load(_field(e, pool, RETREAT), "index")
        longer = e.maximum(e.mul(last, 2), e.mul(waited, _TIMES_WAITED))
        longer = e.minimum(longer, e.index(_LONGEST_RETREAT))
        times, over = _WORTH_SHARING
        is_worth = e.compare("ge", e.mul(sums[1], over), e.mul(sums[0], times))
        e.store(e.select(is_worth, none, longer), _field(e, pool, ALONE))
        e.store(e.select(is_worth, e.shift_right(last, 1), longer), _field(e, pool, RETREAT))


def _clock(e: Emitter) -> Register:
    """The time in ticks; always 0 where programs may not read a clock."""
    if not e.target.triple.startswith(_CLOCKS):
        return e.index(0)
    ticks = e.call("llvm.readcyclecounter", "index")
    assert ticks is not None
    return ticks


def emit_worker(module: Module) -> None:
    """Emits `graphc_worker(pool, run, number)`: computes chunks until that run has ended.

    The number is that of the thread; the main thread has number 0.
    """
    parameters = [("pool", "pointer"), ("run", "index"), ("number", "index")]
    with module.function(WORKER, parameters) as e:
        pool, run, number = e.arguments
        spins = e.stack("index")
        e.store(e.index(0), spins)
        with e.while_(lambda: e.compare("eq", _read(e, pool, RUN), run)):
            idle = e.compare("eq", _unclaimed(e, _read(e, pool, TICKET)), 0)
            with e.if_(idle):
                _wait(e, spins)
                with e.if_(e.compare("ge", e.load(spins, "index"), _PATIENCE)):
                    woken = _sleep(e, pool)
                    # After a nap that nobody ended there mostly is nothing to do.
                    e.store(e.select(woken, e.index(0), e.index(_PATIENCE - 1)), spins)
            with e.if_(e.bitwise_not(idle)):
                _drain(e, pool, number)
                e.store(e.index(0), spins)


def _publish(
    e: Emitter, pool: Register, function: Register, context: Register, chunks: Register
) -> None:
    """Opens a region: describes it, then shows it to the workers with a new ticket."""
    e.store(e.index(1), _field(e, pool, ACTIVE))
    for x, place in ((function, FUNCTION), (context, CONTEXT), (chunks, CHUNKS)):
        e.atomic_store(x, _field(e, pool, place), "monotonic")
    e.atomic_store(e.index(0), _field(e, pool, DONE), "monotonic")
    sequence = e.bitwise_and(_read(e, pool, TICKET), -1 << 32)
    ticket = e.bitwise_or(e.add(sequence, 1 << 32), _bits_below(e, chunks))
    e.atomic_store(ticket, _field(e, pool, TICKET))
    if _futex(e) is None:
        return
    # Adding nothing, unlike reading, comes after the ticket is there for all to see.
    sleepers = e.fetch_add(_field(e, pool, SLEEPERS), e.index(0), "seq_cst")
    with e.if_(e.compare("ne", sleepers, 0)):
        _call_futex(e, pool, _FUTEX_WAKE, (1 << 31) - 1, e.constant(0, "pointer"))


def _sleep(e: Emitter, pool: Register) -> Register:
    """Sleeps until there is a ticket with unclaimed chunks, or for `_NAP` nanoseconds.

    Returns:
        Whether somebody ended the sleep; true where nobody can sleep.
    """
    if _futex(e) is None:
        return e.constant(True, "bool")
    limit = e.stack("index", 2)  # seconds, nanoseconds
    e.store(e.index(0), limit)
    e.store(e.index(_NAP), e.offset(limit, 1, "index"))
    e.fetch_add(_field(e, pool, SLEEPERS), e.index(1), "seq_cst")
    # The kernel looks at the ticket's lower half, the unclaimed chunks, and returns if it is not 0.
    result = _call_futex(e, pool, _FUTEX_WAIT, 0, limit)
    e.fetch_add(_field(e, pool, SLEEPERS), e.index(-1), "seq_cst")
    return e.compare("eq", result, 0)


def _call_futex(e: Emitter, pool: Register, what: int, number: int, limit: Register) -> Register:
    call, operation, value = (e.index(x) for x in (_futex(e) or 0, what, number))
    ticket = _field(e, pool, TICKET)
    result = e.call("syscall", "index", call, ticket, operation, value, limit)
    assert result is not None
    return result


def _futex(e: Emitter) -> int | None:
    """The number of the system call, where the target has it."""
    processor, _, system = e.target.triple.partition("-")
    return _FUTEX.get(processor) if "linux" in system else None


def _drain(e: Emitter, pool: Register, number: Register) -> None:
    """Claims and computes chunks until none is left, the thread's own share first.

    What is read of the region between reading the ticket and claiming a chunk belongs to that
    ticket: a description changes only while nothing is unclaimed, and then the claim fails.
    """
    ticket: list[Register] = []

    def any_left() -> Register:
        ticket[:] = [_read(e, pool, TICKET)]
        return e.compare("ne", _unclaimed(e, ticket[0]), 0)

    with e.while_(any_left):
        function, context, chunks = (
            e.atomic_load(_field(e, pool, place), dtype)
            for place, dtype in (
                (FUNCTION, "pointer"),
                (CONTEXT, "pointer"),
                (CHUNKS, "index"),
            )
        )
        chunk = _choose(e, pool, number, chunks, _unclaimed(e, ticket[0]))
        rest = e.sub(ticket[0], e.shift_left(e.index(1), chunk))
        _, claimed = e.compare_exchange(_field(e, pool, TICKET), ticket[0], rest)
        with e.if_(claimed):
            e.call(function, None, context, chunk)
            e.fetch_add(_field(e, pool, DONE), e.index(1))


def _choose(
    e: Emitter, pool: Register, number: Register, chunks: Register, unclaimed: Register
) -> Register:
    """The first unclaimed chunk of a thread's own share, or the last one of all."""
    threads = e.load(_field(e, pool, THREADS), "index")
    begin, end = (
        _bits_below(e, e.emit(f"udiv i64 {e.mul(x, chunks).text}, {threads.text}", "index"))
        for x in (number, e.add(number, 1))
    )
    own = e.bitwise_and(unclaimed, e.sub(end, begin))
    first = e.emit(_count(e, "cttz", own), "index")
    last = e.sub(63, e.emit(_count(e, "ctlz", unclaimed), "index"))
    return e.select(e.compare("ne", own, 0), first, last)


def _count(e: Emitter, function: str, x: Register) -> str:
    """An instruction that counts the zeros at one end of a word."""
    e.module.declare(f"llvm.{function}.i64", f"declare i64 @llvm.{function}.i64(i64, i1)")
    return f"call i64 @llvm.{function}.i64({x.typed}, i1 false)"


def _bits_below(e: Emitter, place: Register) -> Register:
    return e.sub(e.shift_left(e.index(1), place), 1)


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
    return e.bitwise_and(ticket, _CHUNK_BITS)
