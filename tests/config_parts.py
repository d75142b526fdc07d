"""Small parts for the tests of the config gate, with a knob of each kind."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal


@dataclasses.dataclass(frozen=True)
class Between:
    low: float
    high: float

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"[{self.low}, {self.high}]"


class Part:
    def __init__(
        self,
        dim: int,
        *,
        heads: Annotated[int, Between(1, 64)] = 2,
        rate: Annotated[float, Between(0, 1)] = 0.1,
        kind: Literal["soft", "hard", None] = "soft",
        bias: bool = True,
        window: Annotated[int, Between(1, 9)] | None = None,
        betas: tuple[float, float] = (0.9, 0.95),
        files: Sequence[str] | str = "x",
        windows: list[int | None] | None = None,
        scale: dict[str, float] | None = None,
        act: Callable[..., Any] | None = None,
        name: str = "a",
        rngs: Any = None,
    ):
        self.dim = dim


class Bare:
    """No knobs at all."""


@dataclasses.dataclass
class Record:
    steps: int
    rate: float = 0.5


def function(x, *, slope: float = 1.0):
    return x * slope


def anything(**knobs: Any):
    return knobs
