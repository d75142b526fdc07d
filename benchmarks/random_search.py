"""`python -m benchmarks random_search`: random search beside grid search, at equal energy.

First on a surface whose every answer is known (benchmarks/surface.py). Then real ones, --real: a
small decoder on a Markov chain, whose loss nothing can bring below its entropy rate; learning rate,
and weight decay in two ranges: in the wide one it matters, in the narrow one it does not. The grid
is laid out several times, each time moved by a random part of its cells; the random trials are one
pool, dealt out anew for each comparison.
"""

import argparse
import dataclasses
import datetime
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.report import RESULTS
from benchmarks.surface import Duel, error
from fxformer.search.study import Trial, find
from fxformer.track.run_reader import StoredRun

DUELS = (Duel(4, 1, 3), Duel(3, 1, 4), Duel(3, 2, 4), Duel(2, 1, 5), Duel(2, 2, 5))
SPACES = {
    "wide": {"optimizer.lr": (1e-4, 1.0), "optimizer.weight_decay": (1e-4, 1.0)},
    "narrow": {"optimizer.lr": (1e-4, 1.0), "optimizer.weight_decay": (1e-5, 1e-2)},
}
RUN = (
    *("model=gpt2", "objective=clm", "data=markov", "tokenizer=none", "data.symbols=8"),
    *("model.dim=16", "model.layers=1", "model.heads=2", "model.ffn.hidden=32", "data.length=32"),
    *("data.batch=16", "trainer.steps=60", "trainer.eval_every=60", "energy=tdp"),
    *("search/launcher=inline",),
)
SIDE, DEALS = 4, 2000


