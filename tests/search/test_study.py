"""The records of a study: what is written is read, one begins it, another kind is refused."""

import dataclasses
import fcntl
import json
import math
import os
import subprocess
import sys
import time
from subprocess import PIPE

import pytest
from search import fake_worker

from fxformer.search import study_io
from fxformer.search.leases import FileLeases, Lease, LeaseClock, is_current
from fxformer.search.study import FOLDER, Study, Trial, find, studies
from fxformer.track.run_lock import this_process


def test_a_trial_is_read_as_it_was_written(tmp_path):
    study = study_io.open_or_create(fake_worker.study(tmp_path))
    trial = Trial(
        2, {"x": 1e-3, "y": 1}, ("x=0.001", "y=1"), "complete", values=(1.5, math.inf),
        reports=((10, math.nan, 1e-3), (20, 1.5, 2e-3)), energy_by_run={"a": [1.0, 2.0, 3.0, 4.0]},
        run="a", attempts=2, code=0, owner=this_process(),
    )  # fmt: skip
    study_io.write(study, trial)
    back = study.trial(2)
    assert math.isnan(back.reports[0][1])
    steady = {"reports": trial.reports[1:]}
    back = dataclasses.replace(back, reports=back.reports[1:])
    assert back == dataclasses.replace(trial, **steady)
    json.loads(study.path(2).read_text(), parse_constant=pytest.fail)  # a browser reads it too
    assert [one.state for one in study.trials()] == ["waiting"] * 2 + ["complete"] + ["waiting"] * 3


def test_unreadable_trials_wait_and_unknown_fields_are_passed_over(tmp_path):
    study = study_io.open_or_create(fake_worker.study(tmp_path))
    study.path(0).write_text('{"slot": 0, "sta')
    study.path(1).write_text(json.dumps(Trial(1, state="pruned").to_json() | {"later": 1}))
    assert [study.trial(n).state for n in (0, 1)] == ["waiting", "pruned"]


def test_a_running_trial_whose_worker_is_dead_is_interrupted():
    assert Trial(0, state="running", owner=this_process()).status == "running"
    gone = this_process() | {"process_start": "0/0"}
    assert Trial(0, state="running", owner=gone).status == "interrupted"
    assert Trial(0, state="running", owner={"host": "elsewhere"}).status == "running"


def test_trials_are_ranked_by_what_the_objective_wants(tmp_path):
    trials = [
        Trial(n, state="complete", values=(v,)) for n, v in enumerate((2.0, math.nan, 1.0))
    ] + [Trial(3, state="pruned", values=(0.0,)), Trial(4)]
    study = fake_worker.study(tmp_path)
    assert [one.slot for one in study.ranked(trials)] == [2, 0, 1]
    upward = dataclasses.replace(study, maximize=("loss",))
    assert upward.best(trials).slot == 0 and study.best([]) is None


def test_studies_are_found_by_name_and_by_its_beginning(tmp_path):
    for name in ("lr1", "lr2", "depth"):
        study_io.open_or_create(fake_worker.study(tmp_path, name))
    (tmp_path / FOLDER / "torn").mkdir()
    (tmp_path / FOLDER / "torn" / "study.json").write_text("{")
    assert {study.name for study in studies(tmp_path)} == {"lr1", "lr2", "depth"}
    assert find(tmp_path, "d").name == "depth" and find(tmp_path, "lr1").name == "lr1"
    assert find("/", str(tmp_path / FOLDER / "lr2")).name == "lr2"
    with pytest.raises(ValueError, match="studies: .*lr1"):
        find(tmp_path, "lr")


def test_the_same_search_goes_on_and_may_grow(tmp_path):
    first = study_io.open_or_create(fake_worker.study(tmp_path, total=4))
    study_io.write(first, Trial(3, state="complete"))
    again = study_io.open_or_create(fake_worker.study(tmp_path, total=9, budget_kwh=1.0))
    assert (again.total, again.budget_kwh, again.created) == (9, 1.0, first.created)
    assert (
        study_io.open_or_create(fake_worker.study(tmp_path, total=2)).total == 4
    )  # no trial is forgotten
    assert Study.open(first.folder).total == 4


@pytest.mark.parametrize(
    "changed,said",
    [
        ({"seed": 3}, "search.seed: the study has 0, given 3"),
        ({"words": ("x=tag(log,interval(1e-5,1e-1))", "y=choice(0,1)")},
         r"y: the study has choice\(0,1,2\), given choice\(0,1\)"),
        ({"words": ("x=interval(1e-5,1e-1)", "y=choice(0,1,2)")},
         r"x: the study has tag\(log,interval\(1e-05,0.1\)\), given interval"),
        ({"overrides": ("model=bert",)}, "overrides: the study has none, given model=bert"),
        ({"objectives": ("loss", "kwh")}, "search.objectives: the study has loss, given loss k"),
    ],
)  # fmt: skip
def test_another_search_under_the_name_is_refused_with_what_differs(tmp_path, changed, said):
    study_io.open_or_create(fake_worker.study(tmp_path))
    with pytest.raises(ValueError, match=said):
        study_io.open_or_create(fake_worker.study(tmp_path, **changed))


