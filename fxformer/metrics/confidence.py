"""Confidence intervals: Student's t over seeds, bootstrap over examples, paired comparison."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from fxformer.errors import UserError
from fxformer.metrics.base import Metric

CONFIDENCE = 0.95  # of every interval, unless told otherwise
MAX_GROUPS = 1000  # of the jackknife
CHUNK = 4_000_000  # numbers of weights held at once


@dataclasses.dataclass(frozen=True)
class ConfidenceInterval:
    """Mean of n numbers with its confidence interval, of 95 % unless told otherwise.

    low, high: of Student's t, None where n < 2
    """

    mean: float
    n: int
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, numbers: Sequence[float], confidence: float = CONFIDENCE) -> "ConfidenceInterval":
        """The mean of at least one number, with the interval for normal data."""
        each = np.asarray(numbers, np.float64)
        mean, n = float(each.mean()), len(each)
        if n < 2 or not np.isfinite(each).all():
            return cls(mean, n)
        from scipy import special  # half of the time that `--help` takes, if imported above

        quantile = special.stdtrit(n - 1, (1 + confidence) / 2)
        half = float(quantile * each.std(ddof=1) / math.sqrt(n))
        return cls(mean, n, mean - half, mean + half)


@dataclasses.dataclass(frozen=True)
class BootstrapInterval:
    """A number and its bootstrap interval over examples.

    low, high: None with fewer than two examples, or where more than half of the resamples leave the
        number undefined
    undefined: resamples without a number, such as a correlation with a constant
    """

    value: float
    low: float | None
    high: float | None
    confidence: float
    resamples: int
    undefined: int = 0


@dataclasses.dataclass(frozen=True)
class PairedDifference:
    """Difference of a number between two systems on the same examples.

    difference: second minus first, with its bootstrap interval
    p_value: two-sided, of no difference: share of resamples whose difference is as far from the
        mean difference as the observed one is from 0 (Riezler and Maxwell 2005, as sacrebleu)
    better: the better system, by the direction of the metric; None where the interval holds 0
    """

    difference: float
    low: float | None
    high: float | None
    p_value: float
    better: Literal["first", "second"] | None


def bootstrap(
    metric: Metric,
    statistics: np.ndarray,
    *,
    method: Literal["bca", "percentile"] = "bca",
    resamples: int = 1000,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> dict[str, BootstrapInterval]:
    """{name: bootstrap interval} over examples; a function of its arguments, seed included.

    statistics: of the metric, [N, K]
    method: "percentile", or "bca", corrected for bias and skewness (Efron 1987)
    """
    _check(resamples, confidence)
    values = metric.aggregate(statistics)
    if len(statistics) < 2:
        return {
            name: BootstrapInterval(one, None, None, confidence, 0) for name, one in values.items()
        }
    drawn = _many(metric, statistics, resampled(len(statistics), resamples, seed))
    left_out = _many(metric, statistics, _groups(len(statistics))) if method == "bca" else {}
    found = {}
    for name, value in values.items():
        kept = drawn[name][np.isfinite(drawn[name])]
        low = high = None
        if 2 * len(kept) > resamples and math.isfinite(value):
            tails = np.array([1 - confidence, 1 + confidence]) / 2
            if method == "bca":
                tails = _corrected(tails, kept, value, left_out[name])
            low, high = (float(one) for one in np.quantile(kept, tails))
        undefined = resamples - len(kept)
        found[name] = BootstrapInterval(value, low, high, confidence, resamples, undefined)
    return found


def paired_bootstrap(
    metric: Metric,
    first: np.ndarray,
    second: np.ndarray,
    *,
    resamples: int = 1000,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> dict[str, PairedDifference]:
    """{name: difference of two systems} with a percentile interval, the same resamples for both.

    first, second: statistics of both, [N, K], row n of the same example. Koehn 2004.
    Raises UserError for different numbers of examples, or fewer than two.
    """
    _check(resamples, confidence)
    if len(first) != len(second) or len(first) < 2:
        raise UserError(
            f"{metric.name}: a paired comparison needs the same examples, at least two, for both "
            f"systems; got {len(first)} and {len(second)}"
        )
    observed = [metric.aggregate(rows) for rows in (first, second)]
    drawn = [_many(metric, rows, resampled(len(rows), resamples, seed)) for rows in (first, second)]
    found = {}
    for name, up in metric.directions.items():
        difference = observed[1][name] - observed[0][name]
        samples = drawn[1][name] - drawn[0][name]
        samples = samples[np.isfinite(samples)]
        if 2 * len(samples) <= resamples or not math.isfinite(difference):
            found[name] = PairedDifference(difference, None, None, math.nan, None)
            continue
        tails = np.array([1 - confidence, 1 + confidence]) / 2
        low, high = (float(one) for one in np.quantile(samples, tails))
        extreme = np.sum(np.abs(samples - samples.mean()) >= abs(difference))
        p_value = float((extreme + 1) / (len(samples) + 1))
        better = None if low <= 0 <= high else "second" if (difference > 0) == up else "first"
        found[name] = PairedDifference(difference, low, high, p_value, better)
    return found


def resampled(examples: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each example is drawn, int [R, N], in chunks of resamples."""
    rng = np.random.default_rng(seed)
    size = max(1, CHUNK // examples)
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        drawn = rng.integers(0, examples, (rows, examples))
        flat = drawn + examples * np.arange(rows)[:, None]
        yield np.bincount(flat.ravel(), minlength=rows * examples).reshape(rows, examples)


def _many(
    metric: Metric, statistics: np.ndarray, chunks: Iterator[np.ndarray]
) -> dict[str, np.ndarray]:
    parts = [metric.aggregate_many(statistics, weights) for weights in chunks]
    return {name: np.concatenate([part[name] for part in parts]) for name in metric.names}


def _groups(examples: int) -> Iterator[np.ndarray]:
    """Weights of the jackknife, int [R, N]: each leaves one group of examples out."""
    count = min(examples, MAX_GROUPS)
    group = np.arange(examples) * count // examples
    size = max(1, CHUNK // examples)
    for start in range(0, count, size):
        yield (group != np.arange(start, min(start + size, count))[:, None]).astype(np.int64)


def _corrected(
    tails: np.ndarray, samples: np.ndarray, value: float, left_out: np.ndarray
) -> np.ndarray:
    """Probabilities of the two quantiles, corrected for bias and acceleration. Efron 1987."""
    below = (np.sum(samples < value) + np.sum(samples <= value)) / (2 * len(samples))
    if not 0 < below < 1:
        return tails
    from scipy import special  # see above

    bias = special.ndtri(below)
    gaps = left_out[np.isfinite(left_out)]
    gaps = gaps.mean() - gaps if len(gaps) else np.zeros(1)
    spread = np.sum(gaps**2) ** 1.5
    acceleration = np.sum(gaps**3) / (6 * spread) if spread > 0 else 0.0
    shifted = bias + special.ndtri(tails)
    return special.ndtr(bias + shifted / (1 - acceleration * shifted))


def _check(resamples: int, confidence: float) -> None:
    if resamples < 1 or not 0 < confidence < 1:
        raise UserError(
            f"bootstrap: expected at least one resample and a confidence between 0 and 1, got "
            f"{resamples} and {confidence}"
        )
