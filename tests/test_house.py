"""The rules of the house, read off the sources: layers, packages, sizes, what an import loads."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import graphc.runtime.cpu.compiler  # noqa: F401 (all ops)

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = PYPROJECT["tool"]["setuptools"]["package-dir"]
LONGEST = 600

#: From the bottom up. A module may import what stands on its own line or below.
LAYERS = [
    ["graphc", "graphc.errors", "graphc.config", "graphc.garbage", "graphc.shuffle"],
    ["graphc.ir"],
    ["graphc.ops"],
    ["graphc.reference"],
    ["graphc.autodiff"],
    ["graphc.program"],
    ["graphc.passes"],
    ["graphc.serialize", "graphc.export"],
    ["graphc.runtime"],
    ["graphc.eager"],
    ["graphc.summary"],
    ["graphc.keras", "graphc.onnx"],
    ["graphc.names"],
    ["graphc.cli"],
]

#: What `from graphc import keras` must not load: other people's packages, and what only compiling
#: and exporting need.
HEAVY = {
    *("llvmlite", "onnx", "onnxruntime", "h5py", "yaml", "rich", "matplotlib", "ml_dtypes"),
    *("tensorboard", "difflib", "gzip", "logging", "concurrent.futures"),
}
LATER = (
    *("graphc.passes", "graphc.export", "graphc.runtime.cpu", "graphc.runtime.ort", "graphc.cli"),
    *("graphc.names", "graphc.keras.datasets"),
)


def sources() -> Iterator[tuple[str, Path]]:
    """Module names and files of everything that is installed."""
    for package, folder in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            if package == "graphc" and parts[0] in ("runtime", "keras", "onnx", "eager"):
                continue
            name = ".".join((package, *parts))
            yield name.removesuffix(".__init__"), path


MODULES = dict(sources())


def imports(tree: ast.AST, module: str, package: bool) -> Iterator[tuple[str, ast.stmt]]:
    """Every module that is imported, and where."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + (1 if package else 0)]
                base = ".".join([*parts, base] if base else parts)
            for alias in node.names:
                name = f"{base}.{alias.name}"
                yield (name if name in MODULES else base), node


def layer(module: str) -> int:
    """How high a module stands."""
    found = [
        (len(prefix), height)
        for height, prefixes in enumerate(LAYERS)
        for prefix in prefixes
        if module == prefix or (prefix != "graphc" and module.startswith(prefix + "."))
    ]
    assert found, f"{module} belongs to no layer"
    return max(found)[1]


def inside_type_checking(tree: ast.AST) -> set[ast.stmt]:
    """Imports that only type checkers see."""
    hidden: set[ast.stmt] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            hidden.update(x for x in ast.walk(node) if isinstance(x, ast.stmt))
    return hidden


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_only(module: str) -> None:
    path = MODULES[module]
    tree = ast.parse(path.read_text())
    hidden = inside_type_checking(tree)
    for name, node in imports(tree, module, path.name == "__init__.py"):
        if name.split(".")[0] != "graphc" or node in hidden:
            continue
        assert layer(name) <= layer(module), (
            f"{path.relative_to(ROOT)}:{node.lineno} imports {name}, which stands above {module}"
        )


def test_layers_name_every_module() -> None:
    for module in MODULES:
        layer(module)


def test_import_loads_numpy_and_the_front_end_only() -> None:
    code = "import sys, graphc; from graphc import keras; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.home()
    )
    loaded = set(result.stdout.split())
    assert {"numpy", "graphc.keras", "graphc.keras.layers"} <= loaded
    assert not loaded & HEAVY
    assert not {name for name in loaded if name.startswith(LATER)}


def test_a_checkout_works_without_being_installed() -> None:
    script = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(Path(np.__file__).parent.parent)!r}]\n"
        "from graphc import eager, keras, onnx, runtime, summary\n"
        "print(keras.__file__, runtime.__file__)"
    )
    # -S: no installed package is found by itself, nor what an editable installation adds.
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True
    )
    files = [ROOT / "frontends" / "keras" / "__init__.py", ROOT / "runtime" / "__init__.py"]
    assert result.stdout.split() == [str(file) for file in files]


def test_every_package_is_listed() -> None:
    listed = set(PYPROJECT["tool"]["setuptools"]["packages"])
    found = {
        module for module, path in MODULES.items() if path.name == "__init__.py"
    }  # a folder without one is no package of ours
    assert listed == found


def test_every_folder_with_sources_is_a_package() -> None:
    for module, path in MODULES.items():
        assert (path.parent / "__init__.py").exists(), f"{module}: its folder has no __init__.py"


def all_sources() -> list[Path]:
    folders = ["graphc", "runtime", "frontends", "tests", "benchmarks", "examples"]
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", all_sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_fits_in_the_head(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= LONGEST, f"{path.relative_to(ROOT)} has {lines} lines; split it"
