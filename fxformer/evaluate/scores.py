"""Scores of `fxformer compare`: bits per byte of the same words in three settings, and a probe."""

import dataclasses
import math
from typing import cast

import numpy as np

from fxformer.data.round_trip import RoundTrip, decoded, difference
from fxformer.evaluate.passages import Passage, continued
from fxformer.evaluate.probe import Labelled, accuracy, features
from fxformer.inference.loaded_run import LoadedRun
from fxformer.objective.infilling import InfillExample, ScoringRequest


@dataclasses.dataclass(frozen=True)
class RatioEstimate:
    """A ratio of sums with its standard error.

    each: [n], of each passage or text, so that two runs can be compared passage by passage
    sizes: [n], the denominators: for bits per byte the bytes
    """

    value: float
    error: float
    each: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, each: np.ndarray, sizes: np.ndarray) -> "RatioEstimate":
        """Σ each / Σ sizes, with the error of a ratio of means (Cochran 1977, sec. 2.11)."""
        value = each.sum() / sizes.sum()
        off = each - value * sizes
        error = math.sqrt((off**2).sum() / max(len(each) - 1, 1) / len(each)) / sizes.mean()
        return cls(float(value), float(error), each, sizes)

    def minus(self, other: "RatioEstimate") -> "RatioEstimate":
        """The difference to that of another run on the same passages."""
        return RatioEstimate.of(self.each - other.each, self.sizes)


@dataclasses.dataclass(frozen=True)
class RunScores:
    """Scores of one run; None where its objective cannot be scored so.

    infill: the left-out words, given the text on both sides, as far as the objective reads it
    follow: the same words, given only the text before them
    pseudo: each token of the words alone, given all others (Salazar et al. 2020). Not a
        probability of the words: it is given their neighbours among them, and so is lower
    probe, untrained: accuracy on the probe's task, of this model and of it with its initial weights
    blind: infill does not read the text after
    lossy: share of the words' bytes that the tokenizer does not give back; bits per byte include
        an edit script for them (see data/round_trip.py)
    """

    infill: RatioEstimate | None
    follow: RatioEstimate | None
    pseudo: RatioEstimate | None
    probe: RatioEstimate | None = None
    untrained: RatioEstimate | None = None
    blind: bool = False
    lossy: float = 0.0


def infill_bits(
    loaded: LoadedRun, examples: list[InfillExample], sizes: np.ndarray
) -> RatioEstimate | None:
    """Bits per byte of the middle of each example."""
    requests: list[list[ScoringRequest]] = []
    for example in examples:
        some = loaded.objective.scoring_requests(example)
        if some is None:
            return None
        requests.append(some)
    rows = [request for some in requests for request in some]
    owner = np.repeat(np.arange(len(examples)), [len(some) for some in requests])
    nats = np.bincount(owner, weights=loaded.nll(rows), minlength=len(examples))
    return RatioEstimate.of(nats / math.log(2), sizes)


def reads_alike(loaded: LoadedRun, one: InfillExample, other: InfillExample) -> bool:
    """Whether the model's input is the same for two examples."""
    requests = [
        cast(list[ScoringRequest], loaded.objective.scoring_requests(example))
        for example in (one, other)
    ]
    pairs = zip(*requests, strict=True)

    def read(request: ScoringRequest):
        return [request.tokens] if request.source is None else [request.tokens, request.source]

    return all(all(map(np.array_equal, read(a), read(b))) for a, b in pairs)


def pseudo(
    loaded: LoadedRun, examples: list[InfillExample], sizes: np.ndarray
) -> RatioEstimate | None:
    """Bits per byte by pseudo-likelihood: each token given all others."""
    singles = [example.singles() for example in examples]
    owner = np.repeat(np.arange(len(examples)), [len(some) for some in singles])
    flat = infill_bits(loaded, [one for some in singles for one in some], np.ones(len(owner)))
    if flat is None:
        return None
    return RatioEstimate.of(np.bincount(owner, weights=flat.each, minlength=len(examples)), sizes)


def charges(loaded: LoadedRun, passages: list[Passage]) -> tuple[np.ndarray, float]:
    """(bits of the edit script of each passage's middle, share of their bytes that are lost)."""
    trips = []
    for one in passages:
        whole, left = one.left + one.middle + one.right, len(one.left.encode())
        back = decoded(loaded.tokenizer, loaded.tokenizer.encode(whole))
        missing, added = difference(whole.encode(), back.encode())
        lost = int(missing[left : left + one.size].sum())
        more = int(added[left : left + one.size].sum())
        trips.append(RoundTrip(1, int(not lost + more), one.size - lost, lost, more))
    total = sum(trips, RoundTrip())
    prices = np.array(total.prices())
    counts = np.array([(trip.kept, trip.missing, trip.added) for trip in trips], np.float64)
    return counts @ prices if total.lossy else np.zeros(len(trips)), total.lossy


def read(
    loaded: LoadedRun, passages: list[Passage], examples: list[InfillExample], task: Labelled | None
) -> RunScores:
    """All scores of one run."""
    sizes = np.array([passage.size for passage in passages], np.float64)
    script, lossy = charges(loaded, passages)
    infill = infill_bits(loaded, examples, sizes)
    ends = [continued(example, loaded.tokenizer) for example in examples]
    follow = infill_bits(loaded, ends, sizes)
    blind = follow is not None and reads_alike(loaded, examples[0], ends[0])
    # For a model that reads only what comes before, pseudo-likelihood is `follow`.
    each = None if blind else pseudo(loaded, examples, sizes)
    probe = untrained = None
    if task is not None:
        one = np.ones(task.test.sum())
        probe = RatioEstimate.of(accuracy(features(loaded, task.texts), task).astype(float), one)
        fresh = features(loaded.untrained(), task.texts)
        untrained = RatioEstimate.of(accuracy(fresh, task).astype(float), one)
    infill, follow, each = (
        None if one is None else RatioEstimate.of(one.each + script, sizes)
        for one in (infill, follow, each)
    )
    return RunScores(infill, follow, each, probe, untrained, blind, lossy)
