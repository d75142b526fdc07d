"""One worker of a study: takes trials up, starts them, settles how they ended, until none is left.

Any number of workers may be at one study, begun whenever and wherever; each may die at any moment.
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
from fxformer.search.config import Search
from fxformer.search.leases import Claims, Unreachable
from fxformer.search.process import ATTEMPT, Place
from fxformer.search.scheduler import take, unlocked
from fxformer.search.study import Study, Trial
from fxformer.search.trial_env import Ticket
from fxformer.track.run_reader import StoredRun
from fxformer.track.show import carbon_of
from fxformer.train.signals import Signals

TICK, LOOK, MIRROR = 0.2, 2.0, 15.0  # seconds between looks at our own trials, at all, at Optuna's
GRACE = 60.0  # seconds to save and leave for a trial that took too long


class Child(Protocol):
    """A trial that was started."""

    def poll(self) -> int | None: ...

    def interrupt(self) -> None: ...

    def kill(self) -> None: ...


Start = Callable[[Study, Trial, Place, Ticket], Child]


@dataclasses.dataclass
class Held:
    """A trial of ours that runs. since: seconds, of the monotonic clock."""

    slot: int
    attempt: int
    child: Child
    place: Place
    since: float
    late: bool = False


class Worker:
    """Made once for a process; `run` works until all is done, or it is told to stop."""

    def __init__(
        self,
        study: Study,
        search: Search,
        claims: Claims,
        start: Start,
        places: list[Place],
        console: Console,
        *,
        judge: Callable[[Sequence[str]], str | None] = lambda words: None,
        mine: bool = False,
    ):
        """judge: words of a trial -> why its config cannot run, None where it can; mine: trials run
        in this very process"""
        self.study, self.search, self.claims = study, search, claims
        self.start, self.free, self.console = start, list(places), console
        self.judge, self.mine = judge, mine
        self.held: dict[int, Held] = {}
        self.trials = study.trials()
        self.stopped = ""  # why no more trials are handed out
        self._looked = self._vain = -LOOK
        self._mirrored = time.monotonic()
        self._done = threading.Event()

    def run(self) -> None:
        """Until every trial has ended, or none may be begun and ours have ended."""
        pulse = threading.Thread(target=self._pulse, daemon=True)
        pulse.start()
        try:
            # a trial in this process has its own handlers of signals
            signals = Signals("the running trials save", leave=self._kill, heard=not self.mine)
            with signals, table.shown(self, self.console):
                while self._turn(signals):
                    time.sleep(0 if self.mine else TICK)
            self.look()
            optuna_mirror.sync(self.study, self.trials)
        except BaseException:
            for held in self.held.values():
                held.child.interrupt()
            raise
        finally:
            self._done.set()
            pulse.join()

    def _turn(self, signals: Signals) -> bool:
        """One look at everything; False when there is nothing left to do here."""
        for held in list(self.held.values()):
            if (code := held.child.poll()) is not None:
                self.settle(held, code)
                self._vain = -LOOK
        if signals.name and not self.stopped:
            self.stop(signals.name)
        if time.monotonic() - self._looked > LOOK:
            self.look()
            self._limits()
        while self.free and not self.stopped and (taken := self._taken()):
            self.begin(taken)
        return bool(self.held) or not self.stopped and self.search.wait and self._open()

    def _taken(self) -> Trial | None:
        """`take`, but after one in vain not again at once."""
        if time.monotonic() - self._vain < LOOK:
            return None
        self.claims.hear()
        trial = take(self.study, self.search, self.claims, self.trials, self.held)
        self._vain = time.monotonic() if trial is None else -LOOK
        if trial is not None:
            self.trials[trial.slot] = trial
        return trial

    def _open(self) -> bool:
        """Whether a trial has not ended, ours or another's."""
        return any(not trial_outcome.final(trial, self.search.retries) for trial in self.trials)

    def look(self) -> None:
        """Read all trials anew."""
        self.claims.tell([self.study.trial(slot) for slot in self.held])
        self.claims.hear()
        self.trials = [
            one if trial_outcome.final(one, self.search.retries) else self.study.trial(one.slot)
            for one in self.trials
        ]
        self._looked = time.monotonic()
        if self._looked - self._mirrored > MIRROR:
            optuna_mirror.sync(self.study, self.trials)
            self._mirrored = time.monotonic()

    def spent(self) -> float:
        """kWh of the whole study so far: of those that run, what their ledgers say by now."""
        return sum(self._kwh(trial) for trial in self.trials)

    def _kwh(self, trial: Trial) -> float:
        if trial.state != "running" or not trial.run:
            return trial.kwh
        run = StoredRun(self.study.runs / trial.run)
        used = carbon_of(run).kwh(ledger.totals(run.folder / "energy.jsonl").joules)
        told = trial.reports[-1][2] if trial.reports else 0.0
        return max(trial.kwh, told, study_io.kwh_before(trial) + used)

    def _limits(self) -> None:
        most = self.study.budget_kwh
        if most is not None and not self.stopped and self.spent() >= most:
            self.stop(f"the budget of {most:g} kWh is spent")
        for held in self.held.values():
            over = time.monotonic() - held.since - 60 * (self.search.minutes or math.inf)
            if over > 0 and not held.late:
                held.late = True
                held.child.interrupt()
            elif over > GRACE:
                held.child.kill()

    def stop(self, why: str) -> None:
        """Hand out no more trials, and let the running ones save and leave."""
        self.stopped = why
        for held in self.held.values():
            held.child.interrupt()

    def begin(self, trial: Trial) -> None:
        """Start a trial of ours, unless its run has ended already and only its worker did not live
        to say so."""
        before = trial_outcome.ended_run(self.study, trial)
        parent = None if self.mine else os.getpid()
        ticket = Ticket(str(self.study.folder), trial.slot, trial.attempts, parent)
        place = self.free.pop()
        self.claims.tell([trial])
        if trial.run is not None:
            unlocked(self.study.runs / trial.run)
        child: Child
        if before:
            child = Past(0)
        elif self._refused(trial):
            child = Past(trial_outcome.BAD)
        else:
            child = self.start(self.study, trial, place, ticket)
        held = Held(trial.slot, trial.attempts, child, place, time.monotonic())
        self.held[trial.slot] = held

    def _refused(self, trial: Trial) -> bool:
        """Whether a config that was only now drawn cannot run; its log then says why. What is known
        beforehand was judged beforehand."""
        if self.search.sampler.pure or trial.run is not None:
            return False
        if (why := self.judge(trial.overrides)) is None:
            return False
        with self.study.log(trial.slot).open("a", encoding="utf-8") as log:
            log.write(f"{ATTEMPT}{trial.attempts}: judged\nfxformer: {why}\n")
        return True

    def settle(self, held: Held, code: int) -> None:
        """Write how a trial of ours ended, if it still is ours."""
        del self.held[held.slot]
        self.free.append(held.place)
        if not self.claims.renew(held.slot, held.attempt):
            return
        trial = self.study.trial(held.slot)
        # A process of an earlier attempt may have written its file last, as it was before ours.
        trial = dataclasses.replace(trial, attempts=max(trial.attempts, held.attempt))
        late = f"longer than search.minutes={self.search.minutes:g}" if held.late else ""
        trial = trial_outcome.ended(self.study, self.search, trial, code, self.stopped, late)
        study_io.write(self.study, trial)
        self.trials[held.slot] = trial
        self.claims.tell([trial])
        if self.search.fail_fast and trial.state == "failed" and not self.stopped:
            self.stop(f"trial {held.slot} failed (search.fail_fast)")
        if self.mine and code in (trial_outcome.INTERRUPTED, trial_outcome.LEFT):
            self.stop("interrupted")
        self.console.print(table.line(self.study, trial), highlight=False)

    def _pulse(self) -> None:
        """Renew the leases of what we hold; drop what another has taken over."""
        while not self._done.wait(self.search.lease_seconds / 4):
            for held in list(self.held.values()):
                with contextlib.suppress(Unreachable):  # whoever settles will hear of it
                    if not self.claims.renew(held.slot, held.attempt):
                        held.child.kill()

    def _kill(self) -> None:
        for held in list(self.held.values()):
            held.child.kill()


@dataclasses.dataclass(frozen=True)
class Past:
    """A trial that had ended before it was started."""

    code: int

    def poll(self) -> int:
        return self.code

    def interrupt(self) -> None:
        """There is nothing to interrupt."""

    def kill(self) -> None:
        """There is nothing to kill."""
