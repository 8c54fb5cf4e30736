"""Sorting: rows of 64-bit words, each a key and a position, in a merge sort without branches.

Any element becomes an unsigned key of the same order (NaN last, the zeros equal). A key of 32 bits
and the position make one word, so words differ, the sort need not care for stability, and moving a
word moves both. Keys of 64 bits are sorted by their lower half first, then by their upper half.
"""

from __future__ import annotations

from collections.abc import Callable

from graphc.ir import Node, TensorType
from graphc.ir.dims import Dim, product
from graphc.ops.sort import Sort
from graphc.runtime.cpu.emitter import Emitter, Module, Register
from graphc.runtime.cpu.frame import View, dense_strides
from graphc.runtime.cpu.lower import KernelWriter, Lowering, lowers
from graphc.runtime.cpu.registers import BITS, FLOATS, HALVES, UNSIGNED

#: Runs of so many words are sorted by a network of comparisons, in registers.
RUN = 8
#: Batcher's odd-even merge sort of eight: pairs of places whose words are put in order.
_NETWORK = ((0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (1, 2), (5, 6),
            (0, 4), (1, 5), (2, 6), (3, 7), (2, 4), (3, 5), (1, 2), (3, 4), (5, 6))  # fmt: skip
_SORT_WORDS = "sort_words"
#: So few elements of each row are picked out without the rest being sorted.
FEW = 16


@lowers(Sort)
def lower_sort(lowering: Lowering, node: Node) -> None:
    """A unit of work is a row."""
    op: Sort = node.op
    x = _rows(lowering, lowering.view(node.inputs[0]), op.axis)
    results = [_allocate_rows(lowering, value.type, op.axis) for value in node.outputs]
    for value, (_, view) in zip(node.outputs, results, strict=True):
        lowering.views[value] = view
    values, order = (rows for rows, _ in results)
    size, count = x.shape[-1], values.shape[-1]
    rows = product(x.shape[:-1])
    _write_sort_words(lowering.module)
    work = product(x.shape) * 40
    with lowering.kernel("sort", [x], [values, order], rows, work) as k:
        _Rows(k, op, x, values, order, size, count).write()
    lowering.kernels[-1].scratch = lambda frame: _scratch_bytes(frame.e, frame.dim(size))


def _rows(lowering: Lowering, view: View, axis: int) -> View:
    """A dense view whose last axis is the one along which is sorted."""
    last = [a for a in range(len(view.shape)) if a != axis] + [axis]
    moved = View(
        view.buffer,
        tuple(view.shape[a] for a in last),
        tuple(view.strides[a] for a in last),
        view.offset,
    )
    return moved if moved.is_dense else lowering.copy(moved)


def _allocate_rows(lowering: Lowering, type: TensorType, axis: int) -> tuple[View, View]:
    """A buffer for a result, as rows along its last axis and in the order of the result's axes."""
    shape = type.shape
    last = [a for a in range(len(shape)) if a != axis] + [axis]
    moved = tuple(shape[a] for a in last)
    buffer = lowering.temporary(type.with_shape(moved))
    strides = dense_strides(moved)
    own = tuple(strides[last.index(a)] for a in range(len(shape)))
    return View.whole(buffer), View(buffer, shape, own)


def _padded(e: Emitter, size: Register) -> Register:
    return e.bitwise_and(e.add(size, RUN - 1), -RUN)


def _scratch_bytes(e: Emitter, size: Register) -> Register:
    """Two arrays of words, each with room behind, and one of positions."""
    return e.mul(e.add(_padded(e, size), RUN), 2 * 8 + 4)


class _Rows:
    """Sorts row after row.

    Args:
        k: The kernel.
        op: The op.
        x: The rows.
        values: Where the sorted elements go.
        order: Where their positions go.
        size: The length of a row.
        count: How many elements of it are wanted.
    """

    def __init__(
        self, k: KernelWriter, op: Sort, x: View, values: View, order: View, size: Dim, count: Dim
    ) -> None:
        self.k = k
        self.e = k.e
        self.op = op
        self.x = x
        self.values = values
        self.order = order
        self.size = k.frame.dim(size)
        self.count = k.frame.dim(count)
        self.padded = _padded(k.e, self.size)
        step = k.e.mul(k.e.add(self.padded, RUN), 8)
        self.first = k.scratch
        self.second = k.e.offset(k.scratch, step, "int8")
        self.positions = k.e.offset(self.second, step, "int8")

    def write(self) -> None:
        """The code of the kernel."""
        e, frame = self.e, self.k.frame
        pointers = [frame.pointer(view) for view in (self.x, self.values, self.order)]
        with e.loop(self.k.begin, self.k.end) as row:
            x = e.offset(pointers[0], e.mul(row, self.size), self.x.dtype)
            y = e.offset(pointers[1], e.mul(row, self.count), self.values.dtype)
            order = e.offset(pointers[2], e.mul(row, self.count), "int32")
            position = self._sorted(x)
            with e.loop(0, self.count) as i:
                place = position(i)
                e.store(e.load(e.offset(x, place, self.x.dtype), self.x.dtype),
                        e.offset(y, i, self.x.dtype))  # fmt: skip
                e.store(e.cast(place, "int32"), e.offset(order, i, "int32"))

    def _sorted(self, x: Register) -> Callable[[Register], Register]:
        """Sort a row; gives the code for the position of the i-th element."""
        e = self.e
        if BITS[self.x.dtype] <= 32:
            few = self.count.number is not None and 0 < self.count.number <= FEW
            return (self._first if few else self._pass)(lambda i: self._key(x, i))
        low = self._pass(lambda i: e.cast(self._key(x, i), "uint32"))
        with e.loop(0, self.size) as i:
            e.store(e.cast(low(i), "uint32"), e.offset(self.positions, i, "uint32"))

        def position(i: Register) -> Register:
            return e.cast(e.load(e.offset(self.positions, i, "uint32"), "uint32"), "index")

        high = self._pass(lambda i: e.cast(e.shift_right(self._key(x, position(i)), 32), "uint32"))
        return lambda i: position(high(i))

    def _pass(self, key: Callable[[Register], Register]) -> Callable[[Register], Register]:
        """Sort by keys of up to 32 bits; gives the code for the place that the i-th came from."""
        e = self.e
        with e.loop(0, self.size) as i:
            e.store(self._word(key, i), e.offset(self.first, i, "uint64"))
        with e.loop(self.size, self.padded) as i:  # these stay behind all others
            e.store(e.constant((1 << 64) - 1, "uint64"), e.offset(self.first, i, "uint64"))
        words = e.call(_SORT_WORDS, "pointer", self.first, self.second, self.padded)
        assert words is not None
        return lambda i: self._place(words, i)

    def _first(self, key: Callable[[Register], Register]) -> Callable[[Register], Register]:
        """Like `_pass`, for the first few only: each word is compared with the last of them."""
        e = self.e
        places = [e.offset(self.first, i, "uint64") for i in range(int(self.count.number or 0))]
        for place in places:
            e.store(e.constant((1 << 64) - 1, "uint64"), place)
        with e.loop(0, self.size) as i:
            word = self._word(key, i)
            with e.if_(e.compare("lt", word, e.load(places[-1], "uint64"))):
                # Each place keeps its word or takes that before it; one takes the new word.
                old = [e.load(place, "uint64") for place in places]
                low = [e.minimum(own, word) for own in old]
                new = [low[0], *map(e.maximum, old[:-1], low[1:])]
                for own, place in zip(new, places, strict=True):
                    e.store(own, place)
        return lambda i: self._place(self.first, i)

    def _word(self, key: Callable[[Register], Register], i: Register) -> Register:
        e = self.e
        upper = e.shift_left(e.cast(key(i), "uint64"), 32)
        return e.bitwise_or(upper, e.cast(i, "uint64"))

    def _place(self, words: Register, i: Register) -> Register:
        """The position that the i-th word holds."""
        e = self.e
        word = e.load(e.offset(words, i, "uint64"), "uint64")
        return e.cast(e.cast(word, "uint32"), "index")

    def _key(self, x: Register, i: Register) -> Register:
        """An unsigned integer of the same order as the elements (the opposite if descending)."""
        e, dtype = self.e, self.x.dtype
        element = e.load(e.offset(x, i, dtype), dtype)
        if dtype in HALVES:
            element = e.cast(element, "float32")
        if dtype in FLOATS:
            key = self._float_key(element)
        elif dtype == "bool":
            key = e.cast(element, "uint8")
        elif dtype in UNSIGNED:
            key = element
        else:
            key = e.bitwise_xor(e.bitcast(element, f"u{dtype}"), 1 << (BITS[dtype] - 1))
        return e.bitwise_not(key) if self.op.descending else key

    def _float_key(self, x: Register) -> Register:
        """Negative numbers turned round, positive ones above them; NaN above all."""
        e, width = self.e, BITS[x.dtype]
        bits = e.bitcast(e.add(x, 0.0), f"uint{width}")  # -0.0 becomes 0.0
        sign = 1 << (width - 1)
        negative = e.compare("ge", bits, sign)
        key = e.select(negative, e.bitwise_not(bits), e.bitwise_or(bits, sign))
        return e.select(e.is_nan(x), e.constant((1 << width) - 1, key.dtype), key)


def _write_sort_words(module: Module) -> None:
    """A function that sorts words, a multiple of `RUN` of them; it gives the array they end in."""
    if module.has_function(_SORT_WORDS):
        return
    parameters = [("first", "pointer"), ("second", "pointer"), ("count", "index")]
    with module.function(_SORT_WORDS, parameters, "pointer", internal=True, noinline=True) as e:
        first, second, count = e.arguments
        with e.loop(0, count, RUN) as start:
            _sort_run(e, e.offset(first, start, "uint64"))
        source, target, width = e.stack("pointer"), e.stack("pointer"), e.stack("index")
        e.store(first, source)
        e.store(second, target)
        e.store(e.index(RUN), width)
        with e.while_(lambda: e.compare("lt", e.load(width, "index"), count)):
            run = e.load(width, "index")
            old, new = e.load(source, "pointer"), e.load(target, "pointer")
            with e.loop(0, count, e.mul(run, 2)) as low:
                middle = e.minimum(e.add(low, run), count)
                high = e.minimum(e.add(middle, run), count)
                _merge(e, old, new, low, middle, high)
            e.store(new, source)
            e.store(old, target)
            e.store(e.mul(run, 2), width)
        e.ret(e.load(source, "pointer"))


def _sort_run(e: Emitter, start: Register) -> None:
    places = [e.offset(start, i, "uint64") for i in range(RUN)]
    words = [e.load(place, "uint64") for place in places]
    for i, j in _NETWORK:
        words[i], words[j] = e.minimum(words[i], words[j]), e.maximum(words[i], words[j])
    for word, place in zip(words, places, strict=True):
        e.store(word, place)


def _merge(
    e: Emitter, old: Register, new: Register, low: Register, middle: Register, high: Register
) -> None:
    """Two sorted runs, from ``low`` and from ``middle``, become one."""
    with e.carry(low, high, 1, [low]) as loop:
        i = loop.values[0]
        j = e.add(middle, e.sub(loop.index, i))
        # Behind the end of either array there is room to read.
        left = e.load(e.offset(old, i, "uint64"), "uint64")
        right = e.load(e.offset(old, j, "uint64"), "uint64")
        smaller = e.logical_or(e.compare("le", left, right), e.compare("ge", j, high))
        take = e.logical_and(e.compare("lt", i, middle), smaller)
        e.store(e.select(take, left, right), e.offset(new, loop.index, "uint64"))
        loop.values[0] = e.add(i, e.cast(take, "index"))
