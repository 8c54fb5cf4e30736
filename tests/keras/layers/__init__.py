import pytest

pytest.register_assert_rewrite("tests.keras.layers.helper")
