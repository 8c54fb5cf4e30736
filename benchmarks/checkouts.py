"""Compare two checkouts of graphc: `python -m benchmarks.checkouts OTHER workloads ...`.

    git worktree add ../before main~3
    python -m benchmarks.checkouts ../before mlp cnn cnn_64 --rounds 15

Both live side by side, each in a process of its own, and take turns. Where neighbours slow the
machine down for seconds, medians of few rounds mislead: so the least time, the lower quartile and
the median stand beside each other, and the gain is also the median of the rounds' own ratios.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.arguments import parser_of
from benchmarks.processes import Peer
from benchmarks.workloads import BY_NAME


def measure(name: str, other: Path, threads: int, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of each run of the other checkout, and of this one.

    Raises:
        RuntimeError: One of them cannot run the workload.
    """
    peers: list[Peer] = []
    try:
        for checkout in (other, None):
            peer = Peer("graphc", name, threads, checkout)
            peers.append(peer)
            if peer.error:
                raise RuntimeError(peer.error)
        for _ in range(rounds):
            for peer in peers:
                peer.measure()
    finally:
        for peer in peers:
            peer.close()
    before, after = (peer.seconds for peer in peers)
    return before, after


def summary(seconds: Sequence[float]) -> list[float]:
    """The least, the lower quartile and the median."""
    return [min(seconds), statistics.quantiles(seconds, n=4)[0], statistics.median(seconds)]


def main() -> None:
    """Prints a line for each workload."""
    parser = parser_of("benchmarks.checkouts", __doc__)
    parser.add_argument("other", type=Path, help="the folder of the other checkout")
    parser.add_argument("workloads", nargs="+", choices=list(BY_NAME), metavar="workload")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9, help="at least 2")
    arguments = parser.parse_args()
    other = arguments.other.resolve()
    if not (other / "benchmarks" / "worker.py").is_file():
        parser.error(f"{arguments.other} is no checkout of graphc: it has no benchmarks/worker.py")
    if arguments.rounds < 2:
        parser.error(f"--rounds has to be at least 2, not {arguments.rounds}")
    table = Table(title=f"milliseconds a run: least, lower quartile, median of {arguments.rounds}")
    for column in ("workload", "other", "this", "times as fast", "round by round"):
        table.add_column(column, justify="left" if column == "workload" else "right")
    for name in arguments.workloads:
        try:
            before, after = measure(name, other, arguments.threads, arguments.rounds)
        except RuntimeError as error:
            raise SystemExit(f"{name}: {error}") from None
        rows = [summary(before), summary(after)]
        cells = ["  ".join(f"{1e3 * x:.2f}" for x in row) for row in rows]
        gains = "  ".join(f"{x / y:.2f}" for x, y in zip(*rows, strict=True))
        paired = statistics.median(x / y for x, y in zip(before, after, strict=True))
        table.add_row(name, *cells, gains, f"{paired:.2f}")
    Console(width=None if Console().is_terminal else 120).print(table)


if __name__ == "__main__":
    main()
