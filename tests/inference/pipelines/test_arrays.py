"""Windows, answer spans and entities as functions on arrays."""

import numpy as np
import pytest

from fxformer.errors import UserError
from fxformer.inference.pipelines.entities import group_entities, label_words
from fxformer.ops.probabilities import sigmoid, softmax
from fxformer.task.answer_spans import best_spans
from fxformer.task.windows import max_context_window, windows

NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC"]


@pytest.mark.parametrize(
    ("length", "room", "stride"), [(0, 4, 1), (4, 4, 1), (5, 4, 3), (23, 7, 2)]
)
def test_windows_cover_all_tokens_and_share_the_stride(length, room, stride):
    found = windows(length, room, stride)
    assert {i for low, high in found for i in range(low, high)} == set(range(length))
    assert all(high - low <= room for low, high in found)
    assert all(a[1] - b[0] == stride for a, b in zip(found, found[1:], strict=False))


def test_a_stride_as_long_as_the_window_is_refused():
    with pytest.raises(UserError, match="stride=4: windows of 4 tokens"):
        windows(9, 4, 4)


def test_each_token_belongs_to_the_window_with_most_context():
    spans = windows(10, 6, 4)
    assert spans == [(0, 6), (2, 8), (4, 10)]
    assert max_context_window(spans, 10).tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 2, 2]


def by_enumeration(start, end, context, longest):
    begin, close = (softmax(np.where(context, x, -np.inf)) for x in (start, end))
    places = np.flatnonzero(context[1:]) + 1
    found = [(begin[s] * close[e], s, e) for s in places for e in places if 0 <= e - s < longest]
    return sorted(found, reverse=True)


@pytest.mark.parametrize("longest", [1, 3, 30])
def test_best_spans_are_those_of_enumeration(longest):
    rng = np.random.default_rng(3)
    start, end = rng.normal(size=(2, 12))
    context = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0], bool)
    read = context.copy()
    read[0] = True
    wanted = by_enumeration(start, end, read, longest)
    made = best_spans(start, end, context, count=20, longest=longest)
    spans = list(zip(made.score, made.start, made.end, strict=True))
    np.testing.assert_allclose(spans, wanted[:20], rtol=1e-12)
    begin, close = (softmax(np.where(read, x, -np.inf))[0] for x in (start, end))
    assert made.null == pytest.approx(begin * close)


def test_starts_restrict_spans_but_not_probabilities():
    start, end = np.random.default_rng(0).normal(size=(2, 6))
    context = np.array([0, 1, 1, 1, 1, 1], bool)
    everything = best_spans(start, end, context, count=99, longest=9)
    made = best_spans(start, end, context, count=99, longest=9, starts=np.arange(6) == 3)
    assert set(made.start) == {3} and set(made.end) == {3, 4, 5}
    chosen = everything.start == 3
    np.testing.assert_array_equal(made.score, everything.score[chosen])


def test_without_context_there_are_no_spans():
    made = best_spans(np.zeros(3), np.zeros(3), np.zeros(3, bool), count=5, longest=5)
    assert len(made.score) == 0 and made.null == 1


def test_words_take_the_label_of_their_first_best_or_mean_token():
    probabilities = np.array([[0.6, 0.4, 0.0], [0.1, 0.0, 0.9], [0.2, 0.8, 0.0]])
    begins = np.array([True, False, True])
    labels = {how: label_words(probabilities, begins, how) for how in ("first", "max", "average")}
    assert labels["first"].label.tolist() == [0, 1]
    assert labels["max"].label.tolist() == [2, 1]
    assert labels["average"].label.tolist() == [2, 1]
    assert labels["average"].score.tolist() == pytest.approx([0.45, 0.8])
    assert label_words(probabilities, begins, "simple").label.tolist() == [0, 2, 1]


def test_entities_join_neighbours_and_begin_anew_at_b():
    names = "B-PER I-PER B-PER I-LOC I-LOC O I-PER MISC MISC B-LOC".split()
    probabilities = np.eye(6)[[NAMES.index(name) for name in names]]
    labelled = label_words(probabilities, np.ones(10, bool), "simple")
    found = [(one.tag, one.start, one.end) for one in group_entities(labelled, NAMES)]
    assert found == [
        ("PER", 0, 1), ("PER", 2, 2), ("LOC", 3, 4), ("O", 5, 5), ("PER", 6, 6), ("MISC", 7, 8),
        ("LOC", 9, 9),
    ]  # fmt: skip


def test_no_tokens_have_no_entities():
    for how in ("none", "first", "average", "max"):
        labelled = label_words(np.zeros((0, 6)), np.zeros(0, bool), how)
        assert group_entities(labelled, NAMES) == []


def test_sigmoid_and_softmax_do_not_overflow():
    assert sigmoid(np.array([-800.0, 0, 800])).tolist() == [0, 0.5, 1]
    assert softmax(np.array([-np.inf, 900.0, 900.0])).tolist() == [0, 0.5, 0.5]
