"""Where Keras 2 had `to_categorical` and `normalize`: ``from keras.utils.np_utils import ...``."""

from graphc.keras.utils.numerical_utils import normalize, to_categorical

__all__ = ["normalize", "to_categorical"]
