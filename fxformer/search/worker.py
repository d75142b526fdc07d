"""Worker of a study: acquires trials, runs them and records their outcomes until none is left.

Any number of workers may run one study, started at any time on any machine; each may die at any
time.
"""

import contextlib
import dataclasses
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from rich.console import Console

from fxformer.energy import ledger
from fxformer.search import optuna_mirror, study_io, table, trial_outcome
from fxformer.search.leases import LeaseStore, Unreachable
from fxformer.search.options import WorkerOptions
from fxformer.search.process import ATTEMPT, Resources
from fxformer.search.scheduler import next_trial, remove_stale_lock
from fxformer.search.study import Study, Trial
from fxformer.search.trial_env import TrialEnv
from fxformer.track.run_reader import StoredRun
from fxformer.track.show import carbon_of
from fxformer.train.signals import Signals

# seconds between polls of own processes, reads of all trials, and updates of the Optuna mirror
POLL, REFRESH, MIRROR = 0.2, 2.0, 15.0
GRACE = 60.0  # seconds for a trial over its time limit to save and exit


class TrialProcess(Protocol):
    """A started trial: its process, or the trial in this process."""

    def poll(self) -> int | None: ...

    def interrupt(self) -> None: ...

    def kill(self) -> None: ...


Start = Callable[[Study, Trial, Resources, TrialEnv], TrialProcess]  # starts a trial


@dataclasses.dataclass
class RunningTrial:
    """A running trial of this worker. since: time.monotonic() of its start, in seconds."""

    slot: int
    attempt: int
    process: TrialProcess
    place: Resources
    since: float
    late: bool = False


