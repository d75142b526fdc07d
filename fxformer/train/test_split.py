"""Evaluation of the test split: once, at the end of a run, with its best checkpoint."""

import dataclasses
from typing import Any

from fxformer.track.evaluations import StoredEvaluation, evaluations_of
from fxformer.track.run import Run
from fxformer.train.callbacks import Callback
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.evaluation import EvaluationAborted, evaluate_batches
from fxformer.train.loop_state import LoopState
from fxformer.train.setup import Setup
from fxformer.train.split_batches import SplitBatches


class EvaluateTest(Callback):
    """Evaluation of the test split of labelled data when a run is done; nothing without one.

    The weights are those of the best checkpoint by trainer.metric, or their moving average where
    there is one, as everybody who opens the run gets them. The numbers are logged as split "test"
    at the step of that checkpoint and stored in run.json, where `evaluations_of` reads them; a run
    that is continued evaluates again only if another checkpoint has become the best.
    """

    def __init__(self, setup: Setup, checkpoints: Checkpoints, run: Run) -> None:
        super().__init__(0)
        self.setup, self.checkpoints, self.run = setup, checkpoints, run

    def begin(self, loop: LoopState) -> None:
        """Drops stored evaluations of steps that a resumed run makes again."""
        kept, known = self.run.rewound, evaluations_of(self.run.facts)
        stale = [split for split, one in known.items() if kept is not None and one.step > kept]
        if stale:
            stored = self.run.facts["evaluation"].items()
            self.run.update(evaluation={k: one for k, one in stored if k not in stale})

    def finish(self, loop: LoopState) -> None:
        if loop.status != "done" or "test" not in self.setup.data.packed:
            return
        step = self.checkpoints.agreed_best()
        step = max(self.checkpoints.agreed_steps()) if step is None else step
        if self._is_known(step):
            return
        try:
            with loop.meter.phase("evaluate"):
                found = self._evaluated(loop, step)
        except EvaluationAborted:
            loop.status = "interrupted"
            loop.reason = "asked to leave before the evaluation of the test split"
            return
        loop.catch_up()  # nothing is pending: updates the clock
        loop.totals.joules = loop.meter.read()
        loop.log(step, "test", found.numbers)
        known = self.run.facts.get("evaluation") or {}
        self.run.update(evaluation={**known, "test": found.facts()})

    def _is_known(self, step: int) -> bool:
        """Whether an earlier attempt has evaluated this checkpoint, which was kept since."""
        known, kept = evaluations_of(self.run.facts).get("test"), self.run.rewound
        return known is not None and kept is not None and known.step == step <= kept

    def _evaluated(self, loop: LoopState, step: int) -> StoredEvaluation:
        setup = self.setup
        params = self.checkpoints.weights(setup.abstract_state.params, step)
        batches = SplitBatches(setup, "test")
        averages = evaluate_batches(
            setup.jitted(setup.evaluate),
            params,
            batches,
            observe=batches.observe,
            stop_requested=loop.stop_requested,
        )
        averages |= batches.derive(averages)
        results = batches.results()
        if setup.generated is not None:
            split: Any = setup.data.packed["test"]
            with loop.meter.phase("generate"):
                texts = dataclasses.replace(setup.generated, split=split)
                results = texts.judged(params, loop.stop_requested)
        assert results is not None  # only labelled data have a test split
        return StoredEvaluation.of({"": results}, step, averages)
