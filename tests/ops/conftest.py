"""Shared by the tests of ops: real Keras, on JAX, is the oracle."""

import pytest


@pytest.fixture(scope="session")
def keras():
    """Keras itself."""
    return pytest.importorskip("keras")


@pytest.fixture(scope="session")
def jax():
    """JAX, which differentiates what Keras computes."""
    return pytest.importorskip("jax")
