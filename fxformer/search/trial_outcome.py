"""Outcome of a trial: state and reason from its exit code, its run and its log."""

import dataclasses
import math
import os
import re
import signal
from pathlib import Path

from fxformer.search import study_io
from fxformer.search.options import WorkerOptions
from fxformer.search.process import ATTEMPT
from fxformer.search.study import Study, Trial
from fxformer.track import formatting
from fxformer.track.run_lock import utc_now
from fxformer.track.run_reader import StoredRun

BUG, BAD, DIVERGED, INTERRUPTED, KILLED = 1, 2, 3, 75, 130  # exit codes of `fxformer train`
OUT_OF_MEMORY = re.compile(
    r"RESOURCE_EXHAUSTED|out of memory|MemoryError|bad_alloc|Cannot allocate", re.I
)


def is_final(trial: Trial, retries: int) -> bool:
    """Whether a trial is done: it will not be started again, given the number of retries."""
    if trial.state in ("complete", "pruned", "skipped"):
        return True
    return trial.state == "failed" and (trial.code in (BAD, DIVERGED) or trial.failures > retries)


def is_busy(study: Study, trial: Trial) -> bool:
    """Whether a process of this host still runs the trial: it has outlived its worker and is about
    to exit."""
    if trial.run is None:
        return False
    stored = StoredRun(study.runs / trial.run)
    here = (stored.facts.get("owner") or {}).get("host") == os.uname().nodename
    return here and stored.status == "running"


def run_has_ended(study: Study, trial: Trial) -> bool:
    """Whether the run of the trial is done although the file of the trial does not say so."""
    if trial.run is None:
        return False
    return StoredRun(study.runs / trial.run).status in ("done", "pruned")


def outcome(
    study: Study, options: WorkerOptions, trial: Trial, code: int, stopped: str, late: str = ""
) -> Trial:
    """The trial with state, reason, values and energy after its process has exited.

    code: exit code of the process; minus the number of the signal that killed it
    stopped: why the search has stopped, "" while it runs
    late: why only this trial was interrupted, "" if it was not
    """
    trial = study_io.with_energy(study, trial)
    run = StoredRun(study.runs / trial.run) if trial.run else None
    state, reason = "failed", None
    if code == 0:
        state = "complete"
        if run is not None and run.status == "pruned":
            state, reason = "pruned", str(run.facts.get("reason"))
    elif stopped:
        state, reason = ("stopped" if "budget" in stopped else "interrupted"), stopped
    elif late:
        reason = late
    elif code in (INTERRUPTED, KILLED, -signal.SIGTERM):
        state, reason = "interrupted", _reason(study, trial, code)
    else:
        state = "skipped" if code == BAD and options.skip_illegal else "failed"
        reason = _reason(study, trial, code)
    values: tuple[float, ...] = ()
    if code == 0:
        trial = study_io.with_reports(study, trial)
        values = study_io.objective_values(study, trial, last=options.value == "last")
        if state == "complete" and not math.isfinite(values[0]):
            state, reason = "failed", f"{study.objectives[0]} is {values[0]}"
            values, code = (), DIVERGED
    crashed = state == "failed" or state == "interrupted" and not stopped
    failures = trial.failures + crashed
    if crashed and failures > options.retries and state == "interrupted":
        state, reason = "failed", f"interrupted {failures} times: {reason}"
    return dataclasses.replace(
        trial,
        state=state,
        reason=reason,
        code=code,
        values=values,
        failures=failures,
        ended=utc_now(),
    )


def _reason(study: Study, trial: Trial, code: int) -> str:
    """Why a process exited with a code other than 0."""
    text = log_tail(study.log(trial.slot))
    last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
    if OUT_OF_MEMORY.search(text):
        return f"out of memory: {last}"[:300]
    if code == -signal.SIGKILL:
        return "killed (SIGKILL), possibly out of memory"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    known = {INTERRUPTED: "interrupted", KILLED: "interrupted", DIVERGED: "diverged"}
    if reason := _reason_of_run(study, trial):
        return reason
    return known.get(code) or formatting.safe(last, 300) or f"exit code {code}"


def _reason_of_run(study: Study, trial: Trial) -> str | None:
    if trial.run is None:
        return None
    facts = StoredRun(study.runs / trial.run).facts
    ended = facts.get("status") in ("failed", "diverged", "interrupted")
    return formatting.safe(str(facts["reason"]), 300) if ended and facts.get("reason") else None


def log_tail(log: Path, size: int = 8192) -> str:
    """The end of the output of the last attempt; "" without a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - size))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return formatting.safe(text.rpartition(ATTEMPT)[2].partition("\n")[2], size)
