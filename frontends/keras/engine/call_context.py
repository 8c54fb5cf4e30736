"""What a call passes down to the layers it calls: the training flag; and up: added losses."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from graphc.eager.tensor import Tensor, apply
from graphc.ops.movement import Size


class CallContext:
    """The state of the outermost call and those inside.

    It is current inside of ``with``.

    Attributes:
        training: The flag that layers see which are not told; None if nobody said.
        losses: What layers added with `add_loss`, and penalties on activity.
        is_outermost: Whether no other call is around this one.
    """

    __slots__ = ("_token", "is_outermost", "losses", "training")

    def __init__(self, training: bool | None, is_outermost: bool = True):
        self.training = training
        self.is_outermost = is_outermost
        self.losses: list[Tensor] = []

    def __enter__(self) -> CallContext:
        self._token = _current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)

    def add_regularized(self, penalty: Tensor, batch: Any, output: Tensor) -> None:
        """Add a penalty on a layer's output, averaged over the batch as Keras does it."""
        if isinstance(batch, int):
            self.losses.append(penalty / max(batch, 1))
        else:
            self.losses.append(penalty / apply(Size((0,), penalty.dtype), output))


_current: ContextVar[CallContext | None] = ContextVar("graphc_call", default=None)


def entered(training: bool | None) -> CallContext:
    """Run a call with this training flag; losses go to the outermost call's list."""
    outer = _current.get()
    context = CallContext(training, outer is None)
    if outer is not None:
        context.losses = outer.losses
    return context


def apart() -> CallContext:
    """Calls inside the block are no part of the enclosing call: what they add as losses is lost."""
    return CallContext(training(), is_outermost=False)


def training() -> bool | None:
    """The training flag of the enclosing call; None outside of one, or if nobody said."""
    context = _current.get()
    return context.training if context else None


def add_loss(loss: Tensor) -> None:
    """Add to the losses of the outermost call."""
    context = _current.get()
    if context is None:
        raise RuntimeError("add_loss has to be called inside the call method of a layer")
    context.losses.append(loss)
