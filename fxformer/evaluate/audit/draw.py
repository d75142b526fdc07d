"""Draw examples from an objective and collect the statistics of each of its checks."""

import dataclasses
from collections import Counter
from collections.abc import Callable

import numpy as np

from fxformer.data.loader import Batches
from fxformer.evaluate.audit.check import Finding, Statistic
from fxformer.evaluate.audit.checks.all import checks_of
from fxformer.objective.base import Objective


@dataclasses.dataclass(frozen=True)
class Drawn:
    """What many draws have shown.

    findings: one for each check, in the objective's order
    examples, tokens: how much text was drawn, each epoch of the corpus counting anew
    epochs: how often the corpus was begun
    tally: what had to be left out, by name
    """

    findings: tuple[Finding, ...]
    examples: int
    tokens: int
    epochs: int
    tally: dict[str, int]

    @property
    def broken(self) -> tuple[Finding, ...]:
        """The rules that do not hold."""
        return tuple(finding for finding in self.findings if not finding.holds)


def draw(
    objective: Objective,
    batches: Batches,
    draws: int,
    *,
    alpha: float,
    watch: Callable[[int], None] = lambda examples: None,
) -> Drawn:
    """Corrupt batch after batch until `draws` examples are seen, and judge.

    alpha: of all checks together; each is tested at its equal part of it
    watch: told how many examples there are after each batch
    """
    evidence = [Statistic(check) for check in checks_of(objective)]
    tally: Counter[str] = Counter()
    examples, tokens, n = 0, 0, 0
    while examples < draws:
        rows = batches[n]
        n += 1
        before = Counter(objective.tally.counts())
        batch = objective.corrupt(rows)
        tally += Counter(objective.tally.counts()) - before  # before the checks corrupt it again
        for each in evidence:
            each.add(rows, batch)
        examples += len(np.unique(rows.examples[rows.segments > 0]))
        tokens += int(np.count_nonzero(rows.segments))
        watch(min(examples, draws))
    findings = tuple(each.finding(alpha / len(evidence)) for each in evidence)
    return Drawn(findings, examples, tokens, batches.epoch(n - 1) + 1, dict(tally))
