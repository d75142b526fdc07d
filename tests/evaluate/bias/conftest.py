"""Fixtures: the data sets of files.py, and tiny untrained models."""

import functools

import numpy as np
import pytest

import fxformer
from tests.evaluate.bias.files import all_sets
from tests.inspect.untrained_run import WORDS, untrained_run


@pytest.fixture(scope="session")
def sets(tmp_path_factory):
    """The folder of all data sets."""
    return all_sets(tmp_path_factory.mktemp("bias") / "sets")


@pytest.fixture(scope="session")
def run_of(tmp_path_factory):
    """bert, gpt, bart or t5 -> its untrained run."""
    folder = tmp_path_factory.mktemp("bias_models")
    rng = np.random.default_rng(0)
    words = [*WORDS, "he", "she", "because", "was"]  # those of the data sets, but for the marker
    texts = [" ".join(rng.choice(words, 60)) + "." for _ in range(39)]
    (folder / "text.txt").write_text("\n\n".join(texts))
    return functools.cache(lambda kind: untrained_run(folder, kind, steps=(10, 20)))


@pytest.fixture(scope="session")
def model_of(run_of):
    """The same -> the Model."""
    return functools.cache(lambda kind: fxformer.load(run_of(kind).folder))
