"""One compilation cache for these tests and the processes they start."""

import os
import shutil
import tempfile

import jax
import pytest

from fxformer.train.compile import use_compile_cache


@pytest.fixture(scope="session", autouse=True)
def compile_cache():
    folder = tempfile.mkdtemp(prefix="fxformer-xla-")
    os.environ["FXFORMER_TEST_CACHE"] = folder
    use_compile_cache(folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    yield
    use_compile_cache(None)
    shutil.rmtree(folder, ignore_errors=True)
