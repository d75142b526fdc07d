"""Training configuration: duration, budget, evaluation, checkpoints; and its callbacks."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from omegaconf import DictConfig

from fxformer.errors import UserError
from fxformer.metrics.direction import NONE, Direction, require_direction
from fxformer.metrics.results import MetricResults
from fxformer.train.callbacks import (
    Callback,
    FunctionCallback,
    Note,
    SaveCheckpoint,
    discard,
)
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.evaluation import Evaluate, GeneratedMetrics
from fxformer.train.loop_state import LoopState
from fxformer.train.rollback import RollBack
from fxformer.types import Count, Natural, Positive, Range, Rate

FIRST_MILESTONE = 50  # steps; shorter runs are only trials


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """Configuration of a training run: how long it lasts and what happens during it.

    steps: number of steps; the schedule stretches over them
    epochs: passes over the training rows, which `in_steps` turns into steps; None: `steps` is given
    budget_minutes: the run stops after so many minutes, all attempts together; None: no limit
    schedule_on: progress that the schedule follows: "steps", or "budget": the used share of the
        budget (minutes, kWh or gCO2e, whichever is nearest to its end), if that is further on. Time
        and energy vary between runs, and then so does the learning rate
    extend: how a run continues that is resumed with more steps. "stretch": the schedule
        stretches over all steps, so the learning rate jumps; "hold": the learning rate keeps its
        last value and decays to 0 over the last fifth of the new steps
    held_at: steps at which the schedule was held, ascending; written by resume=
    accumulate: number of micro-batches per step (gradient accumulation)
    ema: decay of the exponential moving average of the parameters; None: no average
    log_every, eval_every, save_every, sample_every: in steps; 0: only at the end (log: never). With
        `patience`, or a `metric` other than the loss, each new best evaluation is saved too
    save_minutes: maximum minutes between checkpoints; None: by steps only
    keep_checkpoints: number of latest checkpoints to keep, besides the best
    milestones: number of checkpoints, at 1/2, 1/4, … of the steps, to keep for comparisons at equal
        cost (`fxformer compare`); none before step 50
    metric: validation metric of the best checkpoint
    direction: whether the best value of the metric is the smallest or the largest; None: as the
        metric says (metrics/direction.py)
    patience: consecutive evaluations without a new best before the run stops; 0: never
    skip_nonfinite: skip updates whose loss or gradient is not finite
    max_skipped: consecutive skipped updates before the run rolls back to its last checkpoint
    max_rollbacks: roll-backs before the run stops as diverged
    donate: donate the buffers of the old state to the new one; None: yes
    compile_cache: folder of the compilation cache; None: no cache
    """

    steps: Count = 1000
    epochs: Positive | None = None
    budget_minutes: Positive | None = None
    schedule_on: Literal["steps", "budget"] = "steps"
    extend: Literal["stretch", "hold"] = "stretch"
    held_at: Sequence[Count] = ()
    accumulate: Count = 1
    ema: Rate | None = None
    log_every: Count = 1
    eval_every: Natural = 200
    save_every: Natural = 500
    sample_every: Natural = 0
    save_minutes: Positive | None = 5.0
    keep_checkpoints: Annotated[int, Range(2)] = 2
    milestones: Natural = 3
    metric: str = "loss"
    direction: Direction | None = None
    patience: Natural = 0
    skip_nonfinite: bool = True
    max_skipped: Count = 5
    max_rollbacks: Natural = 1
    donate: bool | None = None
    compile_cache: str | None = "~/.cache/fxformer/xla"

    def __post_init__(self) -> None:
        if list(self.held_at) != sorted(set(self.held_at)) or any(
            e >= self.steps for e in self.held_at
        ):
            raise UserError(
                f"trainer.held_at={list(self.held_at)}: expected ascending steps below "
                f"trainer.steps={self.steps}; resume= writes them"
            )
        if self.metric.startswith("ema_") and self.ema is None:
            raise UserError(
                f"trainer.metric={self.metric} needs a moving average: trainer.ema=0.999"
            )
        if self.patience and not self.eval_every:
            raise UserError(
                f"trainer.patience={self.patience} needs evaluations; write trainer.eval_every=100"
            )

    def best_direction(self, known: Mapping[str, bool]) -> Direction:
        """Direction of `metric`. UserError where it is neither known nor given.

        known: {name: whether higher is better} of the objective's own metrics
        """
        return require_direction(self.metric, "trainer.metric", known, self.direction)

    @property
    def milestone_steps(self) -> frozenset[int]:
        """Steps of the milestones: 1/2, 1/4, … of all steps, none before FIRST_MILESTONE."""
        halves = (self.steps >> n for n in range(1, min(self.milestones, 64) + 1))
        return frozenset(step for step in halves if step >= FIRST_MILESTONE)

    def callbacks(
        self,
        evaluate: Callable[[Any, Any], tuple[dict, Any]],
        valid: Iterable,
        checkpoints: Checkpoints,
        abstract_state: Any,
        *,
        samples: Callable[[LoopState], None] | None = None,
        derive: Callable[[dict[str, float]], dict[str, float]] = lambda numbers: {},
        observe: Callable[[Any, Any], None] | None = None,
        results: Callable[[], MetricResults | None] = lambda: None,
        generated: GeneratedMetrics | None = None,
        directions: Mapping[str, bool] = NONE,
        facts: Callable[[], dict] = dict,
        note: Note = discard,
    ) -> list[Callback]:
        """Callbacks for roll-back, evaluation, checkpoints and samples, in the required order.

        evaluate, valid, derive, observe, results, generated: as in Evaluate
        directions: `known` of best_direction
        facts: as in SaveCheckpoint
        abstract_state: as in Checkpoints.restore
        samples: called with the loop state every `sample_every` steps and at the end
        note: called for roll-backs and failed saves
        """
        direction = self.best_direction(directions)
        callbacks: list[Callback] = [
            RollBack(self.max_skipped, self.max_rollbacks, checkpoints, abstract_state, note=note),
            Evaluate(
                self.eval_every,
                evaluate,
                valid,
                metric=self.metric,
                direction=direction,
                patience=self.patience,
                derive=derive,
                observe=observe,
                results=results,
                generated=generated,
            ),
            SaveCheckpoint(
                self.save_every,
                checkpoints,
                minutes=self.save_minutes or math.inf,
                facts=facts,
                metric=self.metric,
                direction=direction,
                note=note,
                milestones=self.milestone_steps,
                new_best=self.patience > 0 or self.metric != "loss",
            ),
        ]
        if samples is not None:
            callbacks.append(FunctionCallback(self.sample_every, samples))
        return callbacks


def in_steps(cfg: DictConfig, steps_per_epoch: int) -> DictConfig:
    """The config of a run with trainer.steps in place of trainer.epochs, rounded; at least one.

    steps_per_epoch: number of whole batches of the training rows; the rest of an epoch is dropped
    """
    epochs = cfg.trainer.get("epochs")
    if epochs is None:
        return cfg
    made = cfg.copy()
    made.trainer.steps, made.trainer.epochs = max(round(epochs * steps_per_epoch), 1), None
    return made
