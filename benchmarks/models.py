"""The larger models of the tables, written once for every library that speaks Keras.

Each function takes the library's ``keras`` module, so that graphc, Keras on JAX and Keras on
TensorFlow build the very same model.
"""

from __future__ import annotations

from typing import Any


def resnet(keras: Any, stages: tuple[int, ...] = (16, 32, 64), blocks: int = 3) -> Any:
    """A residual network for 32x32 images (He et al., 2015, section 4.2): 20 layers."""
    layers = keras.layers

    def convolve(x: Any, filters: int, size: int, strides: int) -> Any:
        x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    image = keras.Input((32, 32, 3))
    x = layers.ReLU()(convolve(image, stages[0], 3, 1))
    for stage, filters in enumerate(stages):
        for block in range(blocks):
            strides = 2 if stage and not block else 1
            shortcut = x if strides == 1 else convolve(x, filters, 1, strides)
            x = layers.ReLU()(convolve(x, filters, 3, strides))
            x = convolve(x, filters, 3, 1)
            x = layers.ReLU()(layers.Add()([x, shortcut]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(10, activation="softmax")(x))


def transformer(
    keras: Any,
    words: int = 1000,
    tokens: int = 64,
    width: int = 128,
    heads: int = 4,
    depth: int = 2,
) -> Any:
    """An encoder that reads a text (Vaswani et al., 2017) and classifies it."""
    layers = keras.layers

    text = keras.Input((tokens,), dtype="int32")
    x = layers.Embedding(words, width)(text)
    for _ in range(depth):
        attended = layers.MultiHeadAttention(heads, width // heads)(x, x)
        x = layers.LayerNormalization()(layers.Add()([x, attended]))
        hidden = layers.Dense(4 * width, activation="gelu")(x)
        x = layers.LayerNormalization()(layers.Add()([x, layers.Dense(width)(hidden)]))
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(text, layers.Dense(10, activation="softmax")(x))


#: Expansion, channels, repetitions and strides of the stages of MobileNetV2.
INVERTED = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(keras: Any, size: int = 224) -> Any:
    """MobileNetV2 (Sandler et al., 2018, table 2), 1000 classes."""
    layers = keras.layers

    def normalize(x: Any, activate: bool = True) -> Any:
        x = layers.BatchNormalization()(x)
        return layers.ReLU(6.0)(x) if activate else x

    image = keras.Input((size, size, 3))
    x = normalize(layers.Conv2D(32, 3, 2, padding="same", use_bias=False)(image))
    for expansion, channels, repetitions, first in INVERTED:
        for repetition in range(repetitions):
            strides = 1 if repetition else first
            inputs = x.shape[-1]
            y = x
            if expansion > 1:
                y = normalize(layers.Conv2D(expansion * inputs, 1, use_bias=False)(y))
            y = layers.DepthwiseConv2D(3, strides, padding="same", use_bias=False)(y)
            y = layers.Conv2D(channels, 1, use_bias=False)(normalize(y))
            y = normalize(y, activate=False)
            x = layers.Add()([x, y]) if strides == 1 and inputs == channels else y
    x = normalize(layers.Conv2D(1280, 1, use_bias=False)(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(1000, activation="softmax")(x))


def resnet50(keras: Any, size: int = 224) -> Any:
    """ResNet-50 (He et al., 2015, table 1), 1000 classes."""
    layers = keras.layers

    def convolve(x: Any, filters: int, size: int, strides: int = 1, activate: bool = True) -> Any:
        x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        return layers.ReLU()(x) if activate else x

    image = keras.Input((size, size, 3))
    x = convolve(image, 64, 7, 2)
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    for stage, (filters, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            strides = 2 if stage and not block else 1
            shortcut = x
            if not block:
                shortcut = convolve(x, 4 * filters, 1, strides, activate=False)
            y = convolve(x, filters, 1, strides)
            y = convolve(y, filters, 3)
            y = convolve(y, 4 * filters, 1, activate=False)
            x = layers.ReLU()(layers.Add()([y, shortcut]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(1000, activation="softmax")(x))
