"""Ops that ask where in each window the maximum stands."""

from __future__ import annotations

from collections.abc import Callable

from graphc.ir import Node, TensorType
from graphc.ir.dims import Dim, product
from graphc.ops.pool import MaxPoolGradient, MaxPoolPick
from graphc.runtime.cpu.emitter import Register
from graphc.runtime.cpu.frame import View
from graphc.runtime.cpu.kernels_movement import fill
from graphc.runtime.cpu.lower import KernelWriter, Lowering, lowers

#: What happens at one place of a window: (lanes that hit, place in the image, channel, mask).
Place = Callable[["Lanes", Register, list[Register]], None]


@lowers(MaxPoolGradient)
def lower_max_pool_gradient(lowering: Lowering, node: Node) -> None:
    """Zeros, to which each dy is added where its window's maximum stands; a unit is an image.

    Where windows do not overlap, each element is written once; where none is left out, that is all.
    """
    x, y, dy = (lowering.view(value) for value in node.inputs)
    dx = lowering.allocate(node.output)
    op: MaxPoolGradient = node.op
    apart = all(size <= stride for size, stride in zip(op.window, op.strides, strict=True))
    if not (apart and _sees_all(op, node.inputs[0].type)):
        fill(lowering, dx, 0)
    work = product(y.shape) * product(node.op.window) * 4
    with lowering.kernel("max_pool_gradient", [x, y, dy], [dx], x.shape[0], work) as k:
        walk = _Walk(k, op, x, y)
        # Places outside of the image are the nearest ones in it, a second time.
        alone = apart and not any(width for pair in op.padding for width in pair)

        def add(lanes: Lanes, hit: Register, image: list[Register]) -> None:
            e = k.e
            if op.positive:
                hit = e.logical_and(hit, e.compare("gt", lanes.load(x, image), 0))
            share = e.select(hit, lanes.load(dy, lanes.window), e.constant(0, dy.dtype, hit.lanes))
            lanes.store(share if alone else e.add(lanes.load(dx, image), share), dx, image)

        walk.write(add)


def _sees_all(op: MaxPoolGradient, x: TensorType) -> bool:
    """Whether windows that do not overlap cover the whole image."""
    _, spatial, _ = op.split(x)
    sizes = zip(op.window, op.strides, op.padding, spatial, strict=True)
    return all(
        size == stride and pair == (0, 0) and isinstance(extent, int) and extent % stride == 0
        for size, stride, pair, extent in sizes
    )


@lowers(MaxPoolPick)
def lower_max_pool_pick(lowering: Lowering, node: Node) -> None:
    """The element of z where the maximum stands; a unit is an image."""
    x, y, z = (lowering.view(value) for value in node.inputs)
    picked = lowering.allocate(node.output)
    work = product(y.shape) * product(node.op.window) * 4
    with lowering.kernel("max_pool_pick", [x, y, z], [picked], x.shape[0], work) as k:
        walk = _Walk(k, node.op, x, y)

        def pick(lanes: Lanes, hit: Register, image: list[Register]) -> None:
            chosen = k.e.select(hit, lanes.load(z, image), lanes.load(picked, lanes.window))
            lanes.store(chosen, picked, lanes.window)

        def clear(lanes: Lanes) -> None:
            lanes.store(k.e.constant(0, z.dtype, lanes.count), picked, lanes.window)

        walk.write(pick, clear)


class Lanes:
    """A vector of channels at one window: where it is, and how to read and write there."""

    def __init__(self, k: KernelWriter, axis: int, window: list[Register], count: int):
        self.k = k
        self.axis = axis
        self.window = window
        self.count = count
        self.mask: Register | None = None

    def _place(self, view: View, index: list[Register]) -> tuple[Register, Register]:
        e, frame = self.k.e, self.k.frame
        offset = e.index(0)
        for position, distance in zip(index, view.strides, strict=True):
            offset = e.add(offset, e.mul(position, frame.dim(distance)))
        stride = frame.dim(view.strides[self.axis])
        return e.offset(frame.pointer(view), offset, view.dtype), stride

    def load(self, view: View, index: list[Register]) -> Register:
        """The elements at an index, and those of the following channels."""
        e = self.k.e
        place, stride = self._place(view, index)
        if stride.number == 1 or self.count == 1:
            return e.load(place, view.dtype, self.count, self.mask)
        steps = e.mul(e.iota("index", self.count), e.broadcast(stride, self.count))
        return e.gather(place, steps, view.dtype, self.mask)

    def store(self, x: Register, view: View, index: list[Register]) -> None:
        """Write the elements at an index, and those of the following channels."""
        e = self.k.e
        place, stride = self._place(view, index)
        if stride.number == 1 or self.count == 1:
            e.store(x, place, self.mask)
            return
        steps = e.mul(e.iota("index", self.count), e.broadcast(stride, self.count))
        e.scatter(x, place, steps, self.mask)


