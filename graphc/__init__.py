"""graphc: a deep-learning graph compiler that people use through the Keras API."""

__version__ = "0.1.0"
