"""``graphc.bitwise``: operations on the bits of integers under TensorFlow's names.

See https://www.tensorflow.org/api_docs/python/tf/bitwise.
"""

from __future__ import annotations

from typing import Any

from graphc.keras import ops
from graphc.names.adapt import missing_name, public_names, renamed

bitwise_and = renamed(ops.bitwise_and, "x y")
bitwise_or = renamed(ops.bitwise_or, "x y")
bitwise_xor = renamed(ops.bitwise_xor, "x y")
invert = renamed(ops.bitwise_not, "x")
left_shift = renamed(ops.bitwise_left_shift, "x y")
right_shift = renamed(ops.bitwise_right_shift, "x y")

__all__ = public_names(globals())


def __getattr__(name: str) -> Any:
    raise missing_name("graphc.bitwise", name, __all__)
