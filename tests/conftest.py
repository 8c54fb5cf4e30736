"""Shared by all tests."""

import gc
import itertools
import os
import sys
import tempfile
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

import pytest

# Set before anything reads them: the user's own settings and data are neither used nor touched.
os.environ.setdefault("KERAS_BACKEND", "jax")
if "KERAS_HOME" not in os.environ:
    _home = tempfile.TemporaryDirectory(prefix="keras-home-")  # gone when the tests are over
    os.environ["KERAS_HOME"] = _home.name

# JAX, an oracle, runs everything once or twice: what it optimizes is time lost. So is, by a third,
# its newer way to make code of fused operations; a jaxlib that does not know that flag would abort.
_FLAGS = "--xla_backend_optimization_level=0"
with suppress(PackageNotFoundError):
    if version("jaxlib").startswith("0.10."):
        _FLAGS += " --xla_cpu_use_fusion_emitters=false"
os.environ.setdefault("XLA_FLAGS", _FLAGS)


# The collector would go through all that JAX has made again and again.
gc.set_threshold(50_000, 20, 50)


class _SharedContext:
    """Makes contexts of MLIR for JAX, one for 50 programs: to make one takes longer than most."""

    def __init__(self, make):
        self.make = make
        self.programs = itertools.count()

    def __call__(self):
        if next(self.programs) % 50 == 0:  # it keeps all constants, so not one for ever
            self.context = self.make()
        return self.context


@pytest.fixture(autouse=True)
def contexts_that_jax_shares():
    lowering = sys.modules.get("jax._src.interpreters.mlir")
    make = getattr(lowering, "make_ir_context", None)
    if make is not None and not isinstance(make, _SharedContext):
        lowering.make_ir_context = _SharedContext(make)


@pytest.fixture(autouse=True)
def names_counted_from_the_start():
    """Names that nobody gave (``dense_1``) do not depend on the tests that ran before."""
    if "graphc.keras" in sys.modules:
        sys.modules["graphc.keras"].utils.clear_session()
    if "keras" in sys.modules:
        sys.modules["keras"].utils.clear_session(free_memory=False)
