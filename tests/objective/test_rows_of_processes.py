"""A part of a batch is corrupted as it is within the whole: each process makes its own rows."""

import dataclasses

import jax
import numpy as np
import pytest

from fxformer.config import folders
from tests.golden import write

SYMBOLS = ("data=markov", "tokenizer=none", "data.symbols=40", "data.examples=64")
TEXT = ("data=stdlib_docs", "tokenizer=byte")
SMALL = (*write.SMALL[:3], "data.length=64", "data.batch=8")
NEEDS = {"ctrl": ("data.code=module",)}
PAIRS = ("seq2seq",)  # reads pairs of texts, which these data have not
NAMES = [name for name in folders.pretraining_objectives() if name not in PAIRS]
FAMILIES = ("bert", "gpt2", "bart", "prophetnet")


def made(name: str):
    """(objective, its first batches) of a preset, on generated symbols or on text."""
    from fxformer.train.experiment import open_experiment

    refused = None
    for data in (SYMBOLS, TEXT):
        for family in FAMILIES:
            words = (
                f"model={family}",
                *write.SMALL[:3],
                f"objective={name}",
                *data,
                "data.batch=8",
            )
            try:
                opened = open_experiment(write.composed(*words))
            except Exception as error:  # noqa: BLE001 - another family, or text, is tried
                refused = error
                continue
            return opened.objective, opened.data
    raise refused


@pytest.mark.sample(20)
@pytest.mark.parametrize("name", NAMES)
def test_rows_do_not_depend_on_the_others_of_their_batch(name):
    objective, data = made(name)
    if objective.whole_batches:  # each process makes all rows
        return
    for own in (np.arange(0, 4), np.array([1, 6])):
        whole = objective.corrupt(data.train(8, 0)[1])
        part = objective.corrupt(data.train(8, 0, own)[1])
        for field in dataclasses.fields(whole):
            one, other = (jax.tree.leaves(getattr(batch, field.name)) for batch in (whole, part))
            assert len(one) == len(other), field.name
            for a, b in zip(one, other, strict=True):
                np.testing.assert_array_equal(np.asarray(a)[own], b, err_msg=field.name)
