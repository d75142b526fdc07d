"""Token masking: its checks hold, and each can be broken."""

import dataclasses

import numpy as np
import pytest

from fxformer.evaluate.audit.checks.all import noise_checks
from fxformer.objective.masking.replacement import Replacement
from fxformer.objective.noise.mask import TokenMasking


class Everything(TokenMasking):
    """Broken: masks special tokens of the text too, once in a while."""

    def __call__(self, pieces, draws, vocabulary):
        after = super().__call__(pieces, draws, vocabulary)
        return dataclasses.replace(
            after, tokens=np.where(pieces.end, vocabulary.mask, after.tokens)
        )


class Less(TokenMasking):
    """Broken: nothing in the second half of a piece."""

    def __call__(self, pieces, draws, vocabulary):
        after = super().__call__(pieces, draws, vocabulary)
        late = pieces.ranks * 20 > pieces.lengths[pieces.piece] * 19
        tokens = np.where(late, pieces.tokens, after.tokens)
        return dataclasses.replace(
            after, tokens=tokens, free=np.where(late, pieces.free, after.free)
        )


@pytest.mark.parametrize("noise", [TokenMasking(), TokenMasking(0.4, Replacement(0.8, 0.1))])
def test_the_checks_hold(noise, corpus, corrupt_with, broken, vocabulary):
    assert broken(noise_checks(noise, vocabulary), corrupt_with(noise, corpus)) == set()


@pytest.mark.parametrize(
    "noise, check",
    [
        (Everything(), "special tokens at an end lost or moved"),
        (Everything(), "tokens changed without being chosen"),
        (Less(), "chosen share"),
    ],
)
def test_a_broken_rule_breaks_its_check(noise, check, corpus, corrupt_with, broken, vocabulary):
    assert check in broken(noise_checks(noise, vocabulary), corrupt_with(noise, corpus))


def test_what_is_masked_is_not_ordinary_any_more(corpus, corrupt_with):
    before, after = corrupt_with(TokenMasking(0.3), corpus[:1])[0]
    masked = after.tokens != before.tokens
    assert masked.any() and not after.free[masked].any()
