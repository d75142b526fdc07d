"""Masked language modelling: predict masked tokens from both sides (BERT)."""

import numpy as np
from flax import nnx

from fxformer.batch import Batch, Limit, Rows, Vocabulary
from fxformer.objective.base import Objective
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.infilling import InfillExample, ScoringRequest
from fxformer.objective.masking.base import EncoderMasking, Masked, check_masking
from fxformer.objective.masking.replacement import Replacement
from fxformer.objective.masking.tokens import Independent
from fxformer.objective.pieces import Pieces, pieces_of
from fxformer.objective.segments import counts_of, numbered, ranks_of
from fxformer.ops.cross_entropy import CrossEntropy
from fxformer.types import Part


class MaskedLM(Objective):
    """-log p(token | the rest of its piece) for the masked tokens. Devlin et al. 2019 (BERT).

    A fresh draw every epoch (dynamic masks, Liu et al. 2019, sec. 4.1); without `resample` every
    epoch has the masks of the first (static ones). Special tokens and padding are never masked.
    What becomes of the masked is decided once for each span of the masking (a token, a
    word, several words).

    The batch lists the masked positions in `picked` [B, M], so the head runs at those only; M is
    `masking.capacity(T)`, and rows are packed so that they keep to it (`limits`). Should a row
    ever have more, the last spans are not masked after all:
    they stay as they were and `tally` counts their tokens ("masked LM targets without room").
    """

    legal = frozenset({"encoder"})
    needs = ("mask",)

    def __init__(
        self,
        model: Part,
        *,
        masking: EncoderMasking = Independent(),
        replacement: Replacement = Replacement(),
        resample: bool = True,
        loss: CrossEntropy = CrossEntropy(),
        vocabulary: Vocabulary,
        rngs: nnx.Rngs,
    ):
        check_masking(masking, EncoderMasking, type(self).__name__)
        super().__init__(model, loss=loss, vocabulary=vocabulary, rngs=rngs)
        self.masking = masking
        self.replacement = replacement
        self.resample = resample

    def limits(self, width: int) -> tuple[Limit, ...]:
        """Places for targets in rows of `width`."""
        return (self.masking.limit(width),)

    def corrupt(self, rows: Rows) -> Batch:
        """rows [B, T] -> tokens, segments [B, T]; picked, targets, weights [B, M]."""
        pieces = pieces_of(self.accept(rows), self.vocabulary)
        draws = self.mask_draws(pieces, rows)
        height, width = rows.tokens.shape
        masked = self._with_room(pieces, self.masking(pieces, draws), height, width)
        piece, ranks = pieces.piece[masked.index], pieces.ranks[masked.index]
        place, old = np.flatnonzero(rows.segments)[masked.index], pieces.tokens[masked.index]
        tokens = rows.tokens.astype(np.int32)  # a copy
        tokens.reshape(-1)[place] = self.replacement(
            old, draws.at(piece), ranks, self.vocabulary, masked.first_ranks(pieces)
        )
        row, slot = numbered(counts_of(place // width, height))
        picked, targets, weights = _slots(height, self.masking.capacity(width))
        picked[row, slot] = place % width
        targets[row, slot] = old
        weights[row, slot] = 1
        return Batch(tokens, rows.segments, targets, weights, picked)

    def mask_draws(self, pieces: Pieces, rows: Rows) -> CounterRNG:
        """The draws of the masks of an epoch; of the first in every one without `resample`."""
        return pieces.draws(rows.seed, rows.epoch if self.resample else 0)

    def scoring_requests(self, example: InfillExample) -> list[ScoringRequest]:
        """One row a token: those before it given, it and those after it in the example masked.

        By the chain rule a probability of the example, given how many tokens it has (Wang and Cho
        2019 read a masked LM so); for a example of one token, what a pseudo-likelihood sums.
        """
        first, last = len(example.left), len(example.left) + len(example.middle)
        rows = []
        for place in range(first, last):
            tokens = example.text
            tokens[place:last] = self.vocabulary.mask
            rows.append(ScoringRequest(tokens, example.text, np.array([place])))
        return rows

    def _with_room(self, pieces: Pieces, masked: Masked, height: int, width: int) -> Masked:
        """The masked tokens less those spans that go beyond the capacity of their row."""
        row = pieces.row[pieces.piece[masked.index]]
        fits = ranks_of(row, height) < self.masking.capacity(width)
        if fits.all():
            return masked
        run = masked.runs(pieces)
        fits = (np.bincount(run, weights=~fits) == 0)[run]
        self.tally.add("masked LM targets without room", np.count_nonzero(~fits))
        return masked.take(fits)


def _slots(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Empty (picked, targets, weights) [height, width]."""
    shape = (height, width)
    return np.zeros(shape, np.int32), np.zeros(shape, np.int32), np.zeros(shape, np.float32)
