"""Config of a search: the options in conf/search/*.yaml."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from fxformer.errors import UserError
from fxformer.metrics.direction import Direction, direction_of
from fxformer.search import space
from fxformer.search.launchers import Launcher
from fxformer.search.options import WorkerOptions
from fxformer.search.prune import NoPruning, Pruner
from fxformer.search.sample import Auto, Grid
from fxformer.search.storage import check_address
from fxformer.search.study import WHOLE, Dimension
from fxformer.types import Count, Natural, Positive

DEFAULT_TRIALS = 20  # of a search without `trials` over a space that is not enumerable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search(WorkerOptions):
    """Options of `fxformer train -m`. Further fields: see WorkerOptions.

    sampler, pruner, launcher: the parts
    space: {key: what would follow `key=` on the command line, or a list of choices}; overrides on
        the command line have priority
    arms: {name: overrides}: settings of several keys at once, a key of the space whose values are
        the names; overrides on the command line have priority
    trials: total of the study, over all commands; None: all of a grid, else 20
    seed: of the sampler; the seed of the models is `seed`
    name: of the study; None: derived from the space, the seed and the other options, so that the
        same command continues the same study
    objectives: metrics of the evaluation; also kwh, joules, gco2e, seconds of the whole trial, but
        not as the first; None: trainer.metric
    maximize: the objectives to be maximized; None: those of which higher values are better
        (metrics/direction.py)
    budget_kwh: of the whole study; when it is used up running trials stop and can be resumed
    storage: None: files, for one machine or a shared disk; postgresql+psycopg://… or
        grpc://host:port for machines without a shared disk
    """

    pruner: Pruner
    launcher: Launcher
    space: dict[str, Any] | None = None
    arms: dict[str, list[str]] | None = None
    trials: Count | None = None
    seed: Natural = 0
    name: str | None = None
    objectives: list[str] | None = None
    maximize: list[str] | None = None
    budget_kwh: Positive | None = None
    storage: str | None = None

    def __post_init__(self) -> None:
        if self.storage is not None:
            check_address(self.storage)
        names = self.objectives
        if names is not None and (not names or names[0] in WHOLE or len({*names}) < len(names)):
            raise UserError(
                f"search.objectives={names}: expected distinct names, the first a metric of the "
                "evaluation, as in [loss] or [loss,kwh]"
            )
        if unknown := [name for name in self.maximize or () if names and name not in names]:
            raise UserError(
                f"search.maximize={self.maximize}: {unknown[0]} is not in search.objectives={names}"
            )
        if not isinstance(self.pruner, NoPruning) and len(names or ()) > 1:
            raise UserError(
                "search.pruner: pruning requires a single objective; write search/pruner=none, or "
                "search.objectives=[loss]: kWh are recorded in any case"
            )

    def resolved(self, dimensions: Sequence[Dimension]) -> "Search":
        """With `auto` replaced by its sampler. UserError for a grid over an interval."""
        if isinstance(self.sampler, Auto):
            return dataclasses.replace(self, sampler=self.sampler.resolve(dimensions))
        if isinstance(self.sampler, Grid) and space.size(dimensions) is None:
            intervals = [one.key for one in dimensions if one.kind != "choice"]
            raise UserError(
                f"search/sampler=grid: {', '.join(intervals)} is an interval; write choice(…) or "
                "range(…), or search=random"
            )
        return self

    def maximized(self, metric: str, direction: Direction | None) -> tuple[str, ...]:
        """The objectives to be maximized; those whose names say nothing are minimized, unless
        `check_metric` refuses that.

        metric, direction: trainer.metric and trainer.direction
        """
        if self.maximize is not None:
            return tuple(self.maximize)
        names = self.objectives or [metric]
        found = {name: direction_of(name) for name in names}
        if direction is not None and metric in found:
            found[metric] = direction
        return tuple(name for name in names if found[name] == "maximize")

    def total(self, dimensions: Sequence[Dimension]) -> int:
        """Number of slots of the study."""
        grid = space.size(dimensions) if isinstance(self.sampler, Grid) else None
        return min(self.trials or grid or DEFAULT_TRIALS, grid or self.trials or DEFAULT_TRIALS)
