"""Options of the workers of a search: resources, retries, limits and what counts as the result."""

import dataclasses
from typing import Literal

from fxformer.search.sample import Sampler
from fxformer.types import Count, Natural, Positive


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """What a worker and its launcher need to know of a search.

    sampler: draws the parameters of trials
    value: which evaluation of a trial is its result
    workers: number of trials at once, of this command
    devices: accelerators to distribute among the trials, as in CUDA_VISIBLE_DEVICES; None: all
    retries: how often a crashed trial is restarted. Diverged trials and trials with an invalid
        config are not restarted
    minutes: time limit of one attempt at a trial; a longer one is interrupted and counts as crashed
    lease_seconds: after which a silent worker on another machine is considered dead
    skip_illegal: skip configs that cannot run and list them; False: refuse the search
    fail_fast: start no more trials after a failed one
    wait: wait for the trials of other workers, to take over from those that die
    """

    sampler: Sampler
    value: Literal["best", "last"] = "best"
    workers: Count = 1
    devices: list[int] | None = None
    retries: Natural = 1
    minutes: Positive | None = None
    lease_seconds: Positive = 60.0
    skip_illegal: bool = False
    fail_fast: bool = False
    wait: bool = True
