"""80/10/10: the shares, uniform random tokens, and how each can be broken."""

import numpy as np
import pytest

from fxformer.evaluate.audit.checks.masked import replacement_checks
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.masking.replacement import Replacement

MANY = 150_000


class AllMasks(Replacement):
    def __call__(self, tokens, draws, ranks, vocabulary):
        return np.full_like(tokens, vocabulary.mask)


class SmallWords(Replacement):
    """Broken: random tokens from the lower half of the vocabulary."""

    def __call__(self, tokens, draws, ranks, vocabulary):
        new = super().__call__(tokens, draws, ranks, vocabulary)
        return np.where((new != tokens) & (new > 100), new - 95, new)


class AnyWords(Replacement):
    """Broken: random tokens from the whole vocabulary, specials included."""

    def __call__(self, tokens, draws, ranks, vocabulary):
        new = super().__call__(tokens, draws, ranks, vocabulary)
        return np.where((new != tokens) & (new > vocabulary.mask), new - 5, new)


def swapped(replacement, vocabulary):
    draws = CounterRNG.of(0, 0, np.arange(MANY) // 50)
    ranks = np.arange(MANY) % 50
    tokens = np.random.default_rng(0).integers(5, 200, MANY).astype(np.int32)
    return [(tokens, replacement(tokens, draws, ranks, vocabulary))]


@pytest.mark.parametrize("shares", [(0.8, 0.1), (1.0, 0.0), (0.0, 1.0), (0.5, 0.0), (0.0, 0.0)])
def test_the_checks_hold(shares, vocabulary, broken):
    replacement = Replacement(*shares)
    assert (
        broken(replacement_checks(replacement, vocabulary), swapped(replacement, vocabulary))
        == set()
    )


@pytest.mark.parametrize(
    "replacement, check",
    [
        (AllMasks(), "masked, random and kept shares of the selected"),
        (SmallWords(), "random tokens, uniform over the ordinary"),
        (AnyWords(), "special tokens put in as random ones"),
    ],
)
def test_a_broken_rule_breaks_its_check(replacement, check, vocabulary, broken):
    assert check in broken(
        replacement_checks(replacement, vocabulary), swapped(replacement, vocabulary)
    )


def test_more_than_everything_is_refused():
    with pytest.raises(ValueError, match=r"0.8 \+ replacement.random 0.3 = 1.1"):
        Replacement(0.8, 0.3)
