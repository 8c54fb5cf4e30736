"""Compare graphc with its peers, in one run on one machine.

    python -m benchmarks                      training and prediction, one thread and all
    python -m benchmarks tiny mlp --threads 1 some workloads
    python -m benchmarks --json results.json  the numbers as well

Every peer of a workload is a process of its own; all of them live side by side and take turns, so
noise of the machine hits them alike. A cell is the median of the rounds. Peers that are not
installed are named and left out. In the end it is said where graphc loses, and where it is short of
its goals.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.arguments import parser_of
from benchmarks.processes import Peer
from benchmarks.worker import MODULES
from benchmarks.workloads import BY_NAME, PREDICTION, TRAINING, Prediction

#: Where a row of results keeps graphc's share of the processor's peak.
SHARE = "of peak"


def compare(name: str, peers: list[str], threads: int, rounds: int) -> dict[str, Any]:
    """Median microseconds per step (or call) of each peer; an explanation where there is none.

    ``"of peak"`` is graphc's share of the processor's multiply-adds.
    """
    workload = BY_NAME[name]
    if isinstance(workload, Prediction):
        count = workload.calls
    else:
        count = workload.steps * workload.epochs
    workers = []
    result: dict[str, Any] = {}
    for peer in peers:
        worker = Peer(peer, name, threads)
        if worker.error:
            result[peer] = worker.error
            worker.close()
        else:
            workers.append(worker)
    for _ in range(rounds):
        for worker in list(workers):
            try:
                worker.measure()
            except RuntimeError as error:
                result[worker.name] = str(error)
                worker.close()
                workers.remove(worker)
    for worker in workers:
        seconds = statistics.median(worker.seconds) / count
        result[worker.name] = seconds * 1e6
        if worker.last.get("peak"):
            result[SHARE] = worker.last["multiply_adds"] / seconds / worker.last["peak"]
        worker.close()
    return result


def ratio(row: dict[str, Any]) -> float | None:
    """How many times as fast as its fastest peer graphc is; None if one of them is missing."""
    own = row.get("graphc")
    others = [v for p, v in row.items() if p not in ("graphc", SHARE) and isinstance(v, float)]
    return min(others) / own if others and isinstance(own, float) else None


def show(
    title: str, results: dict[str, dict[str, Any]], peers: list[str], console: Console
) -> None:
    """One table: microseconds, and how many times slower each peer is than graphc."""
    table = Table(title=title, title_justify="left")
    table.add_column("workload")
    for peer in peers:
        table.add_column(peer, justify="right")
    for column in ("of peak", "fastest peer", "goal"):
        table.add_column(column, justify="right")
    for name, row in results.items():
        own = row.get("graphc")
        cells = [BY_NAME[name].title]
        for peer in peers:
            value = row.get(peer)
            if not isinstance(value, float):
                cells.append("-")
            elif peer == "graphc" or not isinstance(own, float):
                cells.append(f"{value:,.1f} us")
            else:
                cells.append(f"{value:,.0f} us  {value / own:.2f}x")
        cells.append(f"{100 * row[SHARE]:.0f}%" if SHARE in row else "-")
        found = ratio(row)
        cells.append("-" if found is None else f"{found:.2f}x")
        cells.append(f"{BY_NAME[name].goal:g}x")
        table.add_row(*cells)
    console.print(table)
    missing = {
        (peer, value)
        for row in results.values()
        for peer, value in row.items()
        if isinstance(value, str)
    }
    for peer, reason in sorted(missing):
        console.print(f"  {peer}: {reason}")


def conclude(everything: dict[str, dict[str, dict[str, Any]]], console: Console) -> None:
    """Say in plain words where graphc loses, and where it is not what it should be."""
    lost, missed = [], []
    for title, results in everything.items():
        for name, row in results.items():
            found, goal = ratio(row), BY_NAME[name].goal
            if found is None:
                continue
            line = f"{BY_NAME[name].title} ({title}): {found:.2f}x the fastest peer"
            if found < 1:
                lost.append(line)
            if found < goal and title.endswith(" 1"):
                missed.append(f"{line}, not {goal:g}x")
    for one, results in everything.items():
        for name, row in results.items():
            two = everything.get(f"{one.removesuffix(', 1')}, 2", {}).get(name, {})
            times = [x.get("graphc") for x in (row, two)]
            wanted = getattr(BY_NAME[name], "scaling", 1.0)
            if one.endswith(", 1") and all(isinstance(x, float) for x in times):
                gain = times[0] / times[1]
                if gain < wanted:
                    title = BY_NAME[name].title
                    missed.append(f"{title}: 2 threads are {gain:.2f}x one, not {wanted:g}x")
    for heading, lines in (("graphc loses", lost), ("Short of the goal", missed)):
        console.print(f"{heading}: {'nowhere' if not lines else ''}")
        for line in lines:
            console.print(f"  {line}")


def main() -> None:
    parser = parser_of("benchmarks", __doc__)
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(BY_NAME)}; all by default")
    parser.add_argument("--peers", default=",".join(MODULES), help="comma-separated")
    parser.add_argument("--threads", default="1,all", help="comma-separated numbers, or all")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", help="a file for the numbers")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.workloads if name not in BY_NAME]
    if unknown:
        parser.error(f"unknown workload {unknown[0]}; there are {', '.join(BY_NAME)}")
    wanted = arguments.workloads or list(BY_NAME)
    peers = arguments.peers.split(",")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    console = Console(width=None if sys.stdout.isatty() else 170)
    everything: dict[str, Any] = {}
    for threads in dict.fromkeys(
        int(cores or 1) if text == "all" else int(text) for text in arguments.threads.split(",")
    ):
        for kind, group in (("training, per step", TRAINING), ("prediction, per call", PREDICTION)):
            names = [item.name for item in group if item.name in wanted]
            results = {name: compare(name, peers, threads, arguments.rounds) for name in names}
            if results:
                show(f"{kind}, {threads} thread(s)", results, peers, console)
                everything[f"{kind}, {threads}"] = results
    conclude(everything, console)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(everything, file, indent=1)


if __name__ == "__main__":
    main()
