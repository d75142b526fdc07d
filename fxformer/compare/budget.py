"""The same cost for all: which checkpoint of each run to compare."""

from collections.abc import Sequence
from typing import Literal

from fxformer.compare.opened import Spent

Unit = Literal["tokens", "flops", "joules", "seconds", "step"]
SLACK = 0.05  # of the budget that a checkpoint may lie under it and still count as equal


def common(spendings: Sequence[Sequence[Spent]], unit: Unit) -> float:
    """The largest budget that all runs have reached."""
    return min(max(getattr(spent, unit) for spent in run) for run in spendings)


def within(run: Sequence[Spent], budget: float, unit: Unit) -> Spent | None:
    """The run's last checkpoint that did not cost more than the budget; None if all did."""
    fitting = [spent for spent in run if getattr(spent, unit) <= budget * (1 + 1e-9)]
    return max(fitting, key=lambda spent: spent.step, default=None)


def short(spent: Spent, budget: float, unit: Unit) -> float:
    """The share of the budget that a checkpoint left unused, beyond what counts as equal; or 0."""
    left = 1 - getattr(spent, unit) / budget if budget else 0.0
    return left if left > SLACK else 0.0
