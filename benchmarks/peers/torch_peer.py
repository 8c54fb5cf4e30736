"""PyTorch: the loop that its tutorials teach, with rows gathered from a permutation.

Eager, and with the model's two passes compiled by ``torch.compile``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from benchmarks.peers.torch_models import LARGE
from benchmarks.workloads import MODELS, Prediction, Workload


class Stack(nn.Module):
    """The layers of a workload; logits come out where others have a softmax."""

    def __init__(self, workload: Workload):
        super().__init__()
        self.workload = workload
        self.parts = nn.ModuleList()
        shape: tuple[int, ...] = workload.shape
        for position, (kind, *arguments) in enumerate(workload.layers):
            features = shape[-1]
            if workload.wide and position == len(workload.layers) - 1:
                self.auxiliary = nn.Linear(features, 1)
                features += workload.wide
            if kind == "dense":
                self.parts.append(nn.Linear(features, arguments[0]))
                shape = (arguments[0],)
            elif kind == "conv":
                self.parts.append(nn.Conv2d(features, arguments[0], arguments[1]))
                shape = (*(size - arguments[1] + 1 for size in shape[:-1]), arguments[0])
            elif kind == "pool":
                self.parts.append(nn.MaxPool2d(arguments[0]))
                shape = (*(size // arguments[0] for size in shape[:-1]), features)
            elif kind == "flatten":
                self.parts.append(nn.Flatten())
                shape = (torch.Size(shape).numel(),)
            else:
                cell = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[kind]
                self.parts.append(cell(features, arguments[0], batch_first=True))
                shape = (arguments[0],)

    def forward(self, x: torch.Tensor, wide: torch.Tensor | None = None):
        if x.ndim == 4:
            x = x.permute(0, 3, 1, 2)
        for position, (part, layer) in enumerate(
            zip(self.parts, self.workload.layers, strict=True)
        ):
            if wide is not None and position == len(self.parts) - 1:
                auxiliary = self.auxiliary(x)
                x = torch.cat([wide, x], 1)
            x = part(x)
            if layer[0] in ("lstm", "gru", "rnn"):
                x = x[0][:, -1]
            if layer[-1] == "relu":
                x = torch.relu(x)
        return x if wide is None else (x, auxiliary)


def _build(workload: Workload) -> nn.Module:
    return LARGE[workload.model]() if workload.model else Stack(workload)


def _compiled(model: nn.Module, peer: str) -> nn.Module:
    """The model as the peer runs it."""
    if peer != "torch-compile":
        return model
    return torch.compile(model)  # type: ignore[return-value]


def _loss(workload: Workload) -> nn.Module:
    return nn.MSELoss() if workload.loss == "mse" else nn.CrossEntropyLoss()


def _optimizer(workload: Workload, model: nn.Module) -> torch.optim.Optimizer:
    parameters = model.parameters()
    if workload.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=0.01)
    if workload.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=0.001, alpha=0.9)
    return torch.optim.Adam(parameters, lr=0.001)


def train(workload: Workload, peer: str, threads: int) -> Callable[[], None]:
    """A function that trains for the steps of one measurement."""
    torch.set_num_threads(threads)
    model = _compiled(_build(workload), peer)
    optimizer, criterion = _optimizer(workload, model), _loss(workload)
    x, y = (torch.from_numpy(array) for array in workload.data())
    if workload.loss == "sparse":
        y = y.long()
    if workload.is_text:
        x = x.long()
    wide = torch.from_numpy(workload.wide_data()) if workload.wide else None

    def run() -> None:
        for _ in range(workload.epochs):
            run_epoch()

    def run_epoch() -> None:
        order = torch.randperm(len(x))
        for step in range(workload.steps):
            rows = order[step * workload.batch : (step + 1) * workload.batch]
            optimizer.zero_grad()
            if wide is None:
                loss = criterion(model(x[rows]), y[rows])
            else:
                main, auxiliary = model(x[rows], wide[rows])
                loss = 0.9 * criterion(main, y[rows]) + 0.1 * criterion(auxiliary, y[rows])
            loss.backward()
            optimizer.step()

    return run


def predict(workload: Prediction, peer: str, threads: int) -> Callable[[], None]:
    """A function that makes the calls of one measurement."""
    torch.set_num_threads(threads)
    training = MODELS[workload.model]
    model = _compiled(_build(training).eval(), peer)
    x = torch.from_numpy(training.data()[0])
    while len(x) < workload.rows:
        x = torch.cat([x, x])
    x = x[: workload.rows]

    def run() -> None:
        with torch.inference_mode():
            for _ in range(workload.calls):
                torch.softmax(model(x), 1).numpy()

    return run
