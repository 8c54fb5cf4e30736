"""Which way a monitored metric is better, found out from the model's metrics."""

from __future__ import annotations

import numpy as np
import pytest

from graphc import keras


class Own(keras.metrics.Mean):
    """A metric that does not say which way is better."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(y_pred, sample_weight)


def fit(metric, monitor: str, **options):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=[metric])
    stopping = keras.callbacks.EarlyStopping(monitor=monitor, patience=1, **options)
    x = np.ones((8, 2), "float32")
    model.fit(x, np.zeros((8, 1)), epochs=2, verbose=0, callbacks=[stopping])
    return stopping


def test_an_unknown_direction_needs_a_mode():
    with pytest.raises(ValueError, match="maximized or minimized"):
        fit(Own(name="own"), "own")
    assert fit(Own(name="own"), "own", mode="max")._direction() == 1


@pytest.mark.parametrize("name, direction", [("mae", -1), ("mse", -1), ("accuracy", 1), ("auc", 1)])
def test_known_metrics_say_it(name, direction):
    metric = keras.metrics.AUC() if name == "auc" else name
    assert fit(metric, name)._direction() == direction


def test_exports_say_what_they_are(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match=r'not "...\.pt"'):
        model.export(str(tmp_path / "model.pt"))
    assert not list(tmp_path.iterdir())
