"""Strided tensor contractions: `result[o, m, n] = epilogue(sum over k of a[o, m, k] * b[o, n, k])`.

One generator serves every product of tensors, because only strides matter: dense layers, batched
matrix products with any operand transposed, convolutions over a padded input (rows are output
positions, the reduction runs over kernel positions and channels), and their gradients.

Example:
    `y = x @ w` for x of shape (batch, 784) and w of shape (784, 300)::

        contraction = Contraction(
            rows=(Axis("batch", a=784, c=300),),
            columns=(Axis(300, b=1, c=1),),
            reduction=(Axis(784, a=1, b=300),),
        )
        native = generate(module, "dense", contraction)
        # dense(x, w, y, batch, scratch, begin, end), for ranges of native.chunks({"batch": 32})
"""

from __future__ import annotations

from graphc.runtime.cpu.contraction_driver import Driver
from graphc.runtime.cpu.contraction_kernel import Epilogue, Position
from graphc.runtime.cpu.contraction_native import Contraction, Native
from graphc.runtime.cpu.contraction_plan import Axis, Size
from graphc.runtime.cpu.emitter import Emitter, Module, Register

__all__ = ["Axis", "Contraction", "Native", "Position", "Size", "generate", "store"]


def store(e: Emitter, sums: Register, position: Position) -> None:
    """The plainest epilogue: sums become elements of the result, whose dtype is theirs."""
    position.store(e, sums)


def generate(
    module: Module, name: str, contraction: Contraction, epilogue: Epilogue = store
) -> Native:
    """Writes a contraction into a module.

    Args:
        module: where the function and its kernels go.
        name: the function's symbol; its kernels' symbols start with it.
        contraction: what to compute.
        epilogue: emits what happens to each vector of sums; it stores the results.

    Returns:
        What a caller of the function must know.
    """
    native = Native(name, contraction, contraction.plan(module.target))
    Driver(module, native, epilogue).write()
    return native
