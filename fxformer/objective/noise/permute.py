"""Sentence permutation: the sentences of a piece in random order."""

import dataclasses
import math

import numpy as np

from fxformer.batch import Vocabulary
from fxformer.objective.counter_rng import Draws
from fxformer.objective.law import Law
from fxformer.objective.noise.base import Noise, complete, honest, unchanged
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

    def __call__(self, pieces: Pieces, draws: Draws, vocabulary: Vocabulary) -> Pieces:
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

    def laws(self, vocabulary: Vocabulary) -> tuple[Law, ...]:
        """Sentences stay whole, all are there, and their order is uniform."""
        laws = (
            *honest(),
            complete(),
            unchanged(),
            Law("neighbours parted inside a sentence", 0.0, _torn, "exact"),
        )
        if self.share < 1:
            return laws
        return (
            *laws,
            Law("pieces in their old order, beyond 1/s!", 0.0, _idle, "mean"),
            Law("place of the sentence that was first", 0.5, _first_place, "mean"),
        )


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


def _torn(before: Pieces, after: Pieces) -> np.ndarray:
    """Neighbours of one sentence that are neighbours no more."""
    place = np.zeros(len(before.tokens), np.int64)
    place[after.origin] = np.arange(len(after.origin))
    first, lengths, _ = sentences(before)
    sentence, rank = numbered(lengths)
    inner = (first[sentence] + rank)[rank > 0]
    return place[inner] != place[inner - 1] + 1


def _moved(before: Pieces, after: Pieces) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(sentences of each piece, whether any moved, place of its first one), for two or more."""
    first, _, piece = sentences(before)
    place = np.zeros(len(before.tokens), np.int64)
    place[after.origin] = np.arange(len(after.origin))
    number = counts_of(piece, before.count)
    order = np.lexsort((place[first], piece))
    moved = counts_of(piece, before.count, order != np.arange(len(first))) > 0
    now = np.argsort(order) - (np.cumsum(number) - number)[piece]
    lead = now[ranks_of(piece, before.count) == 0]
    several = number > 1
    return number[several], moved[several], lead[several[number > 0]]


def _idle(before: Pieces, after: Pieces) -> np.ndarray:
    number, moved, _ = _moved(before, after)
    chance = np.array([1 / math.factorial(min(int(count), 20)) for count in number])
    return ~moved - chance


def _first_place(before: Pieces, after: Pieces) -> np.ndarray:
    number, _, lead = _moved(before, after)
    return (lead + 0.5) / number
