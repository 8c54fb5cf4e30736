"""The examples run, with little data, and say what they should."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"

# Arguments that keep a run short, and what it has to print.
RUNS = {
    "wide_and_deep.py": (["--rows=200", "--epochs=2"], "= 0.9 *"),
    "fashion_mnist.py": (["--rows=600", "--epochs=1"], "test accuracy"),
    "small_cnn.py": (["--epochs=1"], "test accuracy"),
    "sequences.py": (["--rows=60", "--epochs=1"], "GRU: 0."),
    "custom_parts.py": (["--rows=100", "--epochs=2"], "epoch 2: validation/training ="),
    "from_scratch.py": (["--points=200"], "step 39: loss 0.02"),
    "training_loop.py": (["--epochs=2"], "traced 2 times"),
    "autoencoder.py": (["--epochs=2"], "in the end"),
    "transfer.py": (["--epochs=2"], "8 or 9: "),
    "save_and_export.py": (["--epochs=2"], "the same bits: True"),
}


@pytest.mark.parametrize("name", RUNS)
def test_example_runs(name, tmp_path):
    arguments, expected = RUNS[name]
    environment = {**os.environ, "PYTHONWARNINGS": "error::UserWarning", "COLUMNS": "100"}
    result = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    if name == "fashion_mnist.py" and "DownloadError" in result.stderr:
        pytest.skip("Fashion-MNIST is not here and cannot be downloaded")
    assert result.returncode == 0, result.stderr
    assert expected in result.stdout
    assert not list(tmp_path.iterdir()), "an example leaves files behind"


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(RUNS)
