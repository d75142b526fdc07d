"""The knobs of a search: what conf/search/*.yaml spell out."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

from fxformer.errors import UserError
from fxformer.search import space
from fxformer.search.launchers import Launcher
from fxformer.search.prune import NoPruning, Pruner
from fxformer.search.sample import Auto, Grid, Sampler
from fxformer.search.storage import checked
from fxformer.search.study import WHOLE, Dimension
from fxformer.types import Count, Natural, Positive

USUAL = 20  # trials where nobody says how many, and the space has no end


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search:
    """What `fxformer train -m` does with a space of values.

    sampler, pruner, launcher: the parts
    space: {key: what would come after `key=` on the command line, or a list}; the command line wins
    trials: of the whole study, however many commands make them; None: all of a grid, else 20
    seed: of the search; that of the models is `seed`
    name: of the study; None: made from the space, the seed and the other choices, so that the same
        command goes on with it
    objectives: numbers of the evaluation; also kwh, joules, gco2e, seconds of the whole trial, but
        not as the first; None: trainer.metric
    maximize: those of them that are to be large
    value: which evaluation of a trial counts
    workers: trials at once, by this command
    devices: accelerators to share out among them, as CUDA_VISIBLE_DEVICES would name them; None:
        all there are
    budget_kwh: of the whole study; running trials stop resumably when it is spent
    retries: how often a trial that crashed is taken up again. One that diverged never is, nor one
        whose config was refused
    minutes: a trial that takes longer at a time is interrupted and counts as crashed
    storage: None: files, for one machine or a shared disk; postgresql+psycopg://… or
        grpc://host:port for machines that share none
    lease_seconds: a worker on another machine that is silent for so long is taken for dead
    skip_illegal: leave out combinations that cannot run, and say which; else the search is refused
    fail_fast: hand out no more trials once one has failed
    wait: stay while other workers have trials running, to take over from those that die
    """

    sampler: Sampler
    pruner: Pruner
    launcher: Launcher
    space: dict[str, Any] | None = None
    trials: Count | None = None
    seed: Natural = 0
    name: str | None = None
    objectives: list[str] | None = None
    maximize: list[str] = dataclasses.field(default_factory=list)
    value: Literal["best", "last"] = "best"
    workers: Count = 1
    devices: list[int] | None = None
    budget_kwh: Positive | None = None
    retries: Natural = 1
    minutes: Positive | None = None
    storage: str | None = None
    lease_seconds: Positive = 60.0
    skip_illegal: bool = False
    fail_fast: bool = False
    wait: bool = True

    def __post_init__(self) -> None:
        if self.storage is not None:
            checked(self.storage)
        names = self.objectives
        if names is not None and (not names or names[0] in WHOLE or len({*names}) < len(names)):
            raise UserError(
                f"search.objectives={names}: wants different names, and first a number of the "
                "evaluation, as in [loss] or [loss,kwh]"
            )
        if strangers := [name for name in self.maximize if name not in (names or self.maximize)]:
            raise UserError(
                f"search.maximize={self.maximize}: {strangers[0]} is none of search.objectives="
                f"{names}"
            )
        if not isinstance(self.pruner, NoPruning) and len(names or ()) > 1:
            raise UserError(
                "search.pruner: of several objectives none can say who is behind; write "
                "search/pruner=none, or search.objectives=[loss]: kWh are recorded all the same"
            )

    def settled(self, dimensions: Sequence[Dimension]) -> "Search":
        """With the sampler that `auto` stands for. UserError where a grid would have no end."""
        if isinstance(self.sampler, Auto):
            return dataclasses.replace(self, sampler=self.sampler.settle(dimensions))
        if isinstance(self.sampler, Grid) and space.size(dimensions) is None:
            endless = [one.key for one in dimensions if one.kind != "choice"]
            raise UserError(
                f"search/sampler=grid: {', '.join(endless)} has no grid; write choice(…) or "
                "range(…), or search=random"
            )
        return self

    def total(self, dimensions: Sequence[Dimension]) -> int:
        """How many slots the study has."""
        grid = space.size(dimensions) if isinstance(self.sampler, Grid) else None
        return min(self.trials or grid or USUAL, grid or self.trials or USUAL)
