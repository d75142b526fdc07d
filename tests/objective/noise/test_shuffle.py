"""Deshuffling: its checks hold, and each can be broken."""

import numpy as np
import pytest

from fxformer.evaluate.audit.checks.all import noise_checks
from fxformer.objective.noise.rotate import DocumentRotation
from fxformer.objective.noise.shuffle import TokenShuffling


class Idle(TokenShuffling):
    """Broken: nothing moves."""

    def __call__(self, pieces, draws, vocabulary):
        return pieces.take(np.arange(len(pieces.tokens)))


class Turned(TokenShuffling):
    """Broken: a rotation only."""

    def __call__(self, pieces, draws, vocabulary):
        return DocumentRotation()(pieces, draws, vocabulary)


class Near(TokenShuffling):
    """Broken: tokens move by a few places."""

    def __call__(self, pieces, draws, vocabulary):
        body = np.flatnonzero(~pieces.end)
        lots = draws.at(pieces.piece[body]).uniform("x", pieces.ranks[body])
        near = pieces.ranks[body] + 6 * lots
        index = np.arange(len(pieces.tokens))
        index[body] = body[np.lexsort((near, pieces.piece[body]))]
        return pieces.take(index)


def test_the_checks_hold(corpus, corrupt_with, broken, vocabulary):
    noise = TokenShuffling()
    assert broken(noise_checks(noise, vocabulary), corrupt_with(noise, corpus)) == set()


@pytest.mark.parametrize(
    "noise, check",
    [
        (Idle(), "tokens in their old place, beyond one per piece"),
        (Turned(), "tokens after the one they came after, beyond chance"),
        (Near(), "place of the token that was first"),
    ],
)
def test_a_broken_rule_breaks_its_check(noise, check, corpus, corrupt_with, broken, vocabulary):
    assert check in broken(noise_checks(noise, vocabulary), corrupt_with(noise, corpus))
