"""Sentence order prediction (ALBERT): do the two texts stand in their order?"""

import numpy as np

from fxformer.batch import Batch, Pairs, Rows
from fxformer.objective.law import Law
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, starts_of
from fxformer.objective.sentence_law import roles, unhidden, wrong_tokens
from fxformer.objective.sentence_pairs import SentencePairLM


class SentenceOrder(SentencePairLM):
    """A wrong pair is `[bos] B [eos] A [eos]`. Lan et al. 2020, sec. 3.1: topic tells nothing."""

    def spoilt(self, pieces: Pieces, pairs: Pairs, wrong: np.ndarray) -> tuple:
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

    def wrong_laws(self) -> tuple[Law, ...]:
        """The texts are those of the piece, in the order that the class says."""

        def disordered(rows: Rows, batch: Batch) -> np.ndarray:
            here = rows.segments > 0
            wrong = wrong_tokens(rows, batch, self.vocabulary)[here]
            role = roles(rows, self.vocabulary)
            order = np.where(wrong, np.array([0, 3, 2, 1, 4])[role], role)
            piece = np.cumsum(role == 0)
            right = rows.tokens[here][np.lexsort((order, piece))]
            return unhidden(batch)[here] != right

        return (Law("texts in another order than their class says", 0.0, disordered, "exact"),)
