"""`Model.summary` prints what Keras prints."""

import numpy as np
import pytest

from graphc import keras as ours
from graphc.keras.engine.summary import memory_text


def sequential(k):
    return k.Sequential(
        [
            k.Input((28, 28, 1)),
            k.layers.Conv2D(8, 3, name="conv"),
            k.layers.MaxPooling2D(name="pool"),
            k.layers.BatchNormalization(name="norm"),
            k.layers.Flatten(name="flatten"),
            k.layers.Dropout(0.5, name="drop"),
            k.layers.Dense(10, activation="softmax", name="classes"),
        ],
        name="stack",
    )


def unbuilt(k):
    layers = [k.layers.Dense(3, name="one"), k.layers.Dense(1, name="two")]
    return k.Sequential(layers, name="later")


def chain(k):
    x = k.Input((4,), name="features")
    h = k.layers.Dense(5, name="hidden")(x)
    return k.Model(x, k.layers.Dense(1, name="out")(h), name="chain")


def branches(k):
    one, two = k.Input((4,), name="one"), k.Input((3,), name="two")
    shared = k.layers.Dense(5, name="shared")
    joined = k.layers.Concatenate(name="joined")([shared(one), k.layers.Dense(4, name="d")(two)])
    second = shared(k.layers.Dense(4, name="again")(joined))
    out = k.layers.Dense(1, name="a_rather_long_name_of_a_layer_that_wraps")(second)
    return k.Model([one, two], [out, joined], name="branches")


def states(k):
    x = k.Input((None, 3), name="steps")
    _, h, c = k.layers.LSTM(4, return_state=True, name="lstm")(x)
    return k.Model(x, k.layers.Add(name="sum")([h, c]), name="states")


def functions(k):
    x = k.Input((4,), name="x")
    return k.Model(x, k.ops.mean(k.layers.Dense(2, name="d")(x), axis=-1), name="functions")


def nested(k):
    x = k.Input((4,), name="x")
    return k.Model(x, k.layers.Dense(1, name="top")(chain(k)(x)), name="outer")


def frozen(k):
    model = chain(k)
    model.layers[1].trainable = False
    return model


def subclass(k):
    class Network(k.Model):
        def __init__(self):
            super().__init__(name="network")
            self.hidden = k.layers.Dense(5, name="hidden")
            self.out = k.layers.Dense(1, name="out")

        def call(self, inputs):
            return self.out(self.hidden(inputs))

    model = Network()
    model(np.zeros((2, 4), "float32"))
    return model


def trained(k):
    model = chain(k)
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


MODELS = (
    sequential, unbuilt, chain, branches, states, functions, nested, frozen, subclass, trained
)  # fmt: skip
OPTIONS = [
    {},
    {"line_length": 60},
    {"show_trainable": True, "expand_nested": True, "line_length": 100},
]


def text(model, **options):
    parts = []
    model.summary(print_fn=lambda part, **_: parts.append(part), **options)
    return "".join(parts)


@pytest.mark.parametrize("options", OPTIONS, ids=["plain", "narrow", "trainable"])
@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_summary(build, options, real_keras):
    assert text(build(ours), **options) == text(build(real_keras), **options)


def test_layer_range(real_keras):
    for bounds in (["pool", "drop"], ["drop", "pool"], ["c", "f"]):
        assert text(sequential(ours), layer_range=bounds) == text(
            sequential(real_keras), layer_range=bounds
        )
    with pytest.raises(ValueError, match="matches no layers; there are conv, pool"):
        sequential(ours).summary(layer_range=["pool", "nothing"])


def test_without_print_fn_it_is_printed(capsys):
    sequential(ours).summary()
    assert 'Model: "stack"' in capsys.readouterr().out


def test_a_line_can_be_too_short():
    with pytest.raises(ValueError, match="too short"):
        sequential(ours).summary(line_length=10)


def test_memory_text():
    sizes = [memory_text(size) for size in (0, 1023, 1024, 1024**2 * 1.5, 1024**6)]
    assert sizes == ["0.00 B", "1023.00 B", "1.00 KB", "1.50 MB", "1024.00 PB"]
