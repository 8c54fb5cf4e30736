"""Shared by the tests of what computes at once."""

import jax
import pytest


@pytest.fixture
def in_float64():
    """JAX, the oracle, computes in double precision."""
    with jax.enable_x64(True):
        yield
