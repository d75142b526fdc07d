"""Before and after: what went, what came, what is a mask."""

import dataclasses

import numpy as np

from fxformer.batch import Batch, Rows, Vocabulary
from fxformer.evaluate.audit.texts import examples, matched, named

SPECIAL = np.arange(12) < 5
WORDS = Vocabulary(12, 0, SPECIAL, ~SPECIAL, SPECIAL & False, 1, 2, 3, 4)


class Letters:
    """Ids 5 … 11 are the letters a … g."""

    vocabulary = WORDS
    source = None

    @property
    def of_source(self):
        return self

    def decode(self, ids):
        return " ".join("abcdefg"[i - 5] for i in ids)


def rows(*tokens):
    ids = np.array([tokens], np.int32)
    return Rows(ids, (ids > 0).astype(np.int32), np.where(ids > 0, 7, -1))


def test_a_masked_text():
    before = rows(2, 5, 6, 7, 3, 0)
    after = Batch(
        tokens=np.array([[2, 5, 4, 9, 3, 0]]),
        segments=before.segments,
        targets=np.array([[6, 7, 0]]),
        weights=np.array([[1.0, 1, 0]]),
        picked=np.array([[2, 3, 0]]),
    )
    (example,) = examples(before, after, Letters(), 3)
    assert example.plain() == {
        "text": "<bos> a b c <eos>", "reads": "<bos> a <mask> e <eos>", "writes": "b · c"
    }  # fmt: skip
    fates = {what: [fate for _, fate in spans] for what, spans in example.lines}
    assert fates["text"] == ["special", "same", "removed", "special"]
    assert fates["reads"] == ["special", "same", "mask", "new", "special"]


def test_source_and_target_are_paired():
    before = rows(5, 6, 7, 8)
    after = Batch(
        tokens=np.array([[3, 5, 6, 7]]),
        segments=before.segments,
        targets=before.tokens,
        weights=np.ones((1, 4)),
        source=np.array([[5, 8, 0]]),
        source_segments=np.array([[1, 1, 0]]),
    )
    (example,) = examples(before, after, Letters(), 1)
    assert example.plain() == {"text": "a b c d", "reads": "a d", "writes": "a b c d"}
    assert [fate for _, fate in example.lines[2][1]] == ["same", "new", "same"]


def test_what_moved_has_its_counterpart_and_what_stayed_too():
    assert matched([1, 2, 3], [1, 9, 3]) == ([True, False, True],) * 2
    assert matched([1, 2, 3, 4], [3, 4]) == ([False, False, True, True], [True, True])


def test_special_tokens_have_names():
    words = dataclasses.replace(WORDS, sentinels=(7, 8))
    assert [named(i, words) for i in (2, 3, 4, 8, 11)] == [
        "<bos>", "<eos>", "<mask>", "<sentinel 1>", "<special 11>"
    ]  # fmt: skip
