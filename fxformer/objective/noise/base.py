"""Base class of noises."""

import abc
from typing import ClassVar

from fxformer.batch import Vocabulary
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.pieces import Pieces


class Noise(abc.ABC):
    """pieces -> pieces; a frozen dataclass of knobs. Noises compose in any order.

    A noise never mixes two pieces, never moves a special token at either end of one, and draws
    only from the keys it is given (one for each piece).

    needs: the special tokens it puts in, by their names in `Vocabulary`
    """

    needs: ClassVar[tuple[str, ...]] = ()

    @abc.abstractmethod
    def __call__(self, pieces: Pieces, draws: CounterRNG, vocabulary: Vocabulary) -> Pieces:
        """The corrupted pieces, with `origin` pointing into the given ones."""

    def fill(self, size: int, vocabulary: Vocabulary) -> list[int] | None:
        """What it leaves in place of `size` neighbours that it hides; None if it hides none."""
        return None

    def growth(self, length: int) -> int:
        """Tokens by which a row of `length` may become longer; 0 for most noises."""
        return 0
