"""Reading event files with TensorBoard itself."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto import graph_pb2
from tensorboard.util import tensor_util

UNLIMITED = dict.fromkeys(
    ("tensors", "scalars", "images", "audio", "histograms", "compressedHistograms"), 0
)


class Run:
    """All that TensorBoard finds in one folder."""

    def __init__(self, folder: Path):
        self.accumulator = EventAccumulator(str(folder), size_guidance=UNLIMITED)
        self.accumulator.Reload()

    @property
    def tags(self) -> list[str]:
        return list(self.accumulator.Tags()["tensors"])

    def plugin(self, tag: str) -> str:
        return self.accumulator.SummaryMetadata(tag).plugin_data.plugin_name

    def values(self, tag: str) -> list:
        return [tensor_util.make_ndarray(e.tensor_proto) for e in self.accumulator.Tensors(tag)]

    def steps(self, tag: str) -> list[int]:
        return [event.step for event in self.accumulator.Tensors(tag)]

    def numbers(self, tag: str) -> dict[int, float]:
        pairs = zip(self.steps(tag), self.values(tag), strict=True)
        return {step: value.item() for step, value in pairs}

    def graph(self) -> graph_pb2.GraphDef:
        return self.accumulator.Graph()
