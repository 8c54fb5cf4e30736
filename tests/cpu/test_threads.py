"""The thread pool: every chunk exactly once, the same bits always, nobody left behind."""

from __future__ import annotations

import ctypes
import gc
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pytest

from graphc.runtime.cpu import jit
from graphc.runtime.cpu.emitter import Module
from graphc.runtime.cpu.pool import ALONE, RETREAT, SEQUENTIAL, TOGETHER, ThreadPool
from graphc.runtime.cpu.registers import Register
from graphc.runtime.cpu.target import Target
from graphc.runtime.cpu.threads import CHUNK_PARAMETERS, emit_worker, parallel

HOST = Target.host()
THREADS = (1, 2, 4, 8)


def pointer(array: np.ndarray) -> int:
    return array.ctypes.data


def emit_count(module: Module) -> Register:
    """A chunk that adds one, not atomically, to its own counter."""
    with module.function("count", CHUNK_PARAMETERS, internal=True) as e:
        context, chunk = e.arguments
        where = e.offset(context, chunk, "int64")
        e.store(e.add(e.load(where, "int64"), 1), where)
    return module.address_of("count")


@cache
def regions() -> Callable[..., None]:
    """`(counters, chunks, repeats, pool)`: as many regions, each of which counts each chunk."""
    module = Module(HOST)
    function = emit_count(module)
    names = [("counters", "pointer"), ("chunks", "index"), ("repeats", "index")]
    with module.function("main", [*names, ("pool", "pointer")]) as e:
        counters, chunks, repeats, pool = e.arguments
        with e.loop(0, repeats):
            parallel(e, pool, function, counters, chunks)
    return load(module, 3)


def load(module: Module, arguments: int) -> Callable[..., None]:
    """The module's `main`, of pointers or indices and the pool's address at the end."""
    library = jit.load_object(jit.emit_object(module.text(), HOST))
    return library.function("main", [ctypes.c_int64] * arguments + [ctypes.c_void_p])


@pytest.fixture(params=THREADS)
def pool(request: pytest.FixtureRequest) -> Iterator[ThreadPool]:
    pool = ThreadPool(request.param)
    yield pool
    pool.close()


