"""graphc: what Keras's peers run, and how much of it the processor could do at best."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.peers import keras_peer
from benchmarks.workloads import MODELS, Prediction, Workload

train = keras_peer.train
predict = keras_peer.predict


def multiply_adds(workload: Workload | Prediction, threads: int) -> int:
    """Of the contractions of one step, or of one call.

    Args:
        workload: What is run.
        threads: For how many threads.
    """
    from graphc.runtime.cpu.inspect import multiply_adds as count

    keras = keras_peer.load("graphc", threads)
    training = MODELS[workload.model] if isinstance(workload, Prediction) else workload
    model = keras_peer.build(keras, training)
    batch = training.batch
    x, y = (array[:batch] for array in training.data())
    if isinstance(workload, Prediction):
        return count(model.lower("predict", x), {"batch": workload.rows})
    if training.wide:
        return count(
            model.lower("train", ([training.wide_data()[:batch], x], [y, y])), {"batch": batch}
        )
    return count(model.lower("train", (x, y)), {"batch": batch})


def measure_peak() -> Callable[[], float]:
    """A function that measures the processor, and gives the best figure so far."""
    from graphc.runtime.cpu.peak import peak
    from graphc.runtime.cpu.target import Target

    best = 0.0

    def measure() -> float:
        nonlocal best
        best = max(best, peak(Target.host(), 0.05))
        return best

    return measure
