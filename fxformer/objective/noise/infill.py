"""Text infilling (BART): spans of Poisson length, also 0, are replaced by one mask each."""

import dataclasses
from typing import cast

import numpy as np
from scipy import special

from fxformer.batch import Vocabulary
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.noise.base import Noise
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, numbered, smallest, starts_of, sums_before
from fxformer.types import Positive, Rate


@dataclasses.dataclass(frozen=True)
class TextInfilling(Noise):
    """Spans of Poisson(length) tokens, `rate` of the text in all, each become one mask.

    Lewis et al. 2020 (BART), sec. 2.2; the lengths after Joshi et al. 2020 (SpanBERT) with zeros.
    Of the m ordinary tokens of a piece exactly B go, B = floor(rate·m + u) with u uniform, which is
    rate·m on average for short pieces too. Lengths are drawn until they sum to B; the last is cut
    to fit. A length of 0 inserts a mask. The K spans and the m-B tokens that stay are then put in
    one of the C(m-B+K, K) possible orders, all equally likely, so spans never overlap. A span that
    meets a special token inside the text goes on behind it.

    rate: share of the tokens that are hidden (BART: 0.3)
    length: mean of the Poisson distribution (BART: 3; the released model: 3.5)
    random: share of the spans marked by a random ordinary token and not by the mask (the released
        model: 0.1)
    """

    rate: Rate = 0.3
    length: Positive = 3.0
    random: Rate = 0.0
    needs = ("mask",)

    def __call__(self, pieces: Pieces, draws: CounterRNG, vocabulary: Vocabulary) -> Pieces:
        """The pieces with each span replaced by its mark."""
        number = pieces.free_lengths
        budget = np.floor(self.rate * number + draws.uniform("budget")).astype(np.int64)
        piece, lengths = self._spans(budget, draws)
        return self._placed(pieces, piece, lengths, draws, vocabulary)

    def fill(self, size: int, vocabulary: Vocabulary) -> list[int]:
        """One mask for all."""
        return [cast(int, vocabulary.mask)]

    def growth(self, length: int) -> int:
        """How much longer a full row can become: more marks than hidden tokens.

        With B = ceil(rate·length) hidden, more than k spans are needed if and only if the first k
        lengths, a Poisson(k · mean) sum, stay below B. The smallest k where that has probability
        below 1e-9 is the allowance for marks; it passes B only for a mean below about 2.
        """
        budget = int(np.ceil(self.rate * length))
        spans = np.arange(int(4 * budget / self.length + 100 / self.length + 100))
        more = special.pdtr(budget - 1, spans * self.length) if budget else np.zeros(len(spans))
        return max(int(np.argmax(more < 1e-9)) - budget, 0)

    def _spans(self, budget: np.ndarray, draws: CounterRNG) -> tuple[np.ndarray, np.ndarray]:
        """(piece, length) of all spans as drawn; the lengths of a piece sum to its budget."""
        share = budget / self.length
        guess = np.ceil(share + 4 * np.sqrt(share) + 4).astype(np.int64) * (budget > 0)
        while True:
            piece, rank = numbered(guess)
            lengths = draws.at(piece).poisson("length", self.length, rank)
            total = np.bincount(piece, weights=lengths, minlength=len(budget))
            if (total >= budget).all():
                break
            guess = np.where(
                total < budget, 2 * guess, guess
            )  # the same draws again, and more of them
        before = sums_before(lengths, piece, len(budget))
        used = before < budget[piece]
        lengths = np.minimum(lengths, budget[piece] - before)
        return piece[used], lengths[used]

    def _placed(
        self,
        pieces: Pieces,
        piece: np.ndarray,
        lengths: np.ndarray,
        draws: CounterRNG,
        words: Vocabulary,
    ) -> Pieces:
        """Put spans and kept tokens in random order, and the special tokens back between them."""
        count, number = pieces.count, pieces.free_lengths
        spans = counts_of(piece, count)
        hidden = np.bincount(piece, weights=lengths, minlength=count).astype(np.int64)
        owner, rank = numbered(number - hidden + spans)  # the items of each piece
        keys = draws.at(owner)
        chosen = smallest(owner, keys.bits("place", rank), spans)
        span = np.zeros(len(owner), bool)
        span[chosen] = True
        size = np.ones(len(owner), np.int64)
        size[chosen] = lengths  # in the order of the lots, so that any length may come anywhere
        offset = sums_before(size, owner, count)  # ordinary tokens of the piece before this item
        marks = np.where(span, self._marks(keys, rank, words), 0)
        return _merged(pieces, owner, offset, span, span & (size == 0), marks)

    def _marks(self, keys: CounterRNG, rank: np.ndarray, words: Vocabulary) -> np.ndarray:
        """What each item would show if it is a span. int32."""
        if not self.random:
            return np.full(len(rank), words.mask, np.int32)
        ordinary = words.ordinary
        other = ordinary[keys.below("random token", len(ordinary), rank)]
        return np.where(keys.uniform("mark", rank) < self.random, other, cast(int, words.mask))


def _merged(
    pieces: Pieces,
    owner: np.ndarray,
    offset: np.ndarray,
    span: np.ndarray,
    empty: np.ndarray,
    marks: np.ndarray,
) -> Pieces:
    """The items (marks where `span`, tokens elsewhere) and the special tokens, in one order.

    An item goes where the first ordinary token that it stands for was; an empty span goes before
    the token that follows it, and one behind the last token of the text directly after that.
    """
    free, fixed = np.flatnonzero(pieces.free), np.flatnonzero(~pieces.free)
    number = pieces.free_lengths
    behind = offset == number[owner]  # no token follows: look at the one before
    near = free[starts_of(number)[owner] + offset - behind]
    # Stable, items first: an empty span behind the last token comes before a closing special.
    order = np.argsort(np.concatenate([near + behind, fixed]), kind="stable")
    source = np.concatenate([near, fixed])[order]
    is_mark, is_empty, mark = (
        np.concatenate([part, np.zeros(len(fixed), part.dtype)])[order]
        for part in (span, empty, marks)
    )
    taken = pieces.take(source)
    return dataclasses.replace(
        taken,
        tokens=np.where(is_mark, mark, taken.tokens).astype(np.int32),
        free=taken.free & ~is_mark,
        spare=taken.spare | is_empty,
        origin=np.where(is_mark, -1, source),
    )
