"""``graphc bench``: how fast a model predicts and trains, and how near that is to the limit."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graphc.cli.output import (
    CommandError,
    Output,
    UsageError,
    bytes_text,
    count_text,
    seconds_text,
    significant,
)
from graphc.cli.programs import (
    PROGRAMS,
    Prepared,
    add_size_arguments,
    positive,
    programs_of,
    sizes_of,
)
from graphc.cli.subject import load
from graphc.cli.timing import Repeated, measure_compilation
from graphc.config import config
from graphc.errors import GraphcError
from graphc.program import Program
from graphc.reference import bind
from graphc.runtime import BACKENDS
from graphc.runtime.cpu.inspect import multiply_adds, state_bytes
from graphc.runtime.cpu.peak import peak
from graphc.runtime.cpu.program import CpuExecutable
from graphc.runtime.cpu.target import Target
from graphc.runtime.executable import BATCH

#: Backends take turns, so that a slow moment of the machine does not hit one alone.
_ROUNDS = 4
_PEAK_SECONDS = 0.03

EPILOG = """\
examples:
  graphc bench model.keras                          predict, and train if it was compiled
  graphc bench model.keras --batch 1,32,256
  graphc bench model.keras --backend cpu,onnxruntime --threads 1
  graphc bench program.txt --seconds 5 --json

Data and weights of a text dump are random. A call predicts one batch; where it trains, it makes
many steps, as `fit` does, and the times are of one step. `of peak` is the share of what the
processor's multiply-add units can do, measured in the same run; only contractions count as work.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the verb takes."""
    parser.epilog = EPILOG
    parser.add_argument("file", metavar="FILE", help="a model, or a program in text form")
    parser.add_argument(
        "--program", metavar="LIST", help="some of predict, evaluate, train (default: what it can)"
    )
    parser.add_argument(
        "--backend",
        metavar="LIST",
        default="cpu",
        help=f"some of {', '.join(BACKENDS)} (default: cpu)",
    )
    parser.add_argument("--threads", metavar="N", help="of the cpu backend (default: all cores)")
    parser.add_argument(
        "--seconds", metavar="S", default="1", help="time for each measurement (default: 1)"
    )
    add_size_arguments(parser, several=True)


@dataclass
class _Task:
    """One program on one backend, with one size of batch."""

    program: str
    backend: str
    batch: int
    device: str
    repeated: Repeated
    work: int
    memory: int | None


def run(arguments: argparse.Namespace, output: Output) -> dict[str, Any]:
    """Measure, and show the figures."""
    backends = _choices(arguments.backend, BACKENDS, "--backend")
    names = _choices(arguments.program, PROGRAMS, "--program") if arguments.program else None
    batches = [positive(text, "--batch") for text in arguments.batch.split(",")]
    threads = positive(arguments.threads, "--threads") if arguments.threads else None
    seconds = _seconds(arguments.seconds)
    arguments.batch = str(batches[0])
    bindings = sizes_of(arguments)
    subject = load(arguments.file)
    if subject.onnx is not None:
        raise UsageError("bench measures what graphc compiles; an .onnx file is not that")
    document: dict[str, Any] = {
        "file": str(subject.path),
        "processor": Target.host().cpu,
        "threads": threads or config.thread_count,
        "compile": [],
        "failures": [],
        "results": [],
    }
    limit = 0.0
    prepared = {
        batch: list(programs_of(subject, {**bindings, BATCH: batch}, names)) for batch in batches
    }
    for place in range(len(prepared[batches[0]])):
        programs = {batch: found[place] for batch, found in prepared.items()}
        tasks = list(_tasks(programs, backends, threads, document))
        for _ in range(_ROUNDS):
            for task in tasks:
                # Its best counts, as that of the machine without others.
                limit = max(limit, peak(Target.host(), _PEAK_SECONDS))
                task.repeated.measure(seconds / _ROUNDS)
        document["results"] += [_result(task, limit * document["threads"]) for task in tasks]
    document["peak_gflops_per_thread"] = 2 * limit / 1e9
    _add_ratios(document["results"], backends)
    _show(document, output)
    if not document["results"]:
        raise CommandError(document["failures"][0]["error"], document)
    return document


