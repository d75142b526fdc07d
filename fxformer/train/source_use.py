"""Whether an encoder-decoder reads its source: the loss with the sources of other rows."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from fxformer.batch import Batch
from fxformer.metrics.confidence import ConfidenceInterval
from fxformer.train.callbacks import Callback
from fxformer.train.loop_state import LoopState
from fxformer.train.setup import Setup

BATCHES = 16  # of the validation rows, at most
SPLIT = "source"
GAP = "shuffled_source_gap"
LEAST = 1e-3  # nats that count as reading: less is rounding, however narrow the interval


class SourceUse(Callback):
    """Loss of validation batches whose sources are exchanged among rows, minus their loss.

    Logged as split "source" with each evaluation: `shuffled_source_gap`, the mean over targets in
    nats, and the ends of its 95 % interval over batches (Student's t). A model that ignores its
    source has 0. In rows of several pieces, piece k reads piece k of another row's source; one that
    finds none there reads nothing.

    evaluate: jitted (params, batch) -> (sums, outputs)
    """

    def __init__(self, every: int, evaluate: Callable[[Any, Any], tuple[dict, Any]], setup: Setup):
        super().__init__(every)
        self.evaluate, self.setup = evaluate, setup
        self.found: ConfidenceInterval | None = None
        self._last = -1

    def __call__(self, loop: LoopState) -> None:
        if loop.stop_requested():
            return
        loop.catch_up()
        with loop.meter.phase("evaluate"):
            self.found = self.gap(loop.state.params)
        loop.catch_up()  # nothing is pending: updates the clock
        self._last = loop.step
        if self.found is not None:
            numbers = {GAP: self.found.mean, f"{GAP}_low": self.found.low}
            numbers[f"{GAP}_high"] = self.found.high
            known = {name: value for name, value in numbers.items() if value is not None}
            loop.log(loop.step, SPLIT, known)

    def finish(self, loop: LoopState) -> None:
        if loop.status == "done" and self._last != loop.step:
            self(loop)

    def gap(self, params: Any) -> ConfidenceInterval | None:
        """The gap over batches; None: no batch has two rows with a source."""
        each, weights = [], []
        for batch in self._batches():
            moved = with_shuffled_sources(batch)
            if moved is None:
                continue
            losses = []
            for one in (batch, moved):
                total, weight = self.evaluate(params, self.setup.put(one))[0]["loss"]
                losses.append(float(total))
                count = float(weight)
            each.append(losses[1] - losses[0])
            weights.append(count)
        if not sum(weights):
            return None
        mean = sum(weights) / len(weights)  # of a ratio of sums, by its terms
        ratio = sum(each) / sum(weights)
        spread = [ratio + (d - ratio * w) / mean for d, w in zip(each, weights, strict=True)]
        return ConfidenceInterval.of(spread)

    def _batches(self) -> Iterator[Batch]:
        batches = self.setup.data.valid(self.setup.corpus.batch)
        for n in range(min(len(batches), BATCHES)):
            yield self.setup.objective.corrupt(batches[n])

    def lines(self, ended: LoopState) -> list[tuple[str, str]]:
        """A line of the summary."""
        return source_lines(self.found)


def source_use_of(setup: Setup) -> SourceUse | None:
    """For an encoder-decoder whose decoder does not read the source itself; None for others."""
    objective = setup.objective
    if objective.model.architecture != "seq2seq" or not objective.needs_lm_head:
        return None
    return SourceUse(setup.trainer.eval_every, setup.jitted(setup.evaluate), setup)


def with_shuffled_sources(batch: Batch) -> Batch | None:
    """Each row with the source of the row before it that has one; None: fewer than two have."""
    rows = np.flatnonzero(np.any(np.asarray(batch.source_segments) > 0, axis=1))
    if len(rows) < 2:
        return None
    order = np.arange(len(batch.source))
    order[rows] = np.roll(rows, 1)
    names = ("source", "source_segments", "global_tokens")
    given: Mapping[str, Any] = {name: getattr(batch, name) for name in names}
    return dataclasses.replace(
        batch, **{name: np.asarray(x)[order] for name, x in given.items() if x is not None}
    )


def source_lines(found: ConfidenceInterval | None) -> list[tuple[str, str]]:
    """What the gap says, as a line of a run's summary."""
    if found is None or found.low is None or found.high is None:
        return []
    words = f"{found.mean:.3g} [{found.low:.3g}, {found.high:.3g}] nats with sources of other rows"
    if found.low > 0 and found.mean >= LEAST:
        return [("source", f"is read: the loss rises by {words}")]
    return [
        (
            "source",
            f"the decoder ignores its source: the loss changes by {words}; train longer, or look "
            "at the pairs of the data",
        )
    ]
