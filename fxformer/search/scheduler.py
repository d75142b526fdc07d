"""Scheduling of trials: the next trial of a worker is new, resumable, or of a dead worker."""

import dataclasses
import socket
from collections.abc import Container, Sequence
from pathlib import Path

from fxformer.search import space, study_io
from fxformer.search.leases import LeaseStore, worker_name
from fxformer.search.options import WorkerOptions
from fxformer.search.study import Study, Trial
from fxformer.search.trial_outcome import is_busy, is_final
from fxformer.track.run_lock import this_process, utc_now


def next_trial(
    study: Study,
    options: WorkerOptions,
    leases: LeaseStore,
    known: Sequence[Trial],
    exclude: Container[int],
) -> Trial | None:
    """Acquire the lease of a trial that nobody runs, and record it as running; None without one.

    known: all trials as read a while ago; the final ones among them are not read again
    exclude: slots that are not considered
    """
    latest = leases.latest()  # read before the trials: see below
    for slot in range(study.total):
        if slot in exclude or is_final(known[slot], options.retries):
            continue
        trial, lease = study.trial(slot), latest.get(slot)
        if is_final(trial, options.retries):
            continue
        free = (
            lease is None
            or trial.attempts >= lease.attempt
            and trial.state != "running"
            # a lease of this process, which does not run the slot: nobody else would ever end it
            or lease.owner == this_process()
            or leases.expired(lease)
        )
        if not free or is_busy(study, trial):
            continue
        attempt = 1 + (0 if lease is None else lease.attempt)
        if not leases.acquire(slot, attempt):
            continue
        leases.pull()  # its worker may have ended the trial since the leases were read
        trial = study.trial(slot)
        if not is_final(trial, options.retries):
            return _recorded(study, options, trial, attempt)
        leases.release(slot, attempt)
    return None


def _recorded(study: Study, options: WorkerOptions, trial: Trial, attempt: int) -> Trial:
    """The trial as running in this process; its parameters are drawn if they were not yet."""
    if not trial.overrides:
        others = () if options.sampler.pure else study.trials()
        params = options.sampler.draw(study, trial.slot, others)
        overrides = space.overrides(study.space, params)
        trial = dataclasses.replace(trial, params=params, overrides=overrides)
    trial = dataclasses.replace(
        study_io.with_energy(study, trial),
        state="running",
        reason=None,
        values=(),
        attempts=attempt,
        worker=worker_name(),
        owner=this_process(),
        started=trial.started or utc_now(),
        ended=None,
        code=None,
    )
    study_io.write(study, trial)
    return trial


def remove_stale_lock(run: Path) -> None:
    """Unlock a run whose owner was on another machine and is dead, as its lease has expired."""
    lock = run / ".lock"
    if lock.is_file() and f" on {socket.gethostname()} " not in lock.read_text(errors="replace"):
        lock.unlink(missing_ok=True)
