"""Passes: functions from a graph to the next graph. The pipeline is one visible list."""

from graphc.passes.barriers import drop_barriers
from graphc.passes.common import share_common
from graphc.passes.dead import drop_dead
from graphc.passes.decompose import Decompose
from graphc.passes.fold import fold
from graphc.passes.hoist import hoist
from graphc.passes.manager import Pass, Pipeline
from graphc.passes.merge_scans import merge_scans
from graphc.passes.prune_scans import prune_scans
from graphc.passes.report import Report
from graphc.passes.simplify import simplify

#: What every target begins with. Composite ops stay whole: a target decomposes what it does not
#: claim, and then simplifies again.
PREPARE = (
    simplify,
    share_common,
    simplify,
)

__all__ = [
    "PREPARE",
    "Decompose",
    "Pass",
    "Pipeline",
    "Report",
    "drop_barriers",
    "drop_dead",
    "fold",
    "hoist",
    "merge_scans",
    "prune_scans",
    "share_common",
    "simplify",
]
