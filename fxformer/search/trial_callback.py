"""The trial's own side: it tells its file of each evaluation and stops when it is told to."""

import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fxformer.config.build import build
from fxformer.errors import UserError
from fxformer.search import leases, study_io
from fxformer.search.study import Study
from fxformer.search.trial_env import RESUMABLE, VARIABLE, Ticket
from fxformer.track.run import Run
from fxformer.train.callbacks import Callback
from fxformer.train.loop_state import LoopState

UNSURE = 0.01  # of a trial's joules may be an equal split: a process that ends is not seen at once
ENERGY = ("kwh", "joules", "gco2e")  # objectives that are a trial's energy


class Watch:
    """Makes the event that reports, when training has opened its run."""

    def __init__(self, ticket: Ticket):
        self.ticket, self.study = ticket, Study.open(ticket.study)
        self.pruner = build(_config(self.study.pruner)) if self.study.pruner else None
        self.facts = {"sweep": self.study.name, "slot": ticket.slot}
        if ticket.parent is not None:
            threading.Thread(target=self._mourn, args=(ticket.parent,), daemon=True).start()

    def __call__(self, run: Run, kwh: Callable[[float], float], until: int) -> "Report":
        """Says which run this trial is. kwh: joules -> kWh; until: the step that ends the trial."""
        place = os.path.relpath(run.folder, self.study.runs)
        self.write(run=place)
        return Report(self, kwh, until)

    def write(self, **changes: Any) -> None:
        """Change the trial's file; leaves where another worker has taken the trial over."""
        ticket = self.ticket
        trial = self.study.trial(ticket.slot)
        current = leases.current(self.study.folder / "claims", ticket.slot, ticket.attempt)
        if not current or trial.attempts > ticket.attempt:
            os._exit(RESUMABLE)  # the run is theirs: touch nothing more
        study_io.write(self.study, dataclasses.replace(trial, **changes))

    def verdict(self) -> str | None:
        """Why this trial should stop, as its pruner sees all trials now."""
        if self.pruner is None:
            return None
        trials = self.study.trials()
        return self.pruner.judge(self.study, trials[self.ticket.slot], trials)

    def _mourn(self, parent: int) -> None:
        """When the worker dies this process saves and leaves too: nobody would hear of it."""
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)


class Report(Callback):
    """After each evaluation: into the trial's file, and the verdict."""

    def __init__(self, watch: Watch, kwh: Callable[[float], float], until: int):
        super().__init__(1)
        self.watch, self.kwh, self.until = watch, kwh, until
        self._last: int | None = None

    def due(self, run: LoopState) -> bool:
        return run.totals.evaluated == run.step and bool(run.valid) and self._last != run.step

    def begin(self, run: LoopState) -> None:
        if self.due(run):
            self(run)

    def __call__(self, run: LoopState) -> None:
        self._last = run.step
        attributable(self.watch, getattr(run.meter, "unattributed", {}), run.totals.joules)
        name = self.watch.study.objectives[0]
        if name not in run.valid:
            known = ", ".join(run.valid)
            raise UserError(f"search.objectives: {name} is not evaluated; there are {known}")
        # a run that was resumed makes some evaluations again
        trial = self.watch.study.trial(self.watch.ticket.slot)
        kept = tuple(report for report in trial.reports if report[0] < run.step)
        kwh = study_io.kwh_before(trial) + self.kwh(run.totals.joules)
        report = (run.step, float(run.valid[name]), kwh)
        self.watch.write(reports=(*kept, report))
        if run.step < self.until and run.status is None and (reason := self.watch.verdict()):
            run.stop("pruned", reason)

    def finish(self, run: LoopState) -> None:
        if self.due(run):
            self(run)


def attributable(watch: Watch, unsure: Mapping[str, float], joules: float) -> None:
    """UserError where the search judges trials by energy that an equal split has given them.

    unsure: {device: joules of it that are not attributable}; joules: all of the trial's
    """
    judged = [name for name in watch.study.objectives if name in ENERGY]
    if getattr(watch.pruner, "resource", "") == "joules":
        judged.append("search.pruner.resource=joules")
    if judged and sum(unsure.values()) > UNSURE * joules:
        raise UserError(
            f"{', '.join(judged)}: other processes use {', '.join(unsure)} too and nothing tells "
            "how much each of them uses, so a trial's energy is not known; write search.workers=1, "
            "or give each worker a device of its own (search.devices), or leave it out"
        )


def _config(plain: dict[str, Any]) -> Any:
    from omegaconf import OmegaConf

    return OmegaConf.create(plain)


def watch_of(environ: Mapping[str, str] = os.environ) -> Watch | None:
    """The watch of a process that is a trial; None for one that is not."""
    ticket = Ticket.found(environ)
    if ticket is not None and not Path(ticket.study, "study.json").is_file():
        raise UserError(f"{VARIABLE} names no study: {ticket.study}")
    return None if ticket is None else Watch(ticket)
