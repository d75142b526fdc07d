"""`python -m benchmarks intervals`: do the intervals of plans without calibration hold the runs?

Mixed short runs, drawn by a seed: models, sizes, lengths, batches, steps. Of each a plan (nothing
is trained), then the run, by the commands a user would type. Compared are joules of the stated
model, which counts processor seconds: what else the machine does changes them little, so that this
can be run on a machine that is used; times are told with the load and not judged. An interval of
95 % that holds fewer than 95 % of the runs is too narrow: exit code 1.
"""

import argparse
import concurrent.futures
import datetime
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from benchmarks.machine import facts
from fxformer.track.run_reader import StoredRun

RESULTS = Path(__file__).parent / "results"
HELD = 0.95  # of the runs that an interval must hold
PAIRS = (
    ("bert", "mlm"), ("roberta", "mlm_roberta"), ("albert", "mlm"), ("electra", "electra"),
    ("deberta", "mlm"), ("modernbert", "mlm"), ("gpt2", "clm"), ("llama", "clm"), ("bloom", "clm"),
    ("gpt_neox", "clm"), ("bart", "denoise"), ("t5", "t5"), ("pegasus", "pegasus"),
    ("decoder", "clm"), ("encoder", "mlm_spans"), ("seq2seq", "denoise"),
)  # fmt: skip


def draw(number: int, seed: int) -> list[str]:
    """The words of a run."""
    rng = random.Random(f"{seed}/{number}")
    model, objective = PAIRS[number % len(PAIRS)]
    heads = rng.choice([2, 4])
    data = (
        rng.choice(
            [
                ("data=markov", "tokenizer=none", "data.symbols=32", "data.valid_examples=128"),
                ("data=stdlib_docs", "tokenizer.vocab_size=1000"),
            ]
        )
        if objective in ("clm", "mlm", "denoise")
        else ("data=stdlib_docs", "tokenizer.vocab_size=1000")
    )
    return [
        f"model={model}", f"objective={objective}", f"model.dim={heads * rng.choice([16, 32])}",
        f"model.heads={heads}", f"data.length={rng.choice([32, 64, 128])}",
        f"data.batch={rng.choice([4, 8, 16, 32])}", f"trainer.steps={rng.choice([5, 20, 60, 120])}",
        "size=tiny", "trainer.eval_every=0", f"seed={number}", *data, "energy=tdp",
        "energy.grid_gco2e_per_kwh=100", "trainer.compile_cache=null",
    ]  # fmt: skip


def command(verb: str, *words: str) -> str:
    """Run `fxformer`; what it said where it failed."""
    line = [sys.executable, "-m", "fxformer", verb, *words]
    done = subprocess.run(line, capture_output=True, text=True)
    return done.stderr[-500:] or f"exit code {done.returncode}" if done.returncode else ""


def measure(number: int, seed: int, root: Path) -> dict:
    """A plan and its run."""
    words, plan = draw(number, seed), root / f"{number}.json"
    found = {"words": words, "load": os.getloadavg()[0]}
    if failed := command("plan", *words, f"plan.json={plan}"):
        return found | {"failed": failed}
    (planned,) = json.loads(plan.read_text())["runs"]
    began = time.time()
    if failed := command("train", *words, f"name=n{number}", f"runs={root}"):
        return found | {"failed": failed}
    found["wall_seconds"] = time.time() - began
    (run,) = (StoredRun(path.parent) for path in root.glob(f"*-n{number}/run.json"))
    totals = run.energy()
    low, high = planned["joules_interval"]
    return found | {
        "planned": {key: planned[key] for key in (
            "joules", "joules_sigma", "joules_interval", "seconds", "seconds_interval",
            "once_seconds", "once_joules", "executed", "tokens", "flops", "steps", "memory",
            "parameters")},
        "joules": totals.joules, "seconds": sum(totals.seconds.values()),
        "phases": {phase: part.joules for phase, part in totals.by("phase").items()},
        "held": low <= totals.joules <= high,
    }  # fmt: skip


def main(argv: list[str]) -> int:
    """Measure, show, save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks intervals", description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="pairs at once")
    parser.add_argument("--lines", type=Path, help="file to add a line of JSON to after each run")
    given, console = parser.parse_args(argv), Console()
    found: list[dict] = []
    with tempfile.TemporaryDirectory() as folder:
        with concurrent.futures.ThreadPoolExecutor(given.workers) as pool:
            jobs = [pool.submit(measure, n, given.seed, Path(folder)) for n in range(given.runs)]
            for job in concurrent.futures.as_completed(jobs):
                found.append(job.result())
                console.print(words(found[-1]), highlight=False)
                if given.lines:
                    with given.lines.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(found[-1]) + "\n")
    made = [one for one in found if "failed" not in one]
    share = sum(one["held"] for one in made) / len(made) if made else 0.0
    console.print(f"{share:.0%} of {len(made)} runs are in the interval of their plan")
    now = datetime.datetime.now(datetime.UTC)
    body = {"date": f"{now:%Y-%m-%d}", "machine": facts(), "seed": given.seed, "held": share,
            "runs": found}  # fmt: skip
    path = RESULTS / f"intervals-{now:%Y-%m-%d}.json"
    path.write_text(json.dumps(body, indent=1) + "\n")
    console.print(f"kept in {path}")
    return 0 if made and share >= HELD else 1


def words(one: dict) -> str:
    """A run in a line."""
    what = " ".join(word.partition("=")[2] for word in one["words"][:7])
    if "failed" in one:
        return f"{what}: failed: {one['failed']}"
    low, high = one["planned"]["joules_interval"]
    mark = "in" if one["held"] else "OUT OF"
    return f"{what}: {one['joules']:.0f} J {mark} {low:.0f} to {high:.0f} J, load {one['load']:.1f}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
