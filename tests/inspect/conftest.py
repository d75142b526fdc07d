"""One run of each kind for all tests here, made when it is first asked for."""

import functools

import pytest

from fxformer.inference.model_cache import Kept
from tests.inspect.made import made


@pytest.fixture(scope="session")
def run_of(tmp_path_factory):
    """kind -> its run; none is ever trained."""
    folder = tmp_path_factory.mktemp("look")
    return functools.cache(lambda kind: made(folder, kind))


@pytest.fixture(scope="session")
def kept():
    """What all tests open runs with."""
    return Kept()
