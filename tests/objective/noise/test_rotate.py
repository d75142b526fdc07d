"""Document rotation: its checks hold, and each can be broken."""

import numpy as np
import pytest

from fxformer.evaluate.audit.checks.all import noise_checks
from fxformer.objective.noise.rotate import DocumentRotation


class Shuffle(DocumentRotation):
    """Broken: a cyclic order is not kept."""

    def __call__(self, pieces, draws, vocabulary):
        body = np.flatnonzero(~pieces.end)
        index = np.arange(len(pieces.tokens))
        lots = np.random.default_rng(0).random(len(body))
        index[body] = body[np.lexsort((lots, pieces.piece[body]))]
        return pieces.take(index)


class Half(DocumentRotation):
    """Broken: half of the pieces only (fairseq's default)."""

    def __call__(self, pieces, draws, vocabulary):
        return DocumentRotation(0.5)(pieces, draws, vocabulary)


class ByOne(DocumentRotation):
    """Broken: always by one token."""

    def __call__(self, pieces, draws, vocabulary):
        index = np.arange(len(pieces.tokens))
        body = np.flatnonzero(~pieces.end)
        first = np.unique(pieces.piece[body], return_index=True)[1]
        for part in np.split(body, first[1:]):
            index[part] = np.roll(part, -1)
        return pieces.take(index)


@pytest.mark.parametrize("noise", [DocumentRotation(), DocumentRotation(0.5)])
def test_the_checks_hold(noise, corpus, corrupt_with, broken, vocabulary):
    assert broken(noise_checks(noise, vocabulary), corrupt_with(noise, corpus)) == set()


@pytest.mark.parametrize(
    "noise, check",
    [
        (Shuffle(), "breaks of the cyclic order beyond one"),
        (Half(), "rotated pieces, one in m unmoved"),
        (ByOne(), "mean turn of a piece, as a share of m - 1"),
    ],
)
def test_a_broken_rule_breaks_its_check(noise, check, corpus, corrupt_with, broken, vocabulary):
    assert check in broken(noise_checks(noise, vocabulary), corrupt_with(noise, corpus))
