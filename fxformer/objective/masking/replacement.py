"""What stands where a chosen token stood: the mask, a random token, or itself."""

import dataclasses
from typing import cast

import numpy as np

from fxformer.batch import Vocabulary
from fxformer.errors import UserError
from fxformer.objective.counter_rng import Draws
from fxformer.objective.law import Law
from fxformer.types import Share

CELLS = 32  # classes for the uniformity of the random tokens


@dataclasses.dataclass(frozen=True)
class Replacement:
    """`mask` of the chosen become the mask token, `random` a uniform ordinary token, the rest stay.

    Devlin et al. 2019, sec. 3.1: 80 %, 10 %, 10 %. A random token may be the one that was there.
    """

    mask: Share = 0.8
    random: Share = 0.1

    def __post_init__(self):
        if self.mask + self.random > 1 + 1e-9:
            raise UserError(
                f"replacement.mask {self.mask} + replacement.random {self.random} = "
                f"{self.mask + self.random:g} is more than all the chosen tokens; what the two "
                "leave of 1 stays as it was"
            )

    def __call__(
        self,
        tokens: np.ndarray,
        draws: Draws,
        ranks: np.ndarray,
        vocabulary: Vocabulary,
        units: np.ndarray | None = None,
    ) -> np.ndarray:
        """tokens [k], the keys of their pieces [k], their positions in them [k] -> [k] int32.

        units: [k], tokens of a piece with the same number have one fate; None: each its own
        """
        ordinary = vocabulary.ordinary
        lot = draws.uniform("replace", ranks if units is None else units)
        other = ordinary[draws.below("random token", len(ordinary), ranks)]
        shown = np.where(lot < self.mask + self.random, other, tokens)
        return np.where(lot < self.mask, cast(int, vocabulary.mask), shown).astype(np.int32)

    def laws(self, vocabulary: Vocabulary) -> tuple[Law, ...]:
        """Measured between the chosen tokens as they were and as they are. [k] each."""
        number = len(vocabulary.ordinary)
        kept = 1 - self.mask - self.random + self.random / number
        shares = (self.mask, self.random * (1 - 1 / number), max(kept, 0.0))
        rank = np.full(vocabulary.size, -1)
        rank[vocabulary.ordinary] = np.arange(number)

        def split(old: np.ndarray, new: np.ndarray) -> np.ndarray:
            masked, same = new == vocabulary.mask, new == old
            return np.array([masked.sum(), (~masked & ~same).sum(), same.sum()])

        def specials(old: np.ndarray, new: np.ndarray) -> np.ndarray:
            return vocabulary.special[new] & (new != vocabulary.mask)

        def places(old: np.ndarray, new: np.ndarray) -> np.ndarray:
            moved = (new != old) & (rank[new] >= 0) & (rank[old] >= 0)
            place = rank[new[moved]] - (rank[new] > rank[old])[moved]  # among the other number - 1
            return np.bincount(place * cells // max(number - 1, 1), minlength=cells)

        cells = max(min(CELLS, number - 1), 1)
        edges = np.bincount(np.arange(number - 1) * cells // max(number - 1, 1), minlength=cells)
        uniform = tuple(float(edge) / max(number - 1, 1) for edge in edges)
        laws = (
            Law("masked, random and kept shares of the selected", shares, split, "shares"),
            Law("special tokens put in as random ones", 0.0, specials, "exact"),
        )
        if not self.random or number < 3:
            return laws
        return (*laws, Law("random tokens, uniform over the ordinary", uniform, places, "shares"))
