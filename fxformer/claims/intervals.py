"""Confidence intervals of differences of means (Welch, paired) and of proportions."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from fxformer.metrics.confidence import ConfidenceInterval


def welch(first: Sequence[float], second: Sequence[float], confidence: float) -> ConfidenceInterval:
    """Mean of `first` minus mean of `second`, with the interval of independent samples of unequal
    variances. Welch 1947. n: of the smaller sample; no interval where it is below 2."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    difference, n = float(a.mean() - b.mean()), min(len(a), len(b))
    if n < 2 or not math.isfinite(difference):
        return ConfidenceInterval(difference, n)
    parts = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    error = math.sqrt(sum(parts))
    if error == 0:  # neither sample varies
        return ConfidenceInterval(difference, n, difference, difference)
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (len(a) - 1) + parts[1] ** 2 / (len(b) - 1))
    half = float(special.stdtrit(freedom, (1 + confidence) / 2)) * error
    return ConfidenceInterval(difference, n, difference - half, difference + half)


def wilson(successes: int, trials: int, confidence: float) -> ConfidenceInterval:
    """Share of successes with its score interval. Wilson 1927."""
    z = float(special.ndtri((1 + confidence) / 2))
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    spread = math.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2))
    half = z * spread / (1 + z * z / trials)
    low = 0.0 if successes == 0 else centre - half
    return ConfidenceInterval(share, trials, low, 1.0 if successes == trials else centre + half)


def clopper_pearson(successes: int, trials: int, confidence: float) -> ConfidenceInterval:
    """Share of successes with its exact interval, whose coverage is never too small. Clopper and
    Pearson 1934."""
    alpha, rest = 1 - confidence, trials - successes
    low = float(special.betaincinv(successes, rest + 1, alpha / 2)) if successes else 0.0
    high = float(special.betaincinv(successes + 1, rest, 1 - alpha / 2)) if rest else 1.0
    return ConfidenceInterval(successes / trials, trials, low, high)
