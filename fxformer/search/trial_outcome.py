"""How a trial ended: from the exit code of its process, its run and its log to a state in words."""

import dataclasses
import math
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from fxformer.search import study_io
from fxformer.search.process import ATTEMPT
from fxformer.search.study import Study, Trial
from fxformer.track import formatting
from fxformer.track.run_lock import utc_now
from fxformer.track.run_reader import StoredRun

if TYPE_CHECKING:
    from fxformer.search.config import Search

BUG, BAD, DIVERGED, INTERRUPTED, LEFT = 1, 2, 3, 75, 130  # exit codes of `fxformer train`
MEMORY = re.compile(r"RESOURCE_EXHAUSTED|out of memory|MemoryError|bad_alloc|Cannot allocate", re.I)


def final(trial: Trial, retries: int) -> bool:
    """Whether nothing is to be done for a trial any more."""
    if trial.state in ("complete", "pruned", "skipped"):
        return True
    return trial.state == "failed" and (trial.code in (BAD, DIVERGED) or trial.failures > retries)


def busy(study: Study, trial: Trial) -> bool:
    """Whether a process of this host is still at the trial's run: it outlived its worker, and is
    about to notice."""
    if trial.run is None:
        return False
    stored = StoredRun(study.runs / trial.run)
    here = (stored.facts.get("owner") or {}).get("host") == os.uname().nodename
    return here and stored.status == "running"


def ended_run(study: Study, trial: Trial) -> bool:
    """Whether the trial's run came to its end, although nobody has said so of the trial."""
    if trial.run is None:
        return False
    return StoredRun(study.runs / trial.run).status in ("done", "pruned")


def ended(
    study: Study, search: "Search", trial: Trial, code: int, stopped: str, late: str = ""
) -> Trial:
    """The trial as its file is to hold it.

    code: of the process; minus the signal that killed it
    stopped: why the search hands out no more trials, "" while it does; late: why it was told to
        leave although the search goes on
    """
    trial = study_io.charged(study, trial)
    run = StoredRun(study.runs / trial.run) if trial.run else None
    state, reason = "failed", None
    if code == 0:
        pruned = run is not None and run.status == "pruned"
        state = "pruned" if pruned else "complete"
        reason = str(run.facts.get("reason")) if pruned else None
    elif stopped:
        state, reason = ("stopped" if "budget" in stopped else "interrupted"), stopped
    elif late:
        reason = late
    elif code in (INTERRUPTED, LEFT, -signal.SIGTERM):
        state, reason = "interrupted", _words(study, trial, code)
    else:
        state = "skipped" if code == BAD and search.skip_illegal else "failed"
        reason = _words(study, trial, code)
    values: tuple[float, ...] = ()
    if code == 0:
        trial = study_io.reported(study, trial)
        values = study_io.values_of(study, trial, last=search.value == "last")
        if state == "complete" and not math.isfinite(values[0]):
            state, reason = "failed", f"{study.objectives[0]} is {values[0]}"
            values, code = (), DIVERGED
    crashed = state == "failed" or state == "interrupted" and not stopped
    failures = trial.failures + crashed
    if crashed and failures > search.retries and state == "interrupted":
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


def _words(study: Study, trial: Trial, code: int) -> str:
    """Why a process ended with a code other than 0."""
    text = tail(study.log(trial.slot))
    last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
    if MEMORY.search(text):
        return f"out of memory: {last}"[:300]
    if code == -signal.SIGKILL:
        return "killed (SIGKILL): the machine may have been out of memory"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    known = {INTERRUPTED: "interrupted", LEFT: "interrupted", DIVERGED: "diverged"}
    if run_said := _said(study, trial):
        return run_said
    return known.get(code) or formatting.safe(last, 300) or f"exit code {code}"


def _said(study: Study, trial: Trial) -> str | None:
    if trial.run is None:
        return None
    facts = StoredRun(study.runs / trial.run).facts
    ended = facts.get("status") in ("failed", "diverged", "interrupted")
    return formatting.safe(str(facts["reason"]), 300) if ended and facts.get("reason") else None


def tail(log: Path, size: int = 8192) -> str:
    """The end of what the last attempt printed; "" where there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - size))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return formatting.safe(text.rpartition(ATTEMPT)[2].partition("\n")[2], size)
