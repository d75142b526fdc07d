"""Mirror of a study as an Optuna journal file, for optuna-dashboard. Written, never read back.

A journal opens in 10 ms where SQLite takes seconds. Optuna rejects a journal with a truncated or
otherwise damaged line; it is then written again from the files of the trials.
"""

import contextlib
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxformer.search import optuna_convert
from fxformer.search.study import Study, Trial

if TYPE_CHECKING:
    import optuna

_log = logging.getLogger(__name__)


def sync(study: Study, trials: Sequence[Trial]) -> None:
    """Update the journal to the trials. Only one process writes at a time; errors are logged as
    warnings, since the files of the trials are authoritative."""
    with _try_lock(study.folder / ".optuna.lock") as locked:
        if not locked:
            return
        try:
            if not is_valid(study.journal):
                study.journal.unlink(missing_ok=True)
            _update_study(study, trials)
        except Exception as error:  # noqa: BLE001 - each backend has its own exceptions
            _log.warning("cannot update %s: %s", study.journal, error)


@contextlib.contextmanager
def _try_lock(lock: Path) -> Iterator[bool]:
    import fcntl

    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def is_valid(journal: Path) -> bool:
    """Whether every line of the journal is complete JSON."""
    if not journal.exists():
        return True
    text = journal.read_bytes()
    try:
        return not text or text.endswith(b"\n") and all(map(json.loads, text.splitlines()))
    except ValueError:
        return False


def _update_study(study: Study, trials: Sequence[Trial]) -> None:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    class NoLock:
        """Does nothing: the journal is locked already."""

        def acquire(self) -> bool:
            return True

        def release(self) -> None:
            pass

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    lock: Any = NoLock()
    backend = JournalFileBackend(str(study.journal), lock_obj=lock)
    mirror = optuna.create_study(
        storage=JournalStorage(backend),
        study_name=study.name,
        directions=optuna_convert.directions(study),
        load_if_exists=True,
    )
    known = {one.user_attrs.get("slot"): one for one in mirror.get_trials(deepcopy=False)}
    for trial in trials:
        if trial.params:
            _update(mirror, study, trial, known.get(trial.slot))
    for name, value in (("command", " ".join(study.command)), ("fxformer", study.to_json())):
        if mirror.user_attrs.get(name) != value:
            mirror.set_user_attr(name, value)


def _update(
    mirror: "optuna.Study", study: Study, trial: Trial, before: "optuna.trial.FrozenTrial | None"
) -> None:
    """Add a trial, or its changes. A restarted trial is a new Optuna trial, because finished Optuna
    trials are immutable."""
    current = optuna_convert.frozen(study, trial)
    if before is None or before.state.is_finished():
        again = before is not None and before.user_attrs.get("attempts") != trial.attempts
        if before is None or again and current.state.is_finished():
            mirror.add_trial(current)
        return
    storage, number = mirror._storage, before._trial_id
    for step, value in current.intermediate_values.items():
        if step not in before.intermediate_values:
            storage.set_trial_intermediate_value(number, step, value)
    for name, value in current.user_attrs.items():
        if before.user_attrs.get(name) != value:
            storage.set_trial_user_attr(number, name, value)
    if current.state.is_finished():
        storage.set_trial_state_values(number, current.state, current.values)
