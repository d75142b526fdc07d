"""What a run may use: minutes, kilowatt-hours, grams of CO2 equivalent; all attempts together."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from fxformer.energy.energy import ModelEnergy
from fxformer.train.running import Totals


@dataclasses.dataclass(frozen=True)
class Limit:
    """knob: as the config calls it; most: how much; used: totals -> how much so far, same unit."""

    knob: str
    most: float
    unit: str
    used: Callable[[Totals], float]


@dataclasses.dataclass(frozen=True)
class Budget:
    """A run ends as soon as one of its limits is reached: within a step of it, since numbers are
    read one step late. What the last evaluation and checkpoint use comes on top."""

    limits: Sequence[Limit] = ()

    def share(self, totals: Totals) -> float:
        """How much of the budget is spent: of the limit nearest to its end. 1: all of it."""
        return max((limit.used(totals) / limit.most for limit in self.limits), default=0.0)

    def over(self, totals: Totals) -> str | None:
        """Which limit is reached, in words."""
        for limit in self.limits:
            used = limit.used(totals)
            if used >= limit.most:
                return (
                    f"{limit.knob}={limit.most:g} is spent: {used:.4g} {limit.unit} "
                    f"before the last evaluation"
                )
        return None


def budget_of(
    minutes: float | None,
    energy: ModelEnergy,
    hours: Callable[[], Mapping[int, float]] = dict,
) -> Budget:
    """The limits that a config gives. hours: of a meter, for a grid known by the hour"""
    kwh, grams = energy.carbon.kwh, energy.carbon.gco2e
    given = (
        ("trainer.budget_minutes", minutes, "minutes", lambda t: t.seconds / 60),
        ("energy.budget_kwh", energy.budget_kwh, "kWh", lambda t: kwh(t.joules)),
        ("energy.budget_gco2e", energy.budget_gco2e, "gCO2e", lambda t: grams(t.joules, hours())),
    )
    return Budget(tuple(Limit(*one) for one in given if one[1] is not None))
