"""Maskings: which tokens of a text are masked, and in which spans.

A masking selects; what becomes of the selected is decided elsewhere: a `Replacement` in place
(masked language models), or the source and the target that a decoder generates (span corruption).
"""

import abc
import dataclasses
from typing import ClassVar

import numpy as np

from fxformer.batch import Limit
from fxformer.errors import UserError
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, ranks_of


@dataclasses.dataclass(frozen=True)
class Masked:
    """k masked tokens in spans of one or more neighbours, each within its piece.

    index: [k] int64, ascending, where they stand in their `Pieces`
    span: [k] int64, which span of its piece each belongs to: 0, 1, 2 …
    kind: [P] int64, by which of several maskings each piece was masked; None: there is but one
    """

    index: np.ndarray
    span: np.ndarray
    kind: np.ndarray | None = None

    @classmethod
    def single(cls, pieces: Pieces, index: np.ndarray) -> "Masked":
        """Every token a span of its own."""
        return cls(index, ranks_of(pieces.piece[index], pieces.count))

    def take(self, which: np.ndarray, place: np.ndarray | None = None) -> "Masked":
        """Those for which `which` holds, or that it lists. [k] bool, or indices.

        place: [n], where the tokens of the pieces now stand; None: where they stood
        """
        index = self.index[which]
        return Masked(index if place is None else place[index], self.span[which], self.kind)

    def number(self, pieces: Pieces) -> np.ndarray:
        """Spans of each piece. [P] int64."""
        return counts_of(pieces.piece[self.index], pieces.count, self.begins(pieces))

    def begins(self, pieces: Pieces) -> np.ndarray:
        """Whether a masked token is the first of its span. [k] bool."""
        piece = pieces.piece[self.index]
        new = np.ones(len(self.index), bool)
        new[1:] = (piece[1:] != piece[:-1]) | (self.span[1:] != self.span[:-1])
        return new

    def runs(self, pieces: Pieces) -> np.ndarray:
        """0, 0, 1 …: the number of each token's span, counted over all pieces. [k] int64."""
        return np.cumsum(self.begins(pieces)) - 1

    def first_ranks(self, pieces: Pieces) -> np.ndarray:
        """The rank in its piece of the first token of the span that each belongs to. [k] int64."""
        first = self.index[self.begins(pieces)]
        return pieces.ranks[first][self.runs(pieces)]


class Masking(abc.ABC):
    """Selects the tokens to mask."""

    @abc.abstractmethod
    def __call__(self, pieces: Pieces, draws: CounterRNG) -> Masked:
        """The masked tokens."""


class EncoderMasking(Masking):
    """A masking whose tokens an encoder predicts where they stand (masked language models).

    single: every span is one token
    """

    single: ClassVar[bool] = False

    @abc.abstractmethod
    def capacity(self, length: int) -> int:
        """Targets a row of `length` tokens has room for."""

    @abc.abstractmethod
    def limit(self, length: int) -> Limit:
        """What a packed row of `length` tokens can hold of them, so that all have room."""


class Seq2SeqMasking(Masking):
    """A masking whose tokens a decoder generates (span corruption)."""

    @abc.abstractmethod
    def most(self, length: int) -> tuple[int, int]:
        """(tokens, spans) that a piece of `length` ordinary tokens can have masked."""

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


OPTIONS = {  # of conf/objective/masking
    EncoderMasking: "exact, iid, words, word_spans or ngrams",
    Seq2SeqMasking: "random_spans or random_tokens",
}


def check_masking(masking: Masking, kind: type[Masking], objective: str) -> None:
    """UserError for a masking of another kind than an objective reads."""
    if not isinstance(masking, kind):
        raise UserError(
            f"objective.masking: {objective} needs the kind {kind.__name__}, got "
            f"{type(masking).__name__}; write objective/masking={OPTIONS[kind]}"
        )
