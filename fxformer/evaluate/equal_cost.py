"""Checkpoints of several runs at the same cost in tokens, FLOPs or joules."""

import math
from collections.abc import Sequence
from typing import Literal

from fxformer.errors import UserError
from fxformer.inference.loaded_run import CheckpointCost

Unit = Literal["tokens", "flops", "joules", "seconds", "step"]
SLACK = 0.05  # of the budget that a checkpoint may lie under it and still count as equal


def common(costs: Sequence[Sequence[CheckpointCost]], unit: Unit) -> float:
    """The largest budget that all runs have reached."""
    return min(max(getattr(spent, unit) for spent in run) for run in costs)


def within(run: Sequence[CheckpointCost], budget: float, unit: Unit) -> CheckpointCost | None:
    """The run's last checkpoint that did not cost more than the budget; None if all did."""
    fitting = [spent for spent in run if getattr(spent, unit) <= budget * (1 + 1e-9)]
    return max(fitting, key=lambda spent: spent.step, default=None)


def choose(
    runs: Sequence[tuple[str, Sequence[CheckpointCost]]], unit: Unit, budget: float | None = None
) -> tuple[float, list[CheckpointCost], bool]:
    """(budget, a checkpoint of each run, whether they cost the same). runs: names, checkpoints.

    Without a budget: the largest that all runs have reached; where a run kept no checkpoint of so
    little, the final ones of all. UserError where a run has none within a budget that was given.
    """
    asked = common([made for _, made in runs], unit) if budget is None else budget
    chosen = [within(made, asked, unit) for _, made in runs]
    fitting = [one for one in chosen if one is not None]
    if len(fitting) == len(runs):
        return asked, fitting, True
    if budget is None:
        return asked, [made[-1] for _, made in runs], False
    run, made = runs[chosen.index(None)]
    least = at_least(min(getattr(spent, unit) for spent in made))
    raise UserError(
        f"{run} kept no checkpoint of {budget:.6g} {unit} or less: give --budget {least} or more, "
        "or no --budget, or train it with trainer.save_every=… "
        "trainer.keep_checkpoints=… so that it keeps more"
    )


def at_least(cost: float) -> str:
    """A cost in few digits, rounded up, so that what is typed is enough."""
    if cost <= 0:
        return "0"
    step = 10.0 ** (math.floor(math.log10(cost)) - 3)
    return f"{math.ceil(cost / step * (1 - 1e-12)) * step:.10g}"


def short(spent: CheckpointCost, budget: float, unit: Unit) -> float:
    """The share of the budget that a checkpoint left unused, beyond what counts as equal; or 0."""
    left = 1 - getattr(spent, unit) / budget if budget else 0.0
    return left if left > SLACK else 0.0
