"""One compilation cache for the processes that these tests start."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def compile_cache():
    folder = tempfile.mkdtemp(prefix="fxformer-xla-")
    os.environ["FXFORMER_TEST_CACHE"] = folder
    root, before = str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, before]))  # for the processes
    yield
    shutil.rmtree(folder, ignore_errors=True)
