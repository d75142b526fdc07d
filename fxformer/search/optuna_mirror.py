"""The study as an Optuna storage, for optuna-dashboard: a copy of the trials' files, never asked.

A journal file: it opens in a hundredth of a second where SQLite takes seconds. A line that a kill
has torn, or any other damage, makes Optuna refuse the whole of it; then it is written anew.
"""

import contextlib
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fxformer.search import optuna_convert
from fxformer.search.study import Study, Trial

if TYPE_CHECKING:
    import optuna

_log = logging.getLogger(__name__)


def sync(study: Study, trials: Sequence[Trial]) -> None:
    """Bring the storage up to what the trials say. Of several processes one does it, and what goes
    wrong is only warned of: the trials' files are the truth."""
    with _alone(study.folder / ".optuna.lock") as alone:
        if not alone:
            return
        try:
            if not sound(study.journal):
                study.journal.unlink(missing_ok=True)
            _bring(study, trials)
        except Exception as error:  # noqa: BLE001 - Optuna raises what its backends raise
            _log.warning("%s cannot be brought up to date: %s", study.journal, error)


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[bool]:
    import fcntl

    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def sound(journal: Path) -> bool:
    """Whether every line of it is whole."""
    if not journal.exists():
        return True
    text = journal.read_bytes()
    try:
        return not text or text.endswith(b"\n") and all(map(json.loads, text.splitlines()))
    except ValueError:
        return False


class _Held:
    """Optuna's lock of the file; we hold our own already."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        """Nothing was taken."""


def _bring(study: Study, trials: Sequence[Trial]) -> None:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    backend = JournalFileBackend(str(study.journal), lock_obj=_Held())
    held = optuna.create_study(
        storage=JournalStorage(backend),
        study_name=study.name,
        directions=optuna_convert.directions(study),
        load_if_exists=True,
    )
    known = {one.user_attrs.get("slot"): one for one in held.get_trials(deepcopy=False)}
    for trial in trials:
        if trial.params:
            _update(held, study, trial, known.get(trial.slot))
    for name, value in (("command", " ".join(study.command)), ("fxformer", study.to_json())):
        if held.user_attrs.get(name) != value:
            held.set_user_attr(name, value)


def _update(
    held: "optuna.Study", study: Study, trial: Trial, before: "optuna.trial.FrozenTrial | None"
) -> None:
    """Add the trial, or what is new of it. One that failed and was taken up again is a new one
    there: an ended trial cannot change."""
    now = optuna_convert.frozen(study, trial)
    if before is None or before.state.is_finished():
        again = before is not None and before.user_attrs.get("attempts") != trial.attempts
        if before is None or again and now.state.is_finished():
            held.add_trial(now)
        return
    storage, number = held._storage, before._trial_id
    for step, value in now.intermediate_values.items():
        if step not in before.intermediate_values:
            storage.set_trial_intermediate_value(number, step, value)
    for name, value in now.user_attrs.items():
        if before.user_attrs.get(name) != value:
            storage.set_trial_user_attr(number, name, value)
    if now.state.is_finished():
        storage.set_trial_state_values(number, now.state, now.values)
