"""Shared by the tests of the Keras front-end."""

import pytest


@pytest.fixture(scope="session")
def real_keras():
    """Keras itself, the oracle."""
    return pytest.importorskip("keras")


@pytest.fixture
def double_precision(real_keras):
    """Keras itself, computing in double precision what it is given in arrays of JAX."""
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        yield real_keras


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    """Replace ``time.time`` for everybody, so that printed durations can be compared."""
    fake = Clock()
    monkeypatch.setattr("time.time", lambda: fake.now)
    return fake
