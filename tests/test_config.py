"""The knobs: what they start from, and what they refuse."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import graphc.config
from graphc.config import Config


def test_defaults():
    config = Config.from_environment({})
    assert (config.floatx, config.epsilon, config.image_data_format) == (
        "float32",
        1e-7,
        "channels_last",
    )
    assert (config.threads, config.debug, config.dump_folder, config.verify) == (
        None,
        0,
        None,
        False,
    )
    assert config.cache_folder is not None
    assert config.cache_folder.name == "graphc"


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("GRAPHC_DEBUG", "3", "debug", 3),
        ("GRAPHC_DEBUG", "", "debug", 0),
        ("GRAPHC_DUMP", "/some/where", "dump_folder", Path("/some/where")),
        ("GRAPHC_DUMP", "", "dump_folder", None),
        ("GRAPHC_PROFILE", "1", "profile", True),
        ("GRAPHC_THREADS", "2", "threads", 2),
        ("GRAPHC_THREADS", "", "threads", None),
        ("GRAPHC_VERIFY", "1", "verify", True),
        ("GRAPHC_VERIFY", " 0 ", "verify", False),
        ("GRAPHC_CACHE", "~/kept", "cache_folder", Path("~/kept").expanduser()),
        ("GRAPHC_CACHE", "", "cache_folder", None),
    ],
)
def test_environment(variable, text, name, value):
    assert getattr(Config.from_environment({variable: text}), name) == value


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("GRAPHC_DEBUG", "6"),
        ("GRAPHC_DEBUG", "-1"),
        ("GRAPHC_DEBUG", "much"),
        ("GRAPHC_DEBUG", "1.5"),
        ("GRAPHC_THREADS", "0"),
        ("GRAPHC_THREADS", "all"),
        ("GRAPHC_VERIFY", "2"),
        ("GRAPHC_VERIFY", "yes"),
    ],
)
def test_environment_that_makes_no_sense(variable, text):
    with pytest.raises(ValueError, match=f"{variable}='{text}': .*Received: "):
        Config.from_environment({variable: text})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("floatx", "float8"),
        ("floatx", None),
        ("epsilon", -1e-7),
        ("epsilon", float("nan")),
        ("epsilon", float("inf")),
        ("epsilon", "1e-7"),
        ("image_data_format", "NHWC"),
        ("threads", 0),
        ("threads", 1.0),
        ("threads", True),
        ("threads", "2"),
        ("debug", 6),
        ("debug", "3"),
        ("verify", 2),
    ],
)
def test_values_that_make_no_sense(name, value):
    config = Config()
    before = getattr(config, name)
    with pytest.raises(ValueError, match=r"Expected|must be"):
        setattr(config, name, value)
    assert getattr(config, name) == before


def test_values_take_their_normal_form():
    config = Config()
    config.epsilon = np.float32(0.5)
    assert type(config.epsilon) is float
    config.image_data_format = "Channels_First"
    assert config.image_data_format == "channels_first"
    config.dump_folder = "dumps"
    assert config.dump_folder == Path("dumps")


def test_misspelt_knobs_are_errors():
    with pytest.raises(AttributeError, match="no knob 'thread'. It has: floatx, .*threads"):
        Config().thread = 1


def test_thread_count():
    config = Config()
    assert config.thread_count >= 1
    if hasattr(os, "sched_getaffinity"):
        assert config.thread_count == len(os.sched_getaffinity(0))
    config.threads = 3
    assert config.thread_count == 3


def test_the_process_reads_its_environment():
    result = subprocess.run(
        [sys.executable, "-c", "from graphc.config import config; print(config.debug)"],
        env={**os.environ, "GRAPHC_DEBUG": "2"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "2\n"


def test_what_operations_fall_back_on_is_one_value():
    config = Config()
    assert config.defaults == ("float32", 1e-7, "channels_last")
    config.floatx, config.epsilon = "float64", 1e-3
    assert config.defaults == ("float64", 1e-3, "channels_last")
    assert Config().defaults == ("float32", 1e-7, "channels_last")
    with pytest.raises(AttributeError, match="no knob"):
        config.defaults = ("float16", 0.0, "channels_first")


def test_the_module_has_the_knobs_as_well(monkeypatch):
    monkeypatch.setattr(graphc.config.config, "threads", 1)
    assert graphc.config.threads == 1
    graphc.config.threads = 3
    assert graphc.config.config.threads == graphc.config.threads == 3
    with pytest.raises(ValueError, match="whole number"):
        graphc.config.threads = "many"
    with pytest.raises(AttributeError, match="no knob 'thread'. It has: .*threads"):
        graphc.config.thread = 2
    with pytest.raises(AttributeError, match="no attribute 'thread'"):
        graphc.config.thread  # noqa: B018
