"""Checks of text infilling, measured on what is left of a text and where its tokens are from."""

import functools

import numpy as np
from scipy import special

from fxformer.batch import Vocabulary
from fxformer.evaluate.audit.check import Check, once
from fxformer.evaluate.audit.checks.dispatch import noise_checks
from fxformer.evaluate.audit.checks.infilling_marks import Marks
from fxformer.evaluate.audit.checks.noise_base import honest, in_order, unchanged
from fxformer.objective.counter_rng import poisson_table
from fxformer.objective.noise.infill import TextInfilling
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of

RARE = 0.005  # lengths are judged one by one until what remains is rarer than this
_marks = once(Marks.of)  # most checks here read the same marks


def infill_checks(
    rate: float, mean: float, random: float, vocabulary: Vocabulary
) -> tuple[Check, ...]:
    """Checks between the pieces before and after."""

    def marked(before: Pieces, after: Pieces) -> np.ndarray:
        shown = after.tokens[after.origin < 0]
        return np.array([(shown == vocabulary.mask).sum(), (shown != vocabulary.mask).sum()])

    def special_marks(before: Pieces, after: Pieces) -> np.ndarray:
        shown = after.tokens[after.origin < 0]
        return vocabulary.special[shown] & (shown != vocabulary.mask)

    return (
        Check("hidden tokens off rate·m by one or more", 0.0, _off_budget(rate), "exact"),
        Check("hidden share", rate, _hidden_share, "ratio"),
        Check("marks beyond those expected, per piece", 0.0, _surplus(mean), "mean"),
        *length_checks(mean),
        Check("place of the marks in their piece", 0.5, _place, "mean"),
        Check("a mark comes first, beyond chance", 0.0, _edge, "mean"),
        Check("marks that are masks, and random tokens", (1 - random, random), marked, "shares"),
        Check("special tokens put in as random ones", 0.0, special_marks, "exact"),
    )


@functools.lru_cache(maxsize=4096)
def expected_spans(budget: int, mean: float) -> float:
    """How many Poisson lengths are needed, on average, until they sum to the budget.

    More than k are needed exactly if the first k sum to less: sum over k of P(Poisson(k·mean) < B).
    """
    spans = np.arange(int(4 * budget / mean + 100 / mean + 100))
    return float(special.pdtr(budget - 1, spans * mean).sum())


@functools.lru_cache(maxsize=65536)
def length_shares(budget: int, spans: int, mean: float) -> np.ndarray:
    """The expected share of each length among the spans of a piece, given their number.

    The first k-1 lengths sum to s < B and the last is cut to d = B - s: P(d) is proportional to
    P(Poisson((k-1)·mean) = B - d) · P(Poisson(mean) >= d). Given s, each of the first is
    binomial(s, 1 / (k-1)). [budget + 1 or more] float64, from length 0.
    """
    if spans < 1:
        return np.ones(budget + 1)  # no mark, nothing to share
    rest = np.arange(budget)  # s
    log_sum = special.xlogy(rest, (spans - 1) * mean) - special.gammaln(rest + 1)
    chance = np.exp(log_sum - log_sum.max()) * special.pdtrc(budget - rest - 1, mean)
    chance /= chance.sum()
    shares = np.zeros(max(budget + 1, 64))
    shares[budget - rest] += chance
    if spans > 1:
        one = 1 / (spans - 1)
        for s in rest[chance > 1e-12]:
            k = np.arange(s + 1)
            shares[: s + 1] += (spans - 1) * chance[s] * _binomial(k, s, one)
    return shares / spans


def _binomial(k: np.ndarray, n: int, p: float) -> np.ndarray:
    """P(binomial(n, p) = k)."""
    choose = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return np.exp(choose + special.xlogy(k, p) + special.xlog1py(n - k, -p))


def _hidden(before: Pieces, after: Pieces) -> tuple[np.ndarray, np.ndarray]:
    """(ordinary tokens, hidden ones) of each piece that has any."""
    number, left = before.free_lengths, after.origin >= 0
    kept = counts_of(after.piece[left], before.count, before.free[after.origin[left]])
    return number[number > 0], (number - kept)[number > 0]


