"""Span corruption: read a text with spans cut out, write the spans (T5)."""

import abc
import dataclasses
import functools
from typing import ClassVar, Literal

import numpy as np
from flax import nnx

from fxformer.batch import Batch, Rows, Vocabulary
from fxformer.objective.base import Objective, require
from fxformer.objective.corruption_law import corruption_laws, drop_laws
from fxformer.objective.draw import Draws
from fxformer.objective.hidden import Hidden, Hiding
from fxformer.objective.hide_spans import RandomSpans
from fxformer.objective.law import Law
from fxformer.objective.loss import CrossEntropy
from fxformer.objective.pieces import Pieces, laid, pieces_of
from fxformer.objective.segments import counts_of, numbered, ranks_of, starts_of, sums_before
from fxformer.objective.shift import answer
from fxformer.types import Count, Part


@dataclasses.dataclass(frozen=True)
class Side:
    """One side of the pairs: k tokens and the piece of each, ascending. Both [k]."""

    tokens: np.ndarray
    piece: np.ndarray


class HiddenText(Objective):
    """-log p(hidden | left): the source is what `hiding` leaves, the target what it hides.

    The source is never longer than the text, so it has its T places. A target row has
    `target_length(T)` places, which hold the targets of any pieces of `shortest` tokens or more;
    should a row of shorter ones not fit, its last pieces are left out, source and target, and
    `tally` counts them ("pieces without room"). Packed pieces stay paired.
    """

    legal = frozenset({"seq2seq"})
    marks: ClassVar[int]  # in the target for each span and at its end

    def __init__(
        self,
        model: Part,
        *,
        hiding: Hiding = RandomSpans(),
        start: Literal["eos", "bos", "pad"] = "pad",
        shortest: Count = 32,
        loss: CrossEntropy = CrossEntropy(),
        vocabulary: Vocabulary,
        rngs: nnx.Rngs,
    ):
        require(vocabulary, (start,), type(self).__name__)
        super().__init__(model, loss=loss, vocabulary=vocabulary, rngs=rngs)
        self.hiding, self.start, self.shortest = hiding, start, shortest

    def source_length(self, length: int) -> int:
        """As long as the text."""
        return length

    def target_length(self, length: int) -> int:
        """Places of a target row for text rows of `length`; see `densest`."""
        return densest(self.hiding, self.marks, min(self.shortest, length), length)

    @abc.abstractmethod
    def _source(self, pieces: Pieces, hidden: Hidden) -> Side:
        """What the encoder reads."""

    @abc.abstractmethod
    def _target(self, pieces: Pieces, hidden: Hidden) -> Side:
        """What the decoder writes."""

    def draw(self, pieces: Pieces, draws: Draws) -> Hidden:
        """What is hidden of each piece."""
        return self.hiding(pieces, draws)

    def corrupt(self, rows: Rows) -> Batch:
        """rows [B, T] -> source [B, T]; tokens, segments, targets, weights [B, target_length]."""
        height, width = self.accept(rows).tokens.shape
        room, pad = self.target_length(width), self.vocabulary.pad
        pieces, hidden = self.seen(rows)
        source, target = self._source(pieces, hidden), self._target(pieces, hidden)
        long = self.source_length(width)
        read, read_segments = laid(source.tokens, source.piece, pieces, height, long, pad)
        wrote, segments = laid(target.tokens, target.piece, pieces, height, room, pad)
        tokens, targets, weights = answer(
            Rows(wrote, segments, segments), getattr(self.vocabulary, self.start)
        )
        return Batch(tokens, segments, targets, weights, None, read, read_segments)

    def seen(self, rows: Rows) -> tuple[Pieces, Hidden]:
        """The pieces that have room, and what is hidden of them."""
        pieces = pieces_of(rows, self.vocabulary)
        hidden = self.draw(pieces, pieces.draws(rows.seed, rows.epoch))
        height, width = rows.tokens.shape
        fits = np.ones(pieces.count, bool)
        for side, room in (
            (self._source(pieces, hidden), self.source_length(width)),
            (self._target(pieces, hidden), self.target_length(width)),
        ):
            length = counts_of(side.piece, pieces.count)
            fits &= sums_before(length, pieces.row, height) + length <= room
        if fits.all():
            return pieces, hidden
        self.tally.add("pieces without room", np.count_nonzero(~fits))
        stays = fits[pieces.piece]
        index = np.cumsum(stays) - 1
        kept = fits[pieces.piece[hidden.index]]
        return pieces.take(np.flatnonzero(stays)), hidden.take(kept, index)


