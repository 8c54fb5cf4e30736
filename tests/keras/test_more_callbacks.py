"""SwapEMAWeights and RemoteMonitor, against real Keras and a server."""

import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from graphc import keras

X = np.random.default_rng(1).normal(size=(40, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


def model_of(library, **options):
    model = library.Sequential([library.Input((3,)), library.layers.Dense(1)])
    model.compile(library.optimizers.SGD(0.1, **options), "mse")
    model.set_weights([np.array([[0.1], [0.2], [0.3]]), np.array([0.4])])
    return model


def recorder(library, seen):
    class Recorder(library.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append([float(np.sum(np.asarray(w))) for w in self.model.get_weights()])

    return Recorder()


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_same_as_keras(real_keras, swap_on_epoch):
    results = []
    for library in (keras, real_keras):
        model, seen = model_of(library, use_ema=True, ema_momentum=0.9), []
        callbacks = [library.callbacks.SwapEMAWeights(swap_on_epoch), recorder(library, seen)]
        history = model.fit(
            X, Y, batch_size=8, epochs=3, shuffle=False, validation_data=(X, Y), verbose=0,
            callbacks=callbacks,
        ).history  # fmt: skip
        results.append([history["loss"], history["val_loss"], seen, model.get_weights()])
    for ours, theirs in zip(*results, strict=True):
        for one, two in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, two, rtol=2e-5)


def test_evaluation_and_prediction_leave_the_weights():
    model = model_of(keras, use_ema=True, ema_momentum=0.9)
    model.fit(X, Y, epochs=1, verbose=0)
    mean = model.get_weights()  # training ends with the means in the model
    model.set_weights([w + 1 for w in mean])
    swap = keras.callbacks.SwapEMAWeights()
    expected = X @ mean[0] + mean[1]
    found = model.predict(X, verbose=0, callbacks=[swap])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    loss = model.evaluate(X, Y, verbose=0, callbacks=[swap])
    assert loss == pytest.approx(float(np.mean((expected - Y) ** 2)), rel=1e-5)
    for weight, before in zip(model.get_weights(), mean, strict=True):
        np.testing.assert_array_equal(weight, before + 1)


def test_stopping_early_ends_with_the_means():
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    one, two = (model_of(keras, use_ema=True, ema_momentum=0.9) for _ in range(2))
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    one.fit(X, Y, epochs=5, shuffle=False, verbose=0, callbacks=[Stop(), swap])
    two.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    for ours, plain in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, plain)


def test_an_optimizer_without_means():
    with pytest.raises(ValueError, match="use_ema=True"):
        model_of(keras).evaluate(X, Y, verbose=0, callbacks=[keras.callbacks.SwapEMAWeights()])


def test_hooks_of_epochs_are_needed_only_if_asked_for():
    swap = keras.callbacks.callback.is_hook_needed
    assert not swap(keras.callbacks.SwapEMAWeights(), "on_epoch_end")
    assert swap(keras.callbacks.SwapEMAWeights(swap_on_epoch=True), "on_epoch_end")


@pytest.fixture
def server():
    """A server that keeps what it gets."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received.append((self.path, dict(self.headers), body))
            self.send_response(200 if "bad" not in self.path else 500)
            self.end_headers()

        def log_message(self, *_):
            pass

    made = HTTPServer(("localhost", 0), Handler)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield f"http://localhost:{made.server_port}", received
    made.shutdown()
    thread.join()
    made.server_close()


def test_results_are_posted(server):
    root, received = server
    callbacks = [
        keras.callbacks.RemoteMonitor(root, headers={"X-Who": "me"}),
        keras.callbacks.RemoteMonitor(root, path="/json/", send_as_json=True),
    ]
    history = model_of(keras).fit(X, Y, epochs=2, verbose=0, callbacks=callbacks).history
    assert [path for path, _, _ in received] == ["/publish/epoch/end/", "/json/"] * 2
    form = urllib.parse.parse_qs(received[0][2])
    assert json.loads(form["data"][0]) == {"epoch": 0, "loss": history["loss"][0]}
    assert received[0][1]["X-Who"] == "me"
    assert json.loads(received[3][2]) == {"epoch": 1, "loss": history["loss"][1]}
    assert received[3][1]["Content-Type"] == "application/json"


def test_servers_that_do_not_answer(server):
    monitor = keras.callbacks.RemoteMonitor(server[0], path="/bad/")
    with pytest.warns(UserWarning, match="Could not reach RemoteMonitor.*500"):
        monitor.on_epoch_end(0, {"loss": np.float32(1)})
    with pytest.warns(UserWarning, match="Could not reach RemoteMonitor"):
        keras.callbacks.RemoteMonitor("http://localhost:9").on_epoch_end(0, {})
