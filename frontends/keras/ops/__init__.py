"""Operations on tensors: ``keras.ops``; see https://keras.io/api/ops/.

Each computes at once on arrays, adds nodes to a graph that is being traced, and is recorded where
an argument is a tensor of a functional model. Every module names its own in ``__all__``.
"""

from graphc.keras.ops import (
    activations,
    arranging,
    attention,
    bitwise,
    complex,
    control,
    core,
    creation,
    crossentropy,
    ctc,
    elementwise,
    fourier,
    functions,
    image,
    indexing,
    linalg,
    movement,
    nan,
    nn,
    normalization,
    numpy,
    patches,
    products,
    reduction,
    segments,
    series,
    sets,
    sorting,
    statistics,
    updates,
    vectorization,
    window_functions,
    windows,
)
from graphc.keras.ops.activations import *
from graphc.keras.ops.arranging import *
from graphc.keras.ops.attention import *
from graphc.keras.ops.bitwise import *
from graphc.keras.ops.complex import *
from graphc.keras.ops.control import *
from graphc.keras.ops.core import *
from graphc.keras.ops.creation import *
from graphc.keras.ops.crossentropy import *
from graphc.keras.ops.ctc import *
from graphc.keras.ops.elementwise import *
from graphc.keras.ops.fourier import *
from graphc.keras.ops.functions import *
from graphc.keras.ops.indexing import *
from graphc.keras.ops.linalg import *
from graphc.keras.ops.movement import *
from graphc.keras.ops.nan import *
from graphc.keras.ops.normalization import *
from graphc.keras.ops.patches import *
from graphc.keras.ops.products import *
from graphc.keras.ops.quality import psnr
from graphc.keras.ops.reduction import *
from graphc.keras.ops.segments import *
from graphc.keras.ops.series import *
from graphc.keras.ops.sets import *
from graphc.keras.ops.sorting import *
from graphc.keras.ops.statistics import *
from graphc.keras.ops.updates import *
from graphc.keras.ops.vectorization import *
from graphc.keras.ops.window_functions import *
from graphc.keras.ops.windows import *

__all__ = [
    *activations.__all__,
    *arranging.__all__,
    *attention.__all__,
    *bitwise.__all__,
    *complex.__all__,
    *control.__all__,
    *core.__all__,
    *creation.__all__,
    *crossentropy.__all__,
    *ctc.__all__,
    *elementwise.__all__,
    *fourier.__all__,
    *functions.__all__,
    *indexing.__all__,
    *linalg.__all__,
    *movement.__all__,
    *nan.__all__,
    *normalization.__all__,
    *patches.__all__,
    *products.__all__,
    *reduction.__all__,
    *segments.__all__,
    *series.__all__,
    *sets.__all__,
    *sorting.__all__,
    *statistics.__all__,
    *updates.__all__,
    *vectorization.__all__,
    *window_functions.__all__,
    *windows.__all__,
    "image",
    "linalg",
    "nn",
    "psnr",
]
