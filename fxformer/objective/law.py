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

    A measure may return an empty array where it finds nothing to look at. A law that never finds
    anything does not hold, unless it is `optional`: of what some sound texts do not have.
    """

    name: str
    nominal: float | tuple[float, ...]
    measure: Callable[[Any, Any], np.ndarray]
    kind: Literal["exact", "mean", "ratio", "rare", "shares"]
    optional: bool = False

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
    low, high: the interval of confidence 1 - alarm around `realised`: of a mean or ratio by its own
        spread, of shares each by its class (confidence shared among them), of right values by how
        many wrong ones could have been missed; None where nothing was seen
    chance: the probability of a deviation at least as large if the law holds; 0 or 1 for `exact`
    draws: how many values, samples or counts were judged
    """

    law: Law
    realised: float | tuple[float, ...]
    chance: float
    draws: int
    holds: bool
    low: float | tuple[float, ...] | None = None
    high: float | tuple[float, ...] | None = None

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "BROKEN"
        seen = f"nominal {self.law.nominal}, realised {self.realised}"
        return f"{self.law.name}: {verdict}; {seen} ({self.draws:,} draws, p = {self.chance:.2g})"


class Evidence:
    """What has been seen of one law; it takes the same memory after any number of draws."""

    def __init__(self, law: Law):
        self.law = law
        self._draws, self._square, self._whole = 0, 0.0, 0.0
        self._sum: Any = 0.0  # of the deviations from the nominal; of the counts of `shares`

    def add(self, before: Any, after: Any) -> None:
        """Look at one batch more."""
        values = np.asarray(self.law.measure(before, after), np.float64)
        if not len(values):
            return
        if self.law.kind == "shares":
            self._sum = self._sum + values
            self._draws += int(values.sum())
            return
        if self.law.kind == "rare":
            self._sum = self._sum + values.sum(0)
            self._draws += int(values[:, 1].sum())
            return
        self._draws += len(values)
        if self.law.kind == "ratio":
            part, whole = values.T
            values = part - self.law.nominal * whole
            self._whole += whole.sum()
        else:
            values = values - self.law.nominal
        if self.law.kind == "exact":
            values = ~(np.abs(values) < 1e-9)  # so that NaN is wrong
        self._sum += values.sum()
        self._square += np.square(values, dtype=np.float64).sum()

    def finding(self, alarm: float) -> Finding:
        """Decide at a false-alarm probability of `alarm`.

        A law that found nothing to look at does not hold, if it is not optional: a check that
        checks nothing is an error.
        """
        if not self._draws:
            optional = self.law.optional
            return Finding(self.law, math.nan, float(optional), 0, optional)
        if self.law.kind == "exact":
            return self._exact(alarm)
        if self.law.kind == "rare":
            return self._rare(alarm)
        return self._shares(alarm) if self.law.kind == "shares" else self._mean(alarm)

    def _exact(self, alarm: float) -> Finding:
        """No chance is involved; the interval says what share of wrong values this many draws
        would have shown (Clopper and Pearson 1934)."""
        wrong, right = int(self._sum), self._draws - int(self._sum)
        low = float(special.betaincinv(max(right, 1e-300), wrong + 1, alarm / 2)) if right else 0.0
        high = float(special.betaincinv(right + 1, wrong, 1 - alarm / 2)) if wrong else 1.0
        share = right / self._draws
        return Finding(self.law, share, float(not wrong), self._draws, not wrong, low, high)

    def _rare(self, alarm: float) -> Finding:
        """Two-sided exact binomial test, with Clopper and Pearson's interval."""
        events, trials, nominal = int(self._sum[0]), self._draws, self.law.nominal
        rest = trials - events
        below = special.bdtr(events, trials, nominal)
        above = special.bdtrc(events - 1, trials, nominal) if events else 1.0
        chance = float(min(2 * min(below, above), 1.0))
        low = float(special.betaincinv(events, rest + 1, alarm / 2)) if events else 0.0
        high = float(special.betaincinv(events + 1, rest, 1 - alarm / 2)) if rest else 1.0
        return Finding(self.law, events / trials, chance, trials, chance > alarm, low, high)

    def _mean(self, alarm: float) -> Finding:
        """Two-sided z-test; with >= 1e4 samples the mean is as good as normal."""
        number = self._draws
        scale = self._whole / number if self.law.kind == "ratio" else 1.0
        off, spread = self._sum / number, max(self._square / number - (self._sum / number) ** 2, 0)
        error = max(math.sqrt(spread / number) / scale, 1e-12)
        realised = float(self.law.nominal + off / scale)
        chance = float(2 * special.ndtr(-abs(off / scale) / error))
        reach = float(-special.ndtri(alarm / 2) * error)
        low, high = realised - reach, realised + reach
        return Finding(self.law, realised, chance, number, chance > alarm, low, high)

    def _shares(self, alarm: float) -> Finding:
        """Pearson's chi-square test; classes of probability 0 must stay empty."""
        nominal, counts = np.asarray(self.law.nominal, np.float64), self._sum
        shares = counts / self._draws
        possible = nominal > 0
        expected = nominal[possible] * self._draws
        distance = float(((counts[possible] - expected) ** 2 / expected).sum())
        freedom = max(int(possible.sum()) - 1, 1)
        chance = float(special.gammaincc(freedom / 2, distance / 2))
        chance = 0.0 if counts[~possible].any() else chance
        reach = -special.ndtri(alarm / 2 / len(nominal)) * np.sqrt(
            shares * (1 - shares) / self._draws
        )
        realised, low, high = (
            tuple(float(x) for x in np.clip(part, 0, 1))
            for part in (shares, shares - reach, shares + reach)
        )
        return Finding(self.law, realised, chance, self._draws, chance > alarm, low, high)


def judge(law: Law, pairs: Iterable[tuple[Any, Any]], *, alarm: float = 1e-6) -> Finding:
    """Measure a law on many (before, after) and decide at a false-alarm probability of `alarm`."""
    evidence = Evidence(law)
    for before, after in pairs:
        evidence.add(before, after)
    return evidence.finding(alarm)


def once(view: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`view`, made once for all the laws that look at the same two objects one after the other."""
    seen: list = [None, None, None]

    def kept(before: Any, after: Any) -> Any:
        if seen[0] is not before or seen[1] is not after:
            seen[:] = before, after, view(before, after)
        return seen[2]

    return kept
