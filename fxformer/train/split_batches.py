"""Batches of a split on the devices for evaluation, what is in them, metrics of the outputs."""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from fxformer.batch import Batch, Labels
from fxformer.data.mixture_rows import part_names, part_of
from fxformer.data.round_trip import bits_per_byte
from fxformer.flops.training import tokens_read
from fxformer.metrics.results import MetricResults
from fxformer.objective.coverage import Coverage
from fxformer.train.placement import on_host

if TYPE_CHECKING:
    from fxformer.train.setup import Setup


@dataclasses.dataclass
class SplitBatches:
    """All batches of a split on the devices; every pass yields the same ones.

    scored, tokens: scored targets, and tokens read, of one complete pass; 0 before the first
    coverage: which of the texts were in the batches of the last complete pass
    outputs: of a labelled task: (labels, outputs of its head) of each batch of the last pass
    whole: whether the last pass reached its end
    part: of a mixture, the one that the last batch is of; None: it is no mixture
    """

    setup: "Setup"
    split: str = "valid"
    scored: int = 0
    tokens: int = 0
    coverage: Coverage | None = None
    outputs: list[tuple[Labels, np.ndarray]] = dataclasses.field(default_factory=list)
    whole: bool = False
    part: str | None = None

    def __iter__(self) -> Iterator[Batch]:
        data, corpus = self.setup.data, self.setup.corpus
        scored, tokens, corrupt = 0, 0, Coverage(self.setup.objective)
        self.outputs, self.whole = [], False
        batches = data.in_order(self.split, corpus.batch, self.setup.own_rows)
        with data.loader(batches, corrupt, workers=corpus.workers) as loader:
            for n, batch in loader:
                self.part = part_of(data.packed[self.split], n * corpus.batch)
                scored, tokens = scored + int(np.sum(batch.weights)), tokens + tokens_read(batch)
                yield self.setup.put_rows(batch)
        self.scored, self.tokens, self.coverage = summed(self.setup, scored, tokens, corrupt)
        self.whole = True

    def observe(self, batch: Batch, outputs: jax.Array) -> None:
        """Keep the outputs of a labelled task's head for a batch."""
        assert batch.labels is not None  # only such batches have outputs
        self.outputs.append((on_host(batch.labels), on_host(outputs)))

    def derived_names(self, numbers: dict[str, float]) -> list[str]:
        """Names of the metrics that `results` and `derive` add."""
        parts = [f"loss_{name}" for name in part_names(self.setup.data.packed[self.split])]
        return [*self.setup.objective.metric_names, *self.derive(numbers), *parts]

    def results(self) -> MetricResults | None:
        """Metrics of the outputs of a labelled task; None: the objective has none."""
        packed = self.setup.data.packed[self.split]
        return self.setup.objective.results(self.outputs, packed)

    def derive(self, numbers: dict[str, float]) -> dict[str, float]:
        """Perplexity, and bits per byte of text objectives.

        Bits per byte include the cost of what a lossy tokenizer drops (data/round_trip.py).
        """
        if not self.setup.objective.needs_lm_head:
            return {}
        nats = numbers.get("nll", numbers["loss"])
        more = {"perplexity": float(jnp.exp(min(nats, 80.0)))}
        facts = self.setup.data.facts[self.split]
        if facts["bytes"] and self.setup.objective.scores_text:
            more["bits_per_byte"] = bits_per_byte(nats * self.scored, facts)
        return more


def summed(setup: "Setup", scored: int, tokens: int, seen: Coverage) -> tuple[int, int, Coverage]:
    """Counts of all processes, from those of each, unless each makes whole batches."""
    if setup.group.alone or setup.own_rows is None:
        return scored, tokens, seen
    every = setup.group.exchange("counts", [scored, tokens, seen.counts()])
    coverage = Coverage.merged(setup.objective, [one[2] for one in every])
    return sum(one[0] for one in every), sum(one[1] for one in every), coverage
