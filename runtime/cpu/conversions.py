"""Emitting instructions as text; constants, conversions between dtypes, lanes of vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.runtime.cpu.registers import (
    BITS,
    FLOATS,
    HALVES,
    REGISTER_TYPES,
    UNSIGNED,
    Number,
    Register,
    constant_register,
    vector_type,
)
from graphc.runtime.cpu.target import Target


class Conversions:
    """The lowest part of `Emitter`: it writes lines and gives results their names."""

    target: Target
    lines: list[str]
    _declare: Callable[[str, str], None]
    _count: int

    # Lines ------------------------------------------------------------------------------------

    def text(self, instruction: str) -> str:
        """Writes an instruction that has a result; returns the result's spelling."""
        self._count += 1
        name = f"%v{self._count}"
        self.lines.append(f"  {name} = {instruction}")
        return name

    def emit(self, instruction: str, dtype: str, lanes: int = 1) -> Register:
        """Writes an instruction whose result is a register."""
        return Register(self.text(instruction), dtype, lanes)

    def intrinsic(self, name: str, *arguments: Register) -> Register:
        """Calls an LLVM intrinsic overloaded on the type of its first argument, its result's."""
        first = arguments[0]
        suffix = _SUFFIXES[REGISTER_TYPES[first.dtype]]
        if first.lanes != 1:
            suffix = f"v{first.lanes}{suffix}"
        full = f"{name}.{suffix}"
        types = ", ".join(argument.type for argument in arguments)
        self._declare(full, f"declare {first.type} @{full}({types})")
        operands = ", ".join(argument.typed for argument in arguments)
        return self.emit(f"call {first.type} @{full}({operands})", first.dtype, first.lanes)

    # Constants and lanes ----------------------------------------------------------------------

    def constant(self, number: Number, dtype: str, lanes: int = 1) -> Register:
        """A number, in every lane; it is rounded (floats) or wrapped (integers) to the dtype."""
        return constant_register(number, dtype, lanes)

    def index(self, number: int) -> Register:
        """A constant index."""
        return constant_register(number, "index")

    def undefined(self, dtype: str, lanes: int = 1) -> Register:
        """A register of any content, for lanes that nobody reads."""
        return Register("poison", dtype, lanes)

    def iota(self, dtype: str, lanes: int) -> Register:
        """The numbers 0, 1, 2, ... in the lanes."""
        numbers = [constant_register(lane, dtype) for lane in range(lanes)]
        if lanes == 1:
            return numbers[0]
        return Register(f"<{', '.join(x.typed for x in numbers)}>", dtype, lanes)

    def broadcast(self, x: Register, lanes: int) -> Register:
        """A scalar in every lane of a vector; a vector of so many lanes stays what it is."""
        if x.lanes == lanes:
            return x
        if x.lanes != 1:
            raise ValueError(f"only a scalar can become {lanes} lanes, got {x.lanes} lanes")
        if x.number is not None:
            return constant_register(x.number, x.dtype, lanes)
        kind = vector_type(REGISTER_TYPES[x.dtype], lanes)
        first = self.text(f"insertelement {kind} poison, {x.typed}, i32 0")
        zeros = f"<{lanes} x i32> zeroinitializer"
        text = f"shufflevector {kind} {first}, {kind} poison, {zeros}"
        return self.emit(text, x.dtype, lanes)

    def extract(self, vector: Register, lane: int | Register) -> Register:
        """One lane as a scalar; the lane may be an index register."""
        if vector.lanes == 1:
            return vector
        where = lane.typed if isinstance(lane, Register) else f"i32 {lane}"
        return self.emit(f"extractelement {vector.typed}, {where}", vector.dtype)

    def insert(self, vector: Register, x: Register, lane: int | Register) -> Register:
        """The vector with one lane replaced by a scalar."""
        if vector.lanes == 1:
            return x
        where = lane.typed if isinstance(lane, Register) else f"i32 {lane}"
        text = f"insertelement {vector.typed}, {x.typed}, {where}"
        return self.emit(text, vector.dtype, vector.lanes)

    def shuffle(self, x: Register, y: Register, lanes: Sequence[int]) -> Register:
        """A vector picked from the lanes of `x`, then `y` (numbered on after those of `x`)."""
        picks = ", ".join(f"i32 {lane}" for lane in lanes)
        text = f"shufflevector {x.typed}, {y.typed}, <{len(lanes)} x i32> <{picks}>"
        return self.emit(text, x.dtype, len(lanes))

    # Conversions ------------------------------------------------------------------------------

    def bitcast(self, x: Register, dtype: str) -> Register:
        """The same bits read as another dtype of the same size."""
        if BITS[x.dtype] != BITS[dtype]:
            raise ValueError(f"bitcast keeps the size, got {x.dtype} to {dtype}")
        old, new = x.type, vector_type(REGISTER_TYPES[dtype], x.lanes)
        if old == new:
            return Register(x.text, dtype, x.lanes)
        operation = "bitcast"
        if "pointer" in (x.dtype, dtype):
            operation = "ptrtoint" if x.dtype == "pointer" else "inttoptr"
        return self.emit(f"{operation} {x.typed} to {new}", dtype, x.lanes)

    def cast(self, x: Register, dtype: str) -> Register:
        """The value in another dtype, as NumPy's `astype`: nothing saturates.

        A float that the integer dtype cannot hold gives what a 64-bit conversion, wrapped, gives.
        """
        if x.dtype == dtype:
            return x
        if x.number is not None and (dtype in FLOATS or x.dtype not in FLOATS):
            return constant_register(x.number, dtype, x.lanes)
        if "pointer" in (x.dtype, dtype):
            return self.bitcast(x, dtype)
        if x.dtype in HALVES:
            return self.cast(self._widen_half(x), dtype)
        if dtype in HALVES:
            return self._narrow_to_half(x, dtype)
        if dtype == "bool":
            zero = constant_register(0, x.dtype, x.lanes)
            comparison = "fcmp une" if x.dtype in FLOATS else "icmp ne"
            return self.emit(f"{comparison} {x.typed}, {zero.text}", "bool", x.lanes)
        if x.dtype in FLOATS and dtype not in FLOATS:
            return self._float_to_integer(x, dtype)
        return self._convert(_conversion(x.dtype, dtype), x, dtype)

    def _convert(self, operation: str, x: Register, dtype: str) -> Register:
        if not operation:
            return Register(x.text, dtype, x.lanes)
        kind = vector_type(REGISTER_TYPES[dtype], x.lanes)
        return self.emit(f"{operation} {x.typed} to {kind}", dtype, x.lanes)

    def _float_to_integer(self, x: Register, dtype: str) -> Register:
        # LLVM leaves the conversion of a float that does not fit undefined. `freeze` pins it to
        # whatever the instruction gives.
        if dtype == "uint64":
            return self._float_to_uint64(x)
        wide = "int32" if BITS[dtype] < 32 or dtype == "int32" else "int64"
        whole = self._convert("fptosi", x, wide)
        frozen = self.emit(f"freeze {whole.typed}", wide, x.lanes)
        return self._convert(_conversion(wide, dtype), frozen, dtype)

    def _float_to_uint64(self, x: Register) -> Register:
        limit = constant_register(2.0**63, x.dtype, x.lanes)
        small = self._float_to_integer(x, "int64")
        over = self.emit(f"fsub {x.typed}, {limit.text}", x.dtype, x.lanes)
        high = self._float_to_integer(over, "int64")
        sign = constant_register(-(1 << 63), "int64", x.lanes)
        high = self.emit(f"xor {high.typed}, {sign.text}", "int64", x.lanes)
        is_large = self.emit(f"fcmp oge {x.typed}, {limit.text}", "bool", x.lanes)
        text = f"select {is_large.typed}, {high.typed}, {small.typed}"
        return self.emit(text, "uint64", x.lanes)

    def _integers(self, x: Register) -> _Integers:
        return _Integers(self, x.lanes)

    def _widen_half(self, x: Register) -> Register:
        """A 16-bit float as a float32, exactly."""
        if x.dtype == "float16" and "f16c" in self.target.feature_set:
            half = vector_type("half", x.lanes)
            raw = self.text(f"bitcast {x.typed} to {half}")
            kind = vector_type("float", x.lanes)
            return self.emit(f"fpext {half} {raw} to {kind}", "float32", x.lanes)
        bits = self._convert("zext", Register(x.text, "uint16", x.lanes), "uint32")
        i = self._integers(bits)
        if x.dtype == "bfloat16":
            return self.bitcast(i.do("shl", bits, 16), "float32")
        # Exponent and mantissa in float32's places; multiplying by 2^112 corrects the exponent's
        # bias and makes subnormals normal. All ones in the exponent stay so.
        magnitude = i.do("shl", i.do("and", bits, 0x7FFF), 13)
        scale = constant_register(2.0**112, "float32", x.lanes)
        small = self.bitcast(magnitude, "float32")
        scaled = self.emit(f"fmul {small.typed}, {scale.text}", "float32", x.lanes)
        special = i.do("or", magnitude, 0x7F800000)
        is_special = i.compare("uge", magnitude, 0x0F800000)
        finite = self.bitcast(scaled, "uint32")
        sign = i.do("shl", i.do("and", bits, 0x8000), 16)
        return self.bitcast(i.do("or", i.select(is_special, special, finite), sign), "float32")

    def _narrow_to_half(self, x: Register, dtype: str) -> Register:
        """Rounds to the nearest 16-bit float, halves to even."""
        if x.dtype not in FLOATS:
            x = self.cast(x, "float64" if BITS[x.dtype] > 16 else "float32")
        if x.dtype == "float64":
            x = self._round_to_odd(x)
        if dtype == "float16" and "f16c" in self.target.feature_set:
            half = vector_type("half", x.lanes)
            rounded = self.text(f"fptrunc {x.typed} to {half}")
            kind = vector_type("i16", x.lanes)
            return self.emit(f"bitcast {half} {rounded} to {kind}", dtype, x.lanes)
        bits = self.bitcast(x, "uint32")
        result = self._bfloat16_bits(bits) if dtype == "bfloat16" else self._float16_bits(bits)
        return self._convert("trunc", result, dtype)

    def _round_to_odd(self, x: Register) -> Register:
        """float64 to float32 so that rounding that to 16 bits is as if rounded at once."""
        near = self._convert("fptrunc", x, "float32")
        back = self._convert("fpext", near, "float64")
        i = _Integers(self, x.lanes)
        suffix = "f64" if x.lanes == 1 else f"v{x.lanes}f64"
        name = f"llvm.fabs.{suffix}"
        self._declare(name, f"declare {x.type} @{name}({x.type})")
        absolute = self.text(f"call {x.type} @{name}({x.typed})")
        absolute_back = self.text(f"call {x.type} @{name}({back.typed})")
        above = self.emit(f"fcmp ogt {x.type} {absolute_back}, {absolute}", "bool", x.lanes)
        inexact = self.emit(f"fcmp one {x.typed}, {back.text}", "bool", x.lanes)
        bits = self.bitcast(near, "uint32")
        bits = i.do("sub", bits, self._convert("zext", above, "uint32"))
        bits = i.do("or", bits, self._convert("zext", inexact, "uint32"))
        return self.bitcast(bits, "float32")

    def _bfloat16_bits(self, bits: Register) -> Register:
        i = self._integers(bits)
        even = i.do("and", i.do("lshr", bits, 16), 1)
        rounded = i.do("lshr", i.do("add", i.do("add", bits, 0x7FFF), even), 16)
        quiet = i.do("or", i.do("lshr", bits, 16), 0x40)
        is_nan = i.compare("ugt", i.do("and", bits, 0x7FFFFFFF), 0x7F800000)
        return i.select(is_nan, quiet, rounded)

    def _float16_bits(self, bits: Register) -> Register:
        i = self._integers(bits)
        magnitude = i.do("and", bits, 0x7FFFFFFF)
        sign = i.do("lshr", i.do("and", bits, 0x80000000), 16)
        even = i.do("and", i.do("lshr", magnitude, 13), 1)
        normal = i.do("add", i.do("add", magnitude, 0xC8000FFF), even)
        normal = i.do("lshr", normal, 13)
        # Adding 0.5 aligns a subnormal's bits at the end of the mantissa, rounded by the adder.
        half = constant_register(0.5, "float32", bits.lanes)
        number = self.bitcast(magnitude, "float32")
        aligned = self.emit(f"fadd {number.typed}, {half.text}", "float32", bits.lanes)
        subnormal = i.do("sub", self.bitcast(aligned, "uint32"), 0x3F000000)
        result = i.select(i.compare("ult", magnitude, 0x38800000), subnormal, normal)
        infinity = constant_register(0x7C00, "uint32", bits.lanes)
        result = i.select(i.compare("uge", magnitude, 0x477FF000), infinity, result)
        payload = i.do("or", i.do("and", i.do("lshr", magnitude, 13), 0x3FF), 0x7E00)
        result = i.select(i.compare("ugt", magnitude, 0x7F800000), payload, result)
        return i.do("or", result, sign)


