"""`python -m benchmarks.random_search`: random search beside grid search, at equal energy.

First on a surface whose every answer is known (benchmarks/surface.py). Then a real one, --real: a
small decoder on a Markov chain, whose loss nothing can bring below its entropy rate; learning rate
and weight decay, of which the first matters. The grid is laid out several times, each time moved by
a random part of its cells; the random trials are one pool, dealt out anew for each comparison.
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
from fxformer.track.store import StoredRun

DUELS = (Duel(4, 1, 3), Duel(3, 1, 4), Duel(3, 2, 4), Duel(2, 1, 5), Duel(2, 2, 5))
KEYS = {"optimizer.lr": (1e-4, 1.0), "optimizer.weight_decay": (1e-4, 1.0)}
RUN = (
    *("model=gpt2", "objective=clm", "data=markov", "tokenizer=none", "data.symbols=8"),
    *("model.dim=16", "model.layers=1", "model.heads=2", "model.ffn.hidden=32", "data.length=32"),
    *("data.batch=16", "trainer.steps=60", "trainer.eval_every=60", "energy=model"),
    *("search/launcher=inline",),
)
SIDE, GRIDS, POOL, DEALS = 4, 4, 48, 2000


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


def real(folder: Path, console: Console) -> dict:
    """Both searches, and how they compare."""
    rng = np.random.default_rng(0)
    with console.status(f"{POOL} random trials"):
        pool = trained(folder, "random", "search=random", f"search.trials={POOL}",
                       *(f"{key}=tag(log,interval({a},{b}))" for key, (a, b) in KEYS.items()))
    grids = []
    for n in range(GRIDS):
        words = []
        for key, (low, high) in KEYS.items():
            places = (np.arange(SIDE) + rng.random()) / SIDE
            values = np.exp(math.log(low) + places * math.log(high / low))
            words.append(f"{key}=" + ",".join(f"{value:.5g}" for value in values))
        with console.status(f"grid {n + 1} of {GRIDS}"):
            grids.append(trained(folder, f"grid{n}", "search=grid", *words))
    facts = StoredRun(folder / "runs" / str(pool[0].run)).facts
    floor = facts["data"].get("entropy_rate", math.nan)
    return compared(pool, grids, rng) | {"floor": floor}


def compared(pool: Sequence[Trial], grids: Sequence[Sequence[Trial]], rng) -> dict:
    """The best of a grid beside the best of as many random trials as its energy pays for."""
    pairs = []
    for n in range(DEALS):
        grid = grids[n % len(grids)]
        budget = sum(trial.kwh for trial in grid)
        order = rng.permutation(len(pool))
        paid = np.cumsum([pool[k].kwh for k in order]) <= budget
        random = min(loss(pool[k]) for k in order[: max(int(paid.sum()), 1)])
        pairs.append((min(map(loss, grid)), random, int(paid.sum())))
    grid, random, trials = np.array(pairs).T
    bests = [min(map(loss, one)) for one in grids]
    return {
        "grids": len(grids),
        "grid_trials": SIDE ** len(KEYS),
        "grid_kwh": float(np.mean([sum(t.kwh for t in grid) for grid in grids])),
        "grid_best": float(np.mean(bests)),
        "grid_best_error": error(np.array(bests)),
        "random_trials": float(trials.mean()),
        "random_best": float(random.mean()),
        "random_best_quartiles": np.quantile(random, (0.25, 0.75)).tolist(),
        "random_wins": float((random < grid).mean()),
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
    if one := found.get("real"):
        console.print(
            f"Markov chain, floor {one['floor']:.4f}: grid {one['grid_best']:.4f} ± "
            f"{one['grid_best_error']:.4f} ({one['grids']} grids of {one['grid_trials']}), random "
            f"{one['random_best']:.4f} ({one['random_trials']:.1f} trials for the same "
            f"{1e3 * one['grid_kwh']:.3g} Wh); random is better in {one['random_wins']:.0%}"
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, show, keep."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.random_search", description=__doc__)
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--real", action="store_true", help=f"{POOL} + {GRIDS} × {SIDE}² trainings")
    parser.add_argument("--folder", type=Path, help="keep the trainings here, or go on with them")
    given, console, facts = parser.parse_args(argv), Console(), machine.facts()
    surfaces = []
    for duel in DUELS:
        with console.status(f"{duel}"):
            surfaces.append(dataclasses.asdict(duel) | duel.run(given.repeats))
    found: dict = {"surfaces": surfaces}
    if given.real:
        with tempfile.TemporaryDirectory() as folder:
            place = given.folder or Path(folder)
            place.mkdir(parents=True, exist_ok=True)
            found["real"] = real(place.resolve(), console)
    show(found, console)
    date = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    path = RESULTS / f"random-search-{date}.json"
    body = {"date": date, "machine": facts, "run": RUN, "keys": KEYS, **found}
    path.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    console.print(f"kept in {path}")


if __name__ == "__main__":
    main()
