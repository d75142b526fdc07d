"""Sentence permutation: the sentences of a piece in random order."""

import dataclasses

import numpy as np

from fxformer.batch import Vocabulary
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.noise.base import Noise
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, numbered, order_within, ranks_of, smallest
from fxformer.types import Share


@dataclasses.dataclass(frozen=True)
class SentencePermutation(Noise):
    """ceil(share·s) of the s sentences of a piece change places at random.

    Lewis et al. 2020 (BART), sec. 2.2.
    Every order of the chosen sentences is equally likely, the old one included: a piece of two
    sentences stays as it is half of the time, one of s in 1/s! of the draws. A sentence ends after
    a token of `Vocabulary.ends_sentence`; without any, a piece is one sentence and stays.

    share: 1 permutes all sentences, as the paper does
    """

    share: Share = 1.0

    def __call__(self, pieces: Pieces, draws: CounterRNG, vocabulary: Vocabulary) -> Pieces:
        """The same tokens, whole sentences moved."""
        first, lengths, piece = sentences(pieces)
        ranks = ranks_of(piece, pieces.count)
        keys = draws.at(piece)
        number = np.ceil(self.share * counts_of(piece, pieces.count) - 1e-9).astype(np.int64)
        chosen = np.sort(smallest(piece, keys.bits("choose", ranks), number))
        lots = draws.at(piece[chosen]).bits("order", ranks[chosen])
        order = np.arange(len(first))
        order[chosen] = chosen[order_within(piece[chosen], lots)]
        return pieces.take(_gathered(pieces, first, lengths, order))


def sentences(pieces: Pieces) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(first token, length, piece) of each sentence, the special tokens at the ends left out."""
    new = np.zeros(len(pieces.tokens), bool)
    new[:1] = True
    for field in (pieces.piece, pieces.sentence, pieces.end):
        new[1:] |= field[1:] != field[:-1]
    first = np.flatnonzero(new)
    lengths = np.diff(np.append(first, len(new)))
    body = ~pieces.end[first]
    return first[body], lengths[body], pieces.piece[first[body]]


def _gathered(
    pieces: Pieces, first: np.ndarray, lengths: np.ndarray, order: np.ndarray
) -> np.ndarray:
    """The index of each token's source when the sentences come in this order. [n]."""
    index = np.arange(len(pieces.tokens))
    sentence, rank = numbered(lengths[order])
    index[~pieces.end] = first[order][sentence] + rank
    return index