class Worker:
    """Runs trials of a study in this process or as processes of this machine."""

    def __init__(
        self,
        study: Study,
        options: WorkerOptions,
        leases: LeaseStore,
        start: Start,
        places: list[Resources],
        console: Console,
        *,
        reject: Callable[[Sequence[str]], str | None] = lambda overrides: None,
        in_process: bool = False,
    ):
        """places: resources of the trials that run at once
        reject: overrides of a trial -> why its config cannot run; None: it can
        in_process: whether trials run in this process
        """
        self.study, self.options, self.leases = study, options, leases
        self.start, self.free, self.console = start, list(places), console
        self.reject, self.in_process = reject, in_process
        self.running: dict[int, RunningTrial] = {}
        self.trials = study.trials()
        self.stopped = ""  # why no more trials are started; "" while they are
        self._refreshed = self._found_none = -REFRESH  # time.monotonic()
        self._mirrored = time.monotonic()
        self._done = threading.Event()

    def run(self) -> None:
        """Run trials until all are final, or until stopped and the running ones have exited."""
        heartbeat = threading.Thread(target=self._heartbeat, daemon=True)
        heartbeat.start()
        try:
            # a trial in this process has its own signal handlers
            signals = Signals(
                "the running trials save", leave=self._kill, heard=not self.in_process
            )
            show = contextlib.nullcontext() if self.in_process else self._live_table()
            with signals, show:
                while self._step(signals):
                    time.sleep(0 if self.in_process else POLL)
            self.refresh()
            optuna_mirror.sync(self.study, self.trials)
        except BaseException:
            for trial in self.running.values():
                trial.process.interrupt()
            raise
        finally:
            self._done.set()
            heartbeat.join()

    def _live_table(self) -> contextlib.AbstractContextManager[None]:
        return table.live_table(
            lambda: table.progress_table(self.study, self.trials, self.kwh()), self.console
        )

    def _step(self, signals: Signals) -> bool:
        """One iteration of the main loop; False when nothing is left to do for this worker."""
        for trial in list(self.running.values()):
            if (code := trial.process.poll()) is not None:
                self.record_outcome(trial, code)
                self._found_none = -REFRESH
        if signals.name and not self.stopped:
            self.stop(signals.name)
        if time.monotonic() - self._refreshed > REFRESH:
            self.refresh()
            self._apply_limits()
        while self.free and not self.stopped and (taken := self._next_trial()):
            self.start_trial(taken)
        return bool(self.running) or not self.stopped and self.options.wait and self._any_open()

    def _next_trial(self) -> Trial | None:
        """`next_trial`, at most every REFRESH seconds while there is none."""
        if time.monotonic() - self._found_none < REFRESH:
            return None
        self.leases.pull()
        trial = next_trial(self.study, self.options, self.leases, self.trials, self.running)
        self._found_none = time.monotonic() if trial is None else -REFRESH
        if trial is not None:
            self.trials[trial.slot] = trial
        return trial

    def _any_open(self) -> bool:
        """Whether any trial of the study is not final."""
        return any(not trial_outcome.is_final(trial, self.options.retries) for trial in self.trials)

    def refresh(self) -> None:
        """Read all trials again, and exchange them with other machines."""
        self.leases.push([self.study.trial(slot) for slot in self.running])
        self.leases.pull()
        self.trials = [
            one if trial_outcome.is_final(one, self.options.retries) else self.study.trial(one.slot)
            for one in self.trials
        ]
        self._refreshed = time.monotonic()
        if self._refreshed - self._mirrored > MIRROR:
            optuna_mirror.sync(self.study, self.trials)
            self._mirrored = time.monotonic()

    def kwh(self) -> float:
        """kWh used by the whole study, by running trials according to their energy ledgers."""
        return sum(self._kwh_of(trial) for trial in self.trials)

    def _kwh_of(self, trial: Trial) -> float:
        if trial.state != "running" or not trial.run:
            return trial.kwh
        run = StoredRun(self.study.runs / trial.run)
        used = carbon_of(run).kwh(ledger.totals(run.folder / "energy.jsonl").joules)
        reported = trial.reports[-1][2] if trial.reports else 0.0
        return max(trial.kwh, reported, study_io.kwh_of_earlier_runs(trial) + used)

    def _apply_limits(self) -> None:
        """Stop when the budget is used up; interrupt trials over their time limit."""
        budget = self.study.budget_kwh
        if budget is not None and not self.stopped and self.kwh() >= budget:
            self.stop(f"the budget of {budget:g} kWh is used up")
        for running in self.running.values():
            over = time.monotonic() - running.since - 60 * (self.options.minutes or math.inf)
            if over > 0 and not running.late:
                running.late = True
                running.process.interrupt()
            elif over > GRACE:
                running.process.kill()

    def stop(self, why: str) -> None:
        """Start no more trials, and interrupt the running ones, which save and exit."""
        self.stopped = why
        for running in self.running.values():
            running.process.interrupt()

    def start_trial(self, trial: Trial) -> None:
        """Start an acquired trial, unless its run is done and only its outcome was not recorded."""
        done = trial_outcome.run_has_ended(self.study, trial)
        parent = None if self.in_process else os.getpid()
        env = TrialEnv(str(self.study.folder), trial.slot, trial.attempts, parent)
        place = self.free.pop()
        self.leases.push([trial])
        if trial.run is not None:
            remove_stale_lock(self.study.runs / trial.run)
        process: TrialProcess
        if done:
            process = FinishedTrial(0)
        elif self._rejected(trial):
            process = FinishedTrial(trial_outcome.BAD)
        else:
            process = self.start(self.study, trial, place, env)
        started = RunningTrial(trial.slot, trial.attempts, process, place, time.monotonic())
        self.running[trial.slot] = started

    def _rejected(self, trial: Trial) -> bool:
        """Whether a config that was drawn just now cannot run; the reason is logged.

        Configs of pure samplers were validated before the search started.
        """
        if self.options.sampler.pure or trial.run is not None:
            return False
        if (why := self.reject(trial.overrides)) is None:
            return False
        with self.study.log(trial.slot).open("a", encoding="utf-8") as log:
            log.write(f"{ATTEMPT}{trial.attempts}: validation\nfxformer: {why}\n")
        return True

    def record_outcome(self, running: RunningTrial, code: int) -> None:
        """Record the outcome of a trial whose process has exited, if its lease is still ours."""
        del self.running[running.slot]
        self.free.append(running.place)
        if not self.leases.renew(running.slot, running.attempt):
            return
        trial = self.study.trial(running.slot)
        # a process of an earlier attempt may have overwritten the file with its own state
        trial = dataclasses.replace(trial, attempts=max(trial.attempts, running.attempt))
        late = f"longer than search.minutes={self.options.minutes:g}" if running.late else ""
        trial = trial_outcome.outcome(self.study, self.options, trial, code, self.stopped, late)
        study_io.write(self.study, trial)
        self.trials[running.slot] = trial
        self.leases.push([trial])
        if self.options.fail_fast and trial.state == "failed" and not self.stopped:
            self.stop(f"trial {running.slot} failed (search.fail_fast)")
        if self.in_process and code in (trial_outcome.INTERRUPTED, trial_outcome.KILLED):
            self.stop("interrupted")
        self.console.print(table.trial_line(self.study, trial), highlight=False)

    def _heartbeat(self) -> None:
        """Renew the leases of the running trials; kill those that another worker has taken over."""
        while not self._done.wait(self.options.lease_seconds / 4):
            for running in list(self.running.values()):
                with contextlib.suppress(Unreachable):  # reported when the outcome is recorded
                    if not self.leases.renew(running.slot, running.attempt):
                        running.process.kill()

    def _kill(self) -> None:
        for running in list(self.running.values()):
            running.process.kill()


@dataclasses.dataclass(frozen=True)
class FinishedTrial:
    """A trial that needs no process: its run is done, or its config was rejected."""

    code: int

    def poll(self) -> int:
        return self.code

    def interrupt(self) -> None:
        """Nothing to do."""

    def kill(self) -> None:
        """Nothing to do."""
