"""Rows taken apart and put back together."""

import numpy as np
import pytest

from fxformer.objective.pieces import laid_out, pieces_of


@pytest.fixture
def rows(pack):
    return pack([[(7, 5), (8, 3)], [], [(9, 10)]], 10)


def test_pieces_know_where_they_belong(rows, vocabulary):
    pieces = pieces_of(rows, vocabulary)
    assert pieces.row.tolist() == [0, 0, 2]
    assert pieces.segment.tolist() == [1, 2, 1]
    assert pieces.example.tolist() == [7, 8, 9]
    assert pieces.lengths.tolist() == [5, 3, 10] and pieces.free_lengths.tolist() == [3, 1, 8]
    assert pieces.ranks.tolist() == [*range(5), *range(3), *range(10)]


def test_only_the_specials_at_the_ends_are_ends(rows, vocabulary):
    rows.tokens[2, [1, 4, 8]] = vocabulary.unk
    pieces = pieces_of(rows, vocabulary)
    assert np.flatnonzero(pieces.end[8:]).tolist() == [0, 1, 8, 9]
    assert np.flatnonzero(~pieces.free[8:]).tolist() == [0, 1, 4, 8, 9]


def test_laid_out_again_they_are_the_rows(rows, vocabulary):
    tokens, segments = laid_out(pieces_of(rows, vocabulary), 3, 12, vocabulary.pad)
    assert (tokens[:, :10] == rows.tokens).all() and not tokens[:, 10:].any()
    assert (segments[:, :10] == rows.segments).all()


def test_nothing_is_ever_cut_off(rows, vocabulary):
    with pytest.raises(ValueError, match="row 2 has 10 tokens and the width is 9"):
        laid_out(pieces_of(rows, vocabulary), 3, 9, vocabulary.pad)


def test_no_rows_at_all(pack, vocabulary):
    pieces = pieces_of(pack([[], []], 6), vocabulary)
    assert pieces.count == 0 and len(pieces.tokens) == 0
    assert (laid_out(pieces, 2, 6, 0)[0] == 0).all()


def test_words_begin_where_the_vocabulary_says(rows, wordy):
    rows.tokens[2, 4] = wordy.unk
    pieces = pieces_of(rows, wordy)
    begins = np.diff(pieces.word, prepend=-1) != 0
    begins |= np.diff(pieces.piece, prepend=-1) != 0
    special = wordy.special[pieces.tokens]
    after = np.append(False, special[:-1])
    assert (begins == (special | after | wordy.starts_word[pieces.tokens])).all()
    assert pieces.word[[0, 5, 8]].tolist() == [0, 0, 0]
