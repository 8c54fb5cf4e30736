"""Methods of models that Keras 2 had, for the scripts that call them."""

from __future__ import annotations

from typing import Any


class Keras2Methods:
    """Methods of a model with newer names: the classes of `predict`, and those for generators.

    ``workers``, ``use_multiprocessing`` and ``max_queue_size`` are accepted and make no
    difference: batches are made in the calling thread. (A `keras.utils.PyDataset` has workers.)
    """

    fit: Any
    evaluate: Any
    predict: Any

    def predict_classes(self, x: Any, batch_size: int | None = None, verbose: Any = 0) -> Any:
        """The most likely class of each row (Keras 2).

        Args:
            x: Inputs.
            batch_size: Rows per step; 32 by default.
            verbose: As in `predict`.
        """
        probabilities = self.predict(x, batch_size, verbose)
        if probabilities.shape[-1] > 1:
            return probabilities.argmax(-1)
        return (probabilities > 0.5).astype("int32")

    def predict_proba(self, x: Any, batch_size: int | None = None, verbose: Any = 0) -> Any:
        """The same as `predict` (Keras 2)."""
        return self.predict(x, batch_size, verbose)

    def fit_generator(self, generator: Any, *args: Any, **kwargs: Any) -> Any:
        """`fit` on a generator.

        Args:
            generator: Gives ``(x, y)`` or ``(x, y, sample_weight)``.
            *args: ``steps_per_epoch``, ``epochs``, ``verbose``, ``callbacks``,
                ``validation_data``, ``validation_steps``, in this order.
            **kwargs: As for `fit`.
        """
        names = (
            "steps_per_epoch",
            "epochs",
            "verbose",
            "callbacks",
            "validation_data",
            "validation_steps",
        )
        return self.fit(generator, **_without_queue(names, args, kwargs))

    def evaluate_generator(self, generator: Any, *args: Any, **kwargs: Any) -> Any:
        """`evaluate` on a generator.

        Args:
            generator: Gives ``(x, y)`` or ``(x, y, sample_weight)``.
            *args: ``steps``, ``callbacks``, in this order.
            **kwargs: As for `evaluate`; it is silent by default.
        """
        arguments = _without_queue(("steps", "callbacks"), args, kwargs)
        return self.evaluate(generator, **{"verbose": 0, **arguments})

    def predict_generator(self, generator: Any, *args: Any, **kwargs: Any) -> Any:
        """`predict` on a generator.

        Args:
            generator: Gives x.
            *args: ``steps``, ``callbacks``, in this order.
            **kwargs: As for `predict`; it is silent by default.
        """
        arguments = _without_queue(("steps", "callbacks"), args, kwargs)
        return self.predict(generator, **{"verbose": 0, **arguments})


def _without_queue(
    names: tuple[str, ...], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """All arguments by name, but those about queues and processes."""
    arguments = {**dict(zip(names, args, strict=False)), **kwargs}
    for name in ("workers", "use_multiprocessing", "max_queue_size", "pickle_safe", "max_q_size"):
        arguments.pop(name, None)
    return arguments
