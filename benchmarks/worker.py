"""One peer in a process of its own: it builds a workload, and runs it for each line it reads.

Started as ``python -m benchmarks.worker PEER WORKLOAD THREADS``. It answers each line on standard
input with one line of JSON on standard output: first ``{"ready": true}`` (or ``{"error": ...}``),
then ``{"seconds": ...}`` for the steps of one run. Peers thus live side by side, and the driver can
take turns among them, so that noise of the machine hits all of them alike. graphc also says which
share of the processor's multiply-adds its contractions were, by the best peak seen so far.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time

from benchmarks.workloads import BY_NAME, Prediction

MODULES = {
    "graphc": "benchmarks.peers.graphc_peer",
    "keras-jax": "benchmarks.peers.keras_peer",
    "keras-tensorflow": "benchmarks.peers.keras_peer",
    "pytorch": "benchmarks.peers.torch_peer",
    "torch-compile": "benchmarks.peers.torch_peer",
    "jax-scan": "benchmarks.peers.jax_peer",
    "onnxruntime": "benchmarks.peers.ort_peer",
}


def answer(message: dict) -> None:
    """Write one line to whoever asked."""
    _OUTPUT.write(json.dumps(message) + "\n")
    _OUTPUT.flush()


def main() -> None:
    peer, name, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    # Not every library obeys its own settings: cores that are not there cannot be used.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    try:
        module = importlib.import_module(MODULES[peer])
        workload = BY_NAME[name]
        make = module.predict if isinstance(workload, Prediction) else module.train
        run = make(workload, peer, threads)
        run()  # compiles, and warms everything up
    except ImportError as error:
        answer({"error": f"not installed: {error.name or error}"})
        return
    except NotImplementedError as error:
        answer({"error": str(error)})
        return
    answer({"ready": True})
    own = peer == "graphc"
    work = module.multiply_adds(workload, threads) if own else 0
    peak = module.measure_peak() if own else None
    for _ in sys.stdin:
        started = time.perf_counter()
        run()
        message = {"seconds": time.perf_counter() - started}
        if peak is not None:
            message |= {"multiply_adds": work, "peak": peak() * threads}
        answer(message)


if __name__ == "__main__":
    # What libraries print must not get between the lines of the protocol.
    _OUTPUT = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    main()
