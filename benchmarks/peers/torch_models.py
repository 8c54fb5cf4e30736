"""The larger models of `benchmarks.models`, as PyTorch's own tutorials would write them."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.models import INVERTED


def _convolution(
    inputs: int, filters: int, size: int, stride: int = 1, groups: int = 1
) -> nn.Module:
    layer = nn.Conv2d(inputs, filters, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(filters))


class Residual(nn.Module):
    """A block of two convolutions and its shortcut."""

    def __init__(self, inputs: int, filters: int, stride: int):
        super().__init__()
        self.first = _convolution(inputs, filters, 3, stride)
        self.second = _convolution(filters, filters, 3)
        self.shortcut = _convolution(inputs, filters, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.second(torch.relu(self.first(x))) + self.shortcut(x))


class ResNet(nn.Module):
    """20 layers, for images of 32x32 pixels; channels come last, as in Keras."""

    def __init__(self, stages: tuple[int, ...] = (16, 32, 64), blocks: int = 3):
        super().__init__()
        inputs = stages[0]
        layers: list[nn.Module] = [_convolution(3, inputs, 3), nn.ReLU()]
        for stage, filters in enumerate(stages):
            for block in range(blocks):
                layers.append(Residual(inputs, filters, 2 if stage and not block else 1))
                inputs = filters
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x.permute(0, 3, 1, 2)).mean((2, 3)))


class Transformer(nn.Module):
    """Two encoder layers of width 128 over 64 tokens."""

    def __init__(self, words: int = 1000, width: int = 128, heads: int = 4, depth: int = 2):
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True
        )
        self.body = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(self.embedding(tokens)).mean(1))


class Inverted(nn.Module):
    """A block of MobileNetV2."""

    def __init__(self, inputs: int, filters: int, stride: int, expansion: int):
        super().__init__()
        width = inputs * expansion
        layers: list[nn.Module] = []
        if expansion > 1:
            layers += [_convolution(inputs, width, 1), nn.ReLU6()]
        layers += [_convolution(width, width, 3, stride, groups=width), nn.ReLU6()]
        self.body = nn.Sequential(*layers, _convolution(width, filters, 1))
        self.adds = stride == 1 and inputs == filters

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.adds else self.body(x)


class MobileNetV2(nn.Module):
    """1000 classes."""

    def __init__(self) -> None:
        super().__init__()
        inputs = 32
        layers: list[nn.Module] = [_convolution(3, inputs, 3, 2), nn.ReLU6()]
        for expansion, channels, repetitions, first in INVERTED:
            for repetition in range(repetitions):
                stride = 1 if repetition else first
                layers.append(Inverted(inputs, channels, stride, expansion))
                inputs = channels
        self.body = nn.Sequential(*layers, _convolution(inputs, 1280, 1), nn.ReLU6())
        self.head = nn.Linear(1280, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x.permute(0, 3, 1, 2)).mean((2, 3)))


class Bottleneck(nn.Module):
    """A block of ResNet-50."""

    def __init__(self, inputs: int, filters: int, stride: int, project: bool):
        super().__init__()
        self.body = nn.Sequential(
            _convolution(inputs, filters, 1, stride),
            nn.ReLU(),
            _convolution(filters, filters, 3),
            nn.ReLU(),
            _convolution(filters, 4 * filters, 1),
        )
        self.shortcut = _convolution(inputs, 4 * filters, 1, stride) if project else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class ResNet50(nn.Module):
    """1000 classes."""

    def __init__(self) -> None:
        super().__init__()
        inputs = 64
        layers: list[nn.Module] = [_convolution(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        for stage, (filters, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                layers.append(Bottleneck(inputs, filters, stride, not block))
                inputs = 4 * filters
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x.permute(0, 3, 1, 2)).mean((2, 3)))


#: By the names of the functions in `benchmarks.models`.
LARGE = {
    "resnet": ResNet,
    "transformer": Transformer,
    "mobilenet_v2": MobileNetV2,
    "resnet50": ResNet50,
}
