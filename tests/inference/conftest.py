"""Fixtures: one tiny untrained model of each architecture, loaded once."""

import functools

import pytest

import fxformer
from tests.inspect.untrained_run import untrained_run

RUNS = {
    "encoder": "bert",
    "decoder": "gpt",
    "seq2seq": "bart",
    "prefix": "prefix",
    "electra": "electra",
}


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """architecture -> folder of an untrained run with checkpoints of steps 10 and 20."""
    folder = tmp_path_factory.mktemp("inference")
    return functools.cache(lambda kind: untrained_run(folder, RUNS[kind], steps=(10, 20)).folder)


@pytest.fixture(scope="session")
def model_of(run_folder):
    """architecture -> its Model."""
    return functools.cache(lambda kind: fxformer.load(run_folder(kind)))
