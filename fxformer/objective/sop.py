"""Sentence order prediction (ALBERT): whether two texts are in their original order."""

import numpy as np

from fxformer.batch import Pairs
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, starts_of
from fxformer.objective.sentence_pairs import SentencePairLM


class SentenceOrder(SentencePairLM):
    """A wrong pair is `[bos] B [eos] A [eos]`. Lan et al. 2020, sec. 3.1: topic tells nothing."""

    def with_wrong_pairs(self, pieces: Pieces, pairs: Pairs, wrong: np.ndarray) -> tuple:
        types = pairs.types[pairs.documents >= 0]
        piece, rank, length = pieces.piece, pieces.ranks, pieces.lengths
        second = counts_of(piece, pieces.count, types == 1)
        a, b = (length - second - 2)[piece], (second - 1)[piece]
        last = length[piece] - 1
        moved = np.select(
            [rank == 0, rank <= b, rank == b + 1, rank < last],
            [rank, rank + a + 1, a + 1, rank - b - 1],
            rank,
        )
        turned = wrong[piece]
        origin = starts_of(length)[piece] + np.where(turned, moved, rank)
        return pieces.tokens[origin], np.where(turned, rank > b + 1, types).astype(np.int32)
