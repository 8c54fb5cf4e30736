"""Shared by the tests of the names."""

import os
import tempfile

# Set before anything reads them: the user's own settings and data are neither used nor touched.
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("KERAS_HOME", tempfile.mkdtemp(prefix="keras-home-"))
