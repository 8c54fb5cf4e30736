"""Typed SSA registers and how their types and constants are spelt in LLVM IR."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

Number = bool | int | float

#: LLVM's type of a register, by dtype. The 16-bit floats travel as their bits: they are only ever
#: converted, and LLVM would make library calls of conversions the processor lacks.
REGISTER_TYPES = {
    "bool": "i1",
    "int8": "i8",
    "uint8": "i8",
    "int16": "i16",
    "uint16": "i16",
    "float16": "i16",
    "bfloat16": "i16",
    "int32": "i32",
    "uint32": "i32",
    "float32": "float",
    "int64": "i64",
    "uint64": "i64",
    "float64": "double",
    "index": "i64",
    "pointer": "ptr",
}
BITS = {
    "bool": 1,
    "int8": 8,
    "uint8": 8,
    "int16": 16,
    "uint16": 16,
    "float16": 16,
    "bfloat16": 16,
    "int32": 32,
    "uint32": 32,
    "float32": 32,
    "int64": 64,
    "uint64": 64,
    "float64": 64,
    "index": 64,
    "pointer": 64,
}
FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
HALVES = frozenset({"float16", "bfloat16"})
UNSIGNED = frozenset({"bool", "uint8", "uint16", "uint32", "uint64"})


@dataclass(frozen=True, slots=True)
class Register:
    """An SSA value: its LLVM spelling, its dtype and its number of lanes (1 is a scalar).

    `number` is set for constants, whose arithmetic on indices is done at once and whose value
    lets some instructions be cheaper. `first` is set for constant masks that only the first lanes
    are in: how many.
    """

    text: str
    dtype: str
    lanes: int = 1
    number: Number | None = None
    first: int | None = None

    @property
    def type(self) -> str:
        """LLVM's type."""
        return vector_type(REGISTER_TYPES[self.dtype], self.lanes)

    @property
    def typed(self) -> str:
        """Type and spelling, as an operand is written."""
        return f"{self.type} {self.text}"


def vector_type(element: str, lanes: int) -> str:
    """LLVM's type of `lanes` elements; one lane is the element itself."""
    return element if lanes == 1 else f"<{lanes} x {element}>"


def memory_type(dtype: str) -> str:
    """LLVM's type of an element in memory: a bool is a byte there."""
    return "i8" if dtype == "bool" else REGISTER_TYPES[dtype]


def constant_register(number: Number, dtype: str, lanes: int = 1) -> Register:
    """A constant of a dtype, the same in every lane."""
    text, value = _spell(number, dtype)
    if lanes != 1:
        text = f"splat ({REGISTER_TYPES[dtype]} {text})"
    return Register(text, dtype, lanes, value)


def _spell(number: Number, dtype: str) -> tuple[str, Number]:
    """A number as LLVM writes it, and as the dtype holds it."""
    if dtype == "bool":
        return ("true" if number else "false"), bool(number)
    if dtype == "pointer":
        if number != 0:
            raise ValueError(f"the only constant pointer is null (0), got {number!r}")
        return "null", 0
    if dtype in FLOATS:
        return _spell_float(float(number), dtype)
    count = BITS[dtype]
    wrapped = int(number) & ((1 << count) - 1)
    if dtype not in UNSIGNED and wrapped >> (count - 1):
        wrapped -= 1 << count
    return str(wrapped), wrapped


def _spell_float(number: float, dtype: str) -> tuple[str, float]:
    if dtype == "float64":
        return _hexadecimal(number), number
    with np.errstate(over="ignore"):
        if dtype == "float32":
            rounded = float(np.float32(number))
            return _hexadecimal(rounded), rounded
        if dtype == "float16":
            half = np.float16(number)
            return str(int(half.view(np.uint16))), float(half)
        bits = _bfloat16_bits(number)
    return str(bits), struct.unpack("<f", struct.pack("<I", bits << 16))[0]


def _hexadecimal(number: float) -> str:
    return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"


def _bfloat16_bits(number: float) -> int:
    """Rounds a double to bfloat16, half to even, through an exact round-to-odd float32."""
    single = np.float32(number)
    bits = int(single.view(np.uint32))
    if np.isnan(single):
        return 0x7FC0 | (bits >> 16 & 0x8000)
    if float(single) != number:
        bits -= abs(float(single)) > abs(number)
        bits |= 1
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
