"""A worker on trials that are `fake`, from a test or as a process of its own:

python fake_worker.py RUNS NAME TRIALS WORKERS [STORAGE]
"""

import dataclasses
import sys
from pathlib import Path

from rich.console import Console

from fxformer.cli.sweeper import open_leases
from fxformer.search import space, study_io
from fxformer.search.config import Search
from fxformer.search.launchers import Job, ProcessLauncher
from fxformer.search.process import TrialCommands
from fxformer.search.prune import NoPruning
from fxformer.search.sample import Random
from fxformer.search.study import Study

SPACE = ("x=tag(log,interval(1e-5,1e-1))", "y=choice(0,1,2)")
PROGRAM = str(Path(__file__).with_name("fake_trial.py"))


@dataclasses.dataclass(frozen=True)
class FakeCommands(TrialCommands):
    def fresh(self, overrides):
        return [sys.executable, PROGRAM, "train", *overrides]

    def resume(self, run):
        return [sys.executable, PROGRAM, "train", f"resume='{run.resolve()}'"]


def search(**knobs) -> Search:
    given = {"sampler": Random(), "pruner": NoPruning(), "launcher": ProcessLauncher()}
    return Search(**given | knobs)


def study(runs: Path, name: str = "s", words=SPACE, **fields) -> Study:
    dimensions = tuple(space.parse(words)[1])
    given = {"command": ("train", "-m", *words), "overrides": (), "sampler": {}, "pruner": None,
             "seed": 0, "total": 6, "objectives": ("loss",)}  # fmt: skip
    place = study_io.study_folder(Path(runs).resolve(), name)
    return Study(folder=place, name=name, space=dimensions, **given | fields)


def job(wanted: Study, asked: Search, console: Console | None = None) -> Job:
    leases = open_leases(study_io.open_or_create(wanted), asked)
    return Job(
        study=leases.study, options=asked, leases=leases,
        commands=FakeCommands(), inline=lambda words, slot: 0, command=(),
        console=console or Console(quiet=True),
    )  # fmt: skip


def work(wanted: Study, asked: Search) -> tuple[Study, str]:
    """Run a worker to its end: the study as it is then, and why the worker stopped early."""
    one = job(wanted, asked)
    return one.study, asked.launcher(one)


if __name__ == "__main__":
    runs, name, trials, workers, *storage = sys.argv[1:]
    knobs = {"workers": int(workers), "storage": storage[0] if storage else None}
    _, stopped = work(study(Path(runs), name, total=int(trials)), search(**knobs))
    raise SystemExit(75 if stopped else 0)
