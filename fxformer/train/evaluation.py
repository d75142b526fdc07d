"""Evaluation callback: metrics of the validation batches, the best step, early stopping."""

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import jax

from fxformer.errors import UserError
from fxformer.metrics.direction import Direction, is_better
from fxformer.metrics.results import MetricResults
from fxformer.nn.memory import CarriedMemory
from fxformer.train.callbacks import Callback
from fxformer.train.loop_state import LoopState, add, averages


class EvaluationAborted(Exception):
    """An evaluation was aborted because the process was asked to stop."""


class GeneratedMetrics(Protocol):
    """Metrics of generated texts; see GeneratedTexts."""

    def results(self, loop: LoopState, params: Any) -> MetricResults | None:
        """Those due at this step; None: none are. Raises EvaluationAborted."""
        ...

    def last_results(self, loop: LoopState) -> MetricResults | None:
        """Those of a run that has ended; None where `results` has given them."""
        ...


@dataclasses.dataclass
class CarriedEvaluation:
    """Evaluation step of a model that carries a memory from batch to batch: (params, batch) ->
    (sums, None). Every pass over the batches begins with `fresh`.

    evaluate: jitted (params, (batch, memory)) -> (sums, memory)
    empty: () -> an empty memory on the devices
    """

    evaluate: Callable[[Any, tuple[Any, CarriedMemory]], tuple[dict, CarriedMemory]]
    empty: Callable[[], CarriedMemory]
    memory: CarriedMemory | None = None

    def fresh(self) -> "CarriedEvaluation":
        """The same with an empty memory."""
        return dataclasses.replace(self, memory=self.empty())

    def __call__(self, params: Any, batch: Any) -> tuple[dict, None]:
        memory = self.empty() if self.memory is None else self.memory
        sums, self.memory = self.evaluate(params, (batch, memory))
        return sums, None


def evaluate_batches(
    evaluate: Callable[[Any, Any], tuple[dict, Any]],
    params: Any,
    batches: Iterable,
    *,
    observe: Callable[[Any, Any], None] | None = None,
    stop_requested: Callable[[], bool] = lambda: False,
) -> dict[str, float]:
    """Averages {name: number} over all batches. Raises EvaluationAborted, UserError without any.

    evaluate, observe: as in Evaluate. A batch is dispatched before the one before it is read.
    Where `batches` names the `part` of a mixture that each batch is of, the losses of the parts are
    added, as "loss_PART".
    """
    step = _begun(evaluate)
    totals: dict[str | None, Any] = {}
    pending = None
    for batch in batches:
        if stop_requested():
            raise EvaluationAborted
        part = getattr(batches, "part", None)
        pending, before = (part, batch, *step(params, batch)), pending
        if before is not None:
            _add_sums(totals, *before, observe)
    if pending is None:
        raise UserError("there is no batch to evaluate: the held-out split is too small")
    _add_sums(totals, *pending, observe)
    if totals.keys() == {None}:
        return averages(totals[None])
    whole = averages(functools.reduce(add, totals.values()))
    return whole | {f"loss_{part}": averages(sums)["loss"] for part, sums in totals.items()}


def _begun(evaluate: Callable[..., tuple[dict, Any]]) -> Callable[..., tuple[dict, Any]]:
    """An evaluation step for a pass over batches: a memory that it carries begins empty."""
    return evaluate.fresh() if isinstance(evaluate, CarriedEvaluation) else evaluate


def _add_sums(
    totals: dict[str | None, Any],
    part: str | None,
    batch: Any,
    sums: Any,
    outputs: Any,
    observe: Callable[[Any, Any], None] | None,
) -> None:
    """Add the sums of one more batch to those of its part, and have its outputs observed."""
    if observe is not None and outputs is not None:
        observe(batch, outputs)
    totals[part] = add(totals.get(part), jax.device_get(sums))


