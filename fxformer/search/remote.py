"""Claims in a database, for machines that share no disk: PostgreSQL, or Optuna's gRPC proxy.

The study there is an Optuna study, which optuna-dashboard opens too. Each claim (slot, attempt) is
a trial of it; of two that are made at once the one with the lower number counts, since Optuna
numbers the trials of a study one after the other. What a trial came to travels in its attributes;
each machine keeps the files of all of them.
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
from fxformer.search.leases import FileClaims, Holder, Leases, Unreachable, worker_name
from fxformer.search.storage import first_line, opened, shown
from fxformer.search.study import Study, Trial
from fxformer.track.run_lock import this_process

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

PATIENCE = 60.0  # seconds for which a database that does not answer is asked again
FIRST = 30.0  # the same at the beginning, when its address may be wrong
QUIET = 5.0  # seconds of waiting before it is said
Answer = TypeVar("Answer")


class StoreClaims:
    """Claims as trials of an Optuna storage.

    study: as this machine keeps it, grown to what other machines have asked for
    """

    def __init__(self, study: Study, address: str, lease_seconds: float):
        self.address, self.leases = address, Leases(lease_seconds)
        self.study = study
        self.storage, self.id = self._patient(self._began, FIRST)
        self.local = FileClaims(self.study, lease_seconds)
        self.place = _place(self.study)
        self._told: dict[tuple[int, int], dict[str, Any]] = {}

    def _began(self) -> "tuple[BaseStorage, int]":
        """The storage, and the number of the study there."""
        self.storage = opened(self.address)
        return self.storage, self._joined()

    def _joined(self) -> int:
        """The number of the study there, begun by whoever is first."""
        from optuna.exceptions import DuplicatedStudyError
        from optuna.study import StudyDirection

        wanted = [StudyDirection[one.upper()] for one in optuna_convert.directions(self.study)]
        with contextlib.suppress(DuplicatedStudyError):
            self.storage.create_new_study(wanted, self.study.name)
        number = self.storage.get_study_id_from_name(self.study.name)
        there = self.storage.get_study_user_attrs(number).get("fxformer")
        total = self.study.total
        if there is not None:
            known = Study.from_json(self.study.folder, there)
            if changed := study_io.differences(known, self.study):
                name = f"{self.study.name} of search.storage is another search; what differs:"
                raise UserError("\n".join([name, *changed, "write another search.name"]))
            total = max(total, known.total)
        self.study = study_io.grown(self.study, total)
        self.storage.set_study_user_attr(number, "fxformer", self.study.to_json())
        return number

    def held(self) -> dict[int, Holder]:
        holders = {}
        for (slot, attempt), one in self._latest().items():
            attrs = one.user_attrs
            holders[slot] = Holder(
                slot, attempt, attrs["worker"], attrs["owner"], attrs.get("pulse", 0.0)
            )
        return holders

    def take(self, slot: int, attempt: int) -> bool:
        from optuna.trial import TrialState, create_trial

        mine = uuid.uuid4().hex  # a call that is made again finds what it made before
        claim = {"slot": slot, "attempt": attempt, "worker": worker_name(), "owner": this_process()}
        claim |= {"claim": mine, "place": self.place}
        template = create_trial(state=TrialState.RUNNING, user_attrs=claim)

        def act() -> "FrozenTrial":
            if all(one.user_attrs.get("claim") != mine for one in self._all()):
                self.storage.create_new_trial(self.id, template)
            return self._counting()[slot, attempt]

        won = self._patient(act).user_attrs["claim"] == mine
        if won:
            self.local.take(slot, attempt)  # what a trial's own process looks at
            self.drop(slot, attempt - 1)
        else:
            self._fail(lambda attrs: attrs["claim"] == mine)
        return won

    def drop(self, slot: int, attempt: int) -> None:
        self._fail(lambda attrs: (attrs["slot"], attrs["attempt"]) == (slot, attempt))

    def _fail(self, which: Callable[[dict[str, Any]], bool]) -> None:
        """Say of claims that nothing will come of them. It counts for nothing but the looks."""
        from optuna.trial import TrialState

        with contextlib.suppress(Exception):
            for one in self._all():
                if which(one.user_attrs) and not one.state.is_finished():
                    self.storage.set_trial_state_values(one._trial_id, TrialState.FAIL)

    def renew(self, slot: int, attempt: int) -> bool:
        def act() -> bool:
            one = self._counting().get((slot, attempt))
            if one is not None and not one.state.is_finished():
                self.storage.set_trial_user_attr(one._trial_id, "pulse", time.time())
            return (slot, attempt) in self._latest()

        return self._patient(act)

    def dead(self, holder: Holder) -> bool:
        return self.leases.dead(holder)

    def tell(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            key, body = (trial.slot, trial.attempts), trial.to_json()
            if trial.attempts and self._told.get(key) != body:
                self._patient(lambda key=key, trial=trial: self._tell(key, trial))
                self._told[key] = body

    def _tell(self, key: tuple[int, int], trial: Trial) -> None:
        from optuna.trial import TrialState

        there = self._counting().get(key)
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
        if trial.state != "running":  # what will be gone on with, will be so in another claim
            state = TrialState.FAIL if now.state is TrialState.RUNNING else now.state
            self.storage.set_trial_state_values(number, state, now.values)

    def hear(self) -> None:
        told: dict[int, FrozenTrial] = {}
        for (slot, attempt), one in sorted(self._patient(self._counting).items()):
            if one.user_attrs["place"] != self.place:
                if "trial" in one.user_attrs:
                    told[slot] = one  # of several attempts the last
            elif not one.state.is_finished():
                ours = self.study.trial(slot)  # by a worker that perhaps died before it told
                if ours.attempts == attempt and ours.state not in ("running", "waiting"):
                    self.tell([ours])
        for slot, one in told.items():
            theirs, ours = Trial.from_json(one.user_attrs["trial"]), self.study.trial(slot)
            if ours.attempts <= theirs.attempts and theirs != ours:
                study_io.write(self.study, theirs)

    def _all(self) -> "list[FrozenTrial]":
        trials = self.storage.get_all_trials(self.id, deepcopy=False)
        ours = [one for one in trials if "claim" in one.user_attrs]
        return sorted(ours, key=lambda one: one.number)

    def _counting(self) -> "dict[tuple[int, int], FrozenTrial]":
        """The claims that count: of several for one attempt the first."""
        found: dict[tuple[int, int], FrozenTrial] = {}
        for one in self._all():
            found.setdefault((one.user_attrs["slot"], one.user_attrs["attempt"]), one)
        return found

    def _latest(self) -> "dict[tuple[int, int], FrozenTrial]":
        """The latest claim of each slot."""
        latest: dict[int, tuple[int, FrozenTrial]] = {}
        for (slot, attempt), one in self._counting().items():
            if attempt > latest.get(slot, (0, one))[0]:
                latest[slot] = (attempt, one)
        return {(slot, attempt): one for slot, (attempt, one) in latest.items()}

    def _patient(self, act: Callable[[], Answer], patience: float | None = None) -> Answer:
        """What `act` gives; what databases raise is borne for a while.

        patience: seconds; then a call that has not come back is given up too. None: PATIENCE, and
            each call takes as long as the driver's own time limits let it
        """
        start, pause = time.monotonic(), 0.2
        end = start + (PATIENCE if patience is None else patience)
        with _word_after(QUIET, f"waiting for {shown(self.address)}, until {end - start:.0f} s"):
            while True:
                try:
                    return act() if patience is None else _within(end - time.monotonic(), act)
                except (ValueError, ImportError, AttributeError, TypeError):
                    raise  # ours, or a mistake
                except Exception as error:  # each database raises its own
                    if time.monotonic() + pause > end:
                        what = f"{shown(self.address)} does not answer: {first_line(error)}"
                        raise Unreachable(what) from error
                    time.sleep(pause)
                    pause = min(2 * pause, 5.0)


@contextlib.contextmanager
def _word_after(seconds: float, words: str) -> Iterator[None]:
    """Print `words` to stderr where what is inside takes longer than so many seconds."""
    timer = threading.Timer(seconds, print, [words], {"file": sys.stderr, "flush": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _within(seconds: float, act: Callable[[], Answer]) -> Answer:
    """What `act` gives or raises; TimeoutError where it has not ended in time. It then goes on in
    a thread that does not keep the process alive."""
    future: Future[Answer] = Future()

    def run() -> None:
        try:
            future.set_result(act())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return future.result(max(seconds, 0.0))
    except TimeoutError as error:
        if future.done():
            raise
        raise TimeoutError(f"no answer in {seconds:.0f} s") from error


def _place(study: Study) -> str:
    """What tells this folder from those of other machines: a name that it is given once."""
    file, draft = study.folder / ".place", study.folder / f".{uuid.uuid4().hex}.tmp"
    draft.write_text(uuid.uuid4().hex, encoding="utf-8")
    with contextlib.suppress(FileExistsError):
        os.link(draft, file)
    draft.unlink()
    return file.read_text(encoding="utf-8")
