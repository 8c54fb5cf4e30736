"""The intermediate representation: dimensions, types, graphs, their text form, their checks."""

from graphc.ir.dims import Dim, Shape, SymbolicDim, symbol
from graphc.ir.graph import (
    NOWHERE,
    Graph,
    Location,
    Node,
    Value,
    ancestors,
    extract,
    filled,
    zeros_like,
)
from graphc.ir.literal import Literal
from graphc.ir.op import Op, Sample
from graphc.ir.reader import parse
from graphc.ir.text import as_text
from graphc.ir.types import (
    DTYPES,
    FLOATS,
    INTEGERS,
    SIGNED_INTEGERS,
    UNSIGNED_INTEGERS,
    TensorType,
    dtype_name,
    dtype_size,
    is_float,
    is_integer,
    numpy_dtype,
    type_of,
)

__all__ = [
    "DTYPES",
    "FLOATS",
    "INTEGERS",
    "NOWHERE",
    "Dim",
    "Graph",
    "Literal",
    "Location",
    "Node",
    "Op",
    "SIGNED_INTEGERS",
    "Sample",
    "Shape",
    "SymbolicDim",
    "TensorType",
    "UNSIGNED_INTEGERS",
    "Value",
    "as_text",
    "ancestors",
    "dtype_name",
    "dtype_size",
    "extract",
    "filled",
    "is_float",
    "is_integer",
    "numpy_dtype",
    "parse",
    "symbol",
    "type_of",
    "zeros_like",
]
