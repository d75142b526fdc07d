"""Masked language modelling: predict masked tokens from both sides (BERT)."""

from typing import ClassVar, Protocol

import numpy as np
from flax import nnx

from fxformer.batch import Batch, Limit, Rows, Vocabulary
from fxformer.objective.base import Objective
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.infilling import InfillExample, ScoringRequest
from fxformer.objective.masking.replacement import Replacement
from fxformer.objective.masking.selected import Chosen
from fxformer.objective.masking.tokens import Independent
from fxformer.objective.pieces import Pieces, pieces_of
from fxformer.objective.segments import counts_of, numbered, ranks_of
from fxformer.ops.cross_entropy import CrossEntropy
from fxformer.types import Part


class Selection(Protocol):
    """Chooses the tokens to predict.

    single: every unit is one token
    """

    single: ClassVar[bool]

    def __call__(self, pieces: Pieces, draws: CounterRNG) -> Chosen:
        """The chosen tokens, and which of them belong together."""
        ...

    def capacity(self, length: int) -> int:
        """Targets a row of `length` tokens has room for."""
        ...

    def limit(self, length: int) -> Limit:
        """What a packed row of `length` tokens can hold of them, so that all have room."""
        ...


class MaskedLM(Objective):
    """-log p(token | the rest of its piece) for the selected tokens. Devlin et al. 2019 (BERT).

    A fresh draw every epoch (Liu et al. 2019, sec. 4.1); special tokens and padding are never
    selected. What becomes of the selected is decided once for each unit of the selection (a token,
    a word, a span).

    The batch lists the selected positions in `picked` [B, M], so the head runs at those only; M is
    `selection.capacity(T)`, and rows are packed so that they keep to it (`limits`). Should a row
    ever have more, the last units are not selected after all:
    they stay as they were and `tally` counts their tokens ("masked LM targets without room").
    """

    legal = frozenset({"encoder"})
    needs = ("mask",)

    def __init__(
        self,
        model: Part,
        *,
        selection: Selection = Independent(),
        replacement: Replacement = Replacement(),
        loss: CrossEntropy = CrossEntropy(),
        vocabulary: Vocabulary,
        rngs: nnx.Rngs,
    ):
        super().__init__(model, loss=loss, vocabulary=vocabulary, rngs=rngs)
        self.selection = selection
        self.replacement = replacement

    def limits(self, width: int) -> tuple[Limit, ...]:
        """Places for targets in rows of `width`."""
        return (self.selection.limit(width),)

    def corrupt(self, rows: Rows) -> Batch:
        """rows [B, T] -> tokens, segments [B, T]; picked, targets, weights [B, M]."""
        pieces = pieces_of(self.accept(rows), self.vocabulary)
        draws = pieces.draws(rows.seed, rows.epoch)
        height, width = rows.tokens.shape
        chosen = self._with_room(pieces, self.selection(pieces, draws), height, width)
        piece, ranks = pieces.piece[chosen.index], pieces.ranks[chosen.index]
        place, old = np.flatnonzero(rows.segments)[chosen.index], pieces.tokens[chosen.index]
        tokens = rows.tokens.astype(np.int32)  # a copy
        tokens.reshape(-1)[place] = self.replacement(
            old, draws.at(piece), ranks, self.vocabulary, chosen.unit
        )
        row, slot = numbered(counts_of(place // width, height))
        picked, targets, weights = _slots(height, self.selection.capacity(width))
        picked[row, slot] = place % width
        targets[row, slot] = old
        weights[row, slot] = 1
        return Batch(tokens, rows.segments, targets, weights, picked)

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

    def _with_room(self, pieces: Pieces, chosen: Chosen, height: int, width: int) -> Chosen:
        """The chosen tokens less those units that go beyond the capacity of their row."""
        row = pieces.row[pieces.piece[chosen.index]]
        fits = ranks_of(row, height) < self.selection.capacity(width)
        if fits.all():
            return chosen
        run = chosen.runs(pieces)
        fits = (np.bincount(run, weights=~fits) == 0)[run]
        self.tally.add("masked LM targets without room", np.count_nonzero(~fits))
        return chosen.take(fits)


def _slots(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Empty (picked, targets, weights) [height, width]."""
    shape = (height, width)
    return np.zeros(shape, np.int32), np.zeros(shape, np.int32), np.zeros(shape, np.float32)
