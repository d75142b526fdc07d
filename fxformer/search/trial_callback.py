"""Training callback of a trial: reports each evaluation to its study, and prunes."""

import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fxformer.config.build import build
from fxformer.distributed.group import ONE_PROCESS, ProcessGroup
from fxformer.errors import UserError
from fxformer.search import leases, study_io
from fxformer.search.study import Study
from fxformer.search.trial_env import RESUMABLE, VARIABLE, TrialEnv
from fxformer.track.run import Run
from fxformer.train.callbacks import Callback
from fxformer.train.loop_state import LoopState

MAX_UNATTRIBUTED = 0.01  # of a trial's joules; detecting that a process has ended takes a moment
ENERGY = ("kwh", "joules", "gco2e")  # objectives that measure energy


class TrialCallback:
    """The trial of this process: its study, its pruner, and writes to its file."""

    def __init__(self, env: TrialEnv):
        self.env, self.study = env, Study.open(env.study)
        self.pruner = build(_config(self.study.pruner)) if self.study.pruner else None
        self.facts = {"sweep": self.study.name, "slot": env.slot}
        if env.parent is not None:
            threading.Thread(target=self._exit_with_parent, args=(env.parent,), daemon=True).start()

    def __call__(
        self, run: Run, kwh: Callable[[float], float], until: int, group: ProcessGroup = ONE_PROCESS
    ) -> "EvaluationReporter":
        """Record the run of the trial; returns the callback that reports its evaluations.

        kwh: joules -> kWh
        until: last step of the trial
        group: processes that train it; the first of them writes
        """
        if group.first:
            self.write(run=os.path.relpath(run.folder, self.study.runs))
        return EvaluationReporter(self, kwh, until, group)

    def write(self, **changes: Any) -> None:
        """Update the file of the trial; exits if another worker has taken the trial over."""
        env = self.env
        trial = self.study.trial(env.slot)
        current = leases.is_current(self.study.folder / "leases", env.slot, env.attempt)
        if not current or trial.attempts > env.attempt:
            os._exit(RESUMABLE)  # the run belongs to the other worker
        study_io.write(self.study, dataclasses.replace(trial, **changes))

    def stop_reason(self) -> str | None:
        """Why the pruner stops this trial; None: it continues."""
        if self.pruner is None:
            return None
        trials = self.study.trials()
        return self.pruner.stop_reason(self.study, trials[self.env.slot], trials)

    def _exit_with_parent(self, parent: int) -> None:
        """Interrupt this process when its worker dies: the trial saves and exits."""
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)


class EvaluationReporter(Callback):
    """After each evaluation: records it in the file of the trial, and stops a pruned trial. Of
    several processes the first does so, and the others stop with it."""

    def __init__(
        self,
        trial: TrialCallback,
        kwh: Callable[[float], float],
        until: int,
        group: ProcessGroup = ONE_PROCESS,
    ):
        super().__init__(1)
        self.trial, self.kwh, self.until, self.group = trial, kwh, until, group
        self._last: int | None = None

    def due(self, run: LoopState) -> bool:
        return run.totals.evaluated == run.step and bool(run.valid) and self._last != run.step

    def begin(self, run: LoopState) -> None:
        if self.due(run):
            self(run)

    def __call__(self, run: LoopState) -> None:
        self._last = run.step
        reason = self._reported(run) if self.group.first else None
        if run.step < self.until and run.status is None:
            reason = self.group.share("pruned", reason)
            if reason is not None:
                run.stop("pruned", reason)

    def _reported(self, run: LoopState) -> str | None:
        """Report the evaluation of this step; why the trial is to be pruned, None: it is not."""
        require_attributable(self.trial, getattr(run.meter, "unattributed", {}), run.totals.joules)
        name = self.trial.study.objectives[0]
        if name not in run.valid:
            known = ", ".join(run.valid)
            raise UserError(
                f"search.objectives: {name} is not a metric of the evaluation; known: {known}"
            )
        # a resumed run may repeat some evaluations
        trial = self.trial.study.trial(self.trial.env.slot)
        kept = tuple(report for report in trial.reports if report[0] < run.step)
        kwh = study_io.kwh_of_earlier_runs(trial) + self.kwh(run.totals.joules)
        report = (run.step, float(run.valid[name]), kwh)
        self.trial.write(reports=(*kept, report))
        return self.trial.stop_reason() if run.step < self.until and run.status is None else None

    def finish(self, run: LoopState) -> None:
        if self.due(run):
            self(run)


def require_attributable(
    trial: TrialCallback, unattributed: Mapping[str, float], joules: float
) -> None:
    """UserError if the search compares trials by energy that cannot be attributed to processes.

    unattributed: {device: joules that were split equally among its processes}
    joules: total of the trial
    """
    criteria = [name for name in trial.study.objectives if name in ENERGY]
    if getattr(trial.pruner, "resource", "") == "joules":
        criteria.append("search.pruner.resource=joules")
    if criteria and sum(unattributed.values()) > MAX_UNATTRIBUTED * joules:
        raise UserError(
            f"{', '.join(criteria)}: other processes use {', '.join(unattributed)} too, and their "
            "shares are unknown, so the energy of a trial is unknown; write search.workers=1, "
            "give each worker its own device (search.devices), or leave it out"
        )


def _config(plain: dict[str, Any]) -> Any:
    from omegaconf import OmegaConf

    return OmegaConf.create(plain)


def trial_callback(environ: Mapping[str, str] = os.environ) -> TrialCallback | None:
    """The callback of this process; None if it is not a trial. UserError for a bad environment."""
    env = TrialEnv.from_environment(environ)
    if env is not None and not Path(env.study, "study.json").is_file():
        raise UserError(f"{VARIABLE}: no study in {env.study}")
    return None if env is None else TrialCallback(env)
