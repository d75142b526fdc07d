"""Prefix LM: the split, what is a target, and what breaks each check; for one stack and for two."""

import dataclasses

import numpy as np
import pytest

from fxformer.evaluate.audit.checks.all import objective_checks
from fxformer.objective import prefix as module
from fxformer.objective.prefix import PrefixLM, PrefixSeq2Seq

BOTH = [PrefixLM, PrefixSeq2Seq]


def pairs_of(made, batches, corrupted=lambda batch: batch):
    return [(rows, corrupted(made.corrupt(rows))) for rows in batches]


def change(**changes):
    def corrupted(batch):
        return dataclasses.replace(batch, **{n: f(batch) for n, f in changes.items()})

    return corrupted


@pytest.mark.parametrize("objective", BOTH)
def test_the_checks_hold(objective, build, corpus, broken):
    made = build(objective)
    assert broken(objective_checks(made), pairs_of(made, corpus)) == set()


@pytest.mark.parametrize("objective", BOTH)
@pytest.mark.parametrize(
    "split, check",
    [
        (lambda p, d: p.lengths // 2, "spread of the split, beyond that of a uniform one"),
        (
            lambda p, d: 1 + d.below("split", np.maximum(p.lengths // 2, 1)),
            "place of the split, from first to last",
        ),
        (lambda p, d: d.below("split", p.lengths), "sides without a token"),
    ],
)
def test_a_split_that_is_not_uniform_is_seen(
    objective, split, check, build, corpus, broken, monkeypatch
):
    made = build(objective)
    monkeypatch.setattr(module, "split_points", split)
    assert check in broken(objective_checks(made), pairs_of(made, corpus))


def all_of_it(batch):
    """Loss on the prefix too."""
    return np.asarray((batch.segments > 0) & (batch.targets >= 0), np.float32)


@pytest.mark.parametrize(
    "objective, corrupted, check",
    [
        (PrefixLM, change(weights=all_of_it), "targets inside a prefix, or missing behind it"),
        (
            PrefixLM,
            change(weights=lambda b: b.weights * (b.targets % 2)),
            "targets inside a prefix, or missing behind it",
        ),
        (
            PrefixLM,
            change(prefix=lambda b: ~b.prefix & (b.segments > 0)),
            "prefixes that are not the beginning of a piece",
        ),
        (PrefixLM, change(targets=lambda b: b.tokens), "targets other than the next token"),
        (PrefixLM, change(tokens=lambda b: b.tokens + 1), "tokens changed"),
        (
            PrefixSeq2Seq,
            change(targets=lambda b: b.tokens),
            "source and target one after the other are not the text",
        ),
        (
            PrefixSeq2Seq,
            change(tokens=lambda b: b.targets),
            "decoder inputs other than the token before",
        ),
    ],
)
def test_a_broken_rule_breaks_its_check(objective, corrupted, check, build, corpus, broken):
    made = build(objective)
    assert check in broken(objective_checks(made), pairs_of(made, corpus[:4], corrupted))


def test_the_prefix_is_neither_target_nor_empty(build, pack):
    rows = pack([[(0, 12), (1, 7)]], 20)
    batch = build(PrefixLM).corrupt(rows)
    for segment in (1, 2):
        inside = batch.segments[0] == segment
        size = (rows.segments[0] == segment).sum()
        assert 0 < batch.prefix[0][inside].sum() < size
        assert batch.weights[0][inside].sum() == size - batch.prefix[0][inside].sum()