def _choices(text: str, known: tuple[str, ...], option: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in known:
            raise UsageError(f"{option} takes some of {', '.join(known)}, not {name!r}")
    return list(dict.fromkeys(names))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 3600:
        raise UsageError(f"--seconds has to be a number above 0, not {text!r}")
    return seconds


def _tasks(
    programs: dict[int, Prepared],
    backends: list[str],
    threads: int | None,
    document: dict[str, Any],
) -> Iterator[_Task]:
    """Compile a program for each backend once; a program serves every size of batch."""
    for backend in backends:
        program = next(iter(programs.values())).program
        try:
            times, executable = measure_compilation(program, backend, threads)
        except GraphcError as error:
            document["failures"].append(
                {"program": program.name, "backend": backend, "error": str(error)}
            )
            continue
        document["compile"].append(
            {
                "program": program.name,
                "backend": backend,
                "cold_seconds": times.cold,
                "cached_seconds": times.cached,
            }
        )
        for batch, prepared in programs.items():
            repeated = Repeated(executable, prepared, batch, many=bool(_updates(program)))
            bound = bind(program.graph, {**prepared.data, **prepared.state})
            work = multiply_adds(program, bound, ("float32",))
            memory = None
            if isinstance(executable, CpuExecutable):
                memory = state_bytes(program, bound) + executable.arena_bytes(bound)
                memory += executable.manifest.prepared_bytes
            yield _Task(
                program.name,
                backend,
                batch,
                executable.device,
                repeated,
                work,
                memory,
            )


def _updates(program: Program) -> list[str]:
    """The variables that a step changes."""
    return [variable.name for variable in program.variables if variable.update is not None]


def _result(task: _Task, limit: float) -> dict[str, Any]:
    """The figures of a task; ``limit`` is in multiply-adds a second."""
    # The limit is that of the processor: of a GPU it says nothing.
    comparable = task.work and task.device == "cpu"
    median, p90, p99 = (task.repeated.percentile(share) for share in (50, 90, 99))
    share = task.work / median / limit if comparable else None
    return {
        "program": task.program,
        "backend": task.backend,
        "device": task.device,
        "batch": task.batch,
        "steps_per_call": task.repeated.steps,
        "calls": len(task.repeated.seconds),
        "p50_us": median * 1e6,
        "p90_us": p90 * 1e6,
        "p99_us": p99 * 1e6,
        "samples_per_second": task.batch / median,
        "multiply_adds": task.work,
        "share_of_peak": share,
        "memory_bytes": task.memory,
    }


def _add_ratios(results: list[dict[str, Any]], backends: list[str]) -> None:
    """How many times as long each backend takes as the first one."""
    first = {
        (result["program"], result["batch"]): result["p50_us"]
        for result in results
        if result["backend"] == backends[0]
    }
    for result in results:
        base = first.get((result["program"], result["batch"]))
        result["times_of_first_backend"] = result["p50_us"] / base if base else None


def _show(document: dict[str, Any], output: Output) -> None:
    threads, limit = document["threads"], document["peak_gflops_per_thread"]
    output.facts(
        document["file"],
        {
            "processor": f"{document['processor']}, {threads} thread{'s' * (threads > 1)}",
            "peak": f"{significant(limit)} GFLOP/s a thread in float32, measured in this run",
        },
    )
    several = len({result["backend"] for result in document["results"]}) > 1
    columns = ["program", "batch", "backend", "p50 us", "p90", "p99", "samples/s", "of peak"]
    columns.append("ratio" if several else "memory")
    rows = [
        (
            result["program"],
            result["batch"],
            result["backend"] + f" ({result['device']})" * (result["device"] != "cpu"),
            *(significant(result[name]) for name in ("p50_us", "p90_us", "p99_us")),
            count_text(result["samples_per_second"]),
            _percent(result["share_of_peak"]),
            _times(result["times_of_first_backend"]) if several else _memory(result),
        )
        for result in sorted(document["results"], key=lambda x: (x["program"], x["batch"]))
    ]
    output.table("Speed", columns, rows, "wrwrrrrrr")
    rows = [
        (
            entry["program"],
            entry["backend"],
            seconds_text(entry["cold_seconds"]),
            "-" if entry["cached_seconds"] is None else seconds_text(entry["cached_seconds"]),
        )
        for entry in document["compile"]
    ]
    output.table("Compilation", ("program", "backend", "cold", "from the cache"), rows, "wwrr")
    for failure in document["failures"]:
        output.warning(f"{failure['program']} on {failure['backend']}: {failure['error']}")


def _memory(result: dict[str, Any]) -> str:
    size = result["memory_bytes"]
    return "-" if size is None else bytes_text(size)


def _percent(share: float | None) -> str:
    if share is None:
        return "-"
    return f"{100 * share:.0f}%" if share >= 0.01 else f"{100 * share:.1g}%"


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}x"
