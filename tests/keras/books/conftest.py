"""Shared by the tests of the books' code."""

import pytest

from graphc import keras


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Files that the code writes go elsewhere, and names are counted from the start."""
    monkeypatch.chdir(tmp_path)
    keras.backend.clear_session()
