"""A batch of packed rows as one flat, ragged array: what the noises read and return."""

import dataclasses
import functools

import numpy as np

from fxformer.batch import Rows, Vocabulary
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.segments import counts_of, numbered, ranks_of, sums_before
from fxformer.segmentation import begins_word, ends_sentence


@dataclasses.dataclass(frozen=True)
class Pieces:
    """n tokens of P pieces of text, one piece after the other, in the order of the rows.

    tokens: [n] int32
    piece: [n] int64, ascending, 0 … P-1; a piece may have become empty of tokens
    end: [n] bool, the special tokens at either end of a piece ([CLS] … [SEP]), never moved
    free: [n] bool, ordinary tokens of the text, which a noise may hide, replace or remove
    spare: [n] bool, marks that hide nothing (of empty spans); they alone may be left out
    home: [n] int64, where a token, or what it stands for, was before any noise: there `units` says
        which word and sentence it is from
    origin: [n] int64, where the token stood before the last noise; -1 if that noise put it there
    row, segment, example: [P] int64, where each piece belongs and which it is
    """

    tokens: np.ndarray
    piece: np.ndarray
    end: np.ndarray
    free: np.ndarray
    spare: np.ndarray
    home: np.ndarray
    origin: np.ndarray
    row: np.ndarray
    segment: np.ndarray
    example: np.ndarray
    units: "Units"

    @property
    def word(self) -> np.ndarray:
        """Which word of its piece each token came from; a special token is one of its own."""
        return self.units.word[self.home]

    @property
    def sentence(self) -> np.ndarray:
        """Which sentence of its piece each token came from. [n] int64."""
        return self.units.sentence[self.home]

    @property
    def count(self) -> int:
        """How many pieces there are, empty ones included."""
        return len(self.row)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each piece. [P] int64."""
        return counts_of(self.piece, self.count)

    @property
    def free_lengths(self) -> np.ndarray:
        """Ordinary tokens of each piece. [P] int64."""
        return counts_of(self.piece, self.count, self.free)

    @property
    def ranks(self) -> np.ndarray:
        """Position of each token in its piece. [n] int64."""
        return ranks_of(self.piece, self.count)

    def take(self, index: np.ndarray) -> "Pieces":
        """The tokens at these places, in this order; it must keep the order of the pieces."""
        names = ("tokens", "piece", "end", "free", "spare", "home")
        return dataclasses.replace(
            self, origin=np.asarray(index), **{name: getattr(self, name)[index] for name in names}
        )

    def draws(self, seed: int, epoch: int) -> CounterRNG:
        """One key for each piece. [P]."""
        return CounterRNG.of(seed, epoch, self.example)


@dataclasses.dataclass(frozen=True)
class Units:
    """The words and sentences of pieces before any noise; found when they are asked for.

    tokens: [n] int32; new: [n] bool, the first token of each piece
    """

    vocabulary: Vocabulary
    tokens: np.ndarray
    new: np.ndarray

    @functools.cached_property
    def word(self) -> np.ndarray:
        """The number in its piece of the word of each token. [n] int64."""
        return self._numbered(begins_word(self.vocabulary, self.tokens, self.new))

    @functools.cached_property
    def sentence(self) -> np.ndarray:
        """The number in its piece of the sentence of each token. [n] int64."""
        ends = ends_sentence(self.vocabulary, self.tokens, self.new)
        return self._numbered(np.append(False, ends[:-1]) | self.new)

    def _numbered(self, begins: np.ndarray) -> np.ndarray:
        number, piece = np.cumsum(begins), np.cumsum(self.new) - 1
        return number - number[np.flatnonzero(self.new)][piece]


def pieces_of(rows: Rows, vocabulary: Vocabulary) -> Pieces:
    """The pieces of packed rows; padding is left out."""
    place = np.flatnonzero(rows.segments.reshape(-1))
    width = rows.segments.shape[1]
    segment = rows.segments.reshape(-1)[place].astype(np.int64)
    row = place // width
    new = np.ones(len(place), bool)
    new[1:] = (row[1:] != row[:-1]) | (segment[1:] != segment[:-1])
    piece, first = np.cumsum(new) - 1, np.flatnonzero(new)
    tokens = rows.tokens.reshape(-1)[place]
    special = vocabulary.special[tokens]
    return Pieces(
        tokens=tokens,
        piece=piece,
        end=_ends(special, piece, len(first)),
        free=~special,
        spare=np.zeros(len(place), bool),
        home=np.arange(len(place)),
        origin=np.arange(len(place)),
        row=row[first],
        segment=segment[first],
        example=rows.examples.reshape(-1)[place[first]].astype(np.int64),
        units=Units(vocabulary, tokens, new),
    )


def _ends(special: np.ndarray, piece: np.ndarray, count: int) -> np.ndarray:
    """Specials with no ordinary token before them in their piece, or none after. [n] bool."""
    before = sums_before(~special, piece, count)
    total = counts_of(piece, count, ~special)[piece]
    return special & ((before == 0) | (before == total))


def laid_out(pieces: Pieces, rows: int, width: int, pad: int) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, segments) [rows, width] int32, the pieces of a row one after the other.

    They must fit (see `DenoisingLM`); otherwise ValueError, for nothing is ever cut off silently.
    """
    return laid(pieces.tokens, pieces.piece, pieces, rows, width, pad)


def laid(
    text: np.ndarray, piece: np.ndarray, pieces: Pieces, rows: int, width: int, pad: int
) -> tuple[np.ndarray, np.ndarray]:
    """The same for other tokens of these pieces. text: [k]; piece: [k], ascending."""
    lengths = counts_of(piece, pieces.count)
    filled = np.bincount(pieces.row, weights=lengths, minlength=rows).astype(np.int64)
    if len(filled) and filled.max() > width:
        raise ValueError(
            f"row {filled.argmax()} has {filled.max()} tokens and the width is {width}"
        )
    row, column = numbered(filled)
    tokens = np.full((rows, width), pad, np.int32)
    segments = np.zeros((rows, width), np.int32)
    tokens[row, column] = text
    segments[row, column] = pieces.segment[piece]
    return tokens, segments
