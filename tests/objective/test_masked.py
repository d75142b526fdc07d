"""Masked LM: its checks on the finished batch, what breaks them, a row with too many targets."""

import dataclasses

import numpy as np
import pytest

from fxformer.evaluate.audit.checks.all import objective_checks
from fxformer.objective.masked import MaskedLM
from fxformer.objective.masking.replacement import Replacement
from fxformer.objective.masking.tokens import ExactCount, Independent
from fxformer.objective.masking.whole_words import WholeWords
from fxformer.objective.masking.word_spans import Spans


class Tight(Independent):
    """Room for three targets in a row."""

    def capacity(self, length):
        return 3


class Careless(Replacement):
    """Broken: each token of a unit by its own lot."""

    def __call__(self, tokens, draws, ranks, vocabulary, units=None):
        return super().__call__(tokens, draws, ranks, vocabulary)


class Halfhearted(Replacement):
    """Broken: of a unit replaced at random every second token stays."""

    def __call__(self, tokens, draws, ranks, vocabulary, units=None):
        new = super().__call__(tokens, draws, ranks, vocabulary, units)
        return np.where((new != vocabulary.mask) & ((ranks - units) % 2 == 1), tokens, new)


def pairs_of(objective, corpus):
    return [(rows, objective.corrupt(rows)) for rows in corpus]


def bitten(batch, rows):
    """A special token and padding are targets."""
    picked, targets = batch.picked.copy(), batch.targets.copy()
    picked[:, 0], targets[:, 0] = 0, rows.tokens[:, 0]
    return dataclasses.replace(batch, picked=picked, targets=targets)


def everywhere(batch, rows):
    """An unselected token is changed."""
    tokens = batch.tokens.copy()
    tokens[:, 40] = 4
    return dataclasses.replace(batch, tokens=tokens)


def mistaken(batch, rows):
    """The target is what the model sees, not what was there."""
    return dataclasses.replace(
        batch, targets=np.take_along_axis(batch.tokens, batch.picked, axis=1)
    )


def uncounted(batch, rows):
    """Of each row only half of the masked tokens have a loss."""
    weights = batch.weights.copy()
    weights[:, ::2] = 0
    return dataclasses.replace(batch, weights=weights)


@pytest.mark.parametrize("masking", [Independent(), ExactCount()])
def test_the_checks_hold(masking, build, corpus, broken):
    objective = build(MaskedLM, masking=masking)
    assert broken(objective_checks(objective), pairs_of(objective, corpus)) == set()
    assert objective.tally.counts() == {}


def test_static_masks_are_those_of_the_first_epoch_in_every_one(build, corpus, broken):
    static, dynamic = (build(MaskedLM, resample=one) for one in (False, True))
    first, later = (dataclasses.replace(corpus[0], epoch=epoch) for epoch in (0, 3))
    masks = [one.corrupt(rows).picked for one in (static, dynamic) for rows in (first, later)]
    np.testing.assert_array_equal(masks[0], masks[1])
    np.testing.assert_array_equal(masks[0], masks[2])
    assert (masks[2] != masks[3]).any()
    assert broken(objective_checks(static), [(later, static.corrupt(later))]) == set()


@pytest.mark.parametrize(
    "corrupted, check",
    [
        (bitten, "special tokens or padding selected"),
        (everywhere, "tokens changed without being selected"),
        (mistaken, "targets other than the original"),
        (uncounted, "tokens changed without being selected"),
    ],
)
def test_a_broken_rule_breaks_its_check(corrupted, check, build, corpus, broken):
    objective = build(MaskedLM)
    pairs = [(rows, corrupted(batch, rows)) for rows, batch in pairs_of(objective, corpus[:4])]
    assert check in broken(objective_checks(objective), pairs)


@pytest.mark.parametrize("masking", [WholeWords(), Spans()])
def test_a_unit_has_one_fate(masking, build, wordy, corpus, broken):
    objective = build(MaskedLM, masking=masking, words=wordy)
    assert broken(objective_checks(objective), pairs_of(objective, corpus)) == set()


@pytest.mark.parametrize(
    "replacement, check",
    [
        (Careless(), "tokens masked unlike the rest of their unit"),
        (Halfhearted(), "tokens kept in a unit replaced at random, by chance"),
    ],
)
def test_a_torn_unit_is_seen(replacement, check, build, wordy, corpus, broken):
    objective = build(MaskedLM, masking=Spans(), replacement=replacement, words=wordy)
    assert check in broken(objective_checks(objective), pairs_of(objective, corpus[:6]))


def test_a_unit_without_room_is_left_out_whole(build, wordy, corpus):
    objective = build(MaskedLM, masking=Spans(0.5), words=wordy)
    rows, room = corpus[0], objective.masking.capacity

    class Narrow(Spans):
        def capacity(self, length):
            return 40

    narrow = build(MaskedLM, masking=Narrow(0.5), words=wordy)
    few, whole = narrow.corrupt(rows), objective.corrupt(rows)
    assert few.weights.shape[1] == 40 < room(512)
    changed = (few.tokens != rows.tokens).sum()
    assert 0 < changed <= few.weights.sum()
    left_out = whole.weights.sum() - few.weights.sum()
    assert narrow.tally.counts() == {"masked LM targets without room": left_out}


def test_surplus_targets_are_not_selected_at_all_and_are_counted(build, corpus):
    rows, whole = corpus[0], build(MaskedLM, masking=Independent())
    tight = build(MaskedLM, masking=Tight())
    few, all_of_them = tight.corrupt(rows), whole.corrupt(rows)
    assert few.picked.shape == (24, 3) and few.weights.all()
    assert (few.picked == all_of_them.picked[:, :3]).all()
    assert ((few.tokens != rows.tokens).sum(1) <= 3).all()
    left_out = all_of_them.weights.sum() - few.weights.sum()
    assert tight.tally.counts() == {"masked LM targets without room": left_out}


def test_the_batch_is_what_a_model_expects(build, corpus):
    batch = build(MaskedLM).corrupt(corpus[0])
    assert batch.tokens.dtype == batch.targets.dtype == batch.picked.dtype == np.int32
    assert batch.weights.dtype == np.float32
    for picked, weights in zip(batch.picked, batch.weights, strict=True):
        assert (np.diff(picked[weights > 0]) > 0).all() and (picked[weights == 0] == 0).all()
    assert (batch.targets[batch.weights == 0] == 0).all()
    assert batch.tokens is not corpus[0].tokens and batch.source is None


def test_a_batch_of_padding_has_no_targets(build, pack):
    objective = build(MaskedLM)
    batch = objective.corrupt(pack([[], []], 16))
    assert batch.weights.sum() == 0
    total, weight = objective(batch)["loss"]
    assert total == 0 and weight == 0
