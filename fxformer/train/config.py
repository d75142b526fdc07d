"""The knobs of training, and the events that follow from them."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal

from fxformer.errors import UserError
from fxformer.train.callbacks import Call, Evaluate, Event, Note, RollBack, Save, nothing
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.loop_state import Run
from fxformer.types import Count, Natural, Positive, Range, Rate

FIRST_MILESTONE = 50  # steps; what is shorter is a trial run


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trainer:
    """How long a run goes on and what happens during it.

    steps: steps of the whole run; also what the schedule stretches over
    budget_minutes: a run stops after so many, all attempts together; None: never
    decay_on: what the schedule stretches over: the steps, or the share of the budget that is spent
        (minutes, kWh or gCO2e, whichever is nearest to its end), should that come first. Time and
        energy differ from run to run, so then does the learning rate
    extend: how a run that is resumed with more steps goes on. stretch: the schedule is drawn anew
        over all steps, so the learning rate jumps; hold: it stays as it was at the old end, and
        decays to 0 over the last fifth of the new steps
    held: the ends that were held, in order; written by resume=
    accumulate: micro-batches in a step
    ema: decay of the moving average of the parameters; None: there is none
    log_every, eval_every, save_every, sample_every: in steps; 0: only at the end (log: never)
    save_minutes: a checkpoint at least so often; None: by steps alone
    keep: how many of the latest checkpoints stay, besides the best
    milestones: checkpoints at 1/2, 1/4, … of the steps that are made and stay, so many of them, for
        comparisons at equal cost (`fxformer compare`); none before step 50
    metric: of the validation, the smaller the better
    patience: evaluations in a row without a new best before the run stops; 0: never
    guard: refuse updates that are not finite
    skips: so many refused in a row, and the run rolls back
    rollbacks: so many roll-backs before the run is given up as diverged
    donate: give up the old state's memory; None: by platform
    compile_cache: folder of compiled programs; None: none are kept
    """

    steps: Count = 1000
    budget_minutes: Positive | None = None
    decay_on: Literal["steps", "budget"] = "steps"
    extend: Literal["stretch", "hold"] = "stretch"
    held: Sequence[Count] = ()
    accumulate: Count = 1
    ema: Rate | None = None
    log_every: Count = 1
    eval_every: Natural = 200
    save_every: Natural = 500
    sample_every: Natural = 0
    save_minutes: Positive | None = 5.0
    keep: Annotated[int, Range(2)] = 2
    milestones: Natural = 3
    metric: str = "loss"
    patience: Natural = 0
    guard: bool = True
    skips: Count = 5
    rollbacks: Natural = 1
    donate: bool | None = None
    compile_cache: str | None = "~/.cache/fxformer/xla"

    def __post_init__(self) -> None:
        if list(self.held) != sorted(set(self.held)) or any(e >= self.steps for e in self.held):
            raise UserError(
                f"trainer.held={list(self.held)}: wants rising numbers of steps below "
                f"trainer.steps={self.steps}; resume= writes them"
            )
        if self.metric.startswith("ema_") and self.ema is None:
            raise UserError(f"trainer.metric={self.metric} wants trainer.ema=0.999 or the like")
        if self.patience and not self.eval_every:
            raise UserError(
                f"trainer.patience={self.patience} wants evaluations; write trainer.eval_every=100"
            )

    @property
    def milestone_steps(self) -> frozenset[int]:
        """The steps of the milestones."""
        halves = (self.steps >> n for n in range(1, min(self.milestones, 64) + 1))
        return frozenset(step for step in halves if step >= FIRST_MILESTONE)

    def events(
        self,
        evaluate: Callable[[Any, Any], dict],
        valid: Iterable,
        checkpoints: Checkpoints,
        like: Any,
        *,
        samples: Callable[[Run], None] | None = None,
        derive: Callable[[dict[str, float]], dict[str, float]] = lambda numbers: {},
        facts: Callable[[], dict] = dict,
        note: Note = nothing,
    ) -> list[Event]:
        """Roll-back, evaluation, saving and samples, in the order in which they must happen.

        evaluate, valid, derive: as of Evaluate; facts: as of Save; like: as of Checkpoints.restore
        samples: called with the run every `sample_every` steps and at the end
        note: called for roll-backs and for checkpoints that could not be saved
        """
        events: list[Event] = [
            RollBack(self.skips, self.rollbacks, checkpoints, like, note=note),
            Evaluate(
                self.eval_every,
                evaluate,
                valid,
                metric=self.metric,
                patience=self.patience,
                derive=derive,
            ),
            Save(
                self.save_every,
                checkpoints,
                minutes=self.save_minutes or math.inf,
                facts=facts,
                metric=self.metric,
                note=note,
                milestones=self.milestone_steps,
            ),
        ]
        return events if samples is None else [*events, Call(self.sample_every, samples)]
