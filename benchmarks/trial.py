"""`python -m benchmarks trial`: what a trial costs beside its training, and what of it is ours.

Processor seconds of all processes, which a busy machine hardly changes, and seconds by the clock,
which it does. By hand: `fxformer train`; the search: the same run several times by `-m`, at two
numbers of trials, so that what comes once and what comes with each trial can be told apart.
"""

import argparse
import dataclasses
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.report import RESULTS
from fxformer.search import optuna_mirror, space, study_io
from fxformer.search.leases import FileLeases
from fxformer.search.sample import Random
from fxformer.search.study import Study, Trial
from fxformer.track.run_reader import StoredRun, runs

RUN = (
    *("model=gpt2", "size=tiny", "objective=clm", "data=markov", "tokenizer=none"),
    *("trainer.steps=40", "trainer.eval_every=20", "energy=tdp"),
)
LR = "optimizer.lr=tag(log,interval(1e-4,1e-2))"


@dataclasses.dataclass(frozen=True)
class Took:
    """Seconds: by the clock, and of processors."""

    wall: float
    cpu: float

    def __sub__(self, other: "Took") -> "Took":
        return Took(self.wall - other.wall, self.cpu - other.cpu)

    def __truediv__(self, number: float) -> "Took":
        return Took(self.wall / number, self.cpu / number)


def took(argv: Sequence[str], cwd: Path, **environ: str) -> Took:
    """Of a process and all that it waited for. SystemExit with what it said if it fails."""
    env = os.environ | {"JAX_PLATFORMS": "cpu", "FXFORMER_NO_TUNING": "1"} | environ
    env["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
    began = time.perf_counter()
    with (cwd / "said.txt").open("wb") as said:
        process = subprocess.Popen(argv, cwd=cwd, env=env, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(argv)}:\n{(cwd / 'said.txt').read_text()[-3000:]}")
    return Took(time.perf_counter() - began, used.ru_utime + used.ru_stime)


def python(code: str, cwd: Path) -> Took:
    """The quickest of three."""
    return min((took([sys.executable, "-c", code], cwd) for _ in range(3)), key=lambda one: one.cpu)


def fxformer(cwd: Path, cache: Path, *words: str) -> Took:
    """`fxformer train` with these words."""
    command = [sys.executable, "-m", "fxformer", "train", *words]
    return took([*command, *RUN, f"trainer.compile_cache={cache}"], cwd)


def processes(folder: Path, few: int, many: int) -> dict:
    """Runs by hand and searches: seconds of each."""
    cache = folder / "cache"
    cold = fxformer(folder, cache, "optimizer.lr=1e-3", "runs=hand")
    hand = [fxformer(folder, cache, f"optimizer.lr={lr}", "runs=hand") for lr in (2e-3, 3e-3, 4e-3)]
    usual = sorted(hand, key=lambda one: one.cpu)[1]
    small = fxformer(folder, cache, "-m", LR, f"search.trials={few}", "runs=few")
    large = fxformer(folder, cache, "-m", LR, f"search.trials={many}", "runs=many")
    each = (large - small) / (many - few)
    start, jax = python("pass", folder), python("import jax, flax.nnx, optax", folder)
    return {
        "cold": cold,
        "warm": usual,
        "trial": each,
        "search_beside_trial": each - usual,
        "search_once": Took(small.wall - few * each.wall, small.cpu - few * each.cpu),
        "python": start,
        "jax_flax_optax": jax - start,
        "phases_cold": phases(folder / "hand", 0),
        "phases_warm": phases(folder / "hand", -1),
    }


def phases(folder: Path, which: int) -> dict[str, float]:
    """Seconds by the clock of the phases of a run."""
    run: StoredRun = runs(folder)[which]
    return dict(run.energy().seconds)


def steps(folder: Path, trials: int = 100) -> dict[str, float]:
    """Median seconds of each thing that a worker, or a trial, does for a trial."""
    dimensions = tuple(space.read([LR, "model.layers=choice(2,4,6)"])[1])
    place = study_io.study_folder(folder.resolve(), "bench")
    study = study_io.begin(
        Study(place, "bench", (), (), dimensions, {}, None, 0, trials, ("loss",))
    )
    leases, found = FileLeases(study, 60.0), {}
    found["draw"] = median(lambda n: Random().draw(study, n, ()), trials)
    found["claim"] = median(lambda n: leases.acquire(n, 1), trials)
    found["renew"] = median(lambda n: leases.renew(n, 1), trials)

    def write(n: int) -> None:
        params = Random().draw(study, n, ())
        words = space.overrides(dimensions, params)
        report = ((20, 1.0, 1e-6), (40, 0.5, 2e-6))
        study_io.write(study, Trial(n, params, words, "complete", values=(0.5,), reports=report))

    found["write"] = median(write, trials)
    found["read_all"] = median(lambda _: study.trials(), 10)
    began = time.perf_counter()
    optuna_mirror.sync(study, study.trials())
    found["optuna_first"] = time.perf_counter() - began
    found["optuna_again"] = median(lambda _: optuna_mirror.sync(study, study.trials()), 5)
    return found


def median(act: Callable[[int], object], times: int) -> float:
    """Seconds, the median."""
    each = []
    for n in range(times):
        began = time.perf_counter()
        act(n)
        each.append(time.perf_counter() - began)
    return statistics.median(each)


def show(found: dict, console: Console) -> None:
    """Both tables."""
    table = Table(title="seconds", box=None)
    for name in ("", "processor", "clock"):
        table.add_column(name, justify="right" if name else "left")
    for name, one in found["processes"].items():
        if isinstance(one, Took):
            table.add_row(name.replace("_", " "), f"{one.cpu:.2f}", f"{one.wall:.2f}")
    console.print(table)
    for name in ("phases_cold", "phases_warm"):
        each = ", ".join(f"{k} {v:.2f}" for k, v in found["processes"][name].items())
        console.print(f"{name.replace('_', ' ')}, clock: {each}")
    each = ", ".join(f"{name} {1e3 * one:.2f} ms" for name, one in found["steps"].items())
    console.print(f"a study of {found['trials']} trials: {each}")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, show, keep."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks trial", description=__doc__)
    parser.add_argument("--few", type=int, default=2, help="trials of the small search")
    parser.add_argument("--many", type=int, default=6, help="trials of the large one")
    parser.add_argument("--quick", action="store_true", help="only the worker's own steps")
    given, console, facts = parser.parse_args(argv), Console(), machine.facts()
    with tempfile.TemporaryDirectory() as folder:
        found: dict = {"trials": 100, "steps": steps(Path(folder)), "processes": {}}
        if not given.quick:
            with console.status("runs by hand, then searches"):
                found["processes"] = processes(Path(folder), given.few, given.many)
    if given.quick:
        console.print(found["steps"])
        return
    show(found, console)
    date = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    path = RESULTS / f"trial-{date}.json"
    body = {"date": date, "machine": facts, "run": RUN, **found}
    plain = json.dumps(body, indent=1, default=dataclasses.asdict)
    path.write_text(plain + "\n", encoding="utf-8")
    console.print(f"kept in {path}")


if __name__ == "__main__":
    main()
