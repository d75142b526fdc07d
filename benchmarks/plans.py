"""`python -m benchmarks plans`: what `fxformer plan` foretells beside what the runs then take.

For each family a calibrated plan, then the run itself, by the commands a user would type. Compared
are the seconds and joules of the whole run, start-up included; the machine's load is told.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.machine import facts
from fxformer.track.run_reader import StoredRun

RESULTS = Path(__file__).parent / "results"
FAMILIES = {"encoder": ("bert", "mlm"), "decoder": ("gpt2", "clm"), "seq2seq": ("bart", "denoise")}
SHARED = ("size=tiny", "data=stdlib_docs", "data.length=128", "data.batch=32",
          "trainer.eval_every=75", "trainer.log_every=10", "energy=tdp",
          "energy.grid_gco2e_per_kwh=100")  # fmt: skip


def command(verb: str, *words: str) -> None:
    """Run `fxformer` with these words. SystemExit with what it said where it fails."""
    line = [sys.executable, "-m", "fxformer", verb, *words]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        said = f"{' '.join(line)} ended with {done.returncode}:\n{done.stderr[-3000:]}"
        raise SystemExit(said)


def measure(family: str, steps: int, root: Path) -> dict:
    """A plan and its run."""
    model, objective = FAMILIES[family]
    words = (f"model={model}", f"objective={objective}", f"trainer.steps={steps}", *SHARED)
    load, plan = os.getloadavg()[0], root / f"{family}.json"
    command("plan", *words, "plan.calibrate=true", f"plan.json={plan}")
    between = os.getloadavg()[0]
    command("train", *words, f"name={family}", f"runs={root}")
    (run,) = (StoredRun(path.parent) for path in root.glob(f"*-{family}/run.json"))
    (planned,) = json.loads(plan.read_text())["runs"]
    totals = run.energy()
    seconds, joules = sum(totals.seconds.values()), totals.joules
    train = run.metrics("train")
    return {
        "family": family,
        "load": [load, between, os.getloadavg()[0]],
        "parameters": [planned["parameters"], run.facts["parameters"]],
        "tokens": [planned["tokens"], float(train["tokens"][-1])],
        "planned_seconds": planned["seconds"], "seconds_sigma": planned["seconds_sigma"],
        "seconds": seconds, "time_ratio": seconds / planned["seconds"],
        "planned_joules": planned["joules"], "joules_sigma": planned["joules_sigma"],
        "joules": joules, "energy_ratio": joules / planned["joules"],
        "mfu": planned["mfu"],
    }  # fmt: skip


def show(found: list[dict], console: Console) -> None:
    """The table."""
    table = Table(title="real over planned, after calibration", box=None)
    for name in ("family", "planned s", "real s", "ratio", "planned J", "real J", "ratio", "load"):
        table.add_column(name, justify="left" if name == "family" else "right")
    for one in found:
        table.add_row(
            one["family"], f"{one['planned_seconds']:.1f}", f"{one['seconds']:.1f}",
            f"{one['time_ratio']:.2f}", f"{one['planned_joules']:.0f}", f"{one['joules']:.0f}",
            f"{one['energy_ratio']:.2f}", " ".join(f"{load:.1f}" for load in one["load"]),
        )  # fmt: skip
    console.print(table)


def main(argv: list[str]) -> int:
    """Measure, show, save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks plans", description=__doc__)
    parser.add_argument("families", nargs="*", help=f"of {', '.join(FAMILIES)}; none: all")
    parser.add_argument("--steps", type=int, default=150)
    given, console = parser.parse_args(argv), Console()
    if unknown := set(given.families) - set(FAMILIES):
        parser.error(f"{sorted(unknown)} are no families; there are {', '.join(FAMILIES)}")
    found: list[dict] = []
    with tempfile.TemporaryDirectory() as folder:
        for family in given.families or FAMILIES:
            with console.status(f"{family}: a plan, then {given.steps} steps"):
                found.append(measure(family, given.steps, Path(folder)))
    show(found, console)
    now = datetime.datetime.now(datetime.UTC)
    body = {"date": f"{now:%Y-%m-%d}", "machine": facts(), "steps": given.steps, "runs": found}
    path = RESULTS / f"plan-{now:%Y-%m-%d}.json"
    path.write_text(json.dumps(body, indent=1) + "\n")
    console.print(f"kept in {path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