def trained(folder: Path, name: str, *words: str) -> list[Trial]:
    """A search by the command a user would write; its trials."""
    command = [sys.executable, "-m", "fxformer", "train", "-m", *RUN, f"search.name={name}"]
    env = os.environ | {"JAX_PLATFORMS": "cpu", "FXFORMER_NO_TUNING": "1"}
    env["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
    command += [f"trainer.compile_cache={folder}/cache", f"runs={folder}/runs", *words]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    if done.returncode not in (0, 3):  # 3: some learning rate diverged, which is an answer
        raise SystemExit(f"{' '.join(command)}:\n{done.stderr[-3000:]}")
    return find(folder / "runs", name).trials()


def real(folder: Path, name: str, size: int, layouts: int, console: Console) -> dict:
    """Both searches of a space, and how they compare. size: of the pool; layouts: of the grid"""
    rng, keys = np.random.default_rng(0), SPACES[name]
    with console.status(f"{name}: {size} random trials"):
        pool = trained(
            folder,
            f"random-{name}",
            "search=random",
            f"search.trials={size}",
            *(f"{key}=tag(log,interval({a},{b}))" for key, (a, b) in keys.items()),
        )
    grids = []
    for n in range(layouts):
        words = []
        for key, (low, high) in keys.items():
            places = (np.arange(SIDE) + rng.random()) / SIDE
            values = np.exp(math.log(low) + places * math.log(high / low))
            words.append(f"{key}=" + ",".join(f"{value:.5g}" for value in values))
        with console.status(f"{name}: grid {n + 1} of {layouts}"):
            grids.append(trained(folder, f"grid{n}-{name}", "search=grid", *words))
    facts = StoredRun(folder / "runs" / str(pool[0].run)).facts
    floor = facts["data"].get("entropy_rate", math.nan)
    return {"space": name, "keys": keys, "floor": floor} | compared(pool, grids, rng)


def compared(pool: Sequence[Trial], grids: Sequence[Sequence[Trial]], rng) -> dict:
    """The best of a grid beside the best of as many random trials as its energy pays for."""
    pairs = []
    for n in range(DEALS):
        grid = grids[n % len(grids)]
        budget = sum(trial.kwh for trial in grid)
        order = rng.permutation(len(pool))
        paid = np.cumsum([pool[k].kwh for k in order]) <= budget
        random = min(loss(pool[k]) for k in order[: max(int(paid.sum()), 1)])
        as_many = min(loss(pool[k]) for k in order[: len(grid)])
        pairs.append((min(map(loss, grid)), random, int(paid.sum()), as_many))
    grid, random, trials, as_many = np.array(pairs).T
    bests = [min(map(loss, one)) for one in grids]
    return {
        "grids": len(grids),
        "grid_trials": len(grids[0]),
        "grid_kwh": float(np.mean([sum(t.kwh for t in grid) for grid in grids])),
        "grid_best": float(np.mean(bests)),
        "grid_best_error": error(np.array(bests)),
        "random_trials": float(trials.mean()),
        "random_best": float(random.mean()),
        "random_best_quartiles": np.quantile(random, (0.25, 0.75)).tolist(),
        "random_wins": float((random < grid).mean()),
        "random_wins_by_trials": float((as_many < grid).mean()),
        "pool": [[*t.params.values(), loss(t), t.kwh] for t in pool],
        "grid_points": [[[*t.params.values(), loss(t), t.kwh] for t in one] for one in grids],
    }


def loss(trial: Trial) -> float:
    """What a trial came to; one that diverged is the worst there is."""
    return trial.value if trial.value is not None else math.inf


def show(found: dict, console: Console) -> None:
    """The table, and a sentence about the real one."""
    table = Table(title="the best of a grid and of random draws, equal energy", box=None)
    names = ("keys", "matter", "grid", "exact", "trials", "random", "exact", "trials",
             "grid - random", "random wins")  # fmt: skip
    for name in names:
        table.add_column(name, justify="right")
    for one in found["surfaces"]:
        table.add_row(
            str(one["keys"]), str(one["effective"]),
            f"{one['grid_best']:.4f}", f"{one['grid_exact']:.4f}", str(one["grid_trials"]),
            f"{one['random_best']:.4f}", f"{one['random_exact']:.4f}",
            f"{one['random_trials']:.1f}",
            f"{one['gain']:+.4f} ± {1.96 * one['gain_error']:.4f}", f"{one['random_wins']:.0%}",
        )  # fmt: skip
    console.print(table)
    console.print(f"{found['surfaces'][0]['repeats']} repeats; ±: 95 %")
    for one in found["real"]:
        console.print(
            f"Markov chain, {one['space']} decay, floor {one['floor']:.4f}: grid "
            f"{one['grid_best']:.4f} ± {one['grid_best_error']:.4f} ({one['grids']} grids of "
            f"{one['grid_trials']}), random {one['random_best']:.4f} ({one['random_trials']:.1f} "
            f"trials for the same {1e3 * one['grid_kwh']:.3g} Wh); random is better in "
            f"{one['random_wins']:.0%}, with as many trials in {one['random_wins_by_trials']:.0%}"
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, show, keep."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks random_search", description=__doc__)
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--real", action="store_true", help="train too: see --pool and --grids")
    parser.add_argument("--pool", type=int, default=48, help="random trials of a space")
    parser.add_argument("--grids", type=int, default=4, help=f"grids of a space, {SIDE} × {SIDE}")
    parser.add_argument("--folder", type=Path, help="keep the trainings here, or go on with them")
    given, console, facts = parser.parse_args(argv), Console(), machine.facts()
    surfaces = []
    for duel in DUELS:
        with console.status(f"{duel}"):
            surfaces.append(dataclasses.asdict(duel) | duel.run(given.repeats))
    found: dict = {"surfaces": surfaces, "real": []}
    if given.real:
        with tempfile.TemporaryDirectory() as folder:
            place = given.folder or Path(folder)
            place.mkdir(parents=True, exist_ok=True)
            for name in SPACES:
                one = real(place.resolve(), name, given.pool, given.grids, console)
                found["real"].append(one)
    show(found, console)
    date = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    path = RESULTS / f"random-search-{date}.json"
    body = {"date": date, "machine": facts, "run": RUN, **found}
    path.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    console.print(f"kept in {path}")


if __name__ == "__main__":
    main()
