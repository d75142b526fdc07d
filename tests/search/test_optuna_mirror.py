"""The Optuna storage beside the trials: made anew from their files, whatever becomes of it."""

import dataclasses
import math

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from fxformer.search import optuna_mirror, study_io
from fxformer.search.study import Trial
from tests.search.study_files import SPACE, study, trial


def loaded(journal):
    """What Optuna, and so optuna-dashboard, reads: {slot: (state, params, value, kwh, reports)}."""
    storage = JournalStorage(JournalFileBackend(str(journal)))
    held = optuna.load_study(study_name="made", storage=storage)
    return {
        one.user_attrs["slot"]: (
            one.state, one.params, one.values, one.user_attrs["kwh"], one.intermediate_values,
        )
        for one in held.trials
    }  # fmt: skip


def several():
    started = {"started": "2026-01-01T00:00:00+00:00", "ended": "2026-01-01T01:00:00+00:00"}
    return [
        trial(0, 1.5, **started), trial(1, 1.25, state="pruned", **started),
        trial(2, state="failed", reason="killed", code=-9, **started),
        trial(3, state="interrupted", **started), Trial(4),
    ]  # fmt: skip


def truth(made):
    states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED,
              "failed": TrialState.FAIL, "interrupted": TrialState.RUNNING}  # fmt: skip
    return {
        one.slot: (
            states[one.state], one.params,
            [one.values[0]] if one.state == "complete" else None, one.kwh,
            {step: value for step, value, _ in one.reports},
        )
        for one in made.trials() if one.params
    }  # fmt: skip


def truncated(journal, rng):
    journal.write_bytes(journal.read_bytes()[: int(rng.integers(1, journal.stat().st_size))])


def torn(journal, rng):
    with journal.open("a") as file:
        file.write('{"op_code": 5, "worker_id": "x", "trial')


def broken_in_the_middle(journal, rng):
    body = bytearray(journal.read_bytes())
    for place in rng.integers(0, len(body), 30):
        body[place] = 0
    journal.write_bytes(bytes(body))


def lost_a_line(journal, rng):
    lines = journal.read_bytes().splitlines(True)
    del lines[int(rng.integers(len(lines)))]
    journal.write_bytes(b"".join(lines))


def emptied(journal, rng):
    journal.write_bytes(b"")


def deleted(journal, rng):
    journal.unlink()


DAMAGES = [truncated, torn, broken_in_the_middle, lost_a_line, emptied, deleted]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_storage_is_made_anew(tmp_path, damage):
    made, rng = study(tmp_path, several(), space=SPACE), np.random.default_rng(0)
    for _ in range(4):
        optuna_mirror.sync(made, made.trials())
        assert loaded(made.journal) == truth(made)
        damage(made.journal, rng)
    optuna_mirror.sync(made, made.trials())
    assert loaded(made.journal) == truth(made)


def test_it_grows_with_the_trials(tmp_path):
    """A trial that runs, reports, ends: told step by step, the same as told at once."""
    made = study(tmp_path, several())
    optuna_mirror.sync(made, made.trials())
    step, value, kwh = 150, 0.75, 0.002
    more = dataclasses.replace(
        made.trial(3), reports=(*made.trial(3).reports, (step, value, kwh)), kwh=kwh
    )
    study_io.write(made, more)
    optuna_mirror.sync(made, made.trials())
    assert loaded(made.journal) == truth(made)
    study_io.write(made, dataclasses.replace(more, state="complete", values=(value,)))
    optuna_mirror.sync(made, made.trials())
    assert loaded(made.journal) == truth(made)
    assert len(loaded(made.journal)) == 4


def test_what_is_not_a_number_is_the_worst_there(tmp_path):
    made = study(tmp_path, [trial(0, 1.0), trial(1, math.nan)])
    optuna_mirror.sync(made, made.trials())
    assert loaded(made.journal)[1][2] == [math.inf]
