"""Token deletion: its checks hold, and each can be broken."""

import dataclasses

import numpy as np
import pytest

from fxformer.evaluate.audit.checks.all import noise_checks
from fxformer.objective.noise.delete import TokenDeletion
from fxformer.objective.pieces import pieces_of


class Marked(TokenDeletion):
    """Broken: leaves the mask where a token was."""

    def __call__(self, pieces, draws, vocabulary):
        kept = super().__call__(pieces, draws, vocabulary).origin
        gone = np.ones(len(pieces.tokens), bool)
        gone[kept] = False
        origin = np.where(gone, -1, np.arange(len(gone)))
        tokens = np.where(gone, vocabulary.mask, pieces.tokens)
        return dataclasses.replace(pieces, tokens=tokens, origin=origin)


class Shy(TokenDeletion):
    """Broken: keeps one token in thirty that should go."""

    def __call__(self, pieces, draws, vocabulary):
        return TokenDeletion(self.rate * 29 / 30)(pieces, draws, vocabulary)


class Blunt(TokenDeletion):
    """Broken: cuts off the ends."""

    def __call__(self, pieces, draws, vocabulary):
        return pieces.take(np.flatnonzero(~pieces.end))


@pytest.mark.parametrize("noise", [TokenDeletion(), TokenDeletion(0.6)])
def test_the_checks_hold(noise, corpus, corrupt_with, broken, vocabulary):
    assert broken(noise_checks(noise, vocabulary), corrupt_with(noise, corpus)) == set()


@pytest.mark.parametrize(
    "noise, check",
    [
        (Marked(), "marks left by the deleted"),
        (Shy(), "deleted share, the guaranteed token aside"),
        (Blunt(), "special tokens at an end lost or moved"),
        (Blunt(), "special tokens of the text lost"),
    ],
)
def test_a_broken_rule_breaks_its_check(noise, check, corpus, corrupt_with, broken, vocabulary):
    assert check in broken(noise_checks(noise, vocabulary), corrupt_with(noise, corpus))


def test_a_piece_without_special_tokens_keeps_a_token(pack, vocabulary, broken):
    """Two ordinary tokens, 90 % deleted: the last never goes, and the check accounts for it."""
    rows = pack([[(64 * r + i, 2) for i in range(64)] for r in range(100)], 128)
    rows.tokens[:] = 50 + rows.tokens % 50
    noise, before = TokenDeletion(0.9), pieces_of(rows, vocabulary)
    after = noise(before, before.draws(0, 0), vocabulary)
    assert after.lengths.min() == 1
    assert "pieces left empty" not in broken(noise_checks(noise, vocabulary), [(before, after)])
    assert not any(
        "share" in name for name in broken(noise_checks(noise, vocabulary), [(before, after)])
    )
