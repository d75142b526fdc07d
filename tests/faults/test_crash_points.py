"""A run and a search that die at any change they make to the disk, and go on as if they had not.

`make test-faults` dies at every point; the quick suite at a few, drawn by the seed below. All that
is compared is compared bit for bit: losses, numbers of evaluations, the whole last state, and the
lines of the energy ledger that were there at the death.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fxformer.energy import ledger
from fxformer.track.run_reader import StoredRun
from fxformer.train.checkpoint import Checkpoints
from tests.faults.crashes import Copies, Points, restore, watched
from tests.faults.run import STEPS, Runner, text

ROOT = Path(__file__).resolve().parents[2]
SEED, FEW = 0, 6


def trace(run: Path) -> list:
    """Steps, splits, losses and tokens, exactly."""
    return [(line["step"], line["split"], line["loss"].hex(), line["tokens"])
            for line in StoredRun(run).lines]  # fmt: skip


def state(run: Path) -> dict[str, np.ndarray]:
    """Every array of the last checkpoint."""
    arrays, _ = Checkpoints(run / "checkpoints").read(STEPS)
    return {path: array.copy() for path, array in arrays.items()}


def whole_lines(file: Path) -> bytes:
    """The lines of a log that are not torn."""
    return file.read_bytes().rpartition(b"\n")[0] if file.exists() else b""


class Reference:
    """A run that nobody disturbs, with copies of its folder at crash points."""

    def __init__(self, folder: Path, wanted: int | None):
        self.root, self.copies = folder / "root", folder / "copies"
        self.root.mkdir()
        self.runner = Runner(self.root, text(folder))
        with watched(Points(self.root, Copies(self.root, self.copies, wanted, SEED))) as points:
            run = self.runner.go()
        self.points, self.found = points, points.visit.found
        self.trace, self.state = trace(run), state(run)

    def survives(self, n: int) -> None:
        """What comes of the copy of point n is what came of the run."""
        restore(self.copies / str(n), self.root)
        before = {run.name: whole_lines(run / "energy.jsonl") for run in self.root.glob("runs/*")}
        run = self.runner.go()
        assert trace(run) == self.trace
        again = state(run)
        assert again.keys() == self.state.keys()
        assert all(np.array_equal(again[path], self.state[path]) for path in again)
        self.accounts(run, before.get(run.name, b""))
        left = [path for path in run.rglob(".*") if path.name not in (".lock", ".optuna.lock")]
        assert not left, left
        assert StoredRun(run).status == "done"
        assert all(event["event"] != "damage" for event in StoredRun(run).events())

    def accounts(self, run: Path, before: bytes) -> None:
        """Nothing that was on the ledger is lost or changed, and attempts add up."""
        file = run / "energy.jsonl"
        assert file.read_bytes().startswith(before)
        attempts = ledger.attempts(file)
        whole = sum(one["joules"] for one in attempts.values())  # in another order
        assert StoredRun(run).energy().joules == pytest.approx(whole, rel=1e-12)
        joules = [line["joules"] for line in StoredRun(run).lines]
        assert joules == sorted(joules)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return Reference(tmp_path_factory.mktemp("few"), FEW)


def test_a_run_survives_some_crash_points(few):
    assert few.points.count > 300 and len(few.found) == FEW
    for n in few.found:
        few.survives(n)


def ended(few) -> Path:
    """A run that has come to its end."""
    restore(few.copies / str(max(few.found)), few.root)
    return few.runner.go()


def test_a_run_that_is_done_but_lacks_its_last_checkpoint_makes_it_again(few):
    run = ended(few)
    for step in Checkpoints(run / "checkpoints").steps()[1:]:
        shutil.rmtree(run / "checkpoints" / f"{step:08d}")
    assert few.runner.go() == run
    assert trace(run) == few.trace
    assert all(np.array_equal(array, few.state[path]) for path, array in state(run).items())
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(ValueError, match="is done, but its checkpoints were deleted"):
        few.runner.go()


def test_a_deleted_ledger_is_told_at_a_resume(few):
    run = ended(few)
    shutil.rmtree(run / "checkpoints" / f"{STEPS:08d}")
    (run / "energy.jsonl").unlink()
    with pytest.warns(UserWarning, match="energy.jsonl has lost lines: it had"):
        few.runner.go()
    told = [event for event in StoredRun(run).events() if event["event"] == "damage"]
    assert len(told) == 1 and "energy.jsonl has lost lines" in told[0]["logs"][0]
    assert trace(run) == few.trace


@pytest.mark.slow
@pytest.mark.faults
def test_a_run_survives_every_crash_point(tmp_path, capsys):
    reference, failed = Reference(tmp_path, None), {}
    for n, (what, path) in reference.found.items():
        try:
            reference.survives(n)
        except BaseException as error:  # noqa: BLE001 - all points are tried
            failed[n] = (what, path.relative_to(reference.root), repr(error)[:300])
    with capsys.disabled():
        points = reference.points
        print(
            f"\n{points.count} crash points of a run of {STEPS} steps: {dict(points.kinds)}; "
            f"{len(failed)} not survived"
        )
    assert points.count > 300 and not failed, failed


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("number", [5, 60, 150, 250, 350])
def test_a_real_kill_leaves_what_a_copy_has(tmp_path, number):
    reference = Reference(tmp_path, 0)
    shutil.rmtree(reference.root)
    reference.root.mkdir()
    run = [sys.executable, "-m", "tests.faults.run", str(tmp_path), str(number)]
    process = subprocess.run(run, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert process.returncode == -9
    (tmp_path / "copies").mkdir(exist_ok=True)
    reference.root.rename(tmp_path / "copies" / str(number))
    reference.survives(number)
