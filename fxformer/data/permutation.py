"""Keyed permutations of 0 … n - 1, computed index by index: a shuffle without a list."""

import dataclasses
import functools

import numpy as np

from fxformer.objective.counter_rng import chain, stream_word

ROUNDS = 12  # of 4 that are needed for large n (Luby & Rackoff 1988); more, for small n


@dataclasses.dataclass(frozen=True)
class Permutation:
    """A bijection of 0 … size - 1, chosen by (seed, epoch): place in the order -> index.

    A Feistel network over the smallest power of two that holds `size` (Luby & Rackoff 1988, "How to
    construct pseudorandom permutations from pseudorandom functions"), whose results outside are
    encrypted again until they are inside: cycle walking (Black & Rogaway 2002, "Ciphers with
    arbitrary finite domains"). It needs no memory, and fewer than two evaluations per index on
    average. The round function is `chain` of objective/counter_rng.py: statistically good, and no
    cryptography.

    size: at least 1, at most 2**62
    """

    size: int
    seed: int
    epoch: int = 0

    def __call__(self, place: np.ndarray) -> np.ndarray:
        """Indices at these places. place: int64, any shape, values in 0 … size - 1; int64."""
        place = np.asarray(place, np.int64)
        if place.size and not 0 <= place.min() <= place.max() < self.size:
            raise IndexError(f"places {place.min()} … {place.max()} of {self.size}")
        found = self._encrypt(place.ravel().astype(np.uint64))
        while len(outside := np.flatnonzero(found >= self.size)):
            found[outside] = self._encrypt(found[outside])
        return found.astype(np.int64).reshape(place.shape)

    @functools.cached_property
    def _halves(self) -> tuple[int, int]:
        """Bits of the left and of the right half of a word, at least one each."""
        bits = max((self.size - 1).bit_length(), 2)
        return bits // 2, bits - bits // 2

    @functools.cached_property
    def _keys(self) -> np.ndarray:
        """[ROUNDS] uint64."""
        start = chain(np.uint64(stream_word("row order")), np.int64(self.seed))
        return chain(chain(start, np.int64(self.epoch)), np.arange(ROUNDS))

    def _encrypt(self, words: np.ndarray) -> np.ndarray:
        """A bijection of words of so many bits. [n] uint64."""
        left_bits, right_bits = (np.uint64(bits) for bits in self._halves)
        one = np.uint64(1)
        left, right = words >> right_bits, words & ((one << right_bits) - one)
        for key in self._keys:
            mask = (one << left_bits) - one
            left, right = right, left ^ (chain(key, right) & mask)
            left_bits, right_bits = right_bits, left_bits
        return (left << right_bits) | right
