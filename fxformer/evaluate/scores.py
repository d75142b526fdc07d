"""What the yardstick reads: bits per byte of the same words, asked in three ways, and a probe."""

import dataclasses
import math
from typing import cast

import numpy as np

from fxformer.data.round_trip import RoundTrip, decoded, difference
from fxformer.evaluate.passages import Passage, continued
from fxformer.evaluate.probe import Labelled, accuracy, features
from fxformer.inference.loaded_run import LoadedRun
from fxformer.objective.infilling import Hole, Question


@dataclasses.dataclass(frozen=True)
class Measured:
    """A number and its standard error over the passages (texts); each: [n], one for each of them,
    so that two runs can be compared passage by passage. For bits per byte `sizes` are bytes."""

    value: float
    error: float
    each: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, each: np.ndarray, sizes: np.ndarray) -> "Measured":
        """Σ each / Σ sizes, with the error of a ratio of means (Cochran 1977, sec. 2.11)."""
        value = each.sum() / sizes.sum()
        off = each - value * sizes
        error = math.sqrt((off**2).sum() / max(len(each) - 1, 1) / len(each)) / sizes.mean()
        return cls(float(value), float(error), each, sizes)

    def beyond(self, other: "Measured") -> "Measured":
        """How much larger than that of another run on the same passages."""
        return Measured.of(self.each - other.each, self.sizes)


@dataclasses.dataclass(frozen=True)
class Readings:
    """What one run shows; None where it cannot be asked.

    infill: the words taken out, given the text on either side, as far as the objective reads it
    follow: the same words, given only what comes before them
    pseudo: each token of the words alone, given all others (Salazar et al. 2020). No probability of
        the words: it looks at neighbours that are to be predicted themselves, and so lies lower
    probe, untrained: accuracy on the probe's task, of this model and of it before any training
    blind: infill never read what comes after
    lossy: share of the words' bytes that the tokenizer does not give back; bits per byte include
        an edit script for them (see data/round_trip.py)
    """

    infill: Measured | None
    follow: Measured | None
    pseudo: Measured | None
    probe: Measured | None = None
    untrained: Measured | None = None
    blind: bool = False
    lossy: float = 0.0


def surprise(loaded: LoadedRun, holes: list[Hole], sizes: np.ndarray) -> Measured | None:
    """Bits per byte of what is asked for in each hole."""
    asked: list[list[Question]] = []
    for hole in holes:
        questions = loaded.objective.questions(hole)
        if questions is None:
            return None
        asked.append(questions)
    rows = [question for questions in asked for question in questions]
    owner = np.repeat(np.arange(len(holes)), [len(questions) for questions in asked])
    nats = np.bincount(owner, weights=loaded.nll(rows), minlength=len(holes))
    return Measured.of(nats / math.log(2), sizes)


def reads_alike(loaded: LoadedRun, one: Hole, other: Hole) -> bool:
    """Whether two holes come to the same rows for the model."""
    asked = [cast(list[Question], loaded.objective.questions(hole)) for hole in (one, other)]
    pairs = zip(*asked, strict=True)

    def read(question: Question):
        return [question.tokens] if question.source is None else [question.tokens, question.source]

    return all(all(map(np.array_equal, read(a), read(b))) for a, b in pairs)


def pseudo(loaded: LoadedRun, holes: list[Hole], sizes: np.ndarray) -> Measured | None:
    """Bits per byte, every token asked for alone."""
    singles = [hole.singles() for hole in holes]
    owner = np.repeat(np.arange(len(holes)), [len(some) for some in singles])
    flat = surprise(loaded, [one for some in singles for one in some], np.ones(len(owner)))
    if flat is None:
        return None
    return Measured.of(np.bincount(owner, weights=flat.each, minlength=len(holes)), sizes)


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
    loaded: LoadedRun, passages: list[Passage], holes: list[Hole], task: Labelled | None
) -> Readings:
    """Everything the yardstick reads of one run."""
    sizes = np.array([passage.size for passage in passages], np.float64)
    script, lossy = charges(loaded, passages)
    infill = surprise(loaded, holes, sizes)
    ends = [continued(hole, loaded.tokenizer) for hole in holes]
    follow = surprise(loaded, ends, sizes)
    blind = follow is not None and reads_alike(loaded, holes[0], ends[0])
    # For a model that reads only what comes before, one token at a time is what `follow` asks.
    each = None if blind else pseudo(loaded, holes, sizes)
    probe = untrained = None
    if task is not None:
        one = np.ones(task.test.sum())
        probe = Measured.of(accuracy(features(loaded, task.texts), task).astype(float), one)
        fresh = features(loaded.untrained(), task.texts)
        untrained = Measured.of(accuracy(fresh, task).astype(float), one)
    infill, follow, each = (
        None if one is None else Measured.of(one.each + script, sizes)
        for one in (infill, follow, each)
    )
    return Readings(infill, follow, each, probe, untrained, blind, lossy)
