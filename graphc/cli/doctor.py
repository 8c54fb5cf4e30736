"""``graphc doctor``: what this machine and installation can do, and what is wrong with them."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from graphc import __version__, runtime
from graphc.cli.output import CommandError, Output, bytes_text, seconds_text
from graphc.config import ENVIRONMENT_VARIABLES, config
from graphc.errors import similar
from graphc.ir import Graph, TensorType, symbol
from graphc.ops.elementwise import Relu
from graphc.program import Program
from graphc.runtime.cpu.cache import ObjectCache
from graphc.runtime.cpu.target import Target
from graphc.runtime.ort.providers import explain

#: Distributions that graphc needs, and the modules that they bring.
REQUIRED = {
    "numpy": "numpy",
    "llvmlite": "llvmlite.binding",
    "onnx": "onnx",
    "h5py": "h5py",
    "pyyaml": "yaml",
    "rich": "rich",
}
#: The two wheels of ONNX Runtime, either of which is enough.
ONNX_RUNTIME = ("onnxruntime-gpu", "onnxruntime")

#: What a reader wants to know about a processor, of all the features that LLVM lists.
_FEATURES = (
    *("sse4.2", "avx", "avx2", "fma", "f16c", "avxvnni"),
    *("avx512f", "avx512bw", "avx512vl", "avx512vnni", "avx512bf16", "avx512fp16"),
    *("amx-tile", "amx-bf16", "amx-int8"),
    *("neon", "dotprod", "fullfp16", "bf16", "sve", "sve2"),
)

EPILOG = """\
examples:
  graphc doctor
  graphc doctor --json > report.json      to go with a bug report

