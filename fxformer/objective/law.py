"""A law: what a corruption says it does, as something that can be measured and can fail."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np
from scipy import special


@dataclasses.dataclass(frozen=True)
class Law:
    """One named claim about `after = noise(before)`.

    kind says what `measure(before, after)` returns and how it is judged:
    exact: values [n], each of which must equal `nominal`
    mean: independent samples [n] whose expectation is `nominal`; judged by their own spread
    ratio: independent pairs [n, 2] of a part and its whole; the expected share of all wholes
        together is `nominal`. Long pieces count for more, which a mean over pieces would forgo
    rare: pairs [n, 2] of events and independent trials, each an event with probability `nominal`;
        for events so rare that few or none are seen, where a spread says nothing
    shares: counts [C] of independent draws that fall in C classes with probabilities `nominal` [C]

    A measure may return an empty array where it finds nothing to look at.
    """

    name: str
    nominal: float | tuple[float, ...]
    measure: Callable[[Any, Any], np.ndarray]
    kind: Literal["exact", "mean", "ratio", "rare", "shares"]

    def through(self, view: Callable[[Any, Any], tuple[Any, Any]], name: str = "") -> "Law":
        """The same law of a part, measured on what `view` shows of the whole."""
        return dataclasses.replace(
            self,
            name=f"{name}: {self.name}" if name else self.name,
            measure=lambda before, after: self.measure(*view(before, after)),
        )


@dataclasses.dataclass(frozen=True)
class Finding:
    """What came out for one law.

    realised: the share of right values (exact), the mean, the ratio, or the shares
    low, high: the interval of confidence 1 - alarm around a mean or ratio; None for other kinds
    chance: the probability of a deviation at least as large if the law holds; 0 or 1 for `exact`
    draws: how many values, samples or counts were judged
    """

    law: Law
    realised: float | tuple[float, ...]
    chance: float
    draws: int
    holds: bool
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "BROKEN"
        seen = f"nominal {self.law.nominal}, realised {self.realised}"
        return f"{self.law.name}: {verdict}; {seen} ({self.draws:,} draws, p = {self.chance:.2g})"


def judge(law: Law, pairs: Iterable[tuple[Any, Any]], *, alarm: float = 1e-6) -> Finding:
    """Measure a law on many (before, after) and decide at a false-alarm probability of `alarm`.

    A law that found nothing to look at does not hold: a check that checks nothing is an error.
    """
    measured = [np.asarray(law.measure(before, after), np.float64) for before, after in pairs]
    if law.kind == "shares":
        return _judge_shares(law, np.sum(measured, axis=0), alarm)
    values = np.concatenate(measured) if measured else np.zeros(0)
    if law.kind == "rare" and len(values):
        return _judge_rare(law, *values.sum(0), alarm)
    if not len(values):
        return Finding(law, math.nan, 0.0, 0, False)
    if law.kind == "exact":
        right = np.abs(values - law.nominal) < 1e-9
        return Finding(law, float(right.mean()), float(right.all()), len(values), bool(right.all()))
    if law.kind == "ratio":  # the residues are 0 on average; seen as shares of the mean whole
        part, whole = values.T
        values = law.nominal + (part - law.nominal * whole) / whole.mean()
    return _judge_mean(law, values, alarm)


def _judge_mean(law: Law, values: np.ndarray, alarm: float) -> Finding:
    """Two-sided z-test; with >= 1e4 samples the mean is as good as normal."""
    error = max(values.std() / math.sqrt(len(values)), 1e-12)
    realised = float(values.mean())
    chance = float(2 * special.ndtr(-abs(realised - law.nominal) / error))
    reach = float(-special.ndtri(alarm / 2) * error)
    low, high = realised - reach, realised + reach
    return Finding(law, realised, chance, len(values), chance > alarm, low, high)


def _judge_rare(law: Law, events: float, trials: float, alarm: float) -> Finding:
    """Two-sided exact binomial test; the interval is Clopper and Pearson's (1934)."""
    events, trials = int(events), int(trials)
    below = special.bdtr(events, trials, law.nominal)
    above = special.bdtrc(events - 1, trials, law.nominal) if events else 1.0
    chance = float(min(2 * min(below, above), 1.0))
    rest = trials - events
    low = float(special.betaincinv(events, rest + 1, alarm / 2)) if events else 0.0
    high = float(special.betaincinv(events + 1, rest, 1 - alarm / 2)) if rest else 1.0
    return Finding(law, events / trials, chance, trials, chance > alarm, low, high)


def _judge_shares(law: Law, counts: np.ndarray, alarm: float) -> Finding:
    """Pearson's chi-square test; classes of probability 0 must stay empty."""
    nominal = np.asarray(law.nominal, np.float64)
    draws = int(np.sum(counts))
    if not draws:
        return Finding(law, math.nan, 0.0, 0, False)
    realised = tuple(float(share) for share in np.asarray(counts) / draws)
    possible = nominal > 0
    expected = nominal[possible] * draws
    distance = float(((counts[possible] - expected) ** 2 / expected).sum())
    freedom = max(int(possible.sum()) - 1, 1)
    chance = float(special.gammaincc(freedom / 2, distance / 2))
    chance = 0.0 if counts[~possible].any() else chance
    return Finding(law, realised, chance, draws, chance > alarm)
