"""Statistical checks of what a corruption does: measured on many examples, and able to fail."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np
from scipy import special


@dataclasses.dataclass(frozen=True)
class Check:
    """One named claim about `after = noise(before)`.

    kind says what `measure(before, after)` returns and how it is judged:
    exact: values [n], each of which must equal `nominal`
    mean: independent samples [n] whose expectation is `nominal`; judged by their own spread
    ratio: independent pairs [n, 2] of a part and its whole; the expected share of all wholes
        together is `nominal`. Long pieces count for more, which a mean over pieces would forgo
    rare: pairs [n, 2] of events and independent trials, each an event with probability `nominal`;
        for events so rare that few or none are seen, where a spread says nothing
    shares: counts [C] of independent draws that fall in C classes with probabilities `nominal` [C]

    A measure may return an empty array where it finds nothing to look at. A check that never finds
    anything does not hold, unless it is `optional`: of what some sound texts do not have.
    """

    name: str
    nominal: float | tuple[float, ...]
    measure: Callable[[Any, Any], np.ndarray]
    kind: Literal["exact", "mean", "ratio", "rare", "shares"]
    optional: bool = False

    def through(self, view: Callable[[Any, Any], tuple[Any, Any]], name: str = "") -> "Check":
        """The same check of a part, measured on what `view` shows of the whole."""
        return dataclasses.replace(
            self,
            name=f"{name}: {self.name}" if name else self.name,
            measure=lambda before, after: self.measure(*view(before, after)),
        )


@dataclasses.dataclass(frozen=True)
class Finding:
    """What came out for one check.

    observed: the share of right values (exact), the mean, the ratio, or the shares
    low, high: the interval of confidence 1 - alpha around `observed`: of a mean or ratio by its own
        spread, of shares each by its class (confidence shared among them), of right values by how
        many wrong ones could have been missed; None where nothing was seen
    p_value: the probability of a deviation at least as large if the check holds; 0 or 1 for `exact`
    draws: how many values, samples or counts were judged
    """

    check: Check
    observed: float | tuple[float, ...]
    p_value: float
    draws: int
    holds: bool
    low: float | tuple[float, ...] | None = None
    high: float | tuple[float, ...] | None = None

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "BROKEN"
        seen = f"nominal {self.check.nominal}, observed {self.observed}"
        return (
            f"{self.check.name}: {verdict}; {seen} ({self.draws:,} draws, p = {self.p_value:.2g})"
        )


class Statistic:
    """What has been seen of one check; it takes the same memory after any number of draws."""

    def __init__(self, check: Check):
        self.check = check
        self._draws, self._square, self._whole = 0, 0.0, 0.0
        self._sum: Any = 0.0  # of the deviations from the nominal; of the counts of `shares`

    def add(self, before: Any, after: Any) -> None:
        """Look at one batch more."""
        values = np.asarray(self.check.measure(before, after), np.float64)
        if not len(values):
            return
        if self.check.kind == "shares":
            self._sum = self._sum + values
            self._draws += int(values.sum())
            return
        if self.check.kind == "rare":
            self._sum = self._sum + values.sum(0)
            self._draws += int(values[:, 1].sum())
            return
        self._draws += len(values)
        if self.check.kind == "ratio":
            part, whole = values.T
            values = part - self.check.nominal * whole
            self._whole += whole.sum()
        else:
            values = values - self.check.nominal
        if self.check.kind == "exact":
            values = ~(np.abs(values) < 1e-9)  # so that NaN is wrong
        self._sum += values.sum()
        self._square += np.square(values, dtype=np.float64).sum()

    def finding(self, alpha: float) -> Finding:
        """Decide at significance level `alpha`.

        A check that found nothing to look at does not hold, if it is not optional: a check that
        checks nothing is an error.
        """
        if not self._draws:
            optional = self.check.optional
            return Finding(self.check, math.nan, float(optional), 0, optional)
        if self.check.kind == "exact":
            return self._exact(alpha)
        if self.check.kind == "rare":
            return self._rare(alpha)
        return self._shares(alpha) if self.check.kind == "shares" else self._mean(alpha)

    def _exact(self, alpha: float) -> Finding:
        """Nothing is random; the interval says what share of wrong values this many draws
        would have shown (Clopper and Pearson 1934)."""
        wrong, right = int(self._sum), self._draws - int(self._sum)
        low = float(special.betaincinv(max(right, 1e-300), wrong + 1, alpha / 2)) if right else 0.0
        high = float(special.betaincinv(right + 1, wrong, 1 - alpha / 2)) if wrong else 1.0
        share = right / self._draws
        return Finding(self.check, share, float(not wrong), self._draws, not wrong, low, high)

    def _rare(self, alpha: float) -> Finding:
        """Two-sided exact binomial test, with Clopper and Pearson's interval."""
        events, trials, nominal = int(self._sum[0]), self._draws, self.check.nominal
        rest = trials - events
        below = special.bdtr(events, trials, nominal)
        above = special.bdtrc(events - 1, trials, nominal) if events else 1.0
        p_value = float(min(2 * min(below, above), 1.0))
        low = float(special.betaincinv(events, rest + 1, alpha / 2)) if events else 0.0
        high = float(special.betaincinv(events + 1, rest, 1 - alpha / 2)) if rest else 1.0
        return Finding(self.check, events / trials, p_value, trials, p_value > alpha, low, high)

    def _mean(self, alpha: float) -> Finding:
        """Two-sided z-test; with >= 1e4 samples the mean is as good as normal."""
        number = self._draws
        scale = self._whole / number if self.check.kind == "ratio" else 1.0
        off, spread = self._sum / number, max(self._square / number - (self._sum / number) ** 2, 0)
        error = max(math.sqrt(spread / number) / scale, 1e-12)
        observed = float(self.check.nominal + off / scale)
        p_value = float(2 * special.ndtr(-abs(off / scale) / error))
        reach = float(-special.ndtri(alpha / 2) * error)
        low, high = observed - reach, observed + reach
        return Finding(self.check, observed, p_value, number, p_value > alpha, low, high)

    def _shares(self, alpha: float) -> Finding:
        """Pearson's chi-square test; classes of probability 0 must stay empty."""
        nominal, counts = np.asarray(self.check.nominal, np.float64), self._sum
        shares = counts / self._draws
        possible = nominal > 0
        expected = nominal[possible] * self._draws
        distance = float(((counts[possible] - expected) ** 2 / expected).sum())
        freedom = max(int(possible.sum()) - 1, 1)
        p_value = float(special.gammaincc(freedom / 2, distance / 2))
        p_value = 0.0 if counts[~possible].any() else p_value
        reach = -special.ndtri(alpha / 2 / len(nominal)) * np.sqrt(
            shares * (1 - shares) / self._draws
        )
        observed, low, high = (
            tuple(float(x) for x in np.clip(part, 0, 1))
            for part in (shares, shares - reach, shares + reach)
        )
        return Finding(self.check, observed, p_value, self._draws, p_value > alpha, low, high)


def judge(check: Check, pairs: Iterable[tuple[Any, Any]], *, alpha: float = 1e-6) -> Finding:
    """Measure a check on many (before, after) and decide at significance level `alpha`."""
    evidence = Statistic(check)
    for before, after in pairs:
        evidence.add(before, after)
    return evidence.finding(alpha)


def once(view: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Cache `view` for the last pair of objects, since several checks read the same pair."""
    seen: list = [None, None, None]

    def kept(before: Any, after: Any) -> Any:
        if seen[0] is not before or seen[1] is not after:
            seen[:] = before, after, view(before, after)
        return seen[2]

    return kept