The exit code is 1 if something that graphc needs does not work.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the verb takes."""
    parser.epilog = EPILOG


def run(arguments: argparse.Namespace, output: Output) -> dict[str, Any]:
    """Look at everything and show it."""
    problems: list[str] = []
    document: dict[str, Any] = {
        "graphc": __version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "packages": _packages(problems),
    }
    output.facts(
        "This installation",
        {
            "graphc": f"{__version__} in {Path(__file__).parent.parent}",
            "Python": f"{document['python']} ({document['implementation']})",
            "platform": document["platform"],
        },
    )
    _show_packages(document["packages"], output)
    loads = {package["name"]: package["loads"] for package in document["packages"]}
    if loads["llvmlite"]:
        document["processor"] = _processor()
        document["native_code"] = _native_code(problems)
        _show_processor(document, output)
    document["cache"] = _cache()
    document["providers"] = [
        {"name": provider.name, "loads": provider.loads, "reason": provider.reason}
        for provider in (explain() if loads["onnx"] else ())
    ]
    document["environment"] = _environment()
    _show_rest(document, output)
    document["warnings"] = list(_warnings(document))
    document["problems"] = problems
    output.heading("Verdict")
    for warning in document["warnings"]:
        output.warning(warning)
    for problem in problems:
        output.line(f"problem: {problem}", "bold red")
    if problems:
        raise CommandError(f"{len(problems)} of the things that graphc needs do not work", document)
    output.line("  everything that graphc needs works", "green")
    return document


# -------------------------------------------------------------------------------------- packages


def _packages(problems: list[str]) -> list[dict[str, Any]]:
    found = []
    for name, module in REQUIRED.items():
        package = _package(name, module)
        if not package["loads"]:
            problems.append(
                f"{name} is missing: pip install {name}"
                if package["version"] is None
                else f"{name} {package['version']} does not load: {package['reason']}"
            )
        found.append(package)
    for name in ONNX_RUNTIME:
        found.append(_package(name, "onnxruntime"))
    return found


def _package(name: str, module: str) -> dict[str, Any]:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return {"name": name, "version": None, "loads": False, "reason": "not installed"}
    begin = time.perf_counter()
    try:
        importlib.import_module(module)
    except Exception as error:  # a broken extension module may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return {"name": name, "version": version, "loads": False, "reason": reason}
    return {
        "name": name,
        "version": version,
        "loads": True,
        "reason": "",
        "seconds": time.perf_counter() - begin,
    }


def _show_packages(packages: list[dict[str, Any]], output: Output) -> None:
    rows = []
    installed = {package["name"] for package in packages if package["version"]}
    for package in packages:
        if package["name"] in ONNX_RUNTIME and package["name"] not in installed:
            if installed.intersection(ONNX_RUNTIME):
                continue  # one of the two is all there should be
        verdict = "yes" if package["loads"] else "no"
        rows.append((package["name"], package["version"] or "-", verdict, package["reason"]))
    columns = ("package", "version", "loads", "why not")
    shown = 4 if any(row[3] for row in rows) else 3
    output.table("Packages", columns[:shown], [row[:shown] for row in rows], "wwwl"[:shown])


# ------------------------------------------------------------------------------------- processor


def _processor() -> dict[str, Any]:
    target = Target.host()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "name": _processor_name(),
        "llvm_name": target.cpu,
        "triple": target.triple,
        "vector_bits": target.vector_bits,
        "vector_registers": target.vector_registers,
        "fused_multiply_add": target.has_fma,
        "features": [name for name in _FEATURES if name in target.feature_set],
        "cores": os.cpu_count(),
        "usable_cores": usable,
        "threads": config.thread_count,
    }


def _processor_name() -> str:
    """What the maker calls it; empty where nobody says."""
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor()


def _native_code(problems: list[str]) -> dict[str, Any]:
    """Compile and run a small program, and compare it with NumPy."""
    graph = Graph("check")
    x = graph.input("x", TensorType((symbol("batch"),), "float32"))
    graph.outputs = {"y": Relu()(x)}
    data = {"x": np.arange(-500, 500, dtype=np.float32)}
    begin = time.perf_counter()
    try:
        result = runtime.compile(Program(graph, name="check"), "cpu").run(data, {})["y"]
    except Exception as error:  # whatever it is, it is what is to be shown
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        problems.append(f"native code does not work: {reason}")
        return {"works": False, "reason": reason}
    works = bool(np.array_equal(result, np.maximum(data["x"], 0)))
    if not works:
        problems.append("native code computes wrong results")
    return {
        "works": works,
        "reason": "" if works else "wrong results",
        "seconds": time.perf_counter() - begin,
    }


def _show_processor(document: Mapping[str, Any], output: Output) -> None:
    processor, native = document["processor"], document["native_code"]
    works = f"compiles and runs ({seconds_text(native.get('seconds', 0.0))} for a first program)"
    fma = "with" if processor["fused_multiply_add"] else "without"
    output.facts(
        "Processor",
        {
            "name": processor["name"],
            "LLVM's name": f"{processor['llvm_name']} ({processor['triple']})",
            "vectors": f"{processor['vector_bits']} bits, {processor['vector_registers']} "
            f"registers, {fma} fused multiply-add",
            "features": " ".join(processor["features"]),
            "cores": f"{processor['cores']}, of which this process may use "
            f"{processor['usable_cores']}; programs use {processor['threads']} threads",
            "native code": works if native["works"] else native["reason"],
        },
    )


# ------------------------------------------------------------------- cache, backends, environment


def _cache() -> dict[str, Any]:
    entries, size = ObjectCache.default().usage()
    folder = config.cache_folder
    return {
        "folder": str(folder) if folder else None,
        "entries": entries,
        "bytes": size,
        "writable": folder is not None and _is_writable(folder),
    }


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or the folder itself."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _environment() -> dict[str, str]:
    shown = ("KERAS_HOME", "XDG_CACHE_HOME", "NO_COLOR", "OMP_NUM_THREADS")
    return {
        name: value
        for name, value in sorted(os.environ.items())
        if name.startswith("GRAPHC_") or name in shown
    }


def _show_rest(document: Mapping[str, Any], output: Output) -> None:
    rows = [
        (provider["name"], "yes" if provider["loads"] else "no", provider["reason"])
        for provider in document["providers"]
    ]
    output.table("ONNX Runtime", ("provider", "loads", "why"), rows, "wwl")
    cache = document["cache"]
    where = cache["folder"] or "none: compiled programs are not kept"
    output.facts(
        "Cache of compiled programs",
        {
            "folder": where if cache["writable"] or not cache["folder"] else f"{where} (read-only)",
            "holds": f"{cache['entries']} programs, {bytes_text(cache['bytes'])}",
        },
    )
    if document["environment"]:
        output.facts("Environment", document["environment"])


def _warnings(document: Mapping[str, Any]) -> Iterator[str]:
    packages = {package["name"]: package for package in document["packages"]}
    if all(packages[name]["version"] for name in ONNX_RUNTIME):
        yield (
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files: "
            "uninstall both, then install one"
        )
    if not any(packages[name]["loads"] for name in ONNX_RUNTIME):
        yield (
            "ONNX Runtime is not installed: exports are not checked, and there is no GPU backend "
            '(pip install "graphc-compiler[gpu]", or "graphc-compiler[ort]" where there is no '
            "such wheel)"
        )
    cache = document["cache"]
    if cache["folder"] and not cache["writable"]:
        yield f"{cache['folder']} cannot be written to: every process compiles anew (GRAPHC_CACHE)"
    for name in document["environment"]:
        if name.startswith("GRAPHC_") and name not in ENVIRONMENT_VARIABLES:
            near = similar(name, ENVIRONMENT_VARIABLES, 1)
            hint = near[0] if near else ", ".join(ENVIRONMENT_VARIABLES)
            yield f"the environment variable {name} means nothing to graphc; it knows {hint}"
