"""What a selection chose, and which of it belongs together: a token, a word, a span."""

import dataclasses

import numpy as np

from fxformer.batch import Vocabulary
from fxformer.objective.law import Law
from fxformer.objective.pieces import Pieces


@dataclasses.dataclass(frozen=True)
class Chosen:
    """k chosen tokens in units of one or more neighbours; the tokens of a unit share one fate.

    index: [k] int64, ascending, where the tokens stand in their `Pieces`
    unit: [k] int64, the rank in its piece of the first token of the unit a token belongs to
    """

    index: np.ndarray
    unit: np.ndarray

    @classmethod
    def single(cls, pieces: Pieces, index: np.ndarray) -> "Chosen":
        """Every token a unit of its own."""
        return cls(index, pieces.ranks[index])

    def take(self, which: np.ndarray) -> "Chosen":
        """Those of the chosen for which `which` holds, or that it lists. [k] bool, or indices."""
        return Chosen(self.index[which], self.unit[which])

    def runs(self, pieces: Pieces) -> np.ndarray:
        """0, 0, 1 …: the number of each token's unit, counted over all pieces. [k] int64."""
        piece = pieces.piece[self.index]
        new = np.ones(len(self.index), bool)
        new[1:] = (piece[1:] != piece[:-1]) | (self.unit[1:] != self.unit[:-1])
        return np.cumsum(new) - 1


@dataclasses.dataclass(frozen=True)
class Fates:
    """The chosen tokens before and after, unit by unit.

    old, new: [k] int32; run: [k] int64, ascending, the unit of each
    """

    old: np.ndarray
    new: np.ndarray
    run: np.ndarray

    @property
    def first(self) -> np.ndarray:
        """The first token of each unit: one independent draw of the unit's fate. Indices."""
        return np.flatnonzero(np.diff(self.run, prepend=-1))


def fate_laws(vocabulary: Vocabulary) -> tuple[Law, ...]:
    """One fate for all tokens of a unit; measured between nothing of interest and `Fates`."""
    mask, number = vocabulary.mask, len(vocabulary.ordinary)

    def torn(_, fates: Fates) -> np.ndarray:
        masked = fates.new == mask
        return masked != masked[fates.first][fates.run]

    def kept(_, fates: Fates) -> np.ndarray:
        """(unchanged, all) later tokens of each unit whose first token was changed at random."""
        same = fates.new == fates.old
        random = (~same & (fates.new != mask))[fates.first]
        later = np.ones(len(fates.run), bool)
        later[fates.first] = False
        later &= random[fates.run]
        count = np.bincount(fates.run[later], minlength=len(random))
        part = np.bincount(fates.run[later & same], minlength=len(random))
        return np.stack([part, count], axis=1)[count > 0]

    return (
        Law("tokens masked unlike the rest of their unit", 0.0, torn, "exact"),
        Law(  # all words may be single tokens, as in Chinese
            "tokens kept in a unit replaced at random, by chance", 1 / number, kept, "rare", True
        ),
    )
