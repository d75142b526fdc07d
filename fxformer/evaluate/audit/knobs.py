"""Options of an audit: the `audit` node of conf/audit.yaml."""

import dataclasses
from typing import Annotated

from fxformer.files import check_output
from fxformer.types import Count, Natural, Range

Alpha = Annotated[float, Range(0, 1, open_low=True, open_high=True)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Audit:
    """draws: examples (pieces of text) to draw at least
    rows: packed rows corrupted and measured at once
    examples: texts to show before and after
    alpha: probability that an objective all of whose rules hold is called wrong; each of R rules
        is tested at alpha / R (Bonferroni), so the intervals hold together at confidence 1 - alpha
    steps: training steps to time
    json: file for everything that is printed
    """

    draws: Count = 100_000
    rows: Count = 256
    examples: Natural = 3
    alpha: Alpha = 1e-4
    steps: Natural = 0
    json: str | None = None

    def __post_init__(self) -> None:
        if self.json is not None:
            check_output(self.json, "audit.json")