class SpanCorruption(HiddenText):
    """Each span gives way to a sentinel; write the spans, each after its sentinel. T5, sec. 3.1.4.

    "Thank you <X> me to your party <Y> week" -> "<X> for inviting <Y> last <Z>": Raffel et al.
    2020, figure 2, with the unused final sentinel of the figure. The sentinels of a piece are
    <extra_id_0>, <extra_id_1>, … in the order of their numbers, each once on either side (in T5's
    own vocabulary their ids descend). Special tokens at the ends of a piece stay in the source;
    those that close it also close the target.
    """

    marks = 1

    def __init__(
        self,
        model: Part,
        *,
        hiding: Hiding = RandomSpans(),
        start: Literal["eos", "bos", "pad"] = "pad",
        shortest: Count = 32,
        loss: CrossEntropy = CrossEntropy(),
        vocabulary: Vocabulary,
        rngs: nnx.Rngs,
    ):
        if not vocabulary.sentinels:
            raise ValueError(
                f"{type(self).__name__} marks spans by sentinels, and this tokenizer has none: "
                "write tokenizer.specials.sentinels=100 (tokenizer=file: tokenizer.sentinels=100)"
            )
        super().__init__(
            model,
            hiding=hiding,
            start=start,
            shortest=shortest,
            loss=loss,
            vocabulary=vocabulary,
            rngs=rngs,
        )

    @property
    def sentinels(self) -> tuple[int, ...]:
        """The marks of spans."""
        return self.vocabulary.sentinels

    def row_length(self, length: int) -> int:
        """length, if there are sentinels enough for a piece of it."""
        self._check_sentinels(self.hiding.most(length)[1], f"a row of {length} tokens")
        return length

    def _check_sentinels(self, spans: int, where: str) -> None:
        have = len(self.sentinels)
        if spans + 1 > have:
            raise ValueError(
                f"{where} can have {spans} spans and a final mark, and this tokenizer has {have} "
                f"sentinels for them: write tokenizer.specials.sentinels="
                f"{spans + 1 + len(self.vocabulary.sentinels) - have}, or a smaller data.length"
            )

    def _source(self, pieces: Pieces, hidden: Hidden) -> Side:
        first = hidden.begins(pieces)
        tokens = pieces.tokens.copy()
        tokens[hidden.index[first]] = self._sentinels(hidden.span[first])
        stays = np.ones(len(tokens), bool)
        stays[hidden.index[~first]] = False
        return Side(tokens[stays], pieces.piece[stays])

    def _target(self, pieces: Pieces, hidden: Hidden) -> Side:
        """Each hidden token comes after those before it and after one sentinel more than spans."""
        tail = closing(pieces, self.vocabulary)
        owner, spans = pieces.piece[hidden.index], hidden.number(pieces)
        number = counts_of(owner, pieces.count)
        used = number + spans + 1 + counts_of(pieces.piece, pieces.count, tail)
        used *= pieces.lengths > 0  # nothing at all for a piece that is left out
        piece, rank = numbered(used)
        tokens, start = np.zeros(len(piece), np.int32), starts_of(used)
        place = start[owner] + ranks_of(owner, pieces.count) + hidden.span + 1
        tokens[place] = pieces.tokens[hidden.index]
        first = hidden.begins(pieces)
        tokens[place[first] - 1] = self._sentinels(hidden.span[first])
        alive = pieces.lengths > 0
        tokens[(start + number + spans)[alive]] = self._sentinels(spans[alive])
        last = pieces.piece[tail]
        tokens[(start + number + spans)[last] + 1 + ranks_of(last, pieces.count)] = pieces.tokens[
            tail
        ]
        return Side(tokens, piece)

    def _sentinels(self, span: np.ndarray) -> np.ndarray:
        self._check_sentinels(int(span.max(initial=0)), "a piece")
        return np.array(self.sentinels, np.int32)[span]

    def laws(self) -> tuple[Law, ...]:
        """The hiding's, and that source and target put together are the text."""
        hidden = tuple(law.through(lambda rows, _: self.seen(rows)) for law in self.hiding.laws())
        return (*hidden, *corruption_laws(self))


class DropTokens(HiddenText):
    """The hidden tokens leave no mark; write them in order. Raffel et al. 2020, table 3.

    "Thank you me to your party week" -> "for inviting last".
    """

    marks = 0

    def _source(self, pieces: Pieces, hidden: Hidden) -> Side:
        stays = np.ones(len(pieces.tokens), bool)
        stays[hidden.index] = False
        return Side(pieces.tokens[stays], pieces.piece[stays])

    def _target(self, pieces: Pieces, hidden: Hidden) -> Side:
        wanted = closing(pieces, self.vocabulary)
        wanted[hidden.index] = True
        return Side(pieces.tokens[wanted], pieces.piece[wanted])

    def laws(self) -> tuple[Law, ...]:
        """The hiding's, and that both sides are the text's tokens in order."""
        hidden = tuple(law.through(lambda rows, _: self.seen(rows)) for law in self.hiding.laws())
        return (*hidden, *drop_laws(self))


def closing(pieces: Pieces, vocabulary: Vocabulary) -> np.ndarray:
    """The special tokens that close a piece: those at its end, and an eos alone. [n] bool."""
    behind = sums_before(pieces.free, pieces.piece, pieces.count) > 0
    return pieces.end & (behind | (pieces.tokens == vocabulary.eos))


@functools.lru_cache(maxsize=256)
def densest(hiding: Hiding, marks: int, shortest: int, length: int) -> int:
    """`hiding.room`, kept. 15 % in spans of 3, pieces of 32 or more: 144 places for 512 tokens."""
    return hiding.room(length, shortest, marks)