def _off_budget(rate: float):
    def off(before: Pieces, after: Pieces) -> np.ndarray:
        number, hidden = _hidden(before, after)
        return np.abs(hidden - rate * number) >= 1

    return off


def _hidden_share(before: Pieces, after: Pieces) -> np.ndarray:
    number, hidden = _hidden(before, after)
    return np.stack([hidden, number], axis=1)


def _per_piece(before: Pieces, after: Pieces, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(budget, sum of the values of its marks) of each piece with a budget."""
    number = before.free_lengths
    _, hidden = _hidden(before, after)
    total = np.bincount(_marks(before, after).piece, weights=values, minlength=before.count)
    return hidden[hidden > 0], total[number > 0][hidden > 0]


def _surplus(mean: float):
    def surplus(before: Pieces, after: Pieces) -> np.ndarray:
        marks = _marks(before, after)
        budget, number = _per_piece(before, after, np.ones(len(marks.piece)))
        return number - np.array([expected_spans(int(b), mean) for b in budget])

    return surplus


def length_checks(mean: float) -> tuple[Check, ...]:
    """How often a mark hides 0, 1, 2 … tokens, or more, against the distribution in its piece.

    Only marks that stand alone show their length; places do not depend on lengths, so given how
    many marks a piece has, those are a fair sample of them.
    """
    longest = int(np.searchsorted(poisson_table(mean), 1 - RARE)) - 1
    exact = (_length_check(mean, longest, length) for length in range(longest + 1))
    return (*exact, _length_check(mean, longest, longest + 1))


def _length_check(mean: float, longest: int, wanted: int) -> Check:
    def residue(before: Pieces, after: Pieces) -> np.ndarray:
        marks = _marks(before, after)
        hit = marks.alone & (np.minimum(marks.length, longest + 1) == wanted)
        budget, hits = _per_piece(before, after, hit)
        _, alone = _per_piece(before, after, marks.alone)
        _, number = _per_piece(before, after, np.ones(len(hit)))
        pairs, where = np.unique(np.stack([budget, number]), axis=1, return_inverse=True)
        distributions = (length_shares(int(b), int(k), mean) for b, k in pairs.T)
        share = np.array(
            [np.append(one[: longest + 1], one[longest + 1 :].sum()) for one in distributions]
        )
        return (hits - alone * share[where.ravel(), wanted])[alone > 0]

    name = f"{wanted}" if wanted <= longest else f"{wanted} or more"
    return Check(f"spans of {name}, per piece, beyond those expected", 0.0, residue, "mean")


def _items(before: Pieces, after: Pieces) -> tuple[Marks, np.ndarray, np.ndarray]:
    """(marks, how many each piece has, its marks and kept ordinary tokens together)."""
    marks = _marks(before, after)
    left = after.origin >= 0
    kept = counts_of(after.piece[left], before.count, before.free[after.origin[left]])
    number = counts_of(marks.piece, before.count)
    return marks, number, number + kept


def _place(before: Pieces, after: Pieces) -> np.ndarray:
    """Mean over the marks of a piece of (position + 1/2) / items."""
    marks, number, items = _items(before, after)
    place = (marks.place + 0.5) / items[marks.piece]
    total = np.bincount(marks.piece, weights=place, minlength=before.count)
    return total[number > 0] / number[number > 0]


def _edge(before: Pieces, after: Pieces) -> np.ndarray:
    """Whether the first item is a mark, less the share of marks among the items."""
    marks, number, items = _items(before, after)
    lead = np.bincount(marks.piece, weights=marks.place == 0, minlength=before.count)
    return lead[number > 0] - (number / np.maximum(items, 1))[number > 0]


@noise_checks.register
def text_infilling(noise: TextInfilling, vocabulary: Vocabulary) -> tuple[Check, ...]:
    """Budget, span lengths with the zeros, places, and marks."""
    return (
        *honest(),
        in_order(),
        unchanged(),
        *infill_checks(noise.rate, noise.length, noise.random, vocabulary),
    )
