"""Span masking: runs of neighbouring words are selected together (SpanBERT, ALBERT)."""

import dataclasses
import functools
from typing import ClassVar

import numpy as np

from fxformer.objective.chosen import Chosen
from fxformer.objective.draw import Draws
from fxformer.objective.law import Law
from fxformer.objective.lengths import Geometric, Lengths
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, numbered, smallest, starts_of, sums_before
from fxformer.objective.select import at_least_one, due
from fxformer.objective.words import Words, share_law, torn
from fxformer.types import Proportion


@dataclasses.dataclass(frozen=True)
class Spans:
    """Spans of whole words, max(1, round(rate·w)) of the w words of a piece in all.

    Joshi et al. 2020 (SpanBERT), sec. 3.1, and, with its own lengths, Lan et al. 2020 (ALBERT),
    sec. 3. Lengths are drawn until they sum to the budget B; the last is cut to fit. The K spans
    and the w-B words that stay are then put in one of the C(w-B+K, K) possible orders, all equally
    likely, so spans never overlap, though they may touch. A span is a unit.

    Lengths and budget are in words, as in the papers; as words are taken whatever their length, the
    share of the tokens is the rate as well, but on average only.

    whole_words: false takes every token for a word
    """

    rate: Proportion = 0.15
    lengths: Lengths = Geometric()
    whole_words: bool = True
    single: ClassVar[bool] = False

    def __call__(self, pieces: Pieces, draws: Draws) -> Chosen:
        """The tokens of the chosen spans, each span a unit."""
        words = Words.of(pieces, whole=self.whole_words)
        budget = due(self.rate, words.count)
        piece, rank = numbered(budget)  # no more spans than words
        lengths = self.lengths.draw(draws.at(piece), "length", rank)
        before = sums_before(lengths, piece, pieces.count)
        used = before < budget[piece]
        piece, lengths = piece[used], np.minimum(lengths, budget[piece] - before)[used]
        first, lengths = self._placed(words, budget, piece, lengths, draws)
        span, step = numbered(lengths)
        unit = pieces.ranks[words.first[first]]
        return words.tokens(first[span] + step, unit[span], pieces)

    def _placed(
        self, words: Words, budget: np.ndarray, piece: np.ndarray, lengths: np.ndarray, draws: Draws
    ) -> tuple[np.ndarray, np.ndarray]:
        """(first word, length) of each span, in the order of the text."""
        count = len(budget)
        spans = counts_of(piece, count)
        owner, rank = numbered(words.count - budget + spans)  # spans, and words that stay
        chosen = smallest(owner, draws.at(owner).bits("place", rank), spans)
        size = np.ones(len(owner), np.int64)
        size[chosen] = lengths  # in the order of the lots, so that any length may come anywhere
        chosen = np.sort(chosen)
        offset = sums_before(size, owner, count)[chosen]
        return starts_of(words.count)[owner[chosen]] + offset, size[chosen]

    def capacity(self, length: int) -> int:
        """Targets a row of `length` tokens has room for.

        A budget in words bounds no number of tokens: on real text, where long names come in rows,
        any smaller room was too small now and then, so there is room for all of them.
        """
        return length

    def laws(self) -> tuple[Law, ...]:
        """Measured between pieces and what was chosen of them."""
        longest = len(self.lengths.shares)
        whole = (torn(), share_law(self.rate)) if self.whole_words else ()
        return (
            *whole,
            at_least_one(),
            Law("selected words less than due", 0.0, self._missing, "exact"),
            Law("spans beyond those expected, per piece", 0.0, self._surplus, "mean"),
            *(self._length_law(length) for length in range(1, longest + 1)),
            Law("place of a selected word in its piece", 0.5, self._place, "mean"),
        )

    def _missing(self, pieces: Pieces, chosen: Chosen) -> np.ndarray:
        words = Words.of(pieces, whole=self.whole_words)
        hit = words.taken(chosen, pieces) > 0
        return due(self.rate, words.count) - counts_of(words.piece, pieces.count, hit)

    def _seen(self, pieces: Pieces, chosen: Chosen) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(piece, words) of each span, and the budget of each piece."""
        words = Words.of(pieces, whole=self.whole_words)
        lead = np.isin(chosen.index, words.first)
        run = chosen.runs(pieces)
        starts = np.flatnonzero(np.diff(run, prepend=-1))
        length = np.bincount(run[lead], minlength=len(starts))
        return pieces.piece[chosen.index[starts]], length, due(self.rate, words.count)

    def _surplus(self, pieces: Pieces, chosen: Chosen) -> np.ndarray:
        piece, _, budget = self._seen(pieces, chosen)
        number, some = counts_of(piece, pieces.count), budget > 0
        return (number - self._expected(budget).sum(1))[some]

    def _length_law(self, length: int) -> Law:
        """How many spans have this length, against what its piece's budget leaves of the law."""
        nominal = float(self.lengths.shares[length - 1])

        def share(pieces: Pieces, chosen: Chosen) -> np.ndarray:
            piece, lengths, budget = self._seen(pieces, chosen)
            number, some = counts_of(piece, pieces.count), budget > 0
            hit = counts_of(piece, pieces.count, lengths == length)
            part = hit - self._expected(budget)[:, length - 1] + nominal * number
            return np.stack([part, number], axis=1)[some]

        name = f"share of spans of {length}, the cut of the last aside"
        return Law(name, nominal, share, "ratio")

    def _expected(self, budget: np.ndarray) -> np.ndarray:
        """Expected number of spans of each length in a piece, given its budget. [P, longest]."""
        shares = tuple(self.lengths.shares.tolist())
        return expected_lengths(shares, int(budget.max(initial=1)))[budget]

    def _place(self, pieces: Pieces, chosen: Chosen) -> np.ndarray:
        words = Words.of(pieces, whole=self.whole_words)
        hit = np.flatnonzero(words.taken(chosen, pieces) > 0)
        piece = words.piece[hit]
        place = (words.rank[hit] + 0.5) / words.count[piece]
        number = counts_of(piece, pieces.count)
        total = np.bincount(piece, weights=place, minlength=pieces.count)
        return total[number > 0] / number[number > 0]


@functools.lru_cache(maxsize=256)
def expected_lengths(shares: tuple[float, ...], top: int) -> np.ndarray:
    """E[spans of length d] where lengths are drawn until they sum to B and the last is cut to fit.

    U(s) is the probability that s is one of the partial sums: U(0) = 1, U(s) = Σ p(d) U(s-d). One
    that begins at s < B has length d if it was drawn so and fits, or if it was cut to d = B - s:
    E_B(d) = p(d) Σ_{s < B-d} U(s) + P(length >= d) U(B-d). [top + 1, longest], rows are B.
    """
    longest = len(shares)
    p = np.array(shares)
    least = np.cumsum(p[::-1])[::-1]  # P(length >= d)
    partial = np.zeros(top + 1)
    partial[0] = 1
    for s in range(1, top + 1):
        reach = min(s, longest)
        partial[s] = p[:reach] @ partial[s - reach : s][::-1]
    before = np.concatenate([[0], np.cumsum(partial)])  # Σ of U over s < b
    table = np.zeros((top + 1, longest))
    for d in range(1, min(longest, top) + 1):
        rest = np.arange(top + 1 - d)  # B - d
        table[d:, d - 1] = p[d - 1] * before[rest] + least[d - 1] * partial[rest]
    return table
