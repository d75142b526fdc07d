"""Packing pairs of texts of one document in whole sentences, with negatives from others."""

import numpy as np
import pytest

from fxformer.batch import Vocabulary
from fxformer.data.documents import Documents, join
from fxformer.data.packing import Template
from fxformer.data.packing_sentences import SentencePairs

PAD, BOS, EOS, STOP = 0, 2, 3, 4
V = 100_000


def corpus(documents=40, seed=0):
    """Documents of unique tokens from 10 on, every number divisible by 7 the end of a sentence."""
    sizes = np.random.default_rng(seed).integers(0, 60, documents)
    _, bounds = join([np.zeros(size, int) for size in sizes])
    ends = np.arange(V) % 7 == 0
    ends[:10] = False
    special = np.arange(V) < 5
    words = Vocabulary(V, PAD, special, ~special, ends, bos=BOS, eos=EOS)
    template = Template(PAD, np.array([BOS]), np.array([EOS]), BOS, EOS, words)
    return Documents(np.arange(10, 10 + bounds[-1], dtype=np.int32), bounds), template


def pieces(rows, tokens):
    """(piece number, A, B) of all pieces."""
    for row in range(len(tokens)):
        for number in range(1, rows.segments[row].max() + 1):
            here = rows.segments[row] == number
            ids, types = tokens[row][here], rows.pairs.types[row][here]
            a, b = ids[types == 0], ids[types == 1]
            assert a[0] == BOS and a[-1] == b[-1] == EOS
            yield int(rows.examples[row][here][0]), a[1:-1], b[:-1]


@pytest.mark.parametrize("length", [5, 8, 24, 200])
def test_texts_are_neighbours_and_negatives_are_strangers(length):
    documents, template = corpus()
    packed = SentencePairs()(documents, length, template)
    owner = np.searchsorted(documents.bounds, np.arange(documents.bounds[-1]), side="right")
    for epoch in range(3):
        rows, used = packed.rows(np.arange(len(packed)), 5, epoch), []
        negatives = {number: (a, b) for number, a, b in pieces(rows, rows.pairs.negatives)}
        for number, a, b in pieces(rows, rows.tokens):
            text = np.concatenate([a, b])
            assert len(a) and len(b) and (np.diff(text) == 1).all()
            assert len(set(owner[text - 10])) == 1
            used += text.tolist()
            same, other = negatives[number]
            assert (same == a).all() and len(other) == len(b) and (np.diff(other) == 1).all()
            assert len(set(owner[other - 10])) == 1 and owner[other[0] - 10] != owner[b[0] - 10]
        facts = packed.facts()
        assert len(used) == len(set(used)) == facts["tokens_used"]
        assert facts["tokens_in"] - len(used) == facts["tokens_dropped"] <= len(documents)
        assert facts["padding_share"] == pytest.approx((rows.segments == 0).mean(), abs=1e-6)
        named = rows.pairs.documents[rows.segments > 0]
        assert (named == rows.pairs.negative_documents[rows.segments > 0]).mean() < 1
        assert (rows.pairs.documents[rows.segments == 0] == -1).all()


def test_texts_and_negatives_begin_and_end_as_sentences_do():
    documents, template = corpus()
    packed = SentencePairs()(documents, 40, template)
    rows = packed.rows(np.arange(len(packed)))
    edges = {int(i) for i in documents.bounds + 10} | {i for i in range(V) if i % 7 == 1}
    right = [(b[0] in edges, b[-1] + 1 in edges, len(b)) for _, _, b in pieces(rows, rows.tokens)]
    other = [(b[0] in edges, b[-1] + 1 in edges) for _, _, b in pieces(rows, rows.pairs.negatives)]
    assert all(begins and ends for begins, ends, size in right if size > 7)
    assert [size for _, _, size in right if size % 7 == 0]
    whole = [own for own, (_, _, size) in zip(other, right, strict=True) if size % 7 == 0]
    assert all(begins and ends for begins, ends in whole)


def test_every_sentence_end_inside_is_as_likely_and_every_negative_is():
    documents, template = corpus()
    packed = SentencePairs()(documents, 62, template)
    number = int(np.argsort(packed.size)[-5])
    start, size = packed.start[number], packed.size[number]
    row = np.searchsorted(packed.bounds, np.flatnonzero(packed.order == number), "right") - 1
    drawn = [packed.rows(row, 0, epoch) for epoch in range(2000)]
    found = [next(p for p in pieces(rows, rows.tokens) if p[0] == number) for rows in drawn]
    inside = [e - start for e in packed.ends if 0 < e - start < size]
    count = np.bincount([len(a) for _, a, _ in found], minlength=size)[inside]
    assert count.sum() == 2000 and len(inside) > 3
    assert (np.abs(count - count.mean()) < 5 * count.mean() ** 0.5).all()
    starts = {
        next(int(b[0]) for n, _, b in pieces(rows, rows.pairs.negatives) if n == number)
        for rows in drawn
    }
    assert len(starts) > 8


def test_a_piece_is_the_same_in_any_company_and_another_in_the_next_epoch():
    documents, template = corpus()
    packed = SentencePairs()(documents, 30, template)
    whole = packed.rows(np.arange(len(packed)), 1, 2)
    some = packed.rows(np.array([3, -1, 0]), 1, 2)
    assert (some.segments[1] == 0).all() and (some.tokens[1] == PAD).all()
    for row, number in ((0, 3), (2, 0)):
        assert (some.tokens[row] == whole.tokens[number]).all()
        assert (some.pairs.negatives[row] == whole.pairs.negatives[number]).all()
    after = packed.rows(np.arange(len(packed)), 1, 3)
    assert (after.pairs.negatives != whole.pairs.negatives).any()
    assert (after.tokens != whole.tokens).any()


def test_one_document_has_no_negatives_and_what_cannot_be_paired_is_refused():
    documents, template = corpus(1, seed=1)
    rows = SentencePairs()(documents, 20, template).rows(np.array([0]))
    assert rows.pairs.negatives is None
    with pytest.raises(ValueError, match=r"raise data\.length"):
        SentencePairs()(documents, 4, template)
    with pytest.raises(ValueError, match="bos and eos"):
        SentencePairs()(documents, 9, Template(PAD, np.empty(0, int), np.empty(0, int)))
    given = Documents(documents.tokens, documents.bounds, np.ones(len(documents.tokens), bool))
    with pytest.raises(ValueError, match="data/packing=segments"):
        SentencePairs()(given, 9, template)


def test_without_sentence_ends_any_place_splits():
    documents, template = corpus()
    bare = Template(PAD, template.prefix, template.suffix, BOS, EOS)
    packed = SentencePairs()(documents, 20, bare)
    rows = packed.rows(np.arange(len(packed)))
    assert sum(1 for _ in pieces(rows, rows.tokens)) == len(packed.start)
    assert packed.facts()["split_inside_a_sentence"] == 1
