"""LLVM IR as text: a `Module` collects functions, an `Emitter` writes one function.

IR is written as text because building it as objects takes ten times as long. The vectors in it
are explicit, and control flow is structured (`control_flow`).

Example:
    A function that adds 1 to `count` floats::

        module = Module(Target.host())
        with module.function("increment", [("x", "pointer"), ("count", "index")]) as e:
            x, count = e.arguments
            with e.loop(0, count) as i:
                where = e.offset(x, i, "float32")
                e.store(e.add(e.load(where, "float32"), 1.0), where)
        object_code = jit.emit_object(module.text(), module.target)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

from graphc.runtime.cpu.arithmetic import Operand
from graphc.runtime.cpu.control_flow import ControlFlow, Loop
from graphc.runtime.cpu.registers import (
    REGISTER_TYPES,
    Register,
    constant_register,
    memory_type,
    vector_type,
)
from graphc.runtime.cpu.target import ITEM_SIZES, Target

__all__ = ["Emitter", "Loop", "Module", "Operand", "Parameter", "Register"]

_SYMBOL = re.compile(r"@([-\w$.]+)")


@dataclass(frozen=True)
class Parameter:
    """A function's parameter.

    `noalias` promises that a pointer's memory is reached through no other pointer while the
    function runs, unless both only read; `readonly` that nothing is stored through it.
    """

    name: str
    dtype: str
    lanes: int = 1
    noalias: bool = False
    readonly: bool = False

    @property
    def declaration(self) -> str:
        """How LLVM writes it, but for its name."""
        words = [vector_type(REGISTER_TYPES[self.dtype], self.lanes)]
        if self.noalias:
            words.append("noalias")
        if self.readonly:
            words.append("readonly")
        return " ".join(words)


class Module:
    """A translation unit: globals, declarations and functions.

    Args:
        target: the processor the code is for.
        functions: code of mathematical functions by name, which `Emitter.math` calls with the
            emitter and the arguments.
    """

    def __init__(
        self, target: Target, functions: Mapping[str, Callable[..., Register]] | None = None
    ) -> None:
        """Starts an empty module."""
        self.target = target
        self.functions = dict(functions or {})
        self._globals: dict[str, tuple[str, str]] = {}
        self._declarations: dict[str, str] = {}
        self._emitters: dict[str, Emitter] = {}
        self._codes: dict[str, str] = {}
        self._shared: list[str] = []
        self._in_no_part: list[str] = []  # nor shared
        self._expected: set[str] = set()

    def function(
        self,
        name: str,
        parameters: Sequence[Parameter | tuple[str, str]] = (),
        result: str | None = None,
        *,
        result_lanes: int = 1,
        internal: bool = False,
        noinline: bool = False,
        shared: bool = False,
    ) -> Emitter:
        """Starts a function; the emitter is also a context manager that ends it.

        Args:
            name: its symbol.
            parameters: its parameters, or pairs of their names and dtypes.
            result: dtype of the result, or None.
            result_lanes: lanes of the result; vectors only for calls within the module.
            internal: whether only this module calls it, all its parts included.
            noinline: keep it a function of its own.
            shared: whether it is the same in many modules, so that it goes into `shared_part`.

        Raises:
            ValueError: the module already has a function of this name.
        """
        if name in self._emitters:
            raise ValueError(f"the module already has a function {name!r}")
        full = [p if isinstance(p, Parameter) else Parameter(*p) for p in parameters]
        returned = None if result is None else vector_type(REGISTER_TYPES[result], result_lanes)
        words = ["noinline", "#0"] if noinline else ["#0"]
        head = f"{'hidden ' if internal else ''}{returned or 'void'} @{name}"
        emitter = Emitter(self, name, full, result, head, words)
        self._emitters[name] = emitter
        (self._shared if shared else self._in_no_part).append(name)
        return emitter

    def merge(self, name: str) -> str:
        """The first function with the same code as this one, which then goes; nothing calls it."""
        code = self._emitters[name].code.replace(f" @{name}(", " @(", 1)
        kept = self._codes.setdefault(code, name)
        if kept != name:
            del self._emitters[name]
            self._in_no_part.remove(name)
        return kept

    def has_function(self, name: str) -> bool:
        """Whether a function of this name was started."""
        return name in self._emitters

    def declare(self, name: str, declaration: str) -> None:
        """Makes a function of another module or of LLVM known; once is enough."""
        self._declarations.setdefault(name, declaration)

    def variable(self, name: str, dtype: str, count: int = 1) -> Register:
        """A zeroed, 64-byte aligned array of `count` elements that this module owns."""
        kind = f"[{count} x {memory_type(dtype)}]"
        self._globals[name] = (f"global {kind}", "zeroinitializer")
        return Register(f"@{name}", "pointer")

    def data(self, name: str, content: bytes) -> Register:
        """Read-only, 64-byte aligned bytes."""
        text = "\\" + content.hex("\\") if content else ""
        self._globals[name] = (f"constant [{len(content)} x i8]", f'c"{text}"')
        return Register(f"@{name}", "pointer")

    def address_of(self, name: str) -> Register:
        """The pointer to a function or variable of this module, which may be written later."""
        self._expected.add(name)
        return Register(f"@{name}", "pointer")

    def text(self) -> str:
        """The whole module in LLVM's language.

        Raises:
            RuntimeError: a function was started and not ended.
        """
        return self._write(self._emitters, self._globals)

    def part(self, least: int) -> str | None:
        """The functions that no part holds yet, as a module of its own.

        It can be compiled while the rest is being written; linked, all parts, `last_part` and
        `shared_part` are what `text` is. A function is in its final form when it ended and `merge`
        was through.

        Args:
            least: how many characters are worth a part.

        Returns:
            None as long as they are fewer, or a function is being written.
        """
        new = [self._emitters[name] for name in self._in_no_part]
        if not all(x.ended for x in new) or sum(len(x.code) for x in new) < least:
            return None
        self._in_no_part = []
        return self._write([x.name for x in new], ())

    def last_part(self) -> str:
        """The functions that no part holds but the shared ones, and all globals.

        Raises:
            RuntimeError: a function was started and not ended, or the address of something was
                taken that is nowhere.
        """
        missing = self._expected.difference(self._emitters, self._globals, self._declarations)
        if missing:
            raise RuntimeError(f"there is no function or variable {', '.join(sorted(missing))}")
        return self._write(self._in_no_part, self._globals)

    def shared_part(self) -> str | None:
        """The functions that are the same in many modules, if there are any."""
        return self._write(self._shared, ()) if self._shared else None

    def _write(self, functions: Collection[str], variables: Collection[str]) -> str:
        """A module with these functions and globals, and declarations of the others they use."""
        open_ones = [name for name in functions if not self._emitters[name].ended]
        if open_ones:
            raise RuntimeError(f"functions were not ended: {', '.join(open_ones)}")
        code = [self._emitters[name].code for name in functions]
        used = dict.fromkeys(name for text in code for name in _SYMBOL.findall(text))
        kept = [f"@{name} = hidden {' '.join(self._globals[name])}, align 64" for name in variables]
        elsewhere = [name for name in used if name not in functions and name not in variables]
        declared = [self._declaration(name) for name in elsewhere]
        width = self.target.vector_bits
        attributes = (
            f'attributes #0 = {{ nounwind "prefer-vector-width"="{width}" '
            f'"min-legal-vector-width"="{width}" }}'
        )
        loop_metadata = '!0 = distinct !{!0, !1}\n!1 = !{!"llvm.loop.unroll.disable"}'
        triple = f'target triple = "{self.target.triple}"'
        return "\n".join([triple, *kept, *declared, *code, attributes, loop_metadata]) + "\n"

    def _declaration(self, name: str) -> str:
        """What makes a function or global of another part, of LLVM or of the process known."""
        if name in self._emitters:
            return self._emitters[name].declaration
        if name in self._globals:
            return f"@{name} = external hidden {self._globals[name][0]}, align 64"
        if name in self._expected and name not in self._declarations:
            return f"@{name} = external hidden global i8"  # behind a pointer, types say nothing
        return self._declarations.get(name, "")  # of what is nowhere LLVM has an error


class Emitter(ControlFlow):
    """Writes one function. `arguments` are its parameters as registers."""

    def __init__(
        self,
        module: Module,
        name: str,
        parameters: Sequence[Parameter],
        result: str | None,
        head: str,
        attributes: Sequence[str],
    ) -> None:
        """Use `Module.function`."""
        self.module = module
        self.target = module.target
        self.functions = module.functions
        self._declare = module.declare
        self.name = name
        self.result = result
        self.arguments = [Register(f"%{p.name}", p.dtype, p.lanes) for p in parameters]
        listed = ", ".join(f"{p.declaration} %{p.name}" for p in parameters)
        signature = f"{head}({listed}) {' '.join(attributes)}"
        self.declaration = f"declare {signature}"
        self.lines = [f"define {signature} {{", "entry:"]
        self.block = "entry"
        self.ended = False
        self.code = ""  # the whole function, once it ended
        self._count = 0
        self._stack_lines: list[str] = []

    def __enter__(self) -> Emitter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.end()

    def end(self) -> None:
        """Ends the function, with a `ret` if it returns nothing and does not end in one."""
        if self.ended:
            return
        if not self.lines[-1].startswith("  ret "):
            if self.result is not None:
                raise RuntimeError(f"function {self.name!r} must end in ret(a {self.result})")
            self.ret()
        self.lines[2:2] = self._stack_lines
        self.lines.append("}")
        self.code = "\n".join(self.lines)
        self.ended = True

    def ret(self, x: Operand | None = None) -> None:
        """Returns from the function; only at its end, outside loops and branches."""
        if self.result is None:
            self.lines.append("  ret void")
            return
        value = x if isinstance(x, Register) else self.constant(x or 0, self.result)
        self.lines.append(f"  ret {value.typed}")

    @contextmanager
    def entry(self) -> Iterator[None]:
        """Writes its body at the function's entry, so that the registers are good everywhere.

        Only straight-line code of arguments, constants and other registers of the entry.
        """
        here, self.lines = self.lines, self._stack_lines
        yield
        self.lines = here

    # Memory -----------------------------------------------------------------------------------

    def stack(self, dtype: str, count: int = 1, alignment: int = 64) -> Register:
        """Room for `count` elements that lasts until the function returns."""
        register = self._fresh("pointer")
        kind = f"[{count} x {memory_type(dtype)}]"
        self._stack_lines.append(f"  {register.text} = alloca {kind}, align {alignment}")
        return register

    def offset(self, pointer: Register, element_index: Operand, dtype: str) -> Register:
        """The address of an element: `pointer + element_index * size of dtype`."""
        index = self._as_index(element_index)
        if index.number == 0 and index.lanes == 1:
            return pointer
        text = f"getelementptr {memory_type(dtype)}, {pointer.typed}, {index.typed}"
        return self.emit(text, "pointer", max(pointer.lanes, index.lanes))

    def load(
        self, pointer: Register, dtype: str, lanes: int = 1, mask: Register | None = None
    ) -> Register:
        """Reads consecutive elements; those that the mask leaves out are not touched and are 0."""
        kind, align = vector_type(memory_type(dtype), lanes), ITEM_SIZES[dtype]
        if mask is None or mask.number is True:
            raw = self.text(f"load {kind}, {pointer.typed}, align {align}")
        elif lanes == 1:
            zero = constant_register(0, dtype)
            return self.choose(mask, lambda: [self.load(pointer, dtype)], lambda: [zero])[0]
        elif mask.first and not mask.first & (mask.first - 1) and self.splits_tails:
            part = self.load(pointer, dtype, mask.first)
            zeros = constant_register(0, dtype, mask.first)
            if mask.first == 1:
                return self.insert(constant_register(0, dtype, lanes), part, 0)
            picks = [min(lane, mask.first) for lane in range(lanes)]
            return self.shuffle(part, zeros, picks)
        else:
            name = f"llvm.masked.load.{_suffix(kind)}.p0"
            self._declare(name, f"declare {kind} @{name}(ptr, i32, <{lanes} x i1>, {kind})")
            operands = f"{pointer.typed}, i32 {align}, {mask.typed}, {kind} zeroinitializer"
            raw = self.text(f"call {kind} @{name}({operands})")
        return self._from_memory(raw, kind, dtype, lanes)

    def store(self, x: Register, pointer: Register, mask: Register | None = None) -> None:
        """Writes consecutive elements; those that the mask leaves out are not touched."""
        if mask is not None and x.lanes == 1 and mask.number is not True:
            with self.if_(mask):
                self.store(x, pointer)
            return
        kind, align = vector_type(memory_type(x.dtype), x.lanes), ITEM_SIZES[x.dtype]
        raw = self._to_memory(x, kind)
        if mask is None or mask.number is True:
            self.lines.append(f"  store {kind} {raw}, {pointer.typed}, align {align}")
            return
        if mask.first is not None and self.splits_tails:
            self._store_first(x, pointer, mask.first)
            return
        name = f"llvm.masked.store.{_suffix(kind)}.p0"
        self._declare(name, f"declare void @{name}({kind}, ptr, i32, <{x.lanes} x i1>)")
        operands = f"{kind} {raw}, {pointer.typed}, i32 {align}, {mask.typed}"
        self.lines.append(f"  call void @{name}({operands})")

    def _store_first(self, x: Register, pointer: Register, count: int) -> None:
        """Writes the first lanes, in pieces that are powers of two."""
        place = 0
        while place < count:
            size = 1 << ((count - place).bit_length() - 1)
            if size == 1:
                piece = self.extract(x, place)
            else:
                piece = self.shuffle(
                    x, self.undefined(x.dtype, x.lanes), range(place, place + size)
                )
            self.store(piece, self.offset(pointer, place, x.dtype))
            place += size

    @property
    def splits_tails(self) -> bool:
        """Whether pieces are faster than masks: AVX2 masks cost some processors a dozen cycles."""
        return self.target.vector_bits < 512

    def prefetch(self, pointer: Register, level: int = 2) -> None:
        """Asks for a line of memory to be brought into a cache: the first or the second level's."""
        hints = [self.constant(x, "int32") for x in (0, 4 - level, 1)]
        self.call("llvm.prefetch.p0", None, pointer, *hints)

    def gather(
        self, pointer: Register, indices: Register, dtype: str, mask: Register | None = None
    ) -> Register:
        """Reads the elements at a vector of element indices; 0 where the mask leaves one out."""
        lanes = indices.lanes
        where = self.offset(pointer, self.cast(indices, "index"), dtype)
        if lanes == 1:
            return self.load(where, dtype, 1, mask)
        kind, mask = vector_type(memory_type(dtype), lanes), self._full_mask(mask, lanes)
        name = f"llvm.masked.gather.{_suffix(kind)}.v{lanes}p0"
        types = f"<{lanes} x ptr>, i32, <{lanes} x i1>, {kind}"
        self._declare(name, f"declare {kind} @{name}({types})")
        operands = f"{where.typed}, i32 {ITEM_SIZES[dtype]}, {mask.typed}, {kind} zeroinitializer"
        raw = self.text(f"call {kind} @{name}({operands})")
        return self._from_memory(raw, kind, dtype, lanes)

    def scatter(
        self, x: Register, pointer: Register, indices: Register, mask: Register | None = None
    ) -> None:
        """Writes elements at a vector of element indices, lane after lane."""
        where = self.offset(pointer, self.cast(indices, "index"), x.dtype)
        if x.lanes == 1:
            self.store(x, where, mask)
            return
        lanes = x.lanes
        kind, mask = vector_type(memory_type(x.dtype), lanes), self._full_mask(mask, lanes)
        name = f"llvm.masked.scatter.{_suffix(kind)}.v{lanes}p0"
        self._declare(name, f"declare void @{name}({kind}, <{lanes} x ptr>, i32, <{lanes} x i1>)")
        raw = self._to_memory(x, kind)
        operands = f"{kind} {raw}, {where.typed}, i32 {ITEM_SIZES[x.dtype]}, {mask.typed}"
        self.lines.append(f"  call void @{name}({operands})")

    def tail_mask(self, count: Operand, lanes: int) -> Register:
        """Which lanes are below `count`, an index that may be larger than the lanes or negative."""
        index = self._as_index(count)
        if index.number is not None:
            bits = [constant_register(lane < index.number, "bool") for lane in range(lanes)]
            if all(bit.number == bits[0].number for bit in bits):
                return constant_register(bits[0].number or False, "bool", lanes)
            text = f"<{', '.join(bit.typed for bit in bits)}>"
            return Register(text, "bool", lanes, first=int(index.number))
        if lanes == 1:
            return self.compare("gt", index, 0)
        small = self.cast(self.minimum(self.maximum(index, 0), lanes), "int32")
        return self.compare("lt", self.iota("int32", lanes), self.broadcast(small, lanes))

    def in_vectors(
        self, size: Operand, lanes: int, body: Callable[[Register, Register | None], None]
    ) -> None:
        """Runs over `size` elements, a vector at a time.

        Args:
            size: How many, as an index.
            lanes: Elements of a vector.
            body: Writes the code for a vector; gets its first element's index, and the mask of the
                elements that exist if some do not.
        """
        count = self._as_index(size)
        if count.number is None:
            whole = self.bitwise_and(count, -lanes)
        else:
            whole = self.index(int(count.number) // lanes * lanes)
        if whole.number != 0:
            with self.loop(0, whole, lanes) as place:
                body(place, None)
        rest = self.sub(count, whole)
        if rest.number == 0 or lanes == 1:
            return
        if rest.number is not None:
            body(whole, self.tail_mask(rest, lanes))
            return
        with self.if_(self.compare("gt", rest, 0)):
            body(whole, self.tail_mask(rest, lanes))

    # Across lanes -----------------------------------------------------------------------------

    def reduce_add(self, vector: Register) -> Register:
        """The sum of the lanes, always as the same tree: halves are added to each other."""
        return self._reduce(vector, self.add)

    def reduce_mul(self, vector: Register) -> Register:
        """The product of the lanes, always as the same tree."""
        return self._reduce(vector, self.mul)

    def reduce_min(self, vector: Register) -> Register:
        """The smallest lane; NaN if one is NaN."""
        return self._reduce(vector, self.minimum)

    def reduce_max(self, vector: Register) -> Register:
        """The largest lane; NaN if one is NaN."""
        return self._reduce(vector, self.maximum)

    def _reduce(
        self, vector: Register, combine: Callable[[Operand, Operand], Register]
    ) -> Register:
        lanes = vector.lanes
        if lanes & (lanes - 1):
            raise ValueError(f"only a power of two of lanes can be reduced, got {lanes}")
        while lanes > 1:
            lanes //= 2
            if lanes == 1:
                return combine(self.extract(vector, 0), self.extract(vector, 1))
            low = self.shuffle(vector, vector, range(lanes))
            high = self.shuffle(vector, vector, range(lanes, 2 * lanes))
            vector = combine(low, high)
        return vector

    # Calls ------------------------------------------------------------------------------------

    def call(
        self, function: str | Register, result: str | None, *arguments: Register, lanes: int = 1
    ) -> Register | None:
        """Calls a function of this module, of another one (by name), or behind a pointer.

        Args:
            function: its name, or a register that holds its address.
            result: dtype of what it returns, or None.
            arguments: what it is given.
            lanes: lanes of what it returns.
        """
        types = ", ".join(argument.type for argument in arguments)
        returned = "void" if result is None else vector_type(REGISTER_TYPES[result], lanes)
        if isinstance(function, str):
            self._declare(function, f"declare {returned} @{function}({types})")
            function = Register(f"@{function}", "pointer")
        operands = ", ".join(argument.typed for argument in arguments)
        text = f"call {returned} {function.text}({operands})"
        if result is None:
            self.lines.append(f"  {text}")
            return None
        return self.emit(text, result, lanes)

    # Atomics ----------------------------------------------------------------------------------

    def atomic_load(self, pointer: Register, dtype: str, ordering: str = "acquire") -> Register:
        """Reads an integer that other threads write."""
        kind, align = REGISTER_TYPES[dtype], ITEM_SIZES[dtype]
        return self.emit(f"load atomic {kind}, {pointer.typed} {ordering}, align {align}", dtype)

    def atomic_store(self, x: Register, pointer: Register, ordering: str = "release") -> None:
        """Writes an integer that other threads read."""
        align = ITEM_SIZES[x.dtype]
        self.lines.append(f"  store atomic {x.typed}, {pointer.typed} {ordering}, align {align}")

    def compare_exchange(
        self, pointer: Register, expected: Register, desired: Register
    ) -> tuple[Register, Register]:
        """Stores `desired` if the memory holds `expected`; what it held, and whether it did."""
        kind = expected.type
        text = f"cmpxchg {pointer.typed}, {expected.typed}, {desired.typed} acq_rel acquire"
        pair = self.text(text)
        held = self.emit(f"extractvalue {{ {kind}, i1 }} {pair}, 0", expected.dtype)
        return held, self.emit(f"extractvalue {{ {kind}, i1 }} {pair}, 1", "bool")

    def fetch_add(self, pointer: Register, x: Register, ordering: str = "acq_rel") -> Register:
        """Adds to an integer in memory at once; what it held before."""
        return self.emit(f"atomicrmw add {pointer.typed}, {x.typed} {ordering}", x.dtype)

    def fence(self, ordering: str = "seq_cst") -> None:
        """Orders the memory accesses before it and after it."""
        self.lines.append(f"  fence {ordering}")

    def spin_hint(self) -> None:
        """Tells the processor that this is a waiting loop, where it can be told."""
        if self.target.triple.startswith("x86_64"):
            self._declare("llvm.x86.sse2.pause", "declare void @llvm.x86.sse2.pause()")
            self.lines.append("  call void @llvm.x86.sse2.pause()")
        elif self.target.triple.startswith(("aarch64", "arm64")):
            self._declare("llvm.aarch64.hint", "declare void @llvm.aarch64.hint(i32)")
            self.lines.append("  call void @llvm.aarch64.hint(i32 1)")

    # Helpers ----------------------------------------------------------------------------------

    def _full_mask(self, mask: Register | None, lanes: int) -> Register:
        return constant_register(True, "bool", lanes) if mask is None else mask

    def _from_memory(self, raw: str, kind: str, dtype: str, lanes: int) -> Register:
        if dtype != "bool":
            return Register(raw, dtype, lanes)
        return self.cast(Register(raw, "uint8", lanes), "bool")

    def _to_memory(self, x: Register, kind: str) -> str:
        return x.text if x.dtype != "bool" else self.cast(x, "uint8").text


def _suffix(kind: str) -> str:
    """A vector type as it stands in an intrinsic's name: `<8 x float>` is `v8f32`."""
    lanes, element = kind[1:-1].split(" x ")
    return f"v{lanes}" + {"float": "f32", "double": "f64"}.get(element, element)
