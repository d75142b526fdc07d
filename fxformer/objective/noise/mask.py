"""Token masking: single tokens are replaced by the mask token."""

import dataclasses
from typing import cast

import numpy as np

from fxformer.batch import Vocabulary
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.masking.replacement import Replacement
from fxformer.objective.noise.base import Noise
from fxformer.objective.pieces import Pieces
from fxformer.types import Rate


@dataclasses.dataclass(frozen=True)
class TokenMasking(Noise):
    """Each ordinary token, with probability `rate`, becomes the mask. Lewis et al. 2020, sec. 2.2.

    replacement: what becomes of the chosen; all masks as in the paper unless said otherwise
    """

    rate: Rate = 0.15
    replacement: Replacement = Replacement(mask=1.0, random=0.0)
    needs = ("mask",)

    def __call__(self, pieces: Pieces, draws: CounterRNG, vocabulary: Vocabulary) -> Pieces:
        """The pieces with some tokens replaced; all keep their places."""
        free = np.flatnonzero(pieces.free)
        keys, ranks = draws.at(pieces.piece[free]), pieces.ranks[free]
        hit = keys.uniform("mask", ranks) < self.rate
        chosen, keys, ranks = free[hit], draws.at(pieces.piece[free[hit]]), ranks[hit]
        tokens = pieces.tokens.copy()
        tokens[chosen] = self.replacement(tokens[chosen], keys, ranks, vocabulary)
        still = pieces.free.copy()
        still[chosen] = False  # what one noise has replaced, the next leaves alone
        origin = np.arange(len(tokens))
        return dataclasses.replace(pieces, tokens=tokens, free=still, origin=origin)

    def fill(self, size: int, vocabulary: Vocabulary) -> list[int]:
        """A mask for each."""
        return [cast(int, vocabulary.mask)] * size