class _Walk:
    """Loops over images, windows, channels, and the positions in a window."""

    def __init__(self, k: KernelWriter, op: MaxPoolGradient | MaxPoolPick, x: View, y: View):
        self.k = k
        self.op = op
        self.x = x
        self.y = y
        self.channel_axis = 1 if op.layout == "first" else len(x.shape) - 1
        self.first = 2 if op.layout == "first" else 1

    def write(
        self,
        act: Callable[[Lanes, Register, list[Register]], None],
        begin: Callable[[Lanes], None] | None = None,
    ) -> None:
        """Call ``act`` for each position of each window, first ``begin`` for each window."""
        with self.k.e.loop(self.k.begin, self.k.end) as image:
            self._windows([image], act, begin)

    def _windows(self, place: list[Register], act: Place, begin: Callable | None) -> None:
        e = self.k.e
        depth = len(place) - 1
        if depth == len(self.op.window):
            self._channels(place, act, begin)
            return
        with e.loop(0, self.k.frame.dim(self.y.shape[self.first + depth])) as position:
            self._windows([*place, position], act, begin)

    def _channels(self, place: list[Register], act: Place, begin: Callable | None) -> None:
        e = self.k.e
        channels: Dim = self.x.shape[self.channel_axis]
        lanes = e.target.lanes(self.x.dtype)

        def of_vector(channel: Register, mask: Register | None) -> None:
            window = [place[0], *place[1:]]
            window.insert(self.channel_axis, channel)
            vector = Lanes(self.k, self.channel_axis, window, lanes)
            vector.mask = mask
            if begin is not None:
                begin(vector)
            highest = vector.load(self.y, window)
            found = e.constant(False, "bool", lanes)
            self._positions(vector, [], highest, found, act)

        e.in_vectors(self.k.frame.dim(channels), lanes, of_vector)

    def _positions(
        self,
        vector: Lanes,
        position: list[Register],
        highest: Register,
        found: Register,
        act: Place,
    ) -> Register:
        """Loops over the positions of a window; carries which lanes have found their maximum."""
        e, op = self.k.e, self.op
        depth = len(position)
        if depth == len(op.window):
            return self._position(vector, position, highest, found, act)
        with e.carry(0, op.window[depth], 1, [found]) as turn:
            inner = [*position, turn.index]
            turn.values = [self._positions(vector, inner, highest, turn.values[0], act)]
        return turn.results[0]

    def _position(
        self,
        vector: Lanes,
        position: list[Register],
        highest: Register,
        found: Register,
        act: Place,
    ) -> Register:
        e, op = self.k.e, self.op
        image = list(vector.window)
        inside: Register | None = None
        for i, (offset, stride, (before, after)) in enumerate(
            zip(position, op.strides, op.padding, strict=True)
        ):
            axis = self.first + i
            place = e.add(e.mul(vector.window[axis], stride), offset)
            if before or after:
                size = self.k.frame.dim(self.x.shape[axis])
                place = e.sub(place, before)
                here = e.logical_and(e.compare("ge", place, 0), e.compare("lt", place, size))
                inside = here if inside is None else e.logical_and(inside, here)
                # Outside, the nearest element is read, and not counted.
                place = e.minimum(e.maximum(place, 0), e.sub(size, 1))
            image[axis] = place
        # "Not less" also holds for NaN, so that every window has a hit.
        hit = e.logical_not(e.compare("lt", vector.load(self.x, image), highest))
        if inside is not None:
            hit = e.logical_and(hit, e.broadcast(inside, hit.lanes))
        first = e.logical_and(hit, e.logical_not(found))
        act(vector, first, image)
        return e.logical_or(found, hit)
