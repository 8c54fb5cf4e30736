"""Instructions on registers: arithmetic, comparisons, bits. Scalars and vectors alike.

Every method takes registers or Python numbers (which become constants of the other operand's
dtype) and broadcasts a scalar that meets a vector. Results follow NumPy, and are the same bits
each time: no fast-math flag is ever used.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from graphc.runtime.cpu.conversions import Conversions
from graphc.runtime.cpu.registers import BITS, FLOATS, HALVES, UNSIGNED, Number, Register

Operand = Register | Number

_RELATIONS: dict[str, Callable[[Number, Number], bool]] = {
    name: getattr(operator, name) for name in ("lt", "le", "gt", "ge", "eq", "ne")
}
_FLOAT_PREDICATES = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"}


class Arithmetic(Conversions):
    """The elementwise part of `Emitter`."""

    functions: Mapping[str, Callable[..., Register]]

    # Arithmetic -------------------------------------------------------------------------------

    def add(self, x: Operand, y: Operand) -> Register:
        """`x + y`; integers wrap around, of bools it is `or`."""
        x, y = self.match(x, y)
        if x.dtype == "index":
            if x.number is not None and y.number is not None:
                return self.constant(x.number + y.number, "index", x.lanes)
            if x.number == 0:
                return y
            if y.number == 0:
                return x
        return self._binary("fadd", "add", "or", x, y)

    def sub(self, x: Operand, y: Operand) -> Register:
        """`x - y`; integers wrap around, of bools it is `xor`."""
        x, y = self.match(x, y)
        if x.dtype == "index":
            if x.number is not None and y.number is not None:
                return self.constant(x.number - y.number, "index", x.lanes)
            if y.number == 0:
                return x
        return self._binary("fsub", "sub", "xor", x, y)

    def mul(self, x: Operand, y: Operand) -> Register:
        """`x * y`; integers wrap around, of bools it is `and`."""
        x, y = self.match(x, y)
        if x.dtype == "index":
            if x.number is not None and y.number is not None:
                return self.constant(x.number * y.number, "index", x.lanes)
            if x.number == 1 or y.number == 0:
                return y
            if y.number == 1 or x.number == 0:
                return x
        return self._binary("fmul", "mul", "and", x, y)

    def div(self, x: Operand, y: Operand) -> Register:
        """`x / y` of floats; floor division of integers, where dividing by zero gives 0."""
        x, y = self.match(x, y)
        if x.dtype in FLOATS:
            return self._binary("fdiv", "", "", x, y)
        return self._divide_integers(x, y)[0]

    def floor_divide(self, x: Operand, y: Operand) -> Register:
        """`x // y` as NumPy has it."""
        x, y = self.match(x, y)
        if x.dtype not in FLOATS:
            return self.div(x, y)
        if x.dtype in HALVES:
            return self._widened(self.floor_divide, x, y)
        plain = self.div(x, y)
        rest = self.truncated_remainder(x, y)
        quotient = self.div(self.sub(x, rest), y)
        other_sign = self.bitwise_xor(self.compare("lt", y, 0), self.compare("lt", rest, 0))
        down = self.logical_and(self.compare("ne", rest, 0), other_sign)
        quotient = self.select(down, self.sub(quotient, 1), quotient)
        nearest = self.floor(quotient)
        high = self.compare("gt", self.sub(quotient, nearest), 0.5)
        nearest = self.select(high, self.add(nearest, 1), nearest)
        zero = self.copy_sign(self.constant(0, x.dtype, x.lanes), plain)
        nearest = self.select(self.compare("ne", quotient, 0), nearest, zero)
        return self.select(self.compare("eq", y, 0), plain, nearest)

    def remainder(self, x: Operand, y: Operand) -> Register:
        """`x % y`, with the sign of `y`; an integer's remainder by zero is 0."""
        x, y = self.match(x, y)
        if x.dtype not in FLOATS:
            return self._divide_integers(x, y)[1]
        if x.dtype in HALVES:
            return self._widened(self.remainder, x, y)
        rest = self.emit(f"frem {x.type} {x.text}, {y.text}", x.dtype, x.lanes)
        other_sign = self.bitwise_xor(self.compare("lt", y, 0), self.compare("lt", rest, 0))
        shifted = self.select(other_sign, self.add(rest, y), rest)
        zero = self.copy_sign(self.constant(0, x.dtype, x.lanes), y)
        return self.select(self.compare("eq", rest, 0), zero, shifted)

    def truncated_remainder(self, x: Operand, y: Operand) -> Register:
        """C's `fmod` and `%`: with the sign of `x`; an integer's remainder by zero is 0."""
        x, y = self.match(x, y)
        if x.dtype in HALVES:
            return self._widened(self.truncated_remainder, x, y)
        if x.dtype in FLOATS:
            return self.emit(f"frem {x.type} {x.text}, {y.text}", x.dtype, x.lanes)
        return self._truncated_division(x, y)[1]

    def negate(self, x: Register) -> Register:
        """`-x`."""
        if x.dtype in HALVES:
            return self.bitwise_xor(x, self._bits_constant(0x8000, x))
        if x.dtype in FLOATS:
            return self.emit(f"fneg {x.type} {x.text}", x.dtype, x.lanes)
        return self.sub(self.constant(0, x.dtype, x.lanes), x)

    def fma(self, x: Operand, y: Operand, z: Operand) -> Register:
        """`x * y + z`, rounded once where the target has such an instruction."""
        x, y = self.match(x, y)
        x, z = self.match(x, z)
        x, y = self.match(x, y)
        if x.dtype in HALVES:
            return self._widened(self.fma, x, y, z)
        if x.dtype not in FLOATS:
            return self.add(self.mul(x, y), z)
        name = "llvm.fma" if self.target.has_fma else "llvm.fmuladd"
        return self.intrinsic(name, x, y, z)

    def minimum(self, x: Operand, y: Operand) -> Register:
        """The smaller one; NaN where either is NaN."""
        return self._extremum(x, y, "lt", "min")

    def maximum(self, x: Operand, y: Operand) -> Register:
        """The larger one; NaN where either is NaN."""
        return self._extremum(x, y, "gt", "max")

    def absolute(self, x: Register) -> Register:
        """`|x|`; the smallest signed integer stays what it is."""
        if x.dtype in HALVES:
            return self.bitwise_and(x, self._bits_constant(0x7FFF, x))
        if x.dtype in FLOATS:
            return self.intrinsic("llvm.fabs", x)
        if x.dtype in UNSIGNED:
            return x
        return self.select(self.compare("lt", x, 0), self.negate(x), x)

    def sqrt(self, x: Register) -> Register:
        """The correctly rounded square root; NaN of negative numbers."""
        return self._float_intrinsic("llvm.sqrt", x)

    def floor(self, x: Register) -> Register:
        """The largest whole number that is not above `x`."""
        return self._float_intrinsic("llvm.floor", x)

    def ceil(self, x: Register) -> Register:
        """The smallest whole number that is not below `x`."""
        return self._float_intrinsic("llvm.ceil", x)

    def round(self, x: Register) -> Register:
        """The nearest whole number, halves to the even one."""
        return self._float_intrinsic("llvm.roundeven", x)

    def trunc(self, x: Register) -> Register:
        """The whole number next to `x` towards zero."""
        return self._float_intrinsic("llvm.trunc", x)

    def copy_sign(self, x: Operand, sign: Operand) -> Register:
        """`|x|` with the sign bit of `sign`."""
        x, sign = self.match(x, sign)
        if x.dtype in HALVES:
            return self._widened(self.copy_sign, x, sign)
        return self.intrinsic("llvm.copysign", x, sign)

    def math(self, name: str, *arguments: Operand) -> Register:
        """A mathematical function from the table that the emitter was made with.

        Raises:
            NotImplementedError: the table has no such function.
        """
        registers = self._match_all(arguments)
        function = self.functions.get(name)
        if function is None:
            known = ", ".join(sorted(self.functions)) or "none"
            raise NotImplementedError(f"no code for the function {name!r}; known: {known}")
        if registers[0].dtype in HALVES:
            return self._widened(lambda *xs: function(self, *xs), *registers)
        return function(self, *registers)

    # Comparisons and choices ------------------------------------------------------------------

    def compare(self, relation: str, x: Operand, y: Operand) -> Register:
        """A bool: `"lt"`, `"le"`, `"gt"`, `"ge"`, `"eq"` or `"ne"`; NaN is unequal to all."""
        x, y = self.match(x, y)
        if x.dtype in HALVES:
            x, y = self.cast(x, "float32"), self.cast(y, "float32")
        if x.dtype in FLOATS:
            text = f"fcmp {_FLOAT_PREDICATES[relation]} {x.type} {x.text}, {y.text}"
            return self.emit(text, "bool", x.lanes)
        if x.dtype == "index" and x.number is not None and y.number is not None:
            return self.constant(_RELATIONS[relation](x.number, y.number), "bool", x.lanes)
        predicate = relation
        if relation not in ("eq", "ne"):
            predicate = ("u" if x.dtype in UNSIGNED or x.dtype == "pointer" else "s") + relation
        return self.emit(f"icmp {predicate} {x.type} {x.text}, {y.text}", "bool", x.lanes)

    def is_nan(self, x: Register) -> Register:
        """Whether `x` is not a number (never true of integers)."""
        if x.dtype not in FLOATS:
            return self.constant(False, "bool", x.lanes)
        return self.compare("ne", x, x)

    def select(self, condition: Register, x: Operand, y: Operand) -> Register:
        """`x` where the condition holds, else `y`; a scalar condition chooses whole vectors."""
        x, y = self.match(x, y)
        if condition.number is not None:
            return x if condition.number else y
        if condition.lanes != x.lanes and condition.lanes != 1:
            x, y = self.broadcast(x, condition.lanes), self.broadcast(y, condition.lanes)
        return self.emit(f"select {condition.typed}, {x.typed}, {y.typed}", x.dtype, x.lanes)

    def logical_and(self, x: Operand, y: Operand) -> Register:
        """Both are nonzero."""
        return self._logical("and", x, y)

    def logical_or(self, x: Operand, y: Operand) -> Register:
        """At least one is nonzero."""
        return self._logical("or", x, y)

    def logical_xor(self, x: Operand, y: Operand) -> Register:
        """Exactly one is nonzero."""
        return self._logical("xor", x, y)

    def logical_not(self, x: Register) -> Register:
        """It is zero."""
        return self.bitwise_not(self.cast(x, "bool"))

    # Bits -------------------------------------------------------------------------------------

    def bitwise_and(self, x: Operand, y: Operand) -> Register:
        """`x & y`."""
        return self._bitwise("and", x, y)

    def bitwise_or(self, x: Operand, y: Operand) -> Register:
        """`x | y`."""
        return self._bitwise("or", x, y)

    def bitwise_xor(self, x: Operand, y: Operand) -> Register:
        """`x ^ y`."""
        return self._bitwise("xor", x, y)

    def bitwise_not(self, x: Register) -> Register:
        """`~x`; of bools the logical negation."""
        if x.number is not None and x.dtype == "bool":
            return self.constant(not x.number, "bool", x.lanes)
        ones = self.constant(1 if x.dtype == "bool" else -1, x.dtype, x.lanes)
        return self._bitwise("xor", x, ones)

    def shift_left(self, x: Operand, y: Operand) -> Register:
        """`x << y`; 0 where all bits are shifted out."""
        return self._shift("shl", x, y)

    def shift_right(self, x: Operand, y: Operand) -> Register:
        """`x >> y`, filled with the sign of signed integers."""
        x, y = self.match(x, y)
        return self._shift("lshr" if x.dtype in UNSIGNED else "ashr", x, y)

    # Helpers ----------------------------------------------------------------------------------

    def match(self, x: Operand, y: Operand) -> tuple[Register, Register]:
        """Two registers of one dtype and lane count, from registers and numbers."""
        if not isinstance(x, Register):
            if not isinstance(y, Register):
                raise TypeError(f"expected a register among the operands, got {x!r} and {y!r}")
            x = self.constant(x, y.dtype, y.lanes)
        elif not isinstance(y, Register):
            y = self.constant(y, x.dtype, x.lanes)
        if x.dtype != y.dtype:
            raise TypeError(f"operands must have one dtype, got {x.dtype} and {y.dtype}; cast one")
        if x.lanes != y.lanes:
            if x.lanes == 1:
                x = self.broadcast(x, y.lanes)
            else:
                y = self.broadcast(y, x.lanes)
        return x, y

    def _match_all(self, operands: tuple[Operand, ...]) -> list[Register]:
        """Registers of one dtype and lane count, from any number of operands."""
        first = next((x for x in operands if isinstance(x, Register)), None)
        if first is None:
            raise TypeError(f"expected a register among the operands, got {operands!r}")
        lanes = max(x.lanes for x in operands if isinstance(x, Register))
        shape = self.broadcast(first, lanes)
        return [self.match(shape, x)[1] for x in operands]

    def _binary(self, of_floats: str, of_integers: str, of_bools: str, x: Any, y: Any) -> Register:
        if x.dtype in HALVES:
            x, y, dtype = self.cast(x, "float32"), self.cast(y, "float32"), x.dtype
            return self.cast(self._binary(of_floats, "", "", x, y), dtype)
        of_others = of_bools if x.dtype == "bool" else of_integers
        name = of_floats if x.dtype in FLOATS else of_others
        return self.emit(f"{name} {x.type} {x.text}, {y.text}", x.dtype, x.lanes)

    def _bitwise(self, name: str, x: Operand, y: Operand) -> Register:
        x, y = self.match(x, y)
        return self.emit(f"{name} {x.type} {x.text}, {y.text}", x.dtype, x.lanes)

    def _logical(self, name: str, x: Operand, y: Operand) -> Register:
        x, y = self._match_all((x, y))
        return self._bitwise(name, self.cast(x, "bool"), self.cast(y, "bool"))

    def _bits_constant(self, bits: int, x: Register) -> Register:
        """A constant of a 16-bit float's dtype, by its bits."""
        text = str(bits) if x.lanes == 1 else f"splat (i16 {bits})"
        return Register(text, x.dtype, x.lanes)

    def _widened(self, function: Callable[..., Register], *xs: Register) -> Register:
        """A function of 16-bit floats, computed in float32."""
        return self.cast(function(*(self.cast(x, "float32") for x in xs)), xs[0].dtype)

    def _float_intrinsic(self, name: str, x: Register) -> Register:
        if x.dtype in HALVES:
            return self._widened(lambda y: self.intrinsic(name, y), x)
        if x.dtype not in FLOATS:
            if name == "llvm.sqrt":
                raise TypeError(f"sqrt takes floats, got {x.dtype}; cast it")
            return x
        return self.intrinsic(name, x)

    def _extremum(self, x: Operand, y: Operand, relation: str, name: str) -> Register:
        x, y = self.match(x, y)
        if x.dtype == "index" and x.number is not None and y.number is not None:
            number = min(x.number, y.number) if name == "min" else max(x.number, y.number)
            return self.constant(number, "index", x.lanes)
        if x.dtype in HALVES:
            first, second = self.cast(x, "float32"), self.cast(y, "float32")
            return self.cast(self._extremum(first, second, relation, name), x.dtype)
        if x.dtype == "bool":
            return self._bitwise("and" if name == "min" else "or", x, y)
        if x.dtype not in FLOATS:
            return self.intrinsic(f"llvm.{'u' if x.dtype in UNSIGNED else 's'}{name}", x, y)
        # The processor's own minimum gives its second operand where one is NaN: a constant, which
        # is no NaN, goes first, and other pairs need one more look at the first.
        if y.number is not None and y.number == y.number:
            x, y = y, x
        chosen = self.select(self.compare(relation, x, y), x, y)
        if x.number is not None and x.number == x.number:
            return chosen
        return self.select(self.is_nan(x), x, chosen)

    def _divide_integers(self, x: Register, y: Register) -> tuple[Register, Register]:
        """Floor quotient and remainder; both 0 where `y` is 0."""
        if x.dtype == "bool":
            return self._bitwise("and", x, y), self.constant(False, "bool", x.lanes)
        quotient, rest = self._truncated_division(x, y)
        if x.dtype in UNSIGNED:
            return quotient, rest
        other_sign = self.compare("lt", self.bitwise_xor(rest, y), 0)
        down = self.logical_and(self.compare("ne", rest, 0), other_sign)
        lower = self.select(down, self.sub(quotient, 1), quotient)
        return lower, self.select(down, self.add(rest, y), rest)

    def _truncated_division(self, x: Register, y: Register) -> tuple[Register, Register]:
        """C's quotient and remainder, but 0 where `y` is 0 and no trap on overflow."""
        if y.number is not None and y.number not in (0, -1):
            name = "udiv" if x.dtype in UNSIGNED else "sdiv"
            quotient = self.emit(f"{name} {x.type} {x.text}, {y.text}", x.dtype, x.lanes)
            return quotient, self.sub(x, self.mul(quotient, y))
        by_zero = self.compare("eq", y, 0)
        unsafe, name = by_zero, "udiv"
        if x.dtype not in UNSIGNED:
            name = "sdiv"
            lowest = -(1 << BITS[x.dtype] - 1)
            overflow = self.logical_and(self.compare("eq", x, lowest), self.compare("eq", y, -1))
            unsafe = self.logical_or(by_zero, overflow)
        divisor = self.select(unsafe, self.constant(1, x.dtype, x.lanes), y)
        quotient = self.emit(f"{name} {x.type} {x.text}, {divisor.text}", x.dtype, x.lanes)
        rest = self.sub(x, self.mul(quotient, divisor))
        return self.select(by_zero, self.constant(0, x.dtype, x.lanes), quotient), rest

    def _shift(self, name: str, x: Operand, y: Operand) -> Register:
        x, y = self.match(x, y)
        bits = BITS[x.dtype]
        if y.number is not None and 0 <= y.number < bits:
            return self._bitwise(name, x, y)
        # Too large a count, which unsigned comparison makes of negative ones too, is undefined in
        # LLVM: it is replaced by the largest good one, which is enough to fill with the sign.
        inside = self.emit(
            f"icmp ult {y.type} {y.text}, {self.constant(bits, y.dtype, y.lanes).text}",
            "bool",
            y.lanes,
        )
        count = self.select(inside, y, self.constant(bits - 1, y.dtype, y.lanes))
        shifted = self._bitwise(name, x, count)
        if name == "ashr":
            return shifted
        return self.select(inside, shifted, self.constant(0, x.dtype, x.lanes))
