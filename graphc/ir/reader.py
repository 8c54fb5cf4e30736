"""Reading the text form of graphs; `graphc.ir.text` says what it is.

Parsing runs no code: an op is one of `Op.registry`, an attribute is a plain value. Whatever is
wrong with a text is a `ParseError` that names the line.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from graphc.errors import GraphcError, ParseError
from graphc.ir import dims
from graphc.ir.dims import Dim
from graphc.ir.graph import NOWHERE, Graph, Location, Value
from graphc.ir.literal import Literal
from graphc.ir.op import Op
from graphc.ir.text import PLAIN_FILE, PLAIN_NAME, array_of_elements, name_text
from graphc.ir.types import ALL_DTYPES, TensorType, is_complex, numpy_dtype, part_dtype

#: How deep values and graphs may be nested in a text.
DEPTH_LIMIT = 50
#: How many terms a product in a dimension may have.
TERMS_LIMIT = 1000

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INTEGER = re.compile(r"-?[0-9]+")
_FLOAT = re.compile(r"-?(?:(?:inf|nan)\b|[0-9]+\.[0-9]*(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)")
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_QUOTED_SYMBOL = re.compile(r"'(?:[^'\\\n]|\\.)*'")
_TYPE_START = re.compile(rf"({'|'.join(ALL_DTYPES)})\s*\[")
_GRAPH_START = re.compile(r'graph\s*"')
_BASE64 = re.compile(r"base64\b")
_SPACE = re.compile(r"(?:\s|#[^\n]*)*")
_WORDS = {"None": None, "True": True, "False": False}

T = TypeVar("T")


def parse(text: str) -> Graph:
    """The graph that a text describes.

    Args:
        text: What `as_text` wrote, or what somebody wrote by hand.

    Raises:
        ParseError: The text describes no graph; the message has the line and what was expected.

    Example:
        >>> parse('graph "g" { input %x : float32[3]  %y = Neg(%x)  output y = %y }')
    """
    reader = Reader(text)
    graph = reader.graph()
    reader.end()
    return graph


def parse_dim(text: str) -> Dim:
    """The dimension that ``str(dim)`` wrote.

    Raises:
        ParseError: The text is no dimension.
    """
    reader = Reader(text)
    dim = reader.dim()
    reader.end()
    return dim


class Reader:
    """A position in a text, and methods that read what stands there and go on behind it.

    Args:
        text: The text.
    """

    def __init__(self, text: str):
        self.text = text
        self.position = 0
        self._depth = 0

    # Every method begins by skipping space, so that error positions are at what is wrong.

    def graph(self) -> Graph:
        """A whole graph."""
        with self._nested():
            self.word("graph")
            graph = Graph(self.string("the graph's name"))
            values: dict[str, Value] = {}
            self.expect("{")
            while not self.take("}"):
                self._statement(graph, values)
        return graph

    def string(self, what: str = "a string") -> str:
        """A JSON string."""
        start = self.position
        literal = self.match(_STRING, f"{what}, a string in double quotes")
        return self._convert(json.loads, literal, start, "a string")

    def name(self, what: str = "a name") -> str:
        """A plain name or a JSON string."""
        return self.string() if self.peek('"') else self.match(PLAIN_NAME, what)

    def reference(self) -> str:
        """A value's name with its ``%``, in normal form."""
        self.expect("%", "a value such as %x")
        plain = self._take_pattern(PLAIN_NAME) or self._take_pattern(_INTEGER)
        # In normal form an input that is called like a number keeps its quotes.
        return plain or name_text(self.string("a value's name"))

    def type(self) -> TensorType:
        """A tensor type."""
        dtype = self.match(_IDENTIFIER, "a type such as float32[batch, 3]")
        if dtype not in ALL_DTYPES:
            raise self.error(f"an element type ({', '.join(ALL_DTYPES)})", dtype)
        self.expect("[")
        type = TensorType(tuple(self._list("]", self.dim)), dtype)
        if not type.is_possible:
            raise self.error("a type without negative sizes", str(type))
        return type

    def dim(self) -> Dim:
        """A dimension: an integer or a sum of products as `SymbolicDim` prints it."""
        with self._nested():
            total = self._term(-1 if self.take("-") else 1)
            while True:
                if self.take("+"):
                    total = total + self._term(1)
                elif self.take("-"):
                    total = total - self._term(1)
                else:
                    return total

    def word(self, word: str) -> None:
        """Exactly this word."""
        start = self._skip()
        if self._take_pattern(_IDENTIFIER) != word:
            self.position = start
            raise self.error(f'"{word}"')

    def expect(self, symbol: str, what: str = "") -> None:
        """Exactly this text."""
        if not self.take(symbol):
            raise self.error(what or f'"{symbol}"')

    def take(self, symbol: str) -> bool:
        """Whether this text stands here; if so it is passed over."""
        if not self.peek(symbol):
            return False
        self.position += len(symbol)
        return True

    def peek(self, symbol: str) -> bool:
        """Whether this text stands here."""
        return self.text.startswith(symbol, self._skip())

    def match(self, pattern: re.Pattern[str], what: str) -> str:
        """The text of a pattern."""
        found = self._take_pattern(pattern)
        if found is None:
            raise self.error(what)
        return found

    def end(self) -> None:
        """Nothing may follow."""
        if self._skip() != len(self.text):
            raise self.error("the end of the text")

    def error(self, expected: str, received: str = "") -> ParseError:
        """An error that names the line, what was expected and what stands there instead."""
        rest = self.text[self.position :].split("\n", 1)[0].strip()
        received = received or (f"{rest[:40]!r}" if rest else "the end of the text")
        return ParseError(f"{self.place()}: expected {expected}, received {received}")

    def place(self) -> str:
        """The line of the current position, in words."""
        return f"line {self.text.count(chr(10), 0, self.position) + 1}"

    def _statement(self, graph: Graph, values: dict[str, Value]) -> None:
        if self.peek("%"):
            self._node(graph, values)
            return
        start = self._skip()
        match self._take_pattern(_IDENTIFIER):
            case "input":
                self.expect("%", "a value such as %x")
                name = self.name("the input's name")
                self.expect(":")
                value = self._guard(start, graph.input, name, self.type())
                self._define(values, name_text(name), value, start)
            case "output":
                name = self.name("the output's name")
                if name in graph.outputs:
                    raise self.error("an output name that is new", f'"{name}"')
                self.expect("=")
                graph.outputs[name] = self._use(values)
            case _:
                self.position = start
                raise self.error('"input", "output", a node such as "%0 = Neg(%x)", or "}"')

    def _node(self, graph: Graph, values: dict[str, Value]) -> None:
        start = self._skip()
        results = [self.reference()]
        while self.take(","):
            results.append(self.reference())
        self.expect("=")
        name = self.match(_IDENTIFIER, "the name of an op")
        op_class = Op.registry.get(name)
        if op_class is None or not (
            op_class.has_rule("evaluate") or op_class.has_rule("decompose")
        ):
            raise self.error("the name of an op", f'"{name}"')
        self.expect("(")
        operands = self._list(")", lambda: self._use(values))
        attributes = self._attributes() if self.take("{") else {}
        types = self._types() if self.take(":") else None
        location = self._location() if self.take("@") else NOWHERE
        op = self._guard(start, op_class, **attributes)
        with graph.at(location):
            outputs = self._guard(start, graph.apply, op, *operands)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        if len(outputs) != len(results):
            self.position = start
            raise self.error(f"{len(outputs)} results of {name}", str(len(results)))
        if types is not None and types != [value.type for value in outputs]:
            self.position = start
            inferred = ", ".join(str(value.type) for value in outputs)
            raise self.error(f"type {inferred} of {name}", ", ".join(map(str, types)))
        for result, value in zip(results, outputs, strict=True):
            self._define(values, result, value, start)

    def _types(self) -> list[TensorType]:
        types = [self.type()]
        while self.take(","):
            types.append(self.type())
        return types

    def _define(self, values: dict[str, Value], key: str, value: Value, start: int) -> None:
        if key in values:
            self.position = start
            raise self.error("a value that is new", f"%{key}, which is defined already")
        values[key] = value

    def _use(self, values: dict[str, Value]) -> Value:
        key = self.reference()
        if key not in values:
            raise self.error("a value that is defined above", f"%{key}")
        return values[key]

    def _attributes(self) -> dict[str, Any]:
        attributes: dict[str, Any] = {}

        def attribute() -> None:
            name = self.match(_IDENTIFIER, "the name of an attribute")
            if name in attributes:
                raise self.error("an attribute that is new", name)
            self.expect("=")
            attributes[name] = self._value()

        self._list("}", attribute)
        return attributes

    def _location(self) -> Location:
        layer = file = ""
        line = 0
        if self.peek('"'):
            first = self.string()
            if self.peek(":"):
                file = first
            else:
                layer = first
        if not file:
            # The place in a file is on the same line; the next statement never looks like one.
            start = self._skip()
            file = (self.string() if self.peek('"') else self._take_pattern(PLAIN_FILE)) or ""
            if not self.peek(":"):
                self.position = start
                return Location(layer)
        self.expect(":")
        start = self.position
        line = self._convert(int, self.match(_INTEGER, "a line number"), start, "a line number")
        return Location(layer, file, line)

    def _value(self) -> Any:
        with self._nested():
            start = self._skip()
            if self.peek('"'):
                return self.string()
            if self.take("["):
                return tuple(self._list("]", self._value))
            if _GRAPH_START.match(self.text, start):
                return self.graph()
            if _TYPE_START.match(self.text, start):
                return self._type_or_literal()
            number = self._take_pattern(_FLOAT)
            if number is not None:
                return float(number)
            word = self._take_pattern(_IDENTIFIER)
            if word in _WORDS:
                return _WORDS[word]
            self.position = start
            return self.dim()

    def _type_or_literal(self) -> TensorType | Literal:
        start = self._skip()
        type = self.type()
        if not self.take("("):
            return type
        if not all(isinstance(dim, int) for dim in type.shape):
            raise self.error("an array's shape, of integers", str(type))
        size = int(dims.product(type.shape))
        if self._take_pattern(_BASE64):
            array = self._base64(type, size)
            self.expect(")")
        else:
            elements = self._list(")", self._element)
            count = 2 * size if is_complex(type.dtype) else size
            if len(elements) != count:
                raise self.error(f"{count} elements of {type}", str(len(elements)))
            parts = self._guard(start, array_of_elements, elements, part_dtype(type.dtype))
            array = parts.view(numpy_dtype(type.dtype))
        return Literal(self._guard(start, array.reshape, type.shape))

    def _element(self) -> str:
        for pattern in (_FLOAT, _INTEGER, _IDENTIFIER):
            text = self._take_pattern(pattern)
            if text is not None:
                return text
        raise self.error("a number, True or False")

    def _base64(self, type: TensorType, size: int) -> np.ndarray:
        start = self._skip()
        data = self._guard(start, base64.b64decode, self.string(), validate=True)
        dtype = numpy_dtype(type.dtype)
        if len(data) != size * dtype.itemsize:
            raise self.error(f"{size * dtype.itemsize} bytes for {type}", f"{len(data)} bytes")
        array = np.frombuffer(data, dtype)
        if type.dtype == "bool" and any(byte > 1 for byte in data):
            raise self.error("bytes 0 and 1 for booleans", "others")
        return array if sys.byteorder == "little" else array.byteswap()

    def _term(self, sign: int) -> Dim:
        term: Dim = sign
        while True:
            term = term * self._factor()
            # A product of sums (as quotients may turn out to be) doubles with every factor.
            if isinstance(term, dims.SymbolicDim) and len(term.terms) > TERMS_LIMIT:
                raise self.error(f"a dimension of at most {TERMS_LIMIT} terms", "more")
            if not self.take("*"):
                return term

    def _factor(self) -> Dim:
        start = self._skip()
        if self.take("("):
            self.expect("(")
            numerator = self.dim()
            self.expect(")")
            self.expect("//")
            divisor = self._convert(int, self.match(_INTEGER, "an integer"), start, "an integer")
            if divisor < 1:
                raise self.error("a divisor above 0", str(divisor))
            self.expect(")")
            return numerator // divisor
        quoted = self._take_pattern(_QUOTED_SYMBOL)
        if quoted is not None:
            name = self._convert(json.loads, f'"{quoted[1:-1]}"', start, "a symbol")
            return dims.symbol(name)
        name = self._take_pattern(_IDENTIFIER)
        if name is not None:
            return dims.symbol(name)
        digits = self.match(_INTEGER, "a dimension: an integer, a name or (...)//n")
        return self._convert(int, digits, start, "an integer")

    def _list(self, closing: str, item: Callable[[], T]) -> list[T]:
        """Items between commas, up to the closing symbol."""
        items: list[T] = []
        if self.take(closing):
            return items
        while True:
            items.append(item())
            if self.take(closing):
                return items
            self.expect(",", f'"," or "{closing}"')

    def _skip(self) -> int:
        self.position = _SPACE.match(self.text, self.position).end()  # type: ignore[union-attr]
        return self.position

    def _take_pattern(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self.text, self._skip())
        if found is None:
            return None
        self.position = found.end()
        return found.group()

    def _convert(self, convert: Callable[[str], T], text: str, start: int, what: str) -> T:
        try:
            return convert(text)
        except ValueError:
            self.position = start
            raise self.error(what) from None

    def _guard(self, start: int, call: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Make whatever goes wrong in a call that the text asks for an error of the text."""
        try:
            return call(*arguments, **named)
        except Exception as error:  # an op given attributes of wrong types can fail in any way
            self.position = start
            kind = "" if isinstance(error, GraphcError) else f"{type(error).__name__}: "
            raise ParseError(f"{self.place()}: {kind}{error}") from error

    @contextmanager
    def _nested(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise self.error(f"at most {DEPTH_LIMIT} levels of nesting", "more")
        yield
        self._depth -= 1
