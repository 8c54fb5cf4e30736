"""Updates outside of compiled programs, which are planned: like those op by op, and as compiled."""

import copy

import numpy as np
import pytest

from graphc import keras
from graphc.config import config
from graphc.eager import GradientTape, Variable
from graphc.eager.function import function
from graphc.keras import optimizers

RNG = np.random.default_rng(0)
SHAPES = [(3, 4), (4,), ()]
GRADIENTS = [[RNG.normal(size=s).astype("float32") for s in SHAPES] for _ in range(5)]


def variables():
    return [Variable(np.full(s, 0.5, "float32"), name=f"v{i}") for i, s in enumerate(SHAPES)]


def settings():
    schedule = optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    yield from (
        optimizers.SGD(0.1),
        optimizers.SGD(schedule, momentum=0.9, nesterov=True),
        optimizers.Adam(0.1, amsgrad=True, global_clipnorm=0.5),
        optimizers.AdamW(0.1, use_ema=True, ema_overwrite_frequency=2),
        optimizers.RMSprop(0.1, centered=True, clipvalue=0.3),
        optimizers.Adagrad(0.1, gradient_accumulation_steps=2),
        optimizers.Lion(0.1, clipnorm=0.2),
        optimizers.Nadam(0.1),
        optimizers.Ftrl(0.1),
    )


@pytest.mark.parametrize("number", range(9))
def test_planned_updates_are_the_updates(number):
    found = []
    for way in ("planned", "op by op", "compiled"):
        optimizer = list(settings())[number]
        trained = variables()
        optimizer.build(trained)
        apply = optimizer.apply
        if way == "op by op":
            apply = optimizer._apply
        elif way == "compiled":
            apply = function(apply)
        for gradients in GRADIENTS:
            tensors = [keras.ops.convert_to_tensor(g) for g in gradients]
            apply(tensors, trained)
        found.append([v.numpy() for v in (*trained, *optimizer.variables)])
    for planned, at_once, compiled in zip(*found, strict=True):
        np.testing.assert_array_equal(planned, at_once)
        np.testing.assert_allclose(planned, compiled, rtol=2e-5, atol=1e-6)


def test_settings_may_change():
    optimizer, trained = optimizers.SGD(0.1), variables()
    ones = [np.ones(s, "float32") for s in SHAPES]
    optimizer.apply(ones, trained)
    optimizer.learning_rate = 0.2
    optimizer.apply(ones, trained)
    optimizer.clipvalue = 0.5
    optimizer.apply(ones, trained)
    np.testing.assert_allclose(trained[0], np.full((3, 4), 0.5 - 0.1 - 0.2 - 0.1), rtol=1e-6)
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.apply([None, *ones[1:]], trained)
    np.testing.assert_allclose(trained[0], np.full((3, 4), 0.1), rtol=1e-5)


def test_rates_that_python_computes_are_asked_each_time():
    rates = iter([0.1, 0.2])
    optimizer, trained = optimizers.SGD(lambda: next(rates)), variables()
    for _ in range(2):
        optimizer.apply([np.ones(s, "float32") for s in SHAPES], trained)
    np.testing.assert_allclose(trained[1], np.full(4, 0.2), rtol=1e-6)


def test_own_optimizers_run_as_they_are_written():
    class Counting(optimizers.SGD):
        calls = 0

        def update_step(self, gradient, variable, learning_rate):
            self.calls += 1
            super().update_step(gradient, variable, learning_rate)

    optimizer, trained = Counting(0.1), variables()
    for _ in range(2):
        optimizer.apply([np.ones(s, "float32") for s in SHAPES], trained)
    assert optimizer.calls == 6


def test_copies_update_variables_of_their_own():
    optimizer, trained = optimizers.SGD(0.1, momentum=0.9), variables()
    ones = [np.ones(s, "float32") for s in SHAPES]
    optimizer.apply(ones, trained)
    other = copy.deepcopy(optimizer)
    before = [v.numpy() for v in optimizer.variables]
    own = other._trainable_variables
    other._places = {id(v): i for i, v in enumerate(own)}
    other.apply(ones, own)
    for variable, array in zip(optimizer.variables, before, strict=True):
        np.testing.assert_array_equal(variable, array)
    np.testing.assert_allclose(own[1], np.full(4, 0.5 - 0.1 - 0.19), rtol=1e-6)


def test_updates_under_a_tape():
    x = Variable(2.0)
    optimizer = optimizers.SGD(0.1)
    with GradientTape() as tape:
        loss = x * x
        optimizer.apply([1.0], [x])
    assert float(x) == pytest.approx(1.9) and float(tape.gradient(loss, x)) == 4


def test_a_setting_that_is_set_back_gives_the_first_update_again():
    optimizer, trained = optimizers.Adam(0.1, beta_1=0.5), variables()
    plain, others = optimizers.Adam(0.1, beta_1=0.5), variables()
    plain.build(others)
    for step, gradients in enumerate(GRADIENTS):
        for one in (optimizer, plain):
            one.beta_1 = 0.9 if step % 2 else 0.5
        tensors = [keras.ops.convert_to_tensor(g) for g in gradients]
        optimizer.apply(tensors, trained)
        plain._apply(tensors, others)
    for variable, other in zip(trained, others, strict=True):
        np.testing.assert_array_equal(variable, other)


def test_functions_at_once_run_the_update_as_python(monkeypatch):
    optimizer, trained = optimizers.SGD(0.1), variables()
    steps = []
    monkeypatch.setattr(optimizer, "update_step", lambda *arguments: steps.append(arguments))
    monkeypatch.setattr(config, "functions_at_once", True)
    for _ in range(2):
        optimizer.apply([np.ones(s, "float32") for s in SHAPES], trained)
    assert len(steps) == 2 * len(SHAPES)
