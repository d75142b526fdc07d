"""A search that dies at any change it or a trial makes to the disk ends as one that did not."""

import dataclasses
import os
import sys
from pathlib import Path

import pytest

from fxformer.search.launchers import InlineLauncher
from fxformer.search.study import Study, find
from tests.faults.crashes import Copies, Points, restore, watched
from tests.search import fake_trial, fake_worker

TRIALS, STEPS, SEED, FEW = 2, 3, 0, 10
NOBODY = 2**22 + 1  # no process has this number


def search(root: Path) -> Study:
    """Begins the search in `root`, or goes on with it, in this process; returns it at its end."""
    asked = fake_worker.search(launcher=InlineLauncher(), retries=10**6)
    job = fake_worker.job(fake_worker.study(root / "runs", "s", total=TRIALS), asked)

    def trial(words, slot: int) -> int:
        run = job.study.trial(slot).run
        there = run is not None and (job.study.runs / run / "config.yaml").is_file()
        sys.argv = ["fake", "train", *([f"resume='{job.study.runs / run}'"] if there else [])]
        return fake_trial.Trial().train()

    asked.launcher(dataclasses.replace(job, inline=trial))
    return find(root / "runs", "s")


@pytest.fixture
def inline(monkeypatch):
    """Trials without a worker to outlive; nothing else of them differs."""
    monkeypatch.setenv("FAKE", f"steps={STEPS}")
    monkeypatch.setattr(os, "getppid", lambda: None)
    monkeypatch.setattr(sys, "argv", sys.argv)


def bury(root: Path) -> None:
    """What this process wrote of itself is of a process that is dead."""
    for path in root.rglob("*"):
        if path.is_file() and f'"pid": {os.getpid()}' in (text := path.read_text()):
            stat = path.stat()
            path.write_text(text.replace(f'"pid": {os.getpid()}', f'"pid": {NOBODY}'))
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def told(study: Study) -> list:
    """What a search is about, of each trial."""
    return [(one.state, one.params, one.overrides, one.values, [r[:2] for r in one.reports])
            for one in study.trials()]  # fmt: skip


class Reference:
    def __init__(self, folder: Path, wanted: int | None):
        self.root, self.copies = folder / "root", folder / "copies"
        (self.root / "runs").mkdir(parents=True)
        with watched(Points(self.root, Copies(self.root, self.copies, wanted, SEED))) as points:
            study = search(self.root)
        self.points, self.found, self.told = points, points.visit.found, told(study)

    def survives(self, n: int) -> None:
        restore(self.copies / str(n), self.root)
        bury(self.root)
        study = search(self.root)
        assert told(study) == self.told
        for one in study.trials():  # a death costs the step it was at, never more
            assert STEPS <= round(one.joules / fake_trial.JOULES) <= STEPS + one.attempts - 1
        completed = study.folder / "completions"
        ended = completed.read_text().split() if completed.exists() else []
        assert len(ended) == len(set(ended))


def test_a_search_survives_some_crash_points(tmp_path, inline):
    reference = Reference(tmp_path, FEW)
    assert [one[0] for one in reference.told] == ["complete"] * TRIALS
    assert reference.points.count > 100 and len(reference.found) == FEW
    for n in reference.found:
        reference.survives(n)


@pytest.mark.slow
@pytest.mark.faults
def test_a_search_survives_every_crash_point(tmp_path, inline, capsys):
    reference, failed = Reference(tmp_path, None), {}
    for n, (what, path) in reference.found.items():
        try:
            reference.survives(n)
        except BaseException as error:  # noqa: BLE001 - all points are tried
            failed[n] = (what, path.relative_to(reference.root), repr(error)[:300])
    with capsys.disabled():
        print(
            f"\n{reference.points.count} crash points of a search of {TRIALS} trials: "
            f"{dict(reference.points.kinds)}; {len(failed)} not survived"
        )
    assert not failed, failed
