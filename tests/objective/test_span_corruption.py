"""Span corruption: both sides, the sentinels, the room for targets, and what breaks each check."""

import dataclasses

import numpy as np
import pytest

from fxformer.evaluate.audit.checks.all import objective_checks
from fxformer.objective.masking.base import Masked
from fxformer.objective.masking.random_spans import RandomSpans, RandomTokens
from fxformer.objective.span_corruption import DropTokens, SpanCorruption
from fxformer.objective.span_target import densest

KINDS = [
    (SpanCorruption, {}),
    (SpanCorruption, {"masking": RandomSpans(0.5, 3.0)}),
    (SpanCorruption, {"masking": RandomTokens()}),
    (DropTokens, {"masking": RandomTokens()}),
    (DropTokens, {"masking": RandomSpans()}),
]


class Given(RandomSpans):
    """The paper's example: the 3rd, 4th and 9th word."""

    def __call__(self, pieces, draws):
        return Masked(np.array([2, 3, 8]), np.array([0, 0, 1]))

    def most(self, length):
        return 3, 2


@pytest.fixture
def figure(pack):
    """Thank you for inviting me to your party last week."""
    rows = pack([[(0, 10)]], 12)
    rows.tokens[0, :10] = np.arange(11, 21)
    return rows


def test_the_figure_of_the_paper(figure, build, marked):
    x, y, z = marked.sentinels[:3]
    batch = build(SpanCorruption, masking=Given(), words=marked).corrupt(figure)
    assert batch.source[0].tolist() == [11, 12, x, 15, 16, 17, 18, y, 20, 0, 0, 0]
    assert batch.targets[0, :6].tolist() == [x, 13, 14, y, 19, z]
    assert batch.tokens[0, :6].tolist() == [0, x, 13, 14, y, 19]
    assert batch.weights[0].sum() == 6 == (batch.segments > 0).sum()
    batch = build(DropTokens, masking=Given(), words=marked).corrupt(figure)
    assert batch.source[0, :7].tolist() == [11, 12, 15, 16, 17, 18, 20]
    assert batch.targets[0, : int(batch.weights.sum())].tolist() == [13, 14, 19]


@pytest.mark.parametrize("objective, knobs", KINDS)
@pytest.mark.sample(2)
def test_the_checks_hold(objective, knobs, build, marked, corpus, broken):
    made = build(objective, words=marked, **knobs)
    assert (
        broken(objective_checks(made), [(rows, made.corrupt(rows)) for rows in corpus[:8]]) == set()
    )


def test_special_tokens_inside_a_text_stay_in_the_source(build, marked, corpus, broken):
    made = build(SpanCorruption, masking=RandomSpans(0.5), words=marked)
    unknown = (corpus[0].tokens < 30) & (corpus[0].tokens > 4)
    rows = dataclasses.replace(corpus[0], tokens=np.where(unknown, 1, corpus[0].tokens))
    batch = made.corrupt(rows)
    exact = [check for check in objective_checks(made) if check.kind == "exact"]
    assert broken(exact, [(rows, batch)]) == set()
    assert (batch.source == 1).sum() == (rows.tokens == 1).sum()


def swapped(batch, marked):
    """Two sentinels of the target change places."""
    x, y = marked.sentinels[:2]
    targets = np.where(batch.targets == x, -1, batch.targets)
    targets = np.where(targets == y, x, targets)
    return dataclasses.replace(batch, targets=np.where(targets == -1, y, targets))


def unmarked(batch, marked):
    """All spans have the first sentinel, in the source."""
    source = np.where(batch.source >= marked.sentinels[0], marked.sentinels[0], batch.source)
    return dataclasses.replace(batch, source=source)


def endless(batch, marked):
    """The text goes on behind the final sentinel."""
    last = (batch.targets == 3) & (batch.weights > 0)
    return dataclasses.replace(batch, targets=np.where(last, 77, batch.targets))


def forgetful(batch, marked):
    """A kept token of each source is another one."""
    source = batch.source.copy()
    source[:, 1] += 1
    return dataclasses.replace(batch, source=source)


def echoing(batch, marked):
    """The decoder reads what it should write."""
    return dataclasses.replace(batch, tokens=batch.targets)


@pytest.mark.parametrize(
    "corrupted, check",
    [
        (swapped, "sentinels of a target not those and one more"),
        (swapped, "source and target put together are not the text"),
        (unmarked, "sentinels of a source not 0, 1, 2 …"),
        (endless, "text outside the spans of a target"),
        (endless, "hidden tokens other than the target's"),
        (forgetful, "source and target put together are not the text"),
        (echoing, "decoder inputs other than the token before"),
        (echoing, "pieces whose decoder does not begin with the start token"),
    ],
)
@pytest.mark.sample(2)
def test_a_broken_rule_breaks_its_check(corrupted, check, build, marked, corpus, broken):
    made = build(SpanCorruption, words=marked)
    pairs = [(rows, corrupted(made.corrupt(rows), marked)) for rows in corpus[:4]]
    assert check in broken(objective_checks(made), pairs)


def test_dropping_the_wrong_tokens_is_seen(build, marked, corpus, broken):
    made = build(DropTokens, words=marked)
    pairs = [(rows, forgetful(made.corrupt(rows), marked)) for rows in corpus[:2]]
    assert "source other than what is left" in broken(objective_checks(made), pairs)


@pytest.mark.parametrize("masking", [RandomSpans(), RandomSpans(0.5, 3.0), RandomTokens()])
def test_the_room_holds_any_pieces_that_are_not_too_short(masking, pack, build, marked):
    made = build(SpanCorruption, masking=masking, words=marked)
    rng = np.random.default_rng(0)
    for size in (32, 33, 37, 50, 64, 100, 256):
        lengths = [size] * (256 // size)
        lengths[-1] += 256 - sum(lengths)
        example = int(rng.integers(1e6))
        rows = pack([[(example + i, n) for i, n in enumerate(lengths)]] * 4, 256)
        assert made.corrupt(rows).tokens.shape == (4, made.target_length(256))
    assert made.tally.counts() == {}


def test_pieces_without_room_are_left_out_on_both_sides_and_counted(pack, build, marked, broken):
    made = build(SpanCorruption, shortest=64, words=marked)
    rows = pack([[(10 * r + i, 5) for i in range(12)] for r in range(6)], 64)
    batch = made.corrupt(rows)
    lost = made.tally.counts()["pieces without room"]
    kept = sum(len(set(row) - {0}) for row in batch.segments)
    assert lost == 6 * 12 - kept > 0
    for source, target in zip(batch.source_segments, batch.segments, strict=True):
        assert set(source) == set(target)
    exact = [check for check in objective_checks(made) if check.kind == "exact"]
    assert broken(exact, [(rows, batch)]) == set()


def test_the_arithmetic_of_the_room():
    assert densest(RandomSpans(), 1, 512, 512) == 77 + 26 + 1 + 1
    assert densest(RandomSpans(), 1, 32, 512) == 144


def test_missing_sentinels_name_the_override(build, vocabulary, marked):
    with pytest.raises(ValueError, match=r"write tokenizer\.specials\.sentinels=100"):
        build(SpanCorruption, words=vocabulary)
    few = dataclasses.replace(marked, sentinels=marked.sentinels[:20])
    with pytest.raises(ValueError, match=r"26 spans.*sentinels=27, or a smaller data.length"):
        build(SpanCorruption, words=few).row_length(512)
