"""Fixtures: one untrained run of each kind, saved when first used; a cache of loaded runs."""

import functools

import pytest

from fxformer.inference.model_cache import RunCache
from tests.inspect.untrained_run import untrained_run


@pytest.fixture(scope="session")
def run_of(tmp_path_factory):
    """kind -> its untrained run."""
    folder = tmp_path_factory.mktemp("look")
    return functools.cache(lambda kind: untrained_run(folder, kind))


@pytest.fixture(scope="session")
def kept():
    """The cache that loads the runs of all tests."""
    return RunCache()
