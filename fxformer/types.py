"""One alphabet for every axis, and the kinds of number a knob may be.

B batch, T here (queries), S there (keys), D width, E embedding width, H heads, G key-value heads,
K head width, F hidden width, V vocabulary, L layers, N memory, M picked positions, C classes.
"""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any

# What `_partial_: true` in a yaml yields: the parent gives the shapes, the yaml gave the knobs.
# It returns an nnx.Module, said in words so that this file imports nothing heavy.
Part = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Range:
    """The interval [low, high] a number must lie in; `open_low` and `open_high` leave out an end.

    The config check reads it off the annotation of a knob, so a bad value fails before anything
    is built. NaN lies in no range; an infinite value only in one whose end is None.
    """

    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False

    def holds(self, value: float) -> bool:
        """Whether `value` lies inside."""
        if value != value or value in (float("inf"), float("-inf")):
            return False
        above = self.low is None or (value > self.low if self.open_low else value >= self.low)
        below = self.high is None or (value < self.high if self.open_high else value <= self.high)
        return above and below

    def __str__(self) -> str:
        left = "(" if self.open_low or self.low is None else "["
        right = ")" if self.open_high or self.high is None else "]"
        low = "-inf" if self.low is None else f"{self.low:g}"
        high = "inf" if self.high is None else f"{self.high:g}"
        return f"{left}{low}, {high}{right}"


Count = Annotated[int, Range(1)]  # 1, 2, 3 …
Natural = Annotated[int, Range(0)]  # 0, 1, 2 …
Rate = Annotated[float, Range(0, 1, open_high=True)]  # a share that may be 0 but not everything
Share = Annotated[float, Range(0, 1)]  # a share, ends included
Positive = Annotated[float, Range(0, open_low=True)]
NonNegative = Annotated[float, Range(0)]
Proportion = Annotated[float, Range(0, 1, open_low=True, open_high=True)]  # neither 0 nor 1