@pytest.mark.parametrize("chunks", [0, 1, 2, 3, 8, 31, 32])
def test_every_chunk_runs_once_in_each_region(pool: ThreadPool, chunks: int) -> None:
    counters = np.zeros(chunks + 1, np.int64)
    repeats = max(5, 4000 // (chunks + 1))
    pool.run(lambda address: regions()(pointer(counters), chunks, repeats, address))
    assert counters[:chunks].tolist() == [repeats] * chunks
    assert counters[chunks] == 0


def test_thousands_of_regions_in_many_runs(pool: ThreadPool) -> None:
    counters = np.zeros(5, np.int64)
    for _ in range(50):
        pool.run(lambda address: regions()(pointer(counters), 5, 200, address))
    assert counters.tolist() == [10_000] * 5


def test_null_pool_runs_in_order() -> None:
    counters = np.zeros(7, np.int64)
    regions()(pointer(counters), 7, 3, None)
    assert counters.tolist() == [3] * 7


@cache
def chain() -> Callable[..., None]:
    """`(x, chunks, repeats, pool)`: one region writes x[i], the next reads x of the other end.

    x has `2 * chunks` elements, of which each region reads one half and writes the other.
    """
    module = Module(HOST)
    for name in ("forward", "backward"):
        with module.function(name, CHUNK_PARAMETERS, internal=True) as e:
            context, chunk = e.arguments
            x = e.load(context, "pointer")
            chunks = e.load(e.offset(context, 1, "pointer"), "index")
            other = e.sub(e.sub(chunks, 1), chunk)
            first, second = e.offset(x, 0, "int64"), e.offset(x, chunks, "int64")
            source, target = (first, second) if name == "forward" else (second, first)
            value = e.load(e.offset(source, other, "int64"), "int64")
            e.store(
                e.add(e.mul(value, 3), e.cast(chunk, "int64")), e.offset(target, chunk, "int64")
            )
    names = [("x", "pointer"), ("chunks", "index"), ("repeats", "index"), ("pool", "pointer")]
    with module.function("main", names) as e:
        x, chunks, repeats, pool = e.arguments
        context = e.stack("pointer", 2)
        e.store(x, context)
        e.store(chunks, e.offset(context, 1, "pointer"))
        with e.loop(0, repeats):
            parallel(e, pool, module.address_of("forward"), context, chunks)
            parallel(e, pool, module.address_of("backward"), context, chunks)
    return load(module, 3)


def chained(chunks: int, repeats: int) -> np.ndarray:
    first = np.arange(chunks, dtype=np.int64)
    with np.errstate(over="ignore"):
        for _ in range(2 * repeats):
            first = first[::-1] * 3 + np.arange(chunks)
    return first


@pytest.mark.parametrize("chunks", [2, 5, 32])
def test_a_region_sees_what_the_one_before_wrote(pool: ThreadPool, chunks: int) -> None:
    x = np.zeros(2 * chunks, np.int64)
    x[:chunks] = np.arange(chunks)
    pool.run(lambda address: chain()(pointer(x), chunks, 2000, address))
    assert x[:chunks].tolist() == chained(chunks, 2000).tolist()


@cache
def sums() -> Callable[..., None]:
    """`(x, out, count, pool)`: out[i] is the float32 sum of row i of `count` rows of 1000."""
    module = Module(HOST)
    lanes = HOST.lanes("float32")
    with module.function("row", CHUNK_PARAMETERS, internal=True) as e:
        context, chunk = e.arguments
        x, out = (e.load(e.offset(context, i, "pointer"), "pointer") for i in range(2))
        row = e.offset(x, e.mul(chunk, 1000), "float32")
        zero = e.constant(0, "float32", lanes)
        with e.carry(0, 1000, lanes, [zero]) as loop:
            mask = e.tail_mask(e.sub(1000, loop.index), lanes)
            part = e.load(e.offset(row, loop.index, "float32"), "float32", lanes, mask)
            loop.values[0] = e.add(loop.values[0], part)
        e.store(e.reduce_add(loop.results[0]), e.offset(out, chunk, "float32"))
    names = [("x", "pointer"), ("out", "pointer"), ("count", "index"), ("pool", "pointer")]
    with module.function("main", names) as e:
        x, out, count, pool = e.arguments
        context = e.stack("pointer", 2)
        e.store(x, context)
        e.store(out, e.offset(context, 1, "pointer"))
        parallel(e, pool, module.address_of("row"), context, count)
    return load(module, 3)


def test_sums_are_the_same_bits_with_any_number_of_threads() -> None:
    x = np.random.default_rng(2).normal(size=(31, 1000)).astype(np.float32)
    results = []
    for threads in THREADS:
        pool = ThreadPool(threads)
        for _ in range(5):
            out = np.empty(31, np.float32)
            pool.run(lambda address, out=out: sums()(pointer(x), pointer(out), 31, address))
            results.append(out.tobytes())
        pool.close()
    assert len(set(results)) == 1
    np.testing.assert_allclose(np.frombuffer(results[0], np.float32), x.sum(1), atol=1e-3)


def test_busy_cores_cost_speed_not_results() -> None:
    burner = "import time\nend = time.time() + 60\nwhile time.time() < end: pass"
    burners = [subprocess.Popen([sys.executable, "-c", burner]) for _ in range(2)]
    try:
        pool = ThreadPool(4)
        counters = np.zeros(16, np.int64)
        for _ in range(5):
            pool.run(lambda address: regions()(pointer(counters), 16, 200, address))
        pool.close()
    finally:
        for process in burners:
            process.kill()
            process.wait()
    assert counters.tolist() == [1000] * 16


def test_nested_regions_run_inside_their_chunk(pool: ThreadPool) -> None:
    module = Module(HOST)
    inner = emit_count(module)
    with module.function("outer", CHUNK_PARAMETERS, internal=True) as e:
        context, chunk = e.arguments
        counters, address = (e.load(e.offset(context, i, "pointer"), "pointer") for i in range(2))
        mine = e.offset(counters, e.mul(chunk, 10), "int64")
        parallel(e, address, inner, mine, 10)
    with module.function("main", [("counters", "pointer"), ("pool", "pointer")]) as e:
        counters, address = e.arguments
        context = e.stack("pointer", 2)
        e.store(counters, context)
        e.store(address, e.offset(context, 1, "pointer"))
        with e.loop(0, 300):
            parallel(e, address, module.address_of("outer"), context, 7)
    function = load(module, 1)
    counters = np.zeros(70, np.int64)
    pool.run(lambda address: function(pointer(counters), address))
    assert counters.tolist() == [300] * 70


def test_a_run_within_a_run_and_beside_one_is_sequential() -> None:
    pool = ThreadPool(2)
    seen = []

    def main(address: int) -> str:
        seen.append(address)
        pool.run(seen.append)
        other = threading.Thread(target=lambda: pool.run(seen.append))
        other.start()
        other.join()
        return "result"

    assert pool.run(main) == "result"
    assert seen[0] != 0
    assert seen[1:] == [0, 0]
    pool.close()


def test_workers_take_part() -> None:
    module = Module(HOST)
    with module.function("who", CHUNK_PARAMETERS, internal=True) as e:
        context, chunk = e.arguments
        # Enough to do that a worker finds some of it even if other programs keep the cores busy.
        with e.carry(0, 1000, 1, [e.constant(1.0, "float64")]) as loop:
            loop.values[0] = e.fma(loop.values[0], 0.5, 1.0)
        made = e.cast(e.mul(loop.results[0], 0.0), "index")
        e.store(e.add(e.call("pthread_self", "index"), made), e.offset(context, chunk, "index"))
    with module.function("main", [("threads", "pointer"), ("pool", "pointer")]) as e:
        threads, address = e.arguments
        with e.loop(0, 20):  # the first ones are over before a worker is there
            parallel(e, address, module.address_of("who"), threads, 32)
    function = load(module, 1)
    pool = ThreadPool(2)
    threads = np.zeros(32, np.int64)
    seen: set[int] = set()
    for _ in range(2000):  # a worker may come late to some runs, not to all
        pool.run(lambda address: function(pointer(threads), address))
        seen |= set(threads.tolist())
        if len(seen) > 1:
            break
    pool.close()
    assert len(seen) == 2
    assert 0 not in seen


def test_threads_begin_with_shares_of_their_own() -> None:
    # Each chunk waits until both threads are there, so that each thread computes what is its own.
    module = Module(HOST)
    with module.function("meet", CHUNK_PARAMETERS, internal=True) as e:
        context, chunk = e.arguments
        e.store(e.call("pthread_self", "index"), e.offset(context, e.add(chunk, 1), "index"))
        e.fetch_add(context, e.index(1))
        with e.while_(lambda: e.compare("lt", e.atomic_load(context, "index"), 2)):
            e.spin_hint()
    with module.function("main", [("context", "pointer"), ("pool", "pointer")]) as e:
        context, address = e.arguments
        parallel(e, address, module.address_of("meet"), context, 2)
    function = load(module, 1)
    for _ in range(5):
        context = np.zeros(3, np.int64)
        pool = ThreadPool(2)  # a new one, which has not seen a worker come late
        pool.run(lambda address, context=context: function(pointer(context), address))
        pool.close()
        assert context[1] == threading.get_ident() != context[2]


def test_too_many_chunks_are_refused() -> None:
    module = Module(HOST)
    function = emit_count(module)
    with (
        pytest.raises(ValueError, match="at most 32 chunks, got 33"),
        module.function("main", [("counters", "pointer"), ("pool", "pointer")]) as e,
    ):
        parallel(e, e.arguments[1], function, e.arguments[0], 33)


def processor_seconds(seconds: float) -> float:
    """How much processor time this process uses while its main thread sleeps."""
    before = time.process_time()
    time.sleep(seconds)
    return time.process_time() - before


def test_workers_that_wait_for_long_sleep() -> None:
    pool = ThreadPool(3)
    counters = np.zeros(3, np.int64)
    used = []

    def main(address: int) -> None:
        for _ in range(3):
            regions()(pointer(counters), 3, 100, address)
            used.append(processor_seconds(0.3))

    pool.run(main)
    pool.close()
    assert counters.tolist() == [300] * 3
    if sys.platform == "linux":
        assert max(used) < 0.2


def test_regions_wake_workers_that_sleep() -> None:
    # A chunk waits for another one to begin, which a worker has to run.
    module = Module(HOST)
    with module.function("meet", CHUNK_PARAMETERS, internal=True) as e:
        context, _ = e.arguments
        e.fetch_add(context, e.index(1))
        turns = e.stack("index")
        e.store(e.index(0), turns)

        def waits() -> Register:
            e.store(e.add(e.load(turns, "index"), 1), turns)
            patient = e.compare("lt", e.load(turns, "index"), 50_000_000)
            return e.logical_and(patient, e.compare("lt", e.atomic_load(context, "index"), 2))

        with e.while_(waits):
            e.spin_hint()
        present = e.offset(context, 1, "index")
        e.store(e.maximum(e.load(present, "index"), e.atomic_load(context, "index")), present)
        with e.if_(e.compare("eq", e.load(turns, "index"), 50_000_000)):
            e.store(e.index(1), e.offset(context, 2, "index"))
    with module.function("main", [("context", "pointer"), ("pool", "pointer")]) as e:
        context, address = e.arguments
        parallel(e, address, module.address_of("meet"), context, 2)
    function = load(module, 1)
    pool = ThreadPool(2)

    def main(address: int) -> int:
        time.sleep(0.004)
        context = np.zeros(3, np.int64)
        function(pointer(context), address)
        return int(context[2])  # whether somebody waited in vain

    # Where workers were late on a busy machine, regions are kept from them for a while.
    assert any(pool.run(main) == 0 for _ in range(5))
    pool.close()


needs_clock = pytest.mark.skipif(
    not HOST.triple.startswith("x86_64"), reason="no clock says who is late"
)


def load_region(module: Module, chunk: str, chunks: int) -> Callable[..., None]:
    """A function of a context and a pool: one region. The context begins with the main thread."""
    with module.function("main", [("context", "pointer"), ("pool", "pointer")]) as e:
        context, address = e.arguments
        e.store(e.call("pthread_self", "index"), context)
        parallel(e, address, module.address_of(chunk), context, chunks)
    return load(module, 1)


def field(address: int, place: int) -> ctypes.c_int64:
    """A number in the memory of a pool."""
    return ctypes.c_int64.from_address(address + place)


@needs_clock
def test_workers_that_are_late_are_left_out_for_a_while() -> None:
    module = Module(HOST)
    with module.function("chunk", CHUNK_PARAMETERS, internal=True) as e:
        context, chunk = e.arguments
        me = e.call("pthread_self", "index")
        e.store(me, e.offset(context, e.add(chunk, 2), "index"))
        slow = e.load(e.offset(context, 1, "index"), "index")
        with e.if_(e.compare("ne", me, e.load(context, "index"))), e.loop(0, slow):
            e.spin_hint()
        with e.if_(e.compare("eq", me, e.load(context, "index"))), e.loop(0, 2000):
            e.spin_hint()
    function = load_region(module, "chunk", 8)
    pool = ThreadPool(2)
    shared = []

    def main(address: int) -> None:
        for _ in range(100):
            context = np.zeros(10, np.int64)
            context[1] = 10_000_000
            function(pointer(context), address)
            shared.append(len(set(context[2:].tolist())) > 1)

    pool.run(main)
    pool.close()
    assert 1 <= sum(shared) <= 6  # ever longer retreats follow
    first = shared.index(True)
    assert not any(shared[first + 1 : first + 65])


def load_wait(pauses: int) -> Callable[..., None]:
    """A region in which the main thread waits until the worker comes, which then pauses."""
    module = Module(HOST)
    with module.function("chunk", CHUNK_PARAMETERS, internal=True) as e:
        context, _ = e.arguments
        is_main = e.compare("eq", e.call("pthread_self", "index"), e.load(context, "index"))
        arrived = e.offset(context, 1, "index")
        with e.if_(e.bitwise_not(is_main)):
            e.fetch_add(arrived, e.index(1))
            with e.loop(0, pauses):
                e.spin_hint()
        with e.if_(is_main), e.while_(lambda: e.compare("eq", e.atomic_load(arrived, "index"), 0)):
            e.spin_hint()
    return load_region(module, "chunk", 2)


@needs_clock
@pytest.mark.parametrize("before", [0, 1 << 40])
def test_a_late_region_counts_against_what_sharing_has_gained(before: int) -> None:
    function = load_wait(2_000_000)
    pool = ThreadPool(2)

    def main(address: int) -> list[int]:
        places = {ALONE: 0, RETREAT: 1000, TOGETHER: before, SEQUENTIAL: 2 * before}
        for place, value in places.items():
            field(address, place).value = value
        function(pointer(np.zeros(2, np.int64)), address)
        return [field(address, place).value for place in places]

    alone, retreat, together, sequential = pool.run(main)
    pool.close()
    assert together == sequential == 0
    if before:  # one late region among a great many that were not
        assert (alone, retreat) == (0, 500)
    else:
        assert alone == retreat > 3_000_000


@needs_clock
def test_short_waits_are_not_late() -> None:
    function = load_wait(2_000)
    pool = ThreadPool(2)

    def main(address: int) -> int:
        longest = 0
        for _ in range(20):
            field(address, ALONE).value = 0
            function(pointer(np.zeros(2, np.int64)), address)
            longest = max(longest, field(address, TOGETHER).value)
        return longest

    assert pool.run(main) > 0
    pool.close()


@needs_clock
def test_a_retreat_ends() -> None:
    module = Module(HOST)
    with module.function("chunk", CHUNK_PARAMETERS, internal=True) as e, e.loop(0, 1000):
        e.spin_hint()
    function = load_region(module, "chunk", 4)
    pool = ThreadPool(2)

    def main(address: int) -> list[int]:
        alone, together = field(address, ALONE), field(address, TOGETHER)
        alone.value = 5_000_000
        left = [alone.value]
        while left[-1] > 0 and len(left) < 100_000:
            function(pointer(np.zeros(1, np.int64)), address)
            left.append(alone.value)
            assert together.value == 0
        for _ in range(20):  # the first one, unless it is late
            function(pointer(np.zeros(1, np.int64)), address)
            if together.value:
                break
            alone.value = 0
        assert together.value > 0
        return left

    left = pool.run(main)
    pool.close()
    assert all(later < earlier for earlier, later in itertools.pairwise(left))


@needs_clock
@pytest.mark.parametrize(("threads", "chunks", "helpers"), [(3, 8, 3), (7, 5, 5)])
def test_what_regions_would_take_alone(threads: int, chunks: int, helpers: int) -> None:
    """As often what the main thread worked as there were threads with something to do."""
    module = Module(HOST)
    with module.function("chunk", CHUNK_PARAMETERS, internal=True):
        pass
    function = load_region(module, "chunk", chunks)
    pool = ThreadPool(threads)

    def main(address: int) -> list[int]:
        found = []
        for _ in range(20):
            field(address, ALONE).value = field(address, SEQUENTIAL).value = 0
            function(pointer(np.zeros(1, np.int64)), address)
            found.append(field(address, SEQUENTIAL).value)
        return found

    found = pool.run(main)
    pool.close()
    assert any(found) and all(ticks % helpers == 0 for ticks in found)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_no_worker_spinning(error: type[BaseException]) -> None:
    pool = ThreadPool(3)
    counters = np.zeros(3, np.int64)

    def fails(address: int) -> None:
        regions()(pointer(counters), 3, 100, address)
        raise error("on purpose")

    for _ in range(3):
        with pytest.raises(error, match="on purpose"):
            pool.run(fails)
    time.sleep(0.05)
    assert processor_seconds(0.3) < 0.2
    pool.run(lambda address: regions()(pointer(counters), 3, 100, address))
    assert counters.tolist() == [400] * 3
    pool.close()


def graphc_threads() -> int:
    return sum(thread.name.startswith("graphc-") for thread in threading.enumerate())


def wait_for_threads(count: int) -> int:
    """The number of pool threads, once it has come down to `count` or long enough has passed."""
    for _ in range(500):
        if graphc_threads() <= count:
            break
        time.sleep(0.01)
    return graphc_threads()


def test_threads_start_with_the_first_run_and_end_with_the_pool() -> None:
    gc.collect()
    before = wait_for_threads(0)
    pool = ThreadPool(4)
    assert graphc_threads() == before
    pool.run(lambda address: None)
    assert graphc_threads() == before + 3
    pool.close()
    assert wait_for_threads(before) == before
    pool.run(lambda address: None)
    assert graphc_threads() == before + 3
    del pool
    gc.collect()
    assert wait_for_threads(before) == before


def test_a_forked_child_starts_its_own_threads() -> None:
    pool = ThreadPool(2)
    counters = np.zeros(4, np.int64)
    pool.run(lambda address: regions()(pointer(counters), 4, 10, address))
    child = os.fork()
    if child == 0:
        pool.run(lambda address: regions()(pointer(counters), 4, 10, address))
        os._exit(0 if counters.tolist() == [20] * 4 and graphc_threads() == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    pool.close()


def test_the_interpreter_ends_while_threads_sleep() -> None:
    code = (
        "from graphc.runtime.cpu.pool import ThreadPool\n"
        "pool = ThreadPool(3)\n"
        "print(pool.run(lambda address: address != 0))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
    assert done.stderr == ""


def test_at_least_one_thread() -> None:
    with pytest.raises(ValueError, match="at least 1 thread, got 0"):
        ThreadPool(0)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Target.of("aarch64-unknown-linux-gnu", "", "+neon"), "sched_yield"),
        (Target.of("x86_64-pc-windows-msvc", "", ""), "SwitchToThread"),
        (Target.of("wasm32-unknown-unknown", "", "+simd128,+atomics"), "call_indirect"),
    ],
    ids=["neon", "windows", "wasm"],
)
def test_other_targets(target: Target, expected: str) -> None:
    module = Module(target)
    emit_worker(module)
    with module.function("main", [("pool", "pointer"), ("function", "pointer")]) as e:
        pool, function = e.arguments
        parallel(e, pool, function, pool, 5)
    assert expected in jit.emit_assembly(module.text(), target)
