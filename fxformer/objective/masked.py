"""Masked language modelling: hide some tokens, predict those from both sides."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar, Protocol

import numpy as np
from flax import nnx

from fxformer.batch import Batch, Limit, Rows, Vocabulary
from fxformer.objective.base import Objective
from fxformer.objective.counter_rng import Draws
from fxformer.objective.infilling import Hole, Question
from fxformer.objective.law import Law, once
from fxformer.objective.masking.replacement import Replacement
from fxformer.objective.masking.selected import Chosen, Fates, fate_laws
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

    def __call__(self, pieces: Pieces, draws: Draws) -> Chosen:
        """The chosen tokens, and which of them belong together."""
        ...

    def capacity(self, length: int) -> int:
        """Targets a row of `length` tokens has room for."""
        ...

    def limit(self, length: int) -> Limit:
        """What a packed row of `length` tokens can hold of them, so that all have room."""
        ...

    def laws(self) -> tuple[Law, ...]:
        """Measured between pieces and what was chosen of them."""
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

    def questions(self, hole: Hole) -> list[Question]:
        """One row a token: those before it given, it and those after it in the hole masked.

        By the chain rule a probability of the hole, given how many tokens it has (Wang and Cho
        2019 read a masked LM so); for a hole of one token, what a pseudo-likelihood sums.
        """
        first, last = len(hole.left), len(hole.left) + len(hole.middle)
        rows = []
        for place in range(first, last):
            tokens = hole.text
            tokens[place:last] = self.vocabulary.mask
            rows.append(Question(tokens, hole.text, np.array([place])))
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

    def laws(self) -> tuple[Law, ...]:
        """The selection's, the replacement's, and what the batch must and must not touch."""
        untouched = self._view(lambda seen: (seen.before, seen))
        chosen = once(self._chosen)
        return (
            *(law.through(chosen) for law in self.selection.laws()),
            *(law.through(self._swapped) for law in self.replacement.laws(self.vocabulary)),
            *self._unit_laws(),
            Law("tokens changed without being selected", 0.0, _strays, "exact").through(untouched),
            Law("special tokens or padding selected", 0.0, _forbidden, "exact").through(untouched),
            Law("targets other than the original", 0.0, _wrong, "exact").through(untouched),
        )

    def _unit_laws(self) -> tuple[Law, ...]:
        """Only where a unit can have more than one token is there something to hold."""
        if self.selection.single:
            return ()
        return tuple(law.through(self._fates) for law in fate_laws(self.vocabulary))

    def _chosen(self, rows: Rows, batch: Batch) -> tuple[Pieces, Chosen]:
        """What the batch says is selected, in the units the selection gives it."""
        seen = Seen.of(rows, batch, self.vocabulary)
        pieces, index = seen.pieces, np.flatnonzero(seen.selected[rows.segments > 0])
        drawn = self.selection(pieces, pieces.draws(rows.seed, rows.epoch))
        unit = pieces.ranks
        unit[drawn.index] = drawn.unit
        return pieces, Chosen(index, unit[index])

    def _fates(self, rows: Rows, batch: Batch) -> tuple[Rows, Fates]:
        pieces, chosen = self._chosen(rows, batch)
        place = np.flatnonzero(rows.segments)[chosen.index]
        old, new = rows.tokens.reshape(-1)[place], batch.tokens.reshape(-1)[place]
        return rows, Fates(old, new, chosen.runs(pieces))

    def _swapped(self, rows: Rows, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """One token of each unit, as it was and as it is: independent draws."""
        fates = self._fates(rows, batch)[1]
        return fates.old[fates.first], fates.new[fates.first]

    def _view(self, look: Callable[["Seen"], tuple]) -> Callable[[Rows, Batch], tuple]:
        return lambda rows, batch: look(Seen.of(rows, batch, self.vocabulary))


@dataclasses.dataclass(frozen=True)
class Seen:
    """A batch as an outsider sees it: only what it says to be a target counts as selected."""

    before: Rows
    after: Batch
    pieces: Pieces
    selected: np.ndarray  # [B, T] bool

    @classmethod
    def of(cls, rows: Rows, batch: Batch, vocabulary: Vocabulary) -> "Seen":
        """Read `selected` off the picked positions of weight > 0."""
        selected = np.zeros(rows.tokens.shape, bool)
        row, slot = np.nonzero(batch.weights)
        selected[row, batch.picked[row, slot]] = True
        return cls(rows, batch, pieces_of(rows, vocabulary), selected)


def _strays(rows: Rows, seen: Seen) -> np.ndarray:
    return (seen.after.tokens != rows.tokens)[~seen.selected]


def _forbidden(rows: Rows, seen: Seen) -> np.ndarray:
    allowed = np.zeros(rows.tokens.shape, bool)
    allowed[rows.segments > 0] = seen.pieces.free
    return seen.selected[~allowed]


def _wrong(rows: Rows, seen: Seen) -> np.ndarray:
    """Targets that count and differ from the token that stood there, or are listed twice."""
    row, slot = np.nonzero(seen.after.weights)
    column = seen.after.picked[row, slot]
    wrong = seen.after.targets[row, slot] != rows.tokens[row, column]
    return np.append(wrong, len(row) != np.count_nonzero(seen.selected))


def _slots(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Empty (picked, targets, weights) [height, width]."""
    shape = (height, width)
    return np.zeros(shape, np.int32), np.zeros(shape, np.int32), np.zeros(shape, np.float32)