def test_other_versions_are_told(tmp_path):
    study = study_io.open_or_create(fake_worker.study(tmp_path))
    assert study_io.version_changes(study) == "" and study.versions["optuna"]
    older = dataclasses.replace(study, versions=study.versions | {"optuna": "4.0", "gone": "1"})
    assert study_io.version_changes(older) == f"optuna 4.0 is now {study.versions['optuna']}"


def test_a_name_is_of_the_search_not_of_its_size(tmp_path):
    name = study_io.study_name(fake_worker.study(tmp_path))
    assert name.startswith("x-y-") and name == study_io.study_name(
        fake_worker.study(tmp_path, total=99)
    )
    assert name != study_io.study_name(fake_worker.study(tmp_path, seed=1))
    words = ("model=bert", "size=tiny", "tracker=wandb")
    same = [fake_worker.study(tmp_path, overrides=some) for some in (words, words[1::-1])]
    assert study_io.study_name(same[0]) == study_io.study_name(same[1]) != name
    assert study_io.differences(*same) == []
    with pytest.raises(ValueError, match="search.name=../x"):
        study_io.study_folder(tmp_path, "../x")


BEGIN = """
import sys; sys.path.insert(0, sys.argv[3])
from search import fake_worker
from fxformer.search import study_io
from fxformer.search.leases import FileLeases
import fcntl
print("ready", flush=True)
fcntl.flock(open(sys.argv[2]), fcntl.LOCK_SH)
study = study_io.open_or_create(fake_worker.study(sys.argv[1]))
leases = FileLeases(study, 60)
print(study.created, *[slot for slot in range(40) if leases.acquire(slot, 1)])
"""


def test_of_simultaneous_starters_one_begins_and_each_claim_is_made_once(tmp_path):
    tests = str(fake_worker.Path(__file__).parents[1])
    argv = [sys.executable, "-c", BEGIN, str(tmp_path), str(tmp_path / "lock"), tests]
    env = os.environ | {"PYTHONPATH": str(fake_worker.Path(__file__).parents[2])}
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        four = [subprocess.Popen(argv, stdout=PIPE, text=True, env=env) for _ in range(4)]
        assert [one.stdout.readline() for one in four] == ["ready\n"] * 4
    said = [one.communicate(timeout=300)[0].split() for one in four]
    assert len({one[0] for one in said}) == 1
    assert sorted(int(slot) for one in said for slot in one[1:]) == list(range(40))
    assert not [path for path in (tmp_path / FOLDER / "s").rglob(".*") if path.is_file()]


def test_a_claim_is_superseded_not_taken_back(tmp_path):
    study = study_io.open_or_create(fake_worker.study(tmp_path))
    ours, theirs = FileLeases(study, 60), FileLeases(study, 60)
    assert ours.acquire(3, 1) and not theirs.acquire(3, 1)
    assert not theirs.expired(theirs.latest()[3]) and ours.renew(3, 1)
    assert theirs.acquire(3, 2) and not ours.renew(3, 1) and theirs.renew(3, 2)
    assert ours.latest()[3].attempt == 2 and not is_current(study.folder / "leases", 3, 1)


def test_on_this_host_the_process_decides_and_elsewhere_silence(monkeypatch):
    leases = LeaseClock(10.0)
    boot = str(this_process()["process_start"]).partition("/")[0]
    assert leases.expired(Lease(0, 1, "w", this_process() | {"process_start": f"{boot}/0"}, 0.0))
    namesake = this_process() | {
        "process_start": "another-boot/0"
    }  # a machine of the same name, or ours before
    assert not leases.expired(Lease(0, 1, "w", namesake, 0.0))
    assert not leases.expired(Lease(0, 1, "w", this_process(), 0.0))
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    away = {"host": "elsewhere", "pid": 1}
    assert not leases.expired(Lease(1, 1, "w", away, 5.0))
    clock[0] += 9
    assert not leases.expired(Lease(1, 1, "w", away, 5.0))
    clock[0] += 2
    assert leases.expired(Lease(1, 1, "w", away, 5.0))
    assert not leases.expired(Lease(1, 1, "w", away, 4.0))  # any change is a sign of life
    clock[0] += 11
    assert not leases.expired(Lease(1, 2, "w", away, 4.0))  # another claim
