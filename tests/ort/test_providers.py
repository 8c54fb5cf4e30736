"""What is said about execution providers."""

from __future__ import annotations

import importlib

import pytest

from graphc.errors import UnsupportedError
from graphc.runtime.ort import library
from graphc.runtime.ort.providers import CPU, CUDA, available, explain


@pytest.fixture
def without_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    original = importlib.import_module

    def refuse(name: str, *rest: object) -> object:
        if name == "onnxruntime":
            raise ImportError("No module named 'onnxruntime'")
        return original(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(importlib, "import_module", refuse)
    library.onnxruntime.cache_clear()
    yield
    library.onnxruntime.cache_clear()


def test_the_cpu_works_wherever_the_package_is_installed() -> None:
    pytest.importorskip("onnxruntime")
    assert CPU in available()


def test_each_provider_says_why() -> None:
    providers = {provider.name: provider for provider in explain()}
    assert {CPU, CUDA} <= providers.keys()
    assert all(provider.reason for provider in providers.values())
    assert available() == tuple(name for name, p in providers.items() if p.loads)


@pytest.mark.usefixtures("without_onnxruntime")
def test_a_missing_package_is_named_with_both_extras() -> None:
    assert available() == ()
    assert all("graphc-compiler[gpu]" in provider.reason for provider in explain())
    with pytest.raises(UnsupportedError, match=r"graphc-compiler\[gpu\].*graphc-compiler\[ort\]"):
        library.onnxruntime()
