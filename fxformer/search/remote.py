"""Leases in a database, for machines without a shared disk: PostgreSQL, or Optuna's gRPC proxy.

The database holds an Optuna study, which optuna-dashboard can open. Each lease (slot, attempt) is a
trial of it; of two that are acquired concurrently the one with the lower number is valid, since
Optuna numbers the trials of a study sequentially. The results of a trial are stored in its user
attributes; each machine keeps files of all trials.
"""

import contextlib
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from fxformer.errors import UserError
from fxformer.search import optuna_convert, study_io
from fxformer.search.leases import FileLeases, Lease, LeaseClock, Unreachable, worker_name
from fxformer.search.storage import first_line, open_storage, redacted
from fxformer.search.study import Study, Trial
from fxformer.track.run_lock import this_process

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

RETRY_SECONDS = 60.0  # for which a call to a database that does not answer is retried
CONNECT_SECONDS = 30.0  # likewise for the first connection, when the address may be wrong
QUIET_SECONDS = 5.0  # of waiting before a message
Answer = TypeVar("Answer")


class DatabaseLeases:
    """Leases as trials of an Optuna storage.

    study: the study of this machine, with as many slots as any machine has requested
    """

    def __init__(self, study: Study, address: str, lease_seconds: float):
        self.address, self._clock = address, LeaseClock(lease_seconds)
        self.study = study
        self.storage, self.id = self._retry(self._connect, CONNECT_SECONDS)
        self.local = FileLeases(self.study, lease_seconds)
        self.folder_id = _folder_id(self.study)
        self._pushed: dict[tuple[int, int], dict[str, Any]] = {}

    def _connect(self) -> "tuple[BaseStorage, int]":
        """The storage, and the id of the study in it."""
        self.storage = open_storage(self.address)
        return self.storage, self._join()

    def _join(self) -> int:
        """The id of the study, created by the first worker."""
        from optuna.exceptions import DuplicatedStudyError
        from optuna.study import StudyDirection

        directions = [StudyDirection[one.upper()] for one in optuna_convert.directions(self.study)]
        with contextlib.suppress(DuplicatedStudyError):
            self.storage.create_new_study(directions, self.study.name)
        number = self.storage.get_study_id_from_name(self.study.name)
        there = self.storage.get_study_user_attrs(number).get("fxformer")
        total = self.study.total
        if there is not None:
            known = Study.from_json(self.study.folder, there)
            if changed := study_io.differences(known, self.study):
                name = f"{self.study.name} in search.storage is a different search; differences:"
                raise UserError("\n".join([name, *changed, "choose another search.name"]))
            total = max(total, known.total)
        self.study = study_io.extend(self.study, total)
        self.storage.set_study_user_attr(number, "fxformer", self.study.to_json())
        return number

    def latest(self) -> dict[int, Lease]:
        leases = {}
        for (slot, attempt), one in self._latest().items():
            attrs = one.user_attrs
            leases[slot] = Lease(
                slot, attempt, attrs["worker"], attrs["owner"], attrs.get("heartbeat", 0.0)
            )
        return leases

    def acquire(self, slot: int, attempt: int) -> bool:
        from optuna.trial import TrialState, create_trial

        mine = uuid.uuid4().hex  # a retried call finds the lease of its first try
        attrs = {"slot": slot, "attempt": attempt, "worker": worker_name(), "owner": this_process()}
        attrs |= {"lease": mine, "folder": self.folder_id}
        template = create_trial(state=TrialState.RUNNING, user_attrs=attrs)

        def create() -> "FrozenTrial":
            if all(one.user_attrs.get("lease") != mine for one in self._all()):
                self.storage.create_new_trial(self.id, template)
            return self._valid()[slot, attempt]

        won = self._retry(create).user_attrs["lease"] == mine
        if won:
            self.local.acquire(slot, attempt)  # checked by the process of the trial
            self.release(slot, attempt - 1)
        else:
            self._mark_failed(lambda attrs: attrs["lease"] == mine)
        return won

    def release(self, slot: int, attempt: int) -> None:
        self._mark_failed(lambda attrs: (attrs["slot"], attrs["attempt"]) == (slot, attempt))

    def _mark_failed(self, which: Callable[[dict[str, Any]], bool]) -> None:
        """Mark the Optuna trials of given-up leases as failed, for display only."""
        from optuna.trial import TrialState

        with contextlib.suppress(Exception):
            for one in self._all():
                if which(one.user_attrs) and not one.state.is_finished():
                    self.storage.set_trial_state_values(one._trial_id, TrialState.FAIL)

    def renew(self, slot: int, attempt: int) -> bool:
        def heartbeat() -> bool:
            one = self._valid().get((slot, attempt))
            if one is not None and not one.state.is_finished():
                self.storage.set_trial_user_attr(one._trial_id, "heartbeat", time.time())
            return (slot, attempt) in self._latest()

        return self._retry(heartbeat)

    def expired(self, lease: Lease) -> bool:
        return self._clock.expired(lease)

    def push(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            key, body = (trial.slot, trial.attempts), trial.to_json()
            if trial.attempts and self._pushed.get(key) != body:
                self._retry(lambda key=key, trial=trial: self._push(key, trial))
                self._pushed[key] = body

    def _push(self, key: tuple[int, int], trial: Trial) -> None:
        from optuna.trial import TrialState

        there = self._valid().get(key)
        if there is None or there.state.is_finished():
            return
        now, number = optuna_convert.frozen(self.study, trial), there._trial_id
        for name, distribution in now.distributions.items():
            if name not in there.params:
                value = distribution.to_internal_repr(now.params[name])
                self.storage.set_trial_param(number, name, value, distribution)
        for step, value in now.intermediate_values.items():
            if step not in there.intermediate_values:
                self.storage.set_trial_intermediate_value(number, step, value)
        for name, value in (now.user_attrs | {"trial": trial.to_json()}).items():
            if there.user_attrs.get(name) != value:
                self.storage.set_trial_user_attr(number, name, value)
        if trial.state != "running":  # a resumed trial will have another lease
            state = TrialState.FAIL if now.state is TrialState.RUNNING else now.state
            self.storage.set_trial_state_values(number, state, now.values)

    def pull(self) -> None:
        published: dict[int, FrozenTrial] = {}
        for (slot, attempt), one in sorted(self._retry(self._valid).items()):
            if one.user_attrs["folder"] != self.folder_id:
                if "trial" in one.user_attrs:
                    published[slot] = one  # the last of several attempts
            elif not one.state.is_finished():
                ours = self.study.trial(slot)  # of a worker that may have died before it pushed
                if ours.attempts == attempt and ours.state not in ("running", "waiting"):
                    self.push([ours])
        for slot, one in published.items():
            theirs, ours = Trial.from_json(one.user_attrs["trial"]), self.study.trial(slot)
            if ours.attempts <= theirs.attempts and theirs != ours:
                study_io.write(self.study, theirs)

    def _all(self) -> "list[FrozenTrial]":
        trials = self.storage.get_all_trials(self.id, deepcopy=False)
        ours = [one for one in trials if "lease" in one.user_attrs]
        return sorted(ours, key=lambda one: one.number)

    def _valid(self) -> "dict[tuple[int, int], FrozenTrial]":
        """{(slot, attempt): Optuna trial} of the valid leases: the first one per attempt."""
        found: dict[tuple[int, int], FrozenTrial] = {}
        for one in self._all():
            found.setdefault((one.user_attrs["slot"], one.user_attrs["attempt"]), one)
        return found

    def _latest(self) -> "dict[tuple[int, int], FrozenTrial]":
        """{(slot, attempt): Optuna trial} of the latest lease of each slot."""
        latest: dict[int, tuple[int, FrozenTrial]] = {}
        for (slot, attempt), one in self._valid().items():
            if attempt > latest.get(slot, (0, one))[0]:
                latest[slot] = (attempt, one)
        return {(slot, attempt): one for slot, (attempt, one) in latest.items()}

    def _retry(self, act: Callable[[], Answer], limit: float | None = None) -> Answer:
        """Call `act`, retrying on errors of the database. Raises Unreachable after the time limit.

        limit: seconds, also for a blocked call; None: RETRY_SECONDS, and a blocked call lasts until
            the time limit of the driver
        """
        start, pause = time.monotonic(), 0.2
        end = start + (RETRY_SECONDS if limit is None else limit)
        with _message_after(
            QUIET_SECONDS, f"waiting for {redacted(self.address)}, for at most {end - start:.0f} s"
        ):
            while True:
                try:
                    return act() if limit is None else _within(end - time.monotonic(), act)
                except (ValueError, ImportError, AttributeError, TypeError):
                    raise  # user errors and bugs
                except Exception as error:  # each driver has its own exceptions
                    if time.monotonic() + pause > end:
                        what = f"{redacted(self.address)} does not answer: {first_line(error)}"
                        raise Unreachable(what) from error
                    time.sleep(pause)
                    pause = min(2 * pause, 5.0)


@contextlib.contextmanager
def _message_after(seconds: float, message: str) -> Iterator[None]:
    """Print `message` to stderr if the body takes longer than `seconds`."""
    timer = threading.Timer(seconds, print, [message], {"file": sys.stderr, "flush": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _within(seconds: float, act: Callable[[], Answer]) -> Answer:
    """Call `act` with a time limit; TimeoutError if exceeded, leaving it to a daemon thread."""
    future: Future[Answer] = Future()

    def run() -> None:
        try:
            future.set_result(act())
        except BaseException as error:  # noqa: BLE001 - raised in the calling thread
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return future.result(max(seconds, 0.0))
    except TimeoutError as error:
        if future.done():
            raise
        raise TimeoutError(f"no answer in {seconds:.0f} s") from error


def _folder_id(study: Study) -> str:
    """Random id of this folder of the study, written once."""
    file, draft = study.folder / ".folder_id", study.folder / f".{uuid.uuid4().hex}.tmp"
    draft.write_text(uuid.uuid4().hex, encoding="utf-8")
    with contextlib.suppress(FileExistsError):
        os.link(draft, file)
    draft.unlink()
    return file.read_text(encoding="utf-8")
