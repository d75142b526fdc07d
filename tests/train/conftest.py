"""One compilation cache for the processes that these tests start."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory) -> Path:
    """The folder of that cache."""
    return tmp_path_factory.mktemp("xla")


@pytest.fixture(scope="module", autouse=True)
def compile_cache(cache_folder):
    """Tells it to the processes that the tests of a file start, and where fxformer lies."""
    root, before = str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FXFORMER_TEST_CACHE", str(cache_folder))
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [root, before])))
        yield
