"""Base class of maskings whose tokens a decoder generates, and the spans they form."""

import abc
import dataclasses

import numpy as np

from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of


@dataclasses.dataclass(frozen=True)
class Hidden:
    """k hidden tokens in spans, each of ordinary tokens that follow one another in their piece.

    index: [k] int64, ascending, where they stand in their `Pieces`
    span: [k] int64, which span of its piece each belongs to: 0, 1, 2 …
    kind: [P] int64, which of several ways of hiding each piece was given; None: there is but one
    """

    index: np.ndarray
    span: np.ndarray
    kind: np.ndarray | None = None

    def take(self, which: np.ndarray, place: np.ndarray) -> "Hidden":
        """Those for which `which` holds; place: [n], where the tokens of the pieces now stand."""
        return Hidden(place[self.index[which]], self.span[which], self.kind)

    def number(self, pieces: Pieces) -> np.ndarray:
        """Spans of each piece. [P] int64."""
        return counts_of(pieces.piece[self.index], pieces.count, self.begins(pieces))

    def begins(self, pieces: Pieces) -> np.ndarray:
        """Whether a hidden token is the first of its span. [k] bool."""
        piece = pieces.piece[self.index]
        new = np.ones(len(self.index), bool)
        new[1:] = (piece[1:] != piece[:-1]) | (self.span[1:] != self.span[:-1])
        return new


class Hiding(abc.ABC):
    """Chooses the tokens to hide."""

    @abc.abstractmethod
    def __call__(self, pieces: Pieces, draws: CounterRNG) -> Hidden:
        """The hidden tokens."""

    @abc.abstractmethod
    def most(self, length: int) -> tuple[int, int]:
        """(tokens, spans) that a piece of `length` ordinary tokens can have hidden."""

    def room(self, length: int, shortest: int, marks: int) -> int:
        """Places that targets of a row of `length` tokens need, if no piece is below `shortest`.

        A piece of s tokens has a target of n(s) = tokens + marks · (spans + 1) + 1 (eos) at most,
        so a row full of pieces has at most length · max n(s) / s, over s = shortest … length.
        """
        sizes = range(max(shortest, 1), length + 1)
        most = (self.most(size) for size in sizes)
        needs = (tokens + marks * (spans + 1) + 1 for tokens, spans in most)
        both = zip(sizes, needs, strict=True)
        return max((length * need // size for size, need in both), default=0)

    def needs(self, sizes: np.ndarray, marks: int) -> np.ndarray:
        """Places that the targets of pieces of so many ordinary tokens take, special tokens that
        close a text aside; see `room`. int64."""
        top = int(np.max(sizes, initial=0)) + 1
        table = np.array([n + marks * (spans + 1) for n, spans in map(self.most, range(top))])
        return table[sizes]
