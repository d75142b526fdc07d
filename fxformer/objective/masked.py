"""Masked language modelling: hide some tokens, predict those from both sides."""

import dataclasses
from collections.abc import Callable
from typing import Protocol

import numpy as np
from flax import nnx

from fxformer.batch import Batch, Rows, Vocabulary
from fxformer.objective.base import Objective
from fxformer.objective.draw import Draws
from fxformer.objective.law import Law
from fxformer.objective.loss import CrossEntropy
from fxformer.objective.pieces import Pieces, pieces_of
from fxformer.objective.replace import Replacement
from fxformer.objective.segments import counts_of, numbered, ranks_of
from fxformer.objective.select import Independent
from fxformer.types import Part


class Selection(Protocol):
    """Chooses the tokens to predict."""

    def __call__(self, pieces: Pieces, draws: Draws) -> np.ndarray:
        """Indices of the chosen tokens, ascending. [k] int64."""

    def capacity(self, length: int) -> int:
        """Targets a row of `length` tokens has room for."""

    def laws(self) -> tuple[Law, ...]:
        """Measured between pieces and the indices chosen of them."""


class MaskedLM(Objective):
    """-log p(token | the rest of its piece) for the selected tokens. Devlin et al. 2019 (BERT).

    A fresh draw every epoch (Liu et al. 2019, sec. 4.1); special tokens and padding are never
    selected. The batch lists the selected positions in `picked` [B, M], so the head runs at those
    only; M is `selection.capacity(T)`. Should a row ever have more, the last ones are not selected
    after all: they stay as they were and `tally` counts them ("masked LM targets without room").
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

    def corrupt(self, rows: Rows) -> Batch:
        """rows [B, T] -> tokens, segments [B, T]; picked, targets, weights [B, M]."""
        pieces = pieces_of(self.accept(rows), self.vocabulary)
        draws = pieces.draws(rows.seed, rows.epoch)
        height, width = rows.tokens.shape
        chosen = self._with_room(pieces, self.selection(pieces, draws), height, width)
        piece, ranks = pieces.piece[chosen], pieces.ranks[chosen]
        place = np.flatnonzero(rows.segments)[chosen]
        tokens = rows.tokens.astype(np.int32)  # a copy
        tokens.reshape(-1)[place] = self.replacement(
            pieces.tokens[chosen], draws.at(piece), ranks, self.vocabulary
        )
        row, slot = numbered(counts_of(place // width, height))
        picked, targets, weights = _slots(height, self.selection.capacity(width))
        picked[row, slot] = place % width
        targets[row, slot] = pieces.tokens[chosen]
        weights[row, slot] = 1
        return Batch(tokens, rows.segments, targets, weights, picked)

    def _with_room(self, pieces: Pieces, chosen: np.ndarray, height: int, width: int) -> np.ndarray:
        """The chosen tokens less those beyond the capacity of their row."""
        row = pieces.row[pieces.piece[chosen]]
        fits = ranks_of(row, height) < self.selection.capacity(width)
        self.tally.add("masked LM targets without room", np.count_nonzero(~fits))
        return chosen[fits]

    def laws(self) -> tuple[Law, ...]:
        """The selection's, the replacement's, and what the batch must and must not touch."""
        chosen, swapped = self._view(_chosen), self._view(_swapped)
        untouched = self._view(lambda seen: (seen.before, seen))
        return (
            *(law.through(chosen) for law in self.selection.laws()),
            *(law.through(swapped) for law in self.replacement.laws(self.vocabulary)),
            Law("tokens changed without being selected", 0.0, _strays, "exact").through(untouched),
            Law("special tokens or padding selected", 0.0, _forbidden, "exact").through(untouched),
            Law("targets other than the original", 0.0, _wrong, "exact").through(untouched),
        )

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


def _chosen(seen: Seen) -> tuple[Pieces, np.ndarray]:
    return seen.pieces, np.flatnonzero(seen.selected[seen.before.segments > 0])


def _swapped(seen: Seen) -> tuple[np.ndarray, np.ndarray]:
    return seen.before.tokens[seen.selected], seen.after.tokens[seen.selected]


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
