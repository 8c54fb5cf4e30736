"""Operations on tensors: ``keras.ops``; see https://keras.io/api/ops/.

Each computes at once on arrays, adds nodes to a graph that is being traced, and is recorded where
an argument is a tensor of a functional model. Every module names its own in ``__all__``.
"""

from graphc.keras.ops import (
    control,
    core,
    creation,
    elementwise,
    indexing,
    movement,
    nn,
    products,
    reduction,
    sorting,
    windows,
)
from graphc.keras.ops.control import *
from graphc.keras.ops.core import *
from graphc.keras.ops.creation import *
from graphc.keras.ops.elementwise import *
from graphc.keras.ops.indexing import *
from graphc.keras.ops.movement import *
from graphc.keras.ops.nn import *
from graphc.keras.ops.products import *
from graphc.keras.ops.reduction import *
from graphc.keras.ops.sorting import *
from graphc.keras.ops.windows import *

__all__ = [
    *control.__all__,
    *core.__all__,
    *creation.__all__,
    *elementwise.__all__,
    *indexing.__all__,
    *products.__all__,
    *movement.__all__,
    *nn.__all__,
    *reduction.__all__,
    *sorting.__all__,
    *windows.__all__,
]
