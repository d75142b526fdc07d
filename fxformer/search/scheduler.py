"""Which trial a worker takes up next: one that is new, is to go on, or whose worker died."""

import dataclasses
import socket
from collections.abc import Container, Sequence
from pathlib import Path

from fxformer.search import space, study_io, trial_outcome
from fxformer.search.config import Search
from fxformer.search.leases import Claims, worker_name
from fxformer.search.study import Study, Trial
from fxformer.track.run_lock import this_process, utc_now


def take(
    study: Study, search: Search, claims: Claims, known: Sequence[Trial], but: Container[int]
) -> Trial | None:
    """A trial that nobody has, now claimed and in its file as ours; None where there is none.

    known: all trials as they were a while ago: what was final stays so; but: slots to leave alone
    """
    holders = claims.held()  # before the trials are read: see below
    for slot in range(study.total):
        if slot in but or trial_outcome.final(known[slot], search.retries):
            continue
        trial, holder = study.trial(slot), holders.get(slot)
        if trial_outcome.final(trial, search.retries):
            continue
        told = holder is None or trial.attempts >= holder.attempt and trial.state != "running"
        # A claim of this very process, which is not at the slot: nobody else would ever end it.
        told = told or holder.owner == this_process()
        if not told and not claims.dead(holder) or trial_outcome.busy(study, trial):
            continue
        attempt = 1 + (0 if holder is None else holder.attempt)
        if not claims.take(slot, attempt):
            continue
        claims.hear()  # its holder may have ended it and left between our two looks
        trial = study.trial(slot)
        if not trial_outcome.final(trial, search.retries):
            return _recorded(study, search, trial, attempt)
        claims.drop(slot, attempt)
    return None


def _recorded(study: Study, search: Search, trial: Trial, attempt: int) -> Trial:
    """The trial as ours: its parameters drawn if they were not yet."""
    if not trial.overrides:
        others = () if search.sampler.pure else study.trials()
        params = search.sampler.draw(study, trial.slot, others)
        words = space.overrides(study.space, params)
        trial = dataclasses.replace(trial, params=params, overrides=words)
    trial = dataclasses.replace(
        study_io.charged(study, trial),
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


def unlocked(run: Path) -> None:
    """Open a run's folder whose owner was on another machine and is dead, as its lease tells."""
    lock = run / ".lock"
    if lock.is_file() and f" on {socket.gethostname()} " not in lock.read_text(errors="replace"):
        lock.unlink(missing_ok=True)
