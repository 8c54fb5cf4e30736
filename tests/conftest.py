"""Shared by all tests."""

import sys

import pytest


@pytest.fixture(autouse=True)
def names_counted_from_the_start():
    """Names that nobody gave (``dense_1``) do not depend on the tests that ran before."""
    if "graphc.keras" in sys.modules:
        sys.modules["graphc.keras"].utils.clear_session()
    if "keras" in sys.modules:
        sys.modules["keras"].utils.clear_session(free_memory=False)
