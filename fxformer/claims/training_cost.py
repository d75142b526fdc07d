"""Measure of what training alone costs until a held-out number reaches a target."""

import dataclasses
import math
from typing import Literal

from fxformer.claims.measures import Measure, RunJoules
from fxformer.errors import UserError
from fxformer.track.run_reader import StoredRun


@dataclasses.dataclass(frozen=True)
class TrainingCostToReach(Measure):
    """Tokens, joules or seconds of training at which a number of the held-out split falls to a
    target, without start, compilation and evaluations.

    The number is interpolated linearly over tokens between the two evaluations beside the target.
    Joules and seconds are those that the run spent in its training steps, in proportion to the
    tokens: each step of a run costs the same.

    number: of the evaluations: nll, bits_per_byte …
    at_most: the target
    cost: tokens, joules or seconds. NaN where the run never reaches the target
    """

    number: str
    at_most: float
    cost: Literal["tokens", "joules", "seconds"] = "joules"

    def of_run(self, run: StoredRun) -> float:
        lines = [line for line in run.lines if line.get("split") == "valid"]
        if wrong := [line for line in lines if self.number not in line]:
            raise UserError(
                f"TrainingCostToReach: {run.id}: no {self.number} in its valid evaluations; there "
                f"are {', '.join(sorted(wrong[0]))}"
            )
        found = [(float(line["tokens"]), float(line[self.number])) for line in lines]
        tokens = first_crossing(found, self.at_most)
        if self.cost == "tokens" or not math.isfinite(tokens):
            return tokens
        if self.cost == "seconds":
            whole = run.energy().seconds["train"]
        else:
            whole = RunJoules(["train"]).of_run(run)
        return whole * tokens / found[-1][0]


def first_crossing(points: list[tuple[float, float]], target: float) -> float:
    """x at which y, linear between points that ascend in x, first is at most the target: the first
    x where y begins there; NaN where y is always higher."""
    before = None
    for x, y in points:
        if y <= target:
            if before is None:
                return x
            return before[0] + (x - before[0]) * (before[1] - target) / (before[1] - y)
        before = x, y
    return math.nan
