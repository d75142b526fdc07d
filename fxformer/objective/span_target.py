"""Base class of objectives whose target is what was masked in the source (T5)."""

import abc
import dataclasses
import functools
from typing import ClassVar, Literal

import numpy as np
from flax import nnx

from fxformer.batch import Batch, Limit, Rows, Vocabulary
from fxformer.objective.base import Objective, require
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.masking.base import Masked, Seq2SeqMasking, check_masking
from fxformer.objective.masking.random_spans import RandomSpans
from fxformer.objective.pieces import Pieces, laid, pieces_of
from fxformer.objective.segments import counts_of, sums_before
from fxformer.objective.shift import answer
from fxformer.ops.cross_entropy import CrossEntropy
from fxformer.types import Count, Part


@dataclasses.dataclass(frozen=True)
class Side:
    """One side of the pairs: k tokens and the piece of each, ascending. Both [k]."""

    tokens: np.ndarray
    piece: np.ndarray


class MaskedText(Objective):
    """-log p(masked | left): the source is what `masking` leaves, the target what it selects.

    The source is never longer than the text, so it has its T places. A target row has
    `target_length(T)` places, which hold the targets of any pieces of `shortest` tokens or more;
    of shorter ones fewer are packed in a row (`limits`). Should a row nevertheless not fit, its
    last pieces are left out, source and target, and `tally` counts them ("pieces without room").
    Packed pieces stay paired.
    """

    legal = frozenset({"seq2seq"})
    marks: ClassVar[int]  # in the target for each span and at its end

    def __init__(
        self,
        model: Part,
        *,
        masking: Seq2SeqMasking = RandomSpans(),
        start: Literal["eos", "bos", "pad"] = "pad",
        shortest: Count = 32,
        loss: CrossEntropy = CrossEntropy(),
        vocabulary: Vocabulary,
        rngs: nnx.Rngs,
    ):
        require(vocabulary, (start,), type(self).__name__)
        check_masking(masking, Seq2SeqMasking, type(self).__name__)
        super().__init__(model, loss=loss, vocabulary=vocabulary, rngs=rngs)
        self.masking, self.start, self.shortest = masking, start, shortest

    def source_length(self, length: int) -> int:
        """As long as the text."""
        return length

    def target_length(self, length: int) -> int:
        """Places of a target row for text rows of `length`; see `densest`."""
        return densest(self.masking, self.marks, min(self.shortest, length), length)

    def limits(self, width: int) -> tuple[Limit, ...]:
        """Places for the targets of pieces packed in rows of `width`."""

        def target(size: np.ndarray, around: int, behind: int) -> np.ndarray:
            return self.masking.needs(size, self.marks) + behind

        return (Limit(target, max(self.target_length(width), 1)),)

    @abc.abstractmethod
    def _source(self, pieces: Pieces, masked: Masked) -> Side:
        """What the encoder reads."""

    @abc.abstractmethod
    def _target(self, pieces: Pieces, masked: Masked) -> Side:
        """What the decoder writes."""

    def draw(self, pieces: Pieces, draws: CounterRNG) -> Masked:
        """The masked tokens of each piece."""
        return self.masking(pieces, draws)

    def corrupt(self, rows: Rows) -> Batch:
        """rows [B, T] -> source [B, T]; tokens, segments, targets, weights [B, target_length]."""
        height, width = self.accept(rows).tokens.shape
        room, pad = self.target_length(width), self.vocabulary.pad
        pieces, masked, lost = self._fitted(rows)
        self.tally.add("pieces without room", lost)
        source, target = self._source(pieces, masked), self._target(pieces, masked)
        long = self.source_length(width)
        read, read_segments = laid(source.tokens, source.piece, pieces, height, long, pad)
        wrote, segments = laid(target.tokens, target.piece, pieces, height, room, pad)
        tokens, targets, weights = answer(
            Rows(wrote, segments, segments), getattr(self.vocabulary, self.start)
        )
        return Batch(tokens, segments, targets, weights, None, read, read_segments)

    def seen(self, rows: Rows) -> tuple[Pieces, Masked]:
        """The pieces that have room, and what is masked of them."""
        return self._fitted(rows)[:2]

    def _fitted(self, rows: Rows) -> tuple[Pieces, Masked, int]:
        """And how many pieces have no room."""
        pieces = pieces_of(rows, self.vocabulary)
        masked = self.draw(pieces, pieces.draws(rows.seed, rows.epoch))
        height, width = rows.tokens.shape
        fits = np.ones(pieces.count, bool)
        for side, room in (
            (self._source(pieces, masked), self.source_length(width)),
            (self._target(pieces, masked), self.target_length(width)),
        ):
            length = counts_of(side.piece, pieces.count)
            fits &= sums_before(length, pieces.row, height) + length <= room
        if fits.all():
            return pieces, masked, 0
        stays = fits[pieces.piece]
        index = np.cumsum(stays) - 1
        kept = fits[pieces.piece[masked.index]]
        left = pieces.take(np.flatnonzero(stays))
        return left, masked.take(kept, index), int(np.count_nonzero(~fits))


def closing(pieces: Pieces, vocabulary: Vocabulary) -> np.ndarray:
    """The special tokens that close a piece: those at its end, and an eos alone, but no unknown
    token, which is text. [n] bool."""
    behind = sums_before(pieces.free, pieces.piece, pieces.count) > 0
    known = pieces.tokens != (-1 if vocabulary.unk is None else vocabulary.unk)
    return pieces.end & (behind | (pieces.tokens == vocabulary.eos)) & known


@functools.lru_cache(maxsize=256)
def densest(masking: Seq2SeqMasking, marks: int, shortest: int, length: int) -> int:
    """`masking.room`, kept. 15 % in spans of 3, pieces of 32 or more: 144 places for 512 tokens."""
    return masking.room(length, shortest, marks)