class _Integers:
    """Terse 32-bit integer instructions, for taking floats apart."""

    def __init__(self, emitter: Conversions, lanes: int) -> None:
        self._emitter = emitter
        self._lanes = lanes

    def _operand(self, y: Register | int) -> Register:
        return y if isinstance(y, Register) else constant_register(y, "uint32", self._lanes)

    def do(self, operation: str, x: Register, y: Register | int) -> Register:
        text = f"{operation} {x.typed}, {self._operand(y).text}"
        return self._emitter.emit(text, "uint32", self._lanes)

    def compare(self, predicate: str, x: Register, y: int) -> Register:
        text = f"icmp {predicate} {x.typed}, {self._operand(y).text}"
        return self._emitter.emit(text, "bool", self._lanes)

    def select(self, condition: Register, x: Register, y: Register) -> Register:
        text = f"select {condition.typed}, {x.typed}, {y.typed}"
        return self._emitter.emit(text, "uint32", self._lanes)


_SUFFIXES = {
    "float": "f32",
    "double": "f64",
    "i1": "i1",
    "i8": "i8",
    "i16": "i16",
    "i32": "i32",
    "i64": "i64",
    "ptr": "p0",
}


def _conversion(old: str, new: str) -> str:
    """LLVM's operation between two dtypes, of which not both 16-bit floats nor bool results."""
    if old in FLOATS:
        return "fptrunc" if BITS[old] > BITS[new] else "fpext"
    if new in FLOATS:
        return "uitofp" if old in UNSIGNED else "sitofp"
    if BITS[old] == BITS[new]:
        return ""
    if BITS[old] > BITS[new]:
        return "trunc"
    return "zext" if old in UNSIGNED else "sext"
