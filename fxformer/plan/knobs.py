"""How a forecast is made: the `plan` part of conf/plan.yaml."""

import dataclasses
from collections.abc import Sequence

from fxformer.energy.carbon import find_region
from fxformer.files import check_output
from fxformer.types import Positive


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """calibrate: make real steps, to know their time and energy; their weights are thrown away
    seconds: of such steps, after compiling
    compile: compile the step, to know the memory it needs; calibrating does so anyway
    elsewhere: regions whose grids are put beside this one's
    json: file for everything that is printed
    """

    calibrate: bool = False
    seconds: Positive = 5.0
    compile: bool = True
    elsewhere: Sequence[str] = ("SWE", "FRA", "USA", "DEU", "POL")
    json: str | None = None

    def __post_init__(self) -> None:
        for code in self.elsewhere:
            find_region(code)
        if self.json is not None:
            check_output(self.json, "plan.json")
