"""Fixtures: the data sets of files.py, and tiny untrained models."""

import functools

import pytest

import fxformer
from tests.evaluate.bias.files import all_sets
from tests.inspect.untrained_run import untrained_run


@pytest.fixture(scope="session")
def sets(tmp_path_factory):
    """The folder of all data sets."""
    return all_sets(tmp_path_factory.mktemp("bias") / "sets")


@pytest.fixture(scope="session")
def run_of(tmp_path_factory):
    """bert, gpt, bart or t5 -> its untrained run."""
    folder = tmp_path_factory.mktemp("bias_models")
    return functools.cache(lambda kind: untrained_run(folder, kind, steps=(10, 20)))


@pytest.fixture(scope="session")
def model_of(run_of):
    """The same -> the Model."""
    return functools.cache(lambda kind: fxformer.load(run_of(kind).folder))
