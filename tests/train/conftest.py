"""One compilation cache for these tests and the processes they start."""

import os
import shutil
import tempfile
from pathlib import Path

import jax
import pytest

from fxformer.train.compile import use_compile_cache


@pytest.fixture(scope="session", autouse=True)
def compile_cache():
    folder = tempfile.mkdtemp(prefix="fxformer-xla-")
    os.environ["FXFORMER_TEST_CACHE"] = folder
    root, before = str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, before]))  # for the processes
    use_compile_cache(folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    yield
    use_compile_cache(None)
    shutil.rmtree(folder, ignore_errors=True)
