"""Document rotation: a piece begins at a random token and continues with its beginning."""

import dataclasses

import numpy as np

from fxformer.batch import Vocabulary
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.noise.base import Noise
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, ranks_of
from fxformer.types import Share


@dataclasses.dataclass(frozen=True)
class DocumentRotation(Noise):
    """A piece begins at a token chosen uniformly and goes round. Lewis et al. 2020, sec. 2.2.

    The special tokens at the ends stay; of the m tokens between them each is equally likely to
    come first, the one that was first included.

    share: how many of the pieces are rotated; 1 in the paper
    """

    share: Share = 1.0

    def __call__(self, pieces: Pieces, draws: CounterRNG, vocabulary: Vocabulary) -> Pieces:
        """The same tokens, in cyclic order."""
        body = np.flatnonzero(~pieces.end)
        piece = pieces.piece[body]
        lengths = counts_of(piece, pieces.count)
        turn = np.where(draws.uniform("whether") < self.share, draws.below("turn", lengths), 0)
        rank = ranks_of(piece, pieces.count)
        index = np.arange(len(pieces.tokens))
        there = (rank + turn[piece]) % np.maximum(lengths, 1)[piece]
        index[body] = body[np.arange(len(body)) - rank + there]
        return pieces.take(index)
