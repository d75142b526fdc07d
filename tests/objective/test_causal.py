"""Causal LM: the next token of the same piece and nothing else."""

import dataclasses

import numpy as np
import pytest

from fxformer.evaluate.audit.checks.all import objective_checks
from fxformer.objective.causal import CausalLM


def shifted_twice(batch):
    return dataclasses.replace(batch, targets=np.roll(batch.targets, 1, axis=1))


def careless(batch):
    return dataclasses.replace(batch, weights=np.ones_like(batch.weights))


def forgetful(batch):
    return dataclasses.replace(batch, weights=batch.weights * (np.arange(511) % 7 > 0))


def noisy(batch):
    return dataclasses.replace(batch, tokens=batch.tokens + 1)


def test_the_checks_hold(build, corpus, broken):
    objective = build(CausalLM)
    pairs = [(rows, objective.corrupt(rows)) for rows in corpus]
    assert broken(objective_checks(objective), pairs) == set()


@pytest.mark.parametrize(
    "corrupted, check",
    [
        (shifted_twice, "targets other than the next token"),
        (careless, "targets across pieces or in padding"),
        (forgetful, "scored tokens that are nobody's target"),
        (noisy, "tokens changed"),
    ],
)
def test_a_broken_rule_breaks_its_check(corrupted, check, build, corpus, broken):
    objective = build(CausalLM)
    pairs = [(rows, corrupted(objective.corrupt(rows))) for rows in corpus]
    assert check in broken(objective_checks(objective), pairs)


def test_a_row_is_one_longer_than_what_the_model_reads(build, pack):
    objective = build(CausalLM)
    batch = objective.corrupt(pack([[(0, 4), (1, 3)]], objective.row_length(8)))
    assert batch.tokens.shape == (1, 8)
    assert batch.weights.tolist() == [[1, 1, 1, 0, 1, 1, 0, 0]]
    assert (batch.targets[0, :3] == batch.tokens[0, 1:4]).all()


def test_only_scored_tokens_count_where_the_data_says_so(build, pack):
    rows = dataclasses.replace(pack([[(0, 6)]], 9), scored=np.arange(9)[None] >= 4)
    batch = build(CausalLM).corrupt(rows)
    assert batch.weights.tolist() == [[0, 0, 0, 1, 1, 0, 0, 0]]
