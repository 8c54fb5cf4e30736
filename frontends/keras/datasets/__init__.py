"""Data sets to learn and to measure with: ``keras.datasets``.

``digits`` is in the package. The others are fetched once, into ``~/.keras/datasets`` (or below
``$KERAS_HOME``), where real Keras looks for them too.
"""

from graphc.keras.datasets import (
    california_housing,
    cifar10,
    digits,
    fashion_mnist,
    imdb,
    mnist,
)

__all__ = ["california_housing", "cifar10", "digits", "fashion_mnist", "imdb", "mnist"]