class Evaluate(Callback):
    """Evaluation on all validation batches, logged as split "valid"; early stopping.

    The moving average of the parameters, if there is one, is evaluated too; its metrics are named
    "ema_…". When the process is asked to stop, the evaluation is aborted, and made when
    the run is resumed.

    evaluate: jitted (params, batch) -> (sums, outputs)
    batches: validation batches on the devices, iterable repeatedly
    metric, direction: metric that decides which step is best, and whether higher is better
    patience: stop after so many consecutive evaluations without a new best; 0: never
    derive: metrics to add, as a function of the averages (perplexity, bits per byte)
    observe: called with each batch and its outputs, before `results`
    results: () -> metrics of what was observed; None: it has none
    generated: metrics of generated texts, added last; None: there are none
    """

    def __init__(
        self,
        every: int,
        evaluate: Callable[[Any, Any], tuple[dict, Any]],
        batches: Iterable,
        *,
        metric: str = "loss",
        direction: Direction = "minimize",
        patience: int = 0,
        derive: Callable[[dict[str, float]], dict[str, float]] = lambda numbers: {},
        observe: Callable[[Any, Any], None] | None = None,
        results: Callable[[], MetricResults | None] = lambda: None,
        generated: GeneratedMetrics | None = None,
    ) -> None:
        super().__init__(every)
        self.evaluate, self.batches, self.observe = evaluate, batches, observe
        self.results, self.generated = results, generated
        self.metric = metric
        self.direction: Direction = direction
        self.patience, self.derive = patience, derive

    def begin(self, loop: LoopState) -> None:
        if loop.step > 0 and self.due(loop) and loop.totals.evaluated != loop.step:
            self(loop)

    def __call__(self, loop: LoopState) -> None:
        loop.catch_up()
        with loop.meter.phase("evaluate"):
            try:
                valid, found = self._numbers(loop, loop.state.params)
                results = {"": found}
                if loop.state.ema is not None:
                    average, results["ema_"] = self._numbers(loop, loop.state.ema)
                    valid |= {f"ema_{name}": value for name, value in average.items()}
            except EvaluationAborted:
                return
        loop.valid = valid
        loop.valid_results = {name: one for name, one in results.items() if one is not None}
        loop.catch_up()  # nothing is pending: updates the clock
        loop.totals.evaluated, loop.totals.joules = loop.step, loop.meter.read()
        loop.log(loop.step, "valid", loop.valid)
        self._update_best(loop)

    def finish(self, loop: LoopState) -> None:
        if loop.status != "done":
            return
        if loop.totals.evaluated == loop.step:
            complete = self._add_generated(loop)
        else:
            self(loop)
            complete = loop.totals.evaluated == loop.step
        if not complete:
            loop.status, loop.reason = "interrupted", "asked to leave before the last evaluation"

    def _add_generated(self, loop: LoopState) -> bool:
        """Adds the metrics of generated texts that the last evaluation lacks; whether it could."""
        if self.generated is None or not loop.valid:  # evaluated by an earlier attempt
            return True
        try:
            with loop.meter.phase("evaluate"):
                more = self.generated.last_results(loop)
        except EvaluationAborted:
            return False
        if more is not None:
            loop.valid |= more.values
            loop.valid_results[""] = more
            loop.log(loop.step, "valid", loop.valid)
        return True

    def _numbers(
        self, loop: LoopState, params: Any
    ) -> tuple[dict[str, float], MetricResults | None]:
        """All numbers of these parameters, and the results of the metrics of its task."""
        numbers = evaluate_batches(
            self.evaluate,
            params,
            self.batches,
            observe=self.observe,
            stop_requested=loop.stop_requested,
        )
        results = self.results()
        numbers |= ({} if results is None else results.values) | self.derive(numbers)
        if self.generated is not None and (written := self.generated.results(loop, params)):
            return numbers | written.values, written
        return numbers, results

    def _update_best(self, loop: LoopState) -> None:
        if self.metric not in loop.valid:
            names = ", ".join(loop.valid)
            raise UserError(f"trainer.metric={self.metric} is not evaluated; available: {names}")
        value, totals = loop.valid[self.metric], loop.totals
        if is_better(value, totals.best, self.direction):
            totals.best, totals.best_step, totals.stale = value, loop.step, 0
            return
        totals.stale += 1
        if self.patience and totals.stale >= self.patience:
            loop.stop("done", f"no better {self.metric} in {totals.stale} evaluations")
