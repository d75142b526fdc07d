"""Copy, reverse, sort and recall ask what they say, and the answers are right."""

import numpy as np
import pytest

from fxformer.data.packing import Segments
from fxformer.data.packing_pairs import Paired
from fxformer.data.synthetic import AssociativeRecall, Copy, Reverse, Sort


@pytest.mark.parametrize(
    "task, right", [(Copy, list), (Reverse, lambda s: s[::-1]), (Sort, sorted)]
)
def test_answers(task, right):
    corpus = task(
        tokenizer=None, packing=Paired(), length=8, batch=4, symbols=9, examples=50,
        valid_examples=5, shortest=2, longest=7,
    )  # fmt: skip
    ready = corpus.prepare(8)
    rows = ready.train(50, seed=0)[0]
    decode = ready.tokenizer.decode
    lengths = set()
    for source, tokens in zip(rows.source, rows.tokens, strict=True):
        asked, answered = decode(source).split(), decode(tokens).split()
        assert answered == list(right(asked))
        lengths.add(len(asked))
    assert lengths == set(range(2, 8))


def test_recall_is_answerable_and_scored_on_answers_only():
    corpus = AssociativeRecall(
        tokenizer=None, packing=Segments(), length=16, batch=4, symbols=12, examples=30,
        valid_examples=5, pairs=4,
    )  # fmt: skip
    rows = corpus.prepare(16).train(30, seed=0)[0]
    assert (rows.scored.sum(1) == 4).all()
    for tokens, scored in zip(rows.tokens, rows.scored, strict=True):
        known = dict(tokens[:8].reshape(4, 2).tolist())
        assert len(known) == 4 and max(known) < min(known.values())
        for place in np.flatnonzero(scored):
            assert known[tokens[place - 1]] == tokens[place]


def test_impossible_knobs_say_why():
    common = dict(tokenizer=None, packing=Segments(), length=8, batch=4, examples=5)
    common |= dict(valid_examples=5, symbols=6)
    with pytest.raises(ValueError, match="at most 3"):
        AssociativeRecall(**common, pairs=4)
    with pytest.raises(ValueError, match="data.shortest=5 > data.longest=4"):
        Copy(**common, shortest=5, longest=4)
