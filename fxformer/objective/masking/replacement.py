"""Replacement of a masked token: the mask, a random token, or itself (80/10/10)."""

import dataclasses
from typing import cast

import numpy as np

from fxformer.batch import Vocabulary
from fxformer.errors import UserError
from fxformer.objective.counter_rng import CounterRNG
from fxformer.types import Share


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
        draws: CounterRNG,
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
